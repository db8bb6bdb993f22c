//! Where a value is in a configuration, and where in the text of a file.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A range of bytes in the text of a file.
pub(super) type Span = Range<usize>;

/// The location of a value in a configuration: a JSON pointer (RFC 6901). The keys of a
/// configuration contain neither `/` nor `~`, so that nothing in a pointer is ever escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Location(String);

impl Location {
    /// The whole configuration.
    pub fn root() -> Self {
        Self::default()
    }

    /// The value of a key of the table here.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}/{key}", self.0))
    }

    /// An item of the list here.
    pub fn item(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The keys on the way from the root, without the indices of lists.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let is_index = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
        self.0.split('/').skip(1).filter(move |part| !is_index(part))
    }

    /// This location, then the table or list around it, and so on up to the root.
    pub fn with_parents(&self) -> impl Iterator<Item = &str> {
        let ends = self.0.match_indices('/').map(|(end, _)| end).rev();
        std::iter::once(self.0.len()).chain(ends).map(|end| &self.0[..end])
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the configuration" } else { &self.0 })
    }
}

/// Where each value of a text is.
pub(super) struct Locations(HashMap<String, Span>);

impl Locations {
    /// Reads the text. Text that is not TOML has no locations.
    pub fn of(text: &str) -> Self {
        let mut spans = HashMap::new();
        if let Ok(root) = DeTable::parse(text) {
            table(root.get_ref(), "", &mut spans);
        }
        Self(spans)
    }

    /// Whether the text contains a value at this location.
    pub fn contains(&self, location: &Location) -> bool {
        self.0.contains_key(location.as_str())
    }

    /// The text of the value; for one that is not in the text, of the innermost table around it.
    pub fn span(&self, location: &Location) -> Span {
        // A table where a list of tables is expected counts as a list of one.
        let single = |pointer: &str| self.0.get(&pointer.replace("/0", ""));
        let found = |pointer| self.0.get(pointer).or_else(|| single(pointer));
        location.with_parents().find_map(found).cloned().unwrap_or(0..0)
    }
}

fn table(table: &DeTable<'_>, pointer: &str, spans: &mut HashMap<String, Span>) {
    // No key of a configuration contains these two characters.
    let keys = table.iter().filter(|(key, _)| !key.get_ref().contains(['/', '~']));
    for (key, value) in keys {
        visit(value, format!("{pointer}/{}", key.get_ref()), spans);
    }
}

fn visit(value: &Spanned<DeValue<'_>>, pointer: String, spans: &mut HashMap<String, Span>) {
    match value.get_ref() {
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, format!("{pointer}/{index}"), spans);
            }
        }
        DeValue::Table(inner) => table(inner, &pointer, spans),
        _ => {}
    }
    spans.insert(pointer, value.span());
}
