//! Compiles a topology to a generation: what workers read.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::dense_map::narrow;
use super::model::{PortFacts, Remote, Role, Topology};
use crate::datapath::capture::CapturePoints;
use crate::datapath::directory::Directory;
use crate::datapath::generation::{
    self, Carried, Entrance, Generation, PeerSets, Port, Tunnel, Underlay, Vtep,
};
use crate::datapath::tunnel::recognition::Recognition;
use crate::datapath::tunnel::template::Template;
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, VtepId};
use crate::wire::ethernet;

/// Length of the header before the payload, in bytes; the FCS does not count.
#[allow(clippy::cast_possible_truncation, reason = "14")]
const FRAME_OVERHEAD: u32 = ethernet::HEADER_LEN as u32;

impl Topology {
    /// A generation. `next_hops` holds, by [`TunnelId`], the MAC to which the tunnel's frames go
    /// next, where it is known; `wiring` is the number of the queues that the generation goes with.
    /// An index that is not in use has an entry that allows nothing.
    #[must_use]
    pub fn generation(
        &self,
        facts: &[PortFacts],
        next_hops: &[Option<MacAddr>],
        wiring: u64,
    ) -> Generation {
        let mut sets = PeerSets::new(self.tunnel_slots());
        let peers_of = self.peer_sets(&mut sets);
        let of = |n: usize| 0..narrow(n);
        Generation {
            number: 0,
            wiring,
            ports: of(self.port_slots()).map(|id| self.port_entry(PortId(id), facts)).collect(),
            networks: of(self.network_slots())
                .map(|id| self.network_entry(NetworkId(id), peers_of[usize::from(id)]))
                .collect(),
            underlays: self.underlay_entries(facts),
            vteps: self.vtep_entries(&peers_of),
            tunnels: self.tunnel_entries(facts, next_hops),
            peers: Arc::new(sets),
            watches: Arc::default(),
            points: CapturePoints::NONE,
            refresh_after_secs: self
                .networks()
                .map(|(_, network)| refresh_after_secs(network.mac_ageing_secs))
                .min()
                .unwrap_or(u32::MAX),
        }
    }

    /// A generation with other next hops than `current`, which must be one of this topology and of
    /// these facts. Only the tunnels are compiled; all other parts are shared.
    #[must_use]
    pub fn with_next_hops(
        &self,
        current: &Generation,
        facts: &[PortFacts],
        next_hops: &[Option<MacAddr>],
    ) -> Generation {
        Generation { tunnels: self.tunnel_entries(facts, next_hops), ..current.clone() }
    }

    /// The number of each network's set of peers, by [`NetworkId`].
    fn peer_sets(&self, sets: &mut PeerSets) -> Vec<u16> {
        let mut peers_of = vec![sets.add([]); self.network_slots()];
        let mut left: HashMap<NetworkId, Vec<TunnelId>> = HashMap::new();
        for (key, tunnel) in &self.on_the_way {
            left.entry(key.network()).or_default().push(*tunnel);
        }
        for (id, network) in self.networks() {
            let left = left.remove(&id).unwrap_or_default();
            let peers = self.tunnels_to(network, network.peers()).chain(left);
            peers_of[id.index()] = sets.add(peers);
        }
        peers_of
    }

    fn port_entry(&self, id: PortId, facts: &[PortFacts]) -> Port {
        let entrance = match self.role(id) {
            Role::Unused => Entrance::Unused,
            Role::Tenant(network) => Entrance::Network(network),
            Role::Uplink(vtep) => {
                self.vtep(vtep).map_or(Entrance::Unused, |vtep| Entrance::Underlay(vtep.underlay))
            }
        };
        // Nothing is short enough for a port that does not exist.
        let max_frame_len =
            self.port(id).map_or(0, |_| u32::from(facts[id.index()].mtu) + FRAME_OVERHEAD);
        Port { entrance, max_frame_len }
    }

    fn underlay_entries(&self, facts: &[PortFacts]) -> Arc<[Underlay]> {
        let nothing = std::iter::repeat_with(Underlay::nothing);
        let mut entries: Vec<_> = nothing.take(self.underlay_slots()).collect();
        for (id, vtep) in self.vteps() {
            let mac = self.vtep_mac(vtep, facts);
            let recognition = Recognition::new(mac, vtep.address, vtep.udp_port);
            entries[vtep.underlay.index()] = Underlay { recognition, vtep: id };
        }
        entries.into()
    }

    fn network_entry(&self, id: NetworkId, peers: u16) -> generation::Network {
        let Some(network) = self.network(id) else { return generation::Network::nothing(peers) };
        generation::Network {
            vni: network.vni,
            uplink: network.vtep.and_then(|vtep| Some(self.uplink_of(self.vtep(vtep)?))),
            ports: self.ports_of(network).collect(),
            flood: self.tunnels_to(network, network.remote_vteps.iter().copied()).collect(),
            peers,
            refresh_after_secs: refresh_after_secs(network.mac_ageing_secs),
        }
    }

    fn vtep_entries(&self, peers_of: &[u16]) -> Arc<[Vtep]> {
        let (mut networks, mut tunnels) = (HashMap::new(), HashMap::new());
        for (id, network) in self.networks() {
            let Some(vtep) = network.vtep else { continue };
            let carried = Carried { network: id, peers: peers_of[id.index()] };
            let of_vtep: &mut Vec<_> = networks.entry(vtep).or_default();
            of_vtep.push((network.vni.get(), carried.into()));
        }
        let left: HashSet<TunnelId> = self.on_the_way.values().copied().collect();
        for (tunnel, Remote { id, is_leaving }) in self.all_remotes() {
            if !is_leaving || left.contains(&tunnel) {
                let of_vtep: &mut Vec<_> = tunnels.entry(id.vtep).or_default();
                of_vtep.push((id.address.to_bits(), u32::from(tunnel.0)));
            }
        }
        let entry = |id| {
            if self.vtep(id).is_none() {
                return Vtep::nothing();
            }
            let directory = |of_vtep: Option<Vec<_>>| Directory::new(&of_vtep.unwrap_or_default());
            let (networks, tunnels) = (networks.remove(&id), tunnels.remove(&id));
            Vtep { networks: directory(networks), tunnels: directory(tunnels) }
        };
        (0..narrow(self.vtep_slots())).map(VtepId).map(entry).collect()
    }

    fn tunnel_entries(&self, facts: &[PortFacts], next_hops: &[Option<MacAddr>]) -> Arc<[Tunnel]> {
        let ids = (0..narrow(self.tunnel_slots())).map(TunnelId);
        ids.map(|id| self.tunnel_entry(id, next_hops, facts)).collect()
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
        let uplink = self.uplink_of(vtep);
        Tunnel::new(uplink, facts[uplink.index()].mtu, template)
    }
}

/// The age at which a hit asks for a refresh, in seconds: low enough that an entry in use never
/// ages out, and high enough that refreshes cost nothing.
pub(crate) fn refresh_after_secs(ageing_secs: u32) -> u32 {
    if ageing_secs == 0 { u32::MAX } else { (ageing_secs / 8).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const CONFIG: &str = "
        [[port]]
        name = \"u\"
        device = \"net_null0\"
        [[port]]
        name = \"a\"
        device = \"net_null1\"
        [[vtep]]
        name = \"v\"
        port = \"u\"
        address = \"203.0.113.1/24\"
        host-interface = \"vtep0\"
        [[network]]
        name = \"blue\"
        vni = 1
        vtep = \"v\"
        remote-vteps = [\"203.0.113.2\"]
        [[network.port]]
        port = \"a\"
    ";

    fn share_all_but_tunnels_and_watches(one: &Generation, other: &Generation) -> bool {
        Arc::ptr_eq(&one.ports, &other.ports)
            && Arc::ptr_eq(&one.networks, &other.networks)
            && Arc::ptr_eq(&one.vteps, &other.vteps)
            && Arc::ptr_eq(&one.peers, &other.peers)
    }

    #[test]
    fn a_next_hop_compiles_the_tunnels_only() {
        let topology = Topology::new(config::parse("test.toml", CONFIG).unwrap()).unwrap();
        let facts = [PortFacts { mac: MacAddr::from_u64(0x0200_0000_0001), mtu: 1500 }; 2];
        let before = topology.generation(&facts, &[None], 1);
        let next_hops = [Some(MacAddr::from_u64(0x0200_0000_0002))];
        let after = topology.with_next_hops(&before, &facts, &next_hops);
        assert!(share_all_but_tunnels_and_watches(&before, &after));
        assert!(Arc::ptr_eq(&before.watches, &after.watches));
        assert!(!before.tunnels[0].is_resolved() && after.tunnels[0].is_resolved());

        let watched = after.watched(7, Vec::new());
        assert!(share_all_but_tunnels_and_watches(&after, &watched));
        assert!(Arc::ptr_eq(&after.tunnels, &watched.tunnels));
        let whole = topology.generation(&facts, &next_hops, 1);
        assert_eq!(format!("{:?}", whole.tunnels), format!("{:?}", after.tunnels));
    }
}
