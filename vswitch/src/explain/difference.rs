//! The byte-level difference between the frame that came and a frame that leaves.
//!
//! The difference is exact, not guessed from the bytes: each [frame](super::io::TracedFrame) knows
//! which part of the received frame it still holds, and how many bytes were put before that part.
//! The bytes of that part are compared one by one, so changes in place show up as well.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hex;

/// One difference. Offsets are in bytes, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schema(as = ExplainedEdit)]
pub enum Edit {
    /// Bytes of the frame that came are removed.
    Removed {
        /// Their offset in the frame before this step.
        at: usize,
        /// Their number.
        length: usize,
        /// Their values.
        hex: String,
    },
    /// Bytes are added.
    Put {
        /// Their offset in the frame after this step.
        at: usize,
        /// Their number.
        length: usize,
        /// Their values.
        hex: String,
    },
    /// Bytes have other values.
    Changed {
        /// Their offset in the frame that leaves.
        at: usize,
        /// Their number.
        length: usize,
        /// Their values in the frame that came.
        before: String,
        /// Their values in the frame that leaves.
        after: String,
    },
}

/// The steps from `input` to `output`, which has the range `kept` of `input` behind `put` new
/// bytes.
pub(super) fn between(input: &[u8], output: &[u8], kept: &Range<usize>, put: usize) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut remove = |at: usize, range: Range<usize>| {
        if let Some(bytes) = input.get(range).filter(|bytes| !bytes.is_empty()) {
            edits.push(Edit::Removed { at, length: bytes.len(), hex: hex::text(bytes) });
        }
    };
    // The end first, so that the following offsets are those of the frame that came.
    remove(kept.end, kept.end..input.len());
    remove(0, 0..kept.start);
    if let Some(bytes) = output.get(..put).filter(|bytes| !bytes.is_empty()) {
        edits.push(Edit::Put { at: 0, length: put, hex: hex::text(bytes) });
    }
    let before = input.get(kept.clone()).unwrap_or_default();
    let after = output.get(put..).unwrap_or_default();
    let mut at = 0;
    while let Some(offset) = (at..before.len().min(after.len())).find(|i| before[*i] != after[*i]) {
        let same = (offset..before.len().min(after.len())).find(|i| before[*i] == after[*i]);
        at = same.unwrap_or_else(|| before.len().min(after.len()));
        let (before, after) = (hex::text(&before[offset..at]), hex::text(&after[offset..at]));
        edits.push(Edit::Changed { at: put + offset, length: at - offset, before, after });
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_added_and_changed_bytes() {
        let input = [1, 2, 3, 4, 5, 6];
        assert_eq!(between(&input, &input, &(0..6), 0), []);
        let removed = |at, length, hex: &str| Edit::Removed { at, length, hex: hex.to_owned() };
        let put = Edit::Put { at: 0, length: 2, hex: "0a0b".to_owned() };
        let edits = between(&input, &[10, 11, 3, 9, 5], &(2..5), 2);
        let changed =
            Edit::Changed { at: 3, length: 1, before: "04".to_owned(), after: "09".to_owned() };
        assert_eq!(edits, [removed(5, 1, "06"), removed(0, 2, "0102"), put, changed]);
    }
}
