//! The forwarding table (FDB): (network, MAC) to port or tunnel.
//!
//! [`new`] makes a table as the two halves that threads own: the writer, and one reader for each worker.
//! A table begins small. When it is four fifths full, its writer makes one of twice the size beside it,
//! a little with each insertion, and [publishes](super::snapshot) the new table when it is complete
//! (`growth`). So entries lie as close together as they can, and no thread ever waits
//! for a rehash. The table does not shrink.
//!
//! # Thread safety
//!
//! A worker borrows the newest [`Table`] from its [`FdbReader`] at the start of each turn; the one
//! [`FdbWriter`] is `Send`, but neither `Sync` nor `Clone`.
//!
//! The writer leaves a table alone once it has published a larger one. So a worker that is still in the
//! turn in which that happened sees no later change until the turn ends. It may flood a frame to an
//! address learned since, or report an address again; both can also happen a moment before a change.
//! An address that is known throughout is in either table.

use super::bucket::SLOTS;
use super::lookup::Table;
use super::snapshot::{self, Reader};
use super::writer::FdbWriter;

/// The most entries that a table may be asked to hold; a larger request gets this many.
pub const MAX_CAPACITY: usize = 1 << 28;

/// The first table is no larger than this: 128 KiB, with room for 4,915 entries before it grows.
const FIRST_BUCKETS: u32 = 2048;

/// Lends the newest table; owned by one worker. Lending it is the worker's quiescent point.
pub type FdbReader = Reader<Table>;

/// What an entry of a full table takes at most, in bytes: 43, and half as much again while it grows.
pub const BYTES_PER_ENTRY: usize = 65;

/// A table for `capacity` entries, as its writer and so many readers.
///
/// `seed` should be [random](super::random_seed) and new at every start: it keeps tenants from aiming
/// addresses at one bucket.
///
/// Nothing is reserved for entries that are not there. A full table takes 43 bytes for each of `capacity`; while
/// it grows to that size, the one before it takes half as much again.
#[must_use]
pub fn new(capacity: usize, seed: u64, readers: usize) -> (FdbWriter, Vec<FdbReader>) {
    let capacity = capacity.min(MAX_CAPACITY);
    // Half full at capacity. Two choices of three slots fill to 95 % (Fountoulakis, Khosla and
    // Panagiotou, "The Multiple-Orientability Thresholds for Random Hypergraphs", 2011) before some key
    // has no place; but at 80 %, 21 % of the keys are displaced, and at half, 7 %. That is worth 16 bytes
    // per entry: a displaced key, and a miss in a bucket that has one, read a second line. The four more
    // are for small tables, where chance has more to say.
    let slots = capacity.saturating_mul(2);
    let last = u32::try_from(slots.div_ceil(SLOTS) + 4).unwrap_or(u32::MAX);
    let mut first = last;
    while first > FIRST_BUCKETS {
        first = first.div_ceil(2);
    }
    with_buckets(capacity, first, last, seed, readers)
}

/// As [`new`], with a given number of buckets at first and at last: what tests use to make collisions certain.
pub(super) fn with_buckets(
    capacity: usize,
    first: u32,
    last: u32,
    seed: u64,
    readers: usize,
) -> (FdbWriter, Vec<FdbReader>) {
    let (tables, readers) = snapshot::channel(Box::new(Table::new(first, seed)), readers);
    (FdbWriter::new(tables, last, seed, capacity), readers)
}
