//! The forwarding table: (bridge domain, MAC) to port or tunnel. Its memory, and its lookup.
//!
//! Every key has two buckets of three slots, chosen by a keyed hash; it is in one of them, mostly in
//! its primary one. The table never grows: its memory is reserved at start-up, so no lookup and no
//! insertion ever waits for a rehash. `capacity` entries fit; there are as many slots beyond, so that most
//! keys are in their primary bucket.
//!
//! # Who calls it, and at what cost
//!
//! Workers look up, a burst at a time: `benches/fdb.rs` measures it. A lookup that its key's primary bucket
//! answers reads one cache line, and takes 38 instructions without a branch. That is all of them in a table
//! with room, and more than nine of ten in a full one. The others read two. It writes nothing shared and never
//! waits: see `bucket.rs` for the protocol and why it is right.
//!
//! # Thread safety
//!
//! [`FdbReader`] is `Clone`, `Send` and `Sync`; the one [`FdbWriter`] is `Send` and nothing else.
//! A single lookup is linearisable. A burst is not one moment: each of its lookups has its own.

use std::mem::MaybeUninit;

use super::bucket::{Bucket, ELSEWHERE};
use super::entry::{Entry, Found};
use super::hash::{Pair, Placement};
use super::key::Key;
use super::primitive::{Arc, prefetch};
use super::writer::FdbWriter;

/// The most entries that a table may be asked to hold; a larger request gets this many.
pub const MAX_CAPACITY: usize = 1 << 28;

/// Lookups that are in flight together. In a table larger than the caches, 64 are a quarter faster than 32,
/// and 128 no faster than 64.
const BURST: usize = 64;

/// A table for `capacity` entries, as its writer and the first of its readers.
///
/// `seed` should be [random](super::random_seed) and new at every start: it keeps tenants from aiming
/// addresses at one bucket. The memory, 43 bytes per entry, is reserved and touched here.
#[must_use]
pub fn new(capacity: usize, seed: u64) -> (FdbWriter, FdbReader) {
    let capacity = capacity.min(MAX_CAPACITY);
    // Half full at capacity. Two choices of three slots fill to 95 % (Fountoulakis, Khosla and
    // Panagiotou, "The Multiple-Orientability Thresholds for Random Hypergraphs", 2011) before some key
    // has no place; but at 80 %, 21 % of the keys are displaced, and at half, 7 %. That is worth 16 bytes
    // per entry: a displaced key, and a miss in a bucket that has one, read a second line. The four more
    // are for small tables, where chance has more to say.
    let slots = capacity.saturating_mul(2);
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

/// What the secondary bucket's answer says: nobody's third place is a bucket's to know.
#[inline(always)]
fn here(answer: u64) -> Found {
    if answer == ELSEWHERE { Found::MISS } else { Found::from_word(answer) }
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

    /// The primary bucket of a key.
    #[inline(always)]
    fn primary(&self, key: Key) -> &Bucket {
        let number = self.placement.primary(key.to_u64());
        // SAFETY: a place is below `Placement::buckets`, and that many buckets there are.
        unsafe { self.buckets.get_unchecked(number as usize) }
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

    /// Looks `key` up, again and again until nothing has changed that could have hidden it.
    #[inline]
    fn lookup(&self, key: Key) -> Found {
        let pair = self.places(key);
        let (primary, secondary) = (self.bucket(pair.primary), self.bucket(pair.secondary));
        loop {
            let (answer, version) = primary.look(key.to_u64());
            if !primary.unchanged_since(version) {
                continue;
            }
            if answer != ELSEWHERE {
                return Found::from_word(answer);
            }
            let (answer, seen) = secondary.look(key.to_u64());
            let found = here(answer);
            if found.is_hit() {
                if secondary.unchanged_since(seen) {
                    return found;
                }
            } else if primary.unchanged_since(version) {
                return Found::MISS;
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
        self.table.lookup(key).entry()
    }

    /// The entries of many keys: `out[i]` answers `keys[i]`.
    ///
    /// Hashes all and asks for their cache lines, then looks at all, 64 at a time.
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
        let mut primaries = [const { MaybeUninit::<&Bucket>::uninit() }; BURST];
        for (primary, &key) in primaries.iter_mut().zip(keys) {
            let bucket = table.primary(key);
            prefetch(bucket);
            primary.write(bucket);
        }

        // The numbers of those that the primary bucket does not answer, gathered without a branch: in a
        // full table it is every fifth, and there is no telling which.
        let mut left = [0_u8; BURST];
        let mut count = 0_usize;
        for (i, ((&key, primary), out)) in (0..).zip(keys.iter().zip(&primaries).zip(&mut *out)) {
            // SAFETY: the loop above has written as many as there are keys.
            let primary = unsafe { primary.assume_init() };
            let (answer, version) = primary.look(key.to_u64());
            let answer = if primary.unchanged_since(version) { answer } else { ELSEWHERE };
            *out = Found::from_word(answer);
            // SAFETY: `count` is at most the number of keys before this one, so below `BURST`.
            // Checked, it would be a tenth of the instructions of a lookup (`benches/fdb.rs`).
            *unsafe { left.get_unchecked_mut(count) } = i;
            // Not `==`: so written, it is a comparison and an addition of its carry. No entry is so high.
            count += usize::from(answer > ELSEWHERE - 0x100);
        }
        if count > 0 {
            self.lookup_left(&left[..count], keys, out);
        }
    }

    /// Answers those of a burst that the first look did not, by their numbers.
    #[inline(never)]
    fn lookup_left(&self, left: &[u8], keys: &[Key], out: &mut [Found]) {
        let table = &*self.table;
        let mut secondaries = [const { MaybeUninit::<&Bucket>::uninit() }; BURST];
        for (secondary, &i) in secondaries.iter_mut().zip(left) {
            let bucket = table.bucket(table.places(keys[usize::from(i)]).secondary);
            prefetch(bucket);
            secondary.write(bucket);
        }
        for (secondary, &i) in secondaries.iter().zip(left) {
            let i = usize::from(i);
            // SAFETY: the loop above has written as many as are left.
            let secondary = unsafe { secondary.assume_init() };
            let (answer, version) = secondary.look(keys[i].to_u64());
            let found = here(answer);
            // A hit is one wherever it is. A miss is one only beside the primary bucket's version.
            out[i] = if found.is_hit() && secondary.unchanged_since(version) {
                found
            } else {
                table.lookup(keys[i])
            };
        }
    }
}

const _: () = assert!(BURST <= u8::MAX as usize);

/// Free buckets, on huge pages where the kernel has them to give.
fn reserve(buckets: usize) -> Vec<Bucket> {
    let mut memory = Vec::with_capacity(buckets);
    advise_huge_pages(&mut memory);
    memory.resize_with(buckets, Bucket::new);
    memory
}

/// Asks the kernel to back the memory with huge pages. It must be asked before the first touch.
///
/// A table of a million entries is 45 MB: 11,000 small pages, more than any TLB holds.
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
