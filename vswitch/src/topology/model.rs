//! What is configured, with a dense index for every thing that the data path refers to.

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::dense_map::{DenseMap, narrow};
use crate::config::{self, Config, Home, Network};
use crate::datapath::generation::Role;
use crate::ids::{MacAddr, NetworkId, PortId, RemoteId, TunnelId, VtepId};
use crate::table::{Destination, Key};

/// What a port turned out to be.
#[derive(Clone, Copy, Debug)]
pub struct PortFacts {
    /// Its MAC.
    pub mac: MacAddr,
    /// The longest payload of a frame, in bytes.
    pub mtu: u16,
}

impl PortFacts {
    /// Those of a port that there is not.
    pub const NONE: Self = Self { mac: MacAddr::ZERO, mtu: 0 };
}

/// The configuration with every name turned into an index, which stays the same for as long as the
/// thing does.
///
/// What is removed leaves a gap. Its index goes to something else not before the
/// [`next`](Topology::next) change, when no worker and no entry of the FDB refers to it any more. A
/// tunnel's not before the one after that: the FDB may lead there until the next change.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(super) config: Config,
    /// In the order of the configuration; the things themselves are below, by index.
    pub(super) port_ids: Vec<PortId>,
    pub(super) vtep_ids: Vec<VtepId>,
    pub(super) network_ids: Vec<NetworkId>,
    pub(super) ports: DenseMap<config::Port>,
    /// Their ports are indices of `ports`, not places in the configuration. So are those of
    /// networks.
    pub(super) vteps: DenseMap<config::Vtep>,
    pub(super) networks: DenseMap<Network>,
    pub(super) roles: Vec<Role>,
    pub(super) remotes: DenseMap<Remote>,
    pub(super) tunnels: HashMap<RemoteId, TunnelId>,
    /// Static MACs whose home changes, with the tunnels to where they were: see
    /// [`Topology::arrived`].
    pub(super) on_the_way: HashMap<Key, TunnelId>,
}

/// A remote VTEP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    pub(super) id: RemoteId,
    /// Nobody's peer any more. It stays until the next change, when no worker can find it in the
    /// FDB, or for as long as a static MAC is on its way from there.
    pub(super) is_leaving: bool,
}

impl Topology {
    /// The configuration that this was made from. Its indices are places in its own lists.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration of a port.
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&config::Port> {
        self.ports.get(id.index())
    }

    /// The configuration of a VTEP; its port is a [`PortId`] of this topology.
    #[must_use]
    pub fn vtep(&self, id: VtepId) -> Option<&config::Vtep> {
        self.vteps.get(id.index())
    }

    /// The configuration of a network; its indices are those of this topology.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> Option<&Network> {
        self.networks.get(id.index())
    }

    /// The remote VTEPs that somebody needs, with their tunnels.
    pub fn remotes(&self) -> impl Iterator<Item = (TunnelId, RemoteId)> + '_ {
        self.all_remotes().filter(|(_, remote)| !remote.is_leaving).map(|(id, r)| (id, r.id))
    }

    /// The remote VTEPs that have a tunnel, also those that are leaving.
    pub(super) fn all_remotes(&self) -> impl Iterator<Item = (TunnelId, &Remote)> {
        self.remotes.iter().map(|(index, remote)| (TunnelId(narrow(index)), remote))
    }

    /// The remote VTEP of a tunnel, be it leaving.
    #[must_use]
    pub fn remote(&self, tunnel: TunnelId) -> Option<RemoteId> {
        self.remotes.get(tunnel.index()).map(|remote| remote.id)
    }

    /// Whether workers that read a generation of this topology know a place: what they find in the
    /// FDB must be such.
    #[must_use]
    pub fn has(&self, place: Destination) -> bool {
        match place {
            Destination::Port(port) => self.port(port).is_some(),
            Destination::Tunnel(tunnel) => self.remote(tunnel).is_some(),
        }
    }

    /// One more than the highest index of a port.
    #[must_use]
    pub fn port_slots(&self) -> usize {
        self.ports.len()
    }

    /// One more than the highest index of a network.
    #[must_use]
    pub fn network_slots(&self) -> usize {
        self.networks.len()
    }

    /// One more than the highest index of a local VTEP.
    #[must_use]
    pub fn vtep_slots(&self) -> usize {
        self.vteps.len()
    }

    /// One more than the highest index of a tunnel.
    #[must_use]
    pub fn tunnel_slots(&self) -> usize {
        self.remotes.len()
    }

    /// The tunnel to a remote VTEP.
    #[must_use]
    pub fn tunnel(&self, remote: RemoteId) -> Option<TunnelId> {
        self.tunnels.get(&remote).copied()
    }

    /// The networks that each remote VTEP is a peer of, by [`TunnelId`].
    #[must_use]
    pub fn networks_of_remotes(&self) -> Vec<Vec<NetworkId>> {
        let mut networks = vec![Vec::new(); self.tunnel_slots()];
        for (domain, network) in self.networks() {
            for tunnel in self.tunnels_to(network, peers(network)) {
                let of_tunnel: &mut Vec<_> = &mut networks[tunnel.index()];
                if of_tunnel.last() != Some(&domain) {
                    of_tunnel.push(domain);
                }
            }
        }
        networks
    }

    /// Ports with their indices, in the order of the configuration.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &config::Port)> {
        self.port_ids.iter().filter_map(|id| Some((*id, self.port(*id)?)))
    }

    /// Networks with their indices, in the order of the configuration.
    pub fn networks(&self) -> impl Iterator<Item = (NetworkId, &Network)> {
        self.network_ids.iter().filter_map(|id| Some((*id, self.network(*id)?)))
    }

    /// The place of a network in the configuration. Of ten thousand it is found in a few
    /// microseconds.
    #[must_use]
    pub fn network_place(&self, id: NetworkId) -> Option<usize> {
        self.network_ids.iter().position(|known| *known == id)
    }

    /// Local VTEPs with their indices, in the order of the configuration.
    pub fn vteps(&self) -> impl Iterator<Item = (VtepId, &config::Vtep)> {
        self.vtep_ids.iter().filter_map(|id| Some((*id, self.vtep(*id)?)))
    }

    pub(super) fn find_roles(&self) -> Vec<Role> {
        let mut roles = vec![Role::Unused; self.port_slots()];
        for (domain, network) in self.networks() {
            for port in &network.ports {
                roles[port.index()] = Role::Tenant(domain);
            }
        }
        for (id, vtep) in self.vteps() {
            roles[vtep.port.index()] = Role::Uplink(id);
        }
        roles
    }

    /// What a port is for.
    #[must_use]
    pub fn role(&self, port: PortId) -> Role {
        self.roles.get(port.index()).copied().unwrap_or(Role::Unused)
    }

    /// The MAC that the underlay sees of a VTEP: the configured one, or its uplink's own.
    #[must_use]
    pub fn vtep_mac(&self, vtep: &config::Vtep, facts: &[PortFacts]) -> MacAddr {
        vtep.mac.unwrap_or_else(|| facts[vtep.port.index()].mac)
    }

    /// The tunnels of a network to remote VTEPs.
    pub(super) fn tunnels_to(
        &self,
        network: &Network,
        addresses: impl Iterator<Item = Ipv4Addr>,
    ) -> impl Iterator<Item = TunnelId> {
        let vtep = network.vtep;
        addresses.filter_map(move |address| self.tunnel(RemoteId { vtep: vtep?, address }))
    }
}

/// Everybody whose frames a network accepts: those it floods to, and the homes of static MACs.
pub(super) fn peers(network: &Network) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let homes = network.macs.iter().filter_map(|mac| match mac.home {
        Home::RemoteVtep(address) => Some(address),
        Home::Port(_) => None,
    });
    network.remote_vteps.iter().copied().chain(homes)
}
