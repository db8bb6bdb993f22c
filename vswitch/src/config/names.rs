//! The names of ports, VTEPs and networks: unique within their kind, and found by those who refer
//! to them.

use std::cell::Cell;
use std::collections::HashMap;

use toml::Spanned;

use super::address;
use super::diagnostic::{Problems, Span, listed, nearest, quoted};

/// The names of one kind of thing. An index counts the tables, with or without a valid name.
pub(super) struct Names {
    kind: &'static str,
    list: Vec<(String, Span)>,
    by_name: HashMap<String, usize>,
    /// Names that were looked for in vain, and may still be compared to all that are known.
    hints_left: Cell<u32>,
}

/// A file in which more names are wrong has no typing mistake, but another list of names.
const MAX_HINTS: u32 = 100;

impl Names {
    pub fn new(kind: &'static str) -> Self {
        let hints_left = Cell::new(MAX_HINTS);
        Self { kind, list: Vec::new(), by_name: HashMap::new(), hints_left }
    }

    /// The next table's name, empty if there is none.
    pub fn add(&mut self, typed: Option<&Spanned<String>>, problems: &mut Problems) -> String {
        let index = self.list.len();
        let Some(typed) = typed else {
            self.list.push((String::new(), 0..0));
            return String::new();
        };
        let name = typed.get_ref();
        if let Err(complaint) = address::name(name) {
            problems.complain(typed.span(), complaint);
        }
        if let Some(&first) = self.by_name.get(name) {
            problems.error(
                typed.span(),
                format!(
                    "a second {} is named {}; the first is {}",
                    self.kind,
                    quoted(name),
                    problems.place(&self.list[first].1)
                ),
                "give each its own name",
            );
        } else {
            self.by_name.insert(name.clone(), index);
        }
        self.list.push((name.clone(), typed.span()));
        name.clone()
    }

    /// The index behind a name, or a report that nothing has it.
    pub fn find(&self, typed: &Spanned<String>, problems: &mut Problems) -> Option<usize> {
        let name = typed.get_ref();
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
            problems.error(typed.span(), format!("no {kind} is named {}", quoted(name)), help);
        }
        found
    }
}
