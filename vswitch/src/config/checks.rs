//! Checks of single values, for every table: numbers in a range, and texts that are parsed.

use std::ops::RangeInclusive;

use super::diagnostic::{Complaint, Problems};
use super::document::FILE;
use super::location::Location;

/// A number in the range that its key declares, or `None` after a report.
pub(super) fn number<T: TryFrom<i64>>(
    value: i64,
    at: &Location,
    why: &str,
    problems: &mut Problems,
) -> Option<T> {
    let declared = FILE.find(at).and_then(|key| key.range.clone());
    within(value, declared.unwrap_or(i64::MIN..=i64::MAX), at, why, problems)
}

/// A number in a range, or `None` after a report.
pub(super) fn within<T: TryFrom<i64>>(
    value: i64,
    range: RangeInclusive<i64>,
    at: &Location,
    why: &str,
    problems: &mut Problems,
) -> Option<T> {
    let number = T::try_from(value).ok().filter(|_| range.contains(&value));
    if number.is_none() {
        let key = at.keys().last().unwrap_or_default();
        let (least, most) = range.into_inner();
        let message = format!("`{key}` is {value}, which is not from {least} to {most}");
        problems.error(at, message, format!("write a number from {least} to {most}: {why}"));
    }
    number
}

/// The parsed text, or `None` after a report.
pub(super) fn checked<T>(
    text: &str,
    at: &Location,
    parse: impl FnOnce(&str) -> Result<T, Complaint>,
    problems: &mut Problems,
) -> Option<T> {
    parse(text).map_err(|complaint| problems.complain(at, complaint)).ok()
}

/// The same for a key that may be absent.
pub(super) fn checked_if_given<T>(
    text: Option<&String>,
    at: &Location,
    parse: impl FnOnce(&str) -> Result<T, Complaint>,
    problems: &mut Problems,
) -> Option<T> {
    checked(text?, at, parse, problems)
}
