//! Files that are whole, and files that are not.

use proptest::prelude::*;

use super::*;
use crate::config::arbitrary;
use crate::control::state::file::Damage;

proptest! {
    #[test]
    fn a_state_survives_its_file(
        config in arbitrary::odd_config(),
        generation: u64,
        files in 0..4_usize,
    ) {
        let document = Document::from(&config);
        let files = (0..files).map(|number| Checksum::of(&self::document(number))).collect();
        let state = State { document, generation, files };
        prop_assert_eq!(State::decode(state.encode().as_bytes()).unwrap(), state);
    }
}

#[test]
fn a_state_file_is_also_a_configuration_file() {
    let text = state(0, 7).encode();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("# vswitch state, format 1, generation 7, files "), "{first}");
    let read = parse("state.toml", &text).unwrap();
    assert_eq!(Document::from(&read), document(0));
}

#[test]
fn no_truncation_and_no_flipped_bit_goes_unnoticed() {
    let whole = state(0, 7).encode().into_bytes();
    for length in 0..whole.len() {
        assert!(State::decode(&whole[..length]).is_err(), "truncated to {length}");
    }
    let hexadecimal_case = |byte: u8| byte.is_ascii_hexdigit() && byte.is_ascii_alphabetic();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            match State::decode(&flipped) {
                Err(_) => {}
                // `a` and `A` are the same digit of the checksum.
                Ok(read) => assert!(
                    read == state(0, 7) && bit == 5 && hexadecimal_case(whole[at]),
                    "byte {at} ({:?}), bit {bit}",
                    char::from(whole[at])
                ),
            }
        }
    }
    let mut longer = whole.clone();
    longer.push(b'\n');
    assert!(matches!(State::decode(&longer), Err(Damage::Checksum { .. })));
}

#[test]
fn another_format_says_so() {
    let text = state(0, 7).encode().replace("format 1", "format 2");
    let said = State::decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(said, "has format 2, and this vswitch knows format 1 only");
}

/// A store with a state and one before it, and the bytes of the state.
fn two_states() -> (World, Vec<u8>) {
    let world = World::new(Fault::Error);
    let (mut store, _) = world.open();
    store.begin(&document(0), 1).unwrap();
    store.save(&document(1), 2).unwrap();
    let bytes = std::fs::read(world.file(STATE)).unwrap();
    (world, bytes)
}

#[test]
fn a_damaged_state_is_told_kept_aside_and_replaced_by_the_one_before() {
    let (world, whole) = two_states();
    // That none goes unnoticed is tested above, for every byte and without a disk.
    let some = || (0..whole.len()).step_by(11);
    let mut damaged: Vec<Vec<u8>> = some().map(|length| whole[..length].to_vec()).collect();
    damaged.extend(some().map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x81;
        flipped
    }));
    let good = std::fs::read(world.file(PREVIOUS)).unwrap();
    for (i, bytes) in damaged.iter().enumerate() {
        std::fs::write(world.file(STATE), bytes).unwrap();
        std::fs::write(world.file(PREVIOUS), &good).unwrap();
        let (store, loaded) = world.open();
        assert_eq!(number_of(&loaded), Some(0));
        assert!(loaded.generation > 2, "{}", loaded.generation);
        let aside = world.file("state.toml.damaged-1");
        assert_eq!(&std::fs::read(&aside).unwrap(), bytes);
        let told = loaded.reports.join("\n");
        assert!(told.contains("is damaged") && told.contains(aside.to_str().unwrap()), "{told}");
        assert!(told.contains("the state before it is used, generation 1"), "{told}");
        drop(store);
        if i % 20 == 0 {
            let (_, again) = world.open();
            assert_eq!((number_of(&again), again.reports.len()), (Some(0), 0));
            assert_eq!(again.generation, loaded.generation);
        }
        std::fs::remove_file(aside).unwrap();
    }
}

#[test]
fn two_damaged_states_are_kept_and_there_is_none() {
    let (world, whole) = two_states();
    for name in [STATE, PREVIOUS] {
        std::fs::write(world.file(name), &whole[..whole.len() / 2]).unwrap();
    }
    let (mut store, loaded) = world.open();
    assert!(loaded.state.is_none() && loaded.reports.len() == 5, "{loaded:?}");
    assert_eq!(world.names(), ["lock", "state.toml.damaged-1", "state.toml.damaged-2"]);
    assert_eq!(choose(loaded, config(1), false).origin, Origin::File);
    store.begin(&document(2), 1000).unwrap();
    drop(store);
    let (_, loaded) = world.open();
    assert_eq!((number_of(&loaded), loaded.reports.len()), (Some(2), 0));
}

#[test]
fn a_state_that_is_missing_is_replaced_by_the_one_before() {
    let (world, _) = two_states();
    std::fs::remove_file(world.file(STATE)).unwrap();
    let (_, loaded) = world.open();
    assert_eq!((number_of(&loaded), loaded.reports.len()), (Some(0), 1), "{loaded:?}");
}

#[test]
fn a_damaged_pending_configuration_changes_nothing() {
    let (world, whole) = two_states();
    std::fs::write(world.file(PENDING), &whole[1..]).unwrap();
    let (_, loaded) = world.open();
    assert_eq!((number_of(&loaded), loaded.reports.len()), (Some(1), 2), "{loaded:?}");
    assert!(world.names().contains(&"state.toml.damaged-1".to_owned()));
}

/// A start that finds the state damaged or missing and cannot write it again, and then a disk that
/// is well.
#[test]
fn what_could_not_be_restored_never_takes_the_place_of_the_one_before() {
    for (is_missing, step_of_restoring) in [(true, 0), (false, 1)] {
        let (world, whole) = two_states();
        match is_missing {
            true => std::fs::remove_file(world.file(STATE)).unwrap(),
            false => std::fs::write(world.file(STATE), &whole[1..]).unwrap(),
        }
        world.faults().left = Some(step_of_restoring);
        let (mut store, loaded) = world.open_faulty().unwrap();
        assert_eq!(number_of(&loaded), Some(0));
        assert!(loaded.reports.iter().any(|told| told.contains("cannot save")), "{loaded:?}");
        let generation = loaded.generation;
        store.save(&document(2), generation + 1).unwrap();
        let previous = std::fs::read(world.file(PREVIOUS)).unwrap();
        assert_eq!(State::decode(&previous).unwrap().document, document(0));
        store.save(&document(3), generation + 2).unwrap();
        drop(store);
        let previous = std::fs::read(world.file(PREVIOUS)).unwrap();
        assert_eq!(State::decode(&previous).unwrap().document, document(2));
        assert_eq!(number_of(&world.open().1), Some(3));
    }
}

#[test]
fn a_look_sees_what_a_start_would_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let all = || {
        let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            names.map(|name| (name.clone(), std::fs::read(name).unwrap())).collect();
        files.sort();
        files
    };
    // None yet: it could be made.
    assert!(StateStore::look(&path).unwrap().state.is_none() && !path.exists());

    let (mut store, _) = StateStore::open(&path).unwrap();
    store.save(&document(1), 5).unwrap();
    store.save(&document(2), 6).unwrap();
    // A switch that runs has it locked.
    assert_eq!(StateStore::look(&path).unwrap().state.unwrap().document, document(2));
    assert_eq!(good_file(&path), Some(path.join(STATE)));
    store.save_pending(&document(3), 7).unwrap();
    drop(store);
    for damage in [false, true] {
        if damage {
            std::fs::write(path.join(STATE), "# nothing").unwrap();
            assert!(good_file(&path).is_none());
        }
        let before = all();
        let looked = StateStore::look(&path).unwrap();
        assert_eq!(all(), before);
        let (_, opened) = StateStore::open(&path).unwrap();
        assert_eq!((&looked.state, looked.generation), (&opened.state, opened.generation));
        assert_eq!(looked.reports, opened.reports);
        assert!(!opened.reports.is_empty());
    }

    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = StateStore::look(&folder.path().join("file/s"));
    assert!(matches!(refused, Err(StateError::Directory { .. })), "{refused:?}");
}
