//! One packet buffer, owned: an `rte_mbuf` that nobody else refers to, though what it points to may
//! be shared.
//!
//! Workers hold them, in bursts; the control thread in its queues. An access is a load from the
//! mbuf's header, inlined, without a call into C. Freeing one costs a call: free bursts with
//! [`free_burst`].
//!
//! Replicas of a flooded frame ([`Pool::share`](super::pool::Pool::share)) refer to the buffer of the
//! frame, which stays alive for as long as one of them does (DPDK Programmer's Guide, "Direct and
//! Indirect Buffers"). Nothing here writes to the bytes of a frame that may have replicas: headers
//! are put in front of it, where no replica looks.

use std::ptr::NonNull;
use std::slice;

use arrayvec::ArrayVec;
use dpdk_sys::mbuf as field;
use dpdk_sys::rte_mbuf;

use crate::datapath::packet::{Packet, Received};

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
    /// `raw` is valid, has a reference count of one, and nobody else uses it. If it is an indirect
    /// buffer, nobody writes to what it refers to.
    pub(super) const unsafe fn from_raw(raw: NonNull<rte_mbuf>) -> Self {
        Self(raw)
    }

    /// For DPDK to read. Ownership stays here.
    pub(super) const fn as_ptr(&self) -> *const rte_mbuf {
        self.0.as_ptr()
    }

    /// Puts `frame` in place of the contents, with the usual headroom before it. `false`, with
    /// nothing changed, where it does not fit. For a buffer that is fresh from its pool.
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
        // SAFETY: `len` bytes from there on are in the buffer, which is ours alone.
        let bytes = unsafe { slice::from_raw_parts_mut(self.data(), usize::from(len)) };
        bytes.copy_from_slice(frame);
        true
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
        // SAFETY: an mbuf's data offset is inside its buffer: the driver sets it so, and `fill`,
        // `narrow` and `grow_front` keep it so.
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
    fn len(&self) -> usize {
        // SAFETY: the mbuf is ours.
        unsafe { field::pkt_len(self.0.as_ptr()) as usize }
    }

    fn gather(&self, out: &mut [u8]) -> usize {
        let len = self.len().min(out.len());
        // A frame is far below 4 GiB.
        let count = u32::try_from(len).unwrap_or(0);
        // SAFETY: the mbuf is ours, its frame is at least `count` bytes long, and so is `out`.
        unsafe { dpdk_sys::vsw_mbuf_read(self.as_ptr(), count, out.as_mut_ptr().cast()) };
        count as usize
    }

    /// Does nothing if that is not within the frame.
    #[inline(always)]
    fn narrow(&mut self, start: usize, len: usize) {
        let (raw, data_len) = (self.0.as_ptr(), usize::from(self.data_len()));
        if start > data_len || len > data_len - start {
            return;
        }
        #[allow(clippy::cast_possible_truncation, reason = "both are below a 16-bit length")]
        let (start, len) = (start as u16, len as u16);
        // SAFETY: the mbuf is ours; `start` bytes of data were after the old offset.
        unsafe { field::set_data_off(raw, self.data_off() + start) };
        self.set_len(len);
    }

    #[inline(always)]
    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        // SAFETY: the mbuf is ours.
        let flags = unsafe { field::ol_flags(self.0.as_ptr()) };
        // The room before bytes that belong to another buffer belongs to it too.
        if flags & dpdk_sys::VSW_MBUF_INDIRECT != 0 {
            return None;
        }
        let added = u16::try_from(count).ok()?;
        let offset = self.data_off().checked_sub(added)?;
        let len = self.data_len().checked_add(added)?;
        // SAFETY: the mbuf is ours; the bytes from the buffer's start to the data are headroom.
        unsafe { field::set_data_off(self.0.as_ptr(), offset) };
        self.set_len(len);
        // SAFETY: `count` bytes from there on were headroom, of a buffer that is this mbuf's own.
        // Replicas that share it look at what was the frame before, and begin behind the headroom.
        Some(unsafe { slice::from_raw_parts_mut(self.data(), count) })
    }

    #[inline(always)]
    fn accept(&mut self) -> Received {
        let raw = self.0.as_ptr();
        // SAFETY: the mbuf is ours.
        let flags = unsafe { field::ol_flags(raw) };
        // SAFETY: as above. The flags that say where the data is stay.
        unsafe { field::set_ol_flags(raw, flags & dpdk_sys::VSW_MBUF_STORAGE_FLAGS) };
        Received {
            // SAFETY: as above.
            len: unsafe { field::pkt_len(raw) },
            // SAFETY: as above.
            is_contiguous: unsafe { field::nb_segs(raw) } == 1,
            has_stripped_vlan: flags & dpdk_sys::VSW_MBUF_RX_VLAN_STRIPPED != 0,
        }
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
pub(super) const fn as_raw(burst: *mut Mbuf) -> *mut *mut rte_mbuf {
    // Mbuf is a transparent NonNull.
    burst.cast()
}

/// Frees every frame of a burst, with one call into DPDK, and leaves it empty. Cheapest when all
/// come from one pool.
#[inline]
pub fn free_burst<const N: usize>(burst: &mut ArrayVec<Mbuf, N>) {
    // A burst is far below 2^32; if one were not, the rest of it would be lost.
    let count = u32::try_from(burst.len()).unwrap_or(u32::MAX);
    // SAFETY: the elements are DPDK's from here on, and are not dropped here; zero is within any
    // capacity.
    unsafe { burst.set_len(0) };
    // SAFETY: `count` pointers to mbufs that were ours.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(as_raw(burst.as_mut_ptr()), count) };
}
