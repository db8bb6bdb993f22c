//! What the indices in a record were called in the generation that it is of.
//!
//! The control thread puts the names of each generation on the shelf when it is published; whoever writes records
//! in words takes them from there. Workers know nothing of it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::generations::Topology;
use crate::datapath::generation::Role;
use crate::ids::{BridgeDomain, PortId, TunnelId, VtepId};
use crate::metrics::counters::{Place, Site};

/// Generations whose names are kept: records wait some milliseconds, and a generation lasts longer.
const KEPT: usize = 8;

/// The names of one generation.
#[derive(Clone, Debug, Default)]
pub struct Names {
    ports: Vec<Option<(String, Option<BridgeDomain>)>>,
    networks: Vec<Option<Network>>,
    vteps: Vec<Option<String>>,
    remotes: Vec<Option<Ipv4Addr>>,
}

/// A network.
#[derive(Clone, Debug)]
struct Network {
    name: String,
    vni: u32,
    uplink: Option<PortId>,
}

impl Names {
    /// Those of a topology.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let mut names = Self {
            ports: vec![None; topology.port_slots()],
            networks: vec![None; topology.network_slots()],
            vteps: vec![None; topology.vtep_slots()],
            remotes: vec![None; topology.tunnel_slots()],
        };
        for (id, port) in topology.ports() {
            let domain = match topology.role(id) {
                Role::Tenant(domain) => Some(domain),
                _ => None,
            };
            names.ports[id.index()] = Some((port.name.clone(), domain));
        }
        for (id, network) in topology.networks() {
            let uplink = network.vtep.and_then(|vtep| Some(topology.vtep(vtep)?.port));
            let (name, vni) = (network.name.clone(), network.vni.get());
            names.networks[id.index()] = Some(Network { name, vni, uplink });
        }
        for (id, vtep) in topology.vteps() {
            names.vteps[id.index()] = Some(vtep.name.clone());
        }
        for (id, remote) in topology.remotes() {
            names.remotes[id.index()] = Some(remote.address);
        }
        names
    }

    /// Takes over what was there before and is not any more: an index is given away only two changes later,
    /// and until then some of its frames may be on their way.
    fn inherit(&mut self, before: &Self) {
        fn fill<T: Clone>(names: &mut Vec<Option<T>>, before: &[Option<T>]) {
            names.resize(names.len().max(before.len()), None);
            for (name, before) in names.iter_mut().zip(before) {
                if name.is_none() {
                    name.clone_from(before);
                }
            }
        }
        fill(&mut self.ports, &before.ports);
        fill(&mut self.networks, &before.networks);
        fill(&mut self.vteps, &before.vteps);
        fill(&mut self.remotes, &before.remotes);
    }

    /// The name of a port; empty if there is none.
    #[must_use]
    pub fn port(&self, id: PortId) -> &str {
        self.ports.get(id.index()).and_then(Option::as_ref).map_or("", |(name, _)| name)
    }

    /// The name and the VNI of a network.
    #[must_use]
    pub fn network(&self, id: BridgeDomain) -> Option<(&str, u32)> {
        let network = self.networks.get(id.index())?.as_ref()?;
        Some((&network.name, network.vni))
    }

    /// The name of a local VTEP; empty if there is none.
    #[must_use]
    pub fn vtep(&self, id: VtepId) -> &str {
        self.vteps.get(id.index()).and_then(Option::as_ref).map_or("", String::as_str)
    }

    /// The remote VTEP of a tunnel.
    #[must_use]
    pub fn remote(&self, id: TunnelId) -> Option<Ipv4Addr> {
        self.remotes.get(id.index()).copied().flatten()
    }

    /// Names of the port and the network of a drop; empty where it belongs to none. As `GET /v1/drops` has them.
    #[must_use]
    pub fn site(&self, site: Site) -> (&str, &str) {
        let network = |domain| self.network(domain).map_or("", |(name, _)| name);
        match site.place() {
            Place::Port(port) => {
                let domain = self.ports.get(port.index()).and_then(|port| port.as_ref()?.1);
                (self.port(port), domain.map_or("", network))
            }
            Place::Network(domain) => {
                let uplink = self.networks.get(domain.index()).and_then(|n| n.as_ref()?.uplink);
                (uplink.map_or("", |uplink| self.port(uplink)), network(domain))
            }
        }
    }
}

/// The names of the last generations. Clones are the same shelf.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<Kept>>);

/// By generation, the newest last.
type Kept = VecDeque<(u64, Arc<Names>)>;

impl Shelf {
    /// Puts the names of a generation on it.
    pub fn put(&self, generation: u64, mut names: Names) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, before)) = kept.back() {
            names.inherit(before);
        }
        kept.retain(|(number, _)| *number != generation);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((generation, Arc::new(names)));
    }

    /// The names of a generation, or of the newest if they are gone.
    #[must_use]
    pub fn get(&self, generation: u64) -> Arc<Names> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(number, _)| *number == generation).or(kept.back());
        found.map(|(_, names)| Arc::clone(names)).unwrap_or_default()
    }
}
