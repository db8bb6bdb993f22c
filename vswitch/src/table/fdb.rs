//! The forwarding table: (bridge domain, MAC) to port or tunnel. Its memory, and its lookup.
//!
//! Every key has two buckets of three slots, chosen by a keyed hash; it is in one of them, mostly in
//! its primary one. The table never grows: its memory is reserved at start-up, so no lookup and no
//! insertion ever waits for a rehash. `capacity` entries fit; the slots beyond (a fifth) are what
//! lets displacement find room.
//!
//! # Who calls it, and at what cost
//!
//! Workers look up, a burst at a time: `benches/fdb.rs` measures it. A lookup reads one cache line
//! for most hits and two for the other hits and for misses, and writes nothing shared. It
//! never waits: see `bucket.rs` for the protocol and why it is right.
//!
//! # Thread safety
//!
//! [`FdbReader`] is `Clone`, `Send` and `Sync`; the one [`FdbWriter`] is `Send` and nothing else.
//! A single lookup is linearisable. A burst is not one moment: each of its lookups has its own.

use super::bucket::{Bucket, Look};
use super::entry::{Entry, Found};
use super::hash::{Pair, Placement};
use super::key::Key;
use super::primitive::{Arc, prefetch};
use super::writer::FdbWriter;

/// The most entries that a table may be asked to hold; a larger request gets this many.
pub const MAX_CAPACITY: usize = 1 << 28;

/// Lookups that are in flight together. More would not run faster: a core keeps 10 to 16 cache misses
/// outstanding. Fewer would leave some of those idle.
const BURST: usize = 32;

/// A table for `capacity` entries, as its writer and the first of its readers.
///
/// `seed` should be [random](super::random_seed) and new at every start: it keeps tenants from aiming
/// addresses at one bucket. The memory, 27 bytes per entry, is reserved and touched here.
#[must_use]
pub fn new(capacity: usize, seed: u64) -> (FdbWriter, FdbReader) {
    let capacity = capacity.min(MAX_CAPACITY);
    // 80 % full at capacity. Two choices of three slots fill to 95 % (Fountoulakis, Khosla and
    // Panagiotou, "The Multiple-Orientability Thresholds for Random Hypergraphs", 2011) before some key
    // has no place; the margin keeps displacement short. The four more are for small tables, where
    // chance has more to say.
    let slots = capacity + capacity / 4;
    let buckets = u32::try_from(slots.div_ceil(super::bucket::SLOTS) + 4).unwrap_or(u32::MAX);
    with_buckets(capacity, buckets, seed)
}

/// As [`new`], with a given number of buckets: what tests use to make collisions certain.
pub(super) fn with_buckets(capacity: usize, buckets: u32, seed: u64) -> (FdbWriter, FdbReader) {
    let table = Arc::new(Table {
        placement: Placement::new(buckets, seed),
        buckets: reserve(buckets as usize),
    });
    (FdbWriter::new(Arc::clone(&table), capacity), FdbReader { table })
}

/// What the writer and the readers share.
pub(super) struct Table {
    placement: Placement,
    buckets: Vec<Bucket>,
}

impl Table {
    /// The two buckets of a key.
    #[inline(always)]
    pub fn places(&self, key: Key) -> Pair {
        self.placement.of(key.to_u64())
    }

    /// A bucket by its number.
    #[inline(always)]
    pub fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[number as usize]
    }

    /// How many buckets there are.
    pub fn len(&self) -> u32 {
        self.placement.buckets()
    }

    /// Looks `key` up: until it is found, or its primary bucket was the same before and after.
    fn lookup(&self, key: Key, pair: Pair) -> Found {
        let key = key.to_u64();
        let (primary, secondary) = (self.bucket(pair.primary), self.bucket(pair.secondary));
        loop {
            let version = match primary.look(key) {
                Look::Hit(found) => return found,
                Look::Changed => continue,
                Look::Absent(version) => version,
            };
            match secondary.look(key) {
                Look::Hit(found) => return found,
                Look::Changed => {}
                Look::Absent(_) if primary.unchanged_since(version) => return Found::MISS,
                Look::Absent(_) => {}
            }
        }
    }
}

/// Reads the table; any number of them, on any thread.
#[derive(Clone)]
pub struct FdbReader {
    table: Arc<Table>,
}

impl FdbReader {
    /// The entry of one key. For bursts, [`lookup_burst`](Self::lookup_burst) overlaps the cache misses.
    #[must_use]
    pub fn lookup(&self, key: Key) -> Option<Entry> {
        self.table.lookup(key, self.table.places(key)).entry()
    }

    /// The entries of many keys: `out[i]` answers `keys[i]`.
    ///
    /// Hashes all and asks for their cache lines, then looks at all, 32 at a time.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than `keys`.
    pub fn lookup_burst(&self, keys: &[Key], out: &mut [Found]) {
        let out = &mut out[..keys.len()];
        for (keys, out) in keys.chunks(BURST).zip(out.chunks_mut(BURST)) {
            self.lookup_chunk(keys, out);
        }
    }

    /// [`lookup_burst`](Self::lookup_burst) of at most [`BURST`] keys.
    #[inline(always)]
    fn lookup_chunk(&self, keys: &[Key], out: &mut [Found]) {
        let table = &*self.table;
        let mut pairs = [Pair::default(); BURST];
        for (pair, &key) in pairs.iter_mut().zip(keys) {
            *pair = table.places(key);
            prefetch(table.bucket(pair.primary));
        }

        let mut missed = 0_u32;
        for (i, ((&key, &pair), out)) in keys.iter().zip(&pairs).zip(&mut *out).enumerate() {
            match table.bucket(pair.primary).look(key.to_u64()) {
                Look::Hit(found) => *out = found,
                _ => {
                    prefetch(table.bucket(pair.secondary));
                    missed |= 1 << i;
                }
            }
        }

        // These look at the primary bucket a second time, which is close by now. To keep its version
        // instead would save that load, for state that the hits have no use for.
        while missed != 0 {
            let i = missed.trailing_zeros() as usize;
            out[i] = table.lookup(keys[i], pairs[i]);
            missed &= missed - 1;
        }
    }
}

const _: () = assert!(BURST <= u32::BITS as usize);

/// Free buckets, on huge pages where the kernel has them to give.
fn reserve(buckets: usize) -> Vec<Bucket> {
    let mut memory = Vec::with_capacity(buckets);
    advise_huge_pages(&mut memory);
    memory.resize_with(buckets, Bucket::new);
    memory
}

/// Asks the kernel to back the memory with huge pages. It must be asked before the first touch.
///
/// A table of a million entries is 27 MB: 6,700 small pages, more than any TLB holds.
#[cfg(all(target_os = "linux", not(miri), not(vswitch_loom)))]
fn advise_huge_pages(memory: &mut Vec<Bucket>) {
    const HUGE_PAGE: usize = 2 << 20;
    let spare = memory.spare_capacity_mut();
    let bytes = size_of_val(spare);
    if bytes < HUGE_PAGE {
        return;
    }
    // Whole pages only: the first and the last may hold memory of others.
    let start = spare.as_mut_ptr().cast::<u8>();
    let skip = start.align_offset(4096);
    let len = (bytes - skip) & !4095;
    // SAFETY: `skip` is below 4096 and so within the allocation of `bytes`.
    let page = unsafe { start.add(skip) };
    // SAFETY: the pages lie within an allocation that we own, and MADV_HUGEPAGE changes no byte of them.
    // A refusal (no transparent huge pages) costs speed only.
    let _ = unsafe { libc::madvise(page.cast(), len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri), not(vswitch_loom))))]
fn advise_huge_pages(_memory: &mut Vec<Bucket>) {}
