//! The forwarding table's one writer.
//!
//! Owned by the control thread: learning, static entries, ageing. No call waits for a reader or
//! allocates. An insertion costs two cache lines if one of the key's buckets has room, else a search
//! over at most 128 buckets and at most a handful of moves.

use std::cell::Cell;
use std::marker::PhantomData;

use super::bucket::{FREE, SLOTS};
use super::entry::Entry;
use super::fdb::Table;
use super::key::Key;
use super::primitive::Arc;

/// The most buckets that an insertion visits in search of room. At 80 % load it needs a few; this many
/// without a free slot means that there is none to be had.
const SEARCH: usize = 128;

/// The search starts from this many buckets: the key's own two.
const ROOTS: usize = 2;

/// The entry was not inserted, and nothing else changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the forwarding table is full")]
pub struct TableFull;

/// Changes the table; there is one, and one thread at a time has it.
///
/// `Send`, but neither `Sync` nor `Clone`.
pub struct FdbWriter {
    table: Arc<Table>,
    capacity: usize,
    len: usize,
    /// The bucket at which the ageing sweep goes on.
    next_swept: u32,
    search: Box<[Step; SEARCH]>,
    not_sync: PhantomData<Cell<()>>,
}

/// A bucket that the search for room came to.
#[derive(Clone, Copy, Default)]
struct Step {
    bucket: u32,
    /// The step it came from; meaningless in the first two steps.
    parent: usize,
    /// The slot in the parent's bucket whose key could move here.
    slot: usize,
}

impl FdbWriter {
    pub(super) fn new(table: Arc<Table>, capacity: usize) -> Self {
        Self {
            table,
            capacity,
            len: 0,
            next_swept: 0,
            search: Box::new([Step::default(); SEARCH]),
            not_sync: PhantomData,
        }
    }

    /// Inserts an entry, or replaces the one that the key has; returns the replaced one.
    ///
    /// Readers see the old entry or the new one, and never miss another key meanwhile.
    ///
    /// # Errors
    ///
    /// [`TableFull`] if the key is new and [`capacity`](Self::capacity) is reached, or (not to be
    /// expected below it) no room can be made by moving others. Also for MAC zero, which no station
    /// has: the table marks free slots with it.
    pub fn insert(&mut self, key: Key, entry: Entry) -> Result<Option<Entry>, TableFull> {
        if let Some((bucket, slot)) = self.find(key) {
            let bucket = self.table.bucket(bucket);
            let old = Entry::unpack(bucket.value(slot));
            bucket.set(slot, entry.pack());
            return Ok(Some(old));
        }
        if self.len >= self.capacity || key.mac().to_u64() == 0 || key.to_u64() == FREE {
            return Err(TableFull);
        }
        let place = self.make_room(key).ok_or(TableFull)?;
        self.put(place, key, entry.pack());
        self.len += 1;
        Ok(None)
    }

    /// Removes a key; returns its entry.
    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        let (bucket, slot) = self.find(key)?;
        let old = Entry::unpack(self.table.bucket(bucket).value(slot));
        self.erase((bucket, slot));
        self.len -= 1;
        Some(old)
    }

    /// Notes that the address was heard at `secs` since start; `false` if the table does not know it.
    pub fn refresh(&mut self, key: Key, secs: u32) -> bool {
        let Some((bucket, slot)) = self.find(key) else { return false };
        let bucket = self.table.bucket(bucket);
        let entry = Entry { refreshed_secs: secs, ..Entry::unpack(bucket.value(slot)) };
        bucket.set(slot, entry.pack());
        true
    }

    /// The entry of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Entry> {
        let (bucket, slot) = self.find(key)?;
        Some(Entry::unpack(self.table.bucket(bucket).value(slot)))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many buckets there are: what one whole turn of [`retain_some`](Self::retain_some) visits.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.table.len() as usize
    }

    /// All entries, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        (0..self.table.len()).flat_map(|bucket| {
            let bucket = self.table.bucket(bucket);
            (0..SLOTS)
                .filter(|&slot| bucket.key(slot) != FREE)
                .map(|slot| (Key::from_u64(bucket.key(slot)), Entry::unpack(bucket.value(slot))))
        })
    }

    /// One step of the ageing sweep: visits the next `buckets` buckets, from the first again after
    /// the last, and removes the entries that `keep` refuses. Returns how many it removed.
    ///
    /// No bucket is visited twice in one call, so `usize::MAX` is one whole turn. Between two
    /// calls an insertion may move an entry across the point that the sweep has reached; such
    /// an entry is visited twice or not until the next turn.
    pub fn retain_some(
        &mut self,
        buckets: usize,
        mut keep: impl FnMut(Key, Entry) -> bool,
    ) -> usize {
        let mut removed = 0;
        for _ in 0..buckets.min(self.buckets()) {
            let number = self.next_swept;
            let bucket = self.table.bucket(number);
            for slot in 0..SLOTS {
                let key = bucket.key(slot);
                if key != FREE && !keep(Key::from_u64(key), Entry::unpack(bucket.value(slot))) {
                    self.erase((number, slot));
                    removed += 1;
                }
            }
            self.next_swept = (self.next_swept + 1) % self.table.len();
        }
        self.len -= removed;
        removed
    }

    #[cfg(all(test, vswitch_loom))]
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Where a key is.
    fn find(&self, key: Key) -> Option<(u32, usize)> {
        let word = key.to_u64();
        if word == FREE {
            return None;
        }
        let pair = self.table.places(key);
        [pair.primary, pair.secondary]
            .into_iter()
            .find_map(|bucket| Some((bucket, self.table.bucket(bucket).slot_of(word)?)))
    }

    /// A free slot in one of the key's buckets, if need be made free by moving other keys to their
    /// other buckets. `None` leaves everything where it was.
    ///
    /// The search is breadth first, so the number of moves is the least possible. It is over before the
    /// first move, and the moves begin at the far end, each into a slot that is free by then:
    /// no key is ever without a place.
    fn make_room(&mut self, key: Key) -> Option<(u32, usize)> {
        let pair = self.table.places(key);
        for bucket in [pair.primary, pair.secondary] {
            if let Some(slot) = self.table.bucket(bucket).free_slot() {
                return Some((bucket, slot));
            }
        }

        let (mut step, mut room) = self.search_room(pair.primary, pair.secondary)?;
        while step >= ROOTS {
            let Step { bucket, parent, slot } = self.search[step];
            self.move_entry((self.search[parent].bucket, slot), (bucket, room));
            (step, room) = (parent, slot);
        }
        Some((self.search[step].bucket, room))
    }

    /// From two full buckets, along the other buckets of the keys in them, to the nearest free slot.
    /// Returns the step that reached its bucket, and the slot.
    fn search_room(&mut self, primary: u32, secondary: u32) -> Option<(usize, usize)> {
        let steps = &mut *self.search;
        steps[0] = Step { bucket: primary, ..Step::default() };
        steps[1] = Step { bucket: secondary, ..Step::default() };
        let mut len = ROOTS;
        for head in 0..SEARCH {
            if head == len {
                break;
            }
            let from = steps[head].bucket;
            for slot in 0..SLOTS {
                let resident = Key::from_u64(self.table.bucket(from).key(slot));
                let bucket = self.table.places(resident).other(from);
                if steps[..len].iter().any(|step| step.bucket == bucket) {
                    continue;
                }
                if len == SEARCH {
                    return None;
                }
                steps[len] = Step { bucket, parent: head, slot };
                if let Some(room) = self.table.bucket(bucket).free_slot() {
                    return Some((len, room));
                }
                len += 1;
            }
        }
        None
    }

    /// Puts a key that the table does not have, or has in its other bucket, into a free slot. Away from its
    /// primary bucket, it is announced there first.
    fn put(&self, (bucket, slot): (u32, usize), key: Key, value: u64) {
        let primary = self.table.places(key).primary;
        if bucket != primary {
            self.table.bucket(primary).displace();
        }
        self.table.bucket(bucket).put(slot, key.to_u64(), value);
    }

    /// Erases the key in a slot.
    fn erase(&self, (bucket, slot): (u32, usize)) {
        let key = Key::from_u64(self.table.bucket(bucket).key(slot));
        self.table.bucket(bucket).erase(slot);
        let primary = self.table.places(key).primary;
        if bucket != primary {
            self.table.bucket(primary).settle();
        }
    }

    /// Moves an entry to a free slot of its other bucket: there first, then away from here.
    pub(super) fn move_entry(&self, from: (u32, usize), to: (u32, usize)) {
        let source = self.table.bucket(from.0);
        self.put(to, Key::from_u64(source.key(from.1)), source.value(from.1));
        self.erase(from);
    }
}
