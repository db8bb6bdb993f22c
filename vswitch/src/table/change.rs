//! What the writer does to one table: insertion with displacement, removal.
//!
//! Called by [`FdbWriter`](super::FdbWriter) on the table that workers read, and by [`growth`](super::growth)
//! on the one that they will read next. An insertion costs two cache lines if one of the key's buckets has
//! room, else a search over at most 128 buckets and at most a handful of moves.
//!
//! One thread at a time may change a table; all that is here is for that one.

use super::bucket::{FREE, SLOTS};
use super::key::Key;
use super::lookup::Table;

/// The most buckets that an insertion visits in search of room. At 80 % load it needs a few; this many
/// without a free slot means that there is none to be had.
const SEARCH: usize = 128;

/// The search starts from this many buckets: the key's own two.
const ROOTS: usize = 2;

/// A slot of a table: the number of its bucket, and its own in that.
pub(super) type Place = (u32, usize);

/// Scratch memory of the search for room.
pub(super) struct Search(Box<[Step; SEARCH]>);

/// A bucket that the search for room came to.
#[derive(Clone, Copy, Default)]
struct Step {
    bucket: u32,
    /// The step it came from; meaningless in the first two steps.
    parent: usize,
    /// The slot in the parent's bucket whose key could move here.
    slot: usize,
}

impl Search {
    pub fn new() -> Self {
        Self(Box::new([Step::default(); SEARCH]))
    }
}

impl Table {
    /// Where a key is.
    pub(super) fn find(&self, key: Key) -> Option<Place> {
        let word = key.to_u64();
        if word == FREE {
            return None;
        }
        let pair = self.places(key);
        [pair.primary, pair.secondary]
            .into_iter()
            .find_map(|bucket| Some((bucket, self.bucket(bucket).slot_of(word)?)))
    }

    /// The value of the key in a slot.
    pub(super) fn value(&self, (bucket, slot): Place) -> u64 {
        self.bucket(bucket).value(slot)
    }

    /// Gives the key in a slot another value.
    pub(super) fn set(&self, (bucket, slot): Place, value: u64) {
        self.bucket(bucket).set(slot, value);
    }

    /// The keys in a bucket, with their slots and values.
    pub(super) fn residents(&self, number: u32) -> impl Iterator<Item = (usize, Key, u64)> + '_ {
        let bucket = self.bucket(number);
        (0..SLOTS)
            .filter(|&slot| bucket.key(slot) != FREE)
            .map(|slot| (slot, Key::from_u64(bucket.key(slot)), bucket.value(slot)))
    }

    /// Inserts a key that the table does not have; `false`, and nothing is changed, if there is no room.
    /// `placed` hears of every key that came to a place: those moved, and at last the new one.
    pub(super) fn insert(
        &self,
        search: &mut Search,
        key: Key,
        value: u64,
        mut placed: impl FnMut(Key, u64),
    ) -> bool {
        let Some(place) = self.make_room(search, key, &mut placed) else { return false };
        self.put(place, key, value);
        placed(key, value);
        true
    }

    /// A free slot in one of the key's buckets, if need be made free by moving other keys to their
    /// other buckets. `None` leaves everything where it was.
    ///
    /// The search is breadth first, so the number of moves is the least possible. It is over before the
    /// first move, and the moves begin at the far end, each into a slot that is free by then:
    /// no key is ever without a place.
    fn make_room(
        &self,
        search: &mut Search,
        key: Key,
        mut moved: impl FnMut(Key, u64),
    ) -> Option<Place> {
        let pair = self.places(key);
        for bucket in [pair.primary, pair.secondary] {
            if let Some(slot) = self.bucket(bucket).free_slot() {
                return Some((bucket, slot));
            }
        }

        let (mut step, mut room) = self.search_room(search, pair.primary, pair.secondary)?;
        while step >= ROOTS {
            let Step { bucket, parent, slot } = search.0[step];
            let from = self.bucket(search.0[parent].bucket);
            let (key, value) = (Key::from_u64(from.key(slot)), from.value(slot));
            self.move_entry((search.0[parent].bucket, slot), (bucket, room));
            moved(key, value);
            (step, room) = (parent, slot);
        }
        Some((search.0[step].bucket, room))
    }

    /// From two full buckets, along the other buckets of the keys in them, to the nearest free slot.
    /// Returns the step that reached its bucket, and the slot.
    fn search_room(
        &self,
        search: &mut Search,
        primary: u32,
        secondary: u32,
    ) -> Option<(usize, usize)> {
        let steps = &mut *search.0;
        steps[0] = Step { bucket: primary, ..Step::default() };
        steps[1] = Step { bucket: secondary, ..Step::default() };
        let mut len = ROOTS;
        for head in 0..SEARCH {
            if head == len {
                break;
            }
            let from = steps[head].bucket;
            for slot in 0..SLOTS {
                let resident = Key::from_u64(self.bucket(from).key(slot));
                let bucket = self.places(resident).other(from);
                if steps[..len].iter().any(|step| step.bucket == bucket) {
                    continue;
                }
                if len == SEARCH {
                    return None;
                }
                steps[len] = Step { bucket, parent: head, slot };
                if let Some(room) = self.bucket(bucket).free_slot() {
                    return Some((len, room));
                }
                len += 1;
            }
        }
        None
    }

    /// Puts a key that the table does not have, or has in its other bucket, into a free slot. Away from its
    /// primary bucket, it is announced there first.
    fn put(&self, (bucket, slot): Place, key: Key, value: u64) {
        let primary = self.places(key).primary;
        if bucket != primary {
            self.bucket(primary).displace();
        }
        self.bucket(bucket).put(slot, key.to_u64(), value);
    }

    /// Erases the key in a slot.
    pub(super) fn erase(&self, (bucket, slot): Place) {
        let key = Key::from_u64(self.bucket(bucket).key(slot));
        self.bucket(bucket).erase(slot);
        let primary = self.places(key).primary;
        if bucket != primary {
            self.bucket(primary).settle();
        }
    }

    /// Moves an entry to a free slot of its other bucket: there first, then away from here.
    pub(super) fn move_entry(&self, from: Place, to: Place) {
        let source = self.bucket(from.0);
        self.put(to, Key::from_u64(source.key(from.1)), source.value(from.1));
        self.erase(from);
    }
}
