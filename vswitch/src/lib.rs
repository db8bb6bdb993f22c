//! A DPDK-based virtual switch.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod ids;
pub mod table;
pub mod wire;
