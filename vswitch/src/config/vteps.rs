//! Checks `[[vtep]]`.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::address;
use super::checks::{checked, checked_if_given, number};
use super::diagnostic::{Complaint, Problems, quoted};
use super::document::VtepDocument;
use super::location::Location;
use super::model::{PortIndex, Vtep};
use super::names::NameTable;
use super::ports::{Ports, User};

/// The VTEPs, with what the checks of networks need.
pub(super) struct Vteps {
    pub list: Vec<Vtep>,
    pub names: NameTable,
    /// The underlay's subnet of each VTEP; `None` if it is not valid.
    subnets: Vec<Option<Ipv4Net>>,
}

impl Vteps {
    /// Refuses addresses that cannot be another host's, as seen from one of the switch's VTEPs.
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
    tables: &[VtepDocument],
    at: &Location,
    ports: &mut Ports,
    problems: &mut Problems,
) -> Vteps {
    let mut vteps = Vteps { list: Vec::new(), names: NameTable::new("VTEP"), subnets: Vec::new() };
    let mut addresses = HashMap::new();
    let mut interfaces = HashMap::new();
    for (index, table) in tables.iter().enumerate() {
        let at = at.item(index);
        let name = table.name.clone();
        vteps.names.add(&name, at.key("name"), problems);

        let port_at = at.key("port");
        let port = ports.names.find(&table.port, &port_at, problems).filter(|port| {
            let user = User { how: format!("the uplink of VTEP {}", quoted(&name)), at: port_at };
            ports.claim(*port, user, problems)
        });

        let address_at = at.key("address");
        let subnet = checked(&table.address, &address_at, address::vtep_address, problems);
        if let Some(subnet) = subnet {
            let what = format!("address {}", subnet.addr());
            unique(subnet.addr(), what, &name, address_at, &mut addresses, problems);
        }

        let interface = &table.host_interface;
        let interface_at = at.key("host-interface");
        if checked(interface, &interface_at, address::interface_name, problems).is_some() {
            let what = format!("host interface {}", quoted(interface));
            unique(interface, what, &name, interface_at, &mut interfaces, problems);
        }

        let why = "it is a UDP port; IANA's for VXLAN is 4789";
        let udp_port = number(table.udp_port, &at.key("udp-port"), why, problems);
        let mac = checked_if_given(table.mac.as_ref(), &at.key("mac"), address::station, problems);
        vteps.list.push(Vtep {
            name,
            port: PortIndex(port.unwrap_or(0)),
            address: subnet.map_or(Ipv4Addr::UNSPECIFIED, |subnet| subnet.addr()),
            prefix_len: subnet.map_or(0, |subnet| subnet.prefix_len()),
            host_interface: interface.clone(),
            udp_port: udp_port.unwrap_or_default(),
            mac,
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
    at: Location,
    taken: &mut HashMap<K, (String, Location)>,
    problems: &mut Problems,
) {
    if let Some((first, first_at)) = taken.get(&key) {
        let message = format!(
            "{what} is already that of VTEP {} {}",
            quoted(first),
            problems.position(first_at)
        );
        problems.error(&at, message, "give each VTEP its own");
    } else {
        taken.insert(key, (vtep.to_owned(), at));
    }
}
