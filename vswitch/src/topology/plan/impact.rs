//! The effect of a step on traffic, and whom the step concerns.
//!
//! The rules are those of the control thread. A generation is replaced as a whole, so a change
//! within it costs no frame. A port or a VTEP, which holds a device or a kernel interface, cannot
//! be changed in place: it is removed and added again. The settings of EAL, the listening sockets
//! and the size of the FDB are fixed until the process ends.

use std::collections::{HashMap, HashSet};

use super::step::{Action, FieldChange, Impact, Kind};
use crate::config::document::{Document, VtepDocument};

/// The most names that are listed; further ones are counted.
const NAMES_SHOWN: usize = 5;

/// The dependencies between the things of one configuration.
pub(super) struct Surroundings<'d> {
    networks_of_vtep: HashMap<&'d str, Vec<&'d str>>,
    remote_networks: HashMap<&'d str, OnTheWire<'d>>,
    vtep_of_port: HashMap<&'d str, &'d VtepDocument>,
    network_of_port: HashMap<&'d str, &'d str>,
    vteps: HashMap<&'d str, &'d VtepDocument>,
    /// The remote VTEPs that a network floods to: network and address.
    flooded_to: HashSet<(&'d str, &'d str)>,
    /// The remote VTEPs that static MACs are behind: network and MAC.
    homes: HashMap<(&'d str, &'d str), &'d str>,
    /// Network and remote VTEP of each of these.
    homes_of_any: HashSet<(&'d str, &'d str)>,
}

/// The identity of a network for other hosts: the name of the VTEP, and the VNI.
type OnTheWire<'d> = (&'d str, i64);

impl<'d> Surroundings<'d> {
    pub fn of(document: &'d Document) -> Self {
        let mut networks_of_vtep: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut remote_networks = HashMap::new();
        let mut network_of_port = HashMap::new();
        let (mut flooded_to, mut homes) = (HashSet::new(), HashMap::new());
        for network in &document.network {
            if let Some(vtep) = &network.vtep {
                networks_of_vtep.entry(vtep).or_default().push(&network.name);
                remote_networks.insert(network.name.as_str(), (vtep.as_str(), network.vni));
            }
            for member in &network.port {
                network_of_port.insert(member.port.as_str(), network.name.as_str());
            }
            let name = network.name.as_str();
            flooded_to.extend(network.remote_vteps.iter().map(|remote| (name, remote.as_str())));
            homes.extend(network.mac.iter().filter_map(|mac| {
                Some(((name, mac.address.as_str()), mac.remote_vtep.as_deref()?))
            }));
        }
        let vteps = document.vtep.iter();
        Self {
            networks_of_vtep,
            remote_networks,
            vtep_of_port: vteps.clone().map(|vtep| (vtep.port.as_str(), vtep)).collect(),
            network_of_port,
            vteps: vteps.map(|vtep| (vtep.name.as_str(), vtep)).collect(),
            homes_of_any: homes.iter().map(|((network, _), home)| (*network, *home)).collect(),
            flooded_to,
            homes,
        }
    }

    /// The home of a static MAC, if it is a remote VTEP that the network does not flood to.
    fn only_home(&self, network: &str, mac: &str) -> Option<&'d str> {
        let home = *self.homes.get(&(network, mac))?;
        (!self.flooded_to.contains(&(network, home))).then_some(home)
    }

    /// Whether a network takes frames from a remote VTEP.
    fn accepts(&self, network: &str, remote: &str) -> bool {
        let peer = (network, remote);
        self.flooded_to.contains(&peer) || self.homes_of_any.contains(&peer)
    }

    /// The traffic that needs a VTEP.
    fn traffic_of_vtep(&self, vtep: &VtepDocument) -> String {
        let host = format!("the host's own traffic on interface {}", vtep.host_interface);
        match self.networks_of_vtep.get(vtep.name.as_str()) {
            Some(networks) => format!("remote traffic of {}, and {host}", named(networks)),
            None => host,
        }
    }

    /// The traffic that needs a port, if there is any.
    fn traffic_of_port(&self, port: &str) -> Option<String> {
        let uplink = self.vtep_of_port.get(port).map(|vtep| self.traffic_of_vtep(vtep));
        uplink.or_else(|| {
            let network = self.network_of_port.get(port)?;
            Some(format!("stations on port {port}, in network {network}"))
        })
    }
}

/// The impact of a step, and whom the step concerns.
pub(super) fn of(
    action: Action,
    kind: Kind,
    name: &str,
    changes: &[FieldChange],
    network: Option<&str>,
    old: &Surroundings<'_>,
    new: &Surroundings<'_>,
) -> (Impact, String) {
    let network = network.unwrap_or_default();
    match kind {
        Kind::Setting => (needs_restart(name), "the whole switch".to_owned()),
        Kind::Port => {
            let what = old.traffic_of_port(name).filter(|_| action != Action::Add);
            (interrupts(what), format!("port {name}"))
        }
        Kind::Vtep => {
            let vtep = old.vteps.get(name).filter(|_| action != Action::Add);
            (interrupts(vtep.map(|vtep| old.traffic_of_vtep(vtep))), format!("VTEP {name}"))
        }
        Kind::Network => {
            let moves = |key: &str| {
                changes.iter().any(|change| change.field == key && change.from.is_some())
            };
            let was_remote = old.remote_networks.get(name);
            let cut = match action {
                Action::Add => false,
                Action::Change => was_remote.is_some() && (moves("vni") || moves("vtep")),
                // Another network with this VTEP and VNI is the same network under a new name.
                Action::Remove => was_remote
                    .is_some_and(|was| !new.remote_networks.values().any(|network| network == was)),
            };
            let what = cut.then(|| format!("remote traffic of network {name}"));
            let concerns = match action {
                Action::Remove => format!("stations of network {name}, which lose it"),
                _ => format!("network {name}"),
            };
            (interrupts(what), concerns)
        }
        Kind::Member => {
            let left = old.network_of_port.get(name);
            let joined = new.network_of_port.get(name);
            let how = match (left, joined) {
                (Some(left), Some(joined)) => format!("leave network {left} for {joined}"),
                (Some(left), None) => {
                    let what = format!("stations on port {name}, which leave network {left}");
                    return (Impact::Interrupts { what }, format!("port {name}"));
                }
                (None, joined) => format!("join network {}", joined.copied().unwrap_or(network)),
            };
            (Impact::LossFree, format!("stations on port {name}, which {how}"))
        }
        Kind::Mac => {
            let frames = format!("frames to {name} in network {network}");
            let left = old.only_home(network, name).filter(|home| !new.accepts(network, home));
            match left {
                None => (Impact::LossFree, frames),
                Some(home) if action == Action::Remove => {
                    let what = format!("hosts behind {home}, which leave network {network}");
                    (Impact::Interrupts { what }, frames)
                }
                // Their frames are accepted for as long as frames are sent there.
                Some(home) => {
                    (Impact::LossFree, format!("{frames}, and hosts behind {home}, which leave it"))
                }
            }
        }
        Kind::RemoteVtep => {
            let hosts = format!("hosts behind {name}");
            if action == Action::Remove {
                let what = format!("{hosts}, which leave network {network}");
                return (Impact::Interrupts { what }, hosts);
            }
            let concerns = format!("{hosts}, which get the flooded frames of network {network}");
            (Impact::LossFree, concerns)
        }
    }
}

fn interrupts(what: Option<String>) -> Impact {
    what.map_or(Impact::LossFree, |what| Impact::Interrupts { what })
}

fn needs_restart(setting: &str) -> Impact {
    let why = match setting.split('.').next() {
        Some("dpdk") => "DPDK takes cores and memory once, at its start",
        Some("api") => "the API's socket and the address of the metrics are opened at the start",
        _ => "the greatest size of the table is fixed at the start",
    };
    Impact::NeedsRestart { why: why.to_owned() }
}

/// "network blue", "networks blue, green and 3 more"
fn named(networks: &[&str]) -> String {
    let plural = if networks.len() == 1 { "" } else { "s" };
    let shown = networks.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    match networks.len().saturating_sub(NAMES_SHOWN) {
        0 => format!("network{plural} {shown}"),
        more => format!("network{plural} {shown} and {more} more"),
    }
}
