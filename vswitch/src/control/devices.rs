//! From the configuration to started ports, a pool of the right size, and host interfaces: the steps that touch
//! devices. Called on the control thread, at the start by [`super::switch`] and for what comes later by
//! [`super::change`].

use super::generations::{PortFacts, Topology};
use super::host_interface::{HostInterface, HostInterfaceConfig, HostInterfaceError};
use super::pools::{POOL_CACHE, Pools};
use super::switch::StartError;
use super::wiring::FRAME_QUEUE_LEN;
use crate::config::Config;
use crate::datapath::vector::BURST;
use crate::dpdk::device::pci_address;
use crate::dpdk::eal::{Eal, EalArgs};
use crate::dpdk::pool::Pool;
use crate::dpdk::port::{Port, PortConfig, Queues};

/// What EAL is to be started with.
pub(super) fn eal_args(config: &Config) -> EalArgs {
    let devices = config.ports.iter().map(|port| port.device.clone());
    EalArgs {
        main_core: config.dpdk.main_core,
        worker_cores: config.dpdk.worker_cores.clone(),
        memory_mib: config.dpdk.memory_mib,
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

/// Receive and transmit queues to ask a port for: one of each per worker, unless configured.
fn queue_counts(workers: usize, config: &crate::config::Port, port: &Port) -> (u16, u16) {
    let workers = u16::try_from(workers).unwrap_or(u16::MAX);
    let (wanted, info) = (config.queues.unwrap_or(workers), port.info());
    (wanted.min(info.max_rx_queues).max(1), workers.min(info.max_tx_queues).max(1))
}

const DESCRIPTORS: u16 = 1024;
/// What a buffer costs beside its data: mbuf, mempool header, headroom.
const BUFFER_OVERHEAD: u64 = 320;
/// What EAL and the drivers need of memory-mib beside the buffers.
const OTHER_MIB: u64 = 24;

/// Buffers for copies of flooded frames.
const FOR_FLOODING: usize = 4096;

/// How many buffers can be held at the same time: by the rings of ports with so many receive and transmit queues, by the
/// workers and the control thread, in queues between them, and by flooding.
fn holders(workers: usize, ports: impl Iterator<Item = (u16, u16)>, vteps: usize) -> usize {
    let (mut count, mut in_devices) = (0, 0);
    for (rx, tx) in ports {
        count += 1;
        in_devices += usize::from(rx + tx) * usize::from(DESCRIPTORS);
    }
    let in_worker = POOL_CACHE as usize * 3 / 2 + BURST * (count + 2);
    let in_queues = FRAME_QUEUE_LEN * (2 * vteps + count * (workers - 1));
    // One lcore cache more: the control thread's.
    in_devices + in_worker * (workers + 1) + in_queues + FOR_FLOODING
}

/// A mempool is smallest with a power of two minus one (DPDK Programmer's Guide).
fn pool_size(least: usize) -> u32 {
    u32::try_from((least + 1).next_power_of_two() - 1).unwrap_or(u32::MAX)
}

/// The pool: computed from what can hold a buffer at the same time, not guessed.
pub(super) fn make_pool(eal: &Eal, config: &Config, ports: &[Port]) -> Result<Pool, StartError> {
    let workers = config.dpdk.worker_cores.len();
    let queues = |(index, port): (usize, &Port)| queue_counts(workers, &config.ports[index], port);
    let holders = holders(workers, ports.iter().enumerate().map(queues), config.vteps.len());
    let wanted = config.dpdk.packet_buffers.and_then(|buffers| usize::try_from(buffers).ok());
    let least = holders.max(wanted.unwrap_or(0));
    let buffers = pool_size(least);
    let room = |(index, port): (usize, &Port)| port.buffer_room(config.ports[index].mtu);
    let room = ports.iter().enumerate().map(room).max().unwrap_or(0).max(2048);
    let need =
        (u64::from(buffers) * (u64::from(room) + BUFFER_OVERHEAD)).div_ceil(1 << 20) + OTHER_MIB;
    let have = config.dpdk.memory_mib;
    if u64::from(have) < need {
        let user = if wanted.is_some_and(|wanted| wanted > holders) {
            "packet-buffers".to_owned()
        } else {
            format!("the queues of {} ports and {workers} workers", ports.len())
        };
        return Err(StartError::Memory { have, need, user, buffers, room });
    }
    Ok(Pool::new(eal, "frames", buffers, POOL_CACHE, room, -1)?)
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
    let own = queue_counts(workers, wanted, port);
    let room = port.buffer_room(wanted.mtu).max(2048);
    let of_others = share.map(|port| (port.info().rx_queues, port.info().tx_queues));
    let held = holders(workers, of_others.chain([own]), config.vteps.len());
    let kept = config.dpdk.packet_buffers.map_or(0, |buffers| buffers as usize);
    if held.max(kept) <= pools.first.capacity() && room <= pools.first.data_room() {
        return Ok(pools.first.clone());
    }
    // Copies of flooded frames come from the first pool.
    let own = holders(workers, [own].into_iter(), 0) - FOR_FLOODING;
    Ok(pools.another(eal, pool_size(own), room)?)
}

/// Configures and starts a port.
pub(super) fn start_port(
    workers: usize,
    wanted: &crate::config::Port,
    port: &mut Port,
    pool: &Pool,
) -> Result<Queues, StartError> {
    let (rx_queues, tx_queues) = queue_counts(workers, wanted, port);
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
    vtep: &crate::config::Vtep,
    facts: &[PortFacts],
) -> Result<HostInterface, HostInterfaceError> {
    HostInterface::create(HostInterfaceConfig {
        name: vtep.host_interface.clone(),
        mac: topology.vtep_mac(vtep, facts),
        address: vtep.address,
        prefix_len: vtep.prefix_len,
        mtu: facts[vtep.port.index()].mtu.into(),
    })
}
