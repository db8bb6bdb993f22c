//! The time, as the pipeline is given it.

/// The time of a turn of the loop. A parameter, never read from a clock by the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since start.
    pub millis: u64,
    /// Nanoseconds since start.
    pub nanos: u64,
}

impl Now {
    /// So many milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis, nanos: millis * 1_000_000 }
    }

    /// So many nanoseconds after the start.
    #[inline(always)]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { millis: nanos / 1_000_000, nanos }
    }

    /// Whole seconds since start.
    #[inline(always)]
    #[must_use]
    pub fn secs(self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "wraps after 136 years")]
        let secs = (self.millis / 1000) as u32;
        secs
    }
}
