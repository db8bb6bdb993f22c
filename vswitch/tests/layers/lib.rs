//! Holds the sources to the architecture: which folder may use which, and no circle between files.
//!
//! The order of the folders is the table under "The layers" in `docs/architecture.md`; this test
//! reads the table there. `uses.rs` finds out which file uses which. Items under `#[cfg(test)]`,
//! documentation and `mod` declarations do not count.
//!
//! `cargo test -p layers` runs it alone, in seconds.

#![cfg(test)]

mod circles;
mod uses;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fs, io};

use uses::Uses;

const DOCUMENT: &str = "docs/architecture.md";

/// The folder of the package `vswitch`.
fn vswitch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The uses between the files of `src`, which is parsed once for all tests.
static SOURCES: LazyLock<Uses> =
    LazyLock::new(|| Uses::read(&|path| fs::read_to_string(vswitch().join("src").join(path)).ok()));

/// The layers, lowest first: the first column of the table under the heading "The layers".
fn layers() -> Vec<String> {
    let document = fs::read_to_string(vswitch().join("..").join(DOCUMENT)).expect("the document");
    let layers = layers_in(&document);
    assert!(!layers.is_empty(), "{DOCUMENT} has no table under the heading \"The layers\"");
    layers
}

fn layers_in(document: &str) -> Vec<String> {
    let section = document.lines().skip_while(|line| line.trim_start_matches('#') != " The layers");
    let rows = section
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2);
    // "| [wire/](../vswitch/src/wire/mod.rs) | …"
    rows.filter_map(|row| row.split('[').nth(1)?.split(']').next())
        .map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_owned())
        .collect()
}

/// The folder, or the file at the top, that a file belongs to.
fn layer_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Each arrow between two layers that the order forbids, with the uses that make the arrow.
fn forbidden(uses: &Uses, layers: &[String]) -> BTreeMap<(String, String), Vec<String>> {
    let rank = |file: &str| {
        let layer = layer_of(file);
        layers.iter().position(|named| named == layer).unwrap_or_else(|| {
            panic!(
                "{file}: \"{layer}\" is not in the table \"The layers\" of {DOCUMENT}: \
                 put it behind all that it uses and before all that use it"
            )
        })
    };
    let mut arrows = BTreeMap::<_, Vec<_>>::new();
    for use_ in uses.all() {
        if rank(use_.by) < rank(use_.of) {
            let arrow = (layer_of(use_.by).to_owned(), layer_of(use_.of).to_owned());
            arrows.entry(arrow).or_default().push(use_.to_string());
        }
    }
    arrows
}

#[test]
fn a_layer_uses_only_those_before_it() {
    let mut report = String::new();
    for ((by, of), uses) in forbidden(&SOURCES, &layers()) {
        let _ = writeln!(
            report,
            "`{by}` uses `{of}`, which stands after it in the table \"The layers\" of \
             {DOCUMENT}:\n  {}\n  Move what is used to `{by}` or to a layer before it, or \
             have `{of}` hand it over (a parameter, a trait of `{by}`).",
            uses.join("\n  ")
        );
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn no_circle_between_files() {
    let mut report = String::new();
    for knot in circles::knots(&SOURCES) {
        let Some(first) = knot.first() else { continue };
        let _ = writeln!(
            report,
            "{} files use each other in a circle. The shortest through {first}:\n  {}\n  \
             Move what both sides need into a file that uses neither, or pass it as a parameter.",
            knot.len(),
            circles::shortest(&SOURCES, first).join("\n  ")
        );
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn every_file_belongs_to_the_library() {
    fn walk(folder: &Path, found: &mut Vec<String>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(vswitch().join("src")).expect("a file below src");
                found.push(path.to_str().expect("a name in UTF-8").to_owned());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(&vswitch().join("src"), &mut found).expect("the sources");
    found.retain(|file| file != "main.rs" && !SOURCES.declared(file));
    assert!(found.is_empty(), "no `mod` declares {found:?}");
}

#[test]
fn the_table_is_read() {
    let document = "# A\n| [x](y) |\n## The layers\ntext\n\n| layer | what |\n|---|---|\n\
                    | [ids.rs](../ids.rs) | [b](c) |\n| [wire/](../wire/mod.rs) | |\n\n## B\n| [z](z) |\n";
    assert_eq!(layers_in(document), ["ids", "wire"]);
}

#[test]
fn an_arrow_against_the_order_is_forbidden() {
    let uses = uses::tests::of(&[
        ("lib.rs", "mod high; mod low;"),
        ("low.rs", "use crate::high::up; fn down() {}"),
        ("high/mod.rs", "use crate::low::down; fn up() {}"),
    ]);
    let arrows = forbidden(&uses, &["low".to_owned(), "high".to_owned()]);
    let arrows: Vec<_> = arrows.into_iter().collect();
    let arrow = ("low".to_owned(), "high".to_owned());
    assert_eq!(arrows, [(arrow, vec!["low.rs uses high/mod.rs: up".to_owned()])]);
}
