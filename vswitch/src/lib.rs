//! A DPDK-based virtual switch.

pub mod ids;
pub mod wire;
