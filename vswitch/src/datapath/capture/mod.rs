//! What a worker sets aside of the frames that pass: for whoever captures, and of every drop a sample.
//!
//! | file | what it owns |
//! |---|---|
//! | this one | what is looked for ([`Watch`], [`Selection`]), and the queues that take it ([`Capture`]) |
//! | [`recorder`] | what a thread does where frames come, go and end |
//! | [`budget`] | how much of a worker's time that may take |
//! | [`drops`] | the last dropped frames of each reason, on their way to the control thread |
//!
//! A generation carries the watches ([`Generation::watches`](super::generation::Generation::watches)), so workers
//! take captures up, and leave them, at their quiescent point. All memory is made beforehand: records
//! go round from the queue `free` by a worker to the queue `filled`, by the [capture's own thread](crate::capture::stream)
//! and back. A worker that finds none free counts what it could not take, and goes on.
//!
//! # Thread safety
//! The queues are crossbeam's; each thread that records has counters of its own, which others only read.
//!
//! No worker waits for the capture's thread, which the kernel may put aside at any point, also in the middle of a
//! `push`: an `ArrayQueue` has given the place away then, and a `pop` that comes to it spins until its value is there. Hence
//! two rules. Only the reader makes records free, so at most the last place in `free` is half made; a record that nobody
//! wants goes to the reader, too. And a thread takes one only if there are more than there are threads that
//! take: between that look and its `pop` each other takes one at most, so what it comes to is not the last. In
//! the other queue a `push` spins only where a place is half emptied, a whole lap behind; there are no more
//! places than records, and the one that is being taken out is missing for that lap.

pub mod budget;
pub mod drops;
pub mod recorder;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

pub use drops::DroppedFrame;
pub use recorder::Recorder;

use super::generation::{Generation, Role};
use super::verdict::Verdict;
use crate::ids::{BridgeDomain, PortId, VtepId};
use crate::metrics::drop_reason::DropReason;
use crate::table::PackedDestination;

/// The most captures at a time.
pub const MAX_CAPTURES: usize = 4;

/// Where on its way a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tap {
    /// As it came from a receive queue.
    Received,
    /// Without the outer headers that it came with.
    Decapsulated,
    /// As a transmit queue took it.
    Transmitted,
    /// As it was when it was dropped.
    Dropped,
}

impl Tap {
    /// All, in the order of a frame's journey.
    pub const ALL: [Self; 4] =
        [Self::Received, Self::Decapsulated, Self::Transmitted, Self::Dropped];

    /// Its name, for users and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Decapsulated => "decapsulated",
            Self::Transmitted => "transmitted",
            Self::Dropped => "dropped",
        }
    }
}

/// Some of the taps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taps(u8);

impl Taps {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether the tap is one of them.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, tap: Tap) -> bool {
        self.0 >> tap as u8 & 1 != 0
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Tap> for Taps {
    fn from_iter<T: IntoIterator<Item = Tap>>(taps: T) -> Self {
        Self(taps.into_iter().fold(0, |bits, tap| bits | 1 << tap as u8))
    }
}

impl std::ops::BitOr for Taps {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which frames a capture wants. What is `None` does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Where.
    pub taps: Taps,
    /// Those of a port: received there, sent there, or dropped there.
    pub port: Option<PortId>,
    /// Those of a network.
    pub domain: Option<BridgeDomain>,
    /// Those on the uplink of a VTEP.
    pub vtep: Option<VtepId>,
    /// Those that are dropped for this reason.
    pub reason: Option<DropReason>,
}

impl Selection {
    /// Whether frames at a port can be wanted, whatever their network.
    #[inline]
    fn admits_port(&self, generation: &Generation, port: PortId) -> bool {
        // A frame that was on its way to a port that is removed now is dropped by a generation that does not have it.
        let role = generation.ports.get(port.index()).map_or(Role::Unused, |port| port.role);
        self.port.is_none_or(|wanted| wanted == port)
            && self.vtep.is_none_or(|wanted| role == Role::Uplink(wanted))
            && match role {
                // A frame's network is not known before it was decapsulated.
                Role::Uplink(_) => true,
                Role::Tenant(domain) => self.domain.is_none_or(|wanted| wanted == domain),
                Role::Unused => self.domain.is_none(),
            }
    }

    /// Whether a drop at such a place is wanted.
    fn admits_drop(
        &self,
        generation: &Generation,
        (port, domain): (PortId, BridgeDomain),
        reason: DropReason,
    ) -> bool {
        self.taps.has(Tap::Dropped)
            && self.admits_port(generation, port)
            && self.admits_end(domain, Verdict::Drop(reason))
    }

    fn admits_end(&self, domain: BridgeDomain, verdict: Verdict) -> bool {
        self.domain.is_none_or(|wanted| wanted == domain)
            && self.reason.is_none_or(|wanted| verdict == Verdict::Drop(wanted))
    }
}

/// A capture in a generation.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What it wants, in this generation's indices.
    pub selection: Selection,
    /// Where it goes.
    pub capture: Arc<Capture>,
}

/// Says whether a frame is wanted.
pub type Test = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A compiled filter.
pub struct Filter {
    /// The program.
    pub test: Test,
    /// How many instructions it has: what it costs.
    pub instructions: u32,
}

/// What a capture could not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// No record was free: whoever reads is slower than the frames come.
    pub no_room: u64,
    /// Not looked at, or not copied: it would have slowed forwarding by more than is allowed.
    pub over_budget: u64,
}

impl Missed {
    /// Both.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.no_room + self.over_budget
    }
}

/// The counters of one thread. Written by it alone.
#[derive(Debug, Default)]
struct Counts {
    no_room: AtomicU64,
    over_budget: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// How far a capture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Frames come.
    Running,
    /// Nobody wants more; workers may not know yet.
    Ending,
    /// No worker knows of it any more: what is in the queue is all.
    Drained,
}

/// The queues of one capture.
pub struct Capture {
    filter: Option<Filter>,
    snaplen: usize,
    free: ArrayQueue<Box<Record>>,
    filled: ArrayQueue<Box<Record>>,
    counts: Box<[CachePadded<Counts>]>,
    phase: AtomicU8,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { snaplen, free, .. } = self;
        f.debug_struct("Capture")
            .field("snaplen", snaplen)
            .field("free", &free.len())
            .finish_non_exhaustive()
    }
}

impl Capture {
    /// Makes the queues, and all their memory: `records` of `snaplen` bytes, for so many threads that record.
    #[must_use]
    pub fn new(filter: Option<Filter>, snaplen: usize, records: usize, threads: usize) -> Self {
        // Those that stay where they are: see `take_free`.
        let records = records + threads;
        let (free, filled) = (ArrayQueue::new(records), ArrayQueue::new(records));
        for _ in 0..records {
            // There is room: the queue is as long as the loop.
            let _ = free.push(Box::new(Record::with_room(snaplen)));
        }
        let counts = std::iter::repeat_with(Default::default).take(threads).collect();
        let phase = AtomicU8::new(Phase::Running as u8);
        Self { filter, snaplen, free, filled, counts, phase }
    }

    /// A record for a frame, by a thread that records; none if whoever reads is slower than the frames come.
    fn take_free(&self) -> Option<Box<Record>> {
        // Why not the last ones: see the head of the file.
        if self.free.len() > self.counts.len() { self.free.pop() } else { None }
    }

    /// Queues a record for whoever reads, by the thread that took it.
    fn put(&self, record: Box<Record>) {
        // Never full: there are as many places as records.
        let _ = self.filled.push(record);
    }

    /// The next frame that was taken. Give it [back](Self::give_back).
    #[must_use]
    pub fn next(&self) -> Option<Box<Record>> {
        loop {
            let record = self.filled.pop()?;
            if record.is_wanted {
                return Some(record);
            }
            self.give_back(record);
        }
    }

    /// Makes a record free. For the one thread that reads.
    pub fn give_back(&self, record: Box<Record>) {
        // Never full: there are as many places as records.
        let _ = self.free.push(record);
    }

    /// The most bytes of a frame that it keeps.
    #[must_use]
    pub fn snaplen(&self) -> usize {
        self.snaplen
    }

    /// How many records are neither free nor filled: on their way, in somebody's hands.
    #[must_use]
    pub fn records_in_hand(&self) -> usize {
        self.free.capacity() - self.free.len() - self.filled.len()
    }

    /// What was missed so far, by all threads.
    #[must_use]
    pub fn missed(&self) -> Missed {
        self.counts.iter().fold(Missed::default(), |sum, counts| Missed {
            no_room: sum.no_room + counts.no_room.load(Ordering::Relaxed),
            over_budget: sum.over_budget + counts.over_budget.load(Ordering::Relaxed),
        })
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        // Acquire: what workers put into the queue before they left the capture is seen.
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Ending,
            _ => Phase::Drained,
        }
    }

    /// Goes on to a later phase; never back.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Release);
    }
}

/// A frame that was taken, and what is known of it. Indices are those of its generation.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where.
    pub tap: Tap,
    /// The port: that it came by, leaves by, or was dropped at.
    pub port: PortId,
    /// Its network, or [`BridgeDomain::NONE`].
    pub domain: BridgeDomain,
    /// The port or tunnel that it came from, where that is known.
    pub origin: Option<PackedDestination>,
    /// What became of it; of a transmitted frame, [`Verdict::Forward`] to its port.
    pub verdict: Verdict,
    /// When the turn of its worker began, in nanoseconds since the start of the switch.
    pub nanos: u64,
    /// The generation of the configuration.
    pub generation: u64,
    /// Length of the whole frame in bytes.
    pub len: usize,
    /// Its first bytes.
    pub bytes: Vec<u8>,
    /// Its place in the burst, and whether its verdict is still to come.
    place: usize,
    is_undecided: bool,
    /// It is for whoever reads: what it is of turned out to be what was asked for.
    is_wanted: bool,
}

impl Record {
    fn with_room(snaplen: usize) -> Self {
        Self {
            tap: Tap::Received,
            port: PortId(0),
            domain: BridgeDomain::NONE,
            origin: None,
            verdict: Verdict::Pending,
            nanos: 0,
            generation: 0,
            len: 0,
            bytes: Vec::with_capacity(snaplen),
            place: 0,
            is_undecided: false,
            is_wanted: false,
        }
    }
}
