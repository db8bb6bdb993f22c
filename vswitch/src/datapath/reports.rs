//! The learn events that a worker sent lately, so that it does not repeat them.
//!
//! A stream from a MAC that is not learned yet (or cannot be, as the FDB is full) makes one event, not one
//! for each frame. Direct-mapped and lossy: a forgotten event is only sent once more.

use super::io::{LearnEvent, LearnKind};
use super::now::Now;
use super::vector::NOBODY;
use crate::table::{Destination, Key};

/// The events that a worker sent in the last few milliseconds.
#[derive(Debug)]
pub struct RecentReports {
    slots: Box<[Report; Self::SLOTS]>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    event: LearnEvent,
    at_millis: u64,
}

impl RecentReports {
    const SLOTS: usize = 1024;
    /// How long an event is not repeated. Long against the time that the control thread takes to
    /// answer (1 ms), and too short for a user to notice that an event was lost.
    const QUIET_MILLIS: u64 = 5;

    /// No event sent yet.
    #[must_use]
    pub fn new() -> Self {
        let origin = Destination::Port(crate::ids::PortId(0));
        let event = LearnEvent { key: NOBODY, origin, kind: LearnKind::Heard };
        let nothing = Report { event, at_millis: 0 };
        Self { slots: Box::new([nothing; Self::SLOTS]) }
    }

    #[inline(always)]
    fn slot(key: Key) -> usize {
        // Fibonacci hashing: the top 10 bits of a product with 2^64 / the golden ratio.
        (key.to_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
    }

    #[inline]
    pub(super) fn has(&self, event: &LearnEvent, now: Now) -> bool {
        let last = &self.slots[Self::slot(event.key)];
        last.event == *event && now.millis.saturating_sub(last.at_millis) < Self::QUIET_MILLIS
    }

    #[inline]
    pub(super) fn remember(&mut self, event: &LearnEvent, now: Now) {
        self.slots[Self::slot(event.key)] = Report { event: *event, at_millis: now.millis };
    }
}

impl Default for RecentReports {
    fn default() -> Self {
        Self::new()
    }
}
