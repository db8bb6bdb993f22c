//! Devices in memory: receive queues that never run dry, transmit queues that are never full.
//!
//! A fixed number of buffers goes round. What is sent, or dropped, is made a fresh frame of the
//! same stream on the spot (its next record of MACs and addresses is written over the last) and
//! waits at the end of the line, so that it is received again thousands of frames later, when its
//! cache lines have left the first-level cache, as those of a frame from a NIC are not in it
//! either. That costs some instructions per frame, which the benchmark also measures by themselves:
//! see [`Device::pass_on`].

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::arena::{Frame, Slot};
use super::traffic::{self, Stream};
use crate::datapath::io::{Io, LearnEvent, OwnBytes, Relayed, Sent};
use crate::datapath::vector::{BURST, Burst};
use crate::ids::{PortId, VtepId};

/// Buffers of received frames: four rings of the usual 1,024 descriptors.
pub const RECEIVE_BUFFERS: usize = 4096;
/// Buffers for copies of flooded frames: more than wait anywhere in a turn.
pub const COPY_BUFFERS: usize = 16 * BURST;
/// Up to here a copy of the bytes is cheaper than sharing them.
const SHARE_ABOVE: usize = 256;
/// The owner of buffers for copies; others are numbers of streams.
const COPY: u32 = u32::MAX;

/// How many buffers a device needs.
pub const BUFFERS: usize = RECEIVE_BUFFERS + COPY_BUFFERS;

/// A worker's queues.
#[derive(Debug)]
pub struct Device<'a> {
    queues: Vec<Queue<'a>>,
    copies: Vec<Frame<'a>>,
    events: Arc<ArrayQueue<LearnEvent>>,
    /// One burst, for [`Device::pass_on`].
    passing: Burst<Frame<'a>>,
}

#[derive(Debug)]
struct Queue<'a> {
    stream: Stream,
    waiting: VecDeque<Frame<'a>>,
    next_port: usize,
    next_block: usize,
    is_shared: bool,
    frame_len: u32,
    next_newcomer: usize,
    /// How many newcomers are to come as soon as possible.
    due: usize,
    newcomers: u64,
}

impl<'a> Device<'a> {
    /// A device with so many [`BUFFERS`] and these streams.
    #[must_use]
    pub fn new(
        slots: &'a mut [Slot],
        streams: Vec<Stream>,
        events: Arc<ArrayQueue<LearnEvent>>,
    ) -> Self {
        let floods = |stream: &Stream| stream.blocks.iter().any(|block| block[0] & 1 != 0);
        let mut slots = slots.iter_mut();
        let each = RECEIVE_BUFFERS / streams.len().max(1);
        let queues = (0..).zip(streams).map(|(number, stream)| {
            let is_shared =
                stream.block_at == 0 && floods(&stream) && stream.base.len() > SHARE_ABOVE;
            #[allow(clippy::cast_possible_truncation, reason = "it fits a buffer")]
            let frame_len = stream.base.len() as u32;
            let mut queue = Queue {
                waiting: VecDeque::with_capacity(each + 1),
                next_port: 0,
                next_block: 0,
                is_shared,
                frame_len,
                next_newcomer: 0,
                due: 0,
                newcomers: 0,
                stream,
            };
            for (flow, slot) in slots.by_ref().take(each).enumerate() {
                traffic::set_flow(&mut queue.stream.base, flow);
                let mut frame = Frame::new(slot, number);
                frame.fill(&queue.stream.base, is_shared);
                queue.put(frame);
            }
            queue
        });
        let queues = queues.collect();
        let copies = slots.map(|slot| Frame::new(slot, COPY)).collect();
        Self { queues, copies, events, passing: Burst::new() }
    }

    /// Has so many frames of the first queue come from newcomers, in the place of known stations.
    pub fn release(&mut self, newcomers: usize) {
        self.queues[0].due += newcomers;
    }

    /// How many frames of newcomers there were.
    #[must_use]
    pub fn newcomers(&self) -> u64 {
        self.queues[0].newcomers
    }

    /// What the device alone costs: a burst is received from each queue and at once sent. Returns
    /// how many frames there were.
    ///
    /// Never inlined: callgrind looks for the name.
    #[inline(never)]
    pub fn pass_on(&mut self) -> usize {
        let mut frames = 0;
        let mut burst = std::mem::take(&mut self.passing);
        for queue in 0..self.queues.len() {
            let port = self.receive(queue, &mut burst);
            frames += burst.len();
            self.transmit(port, &mut burst);
        }
        self.passing = burst;
        frames
    }

    /// Makes a frame what it was before it was received, or a free buffer again.
    #[inline(always)]
    fn give_back(&mut self, mut frame: Frame<'a>) {
        match self.queues.get_mut(frame.owner() as usize) {
            Some(queue) => queue.put(frame),
            None => {
                frame.unshare();
                self.copies.push(frame);
            }
        }
    }
}

impl<'a> Queue<'a> {
    #[inline(always)]
    fn put(&mut self, mut frame: Frame<'a>) {
        frame.reset(self.frame_len);
        // What is shared is so until the last copy was sent.
        if !self.is_shared {
            self.renew(&mut frame);
        }
        self.waiting.push_back(frame);
    }

    /// Makes frames of newcomers out of the first ones of a burst.
    #[inline(never)]
    fn introduce(&mut self, burst: &mut Burst<Frame<'a>>) {
        let Stream { newcomers, block_at, .. } = &self.stream;
        let count = self.due.min(burst.len());
        self.due -= count;
        self.newcomers += count as u64;
        for frame in &mut burst[..count] {
            frame.patch(*block_at, newcomers[self.next_newcomer]);
            self.next_newcomer =
                if self.next_newcomer + 1 == newcomers.len() { 0 } else { self.next_newcomer + 1 };
        }
    }

    /// Writes the next record to a frame.
    #[inline(always)]
    fn renew(&mut self, frame: &mut Frame<'a>) {
        let Stream { blocks, block_at, outers, outer_at, .. } = &self.stream;
        let number = self.next_block;
        self.next_block = if number + 1 == blocks.len() { 0 } else { number + 1 };
        frame.patch(*block_at, blocks[number]);
        if let Some(outer) = outers.get(number) {
            frame.patch(*outer_at, *outer);
        }
    }
}

impl<'a> Io for Device<'a> {
    type Packet = Frame<'a>;

    #[inline]
    fn queues(&self) -> usize {
        self.queues.len()
    }

    #[inline]
    fn receive(&mut self, queue: usize, burst: &mut Burst<Frame<'a>>) -> PortId {
        let queue = &mut self.queues[queue];
        let ports = &queue.stream.ports;
        let port = ports[queue.next_port];
        queue.next_port = if queue.next_port + 1 == ports.len() { 0 } else { queue.next_port + 1 };
        let count = burst.remaining_capacity().min(queue.waiting.len());
        burst.extend(queue.waiting.drain(..count));
        if queue.is_shared {
            for frame in burst {
                queue.renew(frame);
            }
        } else if queue.due > 0 {
            queue.introduce(burst);
        }
        port
    }

    #[inline]
    fn transmit(&mut self, _port: PortId, burst: &mut Burst<Frame<'a>>) -> Sent {
        let count = burst.len();
        for frame in burst.drain(..) {
            self.give_back(frame);
        }
        Sent::Transmitted(count)
    }

    #[inline]
    fn replicate(
        &mut self,
        packet: &Frame<'a>,
        _port: PortId,
        _own: OwnBytes,
    ) -> Option<Frame<'a>> {
        let mut copy = self.copies.pop()?;
        copy.become_copy(packet);
        Some(copy)
    }

    #[inline]
    fn discard(&mut self, burst: &mut Burst<Frame<'a>>) {
        for frame in burst.drain(..) {
            self.give_back(frame);
        }
    }

    fn punt(&mut self, _vtep: VtepId, packet: Frame<'a>) -> Result<(), Frame<'a>> {
        Err(packet)
    }

    #[inline]
    fn next_relayed(&mut self) -> Option<Relayed<Frame<'a>>> {
        None
    }

    /// Nothing to change: every index has its queues.
    fn rewire(&mut self, _wiring: u64) {}

    #[inline]
    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event).is_ok()
    }
}
