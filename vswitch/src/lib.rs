//! A DPDK-based virtual switch: tenants' private Ethernets, over VXLAN, between bare-metal hosts.
//!
//! # A tour
//!
//! A frame's way is [`datapath`]: one stage per file, in the order in which
//! [`datapath::worker`] runs them. What workers look up is in [`table`]: the FDB, which one thread writes
//! and all read without a lock, and the generations of everything that is configured. The bytes are
//! in [`wire`].
//!
//! Everything slow is [`control`]: it turns the [`config`] into generations, learns and ages MACs, mirrors
//! the kernel's routes and neighbours, and carries the host's frames. The outside sees it through
//! [`cli`], [`api`] and [`metrics`]. [`explain`] says why one frame goes where it goes.
//!
//! What must be right with a host before any of it starts is [`doctor`].
//!
//! DPDK is behind `dpdk`, which alone calls `dpdk-sys`. Without the feature of that name, all but that
//! and what starts it is still there, and [`sim`] runs the very same stages in memory.
//!
//! `docs/architecture.md` says why it is so.

pub mod api;
pub mod bench;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod decode;
pub mod doctor;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod explain;
mod hex;
pub mod ids;
pub mod kernel;
pub mod metrics;
pub mod sim;
pub mod table;
mod text;
pub mod topology;
pub mod wire;
