//! What one topology takes over from the one before, for [`Learner::prepare`](crate::control::learner::Learner::prepare): pure.

use std::net::Ipv4Addr;

use hashbrown::{HashMap, HashSet};

use super::{Topology, peers};
use crate::config::Network;
use crate::ids::BridgeDomain;

/// The networks of a topology in which somebody may send who may not in the other: a port, or a remote VTEP.
pub fn wider(topology: &Topology, other: &Topology) -> HashSet<BridgeDomain> {
    let is_wider = |(domain, network): &(BridgeDomain, &Network)| match other.network(*domain) {
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

/// The networks that go, each with the one that comes and is the same to other hosts: the same VNI of the same VTEP
/// under another name.
pub fn heirs(before: &Topology, topology: &Topology) -> HashMap<BridgeDomain, BridgeDomain> {
    let new = topology.networks().filter(|(domain, _)| before.network(*domain).is_none());
    let new: HashMap<_, _> =
        new.map(|(domain, network)| ((network.vtep, network.vni), domain)).collect();
    let gone = before.networks().filter(|(domain, _)| topology.network(*domain).is_none());
    gone.filter_map(|(domain, network)| Some((domain, *new.get(&(network.vtep, network.vni))?)))
        .collect()
}
