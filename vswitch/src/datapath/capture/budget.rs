//! How much of a worker's time captures may take: so much in each millisecond, for all captures together.
//!
//! The unit is about a nanosecond of a core of 2020; the costs below are rounded up from what
//! `benches/side-by-side` shows (docs/capture.md has the figures). A filter pays for all its instructions, as one that
//! matches nothing may run them all, and a frame in several buffers for being put together. What is over the budget is
//! counted by the burst, or the row of like drops, so the bound holds whatever the rate, the filter and the reader are.

use crate::datapath::now::Now;

/// Units for each millisecond: a twentieth of a core. A worker that has to share its core, as on a machine of
/// two, has less time in a millisecond, and gives as much more of it: with a third of a core, 15 %.
pub const UNITS_PER_MILLI: u32 = 50_000;
/// What it costs to look at a frame, filter apart.
const LOOK: u32 = 10;
/// What running a filter costs, beyond its instructions.
const FILTER: u32 = 20;
/// What an instruction of a filter costs. `port 1 or port 2 or …` runs nearly all of them where none matches.
const INSTRUCTION: u32 = 2;
/// What a frame costs that is taken, its bytes apart: a record from one queue and into another, both of
/// whose ends are other threads' cache lines.
const TAKE: u32 = 250;
/// Bytes that are copied for a unit.
const BYTES_PER_UNIT: u32 = 8;
/// The most frames that can be paid for in a turn, as none of it is longer than its millisecond's budget.
pub(super) const MOST_IN_A_TURN: usize = (UNITS_PER_MILLI / (LOOK + TAKE)) as usize;

/// What a look costs with a filter of so many instructions.
#[inline]
pub(super) fn look(instructions: Option<u32>) -> u32 {
    let filter = |n: u32| FILTER.saturating_add(n.saturating_mul(INSTRUCTION));
    LOOK.saturating_add(instructions.map_or(0, filter))
}

/// What it costs to copy so many bytes.
#[inline]
pub(super) fn copy(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX) / BYTES_PER_UNIT
}

/// What a frame costs of which so many bytes are kept.
#[inline]
pub(super) fn take(bytes: usize) -> u32 {
    TAKE + copy(bytes)
}

/// What is left of this millisecond's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    millis: u64,
    left: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { millis: 0, left: UNITS_PER_MILLI }
    }
}

impl Budget {
    /// Begins a turn: another millisecond has another budget.
    #[inline]
    pub(super) fn begin(&mut self, now: Now) {
        // None is carried over: a bound that saved up would be none.
        if self.millis != now.millis {
            *self = Self { millis: now.millis, left: UNITS_PER_MILLI };
        }
    }

    /// Spends so much; false, and nothing is spent, if it is not there.
    #[inline]
    #[must_use]
    pub(super) fn spend(&mut self, units: u32) -> bool {
        let left = self.left.checked_sub(units);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// Whether nothing more is looked at in this millisecond.
    #[inline]
    #[must_use]
    pub(super) fn is_used_up(&self) -> bool {
        self.left == 0
    }

    /// Leaves nothing: something was refused, and what comes after it shall not cost the question.
    #[inline]
    pub(super) fn use_up(&mut self) {
        self.left = 0;
    }

    /// Whether it has so much.
    #[inline]
    #[must_use]
    pub(super) fn has(&self, units: u32) -> bool {
        self.left >= units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_millisecond_has_its_own() {
        let mut budget = Budget::default();
        budget.begin(Now::from_millis(7));
        assert!(budget.spend(UNITS_PER_MILLI));
        budget.begin(Now::from_millis(7));
        assert!(!budget.spend(1), "the same millisecond");
        budget.begin(Now::from_millis(9));
        assert!(
            budget.has(UNITS_PER_MILLI) && !budget.has(UNITS_PER_MILLI + 1),
            "nothing is saved"
        );
    }

    #[test]
    fn no_filter_is_too_long_to_be_paid_for() {
        assert!(look(Some(u32::MAX)) > UNITS_PER_MILLI);
        assert!(look(None) < look(Some(0)) && take(0) < take(1514));
        let one = look(None) + take(0);
        let most = u32::try_from(MOST_IN_A_TURN).unwrap();
        assert!(one * most <= UNITS_PER_MILLI && one * (most + 1) > UNITS_PER_MILLI);
    }
}
