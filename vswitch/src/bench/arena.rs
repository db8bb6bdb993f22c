//! Packet buffers in memory, laid out like DPDK's: a cache line that describes the frame, one for
//! headers of a frame whose payload is shared, headroom, and the frame.
//!
//! A [`Frame`] is a pointer, so that moving one costs what moving an mbuf costs, and its bytes are
//! a cache miss away just as an mbuf's are. Made once per worker; nothing is allocated while it
//! runs.

use std::rc::Rc;

use crate::datapath::packet::{Packet, Received};
use crate::datapath::tunnel::OUTER_LEN;
use crate::table::{advise_huge_pages, prefetch};

/// Room before a received frame, as DPDK leaves it.
pub const HEADROOM: usize = 128;
/// The longest received frame, outer headers included.
pub const DATA_ROOM: usize = 2048;
/// Room for headers before a payload that is not the frame's own.
const HEAD_ROOM: usize = 64;

const _: () = assert!(OUTER_LEN <= HEAD_ROOM && OUTER_LEN <= HEADROOM);

/// One buffer.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Slot {
    /// Where the frame starts in the data.
    start: u32,
    /// Length of the frame, without what is in `head`.
    len: u32,
    /// Bytes in use at the end of `head`.
    head_len: u32,
    /// Whose buffer this is: see [`Frame::owner`].
    owner: u32,
    /// The data, if it is not this buffer's own.
    shared: Option<Rc<Data>>,
    head: Head,
    data: Data,
}

#[derive(Debug)]
#[repr(align(64))]
struct Head([u8; HEAD_ROOM]);

/// Headroom and frame.
#[derive(Debug)]
#[repr(align(64))]
pub struct Data([u8; HEADROOM + DATA_ROOM]);

impl Slot {
    fn new() -> Self {
        Self {
            start: 0,
            len: 0,
            head_len: 0,
            owner: 0,
            shared: None,
            head: Head([0; HEAD_ROOM]),
            data: Data([0; HEADROOM + DATA_ROOM]),
        }
    }
}

/// So many buffers, on huge pages where the kernel has them to give, as DPDK's are.
#[must_use]
pub fn slots(count: usize) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(count);
    advise_huge_pages(&mut slots);
    slots.resize_with(count, Slot::new);
    slots
}

/// A frame in a buffer.
#[derive(Debug)]
pub struct Frame<'a>(&'a mut Slot);

impl<'a> Frame<'a> {
    /// A buffer of an owner, without a frame.
    pub(super) fn new(slot: &'a mut Slot, owner: u32) -> Self {
        slot.owner = owner;
        Self(slot)
    }

    /// Whose buffer this is, in the words of the [device](super::device).
    #[inline(always)]
    pub(super) fn owner(&self) -> u32 {
        self.0.owner
    }

    /// Puts a frame in, as a device would: in the buffer itself, or where it can be shared.
    ///
    /// # Panics
    /// If the frame is longer than [`DATA_ROOM`].
    pub(super) fn fill(&mut self, frame: &[u8], to_share: bool) {
        self.0.shared = None;
        let data = if to_share {
            let fresh = Data([0; HEADROOM + DATA_ROOM]);
            Rc::get_mut(self.0.shared.insert(Rc::new(fresh))).map(|data| &mut data.0)
        } else {
            Some(&mut self.0.data.0)
        };
        if let Some(data) = data {
            data[HEADROOM..][..frame.len()].copy_from_slice(frame);
        }
        #[allow(clippy::cast_possible_truncation, reason = "it fits DATA_ROOM")]
        self.reset(frame.len() as u32);
    }

    /// Makes this the frame that [`fill`](Self::fill) put in, whatever was trimmed or grown since.
    /// What was put before it is in the headroom; what was taken off is still there.
    #[inline(always)]
    pub(super) fn reset(&mut self, len: u32) {
        #[allow(clippy::cast_possible_truncation, reason = "128")]
        let start = HEADROOM as u32;
        self.0.start = start;
        self.0.len = len;
        self.0.head_len = 0;
    }

    /// Writes to the frame where the device would have put something else; nothing if the data are
    /// shared at the moment.
    #[inline(always)]
    pub(super) fn patch<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        let data = match &mut self.0.shared {
            None => &mut self.0.data,
            Some(shared) => match Rc::get_mut(shared) {
                Some(data) => data,
                None => return,
            },
        };
        if let Some(place) = data.0[HEADROOM..][at..].first_chunk_mut() {
            *place = bytes;
        }
    }

    /// Makes this a frame with the contents of another, which are shared if they can be.
    #[inline]
    pub(super) fn become_copy(&mut self, of: &Self) {
        self.reset(of.0.len);
        match &of.0.shared {
            Some(data) => {
                self.0.start = of.0.start;
                self.0.shared = Some(Rc::clone(data));
            }
            None => self.0.data.0[HEADROOM..][..of.bytes().len()].copy_from_slice(of.bytes()),
        }
    }

    /// Lets go of shared data.
    #[inline(always)]
    pub(super) fn unshare(&mut self) {
        self.0.shared = None;
    }
}

impl Packet for Frame<'_> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        if self.0.head_len != 0 {
            return &self.0.head.0[HEAD_ROOM - self.0.head_len as usize..];
        }
        let data = self.0.shared.as_deref().unwrap_or(&self.0.data);
        &data.0[self.0.start as usize..][..self.0.len as usize]
    }

    #[inline(always)]
    fn len(&self) -> usize {
        (self.0.len + self.0.head_len) as usize
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "no frame is that long")]
    fn narrow(&mut self, start: usize, len: usize) {
        // What was put before a frame is not taken off again.
        self.0.start += start as u32;
        self.0.len = len as u32;
    }

    #[inline(always)]
    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        #[allow(clippy::cast_possible_truncation, reason = "headers are short")]
        let count_u32 = count as u32;
        if self.0.shared.is_some() {
            let used = self.0.head_len as usize;
            let start = HEAD_ROOM.checked_sub(used + count)?;
            self.0.head_len += count_u32;
            return Some(&mut self.0.head.0[start..][..count]);
        }
        let start = self.0.start.checked_sub(count_u32)?;
        self.0.start = start;
        self.0.len += count_u32;
        Some(&mut self.0.data.0[start as usize..][..count])
    }

    #[inline(always)]
    fn accept(&mut self) -> Received {
        Received { len: self.0.len, is_contiguous: true, has_stripped_vlan: false }
    }

    #[inline(always)]
    fn prefetch(&self) {
        let data = self.0.shared.as_deref().unwrap_or(&self.0.data);
        prefetch(&data.0[HEADROOM]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let mut slots = slots(1);
        let mut frame = Frame::new(&mut slots[0], 7);
        frame.fill(&[1, 2, 3, 4], false);
        frame.narrow(1, 2);
        assert_eq!(frame.bytes(), [2, 3]);
        frame.grow_front(3).unwrap().fill(9);
        assert_eq!((frame.bytes(), frame.len()), (&[9, 9, 9, 2, 3][..], 5));
        frame.reset(4);
        frame.patch(1, [8]);
        assert_eq!(frame.bytes()[1..], [8, 3, 4]);
        assert!(frame.grow_front(HEADROOM + 1).is_none());
    }

    #[test]
    fn copies_share_what_can_be_shared() {
        for to_share in [false, true] {
            let mut slots = slots(2);
            let [first, second] = &mut slots[..] else { unreachable!() };
            let (mut frame, mut copy) = (Frame::new(first, 0), Frame::new(second, 1));
            frame.fill(&[1, 2, 3, 4], to_share);
            copy.become_copy(&frame);
            assert_eq!(copy.bytes(), frame.bytes());
            assert_eq!(copy.0.shared.is_some(), to_share);
            copy.grow_front(2).unwrap().fill(5);
            frame.grow_front(2).unwrap().fill(6);
            assert_eq!((&copy.bytes()[..2], copy.len()), (&[5, 5][..], 6));
            assert_eq!((&frame.bytes()[..2], frame.len()), (&[6, 6][..], 6));
            copy.unshare();
            frame.reset(4);
            frame.patch(0, [7]);
            assert_eq!(frame.bytes(), [7, 2, 3, 4]);
        }
    }

    #[test]
    fn a_buffer_is_laid_out_like_an_mbuf() {
        assert_eq!(size_of::<Slot>(), 128 + HEADROOM + DATA_ROOM);
        assert_eq!(std::mem::offset_of!(Slot, head), 64);
        assert_eq!(std::mem::offset_of!(Slot, data), 128);
    }
}
