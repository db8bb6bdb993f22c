//! The punt paths: carry frames between the workers and the host interfaces.
//!
//! Called by the control thread every millisecond, because a worker makes no system calls. The number
//! of frames in one call is bounded, so that a flood towards the kernel cannot starve the rest of the
//! control thread.

use tracing::warn;

use super::drops::Drops;
use super::wiring::PuntQueues;
use crate::datapath::capture::recorder::Frame;
use crate::datapath::packet::Packet as _;
use crate::dpdk::pool::Pool;
use crate::ids::VtepId;
use crate::kernel::host_interface::HostInterface;
use crate::kernel::underlay::LocalVtep;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::topology::{DenseMap, Topology};

/// Room for the longest frame that a TAP can give, in bytes.
const FRAME_LEN: usize = u16::MAX as usize;

/// The most frames carried each way, per VTEP and call.
const BUDGET: usize = 256;

/// The punt path of one VTEP: to its TAP and back.
pub struct PuntPath {
    /// The VTEP.
    pub vtep: VtepId,
    /// The TAP.
    pub interface: HostInterface,
    /// To and from the workers.
    pub queues: PuntQueues,
    /// Frames read from the TAP.
    pub tap_gave: u64,
    /// Whether the interface refused the last frame, so that a failure is logged once.
    pub failing: bool,
}

impl PuntPath {
    /// The way of a VTEP by its host interface.
    #[must_use]
    pub fn new(vtep: VtepId, interface: HostInterface, queues: PuntQueues) -> Self {
        Self { vtep, interface, queues, tap_gave: 0, failing: false }
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
            self.tap_gave += 1;
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

/// All punt paths, by VTEP.
pub struct PuntPaths {
    paths: DenseMap<PuntPath>,
    frame: Box<[u8]>,
}

impl Default for PuntPaths {
    fn default() -> Self {
        Self { paths: DenseMap::default(), frame: vec![0; FRAME_LEN].into() }
    }
}

impl PuntPaths {
    /// Begins to carry frames for a VTEP.
    pub fn add(&mut self, path: PuntPath) {
        self.paths.set(path.vtep.index(), path);
    }

    /// Frames read from the TAP of a VTEP.
    #[must_use]
    pub fn tap_gave(&self, vtep: VtepId) -> u64 {
        self.paths.get(vtep.index()).map_or(0, |path| path.tap_gave)
    }

    /// Carries what waits, for every VTEP.
    pub fn carry(&mut self, pool: &Pool, drops: &mut Drops<'_>) {
        for (_, path) in self.paths.iter_mut() {
            path.carry(pool, drops, &mut self.frame);
        }
    }

    /// Delivers the last frames of a VTEP, and removes its host interface.
    pub fn close(&mut self, vtep: VtepId, drops: &mut Drops<'_>) {
        if let Some(mut path) = self.paths.take(vtep.index()) {
            path.deliver_last(drops);
        }
    }

    /// The VTEPs of a topology as the kernel sees them.
    #[must_use]
    pub fn local_vteps(&self, topology: &Topology) -> Vec<LocalVtep> {
        let local = |(id, vtep): (VtepId, &crate::topology::Vtep)| {
            let if_index = self.paths.get(id.index())?.interface.ifindex();
            Some(LocalVtep { vtep: id, if_index, address: vtep.address })
        };
        topology.vteps().filter_map(local).collect()
    }
}
