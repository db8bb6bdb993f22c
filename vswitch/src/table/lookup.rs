//! One table of buckets, and its lock-free lookup.
//!
//! Every key has two buckets of three slots, chosen by a keyed hash. The key is in one of them, mostly
//! in its primary one. A table has a fixed number of buckets; [`growth`](super::growth) makes the next,
//! larger one.
//!
//! # Who calls it, and at what cost
//!
//! Workers look up, a burst at a time: `benches/fdb.rs` measures it. A lookup that the key's primary
//! bucket answers reads one cache line, and takes 38 instructions without a branch. These are all
//! lookups in a table with room, and more than nine of ten in a full one. The others read two lines.
//! A lookup writes nothing shared and never waits: see `bucket.rs` for the protocol and why it is right.
//!
//! # Thread safety
//!
//! A [`Table`] is `Sync`. A single lookup is linearisable. A burst is not one moment: each of its
//! lookups has its own.

use std::mem::MaybeUninit;

use super::bucket::{Bucket, ELSEWHERE};
use super::entry::{Entry, Found};
use super::hash::{Pair, Placement};
use super::key::Key;
use super::primitive::{advise_huge_pages, prefetch};

/// Lookups that are in flight together. In a table larger than the caches, 64 are a quarter faster than 32,
/// and 128 no faster than 64.
const BURST: usize = 64;

/// What the secondary bucket's answer says: nobody's third place is a bucket's to know.
#[inline(always)]
fn here(answer: u64) -> Found {
    if answer == ELSEWHERE { Found::MISS } else { Found::from_word(answer) }
}

/// What the writer and the readers share, until a larger one takes its place.
pub struct Table {
    placement: Placement,
    buckets: Vec<Bucket>,
}

/// The memory of a table that is being prepared. Not a table: it has not all its buckets.
pub(super) struct Blank {
    placement: Placement,
    buckets: Vec<Bucket>,
}

impl Blank {
    /// Reserves the memory and touches none of it.
    pub fn new(buckets: u32, seed: u64) -> Self {
        let mut memory = Vec::with_capacity(buckets as usize);
        advise_huge_pages(&mut memory);
        Self { placement: Placement::new(buckets, seed), buckets: memory }
    }

    /// Makes so many more buckets, all free; after the last one, it is a table.
    pub fn prepare(mut self, count: usize) -> Result<Table, Self> {
        let (have, all) = (self.buckets.len(), self.placement.buckets() as usize);
        self.buckets.resize_with(all.min(have.saturating_add(count)), Bucket::new);
        if self.buckets.len() < all {
            return Err(self);
        }
        Ok(Table { placement: self.placement, buckets: self.buckets })
    }
}

impl Table {
    /// A table of free buckets.
    pub(super) fn new(buckets: u32, seed: u64) -> Self {
        let Blank { placement, mut buckets } = Blank::new(buckets, seed);
        buckets.resize_with(placement.buckets() as usize, Bucket::new);
        Self { placement, buckets }
    }

    /// The two buckets of a key.
    #[inline(always)]
    pub(super) fn places(&self, key: Key) -> Pair {
        self.placement.of(key.to_u64())
    }

    /// The primary bucket of a key.
    #[inline(always)]
    fn primary(&self, key: Key) -> &Bucket {
        let number = self.placement.primary(key.to_u64());
        // SAFETY: a place is below `Placement::buckets`, and that many buckets there are.
        unsafe { self.buckets.get_unchecked(number as usize) }
    }

    /// Asks for the cache line where a key is looked for first.
    #[inline]
    pub(super) fn prefetch(&self, key: Key) {
        prefetch(self.primary(key));
    }

    /// A bucket by its number.
    #[inline(always)]
    pub(super) fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[number as usize]
    }

    /// How many buckets there are.
    pub(super) fn len(&self) -> u32 {
        self.placement.buckets()
    }

    /// Looks `key` up, again and again until nothing has changed that could have hidden it.
    #[inline]
    fn look_until_sure(&self, key: Key) -> Found {
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

    /// The entry of one key. For bursts, [`lookup_burst`](Self::lookup_burst) overlaps the cache misses.
    #[must_use]
    pub fn lookup(&self, key: Key) -> Option<Entry> {
        self.look_until_sure(key).entry()
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
        let mut primaries = [const { MaybeUninit::<&Bucket>::uninit() }; BURST];
        for (primary, &key) in primaries.iter_mut().zip(keys) {
            let bucket = self.primary(key);
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
        let mut secondaries = [const { MaybeUninit::<&Bucket>::uninit() }; BURST];
        for (secondary, &i) in secondaries.iter_mut().zip(left) {
            let bucket = self.bucket(self.places(keys[usize::from(i)]).secondary);
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
                self.look_until_sure(keys[i])
            };
        }
    }
}

const _: () = assert!(BURST <= u8::MAX as usize);
