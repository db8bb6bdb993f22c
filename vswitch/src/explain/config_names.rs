//! Names and JSON pointers in the configuration for the indices of the data path.
//!
//! A port or network that is being removed stays in the FDB and in workers' bursts for a moment
//! longer than in the configuration. It has no name any more.

use crate::control::events::Whereabouts;
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, VtepId};
use crate::table::Destination;
use crate::topology::Topology;

/// Stands for the name of what is being removed.
const GONE: &str = "(being removed)";

/// The most names in one sentence.
const MAX_LISTED: usize = 12;

/// The names in a topology.
#[derive(Clone, Copy)]
pub(super) struct ConfigNames<'a>(pub &'a Topology);

impl ConfigNames<'_> {
    pub fn port(self, id: PortId) -> String {
        self.0.port(id).map_or_else(|| GONE.to_owned(), |port| port.name.clone())
    }

    pub fn vtep(self, id: VtepId) -> String {
        self.0.vtep(id).map_or_else(|| GONE.to_owned(), |vtep| vtep.name.clone())
    }

    pub fn host_interface(self, id: VtepId) -> String {
        let vtep = self.0.vtep(id);
        let name = |vtep| self.0.underlay_of(vtep).host_interface.clone();
        vtep.map_or_else(|| GONE.to_owned(), name)
    }

    pub fn network(self, domain: NetworkId) -> String {
        self.0.network(domain).map_or_else(|| GONE.to_owned(), |network| network.name.clone())
    }

    pub fn remote(self, tunnel: TunnelId) -> String {
        self.0.remote(tunnel).map_or_else(|| GONE.to_owned(), |remote| remote.address.to_string())
    }

    pub fn whereabouts(self, destination: Destination) -> Whereabouts {
        match destination {
            Destination::Port(port) => {
                Whereabouts { port: Some(self.port(port)), remote_vtep: None }
            }
            Destination::Tunnel(tunnel) => {
                Whereabouts { port: None, remote_vtep: Some(self.remote(tunnel)) }
            }
        }
    }

    /// As in "on port a", "behind remote VTEP 198.51.100.2".
    pub fn location(self, destination: Destination) -> String {
        match destination {
            Destination::Port(port) => format!("on port {}", self.port(port)),
            Destination::Tunnel(tunnel) => format!("behind remote VTEP {}", self.remote(tunnel)),
        }
    }

    /// As in `/port/3/mtu`, or `/port` if the port is gone.
    pub fn at_port(self, id: PortId, key: &str) -> String {
        at("port", self.0.ports().position(|(other, _)| other == id), key)
    }

    /// As in `/vtep/0/address`.
    pub fn at_vtep(self, id: VtepId, key: &str) -> String {
        at("vtep", self.0.vteps().position(|(other, _)| other == id), key)
    }

    /// As in `/network/2/remote-vteps`.
    pub fn at_network(self, domain: NetworkId, key: &str) -> String {
        at("network", self.0.network_position(domain), key)
    }

    /// The membership of a port in its network, as in `/network/2/port/0`.
    pub fn at_member(self, domain: NetworkId, port: PortId) -> String {
        let network = self.0.network(domain);
        let member = network.and_then(|n| self.0.ports_of(n).position(|member| member == port));
        self.at_network(domain, &member.map_or_else(|| "port".to_owned(), |m| format!("port/{m}")))
    }

    /// A static MAC of a network, as in `/network/2/mac/1`.
    pub fn at_mac(self, domain: NetworkId, mac: MacAddr) -> Option<String> {
        let macs = &self.0.network(domain)?.macs;
        let index = macs.iter().position(|known| known.address == mac)?;
        Some(self.at_network(domain, &format!("mac/{index}")))
    }

    /// The network with a VNI.
    pub fn network_of(self, vni: u32) -> Option<NetworkId> {
        let found = self.0.networks().find(|(_, network)| network.vni.get() == vni);
        found.map(|(domain, _)| domain)
    }

    /// The local VTEP of a network.
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

/// As in "a, b and 3 more", or "none".
pub(super) fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    match (names.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names[..MAX_LISTED].join(", ")),
    }
}
