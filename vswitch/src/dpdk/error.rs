//! The errors of this folder: what DPDK was asked to do, the errno that it answered, and what it logged meanwhile.
//!
//! An error does not know its cause, which is usually found in the state of the host: [`crate::doctor`] looks there.

use std::ffi::CStr;
use std::fmt;
use std::io;

use super::log::Mark;

/// DPDK refused something, or was not asked because the answer would have ended the process.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum Error {
    #[error("{0}")]
    Misuse(String),
    #[error("DPDK's log cannot be redirected: {0}")]
    Log(#[source] io::Error),
    #[error("eal-args: {0} would end the process")]
    EndsProcess(String),
    #[error("no thread of this process can run on core {0}")]
    Core(u32),
    #[error("DPDK does not start: {0}")]
    Start(Answer),
    #[error("no memory for {count} packet buffers of {room} bytes: {answer}")]
    Pool { count: u32, room: u16, answer: Answer },
    #[error("device {device}: {source}")]
    Device { device: String, source: DeviceError },
}

/// What a device did not do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum DeviceError {
    #[error("is {0}")]
    Misuse(&'static str),
    #[error("DPDK cannot open it: {0}")]
    Probe(Answer),
    #[error("{0} is in use by another port")]
    InUse(String),
    #[error("{mtu}, and the device is limited to {limit}")]
    DeviceMtu { mtu: Mtu, limit: u16 },
    #[error("{mtu}, and packet buffers hold frames of {room} bytes")]
    BufferMtu { mtu: Mtu, room: u16 },
    #[error("its interface refuses an MTU of {mtu}: {source}")]
    InterfaceMtu { mtu: u16, source: io::Error },
    #[error("refuses {call}: {answer}")]
    Refused { call: DeviceCall, answer: Answer },
}

/// The MTU of a port, and where it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu {
    /// In bytes.
    pub bytes: u16,
    /// Set by the configuration; otherwise by the interface behind the device.
    pub is_configured: bool,
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.is_configured { "the port's mtu" } else { "its interface's MTU" };
        write!(f, "{whose} is {}", self.bytes)
    }
}

/// What a driver was asked to do with its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum DeviceCall {
    #[error("to describe itself")]
    Describe,
    #[error("configuration with {queues} queues and an MTU of {mtu}")]
    Configure { queues: u16, mtu: u16 },
    #[error("the number of descriptors")]
    Descriptors,
    #[error("receive queue {0}")]
    RxQueue(u16),
    #[error("transmit queue {0}")]
    TxQueue(u16),
    #[error("an MTU of {0}")]
    SetMtu(u16),
    #[error("promiscuous mode")]
    Promiscuous,
    #[error("to start")]
    Start,
}

/// What DPDK answered. Displayed as the text of its errno.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// A positive number.
    pub errno: i32,
    /// What DPDK logged meanwhile, oldest line first.
    pub log: Vec<String>,
}

impl Answer {
    pub(super) fn new(errno: i32, since: Mark) -> Self {
        Self { errno: errno.saturating_abs(), log: since.lines() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&errno_text(self.errno))
    }
}

impl Error {
    /// What DPDK answered, if it was asked.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Start(answer)
            | Self::Pool { answer, .. }
            | Self::Device {
                source: DeviceError::Probe(answer) | DeviceError::Refused { answer, .. },
                ..
            } => Some(answer),
            _ => None,
        }
    }
}

pub(super) fn errno_text(errno: i32) -> String {
    // SAFETY: rte_strerror takes any number.
    let text = unsafe { dpdk_sys::rte_strerror(errno) };
    // SAFETY: it returns a NUL-terminated string in the calling thread's own buffer.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
