//! The model: what is configured, with a dense index for everything that the data path refers to.
//!
//! A *port* is a device. A *member* is a network's touch of a port; an *underlay* is a port that
//! carries *VTEPs*. A *remote* VTEP has a *tunnel* from each local VTEP that needs it.

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::dense_map::{DenseMap, narrow};
use crate::config::{self, Config};
use crate::ids::{
    MacAddr, MemberId, NetworkId, PortId, RemoteId, TunnelId, UnderlayId, Vni, VtepId,
};
use crate::table::{Destination, Key};

/// What only the device of a port says.
#[derive(Clone, Copy, Debug)]
pub struct PortFacts {
    /// The device's MAC.
    pub mac: MacAddr,
    /// The longest payload of a frame, in bytes.
    pub mtu: u16,
}

impl PortFacts {
    /// For an index that no port has.
    pub const NONE: Self = Self { mac: MacAddr::ZERO, mtu: 0 };
}

/// A port that belongs to a network.
///
/// Its port identifies it. The network is an attribute: a port that goes from one network to
/// another keeps its member, and with it everything that was learned there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The port.
    pub port: PortId,
    /// The network.
    pub network: NetworkId,
}

/// A port that carries the underlay, with the host interface through which the kernel sees it.
///
/// Its port identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underlay {
    /// The uplink.
    pub port: PortId,
    /// Name of the TAP that holds the addresses of the VTEPs.
    pub host_interface: String,
    /// The MAC that other hosts see; `None`: the uplink's own.
    pub mac: Option<MacAddr>,
}

/// A tunnel end of this switch: an address on an underlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vtep {
    /// Unique among the VTEPs.
    pub name: String,
    /// What carries it. No other VTEP is on it.
    pub underlay: UnderlayId,
    /// Its unicast address on the underlay.
    pub address: Ipv4Addr,
    /// Length of the underlay subnet's prefix.
    pub prefix_len: u8,
    /// UDP port that VXLAN arrives on and is sent to.
    pub udp_port: u16,
}

/// One tenant's broadcast domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Unique among the networks.
    pub name: String,
    /// Unique among the networks.
    pub vni: Vni,
    /// The VTEP that carries it to other hosts; `None`: it stays on this host.
    pub vtep: Option<VtepId>,
    /// The remote VTEPs that get flooded frames.
    pub remote_vteps: Vec<Ipv4Addr>,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0: never.
    pub mac_ageing_secs: u32,
    /// Its members on this host.
    pub members: Vec<MemberId>,
    /// Static entries of the FDB, one for each address.
    pub macs: Vec<StaticMac>,
}

impl Network {
    /// The remote VTEPs whose frames the network accepts: those that it floods to, and the homes of
    /// static MACs.
    pub(super) fn peers(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let homes = self.macs.iter().filter_map(|mac| match mac.home {
            Home::RemoteVtep(address) => Some(address),
            Home::Member(_) => None,
        });
        self.remote_vteps.iter().copied().chain(homes)
    }
}

/// A MAC address whose home is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticMac {
    /// The address of one station.
    pub address: MacAddr,
    /// Where the station is.
    pub home: Home,
}

/// Where the station of a static MAC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// On a member of the same network.
    Member(MemberId),
    /// Behind a remote VTEP.
    RemoteVtep(Ipv4Addr),
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Unused,
    /// It is in a network.
    Tenant(NetworkId),
    /// It carries the underlay of a VTEP.
    Uplink(VtepId),
}

/// A remote VTEP that has a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    pub(super) id: RemoteId,
    /// No network needs it any more. It stays until the next change, when no worker can find it in
    /// the FDB, or for as long as a static MAC is on its way from there.
    pub(super) is_leaving: bool,
}

/// The configuration with every name turned into an index, which stays the same for as long as the
/// thing exists.
///
/// A removed thing leaves a gap. Its index goes to another thing with the
/// [next](Topology::next) change at the earliest, when no worker and no entry of the FDB refers to
/// it any more. The index of a tunnel is free one change later, because the FDB may lead to the
/// tunnel until the next change.
#[derive(Clone, Debug)]
pub struct Topology {
    pub(super) config: Config,
    /// In the order of the configuration; the things themselves are below, by index.
    pub(super) port_ids: Vec<PortId>,
    pub(super) vtep_ids: Vec<VtepId>,
    pub(super) network_ids: Vec<NetworkId>,
    pub(super) ports: DenseMap<config::Port>,
    pub(super) members: DenseMap<Member>,
    pub(super) underlays: DenseMap<Underlay>,
    pub(super) vteps: DenseMap<Vtep>,
    pub(super) networks: DenseMap<Network>,
    pub(super) remotes: DenseMap<Remote>,
    pub(super) members_of_ports: HashMap<PortId, MemberId>,
    pub(super) vteps_of_ports: HashMap<PortId, VtepId>,
    pub(super) tunnels: HashMap<RemoteId, TunnelId>,
    /// Static MACs whose home changes, with the tunnels to their former homes: see
    /// [`Topology::arrived`].
    pub(super) on_the_way: HashMap<Key, TunnelId>,
}

impl Topology {
    /// The configuration that this was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A port.
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&config::Port> {
        self.ports.get(id.index())
    }

    /// A member.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<Member> {
        self.members.get(id.index()).copied()
    }

    /// An underlay.
    #[must_use]
    pub fn underlay(&self, id: UnderlayId) -> Option<&Underlay> {
        self.underlays.get(id.index())
    }

    /// A local VTEP.
    #[must_use]
    pub fn vtep(&self, id: VtepId) -> Option<&Vtep> {
        self.vteps.get(id.index())
    }

    /// A network.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> Option<&Network> {
        self.networks.get(id.index())
    }

    /// The remote VTEP at the end of a tunnel, also one that is leaving.
    #[must_use]
    pub fn remote(&self, tunnel: TunnelId) -> Option<RemoteId> {
        self.remotes.get(tunnel.index()).map(|remote| remote.id)
    }

    /// Ports with their indices, in the order of the configuration.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &config::Port)> {
        self.port_ids.iter().filter_map(|id| Some((*id, self.port(*id)?)))
    }

    /// Members with their indices, in the order of the indices.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, Member)> + '_ {
        self.members.iter().map(|(index, member)| (MemberId(narrow(index).into()), *member))
    }

    /// Underlays with their indices, in the order of the indices.
    pub fn underlays(&self) -> impl Iterator<Item = (UnderlayId, &Underlay)> {
        self.underlays.iter().map(|(index, underlay)| (UnderlayId(narrow(index)), underlay))
    }

    /// Local VTEPs with their indices, in the order of the configuration.
    pub fn vteps(&self) -> impl Iterator<Item = (VtepId, &Vtep)> {
        self.vtep_ids.iter().filter_map(|id| Some((*id, self.vtep(*id)?)))
    }

    /// Networks with their indices, in the order of the configuration.
    pub fn networks(&self) -> impl Iterator<Item = (NetworkId, &Network)> {
        self.network_ids.iter().filter_map(|id| Some((*id, self.network(*id)?)))
    }

    /// The remote VTEPs that a network needs, with their tunnels.
    pub fn remotes(&self) -> impl Iterator<Item = (TunnelId, RemoteId)> + '_ {
        self.all_remotes().filter(|(_, remote)| !remote.is_leaving).map(|(id, r)| (id, r.id))
    }

    /// The remote VTEPs that have a tunnel, also those that are leaving.
    pub(super) fn all_remotes(&self) -> impl Iterator<Item = (TunnelId, &Remote)> {
        self.remotes.iter().map(|(index, remote)| (TunnelId(narrow(index)), remote))
    }

    /// The length of an array that [`PortId`]s index.
    #[must_use]
    pub fn port_slots(&self) -> usize {
        self.ports.len()
    }

    /// The length of an array that [`MemberId`]s index.
    #[must_use]
    pub fn member_slots(&self) -> usize {
        self.members.len()
    }

    /// The length of an array that [`UnderlayId`]s index.
    #[must_use]
    pub fn underlay_slots(&self) -> usize {
        self.underlays.len()
    }

    /// The length of an array that [`VtepId`]s index.
    #[must_use]
    pub fn vtep_slots(&self) -> usize {
        self.vteps.len()
    }

    /// The length of an array that [`NetworkId`]s index.
    #[must_use]
    pub fn network_slots(&self) -> usize {
        self.networks.len()
    }

    /// The length of an array that [`TunnelId`]s index.
    #[must_use]
    pub fn tunnel_slots(&self) -> usize {
        self.remotes.len()
    }

    /// The member of a port; `None` if the port is in no network.
    #[must_use]
    pub fn member_of(&self, port: PortId) -> Option<MemberId> {
        self.members_of_ports.get(&port).copied()
    }

    /// The underlay of a VTEP of this topology.
    #[must_use]
    pub fn underlay_of(&self, vtep: &Vtep) -> &Underlay {
        &self.underlays[vtep.underlay.index()]
    }

    /// The uplink of a VTEP of this topology.
    #[must_use]
    pub fn uplink_of(&self, vtep: &Vtep) -> PortId {
        self.underlay_of(vtep).port
    }

    /// The MAC that other hosts see of a VTEP: the configured one, or its uplink's own.
    #[must_use]
    pub fn vtep_mac(&self, vtep: &Vtep, facts: &[PortFacts]) -> MacAddr {
        let underlay = self.underlay_of(vtep);
        underlay.mac.unwrap_or_else(|| facts[underlay.port.index()].mac)
    }

    /// The ports of a network, in the order of the configuration.
    pub fn ports_of<'a>(&'a self, network: &'a Network) -> impl Iterator<Item = PortId> + 'a {
        network.members.iter().map(|member| self.members[member.index()].port)
    }

    /// What a port is for.
    #[must_use]
    pub fn role(&self, port: PortId) -> Role {
        let tenant = self.member_of(port).and_then(|id| self.member(id));
        let uplink = || self.vteps_of_ports.get(&port).copied();
        match tenant {
            Some(member) => Role::Tenant(member.network),
            None => uplink().map_or(Role::Unused, Role::Uplink),
        }
    }

    /// The tunnel to a remote VTEP.
    #[must_use]
    pub fn tunnel(&self, remote: RemoteId) -> Option<TunnelId> {
        self.tunnels.get(&remote).copied()
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

    /// The networks that each remote VTEP is a peer of, by [`TunnelId`].
    #[must_use]
    pub fn networks_of_remotes(&self) -> Vec<Vec<NetworkId>> {
        let mut networks = vec![Vec::new(); self.tunnel_slots()];
        for (domain, network) in self.networks() {
            for tunnel in self.tunnels_to(network, network.peers()) {
                let of_tunnel: &mut Vec<_> = &mut networks[tunnel.index()];
                if of_tunnel.last() != Some(&domain) {
                    of_tunnel.push(domain);
                }
            }
        }
        networks
    }

    /// The position of a network in the configuration. With ten thousand networks the search takes
    /// a few microseconds.
    #[must_use]
    pub fn network_position(&self, id: NetworkId) -> Option<usize> {
        self.network_ids.iter().position(|known| *known == id)
    }

    /// Whether workers that read a generation of this topology know a destination. The FDB must
    /// hold no other.
    #[must_use]
    pub fn has(&self, destination: Destination) -> bool {
        match destination {
            Destination::Port(port) => self.port(port).is_some(),
            Destination::Tunnel(tunnel) => self.remote(tunnel).is_some(),
        }
    }
}
