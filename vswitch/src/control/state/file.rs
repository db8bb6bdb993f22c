//! The format of a state file: the TOML of a document below one line that vouches for it.
//!
//! ```text
//! # vswitch state, format 1, generation 7, files 1a2b3c4d 5e6f7a8b, checksum 9abcdef0
//! ```
//!
//! The checksum is the CRC-32 of the whole text with the checksum's own digits left out: it is
//! there against damage, not against anybody who can write to the directory.

use std::fmt;

use crate::config::{self, Document};

/// More files than these are not remembered.
pub(super) const MAX_FILES: usize = 16;
const FORMAT: u32 = 1;
const BEGIN: &str = "# vswitch state, format ";
const NOTE: &str =
    "# Written by the switch with each change. To change it: vswitch apply. See docs/state.md.\n\n";

/// What a configuration says, in 32 bits; the order of its tables makes no difference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// That of a document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        Self(crc32fast::hash(document.clone().sorted().to_toml().as_bytes()))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A configuration as it was put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What it says. Valid when it was read.
    pub document: Document,
    /// The generation that it was.
    pub generation: u64,
    /// Configuration files whose content the switch was given: first the one that the state began
    /// with, then those that were applied as a whole, also if they were not confirmed. A start with
    /// one of them is not news, and comes up with the state.
    pub files: Vec<Checksum>,
}

/// Why a file is not a state.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("is damaged: its first line is not that of a state")]
    Header,
    #[error("has format {0}, and this vswitch knows format {FORMAT} only")]
    Format(u32),
    #[error("is damaged: its checksum is {found:08x}, and should be {expected:08x}")]
    Checksum { expected: u32, found: u32 },
    #[error("is whole, but not valid for this vswitch:\n{0}")]
    Invalid(config::Errors),
}

impl State {
    /// Whether the state says the same as a document.
    #[must_use]
    pub fn says(&self, document: &Document) -> bool {
        self.document == *document || self.document.clone().sorted() == document.clone().sorted()
    }

    pub(super) fn encode(&self) -> String {
        let files: String = self.files.iter().map(|file| format!(" {file}")).collect();
        let head =
            format!("{BEGIN}{FORMAT}, generation {}, files{files}, checksum ", self.generation);
        let rest = format!("\n{NOTE}{}", self.document.to_toml());
        let checksum = checksum(&head, &rest);
        format!("{head}{checksum:08x}{rest}")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let text = str::from_utf8(bytes).map_err(|_| Damage::Header)?;
        let line = text.split('\n').next().unwrap_or_default();
        let format = line.strip_prefix(BEGIN).and_then(|rest| rest.split_once(", "));
        let (format, fields) = format.ok_or(Damage::Header)?;
        // Before the checksum: another format may have another.
        match format.parse() {
            Ok(FORMAT) => {}
            Ok(format) => return Err(Damage::Format(format)),
            Err(_) => return Err(Damage::Header),
        }
        let (generation, files, found) = read_fields(fields).ok_or(Damage::Header)?;
        let (head, rest) = text.split_at(line.len());
        let expected = checksum(&head[..head.len() - 8], rest);
        if found != expected {
            return Err(Damage::Checksum { expected, found });
        }
        let config = config::parse("state.toml", text).map_err(Damage::Invalid)?;
        Ok(Self { document: Document::from(&config), generation, files })
    }
}

fn checksum(head: &str, rest: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head.as_bytes());
    hasher.update(rest.as_bytes());
    hasher.finalize()
}

fn read_fields(fields: &str) -> Option<(u64, Vec<Checksum>, u32)> {
    let rest = fields.strip_prefix("generation ")?;
    let (generation, rest) = rest.split_once(", files")?;
    let (files, found) = rest.split_once(", checksum ")?;
    let files = files.split(' ').filter(|file| !file.is_empty()).map(digits);
    let files = files.map(|file| file.map(Checksum)).collect::<Option<_>>()?;
    Some((generation.parse().ok()?, files, digits(found)?))
}

/// Eight hexadecimal digits.
fn digits(text: &str) -> Option<u32> {
    let well_formed = text.len() == 8 && text.bytes().all(|c| c.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| well_formed)
}
