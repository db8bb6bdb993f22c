//! The memory that a configuration needs: computed from what can hold a packet buffer at the same time, in one
//! place for who makes the pool (`devices`) and for who says beforehand whether it will fit
//! ([`doctor`](crate::doctor)).
//!
//! Two kinds. What DPDK gets (`memory-mib`, in hugepages unless they are off): packet buffers, and what EAL and the
//! drivers need. And ordinary memory: the FDB, the queues of learn events and the counters.

use super::learner::EVENT_QUEUE_LEN;
use crate::config::{Config, device};
use crate::datapath::io::LearnEvent;
use crate::datapath::vector::BURST;
use crate::metrics::counters;
use crate::table::fdb;
use crate::words::count;

/// Buffers that each lcore keeps aside for itself.
pub const POOL_CACHE: u32 = 256;
/// Frames that wait between two workers, or between the control thread and a worker, at most.
pub const FRAME_QUEUE_LEN: usize = 1024;
/// Descriptors of each receive and transmit queue.
pub const DESCRIPTORS: u16 = 1024;
/// What a buffer costs beside its data: mbuf, mempool header, headroom; in bytes.
const BUFFER_OVERHEAD: u64 = 320;
/// What EAL and the drivers need of memory-mib beside the buffers.
pub const OTHER_MIB: u64 = 24;
/// Buffers for copies of flooded frames.
pub const FOR_FLOODING: usize = 4096;
/// The least room of a buffer, in bytes: an MTU of 1500, and what drivers round it up to.
const LEAST_ROOM: u16 = 2048;
/// The MTU of a device that is not told another.
const USUAL_MTU: u16 = 1500;
const MIB: u64 = 1 << 20;

/// What a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortShape {
    /// Receive queues.
    pub rx: u16,
    /// Transmit queues.
    pub tx: u16,
    /// How long frames its buffers must hold, in bytes.
    pub room: u16,
}

/// Receive and transmit queues to ask a port for: one of each per worker, unless configured, and no more than the
/// device has.
#[must_use]
pub fn queue_counts(workers: usize, configured: Option<u16>, most: (u16, u16)) -> (u16, u16) {
    let workers = u16::try_from(workers).unwrap_or(u16::MAX);
    (configured.unwrap_or(workers).min(most.0).max(1), workers.min(most.1).max(1))
}

/// Who can hold packet buffers at the same time, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders {
    /// The devices' rings.
    pub rings: usize,
    /// The workers and the control thread, in their caches and hands.
    pub workers: usize,
    /// Queues between workers, and to and from host interfaces.
    pub queues: usize,
    /// Copies of flooded frames.
    pub flooding: usize,
}

impl Holders {
    /// Of ports with so many receive and transmit queues.
    #[must_use]
    pub fn of(workers: usize, ports: impl Iterator<Item = (u16, u16)>, vteps: usize) -> Self {
        let (mut count, mut rings) = (0, 0);
        for (rx, tx) in ports {
            count += 1;
            rings += usize::from(rx + tx) * usize::from(DESCRIPTORS);
        }
        let in_worker = POOL_CACHE as usize * 3 / 2 + BURST * (count + 2);
        Self {
            rings,
            // One lcore cache more: the control thread's.
            workers: in_worker * (workers + 1),
            queues: FRAME_QUEUE_LEN * (2 * vteps + count * (workers - 1)),
            flooding: FOR_FLOODING,
        }
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rings + self.workers + self.queues + self.flooding
    }
}

/// A mempool is smallest with a power of two minus one (DPDK Programmer's Guide).
#[must_use]
pub fn pool_size(least: usize) -> u32 {
    u32::try_from((least + 1).next_power_of_two() - 1).unwrap_or(u32::MAX)
}

/// What a configuration needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Who holds buffers.
    pub holders: Holders,
    /// Packet buffers.
    pub buffers: u32,
    /// How long frames each of them holds, in bytes.
    pub room: u16,
    /// More buffers were asked for (`packet-buffers`) than can be held.
    pub is_asked_for: bool,
}

impl Need {
    /// Of ports like these.
    #[must_use]
    pub fn of(config: &Config, ports: &[PortShape]) -> Self {
        let workers = config.dpdk.worker_cores.len();
        let queues = ports.iter().map(|port| (port.rx, port.tx));
        let holders = Holders::of(workers, queues, config.vteps.len());
        let wanted = config.dpdk.packet_buffers.and_then(|count| usize::try_from(count).ok());
        let room = ports.iter().map(|port| port.room).max().unwrap_or(0).max(LEAST_ROOM);
        let least = holders.total().max(wanted.unwrap_or(0));
        let is_asked_for = least > holders.total();
        Self { holders, buffers: pool_size(least), room, is_asked_for }
    }

    /// Before any device was opened. `mtu_of` is the MTU of a kernel interface. Where only the device knows how
    /// many queues it has, it is taken to have enough: the need is then an upper bound.
    #[must_use]
    pub fn foreseen(config: &Config, mtu_of: impl Fn(&str) -> Option<u16>) -> Self {
        let workers = config.dpdk.worker_cores.len();
        let shape = |port: &crate::config::Port| {
            let most = device::max_queues(&port.device).unwrap_or((u16::MAX, u16::MAX));
            let (rx, tx) = queue_counts(workers, port.queues, most);
            let of_interface =
                || device::interfaces_needed(&port.device).first().and_then(|name| mtu_of(name));
            let mtu = port.mtu.or_else(of_interface).unwrap_or(USUAL_MTU);
            let driver = device::driver(&port.device).unwrap_or_default();
            let room = device::buffer_room(driver, device::ring_slot(&port.device), mtu);
            PortShape { rx, tx, room }
        };
        Self::of(config, &config.ports.iter().map(shape).collect::<Vec<_>>())
    }

    /// The packet buffers, in MiB.
    #[must_use]
    pub fn pool_mib(&self) -> u64 {
        (u64::from(self.buffers) * (u64::from(self.room) + BUFFER_OVERHEAD)).div_ceil(MIB)
    }

    /// The least `memory-mib`.
    #[must_use]
    pub fn dpdk_mib(&self) -> u64 {
        self.pool_mib() + OTHER_MIB
    }

    /// What the buffers are for, in words.
    #[must_use]
    pub fn user(&self, config: &Config) -> String {
        if self.is_asked_for {
            return "packet-buffers".to_owned();
        }
        let ports = count(config.ports.len(), "port");
        let workers = count(config.dpdk.worker_cores.len(), "worker");
        format!("the queues of {ports} and {workers}")
    }
}

/// Ordinary memory beside that of DPDK, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinary {
    /// The FDB when it is full, and grows to that size.
    pub fdb_mib: u64,
    /// Queues of learn events, one for each worker.
    pub events_mib: u64,
    /// Counters: addresses; only the pages of ports and networks that there are take memory.
    pub counters_mib: u64,
}

impl Ordinary {
    /// Of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let workers = config.dpdk.worker_cores.len();
        let mib = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(MIB);
        // A slot of the queue has a stamp of its own (crossbeam's `ArrayQueue`).
        let event = size_of::<LearnEvent>() + size_of::<usize>();
        Self {
            fdb_mib: mib(config.fdb_capacity.saturating_mul(fdb::BYTES_PER_ENTRY)),
            events_mib: mib(EVENT_QUEUE_LEN * event * workers),
            counters_mib: mib(counters::BYTES * (workers + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn parsed(more: &str) -> Config {
        let text = format!(
            "[dpdk]\nworker-cores = [1, 2]\n{more}[[port]]\nname = \"up\"\ndevice = \"0000:01:00.0\"\n\
             [[port]]\nname = \"a\"\ndevice = \"net_af_packet0,iface=veth-a\"\n\
             [[vtep]]\nname = \"v\"\nport = \"up\"\naddress = \"198.51.100.1/24\"\nhost-interface = \"v0\"\n\
             [[network]]\nname = \"n\"\nvni = 5\nvtep = \"v\"\nremote-vteps = []\n[[network.port]]\nport = \"a\"\n"
        );
        config::parse("test", &text).unwrap()
    }

    #[test]
    fn the_need_is_the_sum_of_what_can_be_held() {
        let need = Need::foreseen(&parsed(""), |_| Some(1500));
        // The NIC: two queues each way; the packet socket: one each way.
        assert_eq!(need.holders.rings, 6 * 1024);
        assert_eq!(need.holders.workers, 3 * (384 + 64 * 4));
        assert_eq!(need.holders.queues, 1024 * (2 + 2));
        assert_eq!((need.buffers, need.room, need.is_asked_for), (16383, 2048, false));
        assert_eq!(need.pool_mib(), (16383 * (2048 + 320_u64)).div_ceil(1 << 20));
        assert_eq!(need.dpdk_mib(), need.pool_mib() + OTHER_MIB);
    }

    #[test]
    fn long_frames_and_more_buffers_need_more() {
        let usual = Need::foreseen(&parsed(""), |_| Some(1500));
        let jumbo = Need::foreseen(&parsed(""), |_| Some(9000));
        assert_eq!(jumbo.buffers, usual.buffers);
        assert_eq!(jumbo.room, 9 * 1024);
        let asked = Need::foreseen(&parsed("packet-buffers = 100000\n"), |_| None);
        assert_eq!((asked.buffers, asked.is_asked_for), (131_071, true));
        assert!(asked.user(&parsed("")).contains("packet-buffers"));
        assert_eq!(usual.user(&parsed("")), "the queues of 2 ports and 2 workers");
    }

    #[test]
    fn the_fdb_is_counted_at_capacity() {
        let ordinary = Ordinary::of(&parsed(""));
        assert_eq!(ordinary.fdb_mib, 65);
        assert!(ordinary.events_mib > 8 && ordinary.counters_mib > 100, "{ordinary:?}");
    }
}
