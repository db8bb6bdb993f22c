//! From `[[vtep]]` to tunnel ends.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Spanned;

use super::checks::{checked, number};
use super::diagnostic::{Complaint, Problems, Span, quoted};
use super::names::Names;
use super::ports::{Ports, User};
use super::raw::VtepTable;
use super::{PortIndex, Vtep, address, defaults};

/// The VTEPs, and what the networks must know of them.
pub(super) struct Vteps {
    pub list: Vec<Vtep>,
    pub names: Names,
    /// The subnet on the underlay, for those that have a valid one.
    subnets: Vec<Option<Ipv4Net>>,
}

impl Vteps {
    /// Refuses what cannot be another host's address as seen from one of our VTEPs.
    pub fn not_ours(&self, vtep: Option<usize>, remote: Ipv4Addr) -> Result<(), Complaint> {
        for (vtep, subnet) in self.list.iter().zip(&self.subnets) {
            if subnet.is_some_and(|subnet| subnet.addr() == remote) {
                return Err(Complaint::new(
                    format!("{remote} is this switch's own VTEP {}", quoted(&vtep.name)),
                    "write the addresses of the other hosts only",
                ));
            }
        }
        match vtep.and_then(|vtep| self.subnets.get(vtep).copied().flatten()) {
            Some(subnet) => address::not_reserved_in(subnet, remote),
            None => Ok(()),
        }
    }
}

pub(super) fn check(
    tables: &[Spanned<VtepTable>],
    ports: &mut Ports,
    problems: &mut Problems,
) -> Vteps {
    let mut vteps = Vteps { list: Vec::new(), names: Names::new("VTEP"), subnets: Vec::new() };
    let mut addresses = HashMap::new();
    let mut interfaces = HashMap::new();
    for table in tables {
        let table = table.get_ref();
        let name = vteps.names.add(table.name.as_ref(), problems);

        let port = table.port.as_ref().and_then(|typed| {
            let port = ports.names.find(typed, problems)?;
            let user =
                User { how: format!("the uplink of VTEP {}", quoted(&name)), at: typed.span() };
            ports.claim(port, user, problems).then_some(port)
        });

        let subnet = checked(table.address.as_ref(), address::vtep_address, problems);
        if let (Some(typed), Some(subnet)) = (&table.address, subnet) {
            let what = format!("address {}", subnet.addr());
            unique(subnet.addr(), what, &name, typed.span(), &mut addresses, problems);
        }

        let host_interface = table.host_interface.as_ref();
        let valid = checked(host_interface, address::interface_name, problems).is_some();
        if let Some(typed) = host_interface.filter(|_| valid) {
            let what = format!("host interface {}", quoted(typed.get_ref()));
            unique(typed.get_ref(), what, &name, typed.span(), &mut interfaces, problems);
        }

        let why = "it is a UDP port; IANA's for VXLAN is 4789";
        let udp_port = number(table.udp_port.as_ref(), 1..=u16::MAX, "udp-port", why, problems);
        vteps.list.push(Vtep {
            name,
            port: PortIndex(port.unwrap_or(0)),
            address: subnet.map_or(Ipv4Addr::UNSPECIFIED, |subnet| subnet.addr()),
            prefix_len: subnet.map_or(0, |subnet| subnet.prefix_len()),
            host_interface: host_interface.map(|i| i.get_ref().clone()).unwrap_or_default(),
            udp_port: udp_port.unwrap_or(defaults::UDP_PORT),
            mac: checked(table.mac.as_ref(), address::station, problems),
        });
        vteps.subnets.push(subnet);
    }
    vteps
}

/// Reports a second VTEP with the same address or interface.
fn unique<K: std::hash::Hash + Eq>(
    key: K,
    what: String,
    vtep: &str,
    at: Span,
    taken: &mut HashMap<K, (String, Span)>,
    problems: &mut Problems,
) {
    if let Some((first, first_at)) = taken.get(&key) {
        let message = format!(
            "{what} is already that of VTEP {} {}",
            quoted(first),
            problems.place(first_at)
        );
        problems.error(at, message, "give each VTEP its own");
    } else {
        taken.insert(key, (vtep.to_owned(), at));
    }
}
