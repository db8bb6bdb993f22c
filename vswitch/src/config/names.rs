//! The names of ports, VTEPs and networks: each is unique, and each reference names one.

use std::cell::Cell;
use std::collections::HashMap;

use super::address;
use super::diagnostic::{Problems, listed, nearest, quoted};
use super::location::Location;

/// The names of one kind of table. An index counts the tables, with or without a valid name.
pub(super) struct NameTable {
    kind: &'static str,
    list: Vec<(String, Location)>,
    by_name: HashMap<String, usize>,
    /// How many more unknown names get a suggestion, for which all known names are compared.
    hints_left: Cell<u32>,
}

/// More unknown names than this are not typing mistakes.
const MAX_HINTS: u32 = 100;

impl NameTable {
    pub fn new(kind: &'static str) -> Self {
        let hints_left = Cell::new(MAX_HINTS);
        Self { kind, list: Vec::new(), by_name: HashMap::new(), hints_left }
    }

    /// Adds the name of the next table.
    pub fn add(&mut self, name: &str, at: Location, problems: &mut Problems) {
        let index = self.list.len();
        if let Err(complaint) = address::name(name) {
            problems.complain(&at, complaint);
        }
        if let Some(&first) = self.by_name.get(name) {
            problems.error(
                &at,
                format!(
                    "a second {} is named {}; the first is {}",
                    self.kind,
                    quoted(name),
                    problems.position(&self.list[first].1)
                ),
                "give each its own name",
            );
        } else if !problems.is_replaced(&at) {
            self.by_name.insert(name.to_owned(), index);
        }
        self.list.push((name.to_owned(), at));
    }

    /// The index of the table with this name, or `None` after a report.
    pub fn find(&self, name: &str, at: &Location, problems: &mut Problems) -> Option<usize> {
        let found = self.by_name.get(name).copied();
        if found.is_none() {
            let kind = self.kind;
            let known = || {
                let firsts = self.list.iter().enumerate();
                firsts
                    .filter(|(i, (name, _))| self.by_name.get(name) == Some(i))
                    .map(|(_, (name, _))| name.as_str())
            };
            let left = self.hints_left.get();
            self.hints_left.set(left.saturating_sub(1));
            let near = if left > 0 { nearest(name, known()) } else { None };
            let near =
                near.map_or_else(String::new, |near| format!("did you mean {}? ", quoted(near)));
            let help = if self.by_name.is_empty() {
                format!("the file defines no [[{}]]", kind.to_lowercase())
            } else {
                format!("{near}known {kind}s: {}", listed(known(), self.by_name.len()))
            };
            problems.error(at, format!("no {kind} is named {}", quoted(name)), help);
        }
        found
    }
}
