//! The forwarding table against a hash map, at its limits, and with readers at work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proptest::prelude::*;

use super::bucket::SLOTS;
use super::hash::split_mix;
use super::lookup::Table;
use super::{Destination, Entry, FdbReader, FdbWriter, Found, Key, TableFull, fdb};
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId};

/// The writer and the one reader of a table that does not grow.
fn fixed(capacity: usize, buckets: u32, seed: u64) -> (FdbWriter, FdbReader) {
    let (writer, mut readers) = fdb::with_buckets(capacity, buckets, buckets, seed, 1);
    (writer, readers.remove(0))
}

fn new(capacity: usize, seed: u64) -> (FdbWriter, FdbReader) {
    let (writer, mut readers) = fdb::new(capacity, seed, 1);
    (writer, readers.remove(0))
}

/// The keys of tests: station addresses, in a few networks.
pub(super) fn key(number: u64) -> Key {
    let network = NetworkId(u16::try_from(number % 3).unwrap());
    Key::new(network, MacAddr::from_u64(0x0200_0000_0000 | number))
}

pub(super) fn entry(index: u16, refreshed_secs: u32) -> Entry {
    let destination = if index.is_multiple_of(2) {
        Destination::Port(PortId(index))
    } else {
        Destination::Tunnel(TunnelId(index))
    };
    Entry { destination, is_static: index.is_multiple_of(5), refreshed_secs }
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(u64, u16, u32),
    Remove(u64),
    Refresh(u64, u32),
    /// Removes the entries whose time is below the second number, from so many buckets.
    Sweep(usize, u32),
}

fn operations(keys: u64, most: usize) -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        6 => (0..keys, 0..8_u16, 0..100_u32).prop_map(|(k, i, t)| Operation::Insert(k, i, t)),
        3 => (0..keys).prop_map(Operation::Remove),
        2 => (0..keys, 0..100_u32).prop_map(|(k, t)| Operation::Refresh(k, t)),
        1 => (0..12_usize, 0..50_u32).prop_map(|(n, t)| Operation::Sweep(n, t)),
    ];
    prop::collection::vec(operation, 1..if cfg!(miri) { 20 } else { most })
}

/// Does it to the table and to the model; `false` if the table was full.
fn apply(operation: &Operation, writer: &mut FdbWriter, model: &mut HashMap<Key, Entry>) -> bool {
    match *operation {
        Operation::Insert(number, index, secs) => {
            let (key, entry) = (key(number), entry(index, secs));
            match writer.insert(key, entry) {
                Ok(old) => assert_eq!(old, model.insert(key, entry)),
                Err(TableFull) => {
                    assert!(!model.contains_key(&key));
                    return false;
                }
            }
        }
        Operation::Remove(number) => {
            assert_eq!(writer.remove(key(number)), model.remove(&key(number)));
        }
        Operation::Refresh(number, secs) => {
            let known = model.get_mut(&key(number)).map(|e| e.refreshed_secs = secs);
            assert_eq!(writer.refresh(key(number), secs), known.is_some());
        }
        Operation::Sweep(buckets, oldest) => {
            let mut gone = Vec::new();
            let removed = writer.retain_some(buckets, |key, entry| {
                let keep = entry.is_static || entry.refreshed_secs >= oldest;
                if !keep {
                    gone.push((key, entry));
                }
                keep
            });
            assert_eq!(removed, gone.len());
            for (key, entry) in gone {
                assert_eq!(model.remove(&key), Some(entry));
            }
        }
    }
    true
}

/// Reader and writer, by every way of asking, say what the model says.
fn assert_same(writer: &FdbWriter, table: &Table, model: &HashMap<Key, Entry>, keys: u64) {
    let keys: Vec<Key> = (0..if cfg!(miri) { 12 } else { keys }).map(key).collect();
    let mut found = vec![Found::MISS; keys.len()];
    table.lookup_burst(&keys, &mut found);
    for (&key, found) in keys.iter().zip(&found) {
        let expected = model.get(&key).copied();
        assert_eq!(found.entry(), expected, "{key:?} in a burst");
        assert_eq!(table.lookup(key), expected, "{key:?}");
        assert_eq!(writer.get(key), expected, "{key:?} by the writer");
    }
    assert_eq!(writer.len(), model.len());
    assert_eq!(writer.iter().count(), model.len(), "no entry is there twice");
    assert_eq!(writer.iter().collect::<HashMap<_, _>>(), *model);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 1 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Twelve buckets or fewer and no spare slots: much displacement, and insertions that find no room.
    #[test]
    fn behaves_as_a_hash_map(buckets in 2..12_u32, seed: u64, operations in operations(60, 300)) {
        let capacity = buckets as usize * SLOTS;
        let (mut writer, mut reader) = fixed(capacity, buckets, seed);
        let mut model = HashMap::new();
        for operation in operations {
            if !apply(&operation, &mut writer, &mut model) {
                prop_assert!(model.len() > capacity / 2, "full at {}", model.len());
            }
            assert_same(&writer, reader.current(), &model, 60);
        }
    }

    /// Every moment of up to five growths has its operations: they are 10 to 60 insertions long.
    #[test]
    fn behaves_as_a_hash_map_while_it_grows(
        first in 4..20_u32,
        seed: u64,
        operations in operations(1000, 1500),
        upkeep in 1..200_usize,
    ) {
        let (mut writer, mut readers) = fdb::with_buckets(600, first, 404, seed, 1);
        let mut model = HashMap::new();
        for (i, operation) in (1..).zip(operations) {
            if !apply(&operation, &mut writer, &mut model) {
                let slots = writer.buckets() * SLOTS;
                prop_assert!(model.len() > slots / 2, "full at {} of {slots}", model.len());
            }
            if i % upkeep == 0 {
                writer.upkeep();
            }
            if i % 64 == 0 {
                assert_same(&writer, readers[0].current(), &model, 1000);
            }
        }
        assert_same(&writer, readers[0].current(), &model, 1000);
    }
}

#[test]
fn holds_exactly_its_capacity() {
    let capacities: &[usize] =
        if cfg!(miri) { &[0, 1, 20] } else { &[0, 1, 2, 3, 10, 100, 1000, 65_536, 1_000_000] };
    for &capacity in capacities {
        for seed in 0..if capacity > 1000 || cfg!(miri) { 2 } else { 200 } {
            let (mut writer, mut reader) = new(capacity, seed);
            let mut state = seed;
            let mut random = || Key::new(NetworkId(1), MacAddr::from_u64(split_mix(&mut state)));
            let keys: Vec<Key> = (0..=capacity).map(|_| random()).collect();
            for (i, &key) in keys[..capacity].iter().enumerate() {
                let result = writer.insert(key, entry(1, 0));
                assert_eq!(result, Ok(None), "entry {i} of {capacity}, seed {seed}");
            }
            assert_eq!(writer.insert(keys[capacity], entry(1, 0)), Err(TableFull));
            assert_eq!((writer.len(), writer.capacity()), (capacity, capacity));
            let table = reader.current();
            assert_eq!(table.lookup(keys[capacity]), None);
            assert!(keys[..capacity].iter().all(|&key| table.lookup(key).is_some()));
            // An entry that is there can still change, and room that is made can be used.
            if let Some(&first) = keys.first().filter(|_| capacity > 0) {
                assert_eq!(writer.insert(first, entry(2, 9)), Ok(Some(entry(1, 0))));
                assert_eq!(writer.remove(first), Some(entry(2, 9)));
                assert_eq!(writer.insert(keys[capacity], entry(1, 0)), Ok(None));
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow, and no code runs here that other tests do not run")]
fn refused_insertions_change_nothing() {
    let (mut writer, mut reader) = fixed(9, 3, 1);
    let mut model = HashMap::new();
    let mut refused = 0;
    for number in 0..60 {
        match writer.insert(key(number), entry(1, 7)) {
            Ok(_) => drop(model.insert(key(number), entry(1, 7))),
            Err(TableFull) => refused += 1,
        }
        assert_same(&writer, reader.current(), &model, 60);
    }
    assert_eq!((refused, writer.len()), (51, 9));
}

#[test]
fn mac_zero_is_never_there() {
    let (mut writer, mut reader) = new(10, 0);
    let table = reader.current();
    for network in [0, 1, u16::MAX] {
        let zero = Key::new(NetworkId(network), MacAddr::ZERO);
        assert_eq!(writer.insert(zero, entry(1, 1)), Err(TableFull));
        assert_eq!((writer.get(zero), table.lookup(zero)), (None, None));
        let mut found = [Found::from_word(0)];
        table.lookup_burst(&[zero], &mut found);
        assert_eq!(found, [Found::MISS]);
        assert!(!writer.refresh(zero, 1));
        assert_eq!(writer.remove(zero), None);
    }
    assert!(writer.is_empty());
}

#[test]
fn bursts_of_any_length() {
    let (mut writer, mut reader) = new(200, 3);
    for number in (0..200).step_by(2) {
        writer.insert(key(number), entry(u16::try_from(number).unwrap(), 1)).unwrap();
    }
    for len in if cfg!(miri) { [0, 1, 33].iter() } else { [0, 1, 31, 32, 33, 64, 65, 200].iter() } {
        let keys: Vec<Key> = (0..*len).map(key).collect();
        let mut found = vec![Found::MISS; 201];
        reader.current().lookup_burst(&keys, &mut found);
        for (key, found) in keys.iter().zip(&found) {
            assert_eq!(found.entry(), writer.get(*key), "{key:?} of {len}");
        }
        assert_eq!(found[keys.len()], Found::MISS, "nothing is written beyond the answers");
    }
}

#[test]
fn the_sweep_comes_round_and_visits_each_bucket_once() {
    let (mut writer, _) = new(100, 3);
    for number in 0..100 {
        writer.insert(key(number), entry(1, 1)).unwrap();
    }
    let mut visits = HashMap::new();
    let step = 7;
    for _ in 0..writer.buckets() {
        writer.retain_some(step, |key, _| {
            *visits.entry(key).or_insert(0) += 1;
            true
        });
    }
    assert_eq!(visits.len(), 100);
    assert!(visits.values().all(|&n| n == step), "{visits:?}");
    assert_eq!(writer.retain_some(usize::MAX, |_, _| false), 100);
    assert!(writer.is_empty());
}

/// The value of every key follows from the key, so that a reader can tell one that is torn or another
/// key's. The time's upper bits change.
pub(super) fn telling(number: u64, round: u32) -> Entry {
    let low = u16::try_from(number % 0x1_0000).unwrap();
    entry(low, round << 16 | u32::from(low))
}

pub(super) fn assert_telling(number: u64, found: Entry) {
    let round = found.refreshed_secs >> 16;
    assert_eq!(found, telling(number, round), "the value of another key, or half of one");
}

pub(super) fn stress_secs() -> f32 {
    std::env::var("VSWITCH_STRESS_SECS").ok().and_then(|n| n.parse().ok()).unwrap_or(2.0)
}

/// Keys that stay are never missed and never wrong, while others come, are displaced and go, in a table
/// that is as full as chance lets it be. For two seconds, or `VSWITCH_STRESS_SECS`; before a change to
/// the protocol is trusted, ten minutes.
#[test]
fn readers_see_every_key_that_stays() {
    let buckets: u32 = if cfg!(miri) { 6 } else { 64 };
    let slots = u64::from(buckets) * SLOTS as u64;
    let staying = slots * 2 / 3;
    let all = slots * 2;
    let (mut writer, readers) = fdb::with_buckets(usize::MAX, buckets, buckets, 5, 2);
    for number in 0..staying {
        writer.insert(key(number), telling(number, 0)).unwrap();
    }
    let done = AtomicBool::new(false);
    let (mut moves, mut refused) = (0_u64, 0_u64);
    std::thread::scope(|scope| {
        for mut reader in readers {
            let done = &done;
            scope.spawn(move || {
                let keys: Vec<Key> = (0..all).map(key).collect();
                let mut found = vec![Found::MISS; keys.len()];
                while !done.load(Relaxed) {
                    let table = reader.current();
                    table.lookup_burst(&keys, &mut found);
                    for (number, burst) in (0..all).zip(&found) {
                        let single = table.lookup(key(number));
                        for found in [burst.entry(), single] {
                            match found {
                                Some(found) => assert_telling(number, found),
                                None => assert!(number >= staying, "{number} was missed"),
                            }
                        }
                    }
                }
            });
        }
        let (started, secs) = (std::time::Instant::now(), stress_secs());
        let mut state = 11;
        let enough = |round: u32| match cfg!(miri) {
            true => round == 1,
            false => started.elapsed().as_secs_f32() > secs,
        };
        for round in 0.. {
            if enough(round) {
                break;
            }
            for _ in 0..all {
                let number = split_mix(&mut state) % all;
                let stamp = round & 0xffff;
                if number < staying {
                    // A key that stays changes its value, and now and then all else about it.
                    assert!(writer.refresh(key(number), telling(number, stamp).refreshed_secs));
                } else if writer.remove(key(number)).is_none() {
                    match writer.insert(key(number), telling(number, stamp)) {
                        Ok(_) => moves += 1,
                        Err(TableFull) => refused += 1,
                    }
                }
            }
        }
        done.store(true, Relaxed);
    });
    assert!(moves > 0 && (refused > 0 || cfg!(miri)), "{moves} moves, {refused} refused");
}

/// What pages of the API rely on: as long as `layout` says so, nothing changes its place.
#[test]
fn a_look_in_pieces_sees_once_what_stays_unless_the_layout_changed() {
    const PIECE: usize = 16;
    let (mut writer, _reader) = new(10_000, 7);
    let (rounds, mut inserted, mut exact) = (if cfg!(miri) { 3 } else { 80 }, 0, 0);
    for _ in 0..rounds {
        let before: Vec<Key> = writer.iter().map(|(key, _)| key).collect();
        let layout = writer.layout();
        let mut seen: HashMap<Key, u32> = HashMap::new();
        let mut bucket = 0;
        while bucket < writer.buckets() {
            for (key, _) in writer.iter_from(bucket, PIECE) {
                *seen.entry(key).or_default() += 1;
            }
            bucket += PIECE;
            for _ in 0..3 {
                // At the end there is no room.
                let _ = writer.insert(key(inserted), entry(1, 0));
                inserted += 1;
            }
            writer.upkeep();
        }
        if writer.layout() == layout {
            exact += 1;
            assert!(before.iter().all(|key| seen.get(key) == Some(&1)));
        }
    }
    assert!(cfg!(miri) || (exact > 0 && exact < rounds), "{exact} of {rounds}");
}
