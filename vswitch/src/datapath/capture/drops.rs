//! A sample of what is dropped, for every reason and all the time: the worker's end of `vswitch show dropped-frames`.
//!
//! At most [`PER_MILLI`] frames of each reason in a millisecond go to the control thread, so that a storm of
//! drops costs a comparison for each frame, and a reason that is rare is never crowded out by one that is
//! frequent. A full queue keeps nothing more; the counters count every drop all the same.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::datapath::now::Now;
use crate::datapath::packet::Packet;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

/// Of each frame, so many bytes are kept: all headers there can be, and then some.
pub const KEPT_BYTES: usize = 256;
/// The most frames of a reason that are kept in a millisecond.
pub const PER_MILLI: u8 = 4;
/// Frames that wait for the control thread, at most: 64 milliseconds of a storm of one reason. It comes every
/// millisecond.
const QUEUE_LEN: usize = 256;

/// Dropped frames on their way to the control thread.
pub type DropQueue = Arc<ArrayQueue<DroppedFrame>>;

/// A frame that was dropped.
#[derive(Clone, Debug)]
pub struct DroppedFrame {
    /// Where it was counted.
    pub site: Site,
    /// Why.
    pub reason: DropReason,
    /// When the turn of its worker began, in nanoseconds since the start of the switch.
    pub nanos: u64,
    /// The generation of the configuration.
    pub generation: u64,
    /// Length of the whole frame in bytes.
    pub len: usize,
    kept: u16,
    bytes: [u8; KEPT_BYTES],
}

impl DroppedFrame {
    /// The frame's first bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.kept)]
    }
}

/// How many frames of a reason were kept in which millisecond.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    millis: u64,
    count: u8,
}

/// What a thread that drops frames has.
#[derive(Debug)]
pub(super) struct DropSampler {
    queue: DropQueue,
    kept: [Kept; DropReason::COUNT],
}

impl DropSampler {
    pub(super) fn new() -> (Self, DropQueue) {
        let queue = Arc::new(ArrayQueue::new(QUEUE_LEN));
        let kept = [Kept::default(); DropReason::COUNT];
        (Self { queue: Arc::clone(&queue), kept }, queue)
    }

    /// Whether this millisecond has had its frames of the reason: all that a storm asks.
    #[inline(always)]
    pub(super) fn has_enough(&self, reason: DropReason, now: Now) -> bool {
        let kept = &self.kept[reason.index()];
        kept.millis == now.millis && kept.count >= PER_MILLI
    }

    /// Whether one more of this reason is to be kept.
    pub(super) fn take_turn(&mut self, reason: DropReason, now: Now) -> bool {
        let kept = &mut self.kept[reason.index()];
        if kept.millis != now.millis {
            *kept = Kept { millis: now.millis, count: 0 };
        }
        let admitted = kept.count < PER_MILLI;
        kept.count += u8::from(admitted);
        admitted
    }

    #[cold]
    pub(super) fn keep(
        &self,
        site: Site,
        reason: DropReason,
        (nanos, generation): (u64, u64),
        packet: &impl Packet,
    ) {
        let mut bytes = [0; KEPT_BYTES];
        // Of a flooded frame that leaves in several buffers the first has the outer headers alone.
        let (kept, len) = (packet.gather(&mut bytes), packet.len());
        #[allow(clippy::cast_possible_truncation, reason = "at most KEPT_BYTES")]
        let kept = kept as u16;
        let _ = self.queue.push(DroppedFrame { site, reason, nanos, generation, len, kept, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::capture::recorder::Frame;
    use crate::ids::PortId;

    #[test]
    fn a_storm_of_one_reason_does_not_hide_another() {
        let (mut sampler, queue) = DropSampler::new();
        let mut drop = |reason, millis| {
            let now = Now::from_millis(millis);
            if sampler.take_turn(reason, now) {
                sampler.keep(Site::port(PortId(0)), reason, (now.nanos, 7), &Frame(&[1; 300]));
            }
        };
        for _ in 0..1_000_000 {
            drop(DropReason::Runt, 1);
        }
        drop(DropReason::SamePort, 1);
        drop(DropReason::Runt, 2);
        let kept: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        let runts = usize::from(PER_MILLI);
        assert_eq!(kept.len(), runts + 2);
        assert_eq!(kept[runts].reason, DropReason::SamePort);
        let last = &kept[runts + 1];
        assert_eq!((last.nanos, last.generation, last.len), (2_000_000, 7, 300));
        assert_eq!(last.bytes(), [1; KEPT_BYTES]);
    }

    #[test]
    fn a_full_queue_keeps_what_it_has() {
        let (sampler, queue) = DropSampler::new();
        for n in 0..2 * QUEUE_LEN {
            sampler.keep(Site::port(PortId(0)), DropReason::Runt, (n as u64, 0), &Frame(&[]));
        }
        assert_eq!(queue.len(), QUEUE_LEN);
        assert_eq!(queue.pop().map(|frame| frame.nanos), Some(0));
    }
}
