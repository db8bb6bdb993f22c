//! Makes [generations](crate::datapath::generation) from the configuration and what is known of ports
//! and next hops. Called by the control thread whenever one of these changes; pure.

pub mod inheritance;
pub mod plan;
pub mod slots;

use std::net::Ipv4Addr;

use hashbrown::{HashMap, HashSet};

use self::slots::Slots;
use crate::config::{self, Config, Home, Network, StaticMac};
use crate::datapath::capture::Taps;
use crate::datapath::directory::Directory;
use crate::datapath::generation::{
    Domain, Generation, Membership, OuterPattern, PeerSets, Port, Role, Template, Tunnel, Vtep,
};
use crate::ids::{BridgeDomain, MacAddr, PortId, RemoteId, TunnelId, VtepId};
use crate::table::{Destination, Entry, Key};
use crate::wire::ethernet;

/// What a frame has beside its payload, in bytes, without FCS.
#[allow(clippy::cast_possible_truncation, reason = "14")]
const FRAME_OVERHEAD: u32 = ethernet::HEADER_LEN as u32;

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

/// The configuration with every name turned into an index, which stays the same for as long as the thing does.
///
/// What is removed leaves a gap. Its index goes to something else not before the [`next`](Topology::next)
/// change, when no worker and no entry of the FDB refers to it any more. A tunnel's not before the one after that: the FDB
/// may lead there until the next change.
#[derive(Clone, Debug)]
pub struct Topology {
    config: Config,
    /// In the order of the configuration; the things themselves are below, by index.
    port_ids: Vec<PortId>,
    vtep_ids: Vec<VtepId>,
    network_ids: Vec<BridgeDomain>,
    ports: Slots<config::Port>,
    /// Their ports are indices of `ports`, not places in the configuration. So are those of networks.
    vteps: Slots<config::Vtep>,
    networks: Slots<Network>,
    roles: Vec<Role>,
    remotes: Slots<Remote>,
    tunnels: HashMap<RemoteId, TunnelId>,
    /// Static MACs whose home changes, with the tunnels to where they were: see [`Topology::arrived`].
    on_the_way: HashMap<Key, TunnelId>,
}

/// A remote VTEP.
#[derive(Clone, Copy, Debug)]
struct Remote {
    id: RemoteId,
    /// Nobody's peer any more. It stays until the next change, when no worker can find it in the FDB, or for as long as a
    /// static MAC is on its way from there.
    is_leaving: bool,
}

/// More of something than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is room for {most} {what} at one time, those that a change removes included\n  help: have fewer, or remove \
     some first, in a change of its own"
)]
pub struct TooMany {
    what: &'static str,
    most: usize,
}

/// Gives each item an index: the one that `known` has for it, or a free one.
fn place<T>(
    items: Vec<(Option<usize>, T)>,
    before: &Slots<T>,
    most: usize,
    what: &'static str,
) -> Result<(Vec<u16>, Slots<T>), TooMany> {
    let mut placed = Slots::default();
    let mut next = 0;
    let mut indices = Vec::new();
    for (known, item) in items {
        let index = match known {
            Some(index) => index,
            None => placed.free_from(next, before),
        };
        if known.is_none() {
            next = index + 1;
        }
        let narrow = u16::try_from(index).ok().filter(|_| index < most);
        indices.push(narrow.ok_or(TooMany { what, most })?);
        placed.set(index, item);
    }
    Ok((indices, placed))
}

impl Topology {
    /// The most ports, those that are being removed included. DPDK itself has a limit, too, often of 32.
    pub const MAX_PORTS: usize = 256;
    /// The most local VTEPs, those that are being removed included.
    pub const MAX_VTEPS: usize = 256;
    /// The most networks, and pairs of local and remote VTEPs, those that are being removed included.
    pub const MAX_NETWORKS: usize = u16::MAX as usize;

    /// The first configuration: everything has its place in it as its index.
    ///
    /// # Errors
    /// See [`TooMany`].
    pub fn new(config: Config) -> Result<Self, TooMany> {
        let nothing = Self {
            config: Config {
                ports: Vec::new(),
                vteps: Vec::new(),
                networks: Vec::new(),
                ..config.clone()
            },
            port_ids: Vec::new(),
            vtep_ids: Vec::new(),
            network_ids: Vec::new(),
            ports: Slots::default(),
            vteps: Slots::default(),
            networks: Slots::default(),
            roles: Vec::new(),
            remotes: Slots::default(),
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        nothing.next(config)
    }

    /// What another configuration makes of this one. A port with the same name, device, queues and MTU is the
    /// same port; a VTEP is the same if all of it is; a network if its name is.
    ///
    /// # Errors
    /// See [`TooMany`].
    pub fn next(&self, config: Config) -> Result<Self, TooMany> {
        let same_port = |port: &config::Port| {
            self.ports().find(|(_, other)| *other == port).map(|(id, _)| id.index())
        };
        let ports = config.ports.iter().map(|port| (same_port(port), port.clone())).collect();
        let (port_ids, ports) = place(ports, &self.ports, Self::MAX_PORTS, "ports")?;
        let port_ids: Vec<_> = port_ids.into_iter().map(PortId).collect();

        let vteps = config.vteps.iter().map(|vtep| {
            let vtep = config::Vtep { port: port_ids[vtep.port.index()], ..vtep.clone() };
            let same = self.vteps().find(|(_, other)| **other == vtep);
            (same.map(|(id, _)| id.index()), vtep)
        });
        let (vtep_ids, vteps) = place(vteps.collect(), &self.vteps, Self::MAX_VTEPS, "VTEPs")?;
        let vtep_ids: Vec<_> = vtep_ids.into_iter().map(VtepId).collect();

        let names: HashMap<&str, usize> =
            self.networks().map(|(id, network)| (&*network.name, id.index())).collect();
        let networks = config.networks.iter().map(|network| {
            let home = |home| match home {
                Home::Port(port) => Home::Port(port_ids[port.index()]),
                Home::RemoteVtep(_) => home,
            };
            let mac = |mac: &StaticMac| StaticMac { home: home(mac.home), ..*mac };
            let resolved = Network {
                vtep: network.vtep.map(|vtep| vtep_ids[vtep.index()]),
                ports: network.ports.iter().map(|port| port_ids[port.index()]).collect(),
                macs: network.macs.iter().map(mac).collect(),
                ..network.clone()
            };
            (names.get(&*network.name).copied(), resolved)
        });
        let (network_ids, networks) =
            place(networks.collect(), &self.networks, Self::MAX_NETWORKS, "networks")?;
        let network_ids = network_ids.into_iter().map(BridgeDomain).collect();
        let mut topology = Self {
            config,
            port_ids,
            vtep_ids,
            network_ids,
            ports,
            vteps,
            networks,
            roles: Vec::new(),
            remotes: Slots::default(),
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        topology.roles = topology.find_roles();
        topology.place_remotes(self)?;
        topology.on_the_way = topology.departed_from(self).collect();
        Ok(topology)
    }

    /// Gives every remote VTEP its tunnel. Those of the topology before that nobody needs any more stay, leaving.
    fn place_remotes(&mut self, before: &Self) -> Result<(), TooMany> {
        let left: HashSet<TunnelId> = before.on_the_way.values().copied().collect();
        let mut known = HashMap::new();
        for (tunnel, remote) in before.all_remotes() {
            let vtep = remote.id.vtep.index();
            let is_used = !remote.is_leaving || left.contains(&tunnel);
            if is_used && self.vteps.get(vtep) == before.vteps.get(vtep) {
                self.remotes.set(tunnel.index(), Remote { id: remote.id, is_leaving: true });
                known.insert(remote.id, tunnel.index());
            }
        }
        let mut next = 0;
        let (mut remotes, mut tunnels) = (std::mem::take(&mut self.remotes), HashMap::new());
        for (_, network) in self.networks() {
            let Some(vtep) = network.vtep else { continue };
            for address in peers(network) {
                let id = RemoteId { vtep, address };
                if tunnels.contains_key(&id) {
                    continue;
                }
                let index = known.get(&id).copied().unwrap_or_else(|| {
                    next = remotes.free_from(next, &before.remotes);
                    next
                });
                let most = Self::MAX_NETWORKS;
                let too_many = TooMany { what: "remote VTEPs", most };
                let narrow = u16::try_from(index).ok().filter(|_| index < most).ok_or(too_many)?;
                tunnels.insert(id, TunnelId(narrow));
                remotes.set(index, Remote { id, is_leaving: false });
            }
        }
        (self.remotes, self.tunnels) = (remotes, tunnels);
        Ok(())
    }

    /// The static MACs that are behind a remote VTEP and have another home here, with the tunnels to where they are.
    fn departed_from<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (Key, TunnelId)> + 'a {
        let homes: HashMap<Key, Destination> =
            self.static_entries().map(|(key, entry)| (key, entry.destination)).collect();
        before.static_entries().filter_map(move |(key, entry)| {
            let tunnel = match (before.on_the_way.get(&key), entry.destination) {
                (Some(tunnel), _) => *tunnel,
                (None, Destination::Tunnel(tunnel)) => tunnel,
                (None, Destination::Port(_)) => return None,
            };
            let goes = *homes.get(&key)? != Destination::Tunnel(tunnel);
            (goes && self.remote(tunnel).is_some()).then_some((key, tunnel))
        })
    }

    /// Whatever home a static MAC is given, frames to it go where it was until it
    /// [arrives](crate::control::learner::Learner::arrive); for so long its network accepts frames from there, and the tunnel stays.
    /// To be called when some may have arrived. Says whether a network accepts less from now on, so that another generation
    /// is due.
    pub fn arrived(&mut self, is_on_the_way: impl Fn(Key) -> bool) -> bool {
        let arrived: Vec<_> = self.on_the_way.extract_if(|key, _| !is_on_the_way(*key)).collect();
        arrived.into_iter().any(|(key, tunnel)| {
            let network = self.network(key.domain());
            !network.is_some_and(|n| self.tunnels_to(n, peers(n)).any(|peer| peer == tunnel))
        })
    }

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
    pub fn network(&self, id: BridgeDomain) -> Option<&Network> {
        self.networks.get(id.index())
    }

    /// The remote VTEPs that somebody needs, with their tunnels.
    pub fn remotes(&self) -> impl Iterator<Item = (TunnelId, RemoteId)> + '_ {
        self.all_remotes().filter(|(_, remote)| !remote.is_leaving).map(|(id, r)| (id, r.id))
    }

    fn all_remotes(&self) -> impl Iterator<Item = (TunnelId, &Remote)> {
        self.remotes.iter().map(|(index, remote)| (TunnelId(narrow(index)), remote))
    }

    /// The remote VTEP of a tunnel, be it leaving.
    #[must_use]
    pub fn remote(&self, tunnel: TunnelId) -> Option<RemoteId> {
        self.remotes.get(tunnel.index()).map(|remote| remote.id)
    }

    /// Whether workers that read a generation of this topology know a place: what they find in the FDB must be such.
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
    pub fn networks_of_remotes(&self) -> Vec<Vec<BridgeDomain>> {
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
    pub fn networks(&self) -> impl Iterator<Item = (BridgeDomain, &Network)> {
        self.network_ids.iter().filter_map(|id| Some((*id, self.network(*id)?)))
    }

    /// The place of a network in the configuration. Of ten thousand it is found in a few microseconds.
    #[must_use]
    pub fn network_place(&self, id: BridgeDomain) -> Option<usize> {
        self.network_ids.iter().position(|known| *known == id)
    }

    /// Local VTEPs with their indices, in the order of the configuration.
    pub fn vteps(&self) -> impl Iterator<Item = (VtepId, &config::Vtep)> {
        self.vtep_ids.iter().filter_map(|id| Some((*id, self.vtep(*id)?)))
    }

    /// The ports that another topology does not have.
    pub fn ports_not_in<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (PortId, &'a config::Port)> {
        self.ports().filter(|(id, _)| other.port(*id).is_none())
    }

    /// The local VTEPs that another topology does not have.
    pub fn vteps_not_in<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (VtepId, &'a config::Vtep)> {
        self.vteps().filter(|(id, _)| other.vtep(*id).is_none())
    }

    fn find_roles(&self) -> Vec<Role> {
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

    /// The FDB's static entries.
    pub fn static_entries(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.networks().flat_map(move |(domain, network)| {
            network.macs.iter().filter_map(move |mac| {
                let destination = match mac.home {
                    Home::Port(port) => Destination::Port(port),
                    Home::RemoteVtep(address) => {
                        Destination::Tunnel(self.tunnel(RemoteId { vtep: network.vtep?, address })?)
                    }
                };
                // Never old, so that no worker looks twice at a frame from there.
                let entry = Entry { destination, is_static: true, refreshed_secs: u32::MAX };
                Some((Key::new(domain, mac.address), entry))
            })
        })
    }

    /// A generation. `next_hops` holds, by [`TunnelId`], the MAC to which the tunnel's frames go
    /// next, as far as known; `wiring` is the number of the queues that it goes with. What there is not has a place all the same, in which nothing is allowed.
    #[must_use]
    pub fn generation(
        &self,
        facts: &[PortFacts],
        next_hops: &[Option<MacAddr>],
        wiring: u64,
    ) -> Generation {
        let mut sets = PeerSets::new(self.tunnel_slots());
        let nobody = sets.add([]);
        let mut peers_of = vec![nobody; self.network_slots()];
        let mut left: HashMap<BridgeDomain, Vec<TunnelId>> = HashMap::new();
        for (key, tunnel) in &self.on_the_way {
            left.entry(key.domain()).or_default().push(*tunnel);
        }
        for (domain, network) in self.networks() {
            let left = left.remove(&domain).unwrap_or_default();
            let peers = self.tunnels_to(network, peers(network)).chain(left);
            peers_of[domain.index()] = sets.add(peers);
        }
        let of = |n: usize| 0..narrow(n);
        Generation {
            number: 0,
            wiring,
            ports: of(self.port_slots()).map(|id| self.port_entry(PortId(id), facts)).collect(),
            domains: of(self.network_slots())
                .map(|id| self.domain(BridgeDomain(id), peers_of[usize::from(id)]))
                .collect(),
            vteps: self.vtep_entries(facts, &peers_of),
            tunnels: of(self.tunnel_slots())
                .map(|id| self.tunnel_entry(TunnelId(id), next_hops, facts))
                .collect(),
            peers: sets,
            watches: Box::default(),
            taps: Taps::NONE,
            refresh_after_secs: self
                .networks()
                .map(|(_, network)| refresh_after_secs(network.mac_ageing_secs))
                .min()
                .unwrap_or(u32::MAX),
        }
    }

    fn port_entry(&self, id: PortId, facts: &[PortFacts]) -> Port {
        match self.port(id) {
            Some(_) => {
                let max_frame_len = u32::from(facts[id.index()].mtu) + FRAME_OVERHEAD;
                Port { role: self.role(id), max_frame_len }
            }
            None => Port { role: Role::Unused, max_frame_len: 0 },
        }
    }

    fn domain(&self, id: BridgeDomain, peers: u16) -> Domain {
        let Some(network) = self.network(id) else { return Domain::nothing(peers) };
        Domain {
            vni: network.vni,
            uplink: network.vtep.and_then(|vtep| Some(self.vtep(vtep)?.port)),
            ports: network.ports.clone().into(),
            flood: self.tunnels_to(network, network.remote_vteps.iter().copied()).collect(),
            peers,
            refresh_after_secs: refresh_after_secs(network.mac_ageing_secs),
        }
    }

    fn tunnels_to(
        &self,
        network: &Network,
        addresses: impl Iterator<Item = Ipv4Addr>,
    ) -> impl Iterator<Item = TunnelId> {
        let vtep = network.vtep;
        addresses.filter_map(move |address| self.tunnel(RemoteId { vtep: vtep?, address }))
    }

    fn vtep_entries(&self, facts: &[PortFacts], peers_of: &[u16]) -> Box<[Vtep]> {
        let (mut networks, mut tunnels) = (HashMap::new(), HashMap::new());
        for (domain, network) in self.networks() {
            let Some(vtep) = network.vtep else { continue };
            let membership = Membership { domain, peers: peers_of[domain.index()] };
            let of_vtep: &mut Vec<_> = networks.entry(vtep).or_default();
            of_vtep.push((network.vni.get(), membership.into()));
        }
        let left: HashSet<TunnelId> = self.on_the_way.values().copied().collect();
        for (tunnel, Remote { id, is_leaving }) in self.all_remotes() {
            if !is_leaving || left.contains(&tunnel) {
                let of_vtep: &mut Vec<_> = tunnels.entry(id.vtep).or_default();
                of_vtep.push((id.address.to_bits(), u32::from(tunnel.0)));
            }
        }
        let entry = |id| {
            let Some(vtep) = self.vtep(id) else { return Vtep::nothing() };
            let mac = self.vtep_mac(vtep, facts);
            let directory = |of_vtep: Option<Vec<_>>| Directory::new(&of_vtep.unwrap_or_default());
            Vtep {
                mac,
                address: vtep.address.to_bits(),
                udp_port: vtep.udp_port,
                outer: OuterPattern::new(mac, vtep.address, vtep.udp_port),
                networks: directory(networks.remove(&id)),
                tunnels: directory(tunnels.remove(&id)),
            }
        };
        (0..narrow(self.vtep_slots())).map(VtepId).map(entry).collect()
    }

    fn tunnel_entry(
        &self,
        id: TunnelId,
        next_hops: &[Option<MacAddr>],
        facts: &[PortFacts],
    ) -> Tunnel {
        let remote = self.remote(id);
        let of_remote = remote.and_then(|remote| Some((remote.address, self.vtep(remote.vtep)?)));
        let Some((address, vtep)) = of_remote else { return Tunnel::new(PortId(0), 0, None) };
        let mac = self.vtep_mac(vtep, facts);
        let template = next_hops
            .get(id.index())
            .copied()
            .flatten()
            .map(|next_hop| Template::new(next_hop, mac, vtep.address, address, vtep.udp_port));
        Tunnel::new(vtep.port, facts[vtep.port.index()].mtu, template)
    }
}

/// An index, of which [`place`] has seen to it that it fits.
pub(crate) fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// Everybody whose frames a network accepts: those it floods to, and the homes of static MACs.
pub(super) fn peers(network: &Network) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let homes = network.macs.iter().filter_map(|mac| match mac.home {
        Home::RemoteVtep(address) => Some(address),
        Home::Port(_) => None,
    });
    network.remote_vteps.iter().copied().chain(homes)
}

/// When a hit asks for a refresh: often enough that an entry in use never ages out, seldom enough
/// to cost nothing; at most once per second.
pub(super) fn refresh_after_secs(ageing_secs: u32) -> u32 {
    if ageing_secs == 0 { u32::MAX } else { (ageing_secs / 8).max(1) }
}
