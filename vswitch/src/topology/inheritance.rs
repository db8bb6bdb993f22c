//! What one topology takes over from the one before it: the indices of everything that stays, the
//! tunnels to remote VTEPs that are leaving, static MACs on their way to another home, and the
//! networks whose learned MACs may be kept. Pure.

use std::net::Ipv4Addr;

use hashbrown::{HashMap, HashSet};

use super::dense_map::{DenseMap, TooMany, assign};
use super::model::{Home, Member, Network, Remote, StaticMac, Topology, Underlay, Vtep};
use crate::config::{self, Config, PortIndex};
use crate::ids::{MemberId, NetworkId, PortId, RemoteId, TunnelId, UnderlayId, VtepId};
use crate::table::{Destination, Key};

impl Topology {
    /// The most ports, those that are being removed included. DPDK itself has a limit, too, often
    /// of 32.
    pub const MAX_PORTS: usize = 256;
    /// The most members, those that are being removed included: one for each port.
    pub const MAX_MEMBERS: usize = Self::MAX_PORTS;
    /// The most underlays, those that are being removed included: one for each port.
    pub const MAX_UNDERLAYS: usize = Self::MAX_PORTS;
    /// The most local VTEPs, those that are being removed included.
    pub const MAX_VTEPS: usize = 256;
    /// The most networks, and pairs of local and remote VTEPs, those that are being removed
    /// included.
    pub const MAX_NETWORKS: usize = u16::MAX as usize;

    /// The first configuration: ports, VTEPs and networks have their positions as indices.
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
            members: DenseMap::default(),
            underlays: DenseMap::default(),
            vteps: DenseMap::default(),
            networks: DenseMap::default(),
            remotes: DenseMap::default(),
            members_of_ports: HashMap::new(),
            vteps_of_ports: HashMap::new(),
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        nothing.next(config)
    }

    /// What another configuration makes of this one. A port is the same if its name, device, queues
    /// and MTU are; a member and an underlay, if their port is; a VTEP, if it and its underlay are
    /// the same in everything; a network, if its name is.
    ///
    /// # Errors
    /// See [`TooMany`].
    pub fn next(&self, config: Config) -> Result<Self, TooMany> {
        let port_ids = self.assign_ports(&config)?;
        let network_ids = self.assign_networks(&config)?;
        let of_port = |PortIndex(port): PortIndex| port_ids[port];

        let (members, members_of_ports) = self.next_members(&config, &network_ids, of_port)?;
        let underlay_ids = assign(
            config.vteps.iter().map(|vtep| self.underlay_on(of_port(vtep.port))),
            &self.underlays,
            Self::MAX_UNDERLAYS,
            "underlays",
        )?;
        let underlays: DenseMap<_> = (underlay_ids.iter().zip(&config.vteps))
            .map(|(id, vtep)| (usize::from(*id), underlay(vtep, of_port(vtep.port))))
            .collect();
        let vteps: Vec<_> = (config.vteps.iter().zip(&underlay_ids))
            .map(|(configured, id)| vtep(configured, UnderlayId(*id)))
            .collect();
        let known = vteps.iter().map(|vtep| {
            let is_same = |(_, other): &(VtepId, &Vtep)| {
                let underlay = vtep.underlay.index();
                *other == vtep && self.underlays.get(underlay) == underlays.get(underlay)
            };
            self.vteps().find(is_same).map(|(id, _)| id.index())
        });
        let vtep_ids = assign(known, &self.vteps, Self::MAX_VTEPS, "VTEPs")?;
        let vtep_ids: Vec<_> = vtep_ids.into_iter().map(VtepId).collect();

        let networks = config.networks.iter().map(|network| {
            let member = |port: &PortIndex| members_of_ports[&of_port(*port)];
            let mac = |mac: &config::StaticMac| StaticMac {
                address: mac.address,
                home: match mac.home {
                    config::Home::Port(port) => Home::Member(member(&port)),
                    config::Home::RemoteVtep(address) => Home::RemoteVtep(address),
                },
            };
            Network {
                name: network.name.clone(),
                vni: network.vni,
                vtep: network.vtep.map(|vtep| vtep_ids[vtep.0]),
                remote_vteps: network.remote_vteps.clone(),
                mac_ageing_secs: network.mac_ageing_secs,
                members: network.ports.iter().map(member).collect(),
                macs: network.macs.iter().map(mac).collect(),
            }
        });
        let ports = config.vteps.iter().map(|vtep| of_port(vtep.port));
        let mut topology = Self {
            ports: by_index(&port_ids, PortId::index, config.ports.iter().cloned()),
            vteps_of_ports: ports.zip(vtep_ids.iter().copied()).collect(),
            vteps: by_index(&vtep_ids, VtepId::index, vteps),
            networks: by_index(&network_ids, NetworkId::index, networks),
            config,
            port_ids,
            vtep_ids,
            network_ids,
            members,
            underlays,
            remotes: DenseMap::default(),
            members_of_ports,
            tunnels: HashMap::new(),
            on_the_way: HashMap::new(),
        };
        topology.assign_tunnels(self)?;
        topology.on_the_way = topology.departed_from(self).collect();
        Ok(topology)
    }

    fn assign_ports(&self, config: &Config) -> Result<Vec<PortId>, TooMany> {
        let same = |port: &config::Port| self.ports().find(|(_, other)| *other == port);
        let known = config.ports.iter().map(|port| same(port).map(|(id, _)| id.index()));
        let indices = assign(known, &self.ports, Self::MAX_PORTS, "ports")?;
        Ok(indices.into_iter().map(PortId).collect())
    }

    fn assign_networks(&self, config: &Config) -> Result<Vec<NetworkId>, TooMany> {
        let names: HashMap<&str, usize> =
            self.networks().map(|(id, network)| (&*network.name, id.index())).collect();
        let known = config.networks.iter().map(|network| names.get(&*network.name).copied());
        let indices = assign(known, &self.networks, Self::MAX_NETWORKS, "networks")?;
        Ok(indices.into_iter().map(NetworkId).collect())
    }

    fn next_members(
        &self,
        config: &Config,
        network_ids: &[NetworkId],
        of_port: impl Fn(PortIndex) -> PortId,
    ) -> Result<(DenseMap<Member>, HashMap<PortId, MemberId>), TooMany> {
        let members: Vec<_> = (config.networks.iter().zip(network_ids))
            .flat_map(|(network, id)| network.ports.iter().map(|port| (*port, *id)))
            .map(|(port, network)| Member { port: of_port(port), network })
            .collect();
        let known = members.iter().map(|member| self.member_of(member.port).map(MemberId::index));
        let indices = assign(known, &self.members, Self::MAX_MEMBERS, "members")?;
        let ids: Vec<_> = indices.into_iter().map(|index| MemberId(index.into())).collect();
        let of_ports = members.iter().map(|member| member.port).zip(ids.iter().copied()).collect();
        Ok((by_index(&ids, MemberId::index, members), of_ports))
    }

    /// The index of the underlay on a port.
    fn underlay_on(&self, port: PortId) -> Option<usize> {
        self.underlays().find(|(_, underlay)| underlay.port == port).map(|(id, _)| id.index())
    }

    /// Gives every remote VTEP its tunnel. Those of the former topology that no network needs any
    /// more stay, leaving.
    fn assign_tunnels(&mut self, before: &Self) -> Result<(), TooMany> {
        let left: HashSet<TunnelId> = before.on_the_way.values().copied().collect();
        let mut known = HashMap::new();
        let mut remotes = DenseMap::default();
        for (tunnel, remote) in before.all_remotes() {
            let is_used = !remote.is_leaving || left.contains(&tunnel);
            if is_used && self.vtep(remote.id.vtep).is_some() {
                remotes.set(tunnel.index(), Remote { id: remote.id, is_leaving: true });
                known.insert(remote.id, tunnel.index());
            }
        }
        let mut needed = Vec::new();
        let mut is_seen = HashSet::new();
        for (_, network) in self.networks() {
            let ids = network
                .vtep
                .into_iter()
                .flat_map(|vtep| network.peers().map(move |address| RemoteId { vtep, address }));
            needed.extend(ids.filter(|id| is_seen.insert(*id)));
        }
        let indices = assign(
            needed.iter().map(|id| known.get(id).copied()),
            &before.remotes,
            Self::MAX_NETWORKS,
            "remote VTEPs",
        )?;
        for (id, index) in needed.into_iter().zip(indices) {
            self.tunnels.insert(id, TunnelId(index));
            remotes.set(index.into(), Remote { id, is_leaving: false });
        }
        self.remotes = remotes;
        Ok(())
    }

    /// The static MACs that were behind a remote VTEP and have another home now, with the tunnels
    /// to their former homes.
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

    /// Forgets the static MACs that are no longer on their way to another home.
    ///
    /// Until a static MAC [arrives](crate::control::learner::Learner::arrive) at its new home,
    /// frames to it go to the former home, the network accepts frames from there, and the tunnel
    /// stays. Returns whether a network accepts less from now on, so that another generation is
    /// due.
    pub fn arrived(&mut self, is_on_the_way: impl Fn(Key) -> bool) -> bool {
        let arrived: Vec<_> = self.on_the_way.extract_if(|key, _| !is_on_the_way(*key)).collect();
        arrived.into_iter().any(|(key, tunnel)| {
            let network = self.network(key.network());
            !network.is_some_and(|n| self.tunnels_to(n, n.peers()).any(|peer| peer == tunnel))
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
    pub fn vteps_not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (VtepId, &'a Vtep)> {
        self.vteps().filter(|(id, _)| other.vtep(*id).is_none())
    }
}

fn underlay(vtep: &config::Vtep, port: PortId) -> Underlay {
    Underlay { port, host_interface: vtep.host_interface.clone(), mac: vtep.mac }
}

fn vtep(configured: &config::Vtep, underlay: UnderlayId) -> Vtep {
    let config::Vtep { name, address, prefix_len, udp_port, .. } = configured;
    let (address, prefix_len, udp_port) = (*address, *prefix_len, *udp_port);
    Vtep { name: name.clone(), underlay, address, prefix_len, udp_port }
}

fn by_index<I: Copy, T>(
    ids: &[I],
    index: impl Fn(I) -> usize,
    items: impl IntoIterator<Item = T>,
) -> DenseMap<T> {
    ids.iter().map(|id| index(*id)).zip(items).collect()
}

/// The networks of a topology that accept frames from a member or a remote VTEP from which the same
/// network of the other topology does not.
pub fn wider(topology: &Topology, other: &Topology) -> HashSet<NetworkId> {
    let is_wider = |(id, network): &(NetworkId, &Network)| match other.network(*id) {
        Some(there) => *network != there && !is_within(network, there),
        None => true,
    };
    topology.networks().filter(is_wider).map(|(id, _)| id).collect()
}

fn is_within(network: &Network, there: &Network) -> bool {
    let wire = |network: &Network| (network.vtep, network.vni);
    let known: HashSet<Ipv4Addr> = there.peers().collect();
    network.members.iter().all(|member| there.members.contains(member))
        && (network.vtep.is_none() || wire(network) == wire(there))
        && network.peers().all(|peer| known.contains(&peer))
}

/// The networks that are removed, each with the new network that replaces it: one with the same VNI
/// and VTEP under another name.
pub fn heirs(before: &Topology, topology: &Topology) -> HashMap<NetworkId, NetworkId> {
    let new = topology.networks().filter(|(id, _)| before.network(*id).is_none());
    let new: HashMap<_, _> = new.map(|(id, network)| ((network.vtep, network.vni), id)).collect();
    let gone = before.networks().filter(|(id, _)| topology.network(*id).is_none());
    gone.filter_map(|(id, network)| Some((id, *new.get(&(network.vtep, network.vni))?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Ports `u`, `a`, `b`, `c`; the VTEP's address; and the members of networks `blue` and
    /// `green`.
    fn topology(before: Option<&Topology>, vtep: &str, blue: &[&str], green: &[&str]) -> Topology {
        let mut text = String::new();
        for (n, port) in ["u", "a", "b", "c"].iter().enumerate() {
            text += &format!("[[port]]\nname = \"{port}\"\ndevice = \"net_null{n}\"\n");
        }
        text += &format!(
            "[[vtep]]\nname = \"v\"\nport = \"u\"\naddress = \"{vtep}/24\"\n\
             host-interface = \"vtep0\"\n"
        );
        for (vni, (name, ports)) in (1..).zip([("blue", blue), ("green", green)]) {
            text += &format!("[[network]]\nname = \"{name}\"\nvni = {vni}\n");
            for port in ports {
                text += &format!("[[network.port]]\nport = \"{port}\"\n");
            }
        }
        let config = config::parse("test.toml", &text).unwrap();
        before.map_or_else(|| Topology::new(config.clone()), |t| t.next(config.clone())).unwrap()
    }

    fn member(topology: &Topology, name: &str) -> Option<MemberId> {
        topology.member_of(topology.ports().find(|(_, port)| port.name == name).unwrap().0)
    }

    fn network_of(topology: &Topology, name: &str) -> String {
        let member = topology.member(member(topology, name).unwrap()).unwrap();
        topology.network(member.network).unwrap().name.clone()
    }

    #[test]
    fn a_port_that_goes_to_another_network_keeps_its_member() {
        let before = topology(None, "203.0.113.1", &["a", "b"], &["c"]);
        let after = topology(Some(&before), "203.0.113.1", &["b"], &["c", "a"]);
        assert_eq!(member(&before, "a"), member(&after, "a"));
        let networks = [network_of(&before, "a"), network_of(&after, "a")];
        assert_eq!(networks, ["blue", "green"]);
        assert_eq!((member(&after, "u"), after.member_slots()), (None, 3));
    }

    #[test]
    fn a_member_that_goes_leaves_a_gap_for_one_change() {
        let first = topology(None, "203.0.113.1", &["a"], &[]);
        let second = topology(Some(&first), "203.0.113.1", &["b"], &[]);
        let third = topology(Some(&second), "203.0.113.1", &["b", "c"], &[]);
        assert_eq!(member(&first, "a"), Some(MemberId(0)));
        assert_eq!((member(&second, "a"), member(&second, "b")), (None, Some(MemberId(1))));
        assert_eq!(
            (member(&third, "b"), member(&third, "c")),
            (Some(MemberId(1)), Some(MemberId(0)))
        );
    }

    #[test]
    fn an_underlay_outlives_its_vtep() {
        let before = topology(None, "203.0.113.1", &["a"], &[]);
        let after = topology(Some(&before), "203.0.113.2", &["a"], &[]);
        let (old, new) = (before.vteps().next().unwrap(), after.vteps().next().unwrap());
        assert_ne!(old.0, new.0);
        assert_eq!(old.1.underlay, new.1.underlay);
        assert_eq!(before.underlay_of(old.1), after.underlay_of(new.1));
        assert_eq!(after.underlays().count(), 1);
    }
}
