//! The packet buffer that the pipeline is generic over.
//!
//! Two buffers implement [`Packet`]: a DPDK mbuf on a worker, and a heap buffer in the
//! [simulation](crate::sim). The very same stages run on both. A value owns its buffer; dropping it
//! gives the buffer back (for an mbuf: to its mempool).

/// One frame in one contiguous buffer, with room before it for headers.
pub trait Packet: Sized {
    /// The frame, from its first byte of Ethernet header, without FCS.
    fn bytes(&self) -> &[u8];

    /// The frame, to be rewritten in place.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Length of the frame in bytes.
    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes `count` bytes from the front. `count` must not exceed the length; a buffer may panic
    /// or do nothing if it does, but never reads outside the frame.
    fn trim_front(&mut self, count: usize);

    /// Cuts the frame to `len` bytes. Does nothing if it is shorter already.
    fn truncate(&mut self, len: usize);

    /// Puts `count` bytes, whose contents are unspecified, before the front and returns the whole
    /// frame; `None`, with nothing changed, where there is no headroom.
    #[must_use]
    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]>;

    /// Whether the frame is one contiguous buffer. The switch never asks for scattered receive, so
    /// a frame for which this is false is dropped with a reason of its own.
    fn is_contiguous(&self) -> bool {
        true
    }

    /// Whether the device took a VLAN tag off this frame and keeps it beside the bytes
    /// (`RTE_MBUF_F_RX_VLAN_STRIPPED`; DPDK's `net_af_packet` does so unasked).
    fn has_stripped_vlan(&self) -> bool {
        false
    }

    /// Hints that the first cache line of the frame will be read soon.
    #[inline(always)]
    fn prefetch(&self) {}
}
