//! Queues in memory for a simulated worker.

use std::collections::VecDeque;

use crate::datapath::io::{Io, LearnEvent, OwnBytes, Relayed, Sent};
use crate::datapath::observer::Observer;
use crate::datapath::packet::Packet;
use crate::datapath::vector::Burst;
use crate::ids::{PortId, VtepId};
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

use super::buffer::{Buffer, Buffers};
use super::options::Options;

/// A frame that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedFrame {
    /// Where it was counted.
    pub site: Site,
    /// Why it was dropped.
    pub reason: DropReason,
    /// The frame, as it was then.
    pub bytes: Vec<u8>,
}

/// The frames that were dropped, in order.
#[derive(Debug, Default)]
pub(super) struct DropLog(pub Vec<DroppedFrame>);

impl Observer for DropLog {
    fn dropped<P: Packet>(&mut self, site: Site, reason: DropReason, packet: &P) {
        self.0.push(DroppedFrame { site, reason, bytes: packet.bytes().to_vec() });
    }
}

/// One receive queue and one transmit queue per port.
#[derive(Debug)]
pub struct MemoryIo {
    received: Vec<(PortId, VecDeque<Buffer>)>,
    relayed: VecDeque<Relayed<Buffer>>,
    transmitted: Vec<Vec<Buffer>>,
    punted: Vec<Vec<Buffer>>,
    events: Vec<LearnEvent>,
    buffers: Buffers,
    options: Options,
}

impl MemoryIo {
    pub(super) fn new(ports: usize, vteps: usize, buffers: &Buffers, options: Options) -> Self {
        Self {
            received: (0..=u16::MAX).take(ports).map(|n| (PortId(n), VecDeque::new())).collect(),
            relayed: VecDeque::new(),
            transmitted: std::iter::repeat_with(Vec::new).take(ports).collect(),
            punted: std::iter::repeat_with(Vec::new).take(vteps).collect(),
            events: Vec::new(),
            buffers: buffers.clone(),
            options,
        }
    }

    pub(super) fn push_received(&mut self, port: PortId, buffer: Buffer) {
        self.received[port.index()].1.push_back(buffer);
    }

    pub(super) fn push_relayed(&mut self, relayed: Relayed<Buffer>) {
        self.relayed.push_back(relayed);
    }

    pub(super) fn has_work(&self) -> bool {
        !self.relayed.is_empty() || self.received.iter().any(|(_, queue)| !queue.is_empty())
    }

    pub(super) fn take_events(&mut self) -> Vec<LearnEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn take_transmitted(&mut self, port: PortId) -> Vec<Vec<u8>> {
        bytes_of(&mut self.transmitted[port.index()])
    }

    pub(super) fn take_punted(&mut self, vtep: VtepId) -> Vec<Vec<u8>> {
        bytes_of(&mut self.punted[vtep.index()])
    }
}

fn bytes_of(buffers: &mut Vec<Buffer>) -> Vec<Vec<u8>> {
    buffers.drain(..).map(|buffer| buffer.bytes().to_vec()).collect()
}

impl Io for MemoryIo {
    type Packet = Buffer;

    fn queues(&self) -> usize {
        self.received.len()
    }

    fn receive(&mut self, queue: usize, burst: &mut Burst<Buffer>) -> PortId {
        let (port, waiting) = &mut self.received[queue];
        let count = waiting.len().min(burst.remaining_capacity());
        burst.extend(waiting.drain(..count));
        *port
    }

    fn transmit(&mut self, port: PortId, burst: &mut Burst<Buffer>) -> Sent {
        let queue = &mut self.transmitted[port.index()];
        let count = burst.len().min(self.options.transmit_queue - queue.len());
        queue.extend(burst.drain(..count));
        if self.options.hand_over { Sent::HandedOver(count) } else { Sent::Transmitted(count) }
    }

    /// A copy: it has all its bytes for itself.
    fn replicate(&mut self, packet: &Buffer, _port: PortId, _own: OwnBytes) -> Option<Buffer> {
        self.buffers.take(packet.bytes(), packet.headroom())
    }

    fn discard(&mut self, burst: &mut Burst<Buffer>) {
        burst.clear();
    }

    fn punt(&mut self, vtep: VtepId, packet: Buffer) -> Result<(), Buffer> {
        let queue = &mut self.punted[vtep.index()];
        if queue.len() >= self.options.punt_queue {
            return Err(packet);
        }
        queue.push(packet);
        Ok(())
    }

    fn next_relayed(&mut self) -> Option<Relayed<Buffer>> {
        self.relayed.pop_front()
    }

    /// Nothing to change: every index has its queues.
    fn rewire(&mut self, _wiring: u64) {}

    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event);
        true
    }
}
