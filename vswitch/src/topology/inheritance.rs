//! What one topology takes over from the one before it: the indices of everything that stays, the
//! tunnels to remote VTEPs that are leaving, static MACs on their way to another home, and what may
//! be kept of what was learned. Pure.

use std::net::Ipv4Addr;

use hashbrown::{HashMap, HashSet};

use super::dense_map::{DenseMap, TooMany, assign};
use super::model::{Remote, Topology, peers};
use crate::config::{self, Config, Home, Network, StaticMac};
use crate::ids::{NetworkId, PortId, RemoteId, TunnelId, VtepId};
use crate::table::{Destination, Key};

impl Topology {
    /// The most ports, those that are being removed included. DPDK itself has a limit, too, often
    /// of 32.
    pub const MAX_PORTS: usize = 256;
    /// The most local VTEPs, those that are being removed included.
    pub const MAX_VTEPS: usize = 256;
    /// The most networks, and pairs of local and remote VTEPs, those that are being removed
    /// included.
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
            ports: DenseMap::default(),
            vteps: DenseMap::default(),
            networks: DenseMap::default(),
            roles: Vec::new(),
            remotes: DenseMap::default(),
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        nothing.next(config)
    }

    /// What another configuration makes of this one. A port with the same name, device, queues and
    /// MTU is the same port; a VTEP is the same if all of it is; a network if its name is.
    ///
    /// # Errors
    /// See [`TooMany`].
    pub fn next(&self, config: Config) -> Result<Self, TooMany> {
        let same_port = |port: &config::Port| {
            self.ports().find(|(_, other)| *other == port).map(|(id, _)| id.index())
        };
        let ports = config.ports.iter().map(|port| (same_port(port), port.clone())).collect();
        let (port_ids, ports) = assign(ports, &self.ports, Self::MAX_PORTS, "ports")?;
        let port_ids: Vec<_> = port_ids.into_iter().map(PortId).collect();

        let vteps = config.vteps.iter().map(|vtep| {
            let vtep = config::Vtep { port: port_ids[vtep.port.index()], ..vtep.clone() };
            let same = self.vteps().find(|(_, other)| **other == vtep);
            (same.map(|(id, _)| id.index()), vtep)
        });
        let (vtep_ids, vteps) = assign(vteps.collect(), &self.vteps, Self::MAX_VTEPS, "VTEPs")?;
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
            assign(networks.collect(), &self.networks, Self::MAX_NETWORKS, "networks")?;
        let network_ids = network_ids.into_iter().map(NetworkId).collect();
        let mut topology = Self {
            config,
            port_ids,
            vtep_ids,
            network_ids,
            ports,
            vteps,
            networks,
            roles: Vec::new(),
            remotes: DenseMap::default(),
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        topology.roles = topology.find_roles();
        topology.place_remotes(self)?;
        topology.on_the_way = topology.departed_from(self).collect();
        Ok(topology)
    }

    /// Gives every remote VTEP its tunnel. Those of the topology before that nobody needs any more
    /// stay, leaving.
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

    /// The static MACs that are behind a remote VTEP and have another home here, with the tunnels
    /// to where they are.
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
    /// [arrives](crate::control::learner::Learner::arrive); for so long its network accepts frames
    /// from there, and the tunnel stays. To be called when some may have arrived. Says whether a
    /// network accepts less from now on, so that another generation is due.
    pub fn arrived(&mut self, is_on_the_way: impl Fn(Key) -> bool) -> bool {
        let arrived: Vec<_> = self.on_the_way.extract_if(|key, _| !is_on_the_way(*key)).collect();
        arrived.into_iter().any(|(key, tunnel)| {
            let network = self.network(key.network());
            !network.is_some_and(|n| self.tunnels_to(n, peers(n)).any(|peer| peer == tunnel))
        })
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
}

/// The networks of a topology in which somebody may send who may not in the other: a port, or a
/// remote VTEP.
pub fn wider(topology: &Topology, other: &Topology) -> HashSet<NetworkId> {
    let is_wider = |(domain, network): &(NetworkId, &Network)| match other.network(*domain) {
        Some(there) => *network != there && !is_within(network, there),
        None => true,
    };
    topology.networks().filter(is_wider).map(|(domain, _)| domain).collect()
}

fn is_within(network: &Network, there: &Network) -> bool {
    let wire = |network: &Network| (network.vtep, network.vni);
    let known: HashSet<Ipv4Addr> = peers(there).collect();
    network.ports.iter().all(|port| there.ports.contains(port))
        && (network.vtep.is_none() || wire(network) == wire(there))
        && peers(network).all(|peer| known.contains(&peer))
}

/// The networks that go, each with the one that comes and is the same to other hosts: the same VNI
/// of the same VTEP under another name.
pub fn heirs(before: &Topology, topology: &Topology) -> HashMap<NetworkId, NetworkId> {
    let new = topology.networks().filter(|(domain, _)| before.network(*domain).is_none());
    let new: HashMap<_, _> =
        new.map(|(domain, network)| ((network.vtep, network.vni), domain)).collect();
    let gone = before.networks().filter(|(domain, _)| topology.network(*domain).is_none());
    gone.filter_map(|(domain, network)| Some((domain, *new.get(&(network.vtep, network.vni))?)))
        .collect()
}
