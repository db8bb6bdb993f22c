//! Compiles a topology to a [generation](crate::datapath::generation): what workers read.

use hashbrown::{HashMap, HashSet};

use super::dense_map::narrow;
use super::model::{PortFacts, Remote, Topology};
use crate::datapath::capture::CapturePoints;
use crate::datapath::directory::Directory;
use crate::datapath::generation::{
    self, Generation, Membership, OuterPattern, PeerSets, Port, Role, Template, Tunnel, Vtep,
};
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, VtepId};
use crate::wire::ethernet;

/// What a frame has beside its payload, in bytes, without FCS.
#[allow(clippy::cast_possible_truncation, reason = "14")]
const FRAME_OVERHEAD: u32 = ethernet::HEADER_LEN as u32;

impl Topology {
    /// A generation. `next_hops` holds, by [`TunnelId`], the MAC to which the tunnel's frames go
    /// next, as far as known; `wiring` is the number of the queues that it goes with. What there is
    /// not has a place all the same, in which nothing is allowed.
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
        let mut left: HashMap<NetworkId, Vec<TunnelId>> = HashMap::new();
        for (key, tunnel) in &self.on_the_way {
            left.entry(key.network()).or_default().push(*tunnel);
        }
        for (domain, network) in self.networks() {
            let left = left.remove(&domain).unwrap_or_default();
            let peers = self.tunnels_to(network, network.peers()).chain(left);
            peers_of[domain.index()] = sets.add(peers);
        }
        let of = |n: usize| 0..narrow(n);
        Generation {
            number: 0,
            wiring,
            ports: of(self.port_slots()).map(|id| self.port_entry(PortId(id), facts)).collect(),
            networks: of(self.network_slots())
                .map(|id| self.domain(NetworkId(id), peers_of[usize::from(id)]))
                .collect(),
            vteps: self.vtep_entries(facts, &peers_of),
            tunnels: of(self.tunnel_slots())
                .map(|id| self.tunnel_entry(TunnelId(id), next_hops, facts))
                .collect(),
            peers: sets,
            watches: Box::default(),
            points: CapturePoints::NONE,
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

    fn domain(&self, id: NetworkId, peers: u16) -> generation::Network {
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

    fn vtep_entries(&self, facts: &[PortFacts], peers_of: &[u16]) -> Box<[Vtep]> {
        let (mut networks, mut tunnels) = (HashMap::new(), HashMap::new());
        for (domain, network) in self.networks() {
            let Some(vtep) = network.vtep else { continue };
            let membership = Membership { network: domain, peers: peers_of[domain.index()] };
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
        let uplink = self.uplink_of(vtep);
        Tunnel::new(uplink, facts[uplink.index()].mtu, template)
    }
}

/// When a hit asks for a refresh: often enough that an entry in use never ages out, seldom enough
/// to cost nothing; at most once per second.
pub(crate) fn refresh_after_secs(ageing_secs: u32) -> u32 {
    if ageing_secs == 0 { u32::MAX } else { (ageing_secs / 8).max(1) }
}
