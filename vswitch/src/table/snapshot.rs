//! Generations: one immutable value at a time, published to every worker, freed when none can see it.
//!
//! The control thread owns the [`Publisher`], each worker a [`Reader`]. A worker takes the current value
//! once per burst, which costs two loads of lines that nobody is writing; when a new value came, also
//! one store to a line of its own. It never waits and never frees.
//!
//! # Thread safety
//!
//! Both halves are `Send`; neither is `Clone` or `Sync`. Either may be dropped first: what is still
//! published then goes with the last of them.
//!
//! # Why nothing is freed too early
//!
//! A reader *announces* a version: that of the value it holds. [`Publisher::reclaim`] frees what is older than every
//! announcement. Two things make this safe:
//!
//! - **A reader never holds what is older than its announcement.** It first loads the newest value, then
//!   announces that value's version, and holds it until it loads a newer one. Loads of one atomic by one
//!   thread never go back, so its announcements only grow. Between a load and its announcement it
//!   holds a value *newer* than announced, which is kept all the more.
//! - **What it held before is done with when it announces.** [`Reader::current`] lends for as long as the
//!   reader is mutably borrowed, so no reference to the previous value is alive by then. The
//!   announcement is a release store and the publisher's look an acquire load: every read of the previous
//!   value happens before it is freed.
//!
//! An address that is freed and then used again for a newer value cannot deceive a reader that compares
//! pointers: the value that it compares with is the one it announced, which is not freed.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crossbeam::utils::CachePadded;

use super::primitive::{Arc, AtomicPtr, AtomicU64, Ordering};

/// What a reader that is gone announces: it holds nothing, for ever.
const GONE: u64 = u64::MAX;

/// A publisher of `initial` and its successors, and `readers` readers of them.
#[must_use]
pub fn channel<T: Send + Sync>(initial: Box<T>, readers: usize) -> (Publisher<T>, Vec<Reader<T>>) {
    let first = Version::leak(0, initial);
    let shared = Arc::new(Shared {
        newest: CachePadded::new(AtomicPtr::new(first.as_ptr())),
        announced: (0..readers).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
        retired: Mutex::new(VecDeque::new()),
    });
    let readers = (0..readers)
        .map(|index| Reader { shared: Arc::clone(&shared), index, held: first })
        .collect();
    (Publisher { shared, newest: first }, readers)
}

/// One published value and its place in the order.
struct Version<T> {
    number: u64,
    value: Box<T>,
}

impl<T> Version<T> {
    fn leak(number: u64, value: Box<T>) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Self { number, value })))
    }
}

struct Shared<T> {
    /// Written by the publisher, read by all: alone on its cache line, which so stays shared.
    newest: CachePadded<AtomicPtr<Version<T>>>,
    /// By reader: the version it holds. Each on its own cache line, which only that reader writes.
    announced: Box<[CachePadded<AtomicU64>]>,
    /// Older than the newest, oldest first. The publisher's alone, so the lock is never waited for; it is
    /// here in order to outlive the publisher.
    retired: Mutex<VecDeque<NonNull<Version<T>>>>,
}

// SAFETY: the pointers are to values of `T` that any half may read (`T: Sync`) and any may be the
// last to drop (`T: Send`); the lock guards the list of them.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let newest = NonNull::new(self.newest.load(Ordering::Relaxed));
        let retired = self.retired.get_mut().unwrap_or_else(PoisonError::into_inner);
        for version in retired.drain(..).chain(newest) {
            // SAFETY: from `Version::leak`, each is in this list once, and neither the publisher nor a
            // reader is left to hold it.
            drop(unsafe { Box::from_raw(version.as_ptr()) });
        }
    }
}

/// Publishes values and frees those that no reader can see any more. Owned by the control thread.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    newest: NonNull<Version<T>>,
}

// SAFETY: what it points to may be read and dropped on any thread (`T: Send + Sync`). It is not `Sync`.
unsafe impl<T: Send + Sync> Send for Publisher<T> {}

impl<T: Send + Sync> Publisher<T> {
    /// Publishes a value and returns its version; the initial value's is 0. Its predecessor is kept
    /// until [`reclaim`](Self::reclaim) finds that no reader holds it.
    pub fn publish(&mut self, value: Box<T>) -> u64 {
        let number = self.version() + 1;
        let version = Version::leak(number, value);
        // Release: who loads the pointer sees the value behind it.
        self.shared.newest.store(version.as_ptr(), Ordering::Release);
        let previous = std::mem::replace(&mut self.newest, version);
        self.retired().push_back(previous);
        number
    }

    /// Frees the values that no reader holds any more; returns how many. Call it from time to time:
    /// nothing else frees them while the publisher lives.
    pub fn reclaim(&mut self) -> usize {
        // Acquire: every read of what a reader held before it announced this is over.
        let oldest_held = self
            .shared
            .announced
            .iter()
            .map(|version| version.load(Ordering::Acquire))
            .min()
            .unwrap_or(GONE);
        let mut freed = 0;
        loop {
            // Taken out under the lock, dropped outside of it: `T`'s drop is not our code.
            let version = {
                let mut retired = self.retired();
                // SAFETY: what is in the list is freed only below, after it is taken out.
                match retired.front().map(|oldest| unsafe { oldest.as_ref() }.number) {
                    Some(number) if number < oldest_held => retired.pop_front(),
                    _ => None,
                }
            };
            let Some(version) = version else { return freed };
            // SAFETY: from `Version::leak` and out of the list. It is not the newest, so no reader can
            // come to hold it, and each has announced a later one (see the head of the file).
            drop(unsafe { Box::from_raw(version.as_ptr()) });
            freed += 1;
        }
    }

    /// How many values are kept besides the newest.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.retired().len()
    }

    /// The readers that have not come to the newest version yet, by number. When there are none,
    /// no reader will ever again use an older value.
    pub fn lagging(&self) -> impl Iterator<Item = usize> + '_ {
        let newest = self.version();
        // Acquire: as in `reclaim`.
        let lags = move |version: &CachePadded<AtomicU64>| version.load(Ordering::Acquire) < newest;
        let readers = self.shared.announced.iter().enumerate();
        readers.filter(move |(_, version)| lags(version)).map(|(index, _)| index)
    }

    /// The newest value.
    #[must_use]
    pub fn current(&self) -> &T {
        // SAFETY: the newest is freed only after `publish` has replaced it, which borrows us mutably.
        &unsafe { self.newest.as_ref() }.value
    }

    /// The newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        // SAFETY: as in `current`.
        unsafe { self.newest.as_ref() }.number
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, VecDeque<NonNull<Version<T>>>> {
        self.shared.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees the newest value. Owned by one worker.
///
/// While it exists it keeps the value that it took last, and all newer ones, from being freed; a reader
/// that is dropped keeps nothing.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    index: usize,
    held: NonNull<Version<T>>,
}

// SAFETY: what it points to may be read and dropped on any thread (`T: Send + Sync`). It is not `Sync`.
unsafe impl<T: Send + Sync> Send for Reader<T> {}

impl<T: Send + Sync> Reader<T> {
    /// The newest value. This is the quiescent point: the value lent before is not used any more, as
    /// the borrow checker sees to, and from here on may be freed.
    #[inline]
    pub fn current(&mut self) -> &T {
        // Acquire: the value behind the pointer is complete.
        let newest = self.shared.newest.load(Ordering::Acquire);
        if newest != self.held.as_ptr() {
            self.advance(newest);
        }
        // SAFETY: we have announced its version and announce no other while it is lent.
        &unsafe { self.held.as_ref() }.value
    }

    /// The version of the value taken last.
    #[must_use]
    pub fn version(&self) -> u64 {
        // SAFETY: as in `current`.
        unsafe { self.held.as_ref() }.number
    }

    #[cold]
    fn advance(&mut self, newest: *mut Version<T>) {
        // Never null: it holds pointers from `Version::leak` only.
        let Some(newest) = NonNull::new(newest) else { return };
        self.held = newest;
        // Release: all that we read of the previous value comes before. The version announced is that of
        // the value now held, never a later one.
        self.shared.announced[self.index].store(self.version(), Ordering::Release);
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        // Release: as in `advance`.
        self.shared.announced[self.index].store(GONE, Ordering::Release);
    }
}

#[cfg(all(test, not(vswitch_loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, atomic::AtomicBool};

    use super::*;

    /// A value that counts those of its kind that live, and that no reader should see after its drop.
    struct Canary {
        number: u64,
        alive: AtomicBool,
        living: Arc<AtomicUsize>,
    }

    impl Canary {
        fn new(number: u64, living: &Arc<AtomicUsize>) -> Box<Self> {
            living.fetch_add(1, SeqCst);
            Box::new(Self { number, alive: AtomicBool::new(true), living: Arc::clone(living) })
        }
    }

    impl Drop for Canary {
        fn drop(&mut self) {
            assert!(self.alive.swap(false, SeqCst), "freed twice");
            self.living.fetch_sub(1, SeqCst);
        }
    }

    #[test]
    fn what_a_reader_holds_is_kept_and_the_rest_is_freed() {
        let living = Arc::default();
        let (mut publisher, mut readers) = channel(Canary::new(0, &living), 2);
        assert_eq!(publisher.lagging().count(), 0);
        assert_eq!(readers[0].current().number, 0);

        assert_eq!(publisher.publish(Canary::new(1, &living)), 1);
        assert_eq!(publisher.publish(Canary::new(2, &living)), 2);
        assert_eq!((publisher.current().number, publisher.version()), (2, 2));
        assert_eq!(publisher.lagging().collect::<Vec<_>>(), [0, 1]);
        assert_eq!((publisher.reclaim(), publisher.pending()), (0, 2));

        assert_eq!(readers[0].current().number, 2);
        assert_eq!((readers[0].version(), readers[1].version()), (2, 0));
        assert_eq!(publisher.lagging().collect::<Vec<_>>(), [1]);
        assert_eq!(publisher.reclaim(), 0, "reader 1 still holds version 0");

        assert_eq!(readers[1].current().number, 2);
        assert_eq!((publisher.reclaim(), publisher.pending()), (2, 0));
        assert_eq!(living.load(SeqCst), 1);
    }

    #[test]
    fn a_dropped_reader_holds_nothing_for_ever() {
        let living = Arc::default();
        let (mut publisher, readers) = channel(Canary::new(0, &living), 1);
        drop(readers);
        publisher.publish(Canary::new(1, &living));
        assert_eq!(publisher.lagging().count(), 0);
        assert_eq!(publisher.reclaim(), 1);
    }

    #[test]
    fn without_readers_everything_old_is_free() {
        let (mut publisher, readers) = channel(Box::new(0), 0);
        assert!(readers.is_empty());
        publisher.publish(Box::new(1));
        assert_eq!((publisher.reclaim(), *publisher.current()), (1, 1));
    }

    #[test]
    fn the_last_half_frees_what_is_left() {
        let living = Arc::default();
        let (mut publisher, mut readers) = channel(Canary::new(0, &living), 2);
        publisher.publish(Canary::new(1, &living));
        drop(publisher);
        assert_eq!(readers[1].version(), 0);
        assert_eq!(readers[0].current().number, 1);
        assert!(readers[0].current().alive.load(SeqCst));
        drop(readers.pop());
        assert_eq!(living.load(SeqCst), 2);
        drop(readers);
        assert_eq!(living.load(SeqCst), 0);
    }

    #[test]
    fn readers_on_other_threads_never_see_a_freed_or_an_older_value() {
        let last = if cfg!(miri) { 50 } else { 100_000 };
        let living = Arc::default();
        let (mut publisher, readers) = channel(Canary::new(0, &living), 2);
        std::thread::scope(|scope| {
            for mut reader in readers {
                scope.spawn(move || {
                    let mut seen = 0;
                    while seen < last {
                        let canary = reader.current();
                        assert!(canary.alive.load(SeqCst) && canary.number >= seen);
                        seen = canary.number;
                        assert_eq!(reader.version(), seen);
                    }
                });
            }
            for number in 1..=last {
                publisher.publish(Canary::new(number, &living));
                publisher.reclaim();
            }
        });
        publisher.reclaim();
        assert_eq!((publisher.pending(), living.load(SeqCst)), (0, 1));
    }
}
