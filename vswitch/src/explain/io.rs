//! Queues for one frame: whatever leaves, is dropped or would be told is kept for the explanation.
//!
//! Nothing here reaches a device, a worker or the control thread's queues. All queues take everything,
//! and buffers never run out: an explanation is about decisions, not about the moment.

use std::ops::Range;

use crate::datapath::io::{Dropped, Io, LearnEvent, Relayed, Sent};
use crate::datapath::packet::{Packet, Received};
use crate::datapath::vector::Burst;
use crate::ids::{PortId, VtepId};
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::sim::{Buffer, Buffers};

/// Room before a received frame, in bytes: DPDK's default (`RTE_PKTMBUF_HEADROOM`).
const HEADROOM: usize = 128;

/// How many copies, and how many drops, are kept. Of more, which takes a network with more remote
/// VTEPs, only the number is.
pub const MAX_KEPT: usize = 1000;

/// A frame that knows what of it came, and what was put before that.
#[derive(Debug)]
pub struct Traced {
    buffer: Buffer,
    /// The part of the frame that came that is still in it.
    pub kept: Range<usize>,
    /// How many bytes were put before that part.
    pub put: usize,
}

impl Packet for Traced {
    fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    fn narrow(&mut self, start: usize, len: usize) {
        self.buffer.narrow(start, len);
        self.kept.start += start.saturating_sub(self.put);
        self.put = self.put.saturating_sub(start).min(len);
        self.kept.end = self.kept.start + (len - self.put);
    }

    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        let front = self.buffer.grow_front(count)?;
        self.put += count;
        Some(front)
    }

    fn accept(&mut self) -> Received {
        self.buffer.accept()
    }
}

/// A frame that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedDrop {
    /// Where it would be counted.
    pub site: Site,
    /// Why.
    pub reason: DropReason,
    /// The frame as it was then.
    pub bytes: Vec<u8>,
}

/// What is said of a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The device took a VLAN tag off it.
    pub stripped_vlan: bool,
    /// The device spread it over several buffers.
    pub scattered: bool,
}

/// See the head of the file.
#[derive(Debug)]
pub struct TracedIo {
    buffers: Buffers,
    /// The port that receives the frame, if one does.
    polled: Option<PortId>,
    received: Option<Traced>,
    relayed: Option<Relayed<Traced>>,
    /// What left, by which port.
    pub transmitted: Vec<(PortId, Traced)>,
    /// How many more did.
    pub transmitted_more: u64,
    /// What the kernel got.
    pub punted: Vec<(VtepId, Traced)>,
    /// What the control thread would be told.
    pub events: Vec<LearnEvent>,
    /// What was dropped.
    pub dropped: Vec<TracedDrop>,
    /// How many more were.
    pub dropped_more: u64,
}

impl TracedIo {
    fn empty() -> Self {
        Self {
            buffers: Buffers::new(usize::MAX),
            polled: None,
            received: None,
            relayed: None,
            transmitted: Vec::new(),
            transmitted_more: 0,
            punted: Vec::new(),
            events: Vec::new(),
            dropped: Vec::new(),
            dropped_more: 0,
        }
    }

    fn frame(&self, bytes: &[u8]) -> Option<Traced> {
        let buffer = self.buffers.take(bytes, HEADROOM)?;
        Some(Traced { buffer, kept: 0..bytes.len(), put: 0 })
    }

    /// A frame in the receive queue of a port.
    #[must_use]
    pub fn receiving(port: PortId, bytes: &[u8], marks: Marks) -> Self {
        let mut io = Self::empty();
        io.received = io.frame(bytes).map(|mut frame| {
            if marks.stripped_vlan {
                frame.buffer.set_stripped_vlan();
            }
            if marks.scattered {
                frame.buffer.set_scattered();
            }
            frame
        });
        io.polled = Some(port);
        io
    }

    /// A frame from the kernel that leaves by an uplink.
    #[must_use]
    pub fn relaying(uplink: PortId, bytes: &[u8]) -> Self {
        use crate::datapath::io::RelayedFrom;
        let mut io = Self::empty();
        let frame = io.frame(bytes);
        io.relayed = frame.map(|packet| Relayed { port: uplink, packet, from: RelayedFrom::Host });
        io
    }
}

impl Io for TracedIo {
    type Packet = Traced;

    fn queues(&self) -> usize {
        usize::from(self.polled.is_some())
    }

    fn receive(&mut self, _queue: usize, burst: &mut Burst<Traced>) -> PortId {
        burst.extend(self.received.take());
        self.polled.unwrap_or(PortId(0))
    }

    fn transmit(&mut self, port: PortId, burst: &mut Burst<Traced>) -> Sent {
        let sent = burst.len();
        for packet in burst.drain(..) {
            if self.transmitted.len() < MAX_KEPT {
                self.transmitted.push((port, packet));
            } else {
                self.transmitted_more += 1;
            }
        }
        Sent::Transmitted(sent)
    }

    fn replicate(&mut self, packet: &Traced, _port: PortId, _headers: usize) -> Option<Traced> {
        let buffer = self.buffers.take(packet.bytes(), packet.buffer.headroom())?;
        Some(Traced { buffer, kept: packet.kept.clone(), put: packet.put })
    }

    fn discard(&mut self, burst: &mut Burst<Traced>) {
        burst.clear();
    }

    fn punt(&mut self, vtep: VtepId, packet: Traced) -> Result<(), Traced> {
        self.punted.push((vtep, packet));
        Ok(())
    }

    fn next_relayed(&mut self) -> Option<Relayed<Traced>> {
        self.relayed.take()
    }

    /// There are no queues to change.
    fn rewire(&mut self, _wiring: u64) {}

    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event);
        true
    }

    fn dropped(&mut self, dropped: Dropped<'_>) {
        let Dropped { site, reason, bytes, .. } = dropped;
        if self.dropped.len() < MAX_KEPT {
            self.dropped.push(TracedDrop { site, reason, bytes: bytes.to_vec() });
        } else {
            self.dropped_more += 1;
        }
    }
}
