//! From the configuration to started ports, a pool of the right size, and host interfaces: the steps of
//! start-up that touch devices. Called once each, by [`super::switch`], on the control thread.

use super::generations::{PortFacts, Topology};
use super::host_interface::{HostInterface, HostInterfaceConfig, HostInterfaceError};
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
/// Buffers that each lcore keeps aside for itself.
const POOL_CACHE: u32 = 256;
/// What a buffer costs beside its data: mbuf, mempool header, headroom.
const BUFFER_OVERHEAD: u64 = 320;
/// What EAL and the drivers need of memory-mib beside the buffers.
const OTHER_MIB: u64 = 24;

/// The pool: computed from what can hold a buffer at the same time, not guessed.
pub(super) fn make_pool(eal: &Eal, config: &Config, ports: &[Port]) -> Result<Pool, StartError> {
    let workers = config.dpdk.worker_cores.len();
    let in_devices: usize = ports
        .iter()
        .enumerate()
        .map(|(index, port)| {
            let (rx, tx) = queue_counts(workers, &config.ports[index], port);
            usize::from(rx + tx) * usize::from(DESCRIPTORS)
        })
        .sum();
    let in_worker = POOL_CACHE as usize * 3 / 2 + BURST * (ports.len() + 2);
    let in_queues = FRAME_QUEUE_LEN * (2 * config.vteps.len() + ports.len() * (workers - 1));
    // One lcore cache more: the control thread's. And room for flooding.
    let holders = in_devices + in_worker * (workers + 1) + in_queues + 4096;
    let wanted = config.dpdk.packet_buffers.and_then(|buffers| usize::try_from(buffers).ok());
    let least = holders.max(wanted.unwrap_or(0));
    // A mempool is smallest with a power of two minus one (DPDK Programmer's Guide).
    let buffers = u32::try_from((least + 1).next_power_of_two() - 1).unwrap_or(u32::MAX);
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

/// A pool for one more port, where that of the start has too few buffers or too small ones to spare: as many as its
/// rings can hold, and what workers keep aside.
pub(super) fn make_port_pool(
    eal: &Eal,
    config: &Config,
    wanted: &crate::config::Port,
    port: &Port,
    number: u64,
) -> Result<Pool, StartError> {
    let workers = config.dpdk.worker_cores.len();
    let (rx, tx) = queue_counts(workers, wanted, port);
    let in_device = usize::from(rx + tx) * usize::from(DESCRIPTORS);
    let buffers = in_device + POOL_CACHE as usize * 3 / 2 * (workers + 1) + 1024;
    let buffers = u32::try_from((buffers + 1).next_power_of_two() - 1).unwrap_or(u32::MAX);
    let room = port.buffer_room(wanted.mtu).max(2048);
    Ok(Pool::new(eal, &format!("frames-{number}"), buffers, POOL_CACHE, room, -1)?)
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
