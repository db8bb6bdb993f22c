//! One packet buffer, owned: an `rte_mbuf` that nobody else refers to.
//!
//! Workers hold them, in bursts; the control thread in its queues. An access is a load from the
//! mbuf's header, inlined, without a call into C. Freeing one costs a call: free bursts with
//! [`free_burst`].
//!
//! Every mbuf here has a reference count of one and its own data: the switch never clones.

use std::ptr::{self, NonNull};
use std::slice;

use dpdk_sys::mbuf as field;
use dpdk_sys::rte_mbuf;

use crate::datapath::packet::Packet;

/// Bytes before the frame that a driver leaves free in a received mbuf, for headers to be put in
/// front (`RTE_PKTMBUF_HEADROOM`).
pub const HEADROOM: u16 = dpdk_sys::VSW_MBUF_HEADROOM;

/// A packet buffer with one frame. Dropping it gives it back to its mempool.
///
/// As large as a pointer, and so is `Option<Mbuf>`: a slice of them is what DPDK takes as a burst.
///
/// # Thread safety
///
/// `Send`, as a mempool takes buffers back from any thread. A thread that is not an EAL lcore has
/// no mempool cache, and pays more.
#[repr(transparent)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: an Mbuf is the only reference to its buffer, and mempools may be used by any thread.
unsafe impl Send for Mbuf {}

const _: () = assert!(size_of::<Option<Mbuf>>() == size_of::<*mut rte_mbuf>());

impl Mbuf {
    /// Takes an mbuf over from DPDK.
    ///
    /// # Safety
    ///
    /// `raw` is valid, has a reference count of one, and nobody else uses it.
    pub(super) const unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self(raw)
    }

    /// For DPDK to read. Ownership stays here.
    pub(super) const fn as_ptr(&self) -> *const rte_mbuf {
        self.0.as_ptr()
    }

    /// Puts `frame` in place of the contents, with the usual headroom before it. `false`, with
    /// nothing changed, where it does not fit.
    #[must_use]
    pub fn fill(&mut self, frame: &[u8]) -> bool {
        let raw = self.0.as_ptr();
        // SAFETY: the mbuf is ours.
        let room = unsafe { field::buf_len(raw) };
        let Ok(len) = u16::try_from(frame.len()) else { return false };
        if room.saturating_sub(HEADROOM) < len {
            return false;
        }
        // SAFETY: as above; the new offset is inside the buffer.
        unsafe { field::set_data_off(raw, HEADROOM) };
        self.set_len(len);
        self.bytes_mut().copy_from_slice(frame);
        true
    }

    /// Forgets what the device said about the frame when it was received, so that no flag of it
    /// can be read as a request to the device that sends it.
    #[inline(always)]
    pub(super) fn forget_offloads(&mut self) {
        let raw = self.0.as_ptr();
        // SAFETY: the mbuf is ours.
        let flags = unsafe { field::ol_flags(raw) };
        // SAFETY: as above. The flags that say where the data is stay.
        unsafe { field::set_ol_flags(raw, flags & dpdk_sys::VSW_MBUF_STORAGE_FLAGS) };
    }

    #[inline(always)]
    fn data_off(&self) -> u16 {
        // SAFETY: the mbuf is ours.
        unsafe { field::data_off(self.0.as_ptr()) }
    }

    #[inline(always)]
    fn data_len(&self) -> u16 {
        // SAFETY: the mbuf is ours.
        unsafe { field::data_len(self.0.as_ptr()) }
    }

    /// The first byte of the frame.
    #[inline(always)]
    fn data(&self) -> *mut u8 {
        // SAFETY: the mbuf is ours.
        let buffer = unsafe { field::buf_addr(self.0.as_ptr()) };
        // SAFETY: an mbuf's data offset is inside its buffer (fill, trim_front and grow_front keep
        // it so).
        unsafe { buffer.cast::<u8>().add(usize::from(self.data_off())) }
    }

    /// Sets the length of this segment, and changes the frame's by as much.
    #[inline(always)]
    fn set_len(&mut self, len: u16) {
        let raw = self.0.as_ptr();
        // SAFETY: the mbuf is ours.
        let frame = unsafe { field::pkt_len(raw) };
        let frame = frame.wrapping_sub(u32::from(self.data_len())).wrapping_add(u32::from(len));
        // SAFETY: as above.
        unsafe { field::set_pkt_len(raw, frame) };
        // SAFETY: as above.
        unsafe { field::set_data_len(raw, len) };
    }
}

impl Packet for Mbuf {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        // SAFETY: DPDK initialised data_len bytes from there on, in a buffer that is ours.
        unsafe { slice::from_raw_parts(self.data(), usize::from(self.data_len())) }
    }

    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; the borrow is unique.
        unsafe { slice::from_raw_parts_mut(self.data(), usize::from(self.data_len())) }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        usize::from(self.data_len())
    }

    /// Does nothing if `count` exceeds the length.
    #[inline(always)]
    fn trim_front(&mut self, count: usize) {
        let Ok(count) = u16::try_from(count) else { return };
        let Some(len) = self.data_len().checked_sub(count) else { return };
        let offset = self.data_off() + count;
        // SAFETY: the mbuf is ours; `count` bytes of data were after the old offset.
        unsafe { field::set_data_off(self.0.as_ptr(), offset) };
        self.set_len(len);
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) {
        if let Ok(len) = u16::try_from(len)
            && len < self.data_len()
        {
            self.set_len(len);
        }
    }

    #[inline(always)]
    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        let count = u16::try_from(count).ok()?;
        let offset = self.data_off().checked_sub(count)?;
        let len = self.data_len().checked_add(count)?;
        // SAFETY: the mbuf is ours; the bytes from the buffer's start to the data are headroom.
        unsafe { field::set_data_off(self.0.as_ptr(), offset) };
        self.set_len(len);
        Some(self.bytes_mut())
    }

    #[inline(always)]
    fn is_contiguous(&self) -> bool {
        // SAFETY: the mbuf is ours.
        unsafe { field::nb_segs(self.0.as_ptr()) == 1 }
    }

    #[inline(always)]
    fn has_stripped_vlan(&self) -> bool {
        // SAFETY: the mbuf is ours.
        let flags = unsafe { field::ol_flags(self.0.as_ptr()) };
        flags & dpdk_sys::VSW_MBUF_RX_VLAN_STRIPPED != 0
    }

    /// Reads the mbuf's own header, which says where the frame is.
    #[inline(always)]
    fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch has no effect on memory, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.data().cast::<i8>());
        }
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the mbuf is ours, and nobody uses it after this.
        unsafe { dpdk_sys::vsw_mbuf_free(self.0.as_ptr()) }
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbuf").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A burst as DPDK takes it.
#[inline(always)]
pub(super) const fn as_raw(burst: &mut [Option<Mbuf>]) -> *mut *mut rte_mbuf {
    // Mbuf is a transparent NonNull, so None is the null pointer and Some(m) is m's pointer.
    burst.as_mut_ptr().cast()
}

/// Frees every frame of a burst, with one call into DPDK, and leaves `None`s. Cheapest when all
/// come from one pool.
#[inline]
pub fn free_burst(burst: &mut [Option<Mbuf>]) {
    let raw = as_raw(burst);
    // A burst is far below 2^32; if one were not, the rest of it would stay owned.
    let count = u32::try_from(burst.len()).unwrap_or(u32::MAX);
    // SAFETY: `count` pointers, each null (which is skipped) or an mbuf that is ours.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(raw, count) };
    // SAFETY: the mbufs are DPDK's now: overwrite them without dropping. All zero is None.
    unsafe { ptr::write_bytes(raw, 0, count as usize) };
}
