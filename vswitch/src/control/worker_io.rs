//! A worker's surroundings from DPDK: its queues, the pool, and the bounded queues to and from the
//! control thread and other workers.
//!
//! Made by the control thread at start-up ([`super::wiring`]), then owned by one worker.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::datapath::io::{Io, LearnEvent, Relayed, RelayedFrom, Sent};
use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::free_burst;
use crate::dpdk::pool::Pool;
use crate::dpdk::queue::{RxQueue, TxQueue};
use crate::ids::{PortId, VtepId};

/// Frames on their way between threads.
pub type FrameQueue = Arc<ArrayQueue<Mbuf>>;

/// How a worker sends by a port.
pub enum Output {
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
    fn receive(&mut self, queue: usize, packets: &mut [Option<Mbuf>]) -> (PortId, usize) {
        let (port, queue) = &mut self.inputs[queue];
        (*port, queue.receive(packets))
    }

    #[inline]
    fn transmit(&mut self, port: PortId, packets: &mut [Option<Mbuf>]) -> Sent {
        match &mut self.outputs[port.index()] {
            Output::Queue(queue) => Sent::Transmitted(queue.transmit(packets)),
            Output::Handover(queue) => {
                let mut count = 0;
                for slot in packets {
                    let Some(packet) = slot.take() else { break };
                    if let Err(packet) = queue.push(packet) {
                        *slot = Some(packet);
                        break;
                    }
                    count += 1;
                }
                Sent::HandedOver(count)
            }
        }
    }

    #[inline]
    fn copy(&mut self, packet: &Mbuf) -> Option<Mbuf> {
        self.pool.copy(packet)
    }

    #[inline]
    fn discard(&mut self, packets: &mut [Option<Mbuf>]) {
        free_burst(packets);
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
