//! The forwarding table while it grows: with readers at work, and where a growth fails.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::bucket::SLOTS;
use super::growth::{Growth, Outcome};
use super::hash::split_mix;
use super::tests::{assert_telling, entry, key, stress_secs, telling};
use super::{Found, TableFull, fdb};

#[test]
fn begins_small_whatever_its_capacity() {
    for capacity in [0, 64, 1000, 65_536, 1_000_000, 1 << 20, 1 << 24] {
        let (writer, _) = fdb::new(capacity, 1, 1);
        assert_eq!((writer.len(), writer.capacity()), (0, capacity));
        let least = (capacity * 2 / SLOTS + 4).min(1024);
        assert!((least..=2048).contains(&writer.buckets()), "{capacity}: {}", writer.buckets());
    }
}

#[test]
fn grows_as_it_fills_and_keeps_its_size() {
    let capacity = if cfg!(miri) { 3000 } else { 100_000 };
    let (mut writer, mut readers) = fdb::new(capacity, 1, 1);
    let last = capacity * 2 / SLOTS + 4;
    for number in 0..capacity as u64 {
        writer.insert(key(number), entry(1, 1)).unwrap();
        let load = writer.len() as f32 / (SLOTS * writer.buckets()) as f32;
        assert!(load < 0.9, "{load} at {number}");
    }
    assert!((last..=last + 1).contains(&writer.buckets()));
    assert!(writer.pending() > 0 || cfg!(miri));
    readers[0].current();
    writer.upkeep();
    assert_eq!(writer.pending(), 0, "no reader has an old table");
    assert_eq!(writer.retain_some(usize::MAX, |_, _| false), capacity);
    assert!((last..=last + 1).contains(&writer.buckets()));
}

#[test]
fn a_growth_is_over_without_further_insertions() {
    let (mut writer, mut readers) = fdb::with_buckets(1000, 100, 700, 1, 1);
    for number in 0..242 {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    assert!(writer.growth_mut().is_some());
    for _ in 0..20 {
        writer.upkeep();
    }
    assert!(writer.growth_mut().is_none());
    assert_eq!((writer.buckets(), writer.len()), (200, 242));
    assert!((0..242).all(|number| readers[0].current().lookup(key(number)).is_some()));
}

#[test]
fn the_sweep_begins_anew_in_the_larger_table() {
    let (mut writer, _) = fdb::with_buckets(100, 8, 16, 1, 0);
    for number in 0..16 {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    writer.retain_some(7, |_, _| true);
    writer.insert(key(16), entry(1, 1)).unwrap();
    writer.insert(key(17), entry(1, 1)).unwrap();
    writer.upkeep();
    assert_eq!(writer.buckets(), 16);
    let mut seen = 0;
    writer.retain_some(16, |_, _| {
        seen += 1;
        true
    });
    assert_eq!(seen, 18);
}

/// A larger table has room for what a smaller one has; here it is a smaller one.
#[test]
fn a_growth_that_finds_no_room_loses_nothing() {
    let (mut writer, mut readers) = fdb::with_buckets(48, 16, 32, 1, 1);
    for number in 0..20 {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    *writer.growth_mut() = Some(Growth::new(2, 1));
    writer.upkeep();
    assert!(writer.growth_mut().is_none());
    assert_eq!((writer.buckets(), writer.len()), (16, 20));
    let table = readers[0].current();
    assert!((0..20).all(|number| table.lookup(key(number)) == Some(entry(1, 1))));

    let Outcome::Unfinished(mut growth) = Growth::new(2, 1).step(table) else {
        panic!("it has made its buckets, and copied none")
    };
    let fit = (0..20).take_while(|&number| growth.placed(key(number), 1)).count();
    assert_eq!(fit, 2 * SLOTS);

    // It begins anew, and succeeds.
    for number in 20..48 {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    writer.upkeep();
    assert_eq!((writer.buckets(), writer.len()), (32, 48));
    assert!((0..48).all(|number| readers[0].current().lookup(key(number)).is_some()));
}

#[test]
fn an_insertion_that_finds_no_room_has_the_table_grow() {
    let (mut writer, _) = fdb::with_buckets(100, 8, 64, 3, 0);
    let in_two_buckets = |number: &u64| {
        let pair = writer.table().places(key(*number));
        pair.primary.max(pair.secondary) == 1
    };
    let numbers: Vec<_> = (0..).filter(in_two_buckets).take(2 * SLOTS + 1).collect();
    let (&last, others) = numbers.split_last().unwrap();
    for &number in others {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    assert_eq!(writer.insert(key(last), entry(1, 1)), Err(TableFull));
    writer.upkeep();
    assert_eq!(writer.buckets(), 16);
    assert_eq!(writer.insert(key(last), entry(1, 1)), Ok(None));
    assert!(numbers.iter().all(|&number| writer.get(key(number)).is_some()));
}

/// Keys that stay are never missed and never wrong, in whichever table a reader looks, while the writer
/// makes the table grow and changes all else. For two seconds, or `VSWITCH_STRESS_SECS`.
#[test]
fn readers_see_every_key_that_stays_across_growths() {
    let (first, last, staying) = if cfg!(miri) { (2, 16, 3) } else { (64, 8192, 90) };
    let capacity = last as usize * SLOTS / 2;
    let started = std::time::Instant::now();
    let mut state = 11;
    for round in 0..u64::MAX {
        let is_enough =
            if cfg!(miri) { round == 1 } else { started.elapsed().as_secs_f32() > stress_secs() };
        if is_enough {
            break;
        }
        let (mut writer, readers) = fdb::with_buckets(capacity, first, last, round, 2);
        for number in 0..staying {
            writer.insert(key(number), telling(number, 0)).unwrap();
        }
        let done = AtomicBool::new(false);
        let done = &done;
        std::thread::scope(|scope| {
            for mut reader in readers {
                scope.spawn(move || {
                    let keys: Vec<_> = (0..2 * staying).map(key).collect();
                    let mut found = vec![Found::MISS; keys.len()];
                    let mut tables = 0;
                    while !done.load(Relaxed) {
                        let version = reader.version();
                        let table = reader.current();
                        table.lookup_burst(&keys, &mut found);
                        for (number, burst) in (0..).zip(&found) {
                            for found in [burst.entry(), table.lookup(key(number))] {
                                match found {
                                    Some(found) => assert_telling(number, found),
                                    None => assert!(number >= staying, "{number} was missed"),
                                }
                            }
                        }
                        tables += u32::from(reader.version() != version);
                    }
                    tables
                });
            }
            let mut stamp = 0;
            // Others come more often than they go.
            while writer.len() < capacity {
                stamp = (stamp + 1) & 0xffff;
                let number = split_mix(&mut state) % (2 * capacity as u64);
                if number < staying {
                    let secs = telling(number, stamp).refreshed_secs;
                    assert!(writer.refresh(key(number), secs));
                } else if number % 8 == u64::from(stamp) % 8 {
                    writer.remove(key(number));
                } else {
                    writer.insert(key(number), telling(number, stamp)).unwrap();
                }
                let stays = split_mix(&mut state) % staying;
                assert!(writer.refresh(key(stays), telling(stays, stamp).refreshed_secs));
                if stamp % 64 == 0 {
                    writer.upkeep();
                }
            }
            done.store(true, Relaxed);
        });
        assert_eq!(writer.buckets(), last as usize);
    }
}
