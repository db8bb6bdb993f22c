//! Two who want different things.

use crate::served::{CONFIG, Served};

#[test]
fn who_comes_second_is_told_and_changes_nothing() {
    let served = Served::default();
    let changed = CONFIG.replace("vni = 200", "vni = 201");
    served.types("network create green --vni 300").ok();
    let said = served.typed(["apply", "-", "--generation", "1"], &changed).failed(1);
    let expected = "vswitch: error: somebody else changed the configuration meanwhile: generation 2 \
                    is running, and this was for generation 1; nothing was changed\nhelp: see what \
                    is running now (`vswitch show config`, or `vswitch plan FILE` for the \
                    difference); repeat the command if it is still right\n";
    assert!(said.ends_with(expected), "{said}");
    assert_eq!(served.types("network show").ok().lines().count(), 4);
    served.typed(["apply", "-", "--generation", "2"], &changed).ok();
}

#[test]
fn of_many_at_once_each_is_done_whole() {
    let served = Served::default();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let typists: Vec<_> = (0..8)
            .map(|i| {
                let served = &served;
                scope
                    .spawn(move || served.types(&format!("network create n{i} --vni {}", 1000 + i)))
            })
            .collect();
        typists.into_iter().map(|typist| typist.join().unwrap()).collect()
    });
    // Whoever is not done has been overtaken by as many as the switch tries again.
    let made = outcomes.iter().filter(|ended| ended.status == 0).count();
    for ended in &outcomes {
        assert!(ended.status == 0 || ended.err.contains("somebody else changed"), "{ended:?}");
    }
    assert!(made >= 5, "{outcomes:?}");
    assert_eq!(served.types("network show").ok().lines().count(), 3 + made);
    assert_eq!(served.get("/v1/config").ok().etag(), format!("\"{}\"", 1 + made));
}
