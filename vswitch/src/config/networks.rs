//! From `[[network]]` to tenants' broadcast domains.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use toml::Spanned;

use super::checks::{checked, items, number};
use super::diagnostic::{Problems, Span, listed, quoted};
use super::names::Names;
use super::ports::{Ports, User};
use super::raw::{MacTable, NetworkTable};
use super::vteps::Vteps;
use super::{Home, Network, PortIndex, StaticMac, VtepIndex, address, defaults};
use crate::ids::{MacAddr, Vni};

/// The largest ageing time that a bridge takes (IEEE 802.1Q-2018, table 8-6).
const MAX_AGEING_SECS: u32 = 1_000_000;

pub(super) fn check(
    tables: &[Spanned<NetworkTable>],
    ports: &mut Ports,
    vteps: &Vteps,
    problems: &mut Problems,
) -> Vec<Network> {
    let mut names = Names::new("network");
    let mut vnis: HashMap<Vni, (String, Span)> = HashMap::new();
    let mut networks = Vec::new();
    for table in tables {
        let header = table.span();
        let table = table.get_ref();
        let name = names.add(table.name.as_ref(), problems);

        let vni = vni(table, &name, &mut vnis, problems);
        let vtep = table.vtep.as_ref().map(|typed| vteps.names.find(typed, problems));
        let overlay = Overlay { network: &name, vtep, vteps };
        let remote_vteps = overlay.remote_vteps(table, problems);
        let members = members(table, &name, ports, problems);
        if items(table.ports.as_ref()).is_empty() {
            problems.warning(
                header,
                format!("network {} has no port on this host, and moves no frames", quoted(&name)),
                "add a `[[network.port]]` below it",
            );
        }
        let macs = macs(table, &overlay, &members, ports, problems);

        let ageing = table.mac_ageing_secs.as_ref();
        let why = "after so long without a frame a learned MAC is forgotten; 0 is never";
        let mac_ageing_secs = number(ageing, 0..=MAX_AGEING_SECS, "mac-ageing-secs", why, problems)
            .unwrap_or(defaults::MAC_AGEING_SECS);
        let vtep = vtep.flatten().map(VtepIndex);
        let ports = members;
        if let Some(vni) = vni {
            networks.push(Network { name, vni, vtep, remote_vteps, mac_ageing_secs, ports, macs });
        }
    }
    networks
}

fn vni(
    table: &NetworkTable,
    network: &str,
    taken: &mut HashMap<Vni, (String, Span)>,
    problems: &mut Problems,
) -> Option<Vni> {
    let typed = table.vni.as_ref()?;
    let why = "a VNI has 24 bits (RFC 7348), and 0 is no network for much equipment";
    let vni = Vni::new(number(Some(typed), 1..=Vni::MAX, "vni", why, problems)?)?;
    if let Some((first, at)) = taken.get(&vni) {
        let message = format!(
            "VNI {vni} is already that of network {} {}",
            quoted(first),
            problems.place(at)
        );
        problems.error(
            typed.span(),
            message,
            "give each network its own VNI: it is what keeps tenants apart",
        );
    } else {
        taken.insert(vni, (network.to_owned(), typed.span()));
    }
    Some(vni)
}

/// How a network reaches other hosts.
struct Overlay<'a> {
    network: &'a str,
    /// Outer: whether `vtep` is given. Inner: its index, if it is a known one.
    vtep: Option<Option<usize>>,
    vteps: &'a Vteps,
}

impl Overlay<'_> {
    fn remote_vteps(&self, table: &NetworkTable, problems: &mut Problems) -> Vec<Ipv4Addr> {
        let mut addresses: Vec<Ipv4Addr> = Vec::new();
        let typed = items(table.remote_vteps.as_ref());
        if self.vtep.is_none()
            && let Some(list) = table.remote_vteps.as_ref().filter(|_| !typed.is_empty())
        {
            self.needs_vtep(list.span(), problems);
        }
        for typed in typed {
            let Some(remote) = self.remote_vtep(typed, problems) else { continue };
            if addresses.contains(&remote) {
                problems.error(
                    typed.span(),
                    format!("remote VTEP {remote} is named twice"),
                    "name it once: it would get every flooded frame twice",
                );
            } else {
                addresses.push(remote);
            }
        }
        addresses
    }

    fn remote_vtep(&self, typed: &Spanned<String>, problems: &mut Problems) -> Option<Ipv4Addr> {
        checked(
            Some(typed),
            |text| {
                let remote = address::remote_vtep(text)?;
                self.vteps.not_ours(self.vtep.flatten(), remote)?;
                Ok(remote)
            },
            problems,
        )
    }

    fn needs_vtep(&self, at: Span, problems: &mut Problems) {
        problems.error(
            at,
            format!("network {} has no VTEP, and so no remote one", quoted(self.network)),
            "add `vtep = \"…\"` with the name of a [[vtep]], or remove this",
        );
    }
}

fn members(
    table: &NetworkTable,
    network: &str,
    ports: &mut Ports,
    problems: &mut Problems,
) -> Vec<PortIndex> {
    let how = format!("a port of network {}", quoted(network));
    let mut members = Vec::new();
    for member in items(table.ports.as_ref()) {
        let Some(typed) = &member.get_ref().port else { continue };
        let Some(port) = ports.names.find(typed, problems) else { continue };
        // Also if another has it: one report is enough, without more about its static MACs.
        ports.claim(port, User { how: how.clone(), at: typed.span() }, problems);
        members.push(PortIndex(port));
    }
    members
}

fn macs(
    table: &NetworkTable,
    overlay: &Overlay<'_>,
    members: &[PortIndex],
    ports: &Ports,
    problems: &mut Problems,
) -> Vec<StaticMac> {
    let mut macs = Vec::new();
    let mut places: HashMap<MacAddr, Span> = HashMap::new();
    for table in items(table.macs.as_ref()) {
        let header = table.span();
        let table = table.get_ref();
        let mac = checked(table.address.as_ref(), address::station, problems);
        if let (Some(typed), Some(mac)) = (&table.address, mac) {
            if let Some(first) = places.get(&mac) {
                let place = problems.place(first);
                problems.error(
                    typed.span(),
                    format!("{mac} already has a place in this network, {place}"),
                    "give each MAC address one place",
                );
            } else {
                places.insert(mac, typed.span());
            }
        }
        let home = home(table, header, overlay, members, ports, problems);
        if let (Some(address), Some(home)) = (mac, home) {
            macs.push(StaticMac { address, home });
        }
    }
    macs
}

fn home(
    table: &MacTable,
    header: Span,
    overlay: &Overlay<'_>,
    members: &[PortIndex],
    ports: &Ports,
    problems: &mut Problems,
) -> Option<Home> {
    match (&table.port, &table.remote_vtep) {
        (Some(typed), None) => {
            let port = PortIndex(ports.names.find(typed, problems)?);
            if members.contains(&port) {
                return Some(Home::Port(port));
            }
            let name = typed.get_ref();
            let others = members.iter().filter_map(|port| ports.list.get(port.0));
            let others = others.map(|port| port.name.as_str());
            let help = if members.is_empty() {
                format!("add a [[network.port]] with `port = \"{}\"`", name.escape_debug())
            } else {
                format!("its ports are {}", listed(others, members.len()))
            };
            problems.error(
                typed.span(),
                format!("port {} is not in network {}", quoted(name), quoted(overlay.network)),
                help,
            );
            None
        }
        (None, Some(typed)) => {
            if overlay.vtep.is_none() {
                overlay.needs_vtep(typed.span(), problems);
                return None;
            }
            overlay.remote_vtep(typed, problems).map(Home::RemoteVtep)
        }
        (Some(_), Some(typed)) => {
            problems.error(
                typed.span(),
                "a static MAC has both `port` and `remote-vtep`",
                "keep the one that says where the station is",
            );
            None
        }
        (None, None) => {
            problems.error(
                header,
                "[[network.mac]] has neither `port` nor `remote-vtep`",
                "say where the station is: `port = \"…\"` on this host, or `remote-vtep = \"…\"`",
            );
            None
        }
    }
}
