//! Counters, and their one presentation.
//!
//! | file | what it owns |
//! |---|---|
//! | [`counters`] | what workers write: counters with one writer, the ledger |
//! | [`histogram`] | buckets of powers of two |
//! | [`queue`] | what a receive queue gave |
//! | `exposition` | what Prometheus reads: every metric, from the switch's state |
//! | [`family`] | one metric with its values, and the text format |
//!
//! Exposition, API and `vswitch show` take drop reasons from [`crate::datapath::verdict::DropReason`].

pub mod counters;
#[cfg(feature = "dpdk")]
pub mod exposition;
pub mod family;
pub mod histogram;
pub mod queue;
