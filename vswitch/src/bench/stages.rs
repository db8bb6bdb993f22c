//! Which stage costs what: reads the clock after each stage of each burst.
//!
//! The readings cost some ticks themselves and keep the core from working on two stages at once, so
//! they are never made while the total is measured. What a reading costs is found out beforehand
//! and taken off; the sum of the stages is then within a few ticks of the total.

use super::clock::ticks;
use crate::datapath::observer::{Observer, Stage};
use crate::datapath::packet::Packet;
use crate::datapath::vector::Vector;

/// Every stage in its order, and what it is called.
pub const STAGES: [(Stage, &str); 10] = [
    (Stage::Relay, "relay"),
    (Stage::Rx, "rx"),
    (Stage::Parse, "parse"),
    (Stage::Decap, "decap"),
    (Stage::Learn, "learn"),
    (Stage::Forward, "forward"),
    (Stage::Flood, "flood"),
    (Stage::Encap, "encap"),
    (Stage::Tx, "tx"),
    (Stage::Flush, "flush"),
];

/// Ticks by stage.
#[derive(Clone, Debug)]
pub struct StageClock {
    last: u64,
    ticks: [u64; STAGES.len()],
    readings: [u64; STAGES.len()],
}

impl StageClock {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { last: 0, ticks: [0; STAGES.len()], readings: [0; STAGES.len()] }
    }

    /// To be called before each turn.
    #[inline(always)]
    pub fn start(&mut self) {
        self.last = ticks();
    }

    /// The stage has ended now.
    #[inline(always)]
    fn read(&mut self, stage: Stage) {
        let now = ticks();
        self.ticks[stage as usize] += now.wrapping_sub(self.last);
        self.readings[stage as usize] += 1;
        self.last = now;
    }

    /// Ticks in a stage, less those of so many per reading.
    #[must_use]
    pub fn in_stage(&self, stage: Stage, per_reading: f64) -> f64 {
        let at = stage as usize;
        (self.ticks[at] as f64 - self.readings[at] as f64 * per_reading).max(0.0)
    }

    /// What a reading costs: the least of some averages, so that an interrupt does not count.
    #[must_use]
    pub fn reading_ticks() -> f64 {
        const READINGS: u32 = 10_000;
        let average = || {
            let mut clock = Self::new();
            clock.start();
            for _ in 0..READINGS {
                clock.read(std::hint::black_box(Stage::Rx));
            }
            clock.ticks[Stage::Rx as usize] as f64 / f64::from(READINGS)
        };
        (0..20).map(|_| average()).fold(f64::INFINITY, f64::min)
    }
}

impl Default for StageClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for StageClock {
    #[inline(always)]
    fn ended<P: Packet>(&mut self, stage: Stage, _frames: usize, _vector: &Vector<P>) {
        self.read(stage);
    }
}
