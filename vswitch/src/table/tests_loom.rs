//! Every interleaving, and every order of memory that C11 allows, of small scenes at a table of two or
//! three buckets and at a publisher. See [`super`] for the command.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::fdb;
use super::hash::Pair;
use super::lookup::Table;
use super::{Destination, Entry, FdbWriter, Found, Key, snapshot};
use crate::ids::{MacAddr, NetworkId, PortId};

/// Both halves follow from one number, so that a torn value shows.
fn entry(number: u16) -> Entry {
    Entry {
        destination: Destination::Port(PortId(number)),
        is_static: false,
        refreshed_secs: u32::from(number),
    }
}

/// The first `N` keys whose places are `primary` and `secondary`.
fn keys_at<const N: usize>(table: &Table, primary: u32, secondary: u32) -> [Key; N] {
    let mut keys = (1..)
        .map(|mac| Key::new(NetworkId(1), MacAddr::from_u64(mac)))
        .filter(|&key| table.places(key) == Pair { primary, secondary });
    [(); N].map(|()| keys.next().expect("there is no end of keys"))
}

/// Runs `write` against one lookup by `find` of each key of the scene; `check` judges what they found, in
/// that order.
fn race<const N: usize>(
    buckets: u32,
    find: fn(&Table, Key) -> Option<Entry>,
    scene: impl Fn(&mut FdbWriter) -> [Key; N] + Send + Sync + 'static,
    write: impl Fn(&mut FdbWriter, &[Key; N]) + Send + Sync + 'static,
    check: impl Fn([Option<Entry>; N]) + Send + Sync + 'static,
) {
    let scenes = std::sync::Arc::new((scene, write, check));
    let mut model = loom::model::Builder::new();
    // Every interleaving that takes the processor away from a thread up to three times, at any place:
    // without the bound, the longest scene takes an hour. `LOOM_MAX_PREEMPTIONS` overrides it.
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(move || {
        let (mut writer, mut readers) = fdb::with_buckets(100, buckets, buckets, 0, 1);
        let mut reader = readers.remove(0);
        let (scene, write, _) = &*scenes;
        let keys = scene(&mut writer);
        let lookups = {
            let scenes = std::sync::Arc::clone(&scenes);
            thread::spawn(move || {
                let table = reader.current();
                scenes.2(keys.map(|key| find(table, key)));
            })
        };
        write(&mut writer, &keys);
        lookups.join().expect("the reader has no complaint");
    });
}

/// By a burst, which takes all paths: the first look at each bucket, and the whole lookup.
fn in_burst(table: &Table, key: Key) -> Option<Entry> {
    let mut found = [Found::MISS];
    table.lookup_burst(&[key], &mut found);
    found[0].entry()
}

#[test]
fn a_value_is_old_or_new_and_never_half() {
    race(
        2,
        in_burst,
        |writer| {
            let keys = keys_at::<1>(writer.table(), 0, 1);
            writer.insert(keys[0], entry(1)).unwrap();
            keys
        },
        |writer, &[key]| {
            writer.insert(key, entry(2)).unwrap();
            assert!(writer.refresh(key, 7));
        },
        |[found]| {
            let refreshed = Entry { refreshed_secs: 7, ..entry(2) };
            assert!([entry(1), entry(2), refreshed].contains(&found.expect("it stays")));
        },
    );
}

#[test]
fn a_slot_used_again_never_lends_its_value_to_another_key() {
    let scene = |writer: &mut FdbWriter| {
        let keys = keys_at::<2>(writer.table(), 0, 1);
        writer.insert(keys[0], entry(1)).unwrap();
        keys
    };
    let write = |writer: &mut FdbWriter, [first, second]: [Key; 2]| {
        writer.remove(first).unwrap();
        writer.insert(second, entry(2)).unwrap();
        writer.remove(second).unwrap();
        writer.insert(first, entry(3)).unwrap();
    };
    race(
        2,
        in_burst,
        move |writer| [scene(writer)[0]],
        move |writer, _| write(writer, keys_at(writer.table(), 0, 1)),
        |[first]| {
            assert!([None, Some(entry(1)), Some(entry(3))].contains(&first), "{first:?}");
        },
    );
    race(
        2,
        in_burst,
        move |writer| [scene(writer)[1]],
        move |writer, _| write(writer, keys_at(writer.table(), 0, 1)),
        |[second]| assert!([None, Some(entry(2))].contains(&second), "{second:?}"),
    );
}

#[test]
fn a_key_that_moves_away_and_back_is_never_missed() {
    for home in [0, 1] {
        race(
            2,
            Table::lookup,
            move |writer| {
                let keys = keys_at::<1>(writer.table(), 0, 1);
                writer.insert(keys[0], entry(1)).unwrap();
                if home == 1 {
                    writer.table().move_entry((0, 0), (1, 0));
                }
                keys
            },
            move |writer, _| {
                writer.table().move_entry((home, 0), (1 - home, 0));
                writer.table().move_entry((1 - home, 0), (home, 0));
            },
            |[found]| assert_eq!(found, Some(entry(1))),
        );
    }
}

#[test]
fn a_key_that_moves_into_a_slot_used_before_keeps_its_value() {
    race(
        2,
        in_burst,
        |writer| {
            let [first] = keys_at::<1>(writer.table(), 0, 1);
            let [second] = keys_at::<1>(writer.table(), 1, 0);
            writer.insert(first, entry(1)).unwrap();
            writer.insert(second, entry(2)).unwrap();
            [first, second]
        },
        |writer, &[first, _]| {
            writer.remove(first).unwrap();
            writer.table().move_entry((1, 0), (0, 0));
        },
        |[first, second]| {
            assert!([None, Some(entry(1))].contains(&first), "{first:?}");
            assert_eq!(second, Some(entry(2)));
        },
    );
}

#[test]
fn an_insertion_that_displaces_others_loses_none() {
    race(
        3,
        in_burst,
        |writer| {
            // Buckets 0 and 1 are full; one key of bucket 0 can go to bucket 2.
            let [goes] = keys_at::<1>(writer.table(), 0, 2);
            let [a, b, new] = keys_at::<3>(writer.table(), 0, 1);
            let [c, d, e] = keys_at::<3>(writer.table(), 1, 0);
            for (number, key) in (1..).zip([goes, a, b, c, d, e]) {
                writer.insert(key, entry(number)).unwrap();
            }
            [goes, new]
        },
        |writer, &[_, new]| assert_eq!(writer.insert(new, entry(9)), Ok(None)),
        |[goes, new]| {
            assert_eq!(goes, Some(entry(1)));
            assert!([None, Some(entry(9))].contains(&new), "{new:?}");
        },
    );
}

#[test]
fn a_displaced_key_is_found_while_others_go_and_after() {
    race(
        2,
        Table::lookup,
        |writer| {
            let keys = keys_at::<2>(writer.table(), 0, 1);
            writer.insert(keys[0], entry(1)).unwrap();
            writer.insert(keys[1], entry(2)).unwrap();
            writer.table().move_entry((0, 0), (1, 0));
            writer.table().move_entry((0, 1), (1, 1));
            [keys[0]]
        },
        |writer, _| {
            // Two are displaced, then one, then none.
            let [_, goes] = keys_at(writer.table(), 0, 1);
            writer.remove(goes).unwrap();
            writer.table().move_entry((1, 0), (0, 0));
        },
        |[stays]| assert_eq!(stays, Some(entry(1))),
    );
}

#[test]
fn a_key_that_comes_home_is_not_hidden_by_one_that_goes() {
    for asked in [0, 1] {
        race(
            2,
            Table::lookup,
            move |writer| {
                let keys = keys_at::<2>(writer.table(), 0, 1);
                writer.insert(keys[0], entry(0)).unwrap();
                writer.insert(keys[1], entry(1)).unwrap();
                writer.table().move_entry((0, 0), (1, 0));
                [keys[usize::from(asked)]]
            },
            |writer, _| {
                writer.table().move_entry((1, 0), (0, 0));
                writer.table().move_entry((0, 1), (1, 0));
            },
            move |[found]| assert_eq!(found, Some(entry(asked))),
        );
    }
}

#[test]
fn a_key_inserted_away_from_home_once_found_stays_found() {
    race(
        2,
        in_burst,
        |writer| {
            let [a, b, c, new] = keys_at::<4>(writer.table(), 0, 1);
            for (number, key) in (1..).zip([a, b, c]) {
                writer.insert(key, entry(number)).unwrap();
            }
            [new, new]
        },
        |writer, &[new, _]| assert_eq!(writer.insert(new, entry(9)), Ok(None)),
        |[first, second]| {
            assert!([None, Some(entry(9))].contains(&first), "{first:?}");
            assert!(second == Some(entry(9)) || first.is_none(), "{second:?} after {first:?}");
        },
    );
}

/// A value whose drop writes a cell that its readers read: loom reports any read that the drop is not
/// ordered after.
struct Canary {
    alive: Arc<UnsafeCell<bool>>,
    number: u64,
}

// SAFETY: loom checks every access to the cell.
unsafe impl Send for Canary {}
// SAFETY: as above.
unsafe impl Sync for Canary {}

impl Canary {
    fn new(number: u64) -> Box<Self> {
        Box::new(Self { alive: Arc::new(UnsafeCell::new(true)), number })
    }

    fn sing(&self) -> u64 {
        // SAFETY: loom checks that no write is concurrent.
        assert!(self.alive.with(|alive| unsafe { *alive }), "freed while in use");
        self.number
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // SAFETY: loom checks that no access is concurrent.
        assert!(self.alive.with_mut(|alive| unsafe { alive.replace(false) }), "freed twice");
    }
}

#[test]
fn a_generation_is_not_freed_under_its_reader() {
    loom::model(|| {
        let (mut publisher, mut readers) = snapshot::channel(Canary::new(0), 1);
        let mut reader = readers.pop().expect("there is one");
        let worker = thread::spawn(move || {
            let mut last = 0;
            for _ in 0..3 {
                let number = reader.current().sing();
                assert!(number >= last, "went back");
                assert_eq!(reader.version(), number);
                last = number;
            }
        });
        for number in 1..=2 {
            publisher.publish(Canary::new(number));
            publisher.reclaim();
        }
        worker.join().expect("the reader has no complaint");
        publisher.reclaim();
        assert_eq!(publisher.pending(), 0);
    });
}

#[test]
fn two_readers_each_keep_what_they_hold() {
    loom::model(|| {
        let (mut publisher, readers) = snapshot::channel(Canary::new(0), 2);
        let workers: Vec<_> = readers
            .into_iter()
            .map(|mut reader| {
                thread::spawn(move || {
                    reader.current().sing();
                    reader.current().sing();
                })
            })
            .collect();
        publisher.publish(Canary::new(1));
        publisher.reclaim();
        assert_eq!(publisher.current().sing(), 1);
        for worker in workers {
            worker.join().expect("the reader has no complaint");
        }
    });
}

#[test]
fn the_publisher_may_go_first() {
    loom::model(|| {
        let (mut publisher, mut readers) = snapshot::channel(Canary::new(0), 1);
        let mut reader = readers.pop().expect("there is one");
        let worker = thread::spawn(move || {
            reader.current().sing();
            reader.current().sing();
        });
        publisher.publish(Canary::new(1));
        publisher.reclaim();
        drop(publisher);
        worker.join().expect("the reader has no complaint");
    });
}
