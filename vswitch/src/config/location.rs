//! Where the values of a TOML text stand, as JSON pointers (RFC 6901).
//!
//! The text is that of a [`Document`](super::Document), whose keys contain neither `/` nor `~`:
//! nothing in a pointer is ever escaped.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Span;

/// The values of a text, in its order; of values that begin at one byte, the inner one comes later.
pub(super) struct Locations(Vec<(Span, String)>);

impl Locations {
    /// Reads the text; no place is known in one that is not TOML.
    pub fn of(text: &str) -> Self {
        let mut locations = Vec::new();
        if let Ok(root) = DeTable::parse(text) {
            table(root.get_ref(), "", &mut locations);
        }
        locations.sort_by_key(|(span, _)| span.start);
        Self(locations)
    }

    /// The value that stands at a place: the innermost that has all of it, or the whole (`""`).
    pub fn pointer(&self, at: &Span) -> &str {
        let after = self.0.partition_point(|(span, _)| span.start <= at.start);
        let around = self.0[..after].iter().rev().find(|(span, _)| span.end >= at.end);
        around.map_or("", |(_, pointer)| pointer)
    }
}

fn table(table: &DeTable<'_>, within: &str, locations: &mut Vec<(Span, String)>) {
    for (key, value) in table {
        visit(value, format!("{within}/{}", key.get_ref()), locations);
    }
}

fn visit(value: &Spanned<DeValue<'_>>, pointer: String, locations: &mut Vec<(Span, String)>) {
    locations.push((value.span(), pointer.clone()));
    match value.get_ref() {
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, format!("{pointer}/{index}"), locations);
            }
        }
        DeValue::Table(inner) => table(inner, &pointer, locations),
        _ => {}
    }
}
