//! Whole files: planned, applied, confirmed, rolled back.

use std::time::{Duration, Instant};

use crate::served::{CONFIG, Served};
use crate::typed::{file, text};

#[test]
fn what_is_shown_is_no_difference() {
    let served = Served::default();
    served.types("network create green --vni 300 --vtep fabric --port spare").ok();
    served.types("mac add green 02:00:00:00:00:0a --port spare").ok();
    let shown = served.types("show config").ok();
    let planned = served.typed(["plan", "-"], &shown);
    assert_eq!((planned.status, planned.out.as_str()), (0, "no difference\n"), "{planned:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &shown);
    assert_eq!(served.typed(["plan", text(&path)], "").ok(), "no difference\n");
    let document = served.types("show config --json").json();
    assert_eq!(document, served.get("/v1/config").ok().json());
}

#[test]
fn a_plan_changes_nothing_and_an_apply_does_what_was_planned() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &CONFIG.replace("vni = 200", "vni = 201"));
    let planned = served.typed(["plan", text(&path)], "");
    assert_eq!(planned.status, 3, "{planned:?}");
    assert!(planned.out.starts_with("~ network red: vni 200 → 201\n"), "{planned:?}");
    let json = served.typed(["plan", text(&path), "--json"], "");
    assert_eq!(json.status, 3);
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"");

    // Not a terminal: it interrupts traffic, and nobody is asked.
    let applied = served.typed(["apply", text(&path)], "");
    assert_eq!(applied.err.matches("warning: ").count(), 1, "{applied:?}");
    assert_eq!(applied.ok(), format!("{}applied: generation 2\n", planned.out));
    assert_eq!(served.typed(["plan", text(&path)], "").ok(), "no difference\n");
    let again = served.typed(["apply", text(&path)], "").ok();
    assert_eq!(again, "no difference\nunchanged: generation 2\n");
    let again = served.typed(["apply", text(&path), "--json"], "").json();
    assert!(again["plan"]["steps"].as_array().unwrap().is_empty(), "{again}");
}

#[test]
fn a_wrong_file_changes_nothing_and_is_explained_as_by_check() {
    let served = Served::default();
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &CONFIG.replace("port = \"b\"", "port = \"bb\""));
    let checked = served.typed(["check", text(&path)], "").failed(2);
    for command in ["plan", "apply"] {
        assert_eq!(served.typed([command, text(&path)], "").failed(2), checked);
    }
    let said = served.typed(["apply", "-"], "[dpdk").failed(2);
    assert!(said.starts_with("<stdin>:1:") && said.ends_with("\n<stdin>: 1 error\n"), "{said}");
    assert_eq!(served.get("/v1/config").ok().etag(), "\"1\"");
}

#[test]
fn what_needs_a_restart_is_refused_step_by_step() {
    let served = Served::default();
    let with_capacity = format!("[fdb]\ncapacity = 4096\n{CONFIG}");
    let said = served.typed(["apply", "-"], &with_capacity).failed(1);
    for words in ["~ setting fdb.capacity", "needs a restart", "help: nothing was changed"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_configuration_is_confirmed_or_goes_back() {
    let served = Served::default();
    let changed = CONFIG.replace("vni = 200", "vni = 201");
    let applied = served.typed(["apply", "-", "--confirm-within", "1h"], &changed).ok();
    let last = applied.lines().last().unwrap();
    assert!(last.starts_with("goes back to the former configuration at 20"), "{applied}");
    assert!(
        last.ends_with(", in 1h, unless confirmed: vswitch confirm --generation 2"),
        "{applied}"
    );
    let waits = served.types("network delete blue").failed(1);
    let expected = "vswitch: error: an earlier change waits to be confirmed or rolled back\n\
                    help: `vswitch confirm` keeps it, `vswitch roll-back` undoes it\n";
    assert_eq!(waits, expected);
    let other = served.types("confirm --generation 1").failed(1);
    assert!(other.contains("generation 2 is running, and this was for generation 1"), "{other}");
    assert_eq!(served.types("confirm --generation 2").ok(), "confirmed: generation 2\n");
    served.types("confirm").failed(1);

    served.typed(["apply", "-", "--confirm-within", "1h"], CONFIG).ok();
    assert_eq!(served.types("confirm").ok(), "confirmed: generation 3\n");
    served.typed(["apply", "-"], &changed).ok();
    served.typed(["apply", "-", "--confirm-within", "1h"], CONFIG).ok();
    assert_eq!(served.types("roll-back --json").json()["generation"], 6);
    assert_eq!(served.typed(["plan", "-"], &changed).ok(), "no difference\n");

    served.typed(["apply", "-", "--confirm-within", "1s"], CONFIG).ok();
    let begin = Instant::now();
    while served.typed(["plan", "-"], &changed).status != 0 {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    let late = served.types("confirm").failed(1);
    assert!(late.contains("no change waits"), "{late}");
}

#[test]
fn a_time_without_a_unit_is_refused_before_anything_is_asked() {
    let served = Served::default();
    let said = served.types("apply nothing.toml --confirm-within 60").failed(2);
    assert!(said.contains("such as 60s, 5m or 1h"), "{said}");
}
