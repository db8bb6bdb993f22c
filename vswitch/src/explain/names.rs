//! Names and places in the configuration of what the data path knows by index.
//!
//! Something that is just being removed is in the FDB or in a worker's hands for a moment longer than in the
//! configuration. It has no name any more.

use crate::control::events::Whereabouts;
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, VtepId};
use crate::table::Destination;
use crate::topology::Topology;

/// For what is just being removed.
const GONE: &str = "(being removed)";

/// The most names in one sentence.
const MAX_LISTED: usize = 12;

#[derive(Clone, Copy)]
pub(super) struct Names<'a>(pub &'a Topology);

impl Names<'_> {
    pub fn port(self, id: PortId) -> String {
        self.0.port(id).map_or_else(|| GONE.to_owned(), |port| port.name.clone())
    }

    pub fn vtep(self, id: VtepId) -> String {
        self.0.vtep(id).map_or_else(|| GONE.to_owned(), |vtep| vtep.name.clone())
    }

    pub fn host_interface(self, id: VtepId) -> String {
        self.0.vtep(id).map_or_else(|| GONE.to_owned(), |vtep| vtep.host_interface.clone())
    }

    pub fn network(self, domain: NetworkId) -> String {
        self.0.network(domain).map_or_else(|| GONE.to_owned(), |network| network.name.clone())
    }

    pub fn remote(self, tunnel: TunnelId) -> String {
        self.0.remote(tunnel).map_or_else(|| GONE.to_owned(), |remote| remote.address.to_string())
    }

    pub fn whereabouts(self, place: Destination) -> Whereabouts {
        match place {
            Destination::Port(port) => {
                Whereabouts { port: Some(self.port(port)), remote_vtep: None }
            }
            Destination::Tunnel(tunnel) => {
                Whereabouts { port: None, remote_vtep: Some(self.remote(tunnel)) }
            }
        }
    }

    /// "on port a", "behind remote VTEP 198.51.100.2".
    pub fn place(self, place: Destination) -> String {
        match place {
            Destination::Port(port) => format!("on port {}", self.port(port)),
            Destination::Tunnel(tunnel) => format!("behind remote VTEP {}", self.remote(tunnel)),
        }
    }

    /// `/port/3/mtu`, or `/port` if it is not there any more.
    pub fn at_port(self, id: PortId, key: &str) -> String {
        at("port", self.0.ports().position(|(other, _)| other == id), key)
    }

    /// `/vtep/0/address`.
    pub fn at_vtep(self, id: VtepId, key: &str) -> String {
        at("vtep", self.0.vteps().position(|(other, _)| other == id), key)
    }

    /// `/network/2/remote-vteps`.
    pub fn at_network(self, domain: NetworkId, key: &str) -> String {
        at("network", self.0.network_place(domain), key)
    }

    /// The membership of a port in its network: `/network/2/port/0`.
    pub fn at_member(self, domain: NetworkId, port: PortId) -> String {
        let ports = self.0.network(domain).map(|network| &network.ports);
        let member = ports.and_then(|ports| ports.iter().position(|member| *member == port));
        self.at_network(domain, &member.map_or_else(|| "port".to_owned(), |m| format!("port/{m}")))
    }

    /// A static MAC of a network, if it has it: `/network/2/mac/1`.
    pub fn at_mac(self, domain: NetworkId, mac: MacAddr) -> Option<String> {
        let macs = &self.0.network(domain)?.macs;
        let index = macs.iter().position(|known| known.address == mac)?;
        Some(self.at_network(domain, &format!("mac/{index}")))
    }

    /// The network that has a VNI.
    pub fn network_of(self, vni: u32) -> Option<NetworkId> {
        let found = self.0.networks().find(|(_, network)| network.vni.get() == vni);
        found.map(|(domain, _)| domain)
    }

    /// The local VTEP that carries a network.
    pub fn vtep_of(self, domain: NetworkId) -> Option<VtepId> {
        self.0.network(domain)?.vtep
    }
}

fn at(list: &str, index: Option<usize>, key: &str) -> String {
    match index {
        Some(index) if key.is_empty() => format!("/{list}/{index}"),
        Some(index) => format!("/{list}/{index}/{key}"),
        None => format!("/{list}"),
    }
}

/// "a, b and 3 more"; "none".
pub(super) fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names[..MAX_LISTED].join(", ")),
    }
}
