//! A frame on the heap, counted like an mbuf of a mempool.

use std::cell::Cell;
use std::rc::Rc;

use crate::datapath::packet::{Packet, Received};

/// Where buffers come from: at most so many at a time.
#[derive(Clone, Debug)]
pub struct Buffers {
    in_use: Rc<Cell<usize>>,
    capacity: usize,
}

impl Buffers {
    /// So many buffers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { in_use: Rc::default(), capacity }
    }

    /// How many are in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// A buffer that holds `frame` behind `headroom` bytes, or `None` where all are in use.
    #[must_use]
    pub fn take(&self, frame: &[u8], headroom: usize) -> Option<Buffer> {
        if self.in_use.get() >= self.capacity {
            return None;
        }
        self.in_use.set(self.in_use.get() + 1);
        let mut bytes = vec![0xa5; headroom];
        bytes.extend_from_slice(frame);
        Some(Buffer {
            bytes,
            start: headroom,
            in_use: Rc::clone(&self.in_use),
            vlan_stripped: false,
            scattered: false,
        })
    }
}

/// A frame on the heap. Gives itself back when dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    in_use: Rc<Cell<usize>>,
    vlan_stripped: bool,
    scattered: bool,
}

impl Buffer {
    /// Room before the frame, in bytes.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Makes this a frame whose VLAN tag the device took off.
    pub fn set_stripped_vlan(&mut self) {
        self.vlan_stripped = true;
    }

    /// Makes this a frame that the device spread over several buffers.
    pub fn set_scattered(&mut self) {
        self.scattered = true;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.in_use.set(self.in_use.get() - 1);
    }
}

impl Packet for Buffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn narrow(&mut self, start: usize, len: usize) {
        assert!(start + len <= self.len(), "{len} bytes from {start} of {}", self.len());
        self.start += start;
        self.bytes.truncate(self.start + len);
    }

    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(count)?;
        Some(&mut self.bytes[self.start..][..count])
    }

    fn accept(&mut self) -> Received {
        Received {
            len: u32::try_from(self.len()).unwrap_or(u32::MAX),
            is_contiguous: !self.scattered,
            has_stripped_vlan: self.vlan_stripped,
        }
    }
}
