//! A worker's surroundings from DPDK: its queues, the pool, and the bounded queues to and from the
//! control thread and other workers.
//!
//! Made by the control thread ([`super::wiring`]), then owned by one worker, who takes up changes
//! of it by post.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::datapath::io::{Io, LearnEvent, OwnBytes, Relayed, RelayedFrom, Sent};
use crate::datapath::packet::Packet as _;
use crate::datapath::vector::Burst;
use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::free_burst;
use crate::dpdk::pool::Pool;
use crate::dpdk::queue::{RxQueue, TxQueue};
use crate::ids::{PortId, VtepId};
use crate::metrics::queue::QueueCounter;

/// Frames on their way between threads.
pub type FrameQueue = Arc<ArrayQueue<Mbuf>>;

/// Frames up to this length are copied when they are flooded: four cache lines take less time than
/// the buffers and reference counts of sharing. In bytes.
const COPIED_LEN: usize = 256;

/// How a worker sends by a port.
pub struct Output {
    /// The way.
    pub way: Way,
    /// Whether the port sends frames that lie in several buffers.
    pub multi_segment: bool,
}

/// By which queue a worker sends.
pub enum Way {
    /// By a transmit queue of its own.
    Queue(TxQueue),
    /// Through the worker that owns the transmit queue.
    Handover(FrameQueue),
}

/// Frames that others want sent by a transmit queue of this worker.
pub struct Relay {
    /// Where they wait.
    pub queue: FrameQueue,
    /// The port that they leave by.
    pub port: PortId,
    /// Who sends them.
    pub from: RelayedFrom,
}

/// A receive queue.
pub struct Input {
    /// Its port.
    pub port: PortId,
    /// The queue.
    pub queue: RxQueue,
    /// What it gave.
    pub received: QueueCounter,
}

/// What one worker is to have from one generation on. The control thread makes it, with all the
/// memory that it takes, so that the worker allocates and frees nothing.
pub struct Rewiring {
    /// The number of the wiring.
    pub number: u64,
    /// Receive queues that are new, with room for all that the worker is to have.
    pub inputs: Vec<Input>,
    /// Ways out that are new, by [`PortId`], with a place for every port.
    pub outputs: Vec<Option<Output>>,
    /// Ports that are no more: their queues come back.
    pub removed: Vec<PortId>,
    /// All there are now.
    pub relays: Vec<Relay>,
    /// All there are now, by [`VtepId`].
    pub punts: Vec<Option<FrameQueue>>,
}

/// What a worker does not need any more, to be freed by the control thread: never read, only
/// dropped.
pub struct Unwired {
    _inputs: Vec<Input>,
    _outputs: Vec<Option<Output>>,
    _removed: Vec<PortId>,
    _relays: Vec<Relay>,
    _punts: Vec<Option<FrameQueue>>,
}

/// Rewirings on their way to a worker, or what they left on the way back.
pub type Post<T> = Arc<ArrayQueue<T>>;

/// Everything that one worker has.
pub struct WorkerIo {
    /// Receive queues to poll.
    pub inputs: Vec<Input>,
    /// Ways out, by [`PortId`].
    pub outputs: Vec<Option<Output>>,
    /// What to send for others.
    pub relays: Vec<Relay>,
    /// To the host interfaces, by [`VtepId`].
    pub punts: Vec<Option<FrameQueue>>,
    /// What to change, and when.
    pub rewirings: Post<Rewiring>,
    /// What was left of it.
    pub unwired: Post<Unwired>,
    /// To the learner.
    pub events: Arc<ArrayQueue<LearnEvent>>,
    /// Buffers for copies.
    pub pool: Pool,
}

impl Io for WorkerIo {
    type Packet = Mbuf;

    #[inline]
    fn queues(&self) -> usize {
        self.inputs.len()
    }

    #[inline]
    fn receive(&mut self, queue: usize, burst: &mut Burst<Mbuf>) -> PortId {
        let Input { port, queue, received } = &mut self.inputs[queue];
        queue.receive(burst);
        received.received(burst.len());
        *port
    }

    #[inline]
    fn transmit(&mut self, port: PortId, burst: &mut Burst<Mbuf>) -> Sent {
        match self.outputs[port.index()].as_mut().map(|output| &mut output.way) {
            Some(Way::Queue(queue)) => Sent::Transmitted(queue.transmit(burst)),
            Some(Way::Handover(queue)) => Sent::HandedOver(hand_over(queue, burst)),
            None => Sent::Transmitted(0),
        }
    }

    #[inline]
    fn replicate(&mut self, packet: &Mbuf, port: PortId, own: OwnBytes) -> Option<Mbuf> {
        let output = self.outputs[port.index()].as_ref();
        if packet.len() <= COPIED_LEN || !output.is_some_and(|output| output.multi_segment) {
            self.pool.copy(packet)
        } else if own == OwnBytes::default() {
            self.pool.share(packet)
        } else {
            self.pool.share_behind(packet, own.leading)
        }
    }

    #[inline]
    fn discard(&mut self, burst: &mut Burst<Mbuf>) {
        free_burst(burst);
    }

    #[inline]
    fn punt(&mut self, vtep: VtepId, packet: Mbuf) -> Result<(), Mbuf> {
        match &self.punts[vtep.index()] {
            Some(queue) => queue.push(packet),
            None => Err(packet),
        }
    }

    #[inline]
    fn next_relayed(&mut self) -> Option<Relayed<Mbuf>> {
        self.relays.iter().find_map(|relay| {
            let packet = relay.queue.pop()?;
            Some(Relayed { port: relay.port, packet, from: relay.from })
        })
    }

    #[cold]
    fn rewire(&mut self, wiring: u64) {
        // All up to that number: a worker that was late may have missed one.
        while let Some(rewiring) = self.rewirings.pop() {
            let number = rewiring.number;
            self.take_up(rewiring);
            if number == wiring {
                return;
            }
        }
    }

    #[inline]
    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event).is_ok()
    }
}

impl WorkerIo {
    fn take_up(&mut self, new: Rewiring) {
        let Rewiring { inputs, outputs, removed, relays, punts, .. } = new;
        let mut old_inputs = std::mem::replace(&mut self.inputs, inputs);
        let mut old_outputs = std::mem::replace(&mut self.outputs, outputs);
        let old_relays = std::mem::replace(&mut self.relays, relays);
        let old_punts = std::mem::replace(&mut self.punts, punts);
        let mut at = 0;
        while at < old_inputs.len() {
            if removed.contains(&old_inputs[at].port) {
                at += 1;
            } else {
                // There is room: the control thread has counted.
                self.inputs.push(old_inputs.swap_remove(at));
            }
        }
        let places = (0..).map(PortId).zip(old_outputs.iter_mut().zip(&mut self.outputs));
        for (port, (old, new)) in places {
            if new.is_none() && !removed.contains(&port) {
                *new = old.take();
            }
        }
        let unwired = Unwired {
            _inputs: old_inputs,
            _outputs: old_outputs,
            _removed: removed,
            _relays: old_relays,
            _punts: old_punts,
        };
        // Never full: there are as many places as rewirings can be on their way.
        let _ = self.unwired.push(unwired);
    }
}

/// Moves frames from the front of a burst to a queue until it is full; says how many.
fn hand_over(queue: &FrameQueue, burst: &mut Burst<Mbuf>) -> usize {
    let mut refused = None;
    let mut count = 0;
    let mut packets = burst.drain(..);
    for packet in packets.by_ref() {
        if let Err(packet) = queue.push(packet) {
            refused = Some(packet);
            break;
        }
        count += 1;
    }
    let left: Burst<Mbuf> = refused.into_iter().chain(packets).collect();
    *burst = left;
    count
}
