//! DPDK behind safe types: the only callers of `dpdk-sys`, and the only FFI of the switch.
//!
//! | file | what it owns |
//! |---|---|
//! | [`eal`] | the process's one EAL: hugepages, lcores, drivers |
//! | [`error`] | what DPDK was asked, answered and logged |
//! | `log` | DPDK's log: to `tracing`, and the last lines for errors |
//! | [`lcore`] | work on a worker's core; the cycle counter |
//! | [`pool`] | mempools of packet buffers |
//! | [`mbuf`] | one packet buffer, owned |
//! | [`port`] | an ethdev: probe, configure, start, close |
//! | `open_port` | an open ethdev, shared by its port and queues |
//! | `interface` | the kernel's interface behind a virtual device |
//! | `packet_socket` | what the packet sockets of `net_af_packet` lost |
//! | [`queue`] | one receive or transmit queue of a started port |
//!
//! # Who owns what
//!
//! A [`queue`] keeps its port alive, a port its pool, a pool the EAL. So a port closes when the
//! last of its handles is dropped, in whatever order, and the EAL is cleaned up last. An [`Mbuf`]
//! keeps nothing alive, because a counted reference per packet would cost too much: instead a pool
//! with buffers still out is leaked, and never freed under them.
//!
//! # Thread safety
//!
//! Everything here but the queues, [`Mbuf`] and [`pool::Pool`] is for the control thread. Queues
//! are `Send` and have one owner. A frame costs no lock, no allocation and no system call of ours.

pub mod eal;
pub mod error;
mod interface;
pub mod lcore;
mod log;
pub mod mbuf;
mod open_port;
mod packet_socket;
pub mod pool;
pub mod port;
pub mod queue;

use std::ffi::CString;

pub use error::Error;
pub use mbuf::Mbuf;

/// The calling thread's `rte_errno`.
fn last_errno() -> i32 {
    // SAFETY: reads a thread-local variable.
    unsafe { dpdk_sys::vsw_errno() }
}

/// A string for C. A NUL cannot be passed: what follows it is cut off.
fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}
