//! The names that the indices in a record had in the record's generation.
//!
//! The control thread adds the names of each generation to the history when it publishes the
//! generation. The threads that write records read them. Workers know no names.
//!
//! A record is usually written some milliseconds after its frame. Behind a slow reader it waits for
//! up to half a minute, and the configuration may change more often than the history has room.
//! Then numbers stand for the names: the indices may belong to another tenant by now.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::{NetworkId, PortId, TunnelId, VtepId};
use crate::metrics::counters::{Place, Site};
use crate::topology::{Role, Topology};

/// The number of generations whose names are kept.
const KEPT: usize = 8;

/// The names of one generation.
#[derive(Clone, Debug, Default)]
pub struct GenerationNames {
    ports: Vec<Option<(String, Option<NetworkId>)>>,
    networks: Vec<Option<Network>>,
    vteps: Vec<Option<String>>,
    remotes: Vec<Option<Ipv4Addr>>,
    /// They are not in the history any more.
    are_gone: bool,
}

/// The names of a network, and the uplink of its VTEP.
#[derive(Clone, Debug)]
struct Network {
    name: String,
    vni: u32,
    uplink: Option<PortId>,
}

impl GenerationNames {
    /// The names in a topology.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let mut names = Self {
            ports: vec![None; topology.port_slots()],
            networks: vec![None; topology.network_slots()],
            vteps: vec![None; topology.vtep_slots()],
            remotes: vec![None; topology.tunnel_slots()],
            are_gone: false,
        };
        for (id, port) in topology.ports() {
            let domain = match topology.role(id) {
                Role::Tenant(domain) => Some(domain),
                _ => None,
            };
            names.ports[id.index()] = Some((port.name.clone(), domain));
        }
        for (id, network) in topology.networks() {
            let uplink =
                network.vtep.and_then(|vtep| Some(topology.uplink_of(topology.vtep(vtep)?)));
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

    /// Takes over names that were removed since `before`: frames may still have their indices,
    /// which are reused two changes later at the earliest.
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

    /// Nothing is known about the generation any more: numbers stand for names.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.are_gone
    }

    /// The name of a port, or its number.
    #[must_use]
    pub fn port(&self, id: PortId) -> Cow<'_, str> {
        let port = self.ports.get(id.index()).and_then(Option::as_ref);
        named(port.map(|(name, _)| name), id.index())
    }

    /// The name and the VNI of a network.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> Option<(&str, u32)> {
        let network = self.networks.get(id.index())?.as_ref()?;
        Some((&network.name, network.vni))
    }

    /// The name of a local VTEP, or its number.
    #[must_use]
    pub fn vtep(&self, id: VtepId) -> Cow<'_, str> {
        named(self.vteps.get(id.index()).and_then(Option::as_ref), id.index())
    }

    /// The remote VTEP of a tunnel.
    #[must_use]
    pub fn remote(&self, id: TunnelId) -> Option<Ipv4Addr> {
        self.remotes.get(id.index()).copied().flatten()
    }

    /// Names of the port and the network of a drop, as in `GET /v1/drops`. Empty where a drop
    /// belongs to none.
    #[must_use]
    pub fn site(&self, site: Site) -> (Cow<'_, str>, Cow<'_, str>) {
        let network = |domain: NetworkId| {
            let network = self.networks.get(domain.index()).and_then(Option::as_ref);
            named(network.map(|network| &network.name), domain.index())
        };
        match site.place() {
            Place::Port(port) => {
                let domain = self.ports.get(port.index()).and_then(|port| port.as_ref()?.1);
                (self.port(port), domain.map_or(Cow::Borrowed(""), network))
            }
            Place::Network(domain) => {
                let uplink = self.networks.get(domain.index()).and_then(|n| n.as_ref()?.uplink);
                (uplink.map_or(Cow::Borrowed(""), |uplink| self.port(uplink)), network(domain))
            }
        }
    }
}

fn named(name: Option<&String>, index: usize) -> Cow<'_, str> {
    name.map_or_else(|| Cow::Owned(format!("#{index}")), |name| Cow::Borrowed(name.as_str()))
}

/// The names of the last generations. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct NameHistory(Arc<Mutex<Kept>>);

/// By generation, the newest last.
type Kept = VecDeque<(u64, Arc<GenerationNames>)>;

impl NameHistory {
    /// Adds the names of a generation.
    pub fn put(&self, generation: u64, mut names: GenerationNames) {
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

    /// The names of a generation, or [no names](GenerationNames::are_gone), but never those of
    /// another generation.
    #[must_use]
    pub fn get(&self, generation: u64) -> Arc<GenerationNames> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(number, _)| *number == generation);
        match found {
            Some((_, names)) => Arc::clone(names),
            None => Arc::new(GenerationNames { are_gone: true, ..GenerationNames::default() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn names(port: &str) -> GenerationNames {
        let port = format!("[[port]]\nname = {port:?}\ndevice = \"net_null0\"\n");
        let network = "[[network]]\nname = \"blue\"\nvni = 100\n[[network.port]]\nport = ";
        let toml = format!("{port}{network}{:?}\n", port.split('"').nth(1).unwrap());
        GenerationNames::of(&Topology::new(config::parse("test.toml", &toml).unwrap()).unwrap())
    }

    #[test]
    fn names_that_are_gone_are_numbers() {
        let history = NameHistory::default();
        history.put(1, names("a"));
        assert_eq!(history.get(1).site(Site::port(PortId(0))), ("a".into(), "blue".into()));
        for generation in 2..=9 {
            history.put(generation, names("b"));
        }
        assert_eq!(history.get(2).port(PortId(0)), "b");
        let gone = history.get(1);
        assert!(gone.are_gone() && !history.get(9).are_gone());
        assert_eq!((gone.port(PortId(0)), gone.vtep(VtepId(3))), ("#0".into(), "#3".into()));
        assert_eq!(gone.site(Site::port(PortId(0))), ("#0".into(), "".into()));
        assert_eq!(gone.site(Site::network(NetworkId(7))), ("".into(), "#7".into()));
    }
}
