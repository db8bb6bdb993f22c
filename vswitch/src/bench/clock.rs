//! Time as the benchmark reads it: the time-stamp counter, and what its ticks are in seconds.
//!
//! On x86-64 a tick is one of the TSC, which runs at a constant rate, not at the core's: a core
//! that boosts does more than one of its own cycles in a tick. Elsewhere a tick is a nanosecond.

use std::time::{Duration, Instant};

use crate::datapath::now::Now;
use crate::datapath::worker::Time;

/// How long the calibration takes: an error of a microsecond in it is 20 millionths.
const CALIBRATION: Duration = Duration::from_millis(50);

/// Ticks now.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[must_use]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 has the instruction, and Linux allows it in user space.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Ticks now.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn ticks() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[allow(clippy::cast_possible_truncation, reason = "584 years of nanoseconds")]
    let nanos = START.get_or_init(Instant::now).elapsed().as_nanos() as u64;
    nanos
}

/// A clock that started at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    hz: f64,
    /// Nanoseconds per tick, times 2^64.
    scale: u128,
}

impl Clock {
    /// Finds out how long a tick is, and starts.
    #[must_use]
    pub fn calibrate() -> Self {
        let (began, first) = (Instant::now(), ticks());
        std::thread::sleep(CALIBRATION);
        let (elapsed, last) = (began.elapsed(), ticks());
        Self::with_hz(last.wrapping_sub(first) as f64 / elapsed.as_secs_f64())
    }

    fn with_hz(hz: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a frequency")]
        let whole = hz.round().max(1.0) as u128;
        Self { start: ticks(), hz, scale: (1_000_000_000 << 64) / whole }
    }

    /// Ticks per second.
    #[must_use]
    pub fn hz(&self) -> f64 {
        self.hz
    }

    /// Ticks in so many seconds.
    #[must_use]
    pub fn ticks_in(&self, seconds: f64) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "years fit")]
        let ticks = (seconds * self.hz) as u64;
        ticks
    }

    /// The time, as a worker's loop reads it once per turn.
    #[inline(always)]
    #[must_use]
    pub fn time(&self) -> Time {
        let cycles = ticks();
        let nanos = (u128::from(cycles.wrapping_sub(self.start)) * self.scale) >> 64;
        #[allow(clippy::cast_possible_truncation, reason = "it wraps after 584 years")]
        let now = Now::from_nanos(nanos as u64);
        Time { cycles, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_a_second() {
        let clock = Clock::calibrate();
        let before = clock.time();
        std::thread::sleep(Duration::from_millis(20));
        let after = clock.time();
        assert!(after.now.millis - before.now.millis >= 19, "{before:?} {after:?}");
        assert!(after.cycles - before.cycles >= clock.ticks_in(0.019));
    }
}
