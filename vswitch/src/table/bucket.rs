//! One cache line of the forwarding table, and the protocol by which its one writer changes it under
//! the eyes of its readers.
//!
//! Called by [`writer`](super::writer) on the control thread, and by [`fdb`](super::fdb) on workers.
//!
//! # The protocol
//!
//! A bucket has three slots and a version, the count of changes to its keys. A key of zero marks a
//! free slot.
//!
//! - *put* into a free slot: release fence, value, key (release), version + 1 (release);
//! - *erase*: key = 0 (release), version + 1 (release); the value stays until the slot is put again;
//! - *set*, a new value for a key that stays: one store;
//! - *move* to the other bucket: put there, then erase here. The key is at all times in at least one;
//! - *look*: version (acquire), keys (acquire), the value of the one that matches, acquire fence,
//!   version again.
//!
//! Unlike in a sequence lock, no state says "being written": every intermediate state is one that
//! a reader may use. So readers never wait. They look again only if the writer finished a change in
//! between, and a writer that the kernel puts aside half-way through stalls no worker.
//!
//! # Why it is right
//!
//! The style of the argument is that of Boehm, "Can seqlocks get along with programming language
//! memory models?" (MSPC 2012): all data are atomics, and the last look at the version is ordered by a
//! fence. Loom checks both claims (`tests_loom.rs`). On x86-64 all of it is plain loads and stores.
//!
//! **A hit returns a value that was stored for that key.** The reader matched a key stored by put P.
//! The load was acquire and the store release, so the value it then reads is P's or a later one. If it
//! is that of a later put Q of another key, an erase E of the matched key lies between P and Q. Q's
//! release fence, before its value, meets the reader's acquire fence, after it: so the last look at the
//! version returns at least E's. For the first look to have returned the same, it must have
//! acquired E's version store, or a later one; but then E's key store came before the reader's load of
//! the key, which would not have found P's key. So the versions differ, and the reader looks again.
//!
//! **A key that stays in the table is never missed**, though it moves between its buckets A and B. The
//! reader looks at A, then B, then A's version again, and missed in both. Its loads of keys are acquire,
//! and every store that takes a key out of a slot is release and comes after the put of that key in
//! the other bucket. So a reader that missed the key in A because it had left for B knows that it is in
//! B before it looks there; to miss it there too, it must have seen it leave B again, hence knows
//! of put R that brought it back to A, *with* R's version store. The last look at A's version then
//! returns at least R's. For the first look to have returned the same, R's put came before
//! the reader's look at A; so the key was missed in A because it left once more, after R; and
//! the argument repeats from there. Moves are finite in number, so at the last one it ends: the versions
//! of A differ, and the reader looks again. B's version need not be checked.

use super::entry::Found;
use super::primitive::{AtomicU64, Ordering, fence};

/// Slots per bucket: with the version, what fits a cache line.
pub(super) const SLOTS: usize = 3;

/// Three slots and a version, on one cache line: a lookup that ends here costs one miss at most.
#[repr(C, align(64))]
pub(super) struct Bucket {
    version: AtomicU64,
    keys: [AtomicU64; SLOTS],
    /// Packed [entries](super::Entry): a value and its time are one word, so *set* is one store.
    values: [AtomicU64; SLOTS],
}

#[cfg(not(vswitch_loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

/// What a reader saw in one bucket.
pub(super) enum Look {
    /// The key, with this value.
    Hit(Found),
    /// Not the key, at this version.
    Absent(u64),
    /// The writer changed the bucket meanwhile: look again.
    Changed,
}

impl Bucket {
    /// A bucket with three free slots.
    pub fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            keys: [(); SLOTS].map(|()| AtomicU64::new(0)),
            values: [(); SLOTS].map(|()| AtomicU64::new(0)),
        }
    }

    /// The slot that holds `key`. Comparing all three and then counting is faster than stopping at the
    /// first match, whose branches the processor cannot foretell.
    #[inline(always)]
    pub fn slot_of(&self, key: u64) -> Option<usize> {
        let mut matches = 0_u32;
        for (slot, stored) in self.keys.iter().enumerate() {
            // Acquire: what this slot's key was put with, or was moved to before it was erased,
            // is seen by the loads that follow.
            matches |= u32::from(stored.load(Ordering::Acquire) == key) << slot;
        }
        if matches == 0 { None } else { Some(matches.trailing_zeros() as usize) }
    }

    /// Looks for `key` while the writer may be at work.
    #[inline(always)]
    pub fn look(&self, key: u64) -> Look {
        // Acquire: whoever sees a version sees the keys that it counts.
        let version = self.version.load(Ordering::Acquire);
        // A frame to MAC zero in domain zero must not match the free slots.
        let Some(slot) = self.slot_of(key).filter(|_| key != 0) else {
            return Look::Absent(version);
        };
        // Relaxed: the fence within `unchanged_since` orders it before the second look.
        let value = self.values[slot].load(Ordering::Relaxed);
        if self.unchanged_since(version) {
            Look::Hit(Found::from_word(value))
        } else {
            Look::Changed
        }
    }

    /// Whether no key came or went since `version` was read, as far as everything read so far tells.
    #[inline(always)]
    pub fn unchanged_since(&self, version: u64) -> bool {
        // Acquire fence: a value of a later put, if one was read, brings the version before that put.
        fence(Ordering::Acquire);
        // Relaxed: the fence has already ordered this load after the data.
        self.version.load(Ordering::Relaxed) == version
    }

    // The rest is the writer's alone. It reads its own stores, for which relaxed loads are enough.

    /// The key in a slot; zero if it is free.
    pub fn key(&self, slot: usize) -> u64 {
        self.keys[slot].load(Ordering::Relaxed)
    }

    /// The value in a slot that is not free.
    pub fn value(&self, slot: usize) -> u64 {
        self.values[slot].load(Ordering::Relaxed)
    }

    /// A free slot.
    pub fn free_slot(&self) -> Option<usize> {
        self.slot_of(0)
    }

    /// Writer only: *put* `key`, which is in no slot of this bucket, into a free slot.
    pub fn put(&self, slot: usize, key: u64, value: u64) {
        debug_assert!(key != 0 && self.key(slot) == 0);
        // Release fence: a reader that reads this value sees that the slot's last key was erased.
        fence(Ordering::Release);
        self.values[slot].store(value, Ordering::Relaxed);
        // Release: a reader that matches the key reads this value or a later one.
        self.keys[slot].store(key, Ordering::Release);
        self.count_change();
    }

    /// Writer only: *erase* the key in a slot.
    pub fn erase(&self, slot: usize) {
        debug_assert!(self.key(slot) != 0);
        // Release: a reader that misses a moved key here sees it in its other bucket.
        self.keys[slot].store(0, Ordering::Release);
        self.count_change();
    }

    /// Writer only: *set* the value of the key in a slot.
    pub fn set(&self, slot: usize, value: u64) {
        // Relaxed: the word is complete in itself, and a reader that still finds the previous one is
        // merely early.
        self.values[slot].store(value, Ordering::Relaxed);
    }

    /// Sixty-four bits do not come round, so that no reader can sleep through a whole cycle.
    fn count_change(&self) {
        let version = self.version.load(Ordering::Relaxed).wrapping_add(1);
        // Release: whoever sees the version sees the change that it counts.
        self.version.store(version, Ordering::Release);
    }
}
