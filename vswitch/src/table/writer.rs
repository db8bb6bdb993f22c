//! The forwarding table's one writer.
//!
//! Owned by the control thread: learning, static entries, ageing. No call waits for a reader. What an insertion
//! costs is in `change.rs`; while the table grows, also a step of `growth.rs`, which
//! is about as much as half a dozen insertions. Only the begin of a growth allocates.

use std::cell::Cell;
use std::marker::PhantomData;

use super::bucket::{FREE, SLOTS};
use super::change::Search;
use super::entry::Entry;
use super::growth::{Growth, Outcome};
use super::key::Key;
use super::lookup::Table;
use super::snapshot::Publisher;

/// How many steps of a growth [`FdbWriter::upkeep`] takes: some ten microseconds, in which a growth to a million
/// entries is over after six seconds without any insertion.
const UPKEEP_STEPS: usize = 16;

/// The entry was not inserted, and nothing else changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the forwarding table is full")]
pub struct TableFull;

/// Changes the table; there is one, and one thread at a time has it.
///
/// `Send`, but neither `Sync` nor `Clone`.
pub struct FdbWriter {
    tables: Publisher<Table>,
    growth: Option<Growth>,
    /// How many buckets the table has when it has grown for the last time.
    last_buckets: u32,
    seed: u64,
    capacity: usize,
    len: usize,
    /// Counts the times that entries changed their places.
    layout: u64,
    /// The bucket at which the ageing sweep goes on.
    next_swept: u32,
    search: Search,
    not_sync: PhantomData<Cell<()>>,
}

impl FdbWriter {
    pub(super) fn new(
        tables: Publisher<Table>,
        last_buckets: u32,
        seed: u64,
        capacity: usize,
    ) -> Self {
        Self {
            tables,
            growth: None,
            last_buckets,
            seed,
            capacity,
            len: 0,
            layout: 0,
            next_swept: 0,
            search: Search::new(),
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
    /// has, and for the key `u64::MAX`, which marks free slots.
    pub fn insert(&mut self, key: Key, entry: Entry) -> Result<Option<Entry>, TableFull> {
        if let Some(old) = self.replace(key, |_| entry) {
            return Ok(Some(old));
        }
        if self.len >= self.capacity || key.mac().to_u64() == 0 || key.to_u64() == FREE {
            return Err(TableFull);
        }
        if self.growth.is_none() && self.len > SLOTS * self.buckets() / 5 * 4 {
            self.begin_growth();
        }
        self.step_growth();

        let Self { tables, growth, search, layout, .. } = self;
        let is_in = tables.current().insert(search, key, entry.pack(), |placed, value| {
            *layout += u64::from(placed != key);
            if growth.as_mut().is_some_and(|growth| !growth.placed(placed, value)) {
                *growth = None;
            }
        });
        if !is_in {
            self.begin_growth();
            return Err(TableFull);
        }
        self.len += 1;
        Ok(None)
    }

    /// Removes a key; returns its entry.
    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        let table = self.tables.current();
        let place = table.find(key)?;
        let old = Entry::unpack(table.value(place));
        table.erase(place);
        if let Some(growth) = &mut self.growth {
            growth.removed(key);
        }
        self.len -= 1;
        Some(old)
    }

    /// Notes that the address was heard at `secs` since start; `false` if the table does not know it.
    pub fn refresh(&mut self, key: Key, secs: u32) -> bool {
        self.replace(key, |entry| Entry { refreshed_secs: secs, ..entry }).is_some()
    }

    /// Gives a key that is in the table another entry; returns the old one.
    fn replace(&mut self, key: Key, new: impl FnOnce(Entry) -> Entry) -> Option<Entry> {
        let table = self.tables.current();
        let place = table.find(key)?;
        let old = Entry::unpack(table.value(place));
        let value = new(old).pack();
        table.set(place, value);
        if let Some(growth) = &mut self.growth {
            growth.set(key, value);
        }
        Some(old)
    }

    /// The entry of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Entry> {
        let table = self.tables.current();
        Some(Entry::unpack(table.value(table.find(key)?)))
    }

    /// Asks for the cache lines that a change of this key will touch first: worth it where many changes
    /// are known ahead.
    pub fn prefetch(&self, key: Key) {
        self.tables.current().prefetch(key);
        if let Some(growth) = &self.growth {
            growth.prefetch(key);
        }
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

    /// How many buckets there are now: what one whole turn of [`retain_some`](Self::retain_some) visits.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.tables.current().len() as usize
    }

    /// All entries, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Entry)> + '_ {
        self.iter_from(0, usize::MAX)
    }

    /// The entries in at most `count` buckets from `first` on. Whoever goes through the
    /// table like that in several calls has seen every entry that stayed, and once, if
    /// [`layout`](Self::layout) stayed the same.
    pub fn iter_from(&self, first: usize, count: usize) -> impl Iterator<Item = (Key, Entry)> + '_ {
        let table = self.tables.current();
        (0..table.len())
            .skip(first)
            .take(count)
            .flat_map(|bucket| table.residents(bucket))
            .map(|(_, key, value)| (key, Entry::unpack(value)))
    }

    /// A number that changes whenever an entry comes to another place in the table.
    #[must_use]
    pub fn layout(&self) -> u64 {
        self.layout
    }

    /// One step of the ageing sweep: visits the next `buckets` buckets, from the first again after
    /// the last, and removes the entries that `keep` refuses. Returns how many it removed.
    ///
    /// No bucket is visited twice in one call, so `usize::MAX` is one whole turn. Between two
    /// calls an insertion may move an entry across the point that the sweep has reached; such
    /// an entry is visited twice or not until the next turn. When the table has grown, a new turn begins.
    pub fn retain_some(
        &mut self,
        buckets: usize,
        mut keep: impl FnMut(Key, Entry) -> bool,
    ) -> usize {
        let table = self.tables.current();
        let mut removed = 0;
        for _ in 0..buckets.min(table.len() as usize) {
            for (slot, key, value) in table.residents(self.next_swept) {
                if keep(key, Entry::unpack(value)) {
                    continue;
                }
                table.erase((self.next_swept, slot));
                if let Some(growth) = &mut self.growth {
                    growth.removed(key);
                }
                removed += 1;
            }
            self.next_swept = (self.next_swept + 1) % table.len();
        }
        self.len -= removed;
        removed
    }

    /// To be called every millisecond or so. Goes on with a growth, and frees the tables that no reader will look at
    /// again.
    pub fn upkeep(&mut self) {
        for _ in 0..UPKEEP_STEPS {
            self.step_growth();
        }
        self.tables.reclaim();
    }

    /// Begins to make a table of twice the size, unless one is being made or there shall be none.
    fn begin_growth(&mut self) {
        let buckets = self.tables.current().len();
        if self.growth.is_none() && buckets < self.last_buckets {
            let larger = buckets.saturating_mul(2).min(self.last_buckets);
            self.growth = Some(Growth::new(larger, self.seed));
        }
    }

    /// Goes on with a growth, if there is one.
    fn step_growth(&mut self) {
        let Some(growth) = self.growth.take() else { return };
        match growth.step(self.tables.current()) {
            Outcome::Unfinished(growth) => self.growth = Some(growth),
            Outcome::Complete(table) => {
                debug_assert!(self.has_same_entries(&table));
                self.tables.publish(Box::new(table));
                self.layout += 1;
                self.next_swept = 0;
            }
            // Not to be expected of a larger table that is to be a quarter full. The next insertion begins anew.
            Outcome::NoRoom => {}
        }
    }

    fn has_same_entries(&self, table: &Table) -> bool {
        let len: usize = (0..table.len()).map(|bucket| table.residents(bucket).count()).sum();
        len == self.len
            && self.iter().all(|(key, entry)| {
                table.find(key).is_some_and(|place| table.value(place) == entry.pack())
            })
    }

    /// The table as the workers have it, to be looked up in. What the borrow sees does not change.
    #[must_use]
    pub fn table(&self) -> &Table {
        self.tables.current()
    }

    /// How many tables wait for readers to leave them.
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.tables.pending()
    }

    #[cfg(test)]
    pub(super) fn growth_mut(&mut self) -> &mut Option<Growth> {
        &mut self.growth
    }
}
