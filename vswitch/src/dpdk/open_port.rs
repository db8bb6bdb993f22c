//! An ethdev that is open: closed when its port and all its queues are dropped.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::eal::EalInner;
use super::error::errno_text;
use super::log;
use super::pool::Pool;

/// An open ethdev, shared by the port and its queues. The last one closes it.
pub(super) struct Open {
    pub(super) id: u16,
    pub(super) started: AtomicBool,
    /// Promiscuous mode was turned on here, and is to be turned off.
    pub(super) promiscuous: AtomicBool,
    /// The pool whose buffers the driver holds.
    pub(super) pool: OnceLock<Pool>,
    pub(super) eal: Arc<EalInner>,
}

impl Open {
    pub(super) const fn id(&self) -> u16 {
        self.id
    }

    /// Undoes what was done to the device. For `drop`: no queue of it is left.
    fn close(&self) {
        let warn = |what: &str, error: i32| {
            if error != 0 {
                tracing::warn!("port {} does not {what}: {}", self.id, errno_text(-error));
            }
        };
        if self.promiscuous.load(Ordering::Relaxed) {
            // SAFETY: the port is open.
            let error = unsafe { dpdk_sys::rte_eth_promiscuous_disable(self.id) };
            // The interface may be gone, which is no news here.
            tracing::debug!("port {}: promiscuous mode off: {error}", self.id);
        }
        if self.started.load(Ordering::Relaxed) {
            // SAFETY: the port is open, and no queue of it is left.
            warn("stop", unsafe { dpdk_sys::rte_eth_dev_stop(self.id) });
        }
        // SAFETY: the port is open and stopped; nobody uses it after this.
        warn("close", unsafe { dpdk_sys::vsw_port_close(self.id) });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        log::asking(|| self.close());
        self.eal.claimed().remove(&self.id);
    }
}
