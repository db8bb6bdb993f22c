//! How long the control loop takes for each duty, and how late its millisecond tick comes.
//!
//! The control thread does one thing at a time. During a long one it learns no MAC, carries no frame
//! to the kernel, follows no next hop and answers no request. So each duty is timed with two readings
//! of the clock. The delay of the tick also contains the time that the API's server takes beside the
//! loop.

use std::time::Instant;

use crate::metrics::histogram::{Tally, Totals};

/// What the control loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Every millisecond: learns, carries frames to and from the host, frees what is not read any
    /// more.
    Frames,
    /// Every some milliseconds: ages a part of the FDB.
    Ageing,
    /// Every second: links, losses, workers.
    Watch,
    /// Takes up what the kernel said of routes and neighbours.
    Underlay,
    /// Answers the API: changes, rows, scrapes.
    Request,
}

impl Work {
    /// All, in the order of their indices.
    pub const ALL: [Self; 5] =
        [Self::Frames, Self::Ageing, Self::Watch, Self::Underlay, Self::Request];

    /// The value of the label `work`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Ageing => "ageing",
            Self::Watch => "watch",
            Self::Underlay => "underlay",
            Self::Request => "request",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LoopTiming {
    work: [Tally; Work::ALL.len()],
    late: Tally,
}

impl LoopTiming {
    /// Something was done that began at a moment, and ends now.
    pub fn did(&mut self, work: Work, began: Instant) {
        self.work[work as usize].add(began.elapsed());
    }

    /// The millisecond's tick came that was due at a moment.
    pub fn came(&mut self, due: Instant, now: Instant) {
        self.late.add(now.saturating_duration_since(due));
    }

    /// How long one kind of work took, in seconds.
    #[must_use]
    pub fn work(&self, work: Work) -> Totals {
        self.work[work as usize].totals()
    }

    /// How late ticks came, in seconds.
    #[must_use]
    pub fn late(&self) -> Totals {
        self.late.totals()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_of_work_has_its_own_tally() {
        let mut timing = LoopTiming::default();
        let now = Instant::now();
        for (index, work) in Work::ALL.into_iter().enumerate() {
            assert_eq!(work as usize, index);
        }
        timing.did(Work::Watch, now);
        timing.came(now, now + Duration::from_millis(5));
        timing.came(now + Duration::from_millis(5), now);
        let counts = Work::ALL.map(|work| timing.work(work).count());
        assert_eq!(counts, [0, 0, 1, 0, 0]);
        assert_eq!(timing.late().count(), 2);
        assert!((timing.late().sum - 0.005).abs() < 1e-9, "early is not late");
    }
}
