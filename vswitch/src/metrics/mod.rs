//! Counters.

pub mod counters;
