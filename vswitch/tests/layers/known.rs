//! Violations that the tree still has: a list that is to shrink, and to go.
//!
//! `LAYERS=update cargo test -p layers` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn list() -> PathBuf {
    crate::vswitch().join("tests/layers/known.txt")
}

/// Which of the violations found are new, and which of the known ones are gone.
pub fn compare(kind: &str, found: BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = fs::read_to_string(list()).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    let known: BTreeSet<String> = lines.map(str::to_owned).collect();
    if std::env::var("LAYERS").is_ok_and(|asked| asked == "update") {
        write(kind, &found);
        return Default::default();
    }
    (&found - &known, &known - &found)
}

fn write(kind: &str, found: &BTreeSet<String>) {
    // Two tests write the file.
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _writing = WRITING.lock();
    let text = fs::read_to_string(list()).unwrap_or_default();
    let others = text.lines().filter(|line| !line.starts_with(kind)).map(str::to_owned);
    let lines: BTreeSet<String> =
        others.chain(found.iter().map(|found| format!("{kind} {found}"))).collect();
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    fs::write(list(), text).expect("the list of known violations");
}

/// What to say about violations that are listed and are no longer there.
pub fn cleared(kind: &str, gone: &BTreeSet<String>) -> String {
    if gone.is_empty() {
        return String::new();
    }
    format!(
        "no longer there, so take it off vswitch/tests/layers/known.txt \
         (`LAYERS=update cargo test -p layers` does it): {kind} {gone:?}\n"
    )
}
