//! What every table's checks use: numbers in a range, texts that mean something, lists, indices.

use std::ops::RangeInclusive;

use toml::Spanned;

use super::diagnostic::{Complaint, Problems};
use super::raw::Integer;

/// A number in a range, or `None` if there is none or a report was made.
pub(super) fn number<T: Copy + Into<i64> + TryFrom<i64> + std::fmt::Display>(
    typed: Option<&Spanned<Integer>>,
    range: RangeInclusive<T>,
    key: &str,
    why: &str,
    problems: &mut Problems,
) -> Option<T> {
    let typed = typed?;
    let value = *typed.get_ref();
    let (least, most) = (*range.start(), *range.end());
    if (least.into()..=most.into()).contains(&value) {
        return T::try_from(value).ok();
    }
    let message = format!("`{key}` is {value}, which is not from {least} to {most}");
    problems.error(typed.span(), message, format!("write a number from {least} to {most}: {why}"));
    None
}

/// A text that means something, or `None` if there is none or a report was made.
pub(super) fn checked<T>(
    typed: Option<&Spanned<String>>,
    meaning: impl FnOnce(&str) -> Result<T, Complaint>,
    problems: &mut Problems,
) -> Option<T> {
    let typed = typed?;
    meaning(typed.get_ref()).map_err(|complaint| problems.complain(typed.span(), complaint)).ok()
}

/// The items of a list that may be absent.
pub(super) fn items<T>(typed: Option<&Spanned<Vec<Spanned<T>>>>) -> &[Spanned<T>] {
    typed.map_or(&[], |list| list.get_ref().as_slice())
}
