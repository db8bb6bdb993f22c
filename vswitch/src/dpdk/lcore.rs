//! Work on a worker's core, and the cycle counter.
//!
//! EAL starts one thread per worker core, pinned, which waits for something to do. The control
//! thread gives it a closure; a worker's loop is one.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::eal::{Eal, EalInner};

/// A closure that an lcore runs. Not joining it is fine: [`Eal`] waits for its lcores when it is
/// dropped, and so must be able to.
#[must_use = "join it to know that the core is done"]
pub struct Handle {
    core: u32,
    _eal: Arc<EalInner>,
}

/// A core could not be given work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// EAL has no such worker.
    #[error("core {0} is not one of the worker cores")]
    NotAWorker(u32),
    /// The core runs a closure already.
    #[error("worker core {0} is busy")]
    Busy(u32),
}

type Job = Box<dyn FnOnce() + Send>;

/// Has the worker core `core` call `work`, and returns at once.
///
/// The closure is dropped on that core. A panic in it ends the process, since it must not cross
/// into C.
///
/// # Errors
///
/// The core is not a worker core of this EAL, or is busy.
pub fn launch(
    eal: &Eal,
    core: u32,
    work: impl FnOnce() + Send + 'static,
) -> Result<Handle, LaunchError> {
    if !eal.worker_cores().contains(&core) {
        return Err(LaunchError::NotAWorker(core));
    }
    let job: Box<Job> = Box::new(Box::new(work));
    let job = Box::into_raw(job);
    // SAFETY: the core is an lcore of this EAL; `run` takes the box that it is given, once.
    let error = unsafe { dpdk_sys::rte_eal_remote_launch(Some(run), job.cast(), core) };
    if error != 0 {
        // SAFETY: the core did not take the box, so it is still ours.
        drop(unsafe { Box::from_raw(job) });
        return Err(LaunchError::Busy(core));
    }
    Ok(Handle { core, _eal: Arc::clone(eal.inner()) })
}

impl Handle {
    /// Waits until the closure has returned.
    pub fn join(self) {
        // SAFETY: the core is an lcore of this EAL.
        unsafe { dpdk_sys::rte_eal_wait_lcore(self.core) };
    }

    /// The core that runs it.
    #[must_use]
    pub fn core(&self) -> u32 {
        self.core
    }
}

extern "C" fn run(job: *mut c_void) -> c_int {
    // SAFETY: `launch` made this pointer from a box, for this call alone.
    let job = unsafe { Box::from_raw(job.cast::<Job>()) };
    job();
    0
}

/// The time-stamp counter of this core: constant rate, the same on all cores. One C call.
#[inline]
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { dpdk_sys::vsw_tsc() }
}

/// Ticks of [`tsc`] per second, as EAL measured it.
#[must_use]
pub fn tsc_hz(_eal: &Eal) -> u64 {
    // SAFETY: EAL runs.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}
