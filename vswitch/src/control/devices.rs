//! From the configuration to started ports, a pool of the right size, and host interfaces: the steps that touch
//! devices. Called on the control thread, at the start by [`super::switch`] and for what comes later by
//! [`super::change`].

use super::memory::{
    DESCRIPTORS, FOR_FLOODING, Holders, Need, POOL_CACHE, PortShape, pool_size, queue_counts,
};
use super::pools::Pools;
use super::start_error::StartError;
use crate::config::device::pci_address;
use crate::config::{Config, overrides_memory};
use crate::dpdk::eal::{Eal, EalArgs};
use crate::dpdk::pool::Pool;
use crate::dpdk::port::{Port, PortConfig, Queues};
use crate::kernel::host_interface::{HostInterface, HostInterfaceConfig, HostInterfaceError};
use crate::topology::{PortFacts, Topology};

/// What EAL is to be started with.
pub(super) fn eal_args(config: &Config) -> EalArgs {
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

/// Finds every port's device.
pub(super) fn probe(eal: &Eal, config: &Config) -> Result<Vec<Port>, StartError> {
    let probe = |port: &crate::config::Port| {
        Port::probe(eal, &port.device)
            .map_err(|source| StartError::Port { name: port.name.clone(), source })
    };
    config.ports.iter().map(probe).collect()
}

fn queues_of(workers: usize, config: &crate::config::Port, port: &Port) -> (u16, u16) {
    let info = port.info();
    queue_counts(workers, config.queues, (info.max_rx_queues, info.max_tx_queues))
}

/// The pool: computed from what can hold a buffer at the same time, not guessed.
pub(super) fn make_pool(eal: &Eal, config: &Config, ports: &[Port]) -> Result<Pool, StartError> {
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

/// The pool for a port that comes while the switch runs: that of the start if it has room for the port's rings beside
/// those of the ports that `share` it, else another.
pub(super) fn pool_for<'a>(
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
pub(super) fn start_port(
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
pub fn facts(port: &Port) -> PortFacts {
    PortFacts { mac: port.info().mac, mtu: port.info().mtu }
}
