//! The packet buffer that the pipeline is generic over.
//!
//! Two buffers implement [`Packet`]: a DPDK mbuf on a worker, and a heap buffer in the
//! [simulation](crate::sim). The very same stages run on both. A value owns its buffer; dropping it
//! gives the buffer back (for an mbuf: to its mempool).
//!
//! Nothing here writes to a frame that is there already, only in front of it: copies of a flooded
//! frame may share its bytes.

/// One frame, with room before it for headers.
///
/// A received frame is one contiguous buffer. A frame from [`Io::replicate`](super::io::Io::replicate)
/// may be several; it is only measured, grown at the front and sent.
pub trait Packet: Sized {
    /// The frame, from its first byte of Ethernet header, without FCS; of a frame in several
    /// buffers what is in the first.
    fn bytes(&self) -> &[u8];

    /// Length of the whole frame in bytes.
    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether the frame has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the frame to `out`, out of however many buffers, as much as there is room for; says how much.
    fn gather(&self, out: &mut [u8]) -> usize {
        let len = self.bytes().len().min(out.len());
        out[..len].copy_from_slice(&self.bytes()[..len]);
        len
    }

    /// Keeps of the frame the `len` bytes from `start` on. They must be in it; a buffer may panic or
    /// do nothing if they are not, but never reads outside the frame.
    fn narrow(&mut self, start: usize, len: usize);

    /// Puts `count` bytes, whose contents are unspecified, before the front and returns these;
    /// `None`, with nothing changed, where there is no headroom.
    #[must_use]
    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]>;

    /// What the device said of the frame that it received. Asked once per frame; the buffer forgets
    /// it, so that no flag of it can be read as a request to the device that sends the frame.
    fn accept(&mut self) -> Received;

    /// Hints that the first cache line of the frame will be read soon.
    #[inline(always)]
    fn prefetch(&self) {}
}

/// A received frame, beside its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Length in bytes of the whole frame.
    pub len: u32,
    /// Whether the frame is one contiguous buffer. The switch never asks for scattered receive, so
    /// a frame for which this is false is dropped with a reason of its own.
    pub is_contiguous: bool,
    /// Whether the device took a VLAN tag off this frame and keeps it beside the bytes
    /// (`RTE_MBUF_F_RX_VLAN_STRIPPED`; DPDK's `net_af_packet` does so unasked).
    pub has_stripped_vlan: bool,
}
