//! The devices: started ports, the packet buffers that they use, and the EAL beneath them; and host
//! interfaces, which are made by the same steps.
//!
//! Owned by the control thread.

use tracing::info;

use super::events::{Events, Happening};
use super::memory::{
    DESCRIPTORS, FOR_FLOODING, Holders, Need, POOL_CACHE, PortShape, pool_size, queue_counts,
};
use super::pools::Pools;
use super::start_error::StartError;
use crate::config::device::pci_address;
use crate::config::{Config, overrides_memory};
use crate::dpdk::eal::{self, Eal, EalArgs};
use crate::dpdk::pool::Pool;
use crate::dpdk::port::{Link, Losses, Port, PortConfig, Queues};
use crate::ids::PortId;
use crate::kernel::host_interface::{HostInterface, HostInterfaceConfig, HostInterfaceError};
use crate::kernel::netdev;
use crate::kernel::stack_silencer::StackSilencer;
use crate::topology::{DenseMap, PortFacts, Topology, narrow};

/// What EAL is to be started with.
fn eal_args(config: &Config) -> EalArgs {
    let devices = config.ports.iter().map(|port| port.device.clone());
    EalArgs {
        main_core: config.dpdk.main_core,
        worker_cores: config.dpdk.worker_cores.clone(),
        memory_mib: (!overrides_memory(&config.dpdk.eal_args)).then_some(config.dpdk.memory_mib),
        hugepages: config.dpdk.hugepages,
        pci_devices: devices.filter(|device| pci_address(device).is_some()).collect(),
        extra: config.dpdk.eal_args.clone(),
    }
}

/// A port as the control thread sees it.
pub struct PortSeat {
    /// The device.
    pub port: Port,
    /// Its link, as of the last second.
    pub link: Option<Link>,
    /// What its driver lost, as of the last second.
    pub losses: Losses,
    /// Where its frames lie.
    pool: Pool,
    _silencer: Option<StackSilencer>,
}

impl PortSeat {
    fn new(port: Port, pool: Pool) -> Self {
        let link = port.link();
        let silencer = silencer(&port);
        Self { port, link, losses: Losses::default(), pool, _silencer: silencer }
    }
}

/// Silences the kernel's IP stack on the interface that a packet socket reads.
fn silencer(port: &Port) -> Option<StackSilencer> {
    let info = port.info();
    let name = (info.driver == "net_af_packet").then(|| netdev::name_of(info.if_index?))??;
    Some(StackSilencer::new(&name))
}

/// A port that is started and not yet in use.
pub struct NewPort {
    id: PortId,
    seat: PortSeat,
    queues: Queues,
}

/// All devices. Ports are closed before pools are freed, and these before EAL is cleaned up: the
/// order of the fields.
pub struct Devices {
    /// Ports by id.
    pub ports: DenseMap<PortSeat>,
    /// The MACs and MTUs of the ports.
    pub facts: Vec<PortFacts>,
    /// The packet buffers.
    pub pools: Pools,
    /// The environment of it all.
    pub eal: Eal,
}

impl Devices {
    /// Starts EAL and every port of a configuration. Returns the ports' queues, too.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(topology: &Topology) -> Result<(Self, Vec<(PortId, Queues)>), StartError> {
        let config = topology.config();
        let eal = eal::init(&eal_args(config))?;
        let probe = |wanted: &crate::config::Port| probe(&eal, wanted);
        let ports = config.ports.iter().map(probe).collect::<Result<Vec<_>, _>>()?;
        let pool = make_pool(&eal, config, &ports)?;
        let mut devices = Self {
            ports: DenseMap::default(),
            facts: Vec::new(),
            pools: Pools::new(pool.clone()),
            eal,
        };
        let workers = config.dpdk.worker_cores.len();
        let mut queues = Vec::new();
        for ((id, wanted), mut port) in topology.ports().zip(ports) {
            queues.push((id, start_port(workers, wanted, &mut port, &pool)?));
            devices.facts.push(facts(&port));
            devices.ports.set(id.index(), PortSeat::new(port, pool.clone()));
        }
        Ok((devices, queues))
    }

    /// Opens and starts the ports that a topology has and another has not. If one fails, all are
    /// closed again.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn open(&mut self, next: &Topology, old: &Topology) -> Result<Vec<NewPort>, StartError> {
        let (config, workers) = (next.config(), next.config().dpdk.worker_cores.len());
        let mut opened: Vec<NewPort> = Vec::new();
        for (id, wanted) in next.ports_not_in(old) {
            let mut port = probe(&self.eal, wanted)?;
            let first = self.pools.first.clone();
            let seats = self.ports.iter().map(|(_, seat)| seat);
            let seats = seats.chain(opened.iter().map(|new| &new.seat));
            let share = seats.filter(|seat| seat.pool.is(&first)).map(|seat| &seat.port);
            let pool = pool_for(&self.eal, &mut self.pools, config, wanted, &port, share)?;
            let queues = start_port(workers, wanted, &mut port, &pool)?;
            opened.push(NewPort { id, seat: PortSeat::new(port, pool), queues });
        }
        Ok(opened)
    }

    /// The MACs and MTUs of the ports with those that are new.
    #[must_use]
    pub fn facts_with(&self, next: &Topology, new: &[NewPort]) -> Vec<PortFacts> {
        let mut all = self.facts.clone();
        all.resize(next.port_slots().max(all.len()), PortFacts::NONE);
        for NewPort { id, seat, .. } in new {
            all[id.index()] = facts(&seat.port);
        }
        all
    }

    /// Takes new ports into use; returns their queues.
    pub fn add(&mut self, next: &Topology, new: Vec<NewPort>) -> Vec<(PortId, Queues)> {
        self.facts = self.facts_with(next, &new);
        let add = |NewPort { id, seat, queues }| {
            if let Some(port) = next.port(id) {
                info!(port = port.name, device = port.device, "port added");
            }
            self.ports.set(id.index(), seat);
            (id, queues)
        };
        new.into_iter().map(add).collect()
    }

    /// Closes a port of a topology.
    pub fn close(&mut self, topology: &Topology, id: PortId) {
        drop(self.ports.take(id.index()));
        if let Some(port) = topology.port(id) {
            info!(port = port.name, device = port.device, "port removed");
        }
    }

    /// Every second: the links, and what drivers lost.
    pub fn watch(&mut self, topology: &Topology, events: &Events) {
        self.pools.tidy();
        for (id, seat) in self.ports.iter_mut() {
            let link = seat.port.link();
            let is_up = |link: Option<Link>| link.is_some_and(|link| link.up);
            if is_up(link) != is_up(seat.link)
                && let Some(port) = topology.port(PortId(narrow(id))).map(|port| port.name.clone())
            {
                let up = is_up(link);
                info!(port, up, "link");
                events.tell(match up {
                    true => Happening::PortUp { port },
                    false => Happening::PortDown { port },
                });
            }
            seat.link = link;
            seat.losses = seat.port.losses().unwrap_or(seat.losses);
        }
    }
}

fn probe(eal: &Eal, wanted: &crate::config::Port) -> Result<Port, StartError> {
    Port::probe(eal, &wanted.device)
        .map_err(|source| StartError::Port { name: wanted.name.clone(), source })
}

fn queues_of(workers: usize, config: &crate::config::Port, port: &Port) -> (u16, u16) {
    let info = port.info();
    queue_counts(workers, config.queues, (info.max_rx_queues, info.max_tx_queues))
}

/// The pool: computed from what can hold a buffer at the same time, not guessed.
fn make_pool(eal: &Eal, config: &Config, ports: &[Port]) -> Result<Pool, StartError> {
    let workers = config.dpdk.worker_cores.len();
    let shape = |(wanted, port): (&crate::config::Port, &Port)| {
        let (rx, tx) = queues_of(workers, wanted, port);
        let is_nic = pci_address(&wanted.device).is_some();
        PortShape { rx, tx, room: port.buffer_room(wanted.mtu), is_nic }
    };
    let shapes: Vec<_> = config.ports.iter().zip(ports).map(shape).collect();
    let need = Need::of(config, &shapes);
    if !need.is_met_by(config) {
        return Err(StartError::Memory(Box::new(need)));
    }
    Ok(Pool::new(eal, "frames", need.buffers, POOL_CACHE, need.room, -1)?)
}

/// The pool for a port that comes while the switch runs: that of the start if it has room for the
/// port's rings beside those of the ports that `share` it, else another.
fn pool_for<'a>(
    eal: &Eal,
    pools: &mut Pools,
    config: &Config,
    wanted: &crate::config::Port,
    port: &Port,
    share: impl Iterator<Item = &'a Port>,
) -> Result<Pool, StartError> {
    let workers = config.dpdk.worker_cores.len();
    let own = queues_of(workers, wanted, port);
    let room = port.buffer_room(wanted.mtu).max(2048);
    let of_others = share.map(|port| (port.info().rx_queues, port.info().tx_queues));
    let held = Holders::of(workers, of_others.chain([own]), config.vteps.len()).total();
    let kept = config.dpdk.packet_buffers.map_or(0, |buffers| buffers as usize);
    if held.max(kept) <= pools.first.capacity() && room <= pools.first.data_room() {
        return Ok(pools.first.clone());
    }
    // Copies of flooded frames come from the first pool.
    let own = Holders::of(workers, [own].into_iter(), 0).total() - FOR_FLOODING;
    Ok(pools.another(eal, pool_size(own), room)?)
}

/// Configures and starts a port.
fn start_port(
    workers: usize,
    wanted: &crate::config::Port,
    port: &mut Port,
    pool: &Pool,
) -> Result<Queues, StartError> {
    let (rx_queues, tx_queues) = queues_of(workers, wanted, port);
    let config = PortConfig {
        rx_queues,
        tx_queues,
        rx_descriptors: DESCRIPTORS,
        tx_descriptors: DESCRIPTORS,
        mtu: wanted.mtu,
        pool: pool.clone(),
    };
    port.configure(&config)
        .and_then(|()| port.start())
        .map_err(|source| StartError::Port { name: wanted.name.clone(), source })
}

/// The TAP of a VTEP.
pub(super) fn host_interface(
    topology: &Topology,
    vtep: &crate::topology::Vtep,
    facts: &[PortFacts],
) -> Result<HostInterface, HostInterfaceError> {
    HostInterface::create(HostInterfaceConfig {
        name: topology.underlay_of(vtep).host_interface.clone(),
        mac: topology.vtep_mac(vtep, facts),
        address: vtep.address,
        prefix_len: vtep.prefix_len,
        mtu: facts[topology.uplink_of(vtep).index()].mtu.into(),
    })
}

/// What a started port turned out to be.
fn facts(port: &Port) -> PortFacts {
    PortFacts { mac: port.info().mac, mtu: port.info().mtu }
}
