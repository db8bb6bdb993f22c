//! The memory that a configuration needs: computed from what can hold a packet buffer at the same
//! time, in one place for who makes the pool (`devices`) and for who says beforehand whether it
//! will fit ([`doctor`](crate::doctor)).
//!
//! Two kinds. What DPDK gets (`memory-mib`, in hugepages unless they are off): packet buffers, and
//! what EAL and the drivers need. And ordinary memory: the FDB, the queues of learn events and the
//! counters.

use super::learner::EVENT_QUEUE_LEN;
use crate::config::{self, Config, device};
use crate::datapath::io::LearnEvent;
use crate::datapath::vector::BURST;
use crate::metrics::counters;
use crate::table::fdb;
use crate::text::count;

/// Buffers that each lcore keeps aside for itself.
pub const POOL_CACHE: u32 = 256;
/// Frames that wait between two workers, or between the control thread and a worker, at most.
pub const FRAME_QUEUE_LEN: usize = 1024;
/// Descriptors of each receive and transmit queue.
pub const DESCRIPTORS: u16 = 1024;
/// What a buffer costs beside its data: mbuf, mempool header, headroom; in bytes.
const BUFFER_OVERHEAD: u64 = 320;
/// What a mempool costs beside its buffers: caches for 128 lcores of 8 KiB each.
const POOL_BYTES: u64 = 128 * 8256;
/// And for each buffer: a place in its ring.
const PLACE_BYTES: u64 = 8;
/// The page that a buffer must lie in. (Larger hugepages waste less.)
const HUGEPAGE_BYTES: u64 = 2 << 20;
const PAGE_BYTES: u64 = 4096;
/// What EAL takes for itself. One MiB was measured (22.11, virtual devices); the rest is reserve.
const EAL_MIB: u64 = 8;
/// What a NIC's driver takes for itself, and for each queue: the longest ring that it can have, of
/// 4,096 descriptors of 32 bytes (i40e, ice), and its own notes on it. A bound, from the drivers'
/// sources.
const NIC_KIB: u64 = 4096;
const NIC_QUEUE_KIB: u64 = 512;
/// Buffers for copies of flooded frames.
pub const FOR_FLOODING: usize = 4096;
/// The least room of a buffer, in bytes: an MTU of 1500, and what drivers round it up to.
const LEAST_ROOM: u16 = 2048;
/// The MTU of a device that is not told another.
pub const USUAL_MTU: u16 = 1500;
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
    /// Its driver has rings in DPDK's memory. (Virtual devices have theirs with the kernel.)
    pub is_nic: bool,
}

/// Receive and transmit queues to ask a port for: one of each per worker, unless configured, and no
/// more than the device has.
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
    /// In hugepages.
    hugepages: bool,
    /// EAL and drivers, in KiB.
    other_kib: u64,
}

/// What a configuration needs before any device was opened. Only its driver knows how many queues a
/// NIC has: the need is then between two bounds. Without a NIC they are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// With one queue each way for each NIC.
    pub least: Need,
    /// With as many as there are workers.
    pub most: Need,
}

impl Foreseen {
    /// Of a configuration. `mtu_of` is the MTU of a port that is not configured, where it is known.
    #[must_use]
    pub fn of(config: &Config, mtu_of: impl Fn(&config::Port) -> Option<u16>) -> Self {
        let workers = config.dpdk.worker_cores.len();
        let with = |of_nic: u16| {
            let shape = |port: &config::Port| {
                let most = device::max_queues(&port.device).unwrap_or((of_nic, of_nic));
                let (rx, tx) = queue_counts(workers, port.queues, most);
                let mtu = port.mtu.or_else(|| mtu_of(port)).unwrap_or(USUAL_MTU);
                let driver = device::driver(&port.device).unwrap_or_default();
                let room = device::buffer_room(driver, device::ring_slot(&port.device), mtu);
                let is_nic = device::pci_address(&port.device).is_some();
                PortShape { rx, tx, room, is_nic }
            };
            Need::of(config, &config.ports.iter().map(shape).collect::<Vec<_>>())
        };
        Self { least: with(1), most: with(u16::MAX) }
    }
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
        let nics = ports.iter().filter(|port| port.is_nic);
        let other_kib = nics
            .map(|nic| NIC_KIB + NIC_QUEUE_KIB * (u64::from(nic.rx) + u64::from(nic.tx)))
            .sum::<u64>();
        Self {
            holders,
            buffers: pool_size(least),
            room,
            is_asked_for,
            hugepages: config.dpdk.hugepages,
            other_kib: EAL_MIB * 1024 + other_kib,
        }
    }

    /// The packet buffers, in MiB.
    #[must_use]
    pub fn pool_mib(&self) -> u64 {
        // Whole cache lines, an odd number of them (`optimize_object_size`). None lies across two
        // pages that it fits into (`rte_mempool_op_populate_helper`): of pages of 4 KiB that is one
        // each. Longer ones lie side by side.
        let lines = (u64::from(self.room) + BUFFER_OVERHEAD).div_ceil(64) | 1;
        let (each, count) = (lines * 64, u64::from(self.buffers));
        let page = if self.hugepages { HUGEPAGE_BYTES } else { PAGE_BYTES };
        let bytes = match page / each {
            0 => count * each,
            in_page => count.div_ceil(in_page) * page,
        };
        (bytes + count * PLACE_BYTES + POOL_BYTES).div_ceil(MIB)
    }

    /// EAL and drivers, in MiB.
    #[must_use]
    pub fn other_mib(&self) -> u64 {
        self.other_kib.div_ceil(1024)
    }

    /// The least `memory-mib`.
    #[must_use]
    pub fn dpdk_mib(&self) -> u64 {
        self.pool_mib() + self.other_mib()
    }

    /// Whether `memory-mib` suffices, or EAL's arguments say how much memory to take.
    #[must_use]
    pub fn is_met_by(&self, config: &Config) -> bool {
        let dpdk = &config.dpdk;
        u64::from(dpdk.memory_mib) >= self.dpdk_mib() || config::overrides_memory(&dpdk.eal_args)
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
    use crate::config::{self, sample};

    fn parsed(more: &str) -> Config {
        let text = format!("[dpdk]\nworker-cores = [1, 2]\n{more}")
            + &sample::port("up", "0000:01:00.0")
            + &sample::port("a", "net_af_packet0,iface=veth-a")
            + &sample::vtep("v", "up", 1)
            + &sample::network("n", 5, "vtep = \"v\"", &["a"]);
        config::parse("test", &text).unwrap()
    }

    fn most(more: &str, mtu: Option<u16>) -> Need {
        Foreseen::of(&parsed(more), |_| mtu).most
    }

    #[test]
    fn the_need_is_the_sum_of_what_can_be_held() {
        let need = most("", Some(1500));
        // The NIC: two queues each way; the packet socket: one each way.
        assert_eq!(need.holders.rings, 6 * 1024);
        assert_eq!(need.holders.workers, 3 * (384 + 64 * 4));
        assert_eq!(need.holders.queues, 1024 * (2 + 2));
        assert_eq!((need.buffers, need.room, need.is_asked_for), (16383, 2048, false));
        // 885 of 2368 bytes in a hugepage; ring and caches.
        assert_eq!(need.pool_mib(), 19 * 2 + 2);
        assert_eq!(need.other_mib(), 8 + 4 + 2);
        assert_eq!(need.dpdk_mib(), need.pool_mib() + need.other_mib());
    }

    #[test]
    fn without_hugepages_a_buffer_takes_a_page() {
        // The least `-m` with which DPDK 22.11 made such pools, without a NIC, was 130 and 515.
        for (buffers, measured) in [(32767, 130), (131_071, 515)] {
            let more = format!("hugepages = false\npacket-buffers = {buffers}\n");
            let need = most(&more, None);
            assert_eq!(need.buffers, buffers);
            assert!((measured - 1..=measured).contains(&need.pool_mib()), "{}", need.pool_mib());
        }
        // And 151 for those that no page has room for.
        assert_eq!(most("hugepages = false\n", Some(9000)).pool_mib(), 151);
    }

    #[test]
    fn of_a_nic_only_bounds_are_known() {
        let config = parsed("");
        let Foreseen { least, most } = Foreseen::of(&config, |_| None);
        assert_eq!((least.holders.rings, most.holders.rings), (4 * 1024, 6 * 1024));
        assert!(least.dpdk_mib() < most.dpdk_mib());
        let mut without = config;
        without.ports[0].device = "net_null0".to_owned();
        let Foreseen { least, most } = Foreseen::of(&without, |_| None);
        assert_eq!(least, most);
    }

    #[test]
    fn long_frames_and_more_buffers_need_more() {
        let usual = most("", Some(1500));
        let jumbo = most("", Some(9000));
        assert_eq!(jumbo.buffers, usual.buffers);
        assert_eq!(jumbo.room, 9 * 1024);
        let asked = most("packet-buffers = 100000\n", None);
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
