//! The time of the pipeline: nanoseconds since start, the same for workers and the control thread.
//! A reading is one of the time-stamp counter and a multiplication.

use crate::datapath::now::Now;
use crate::datapath::worker::Time;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore;

/// Time since start, from the time-stamp counter.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    /// Cycles per second.
    pub(super) hz: u64,
    /// Nanoseconds per cycle, times 2^64.
    scale: u128,
}

impl Clock {
    /// Starts now.
    pub(super) fn start(eal: &Eal) -> Self {
        let hz = lcore::tsc_hz(eal).max(1);
        Self { start: lcore::tsc(), hz, scale: (1_000_000_000 << 64) / u128::from(hz) }
    }

    /// The time, and the counter that it is from.
    #[inline]
    pub(super) fn time(&self) -> Time {
        let cycles = lcore::tsc();
        let nanos = (u128::from(cycles.wrapping_sub(self.start)) * self.scale) >> 64;
        #[allow(clippy::cast_possible_truncation, reason = "it wraps after 584 years")]
        let now = Now::from_nanos(nanos as u64);
        Time { cycles, now }
    }

    /// The time of the pipeline.
    #[must_use]
    pub fn now(&self) -> Now {
        self.time().now
    }
}
