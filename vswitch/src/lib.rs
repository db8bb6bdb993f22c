//! A DPDK-based virtual switch.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod ids;
pub mod metrics;
pub mod sim;
pub mod table;
pub mod wire;
