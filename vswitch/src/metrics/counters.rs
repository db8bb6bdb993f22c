//! The counters of one worker (or of the control thread, for the host's frames).
//!
//! # Thread safety
//! [`new`] makes a [`Counters`], which alone can add and is neither `Sync` nor `Clone`, and a
//! [`CountersView`], which any thread may read. Adding is a plain load and store (0.3 ns; a
//! `fetch_add` takes 5): there is one writer, and its cache lines are written by nobody else.
//!
//! # Conservation
//! A [`Ledger`] says for every frame where it came from and where it went. It is kept apart from the
//! detailed counters and published whole at the end of each turn of a worker's loop, under a
//! sequence number, so that a reader never sees half a turn.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::counter::{Counter, Line};
use super::histogram::{Buckets, Totals};
use super::zeroed::{Zeroed, ZeroedSlice};
use crate::ids::{NetworkId, PortId, VtepId};
use crate::metrics::drop_reason::DropReason;

/// Where drops are counted: a port by itself, or a network on its VTEP's uplink. A tenant port
/// stands for itself and its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Site(u32);

impl Site {
    /// The site of a port.
    #[inline(always)]
    #[must_use]
    pub fn port(port: PortId) -> Self {
        Self(u32::from(port.0))
    }

    /// The site of a network on its uplink.
    #[inline(always)]
    #[must_use]
    pub fn network(network: NetworkId) -> Self {
        Self((1 << u16::BITS) + u32::from(network.0))
    }

    /// What it is the site of.
    #[must_use]
    pub fn place(self) -> Place {
        #[allow(clippy::cast_possible_truncation, reason = "the index is in the low 16 bits")]
        let index = self.0 as u16;
        if self.0 >> u16::BITS == 0 {
            Place::Port(PortId(index))
        } else {
            Place::Network(NetworkId(index))
        }
    }
}

/// See [`Site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port.
    Port(PortId),
    /// A network on its VTEP's uplink.
    Network(NetworkId),
}

/// Every index has its counters from the start, so that what comes while the switch runs finds them there.
const INDICES: usize = 1 << u16::BITS;

#[derive(Debug)]
#[repr(align(64))]
struct PortCounters {
    receive_packets: Counter,
    receive_bytes: Counter,
    transmit_packets: Counter,
    transmit_bytes: Counter,
}

#[derive(Debug)]
#[repr(align(64))]
struct SiteDrops([Counter; DropReason::COUNT]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct LoopCounters {
    turns: Counter,
    busy_cycles: Counter,
    idle_cycles: Counter,
    learn_events: Counter,
    learn_events_lost: Counter,
    /// Of 1, 2, 4, … 64 frames at most.
    bursts: Buckets<8>,
    /// Below 1, 2, 4, … 16,384 µs, and above.
    busy_turns: Buckets<16>,
    /// Below 64 µs (not counted here: they are the rest), 128, 256, … 16,384 µs, and above.
    idle_turns: Buckets<10>,
}

/// The bound of the first bucket of [`LoopTotals::busy_turns`], in seconds.
const FIRST_TURN_BOUND: f64 = 1e-6;

/// The bits of the microseconds below which an idle turn is in the first bucket of [`LoopTotals::idle_turns`]. A loop with
/// nothing to do turns millions of times a second; one that takes so long did not have its core.
const SHORT_IDLE_BITS: u32 = 6;

/// Where every frame came from and where it went, in frames since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Came from a receive queue.
    pub received: u64,
    /// Came from the host interface.
    pub injected: u64,
    /// Came from another worker, to be transmitted.
    pub handed_in: u64,
    /// Made by flooding (copies that could not be made count here, and as dropped).
    pub replicated: u64,
    /// Taken by a transmit queue.
    pub transmitted: u64,
    /// Dropped, for whatever reason.
    pub dropped: u64,
    /// Given to the host interface.
    pub punted: u64,
    /// Given to another worker, to be transmitted.
    pub handed_out: u64,
}

const LEDGER_FIELDS: usize = 8;

impl Ledger {
    /// What came minus what went: 0, or frames have been lost without a trace (or made of nothing).
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        let came = self.received + self.injected + self.handed_in + self.replicated;
        let went = self.transmitted + self.dropped + self.punted + self.handed_out;
        came.wrapping_sub(went).cast_signed()
    }

    fn to_array(self) -> [u64; LEDGER_FIELDS] {
        [
            self.received,
            self.injected,
            self.handed_in,
            self.replicated,
            self.transmitted,
            self.dropped,
            self.punted,
            self.handed_out,
        ]
    }

    fn from_array(a: [u64; LEDGER_FIELDS]) -> Self {
        let [received, injected, handed_in, replicated, transmitted, dropped, punted, handed_out] =
            a;
        Self { received, injected, handed_in, replicated, transmitted, dropped, punted, handed_out }
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct PublishedLedger {
    sequence: AtomicU32,
    fields: [AtomicU64; LEDGER_FIELDS],
}

impl PublishedLedger {
    // A sequence lock (Boehm 2012, "Can seqlocks get along with programming language memory
    // models?"): odd while the fields are being written.
    fn store(&self, ledger: Ledger) {
        let before = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(before.wrapping_add(1), Ordering::Relaxed);
        // Orders the odd number before the fields for whoever reads a field written below.
        fence(Ordering::Release);
        for (field, value) in self.fields.iter().zip(ledger.to_array()) {
            field.store(value, Ordering::Relaxed);
        }
        self.sequence.store(before.wrapping_add(2), Ordering::Release);
    }

    fn load(&self) -> Ledger {
        loop {
            let before = self.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let fields = self.fields.each_ref().map(|f| f.load(Ordering::Relaxed));
                // Orders the fields before the second look at the number.
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    return Ledger::from_array(fields);
                }
            }
            std::hint::spin_loop();
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// By index, as all below.
    ports: ZeroedSlice<PortCounters>,
    sites: ZeroedSlice<SiteDrops>,
    replicated: ZeroedSlice<Line>,
    punted: ZeroedSlice<Line>,
    turns: LoopCounters,
    ledger: PublishedLedger,
    /// Cycles per second, of those that turns are told in.
    hz: u64,
}

/// The writing end: one worker's.
#[derive(Debug)]
pub struct Counters {
    shared: Arc<Shared>,
    ledger: Cell<Ledger>,
    /// Microseconds per cycle, times 2^64.
    micros: u64,
    /// From so many cycles on an idle turn is a long one.
    long_idle: u64,
}

/// The reading end.
#[derive(Clone, Debug)]
pub struct CountersView(Arc<Shared>);

// SAFETY: a counter is an atomic number, and zero is one.
unsafe impl Zeroed for PortCounters {}
// SAFETY: as above.
unsafe impl Zeroed for SiteDrops {}
// SAFETY: as above.
unsafe impl Zeroed for Line {}

/// Addresses that one writer's counters take, in bytes.
pub const BYTES: usize =
    INDICES * (size_of::<PortCounters>() + 2 * size_of::<SiteDrops>() + 2 * size_of::<Line>());

/// Counters for one writer who reads no clock, or one that counts nanoseconds: see [`with_clock`].
#[must_use]
pub fn new() -> (Counters, CountersView) {
    with_clock(1_000_000_000)
}

/// Counters for one writer, all zero. They reserve [some 50 MB](BYTES) of addresses, and only the
/// pages that are written to take memory. The writer's clock counts `hz` cycles per second, more
/// than a million.
#[must_use]
pub fn with_clock(hz: u64) -> (Counters, CountersView) {
    let hz = hz.max(1_000_001);
    let shared = Arc::new(Shared {
        ports: ZeroedSlice::new(INDICES),
        sites: ZeroedSlice::new(2 * INDICES),
        replicated: ZeroedSlice::new(INDICES),
        punted: ZeroedSlice::new(INDICES),
        turns: LoopCounters::default(),
        ledger: PublishedLedger::default(),
        hz,
    });
    let micros = (1_000_000_u128 << 64) / u128::from(hz);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "less than 2^64: a cycle is shorter than 1 µs"
    )]
    let (micros, writer) = (micros as u64, Arc::clone(&shared));
    let long_idle = (hz << SHORT_IDLE_BITS) / 1_000_000;
    (Counters { shared: writer, ledger: Cell::default(), micros, long_idle }, CountersView(shared))
}

impl Counters {
    #[inline(always)]
    fn ledger(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = self.ledger.get();
        change(&mut ledger);
        self.ledger.set(ledger);
    }

    /// Counts a burst from a receive queue: at least one frame.
    #[inline(always)]
    pub fn received(&self, port: PortId, packets: u64, bytes: u64) {
        // The buckets have inclusive bounds where bits() has exclusive ones.
        self.shared.turns.bursts.add(packets.wrapping_sub(1));
        let counters = &self.shared.ports[port.index()];
        counters.receive_packets.add(packets);
        counters.receive_bytes.add(bytes);
        self.ledger(|l| l.received += packets);
    }

    /// Counts frames that a transmit queue took.
    #[inline(always)]
    pub fn transmitted(&self, port: PortId, packets: u64, bytes: u64) {
        let counters = &self.shared.ports[port.index()];
        counters.transmit_packets.add(packets);
        counters.transmit_bytes.add(bytes);
        self.ledger(|l| l.transmitted += packets);
    }

    /// Counts a dropped frame.
    #[inline(always)]
    pub fn dropped(&self, site: Site, reason: DropReason) {
        self.shared.sites[site.0 as usize].0[reason.index()].add(1);
        self.ledger(|l| l.dropped += 1);
    }

    /// Counts copies made (or wanted, if they are counted as dropped too) by flooding.
    #[inline(always)]
    pub fn replicated(&self, network: NetworkId, packets: u64) {
        self.shared.replicated[network.index()].add(packets);
        self.ledger(|l| l.replicated += packets);
    }

    /// Counts a frame given to a host interface.
    #[inline(always)]
    pub fn punted(&self, vtep: VtepId) {
        self.shared.punted[vtep.index()].add(1);
        self.ledger(|l| l.punted += 1);
    }

    /// Counts frames that came from a host interface.
    #[inline(always)]
    pub fn injected(&self, packets: u64) {
        self.ledger(|l| l.injected += packets);
    }

    /// Counts frames that came from another worker.
    #[inline(always)]
    pub fn handed_in(&self, packets: u64) {
        self.ledger(|l| l.handed_in += packets);
    }

    /// Counts frames given to another worker.
    #[inline(always)]
    pub fn handed_out(&self, packets: u64) {
        self.ledger(|l| l.handed_out += packets);
    }

    /// Counts a learn event, and whether its queue had room.
    #[inline(always)]
    pub fn learn_event(&self, taken: bool) {
        let turns = &self.shared.turns;
        if taken { turns.learn_events.add(1) } else { turns.learn_events_lost.add(1) }
    }

    /// Counts a turn of the loop and its time, and publishes the ledger if the turn did something.
    #[inline(always)]
    pub fn turn(&self, cycles: u64, busy: bool) {
        let turns = &self.shared.turns;
        turns.turns.add(1);
        if busy {
            turns.busy_cycles.add(cycles);
            turns.busy_turns.add(self.micros(cycles));
            self.publish();
        } else {
            turns.idle_cycles.add(cycles);
            if cycles >= self.long_idle {
                turns.idle_turns.add(self.micros(cycles) >> SHORT_IDLE_BITS);
            }
        }
    }

    /// Whole microseconds in so many cycles.
    #[inline(always)]
    fn micros(&self, cycles: u64) -> u64 {
        let micros = (u128::from(cycles) * u128::from(self.micros)) >> 64;
        #[allow(clippy::cast_possible_truncation, reason = "a 64-bit count times less than one")]
        let micros = micros as u64;
        micros
    }

    /// Shows the ledger as it stands to readers. Between turns only.
    #[inline(always)]
    pub fn publish(&self) {
        self.shared.ledger.store(self.ledger.get());
    }
}

/// What one port has seen, in frames and bytes since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTotals {
    /// Frames received.
    pub receive_packets: u64,
    /// Bytes received, without FCS.
    pub receive_bytes: u64,
    /// Frames transmitted.
    pub transmit_packets: u64,
    /// Bytes transmitted, without FCS.
    pub transmit_bytes: u64,
}

/// What one worker's loop has done since start.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopTotals {
    /// Turns of the loop.
    pub turns: u64,
    /// TSC cycles of turns that had a frame.
    pub busy_cycles: u64,
    /// TSC cycles of turns that had none.
    pub idle_cycles: u64,
    /// Learn events sent.
    pub learn_events: u64,
    /// Learn events that found their queue full.
    pub learn_events_lost: u64,
    /// Frames in each burst that a receive queue gave, empty ones left out.
    pub bursts: Totals,
    /// Seconds that turns with a frame took.
    pub busy_turns: Totals,
    /// Seconds that turns without one took, from 64 µs on told apart.
    pub idle_turns: Totals,
}

impl CountersView {
    /// Totals of a port.
    #[must_use]
    pub fn port(&self, port: PortId) -> PortTotals {
        let c = &self.0.ports[port.index()];
        PortTotals {
            receive_packets: c.receive_packets.get(),
            receive_bytes: c.receive_bytes.get(),
            transmit_packets: c.transmit_packets.get(),
            transmit_bytes: c.transmit_bytes.get(),
        }
    }

    /// Frames dropped at a port for a reason.
    #[must_use]
    pub fn port_drops(&self, port: PortId, reason: DropReason) -> u64 {
        self.site_drops(Site::port(port), reason)
    }

    /// Frames of a network dropped on its uplink for a reason.
    #[must_use]
    pub fn network_drops(&self, network: NetworkId, reason: DropReason) -> u64 {
        self.site_drops(Site::network(network), reason)
    }

    fn site_drops(&self, site: Site, reason: DropReason) -> u64 {
        self.0.sites[site.0 as usize].0[reason.index()].get()
    }

    /// Frames dropped at a site, by the index of the reason.
    #[must_use]
    pub fn drops_at(&self, site: Site) -> [u64; DropReason::COUNT] {
        self.0.sites[site.0 as usize].0.each_ref().map(Counter::get)
    }

    /// Copies made for a network by flooding.
    #[must_use]
    pub fn replicated(&self, network: NetworkId) -> u64 {
        self.0.replicated[network.index()].get()
    }

    /// Frames given to a VTEP's host interface.
    #[must_use]
    pub fn punted(&self, vtep: VtepId) -> u64 {
        self.0.punted[vtep.index()].get()
    }

    /// What the loop has done.
    #[must_use]
    pub fn turns(&self) -> LoopTotals {
        let c = &self.0.turns;
        #[allow(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
        let secs = |cycles: u64| cycles as f64 / self.0.hz as f64;
        #[allow(clippy::cast_precision_loss, reason = "Prometheus' values are doubles")]
        let received = self.ledger().received as f64;
        let (turns, busy_cycles, idle_cycles) =
            (c.turns.get(), c.busy_cycles.get(), c.idle_cycles.get());
        let busy_turns = c.busy_turns.totals(FIRST_TURN_BOUND, secs(busy_cycles));
        let short_idle = f64::from(1 << SHORT_IDLE_BITS) * FIRST_TURN_BOUND;
        let mut idle_turns = c.idle_turns.totals(short_idle, secs(idle_cycles));
        let counted = busy_turns.count() + idle_turns.count();
        idle_turns.counts[0] += turns.saturating_sub(counted);
        LoopTotals {
            turns,
            busy_cycles,
            idle_cycles,
            learn_events: c.learn_events.get(),
            learn_events_lost: c.learn_events_lost.get(),
            bursts: c.bursts.totals(1.0, received),
            busy_turns,
            idle_turns,
        }
    }

    /// The ledger as of the end of a turn.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.ledger.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_of_ports_and_networks_are_apart() {
        let (counters, view) = new();
        counters.dropped(Site::port(PortId(1)), DropReason::Runt);
        counters.dropped(Site::network(NetworkId(0)), DropReason::Runt);
        counters.dropped(Site::network(NetworkId(2)), DropReason::TransmitQueueFull);
        assert_eq!(view.port_drops(PortId(1), DropReason::Runt), 1);
        assert_eq!(view.port_drops(PortId(0), DropReason::Runt), 0);
        assert_eq!(view.network_drops(NetworkId(0), DropReason::Runt), 1);
        assert_eq!(view.network_drops(NetworkId(2), DropReason::TransmitQueueFull), 1);
    }

    #[test]
    fn the_ledger_is_seen_only_when_published() {
        let (counters, view) = new();
        counters.received(PortId(0), 2, 128);
        assert_eq!(view.ledger(), Ledger::default());
        counters.transmitted(PortId(1), 1, 64);
        counters.dropped(Site::port(PortId(0)), DropReason::Runt);
        counters.turn(10, true);
        assert_eq!((view.ledger().received, view.ledger().unaccounted()), (2, 0));
        counters.received(PortId(0), 1, 64);
        counters.publish();
        assert_eq!(view.ledger().unaccounted(), 1);
        counters.punted(VtepId(0));
        counters.replicated(NetworkId(0), 3);
        counters.handed_out(4);
        counters.publish();
        assert_eq!(view.ledger().unaccounted(), -1);
    }

    #[test]
    fn bursts_and_busy_turns_have_their_buckets() {
        let (counters, view) = with_clock(2_000_000_000);
        for packets in [1, 2, 3, 4, 5, 64] {
            counters.received(PortId(0), packets, 0);
        }
        // Half a microsecond, then 1.5 µs, 3 ms, 20 ms, and one that had nothing to do.
        for cycles in [1_000, 3_000, 6_000_000, 40_000_000] {
            counters.turn(cycles, true);
        }
        counters.turn(77, false);
        let LoopTotals { turns, bursts, busy_turns, .. } = view.turns();
        assert_eq!(bursts.bounds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
        assert_eq!(bursts.counts, [1, 1, 2, 1, 0, 0, 1, 0]);
        assert!((bursts.sum - 79.0).abs() < 1e-9, "{}", bursts.sum);
        assert_eq!((turns, busy_turns.count()), (5, 4));
        let filled = busy_turns.counts.iter().enumerate().filter(|(_, count)| **count != 0);
        // Below 1 µs, below 2 µs, below 4,096 µs, beyond 16,384 µs.
        assert_eq!(filled.map(|(bucket, _)| bucket).collect::<Vec<_>>(), [0, 1, 12, 15]);
        assert!((busy_turns.bounds[14] - 0.016_384).abs() < 1e-9, "{:?}", busy_turns.bounds);
        assert!((busy_turns.sum - 0.023_002).abs() < 1e-9, "{}", busy_turns.sum);
    }

    #[test]
    fn a_loop_that_was_held_up_shows_it_though_it_had_no_frame() {
        let (counters, view) = with_clock(2_000_000_000);
        // 50 ns, just below 64 µs, just above, 100 µs, 3 ms, 20 ms.
        for cycles in [100, 127_999, 128_100, 200_000, 6_000_000, 40_000_000] {
            counters.turn(cycles, false);
        }
        counters.turn(1_000_000, true);
        let LoopTotals { turns, busy_turns, idle_turns, .. } = view.turns();
        assert_eq!((turns, busy_turns.count(), idle_turns.count()), (7, 1, 6));
        assert_eq!(idle_turns.counts, [2, 2, 0, 0, 0, 0, 1, 0, 0, 1]);
        // The same bounds as those of busy turns, so that both can be asked for at once.
        assert_eq!(idle_turns.bounds, busy_turns.bounds[SHORT_IDLE_BITS as usize..]);
        assert!((idle_turns.sum - 0.023_228_049_5).abs() < 1e-6, "{}", idle_turns.sum);
    }

    #[test]
    fn a_reader_never_sees_half_a_turn() {
        let (counters, view) = new();
        let reader = std::thread::spawn(move || {
            let mut last = 0;
            while last < 200_000 {
                let ledger = view.ledger();
                assert_eq!(ledger.unaccounted(), 0);
                last = ledger.received;
            }
        });
        for _ in 0..200_000 {
            counters.received(PortId(0), 1, 64);
            counters.transmitted(PortId(1), 1, 64);
            counters.publish();
        }
        reader.join().unwrap();
    }
}
