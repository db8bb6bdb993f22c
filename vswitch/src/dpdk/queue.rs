//! One receive or transmit queue of a started port.
//!
//! A worker owns its queues and alone calls them: DPDK's queues must not be used by two threads at
//! once. They can be moved to a thread, and neither shared nor cloned. While a queue lives, its
//! port stays open.
//!
//! A call costs one C call per burst (1.2 ns measured) on top of the driver's own work.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::mbuf::{self, Mbuf};
use super::port::Open;

/// Not `Sync`: one owner.
type OneOwner = PhantomData<Cell<()>>;

/// A receive queue.
pub struct RxQueue {
    port: u16,
    queue: u16,
    _open: Arc<Open>,
    _one_owner: OneOwner,
}

/// A transmit queue.
pub struct TxQueue {
    port: u16,
    queue: u16,
    _open: Arc<Open>,
    _one_owner: OneOwner,
}

impl RxQueue {
    /// # Safety
    ///
    /// The port is started, has this receive queue, and there is no other owner of it.
    pub(super) unsafe fn new(open: &Arc<Open>, queue: u16) -> Self {
        Self { port: open.id(), queue, _open: Arc::clone(open), _one_owner: PhantomData }
    }

    /// The queue's number on its port.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.queue
    }

    /// Receives up to as many frames as `burst` is long, never waits, and returns how many: they
    /// are in the first places of `burst`. All places must be `None`; a frame in one would leak.
    ///
    /// Some drivers with vector code return nothing for bursts below 4, and are fast from 32 on.
    #[inline]
    pub fn receive(&mut self, burst: &mut [Option<Mbuf>]) -> usize {
        debug_assert!(burst.iter().all(Option::is_none), "a frame would be overwritten");
        let count = u16::try_from(burst.len()).unwrap_or(u16::MAX);
        let raw = mbuf::as_raw(burst);
        // SAFETY: the port is started and this is the only owner of the queue (`new`). DPDK writes
        // at most `count` pointers, to mbufs of one reference that become ours.
        unsafe { dpdk_sys::vsw_rx_burst(self.port, self.queue, raw, count).into() }
    }
}

impl TxQueue {
    /// # Safety
    ///
    /// The port is started, has this transmit queue, and there is no other owner of it.
    pub(super) unsafe fn new(open: &Arc<Open>, queue: u16) -> Self {
        Self { port: open.id(), queue, _open: Arc::clone(open), _one_owner: PhantomData }
    }

    /// The queue's number on its port.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.queue
    }

    /// Hands the frames of `burst`, up to the first `None`, to the device, and returns how many it
    /// took: their places are `None` then. The frames that it had no room for stay where they are.
    ///
    /// The caller sends contiguous frames only ([`Packet::is_contiguous`]): the switch asks no
    /// device for scattered transmission.
    ///
    /// [`Packet::is_contiguous`]: crate::datapath::packet::Packet::is_contiguous
    #[inline]
    pub fn transmit(&mut self, burst: &mut [Option<Mbuf>]) -> usize {
        let mut count: u16 = 0;
        for mbuf in burst.iter_mut().take(usize::from(u16::MAX)) {
            let Some(mbuf) = mbuf else { break };
            mbuf.forget_offloads();
            count += 1;
        }
        let raw = mbuf::as_raw(burst);
        // SAFETY: the port is started and this is the only owner of the queue (`new`); `count`
        // pointers to mbufs that are ours. The driver takes over those it counts.
        let sent = unsafe { dpdk_sys::vsw_tx_burst(self.port, self.queue, raw, count) };
        let sent = usize::from(sent.min(count));
        // SAFETY: the first `sent` mbufs are the driver's now: overwrite them without dropping.
        // All zero is None.
        unsafe { std::ptr::write_bytes(raw, 0, sent) };
        sent
    }
}
