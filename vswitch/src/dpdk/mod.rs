//! DPDK behind safe types: the only callers of `dpdk-sys`, and the only FFI of the switch.
//!
//! | file | what it owns |
//! |---|---|
//! | [`eal`] | the process's one EAL: hugepages, lcores, drivers |
//! | [`log`] | DPDK's log: to `tracing`, and the last lines for error messages |
//! | [`lcore`] | work on a worker's core; the cycle counter |
//! | [`pool`] | mempools of packet buffers |
//! | [`mbuf`] | one packet buffer, owned |
//! | [`port`] | an ethdev: probe, configure, start, close |
//! | `interface` | the kernel's interface behind a virtual device |
//! | `packet_socket` | what the packet sockets of `net_af_packet` lost |
//! | `refusal` | why DPDK does not start, or refuses a device |
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
mod interface;
pub mod lcore;
pub mod log;
pub mod mbuf;
mod packet_socket;
pub mod pool;
pub mod port;
pub mod queue;
mod refusal;

use std::ffi::{CStr, CString};
use std::fmt;

pub use mbuf::Mbuf;

use crate::doctor::{Check, Finding};

/// Why something could not be started: the cause, the way out, and what DPDK logged about it,
/// each on a line of its own.
#[derive(Debug, thiserror::Error)]
#[error("{finding}{said}")]
pub struct Error {
    finding: Box<Finding>,
    said: Said,
}

impl Error {
    fn new(cause: impl Into<String>, way_out: impl Into<String>, said: Said) -> Self {
        Self::found(Finding::problem(Check::Dpdk, cause, "").advice(way_out), said)
    }

    /// Of something that was found.
    fn found(finding: Finding, said: Said) -> Self {
        Self { finding: Box::new(finding), said }
    }

    /// What went wrong, why, and the way out.
    #[must_use]
    pub fn finding(&self) -> &Finding {
        &self.finding
    }

    /// What DPDK logged about it.
    #[must_use]
    pub fn said(&self) -> &Said {
        &self.said
    }
}

/// What DPDK logged about a failure, for the end of an error message: each line on its own,
/// indented. Prints nothing when DPDK said nothing.
#[derive(Debug, Default)]
pub struct Said(Vec<String>);

impl Said {
    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// Whether a line contains the text.
    fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|line| line.contains(text))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  DPDK: {line}"))
    }
}

/// An errno in words.
fn errno_text(errno: i32) -> String {
    // SAFETY: rte_strerror takes any number.
    let text = unsafe { dpdk_sys::rte_strerror(errno) };
    // SAFETY: it returns a NUL-terminated string in the calling thread's own buffer.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

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
