//! From what DPDK answered and logged to a finding of [`crate::doctor`], with its cause and the way out. Control
//! thread, on failures only.

use super::{Error, Said, errno_text};
use crate::config::Dpdk;
use crate::doctor::failure::{self, Heard};
use crate::doctor::host::Host;

/// Why DPDK did not make a device. `errno` is as DPDK returns it, negative.
pub(super) fn of_device(device: &str, errno: i32, said: Said) -> Error {
    let errno = errno.saturating_neg();
    let reason = errno_text(errno);
    let heard = Heard { errno, reason: &reason, said: said.lines() };
    Error::found(failure::of_device(&Host::machine(), device, heard), said)
}

/// Why EAL did not start.
pub(super) fn of_eal(dpdk: &Dpdk, errno: i32, said: Said) -> Error {
    let reason = errno_text(errno);
    let heard = Heard { errno, reason: &reason, said: said.lines() };
    Error::found(failure::of_eal(&Host::machine(), dpdk, heard), said)
}
