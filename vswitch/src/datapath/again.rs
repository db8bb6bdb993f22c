//! Frames that pass the stages again: the second, normally empty vector.
//!
//! A stage puts a frame here that is to enter the stages once more, with where it enters. The frames follow the
//! burst that they come from in the same turn, so none is left between two turns. A frame passes
//! [`MAX_PASSES`] times at most.

use arrayvec::ArrayVec;

use super::generation::Entrance;
use super::packet::Packet;
use super::vector::{BURST, Vector};
use crate::ids::PortId;

/// How often a frame passes the stages at most.
pub const MAX_PASSES: u8 = 4;

/// Frames that wait for another pass, in order.
#[derive(Debug)]
pub struct Again<P> {
    waiting: ArrayVec<Waiting<P>, BURST>,
}

#[derive(Debug)]
struct Waiting<P> {
    packet: P,
    port: PortId,
    entrance: Entrance,
    passes: u8,
}

impl<P: Packet> Again<P> {
    /// No frame.
    #[must_use]
    pub fn new() -> Self {
        Self { waiting: ArrayVec::new() }
    }

    /// Has a frame enter the stages again at an entrance, as one that came by `port`. `passes` is how often
    /// it has passed them before this time: [`Vector::passes`] of its burst.
    ///
    /// # Errors
    /// The frame, for the caller to drop: it passes too often, or as many frames as a burst has wait already.
    pub fn push(
        &mut self,
        packet: P,
        port: PortId,
        entrance: Entrance,
        passes: u8,
    ) -> Result<(), P> {
        let passes = passes + 1;
        if passes >= MAX_PASSES || self.waiting.is_full() {
            return Err(packet);
        }
        self.waiting.push(Waiting { packet, port, entrance, passes });
        Ok(())
    }

    /// Whether no frame waits.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Fills the empty vector with the first frames that enter together.
    #[cold]
    pub(super) fn take(&mut self, vector: &mut Vector<P>) {
        let Some(first) = self.waiting.first() else { return };
        let together = (first.port, first.entrance, first.passes);
        let is_with_it = |w: &&Waiting<P>| (w.port, w.entrance, w.passes) == together;
        let count = self.waiting.iter().take_while(is_with_it).count();
        (vector.port, vector.entrance, vector.passes) = together;
        for (i, Waiting { packet, .. }) in self.waiting.drain(..count).enumerate() {
            vector.lens[i] = u32::try_from(packet.len()).unwrap_or(u32::MAX);
            vector.packets.push(packet);
        }
        vector.begin();
    }
}

impl<P: Packet> Default for Again<P> {
    fn default() -> Self {
        Self::new()
    }
}
