//! Words that several parts say.

use std::fmt::Display;

/// "1 page", "2 pages".
pub fn count<N: Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let s = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{s}")
}
