//! Counters, and their one presentation.
//!
//! | file | what it owns |
//! |---|---|
//! | [`counters`] | what workers write: counters with one writer, the ledger |
//! | [`histogram`] | buckets of powers of two |
//! | [`queue`] | what a receive queue gave |
//! | [`drop_reason`] | every reason for which a frame is dropped, declared once |
//! | [`build_info`] | from what the binary was built |
//! | [`rate`] | rates and shares from counters |
//! | `zeroed` | the memory of counters: zeroed, and taken page by page as it is written |
//! | [`family`] | one metric with its values, and the text format |
//!
//! Exposition, API and `vswitch show` take drop reasons from [`drop_reason::DropReason`].

pub mod build_info;
mod counter;
pub mod counters;
pub mod drop_reason;
pub mod family;
pub mod histogram;
pub mod queue;
pub mod rate;
mod zeroed;
