//! The queues of one capture: records go round between the threads that record and the one that reads.
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

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;

use super::selection::{CapturePoint, Selection};
use crate::datapath::verdict::Verdict;
use crate::ids::{NetworkId, PortId};
use crate::table::PackedDestination;

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
pub(super) struct Counts {
    pub no_room: AtomicU64,
    pub over_budget: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
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
    pub(super) filter: Option<Filter>,
    pub(super) snaplen: usize,
    free: ArrayQueue<Box<Record>>,
    filled: ArrayQueue<Box<Record>>,
    pub(super) counts: Box<[CachePadded<Counts>]>,
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
    pub(super) fn take_free(&self) -> Option<Box<Record>> {
        // Why not the last ones: see the head of the file.
        if self.free.len() > self.counts.len() { self.free.pop() } else { None }
    }

    /// Queues a record for whoever reads, by the thread that took it.
    pub(super) fn put(&self, record: Box<Record>) {
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
    pub point: CapturePoint,
    /// The port: that it came by, leaves by, or was dropped at.
    pub port: PortId,
    /// Its network, or [`NetworkId::NONE`].
    pub network: NetworkId,
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
    pub(super) place: usize,
    pub(super) is_undecided: bool,
    /// It is for whoever reads: what it is of turned out to be what was asked for.
    pub(super) is_wanted: bool,
}

impl Record {
    fn with_room(snaplen: usize) -> Self {
        Self {
            point: CapturePoint::Received,
            port: PortId(0),
            network: NetworkId::NONE,
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
