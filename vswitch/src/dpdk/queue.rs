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

use arrayvec::ArrayVec;

use super::mbuf::{self, Mbuf};
use super::open_port::Open;

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

    /// Receives frames into the free places of `burst`; never waits.
    ///
    /// Some drivers with vector code return nothing for bursts below 4, and are fast from 32 on.
    #[inline]
    pub fn receive<const N: usize>(&mut self, burst: &mut ArrayVec<Mbuf, N>) {
        let len = burst.len();
        let count = u16::try_from(burst.remaining_capacity()).unwrap_or(u16::MAX);
        // SAFETY: `len` is not beyond the capacity.
        let free = unsafe { burst.as_mut_ptr().add(len) };
        // SAFETY: the port is started and this is the only owner of the queue (`new`). DPDK writes
        // at most `count` pointers, to mbufs of one reference that become ours.
        let received =
            unsafe { dpdk_sys::vsw_rx_burst(self.port, self.queue, mbuf::as_raw(free), count) };
        // SAFETY: so many more places are filled; a driver never returns more than it was asked for.
        unsafe { burst.set_len(len + usize::from(received.min(count))) };
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

    /// Hands the frames of `burst` to the device, and returns how many it took, from the front. Those
    /// that it had no room for stay.
    ///
    /// The caller sends frames in several buffers only where the port
    /// [takes them](super::port::PortInfo::multi_segment), and only such of which the device said
    /// nothing or whose flags were [forgotten](crate::datapath::packet::Packet::accept).
    #[inline]
    pub fn transmit<const N: usize>(&mut self, burst: &mut ArrayVec<Mbuf, N>) -> usize {
        let len = burst.len();
        let count = u16::try_from(len).unwrap_or(u16::MAX);
        let raw = burst.as_mut_ptr();
        // SAFETY: the elements are the driver's until it says how many it did not take; zero is
        // within any capacity.
        unsafe { burst.set_len(0) };
        // SAFETY: the port is started and this is the only owner of the queue (`new`); `count`
        // pointers to mbufs that were ours.
        let sent =
            unsafe { dpdk_sys::vsw_tx_burst(self.port, self.queue, mbuf::as_raw(raw), count) };
        let sent = usize::from(sent.min(count));
        if sent < len {
            // SAFETY: `sent` is below the length.
            let left = unsafe { raw.add(sent) };
            // SAFETY: both ranges are within the array, and `copy` allows that they overlap.
            unsafe { std::ptr::copy(left, raw, len - sent) };
            // SAFETY: the first places hold those that stay.
            unsafe { burst.set_len(len - sent) };
        }
        sent
    }
}
