//! JSON over HTTP: on the Unix socket for `vswitch show` and programs, and the metrics on TCP.

pub mod dto;
#[cfg(feature = "dpdk")]
pub mod server;
