//! One cache line of the forwarding table, and the protocol by which its one writer changes it under
//! the eyes of its readers.
//!
//! Called by [`writer`](super::writer) on the control thread, and by [`lookup`](super::lookup) on workers.
//!
//! # The protocol
//!
//! A bucket has three slots, each for a key with its value. It has a version, which counts the changes to its
//! keys. And it has an answer for keys that are not in it: "miss" if every key whose primary bucket it
//! is, is here; "elsewhere" if one of them is displaced, that is, in its secondary bucket.
//!
//! - *put* into a free slot: release fence, value, key (release), version (release);
//! - *erase*: key = free (release), version (release); the value stays until the slot is put again;
//! - *set*, a new value for a key that stays: one store;
//! - *displace*, in the primary bucket of a key, before it is put into its secondary one: answer =
//!   elsewhere, version (release);
//! - *settle*, in the primary bucket of a displaced key, after it was put there or erased: if it
//!   was the last, answer = miss (release); version (release);
//! - *move* to the other bucket: displace if it leaves its primary one; put there; erase here; settle if it
//!   came to its primary one. The key is at all times in at least one of the two;
//! - *look*: version (acquire), keys (acquire), the value of the one that matches or else the answer,
//!   acquire fence, version again.
//!
//! A lookup looks at the primary bucket. If that says elsewhere, it looks at the secondary bucket, and
//! if the key is not there either, at the primary bucket's version again.
//!
//! Unlike in a sequence lock, no state says "being written": every intermediate state is one that
//! a reader may use. So readers never wait. They look again only if the writer finished a change in
//! between, and a writer that the kernel puts aside half-way through stalls no worker.
//!
//! # Why it is right
//!
//! The style of the argument is that of Boehm, "Can seqlocks get along with programming language
//! memory models?" (MSPC 2012): all data are atomics, and the last look at the version is ordered by a
//! fence. Loom checks all three claims (`tests_loom.rs`). On x86-64 all of it is plain loads and stores.
//!
//! **A hit returns a value that was stored for that key.** The reader matched a key stored by put P.
//! The load was acquire and the store release, so the value it then reads is P's or a later one. If it
//! is that of a later put Q of another key, an erase E of the matched key lies between P and Q. Q's
//! release fence, before its value, meets the reader's acquire fence, after it: so the last look at the
//! version returns at least E's. For the first look to have returned the same, it must have
//! acquired E's version store, or a later one; but then E's key store came before the reader's load of
//! the key, which would not have found P's key. So the versions differ, and the reader looks again.
//!
//! **A key that stays in the table is never missed by the answer "miss"** of its primary bucket A. Let M be the
//! store (of a settle) of the answer that the reader read. M is release and the fence after it acquire, so
//! the last look at A's version returns at least that of each put before M; for the first look to have
//! returned the same, *the reader knew of every put before M when it read the keys*. Now, what does
//! it know of the key at the start? That it was put in A; or that it was displaced: but then it knows of the
//! "elsewhere" before that, so M is later, and the writer stores M only after the key was put back in A.
//! So there is a put P of the key in A that the reader knew of when it read the keys. It found the slot
//! without the key, by an acquire load of a release store; so the key had left A once more, and by that load
//! the reader knew of the "elsewhere" before that, when it read the answer. So M is later still, and
//! comes after another put P' of the key in A, later than P, which by the above the reader knew of when it
//! read the keys; and the argument repeats from there. Moves are finite in number, so at the
//! last one it ends: the versions of A differ, and the reader looks again.
//!
//! **A key that stays in the table is never missed after "elsewhere"**, though it moves between its buckets
//! A and B. The reader looks at A, then B, then A's version again, and missed in both. Its loads of keys are
//! acquire, and every store that takes a key out of a slot is release and comes after the put of that key
//! in the other bucket. So a reader that missed the key in A because it had left for B knows that it is in
//! B before it looks there; to miss it there too, it must have seen it leave B again, hence knows
//! of put R that brought it back to A, *with* R's version store. The last look at A's version then
//! returns at least R's. For the first look to have returned the same, R's put came before
//! the reader's look at A; so the key was missed in A because it left once more, after R; and
//! the argument repeats from there. Moves are finite in number, so at the last one it ends: the versions
//! of A differ, and the reader looks again. B's version need not be checked.

use super::entry::Found;
use super::primitive::{AtomicU64, Ordering, fence};

/// Slots per bucket: with the two words of its state, what fits a cache line.
pub(super) const SLOTS: usize = 3;

/// Marks a free slot: broadcast in the last network, which no topology has (it has at most 65,535, and the
/// first is number zero). So no key that is looked up matches a free slot, and no lookup must check it.
pub(super) const FREE: u64 = u64::MAX;

/// What [`look`](Bucket::look) answers for a key that may be in its other bucket. It is above all words that
/// entries pack to, whose bits 48..61 are zero.
pub(super) const ELSEWHERE: u64 = u64::MAX;

/// The bits of a version that count displaced keys; those above count changes.
const DISPLACED: u64 = 0xffff;
/// One change.
const CHANGE: u64 = DISPLACED + 1;

/// Three slots and their state, on one cache line: a lookup that ends here costs one miss at most.
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// Bits 16.. count the changes. Bits ..16 are the writer's alone: how many keys with this primary
    /// bucket are displaced, that is, in their secondary one. With 2.4 keys for a bucket on average, and a
    /// placement that nobody can foretell, 65,536 of them do not meet.
    version: AtomicU64,
    keys: [AtomicU64; SLOTS],
    /// What a look answers. First for a key that is not here: a miss if no key is displaced, else
    /// [`ELSEWHERE`]. Then for the key in each slot: a packed [entry](super::Entry), a value and its time in
    /// one word, so *set* is one store.
    answers: [AtomicU64; 1 + SLOTS],
}

#[cfg(not(vswitch_loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// A bucket with three free slots.
    pub fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            keys: [(); SLOTS].map(|()| AtomicU64::new(FREE)),
            answers: [(); 1 + SLOTS].map(|()| AtomicU64::new(Found::MISS.to_word())),
        }
    }

    /// Looks for `key`, which is not [`FREE`], while the writer may be at work: its value, or this bucket's
    /// answer for the keys that it has not. It holds if the bucket is [unchanged](Self::unchanged_since)
    /// since the version that comes with it.
    ///
    /// No branch: where among the slots a key is, the processor cannot foretell.
    #[inline(always)]
    pub fn look(&self, key: u64) -> (u64, Version) {
        debug_assert_ne!(key, FREE);
        // Acquire: whoever sees a version sees the keys that it counts.
        let version = self.version.load(Ordering::Acquire);
        let mut place = 0;
        for (slot, stored) in self.keys.iter().enumerate() {
            // Acquire: what this slot's key was put with, or was moved to before it was erased,
            // is seen by the loads that follow.
            let is_match = stored.load(Ordering::Acquire) == key;
            place = if is_match { slot + 1 } else { place };
        }
        // SAFETY: `place` is at most the number of slots. The check would cost a twentieth of a lookup
        // (`benches/fdb.rs`).
        let answer = unsafe { self.answers.get_unchecked(place) };
        // Relaxed: the fence in `unchanged_since` orders it before the second look at the version.
        (answer.load(Ordering::Relaxed), Version(version))
    }

    /// Whether no key came or went since `version` was read, as far as everything read so far tells.
    #[inline(always)]
    pub fn unchanged_since(&self, version: Version) -> bool {
        // Acquire fence: a value of a later put, if one was read, brings the version before that put.
        fence(Ordering::Acquire);
        // Relaxed: the fence has already ordered this load after the data.
        self.version.load(Ordering::Relaxed) == version.0
    }

    // The rest is the writer's alone. It reads its own stores, for which relaxed loads are enough.

    /// The key in a slot; [`FREE`] if there is none.
    pub fn key(&self, slot: usize) -> u64 {
        self.keys[slot].load(Ordering::Relaxed)
    }

    /// The value in a slot that is not free.
    pub fn value(&self, slot: usize) -> u64 {
        self.answers[slot + 1].load(Ordering::Relaxed)
    }

    /// The slot that holds `key`.
    pub fn slot_of(&self, key: u64) -> Option<usize> {
        (0..SLOTS).find(|&slot| self.key(slot) == key)
    }

    /// A free slot.
    pub fn free_slot(&self) -> Option<usize> {
        self.slot_of(FREE)
    }

    /// Writer only: *put* `key`, which is in no slot of this bucket, into a free slot.
    pub fn put(&self, slot: usize, key: u64, value: u64) {
        debug_assert!(key != FREE && self.key(slot) == FREE);
        // Release fence: a reader that reads this value sees that the slot's last key was erased.
        fence(Ordering::Release);
        self.answers[slot + 1].store(value, Ordering::Relaxed);
        // Release: a reader that matches the key reads this value or a later one.
        self.keys[slot].store(key, Ordering::Release);
        self.count(CHANGE);
    }

    /// Writer only: *erase* the key in a slot.
    pub fn erase(&self, slot: usize) {
        debug_assert!(self.key(slot) != FREE);
        // Release: a reader that misses a moved key here sees it in its other bucket.
        self.keys[slot].store(FREE, Ordering::Release);
        self.count(CHANGE);
    }

    /// Writer only: *set* the value of the key in a slot.
    pub fn set(&self, slot: usize, value: u64) {
        // Relaxed: the word is complete in itself, and a reader that still finds the previous one is
        // merely early.
        self.answers[slot + 1].store(value, Ordering::Relaxed);
    }

    /// Writer only, in the key's primary bucket: *displace*, before a key is put into its secondary one.
    pub fn displace(&self) {
        debug_assert!(self.displaced() < DISPLACED);
        // Relaxed: the version, which follows, carries it.
        self.answers[0].store(ELSEWHERE, Ordering::Relaxed);
        self.count(CHANGE + 1);
    }

    /// Writer only, in the key's primary bucket: *settle*, after a displaced key was put back into it or
    /// was erased.
    pub fn settle(&self) {
        debug_assert!(self.displaced() > 0);
        if self.displaced() == 1 {
            // Release: whoever sees it sees the key that came back.
            self.answers[0].store(Found::MISS.to_word(), Ordering::Release);
        }
        self.count(CHANGE - 1);
    }

    /// How many keys with this primary bucket are in their secondary one.
    pub fn displaced(&self) -> u64 {
        self.version.load(Ordering::Relaxed) & DISPLACED
    }

    /// Forty-eight bits of changes do not come round while a lookup is under way: a million a second
    /// in one bucket would take nine years.
    fn count(&self, change: u64) {
        let version = self.version.load(Ordering::Relaxed).wrapping_add(change);
        // Release: whoever sees the version sees the change that it counts.
        self.version.store(version, Ordering::Release);
    }
}

/// The state of a bucket's keys at one moment, to be compared only.
#[derive(Clone, Copy)]
pub(super) struct Version(u64);
