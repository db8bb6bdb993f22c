//! Carries frames between the workers and the host interfaces.
//!
//! Called by the control thread every millisecond: system calls do not belong on a worker. Bounded
//! per call, so that a flood towards the host cannot starve the rest of the control thread.

use tracing::warn;

use super::drops::Drops;
use super::wiring::HostQueues;
use crate::datapath::capture::recorder::Frame;
use crate::datapath::packet::Packet as _;
use crate::dpdk::pool::Pool;
use crate::ids::VtepId;
use crate::kernel::host_interface::HostInterface;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

/// The most frames carried each way, per VTEP and call.
const BUDGET: usize = 256;

/// One VTEP's way to the host and back.
pub struct HostPath {
    /// The VTEP.
    pub vtep: VtepId,
    /// The TAP.
    pub interface: HostInterface,
    /// To and from the workers.
    pub queues: HostQueues,
    /// Frames that the host has sent.
    pub sent_by_host: u64,
    /// Whether the interface refused the last frame, so that a failure is logged once.
    pub failing: bool,
}

impl HostPath {
    /// The way of a VTEP by its host interface.
    #[must_use]
    pub fn new(vtep: VtepId, interface: HostInterface, queues: HostQueues) -> Self {
        Self { vtep, interface, queues, sent_by_host: 0, failing: false }
    }

    /// Gives the host all that waits: to be called when no worker punts to it any more.
    pub fn deliver_last(&mut self, drops: &mut Drops<'_>) {
        while !self.queues.punts.is_empty() {
            self.deliver(drops);
        }
        drops.counters.publish();
    }

    /// Carries what waits. `frame` is room for the longest frame.
    pub fn carry(&mut self, pool: &Pool, drops: &mut Drops<'_>, frame: &mut [u8]) {
        self.deliver(drops);
        self.collect(pool, drops, frame);
        drops.counters.publish();
    }

    fn deliver(&mut self, drops: &mut Drops<'_>) {
        let counters = drops.counters;
        for _ in 0..BUDGET {
            let Some(packet) = self.queues.punts.pop() else { return };
            counters.handed_in(1);
            match self.interface.try_write(packet.bytes()) {
                Ok(true) => {
                    counters.punted(self.vtep);
                    self.failing = false;
                    continue;
                }
                // The kernel's queue is full.
                Ok(false) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        warn!(interface = self.interface.name(), %error, "frames for the host are refused");
                    }
                }
            }
            drops.dropped(Site::port(self.queues.port), DropReason::HostWriteFailed, &packet);
        }
    }

    fn collect(&mut self, pool: &Pool, drops: &mut Drops<'_>, frame: &mut [u8]) {
        let counters = drops.counters;
        for _ in 0..BUDGET {
            // An error means that the interface is down: there is nothing to carry.
            let Ok(Some(len)) = self.interface.try_read(frame) else { return };
            counters.injected(1);
            self.sent_by_host += 1;
            let site = Site::port(self.queues.port);
            let Some(mut packet) = pool.alloc() else {
                drops.dropped(site, DropReason::NoBuffers, &Frame(&frame[..len]));
                continue;
            };
            if !packet.fill(&frame[..len]) {
                drops.dropped(site, DropReason::ExceedsPortMtu, &Frame(&frame[..len]));
                continue;
            }
            match self.queues.injections.push(packet) {
                Ok(()) => counters.handed_out(1),
                Err(packet) => drops.dropped(site, DropReason::HostQueueFull, &packet),
            }
        }
    }
}
