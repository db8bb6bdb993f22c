//! Counters, and their one presentation.
//!
//! [`counters`] is what workers write; `exposition` is what Prometheus reads. Both, and
//! `vswitch show`, take drop reasons from [`crate::datapath::verdict::DropReason`].

pub mod counters;
#[cfg(feature = "dpdk")]
pub mod exposition;
