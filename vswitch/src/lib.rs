//! A DPDK-based virtual switch.

pub mod ids;
pub mod table;
pub mod wire;
