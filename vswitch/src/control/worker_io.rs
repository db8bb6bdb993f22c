//! A worker's surroundings from DPDK: its queues, the pool, and the bounded queues to and from the
//! control thread and other workers.
//!
//! Made by the control thread at start-up ([`super::wiring`]), then owned by one worker.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::datapath::io::{Io, LearnEvent, Relayed, RelayedFrom, Sent};
use crate::datapath::packet::Packet as _;
use crate::datapath::vector::Burst;
use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::free_burst;
use crate::dpdk::pool::Pool;
use crate::dpdk::queue::{RxQueue, TxQueue};
use crate::ids::{PortId, VtepId};

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

/// Everything that one worker has.
pub struct WorkerIo {
    /// Receive queues to poll.
    pub inputs: Vec<(PortId, RxQueue)>,
    /// Ways out, by [`PortId`].
    pub outputs: Vec<Output>,
    /// What to send for others.
    pub relays: Vec<Relay>,
    /// To the host interfaces, by [`VtepId`].
    pub punts: Vec<FrameQueue>,
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
        let (port, queue) = &mut self.inputs[queue];
        queue.receive(burst);
        *port
    }

    #[inline]
    fn transmit(&mut self, port: PortId, burst: &mut Burst<Mbuf>) -> Sent {
        match &mut self.outputs[port.index()].way {
            Way::Queue(queue) => Sent::Transmitted(queue.transmit(burst)),
            Way::Handover(queue) => Sent::HandedOver(hand_over(queue, burst)),
        }
    }

    #[inline]
    fn replicate(&mut self, packet: &Mbuf, port: PortId, headers: usize) -> Option<Mbuf> {
        if packet.len() <= COPIED_LEN || !self.outputs[port.index()].multi_segment {
            self.pool.copy(packet)
        } else if headers == 0 {
            self.pool.share(packet)
        } else {
            self.pool.share_behind_headroom(packet)
        }
    }

    #[inline]
    fn discard(&mut self, burst: &mut Burst<Mbuf>) {
        free_burst(burst);
    }

    #[inline]
    fn punt(&mut self, vtep: VtepId, packet: Mbuf) -> Result<(), Mbuf> {
        self.punts[vtep.index()].push(packet)
    }

    #[inline]
    fn next_relayed(&mut self) -> Option<Relayed<Mbuf>> {
        self.relays.iter().find_map(|relay| {
            let packet = relay.queue.pop()?;
            Some(Relayed { port: relay.port, packet, from: relay.from })
        })
    }

    #[inline]
    fn learn(&mut self, event: LearnEvent) -> bool {
        self.events.push(event).is_ok()
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
