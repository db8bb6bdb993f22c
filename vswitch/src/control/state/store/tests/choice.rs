//! What a start begins with.

use super::*;

/// Which document, as which generation, and why.
type Choice = (usize, u64, Origin);

fn loaded(state: Option<State>) -> Loaded {
    let generation = state.as_ref().map_or(1, |state| state.generation);
    Loaded { state, generation, reports: Vec::new() }
}

#[test]
fn the_choice() {
    // The state says 2; it began with file 0, and file 1 was applied since.
    let changed = || {
        let files = vec![Checksum::of(&document(0)), Checksum::of(&document(1))];
        Some(State { document: document(2), generation: 7, files })
    };
    let cases: &[(Option<State>, usize, bool, Choice)] = &[
        (None, 0, false, (0, 1, Origin::File)),
        (None, 0, true, (0, 1, Origin::File)),
        (changed(), 0, false, (2, 7, Origin::StateAndNotFile)),
        (changed(), 1, false, (2, 7, Origin::StateAndNotFile)),
        (changed(), 2, false, (2, 7, Origin::File)),
        (changed(), 3, false, (3, 8, Origin::FileAndNotState)),
        (changed(), 0, true, (0, 8, Origin::FreshFile)),
        (changed(), 2, true, (2, 7, Origin::File)),
        (Some(state(4, 9)), 4, false, (4, 9, Origin::State)),
        (Some(state(4, 9)), 4, true, (4, 9, Origin::File)),
    ];
    for (state, file, fresh, (number, generation, origin)) in cases {
        let start = choose(loaded(state.clone()), config(*file), *fresh);
        let begins = !matches!(start.origin, Origin::State | Origin::StateAndNotFile);
        assert_eq!(start.begins(), begins);
        let found = (Document::from(&start.config), start.generation, start.origin);
        assert_eq!(found, (document(*number), *generation, *origin), "{file} {fresh}");
    }
}

/// A file is edited, applied and changed further; the switch is killed and started with it.
#[test]
fn a_story_of_restarts() {
    let world = World::new(Fault::Error);
    let restart = |file: usize| {
        let (mut store, loaded) = world.open();
        let start = choose(loaded, config(file), false);
        if start.begins() {
            store.begin(&Document::from(&start.config), start.generation).unwrap();
        }
        let number = (0..10).find(|&n| Document::from(&start.config) == document(n)).unwrap();
        (store, number, start.origin, start.generation)
    };
    let (mut store, number, origin, generation) = restart(0);
    assert_eq!((number, origin, generation), (0, Origin::File, 1));
    store.save(&document(1), 2).unwrap(); // a network by the command line
    drop(store);
    let (mut store, number, origin, _) = restart(0);
    assert_eq!((number, origin), (1, Origin::StateAndNotFile));
    store.save_file(&document(2), 3).unwrap(); // the file is edited and applied
    store.save(&document(3), 4).unwrap(); // and another network
    drop(store);
    let (store, number, origin, generation) = restart(2);
    assert_eq!((number, origin, generation), (3, Origin::StateAndNotFile, 4));
    drop(store);
    let (store, number, origin, generation) = restart(4); // edited again, not applied
    assert_eq!((number, origin, generation), (4, Origin::FileAndNotState, 5));
    drop(store);
    let (_, number, origin, _) = restart(4);
    assert_eq!((number, origin), (4, Origin::State));
}

#[test]
fn the_line_at_the_start_names_file_and_directory() {
    let line = |origin| {
        let start = Start { config: config(0), generation: 7, origin };
        start.line(Path::new("/d"), Path::new("f.toml"))
    };
    assert_eq!(line(Origin::State), "starting with the state in /d, generation 7");
    let differs = line(Origin::StateAndNotFile);
    assert!(differs.contains("`vswitch plan f.toml`") && differs.contains("--fresh"), "{differs}");
    assert_eq!(line(Origin::File), "starting with f.toml");
    for origin in [Origin::FileAndNotState, Origin::FreshFile] {
        assert!(line(origin).contains("state.toml.replaced-"));
    }
}

#[test]
fn each_file_has_its_own_directory() {
    let of = |path: &str| default_directory(Path::new(path)).display().to_string();
    assert_eq!(of("/etc/vswitch.toml"), "/var/lib/vswitch/etc-vswitch.toml");
    assert_ne!(of("/a/b-c"), of("/a-b/c"));
    assert_ne!(of("/a b"), of("/a/b"));
    let long = |end: char| format!("/{}/{}{end}", "x".repeat(200), "y".repeat(200));
    assert_ne!(of(&long('a')), of(&long('b')));
    assert_ne!(of(&format!("/1{}", "y".repeat(300))), of(&format!("/2{}", "y".repeat(300))));
    assert!(Path::new(&of(&long('a'))).file_name().unwrap().len() <= 255);
}
