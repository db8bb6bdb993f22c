//! The queues of one frame. They keep what leaves and which events are reported.
//!
//! Nothing here reaches a device, a worker or the control thread's queues. The queues are never
//! full, and buffers never run out: an explanation is about decisions, not about the load.

use std::ops::Range;

use crate::datapath::io::{Io, LearnEvent, OwnBytes, Relayed, Sent};
use crate::datapath::packet::{Packet, Received};
use crate::datapath::vector::Burst;
use crate::ids::{PortId, VtepId};
use crate::sim::{Buffer, Buffers};

/// Room before a received frame, in bytes: DPDK's default (`RTE_PKTMBUF_HEADROOM`).
const HEADROOM: usize = 128;

/// The most copies, and the most drops, that are kept; more are only counted. More come from
/// networks with more members and remote VTEPs.
pub const MAX_KEPT: usize = 1000;

/// A frame that knows which part of it came, and how many bytes were put before that part.
#[derive(Debug)]
pub struct TracedFrame {
    buffer: Buffer,
    /// The range of the received frame that is still in it.
    pub kept: Range<usize>,
    /// How many bytes were put before that part.
    pub put: usize,
}

impl Packet for TracedFrame {
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

/// What the device reports about a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxFlags {
    /// The device removed a VLAN tag.
    pub stripped_vlan: bool,
    /// The frame is spread over several buffers.
    pub scattered: bool,
}

/// Implements the queues; see the header of this file.
#[derive(Debug)]
pub struct TracedIo {
    buffers: Buffers,
    /// The port that receives the frame, if it does not come from the kernel.
    polled: Option<PortId>,
    received: Option<TracedFrame>,
    relayed: Option<Relayed<TracedFrame>>,
    /// The frames that left, with their ports.
    pub transmitted: Vec<(PortId, TracedFrame)>,
    /// The number of further frames that left.
    pub transmitted_more: u64,
    /// The frames for the kernel.
    pub punted: Vec<(VtepId, TracedFrame)>,
    /// The events for the control thread.
    pub events: Vec<LearnEvent>,
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
        }
    }

    fn frame(&self, bytes: &[u8]) -> Option<TracedFrame> {
        let buffer = self.buffers.take(bytes, HEADROOM)?;
        Some(TracedFrame { buffer, kept: 0..bytes.len(), put: 0 })
    }

    /// With a frame in the receive queue of a port.
    #[must_use]
    pub fn receiving(port: PortId, bytes: &[u8], rx_flags: RxFlags) -> Self {
        let mut io = Self::empty();
        io.received = io.frame(bytes).map(|mut frame| {
            if rx_flags.stripped_vlan {
                frame.buffer.set_stripped_vlan();
            }
            if rx_flags.scattered {
                frame.buffer.set_scattered();
            }
            frame
        });
        io.polled = Some(port);
        io
    }

    /// With a frame from the kernel that leaves by an uplink.
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
    type Packet = TracedFrame;

    fn queues(&self) -> usize {
        usize::from(self.polled.is_some())
    }

    fn receive(&mut self, _queue: usize, burst: &mut Burst<TracedFrame>) -> PortId {
        burst.extend(self.received.take());
        self.polled.unwrap_or(PortId(0))
    }

    fn transmit(&mut self, port: PortId, burst: &mut Burst<TracedFrame>) -> Sent {
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

    fn replicate(
        &mut self,
        packet: &TracedFrame,
        _port: PortId,
        _own: OwnBytes,
    ) -> Option<TracedFrame> {
        let buffer = self.buffers.take(packet.bytes(), packet.buffer.headroom())?;
        Some(TracedFrame { buffer, kept: packet.kept.clone(), put: packet.put })
    }

    fn discard(&mut self, burst: &mut Burst<TracedFrame>) {
        burst.clear();
    }

    fn punt(&mut self, vtep: VtepId, packet: TracedFrame) -> Result<(), TracedFrame> {
        self.punted.push((vtep, packet));
        Ok(())
    }

    fn next_relayed(&mut self) -> Option<Relayed<TracedFrame>> {
        self.relayed.take()
    }

    /// There are no queues to change.
    fn rewire(&mut self, _wiring: u64) {}

    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event);
        true
    }
}
