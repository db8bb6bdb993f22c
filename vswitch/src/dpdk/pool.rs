//! Mempools of packet buffers.
//!
//! The control thread makes them at start; workers and drivers take buffers out and put them back,
//! through a per-lcore cache: tens of cycles per buffer. A thread that is not an EAL lcore has no
//! cache, and goes to the shared ring each time.

use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::rte_mempool;

use super::eal::{Eal, EalInner};
use super::error::{Answer, Error};
use super::log::Mark;
use super::mbuf::{HEADROOM, Mbuf};
use super::{c_string, last_errno};

/// A pool of packet buffers of one size. Cloning makes another handle to the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    raw: NonNull<rte_mempool>,
    capacity: usize,
    data_room: u16,
    eal: Arc<EalInner>,
}

// SAFETY: a mempool made without the single-producer and single-consumer flags may be used by any
// thread (DPDK Programmer's Guide, "Mempool Library").
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Pool {
    /// Makes a pool of `count` buffers with room for frames of up to `data_room` bytes, after the
    /// [headroom](HEADROOM). `cache` buffers (at most 512) are kept aside for each lcore. `socket`
    /// is the NUMA node the memory comes from, or -1 for any. The name must be new, and at most 25
    /// characters long.
    ///
    /// # Errors
    ///
    /// Too little memory, or the name or a number is refused.
    pub fn new(
        eal: &Eal,
        name: &str,
        count: u32,
        cache: u32,
        data_room: u16,
        socket: i32,
    ) -> Result<Self, Error> {
        let mark = Mark::now();
        let room = data_room.saturating_add(HEADROOM);
        // SAFETY: EAL runs, and the name is a C string that DPDK copies.
        let raw = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                c_string(name).as_ptr(),
                count,
                cache,
                0,
                room,
                socket,
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| {
            let answer = Answer::new(last_errno(), mark);
            Error::Pool { count, room: data_room, answer }
        })?;
        let eal = Arc::clone(eal.inner());
        let data_room = room - HEADROOM;
        Ok(Self(Arc::new(Inner { raw, capacity: count as usize, data_room, eal })))
    }

    /// Takes a buffer out; its frame is empty. `None` when all are in use.
    #[inline]
    #[must_use]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is alive.
        let raw = unsafe { dpdk_sys::vsw_mbuf_alloc(self.as_ptr()) };
        // SAFETY: a fresh mbuf has one reference, which is ours now.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    /// A copy of a frame in a buffer of its own, with the usual headroom. `None` when all buffers
    /// are in use.
    #[inline]
    #[must_use]
    pub fn copy(&self, mbuf: &Mbuf) -> Option<Mbuf> {
        // SAFETY: the pool is alive, the mbuf is valid; the copy is of the whole frame.
        let raw = unsafe { dpdk_sys::rte_pktmbuf_copy(mbuf.as_ptr(), self.as_ptr(), 0, u32::MAX) };
        // SAFETY: a fresh mbuf has one reference, which is ours now.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    /// A frame with the same bytes, which it shares, to be sent as it is: one buffer of the pool, and
    /// no byte copied. The device that sends it must take
    /// [frames in several buffers](super::port::PortInfo::multi_segment). `None` when all buffers are
    /// in use.
    #[inline]
    #[must_use]
    pub fn share(&self, mbuf: &Mbuf) -> Option<Mbuf> {
        // SAFETY: the pool is alive, the mbuf is valid; that it is not written to any more is what
        // the switch promises of every frame (`mbuf.rs`).
        let raw = unsafe { dpdk_sys::vsw_mbuf_share(mbuf.as_ptr().cast_mut(), self.as_ptr()) };
        // SAFETY: a fresh mbuf has one reference, which is ours now.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    /// As [`share`](Self::share), behind a buffer of its own with the usual headroom, for headers, and a copy of
    /// the first `own` bytes of the frame: two buffers of the pool. `None`, too, when the frame is in several buffers
    /// and so many bytes are not in the first.
    #[inline]
    #[must_use]
    pub fn share_behind(&self, mbuf: &Mbuf, own: usize) -> Option<Mbuf> {
        let own = u16::try_from(own).ok()?;
        // SAFETY: as in `share`. The shim copies no more than is in the first buffer and fits the new one.
        let raw = unsafe {
            dpdk_sys::vsw_mbuf_share_behind(mbuf.as_ptr().cast_mut(), self.as_ptr(), own)
        };
        // SAFETY: a fresh mbuf has one reference, which is ours now.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    /// How many buffers are out of the pool: in drivers' rings, in flight, or lost. Buffers in the
    /// lcores' caches count as in the pool. Costs a walk over all caches; not for a worker.
    #[must_use]
    pub fn in_use(&self) -> usize {
        // SAFETY: the pool is alive; the count is approximate while others use it.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.as_ptr()) as usize }
    }

    /// How many handles there are to this pool, this one included.
    #[must_use]
    pub fn users(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether it is the same pool.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many buffers there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// The longest frame that fits one buffer after the headroom, in bytes.
    #[must_use]
    pub fn data_room(&self) -> u16 {
        self.0.data_room
    }

    pub(super) fn as_ptr(&self) -> *mut rte_mempool {
        self.0.raw.as_ptr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the pool is alive.
        let out = unsafe { dpdk_sys::rte_mempool_in_use_count(self.raw.as_ptr()) };
        if out == 0 {
            // SAFETY: no buffer is out, and this was the last handle.
            unsafe { dpdk_sys::rte_mempool_free(self.raw.as_ptr()) };
        } else {
            // Lost, or still in use somewhere. (net_af_xdp never gives back what is in its rings.)
            // The memory stays; nor may EAL unmap it.
            tracing::debug!("{out} packet buffers are out: their pool is not freed");
            std::mem::forget(Arc::clone(&self.eal));
        }
    }
}
