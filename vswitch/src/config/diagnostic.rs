//! Errors and warnings about a configuration, each with its location and a way out.
//!
//! [`Problems`] collects them while a file is read and checked; the caller gets [`Errors`].

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use super::location::{Location, Locations, Span};

/// The longest excerpt of a line. A program may write a whole file in one line.
const MAX_EXCERPT_CHARS: usize = 120;
/// The longest part of an excerpt before the marked value.
const MAX_CHARS_BEFORE: usize = 80;
/// Further errors and warnings are counted, not kept: nobody reads them, and a file of 16 MiB can
/// have a million.
pub(super) const MAX_REPORTED: usize = 1000;
/// Longer texts are no typing mistakes, and comparing two takes time with the product of their
/// lengths.
const MAX_COMPARED_LEN: usize = 128;

/// Whether a problem is fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted, but probably means something else than intended.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One problem, with its location and a way out.
///
/// `Display` prints several lines without a final newline: `file:line:column: error: message`, the
/// line with carets under it, and the help. For a document: `/port/0/name: error: message`, and the
/// help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name of the file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// The JSON pointer of the value, if this is about a [`Document`](super::Document) and not
    /// about a file. Line and column are then those of the document's TOML.
    pub pointer: Option<String>,
    excerpt: Excerpt,
}

/// The part of the line that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    shown: String,
    /// Characters in `shown` before the marked ones.
    before: usize,
    /// Marked characters.
    width: usize,
}

impl Excerpt {
    /// An excerpt of a line that is given in two parts; the marked characters begin the second.
    fn of(before: &str, rest: &str, width: usize) -> Self {
        // One character each, so that the carets still fit; a terminal must not obey the file.
        let harmless = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let mut last: Vec<char> = before.chars().rev().take(MAX_CHARS_BEFORE + 1).collect();
        if last.len() > MAX_CHARS_BEFORE {
            last.truncate(MAX_CHARS_BEFORE - 1);
            last.push('…');
        }
        let before = last.len();
        let room = MAX_EXCERPT_CHARS - before;
        let mut shown: String = last.into_iter().rev().map(harmless).collect();
        let mut rest = rest.chars();
        shown.extend(rest.by_ref().take(room).map(harmless));
        let width = width.min(shown.chars().count() - before).max(1);
        if rest.next().is_some() {
            shown.push('…');
        }
        Self { shown, before, width }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, severity, message, help, excerpt, .. } = self;
        let Excerpt { shown, before, width } = excerpt;
        if let Some(pointer) = &self.pointer {
            let place = if pointer.is_empty() { "the configuration" } else { pointer };
            return write!(f, "{place}: {severity}: {message}\nhelp: {help}");
        }
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs stay tabs, so that the carets are in the right column at any tab width.
        let indent: String =
            shown.chars().take(*before).map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {shown}")?;
        writeln!(f, "{gutter} | {indent}{}", "^".repeat(*width))?;
        write!(f, "help: {help}")
    }
}

/// Everything that is wrong with a file, in the order of the file. Never empty when returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Diagnostic>);

impl Errors {
    /// The errors in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// The number of errors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Why a file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system cannot read it.
    #[error(
        "{}: error: cannot read the file: {source}\nhelp: {}",
        path.display(), read_help(source)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not text.
    #[error(
        "{0}:{line}: error: the file is not UTF-8 text\n\
         help: is this the right file? If so, save it as UTF-8",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is not UTF-8, counted from 1.
        line: usize,
    },
    /// The text is not a valid configuration.
    #[error(transparent)]
    Invalid(#[from] Errors),
}

fn read_help(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "check the path; docs/examples/ holds files to start from",
        ErrorKind::PermissionDenied => "let this user read it, or run as root",
        ErrorKind::IsADirectory => "name the file, not its directory",
        _ => "check the path and its file system",
    }
}

/// What is wrong with one value, without the location of the value.
pub(super) struct Complaint {
    pub message: String,
    pub help: String,
}

impl Complaint {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// The problems found so far, and the text in which they are.
pub(super) struct Problems<'a> {
    file: &'a str,
    pub text: &'a str,
    /// Whether positions are shown as JSON pointers, not as lines and columns.
    shows_pointers: bool,
    /// With the byte at which each begins.
    found: Vec<(usize, Diagnostic)>,
    /// How many there were, those included that were not kept.
    errors: usize,
    warnings: usize,
    /// Values that the reader has reported and replaced.
    replaced: HashSet<String>,
    /// Both are filled at the first problem.
    lines: OnceCell<Lines>,
    locations: OnceCell<Locations>,
}

impl<'a> Problems<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            shows_pointers: false,
            found: Vec::new(),
            errors: 0,
            warnings: 0,
            replaced: HashSet::new(),
            lines: OnceCell::new(),
            locations: OnceCell::new(),
        }
    }

    /// For the TOML of a document. Those who see the problems have never seen that text.
    pub fn of_document(text: &'a str) -> Self {
        Self { shows_pointers: true, ..Self::new("", text) }
    }

    pub fn error(&mut self, at: &Location, message: impl Into<String>, help: impl Into<String>) {
        self.add_at(Severity::Error, at, message.into(), help.into());
    }

    pub fn complain(&mut self, at: &Location, Complaint { message, help }: Complaint) {
        self.add_at(Severity::Error, at, message, help);
    }

    pub fn warning(&mut self, at: &Location, message: impl Into<String>, help: impl Into<String>) {
        self.add_at(Severity::Warning, at, message.into(), help.into());
    }

    /// An error in the text that is not about the value of a known key.
    pub fn error_in_text(
        &mut self,
        at: &Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, at, String::new(), message.into(), help.into());
    }

    /// Notes that the value at this location is a stand-in for one that could not be read. That has
    /// been reported, and further problems of the value are not.
    pub fn replaced(&mut self, at: &Location) {
        self.replaced.insert(at.as_str().to_owned());
    }

    /// Whether the value at this location, or what is around it, is such a stand-in.
    pub fn is_replaced(&self, at: &Location) -> bool {
        !self.replaced.is_empty()
            && at.with_parents().any(|pointer| self.replaced.contains(pointer))
    }

    /// Whether the text contains a value at this location, not just a default.
    pub fn is_given(&self, at: &Location) -> bool {
        self.locations().contains(at)
    }

    /// Another value that a message refers to: "on line 7", "at /port/0/name".
    pub fn position(&self, at: &Location) -> String {
        if self.shows_pointers {
            return format!("at {at}");
        }
        format!("on line {}", self.locate(&self.locations().span(at)).0)
    }

    fn locate(&self, at: &Span) -> (usize, usize, (&'a str, &'a str)) {
        self.lines.get_or_init(|| Lines::of(self.text)).locate(self.text, at.start)
    }

    fn locations(&self) -> &Locations {
        self.locations.get_or_init(|| Locations::of(self.text))
    }

    /// Errors and warnings, each in the order of the file.
    pub fn finish(mut self) -> (Errors, Vec<Diagnostic>) {
        self.found.sort_by_key(|(start, _)| *start);
        let (errors, warnings) = self
            .found
            .into_iter()
            .map(|(_, diagnostic)| diagnostic)
            .partition(|diagnostic| diagnostic.severity == Severity::Error);
        (Errors(errors), warnings)
    }

    fn add_at(&mut self, severity: Severity, at: &Location, message: String, help: String) {
        if !self.is_replaced(at) {
            let span = self.locations().span(at);
            self.add(severity, &span, at.as_str().to_owned(), message, help);
        }
    }

    fn add(
        &mut self,
        severity: Severity,
        at: &Span,
        pointer: String,
        message: String,
        help: String,
    ) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        let (order, message, help) = if *count <= MAX_REPORTED {
            (at.start, message, help)
        } else if severity == Severity::Error && *count == MAX_REPORTED + 1 {
            let message =
                format!("more than {MAX_REPORTED} errors: this one and others are not listed");
            (usize::MAX, message, "correct those above first".to_owned())
        } else {
            return;
        };
        let (line, column, (before, rest)) = self.locate(at);
        let meant = self.text.get(at.clone());
        let width = meant.map_or(1, |text| text.chars().take(MAX_EXCERPT_CHARS).count());
        let excerpt = Excerpt::of(before, rest, width);
        let file = self.file.to_owned();
        let pointer = self.shows_pointers.then_some(pointer);
        let diagnostic =
            Diagnostic { file, line, column, severity, message, help, pointer, excerpt };
        self.found.push((order, diagnostic));
    }
}

/// The first byte of each line, so that a thousand problems do not scan the text a thousand times.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self(std::iter::once(0).chain(after_newlines).collect())
    }

    /// Line and column of a byte (from 1, the column in characters), and the line without its end,
    /// split at that byte.
    fn locate<'t>(&self, text: &'t str, offset: usize) -> (usize, usize, (&'t str, &'t str)) {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.0.partition_point(|start| *start <= offset);
        let start = self.0[line - 1];
        let end = self.0.get(line).map_or(text.len(), |next| next - 1);
        let whole = &text[start..end];
        let whole = whole.strip_suffix('\r').unwrap_or(whole);
        let parts = whole.split_at(whole.len().min(offset - start));
        (line, text[start..offset].chars().count() + 1, parts)
    }
}

/// A text from the file in backquotes, without characters that control a terminal.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

/// The list "`a`, `b` and 3 more". `total` is the number of names; only those shown are iterated.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>, total: usize) -> String {
    const SHOWN: usize = 12;
    let mut text = names.into_iter().take(SHOWN).map(quoted).collect::<Vec<_>>().join(", ");
    if total > SHOWN {
        text.push_str(&format!(" and {} more", total - SHOWN));
    }
    text
}

/// The known name that was probably intended, if one is similar enough.
pub(crate) fn nearest<'n>(
    typed: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let plain = |name: &str| -> Vec<char> {
        name.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let is_short = |name: &str| name.len() <= MAX_COMPARED_LEN;
    if !is_short(typed) {
        return None;
    }
    let typed = plain(typed);
    known
        .into_iter()
        .filter(|name| is_short(name))
        .filter_map(|name| {
            let candidate = plain(name);
            let allowed = (typed.len().max(candidate.len()) / 3).max(1);
            if typed.len().abs_diff(candidate.len()) > allowed {
                return None;
            }
            let distance = edits(&typed, &candidate);
            (distance <= allowed && distance < candidate.len()).then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of insertions, deletions, replacements and swaps of neighbours that turn one text
/// into the other (optimal string alignment distance).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut two_back = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_back[j - 2] + 1);
            }
        }
        two_back = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_a_swap_once() {
        let count = |a: &str, b: &str| {
            edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("uplink", "uplink"), 0);
        assert_eq!(count("uplnik", "uplink"), 1);
        assert_eq!(count("", "vni"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_suggests_only_what_is_near() {
        let known = ["name", "device", "queues", "mtu"];
        assert_eq!(nearest("devise", known), Some("device"));
        assert_eq!(nearest("Queue", known), Some("queues"));
        assert_eq!(nearest("remote_vteps", ["remote-vteps"]), Some("remote-vteps"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", ["a"]), None);
    }

    #[test]
    fn places_count_characters_and_bear_any_offset() {
        let text = "a = 1\r\n\"é\" = x";
        let locate = |text, offset| Lines::of(text).locate(text, offset);
        assert_eq!(locate(text, 0), (1, 1, ("", "a = 1")));
        assert_eq!(locate(text, 6), (1, 7, ("a = 1", "")));
        assert_eq!(locate(text, text.find('x').unwrap()), (2, 7, ("\"é\" = ", "x")));
        assert_eq!(locate(text, 10_000).0, 2);
        assert_eq!(locate("", 0), (1, 1, ("", "")));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_problem_is_shown() {
        let (before, rest) = ("b".repeat(5000), "r".repeat(5000));
        for (before, rest, width) in [
            ("a = ", "1", 1),
            (&before, &rest, 3),
            (&before[..80], &rest[..40], 5000),
            (&before[..81], &rest[..41], 0),
            ("\u{1b}é\t", "\u{7}", 7),
            ("", "", 1),
        ] {
            let excerpt = Excerpt::of(before, rest, width);
            let shown: Vec<char> = excerpt.shown.chars().collect();
            assert!(shown.len() <= MAX_EXCERPT_CHARS + 1, "{excerpt:?}");
            assert_eq!(shown.get(excerpt.before).is_some(), !rest.is_empty(), "{excerpt:?}");
            assert_eq!(shown.first() == Some(&'…'), before.len() > MAX_CHARS_BEFORE);
            let marked = excerpt.before + excerpt.width;
            assert!(excerpt.width >= 1 && marked <= shown.len().max(1), "{excerpt:?}");
            assert!(!excerpt.shown.contains('\u{1b}'));
        }
        assert_eq!(Excerpt::of(&before, &rest, 3).shown.chars().nth(80), Some('r'));
    }
}
