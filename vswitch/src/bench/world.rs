//! The switch around the workers: topology, generation, and an FDB that knows the stations.
//!
//! Made as the control thread makes them, so that workers read what they read in a running switch.

use std::net::Ipv4Addr;

use super::scenario::{Options, Scenario};
use super::traffic::{self, Pair};
use crate::config::{self, Config};
use crate::control::learner::Learner;
use crate::datapath::generation::Generation;
use crate::datapath::io::{LearnEvent, LearnKind};
use crate::ids::{NetworkId, TunnelId, Vni, VtepId};
use crate::table::{Destination, FdbReader, Key, Publisher, Reader, fdb, snapshot};
use crate::topology::{PortFacts, TooMany, Topology};
use crate::wire::ethernet;

use super::arena::DATA_ROOM;

/// One of each, as the file has it; the others are made after them.
const ONE_OF_EACH: &str = r#"
[[port]]
name = "uplink"
device = "net_null0"
[[port]]
name = "tenant"
device = "net_null1"
[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"
[[network]]
name = "network"
vni = 1000
vtep = "fabric"
  [[network.port]]
  port = "tenant"
"#;

/// The FDB's hash has the same seed every time: so has the benchmark the same places in it.
const SEED: u64 = 0x5eed;

/// What workers and the control thread share, by its owners.
pub struct World {
    /// The configuration with its indices.
    pub topology: Topology,
    /// The FDB's writer; it knows the stations.
    pub learner: Learner,
    /// The FDB's, for each worker.
    pub fdb: Vec<FdbReader>,
    /// The generation's, for each worker.
    pub generations: Vec<Reader<Generation>>,
    /// The generation's owner.
    pub publisher: Publisher<Generation>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum WorldError {
    /// The text above is not valid.
    Config(#[from] config::Errors),
    /// More of something than there can be.
    TooMany(#[from] TooMany),
    /// Never: nothing is static.
    TableFull(#[from] crate::table::TableFull),
}

impl World {
    /// The world of a scenario.
    ///
    /// # Errors
    /// See [`WorldError`].
    pub fn new(options: &Options) -> Result<Self, WorldError> {
        let topology = Topology::new(configuration(options)?)?;
        let mtu = u16::try_from(DATA_ROOM - ethernet::HEADER_LEN).unwrap_or(u16::MAX);
        let facts = topology.ports().map(|(id, _)| PortFacts { mac: traffic::port_mac(id), mtu });
        let facts: Vec<_> = facts.collect();
        let next_hops = vec![Some(traffic::NEXT_HOP); topology.tunnel_slots()];
        let generation = topology.generation(&facts, &next_hops, 0);
        let (publisher, generations) = snapshot::channel(Box::new(generation), options.workers);
        let (writer, fdb) = fdb::new(topology.config().fdb_capacity, SEED, options.workers);
        let mut learner = Learner::new(writer, &topology)?;
        introduce(options, &topology, publisher.current(), &mut learner);
        Ok(Self { topology, learner, fdb, generations, publisher })
    }
}

fn configuration(options: &Options) -> Result<Config, config::Errors> {
    let mut config = config::parse("bench", ONE_OF_EACH)?;
    let entries = 2 * options.pairs() as usize;
    config.fdb_capacity = options.fdb_capacity.unwrap_or(config.fdb_capacity.max(entries));
    let tenant = config.ports.pop();
    for (number, tenant) in (1..options.ports()).zip(tenant.iter().cycle()) {
        let name = format!("tenant-{number}");
        config.ports.push(config::Port { name, ..tenant.clone() });
    }
    let model = config.networks.pop();
    for (domain, model) in (0..options.networks).map(NetworkId).zip(model.iter().cycle()) {
        let ports = if options.scenario.has_tunnels() {
            vec![options.near_port(domain)]
        } else {
            vec![options.near_port(domain), options.far_port(domain)]
        };
        config.networks.push(config::Network {
            name: format!("network-{}", domain.0),
            vni: Vni::new(traffic::vni(domain)).unwrap_or(model.vni),
            remote_vteps: remote_vteps(options, domain),
            ports: ports.into_iter().map(|port| config::PortIndex(port.index())).collect(),
            ..model.clone()
        });
    }
    Ok(config)
}

/// The remote VTEPs of a network: those where its stations are; for flooding, all.
fn remote_vteps(options: &Options, domain: NetworkId) -> Vec<Ipv4Addr> {
    let mut numbers: Vec<u32> = match options.scenario {
        Scenario::L2 | Scenario::Learn => Vec::new(),
        Scenario::Flood => (0..options.vteps).collect(),
        _ => (u32::from(domain.0)..options.pairs())
            .step_by(usize::from(options.networks))
            // From here on, the same ones again.
            .take(options.vteps as usize)
            .map(|number| Pair::new(number, options).vtep)
            .collect(),
    };
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(traffic::remote_vtep).collect()
}

/// Has the learner hear every station where it is.
fn introduce(
    options: &Options,
    topology: &Topology,
    generation: &Generation,
    learner: &mut Learner,
) {
    let tunnels: Vec<_> = (0..options.vteps).map(|vtep| tunnel(topology, vtep)).collect();
    for pair in (0..options.pairs()).map(|number| Pair::new(number, options)) {
        let near = Destination::Port(options.near_port(pair.domain));
        let far = match tunnels.get(pair.vtep as usize) {
            Some(tunnel) => tunnel.map(Destination::Tunnel),
            None => Some(Destination::Port(options.far_port(pair.domain))),
        };
        for (mac, origin) in [(pair.near(), Some(near)), (pair.far(), far)] {
            let Some(origin) = origin else { continue };
            let key = Key::new(pair.domain, mac);
            learner.handle(
                LearnEvent { key, origin, kind: LearnKind::Heard },
                generation,
                0,
                |_| (),
            );
        }
    }
}

fn tunnel(topology: &Topology, vtep: u32) -> Option<TunnelId> {
    let address = traffic::remote_vtep(vtep);
    topology.tunnel(crate::ids::RemoteId { vtep: VtepId(0), address })
}
