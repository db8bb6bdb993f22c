//! Rates and shares, computed from counters for people.

#![allow(clippy::cast_precision_loss, reason = "people read three digits")]

/// Events per second.
#[must_use]
pub fn per_second(events: u64, secs: f64) -> f64 {
    events as f64 / secs
}

/// The share of the time in which a worker had frames, in percent. 0 if no time has passed.
#[must_use]
pub fn busy_percent(busy_cycles: u64, idle_cycles: u64) -> f64 {
    100.0 * busy_cycles as f64 / (busy_cycles + idle_cycles).max(1) as f64
}
