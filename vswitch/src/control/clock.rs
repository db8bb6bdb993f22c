//! The time of the pipeline: milliseconds since start, the same for workers and the control thread. A reading is one
//! of the time-stamp counter and a multiplication.

use crate::datapath::context::Now;
use crate::datapath::worker::Time;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore;

/// Time since start, from the time-stamp counter.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    /// Cycles per second.
    pub(super) hz: u64,
    /// Milliseconds per cycle, times 2^64.
    scale: u128,
}

impl Clock {
    /// Starts now.
    pub(super) fn start(eal: &Eal) -> Self {
        let hz = lcore::tsc_hz(eal).max(1);
        Self { start: lcore::tsc(), hz, scale: (1000 << 64) / u128::from(hz) }
    }

    /// The time, and the counter that it is from.
    #[inline]
    pub(super) fn time(&self) -> Time {
        let cycles = lcore::tsc();
        let millis = (u128::from(cycles.wrapping_sub(self.start)) * self.scale) >> 64;
        #[allow(clippy::cast_possible_truncation, reason = "a 64-bit count times less than one")]
        let now = Now { millis: millis as u64 };
        Time { cycles, now }
    }

    /// The time of the pipeline.
    #[must_use]
    pub fn now(&self) -> Now {
        self.time().now
    }
}
