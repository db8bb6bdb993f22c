//! A DPDK-based virtual switch.

pub mod ids;
