//! The next table: larger, made beside the one that workers read, and complete before they see it.
//!
//! Owned by [`FdbWriter`](super::FdbWriter), on the control thread. A growth is a number of steps, one with
//! each insertion of a new key, so that nobody waits for it: a step makes 64 buckets, and when all are made, copies
//! what is in eight of the old table's. By its end the old table, four fifths full when it began, is 86 % full. A step takes about a microsecond; one that touches a huge page for the first time, up to a millisecond
//! or two, as the kernel clears it. In a storm of new addresses, growing doubles what an insertion costs on average.
//!
//! # Why nothing is forgotten
//!
//! While buckets are copied, this holds before and after each change: every entry of the new table is in the old one
//! with the same value, and every entry in a bucket of the old one that is already copied is in the new one.
//!
//! - *copy* of the next bucket adds what is in it to the new table, if it is not there already.
//! - A key that comes to a place in the old table, being inserted or moved, is added to the new one: the place may
//!   be in a bucket that is already copied.
//! - A value that changes, and a key that is removed, are changed and removed in the new one if they are there. If not,
//!   the key's bucket is not copied yet, and will be as it then is.
//!
//! So after the last bucket both have the same entries. Nobody reads the new table before it is published, and nobody
//! changes the old one after.

use super::change::Search;
use super::key::Key;
use super::lookup::{Blank, Table};

/// How many buckets a step makes: a page of them.
const MADE: usize = 64;

/// How many buckets of the old table a step copies.
const COPIED: u32 = 8;

/// A table in the making.
pub(super) enum Growth {
    /// Its buckets are being made.
    Making(Blank),
    /// The old table's entries are being copied into it.
    Filling(Copy),
}

/// What a step led to.
pub(super) enum Outcome {
    /// There is more to do.
    Unfinished(Growth),
    /// The new table has what the old one has.
    Complete(Table),
    /// An entry found no room in the new table: it is of no use.
    NoRoom,
}

/// A table with a part of the entries of another.
pub(super) struct Copy {
    table: Table,
    search: Search,
    /// How many buckets of the old table are copied.
    copied: u32,
}

impl Growth {
    /// A growth to so many buckets.
    pub fn new(buckets: u32, seed: u64) -> Self {
        Self::Making(Blank::new(buckets, seed))
    }

    /// Goes on, from the table that it began with.
    pub fn step(self, old: &Table) -> Outcome {
        match self {
            Self::Making(blank) => Outcome::Unfinished(match blank.prepare(MADE) {
                Ok(table) => Self::Filling(Copy { table, search: Search::new(), copied: 0 }),
                Err(blank) => Self::Making(blank),
            }),
            Self::Filling(mut copy) => {
                let until = old.len().min(copy.copied + COPIED);
                for number in copy.copied..until {
                    old.residents(number).for_each(|(_, key, _)| copy.table.prefetch(key));
                }
                for number in copy.copied..until {
                    for (_, key, value) in old.residents(number) {
                        if !copy.add(key, value) {
                            return Outcome::NoRoom;
                        }
                    }
                }
                copy.copied = until;
                if until == old.len() {
                    return Outcome::Complete(copy.table);
                }
                Outcome::Unfinished(Self::Filling(copy))
            }
        }
    }

    /// A key has come to a place in the old table. `false` if there is no room for it in the new one.
    #[must_use]
    pub fn placed(&mut self, key: Key, value: u64) -> bool {
        match self {
            Self::Making(_) => true,
            Self::Filling(copy) => copy.add(key, value),
        }
    }

    /// Asks for the cache line of a key.
    pub fn prefetch(&self, key: Key) {
        if let Self::Filling(copy) = self {
            copy.table.prefetch(key);
        }
    }

    /// A key has got another value.
    pub fn set(&mut self, key: Key, value: u64) {
        if let Self::Filling(Copy { table, .. }) = self
            && let Some(place) = table.find(key)
        {
            table.set(place, value);
        }
    }

    /// A key was removed.
    pub fn removed(&mut self, key: Key) {
        if let Self::Filling(Copy { table, .. }) = self
            && let Some(place) = table.find(key)
        {
            table.erase(place);
        }
    }
}

impl Copy {
    fn add(&mut self, key: Key, value: u64) -> bool {
        self.table.find(key).is_some() || self.table.insert(&mut self.search, key, value, |_, _| ())
    }
}
