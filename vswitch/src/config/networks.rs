//! Checks `[[network]]`, its ports and its static MACs.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::address;
use super::checks::{checked, number};
use super::diagnostic::{Problems, listed, quoted};
use super::document::{MacDocument, MemberDocument, NetworkDocument};
use super::location::Location;
use super::model::{Home, Network, PortIndex, StaticMac, VtepIndex};
use super::names::NameTable;
use super::ports::{Ports, User};
use super::vteps::Vteps;
use crate::ids::{MacAddr, Vni};

pub(super) fn check(
    tables: &[NetworkDocument],
    at: &Location,
    ports: &mut Ports,
    vteps: &Vteps,
    problems: &mut Problems,
) -> Vec<Network> {
    let mut names = NameTable::new("network");
    let mut vnis = HashMap::new();
    let mut networks = Vec::new();
    for (position, table) in tables.iter().enumerate() {
        let at = at.item(position);
        let name = table.name.clone();
        names.add(&name, at.key("name"), problems);

        let vni = vni(table, &at.key("vni"), &mut vnis, problems);
        let vtep = table.vtep.as_ref();
        let vtep = vtep.map(|vtep| vteps.names.find(vtep, &at.key("vtep"), problems));
        let overlay = Overlay { network: &name, vtep, vteps };
        let remote_vteps =
            overlay.remote_vteps(&table.remote_vteps, &at.key("remote-vteps"), problems);
        let members = members(&table.port, &name, &at.key("port"), ports, problems);
        if table.port.is_empty() {
            problems.warning(
                &at,
                format!("network {} has no port on this host, and moves no frames", quoted(&name)),
                "add a `[[network.port]]` below it",
            );
        }
        let macs = macs(&table.mac, &at.key("mac"), &overlay, &members, ports, problems);

        let why = "after so long without a frame a learned MAC is forgotten; 0 is never";
        let mac_ageing_secs =
            number(table.mac_ageing_secs, &at.key("mac-ageing-secs"), why, problems);
        let Some(vni) = vni else { continue };
        networks.push(Network {
            vtep: vtep.flatten().map(VtepIndex),
            name,
            vni,
            remote_vteps,
            mac_ageing_secs: mac_ageing_secs.unwrap_or_default(),
            ports: members,
            macs,
        });
    }
    networks
}

fn vni<'t>(
    table: &'t NetworkDocument,
    at: &Location,
    taken: &mut HashMap<Vni, (&'t str, Location)>,
    problems: &mut Problems,
) -> Option<Vni> {
    let why = "a VNI has 24 bits (RFC 7348), and 0 is no network for much equipment";
    let vni = Vni::new(number(table.vni, at, why, problems)?)?;
    if let Some((first, first_at)) = taken.get(&vni) {
        let message = format!(
            "VNI {vni} is already that of network {} {}",
            quoted(first),
            problems.position(first_at)
        );
        let help = "give each network its own VNI: it is what keeps tenants apart";
        problems.error(at, message, help);
    } else {
        taken.insert(vni, (&table.name, at.clone()));
    }
    Some(vni)
}

/// How a network reaches other hosts.
struct Overlay<'a> {
    network: &'a str,
    /// Outer: whether `vtep` is given. Inner: the index of the VTEP, if there is one of that name.
    vtep: Option<Option<usize>>,
    vteps: &'a Vteps,
}

impl Overlay<'_> {
    fn remote_vteps(
        &self,
        table: &[String],
        at: &Location,
        problems: &mut Problems,
    ) -> Vec<Ipv4Addr> {
        let mut addresses: Vec<Ipv4Addr> = Vec::new();
        if self.vtep.is_none() && !table.is_empty() {
            self.needs_vtep(at, problems);
        }
        for (index, remote) in table.iter().enumerate() {
            let at = at.item(index);
            let Some(remote) = self.remote_vtep(remote, &at, problems) else { continue };
            if addresses.contains(&remote) {
                problems.error(
                    &at,
                    format!("remote VTEP {remote} is named twice"),
                    "name it once: it would get every flooded frame twice",
                );
            } else {
                addresses.push(remote);
            }
        }
        addresses
    }

    fn remote_vtep(&self, text: &str, at: &Location, problems: &mut Problems) -> Option<Ipv4Addr> {
        let parse = |text: &str| {
            let remote = address::remote_vtep(text)?;
            self.vteps.not_ours(self.vtep.flatten(), remote)?;
            Ok(remote)
        };
        checked(text, at, parse, problems)
    }

    fn needs_vtep(&self, at: &Location, problems: &mut Problems) {
        problems.error(
            at,
            format!("network {} has no VTEP, and so no remote one", quoted(self.network)),
            "add `vtep = \"…\"` with the name of a [[vtep]], or remove this",
        );
    }
}

fn members(
    tables: &[MemberDocument],
    network: &str,
    at: &Location,
    ports: &mut Ports,
    problems: &mut Problems,
) -> Vec<PortIndex> {
    let how = format!("a port of network {}", quoted(network));
    let mut members = Vec::new();
    for (index, member) in tables.iter().enumerate() {
        let at = at.item(index).key("port");
        let Some(port) = ports.names.find(&member.port, &at, problems) else { continue };
        // Also if another has it: one report is enough, without more about its static MACs.
        ports.claim(port, User { how: how.clone(), at }, problems);
        members.push(PortIndex(port));
    }
    members
}

fn macs(
    tables: &[MacDocument],
    at: &Location,
    overlay: &Overlay<'_>,
    members: &[PortIndex],
    ports: &Ports,
    problems: &mut Problems,
) -> Vec<StaticMac> {
    let mut macs = Vec::new();
    let mut known: HashMap<MacAddr, Location> = HashMap::new();
    for (index, table) in tables.iter().enumerate() {
        let at = at.item(index);
        let address_at = at.key("address");
        let mac = checked(&table.address, &address_at, address::station, problems);
        if let Some(mac) = mac {
            if let Some(first) = known.get(&mac) {
                let first = problems.position(first);
                problems.error(
                    &address_at,
                    format!("{mac} already has a place in this network, {first}"),
                    "give each MAC address one place",
                );
            } else {
                known.insert(mac, address_at);
            }
        }
        let home = home(table, &at, overlay, members, ports, problems);
        if let (Some(address), Some(home)) = (mac, home) {
            macs.push(StaticMac { address, home });
        }
    }
    macs
}

fn home(
    table: &MacDocument,
    at: &Location,
    overlay: &Overlay<'_>,
    members: &[PortIndex],
    ports: &Ports,
    problems: &mut Problems,
) -> Option<Home> {
    match (&table.port, &table.remote_vtep) {
        (Some(name), None) => {
            let at = at.key("port");
            let port = PortIndex(ports.names.find(name, &at, problems)?);
            if members.contains(&port) {
                return Some(Home::Port(port));
            }
            let others = members.iter().filter_map(|port| ports.list.get(port.0));
            let others = others.map(|port| port.name.as_str());
            let help = if members.is_empty() {
                format!("add a [[network.port]] with `port = \"{}\"`", name.escape_debug())
            } else {
                format!("its ports are {}", listed(others, members.len()))
            };
            problems.error(
                &at,
                format!("port {} is not in network {}", quoted(name), quoted(overlay.network)),
                help,
            );
            None
        }
        (None, Some(remote)) => {
            let at = at.key("remote-vtep");
            if overlay.vtep.is_none() {
                overlay.needs_vtep(&at, problems);
                return None;
            }
            overlay.remote_vtep(remote, &at, problems).map(Home::RemoteVtep)
        }
        (Some(_), Some(_)) => {
            problems.error(
                &at.key("remote-vtep"),
                "a static MAC has both `port` and `remote-vtep`",
                "keep the one that says where the station is",
            );
            None
        }
        (None, None) => {
            problems.error(
                at,
                "[[network.mac]] has neither `port` nor `remote-vtep`",
                "say where the station is: `port = \"…\"` on this host, or \
                 `remote-vtep = \"…\"`",
            );
            None
        }
    }
}
