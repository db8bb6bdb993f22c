//! Which worker polls which receive queue and sends by which transmit queue. Queues are assigned at
//! the start and whenever ports or VTEPs are added or removed.
//!
//! Each receive queue goes to the worker that polls the fewest. A worker has a transmit queue of its
//! own on every port with enough of them. On other ports it hands frames through a bounded queue to a
//! worker that has one.
//!
//! The control thread owns the wiring. A change is posted to each worker, which takes it up together
//! with the generation that it belongs to: see [`Io::rewire`](crate::datapath::io::Io::rewire).

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use hashbrown::HashMap;

use super::learner::EVENT_QUEUE_LEN;
use super::memory::FRAME_QUEUE_LEN;
use super::worker_io::{FrameQueue, Input, Output, Post, Relay, Rewiring, Unwired, Way, WorkerIo};
use crate::datapath::io::{LearnEvent, RelayedFrom};
use crate::dpdk::pool::Pool;
use crate::dpdk::port::Queues;
use crate::ids::{PortId, VtepId};
use crate::metrics::{self, queue::QueueView};
use crate::topology::Topology;

/// Changes on their way to a worker at one time, at most.
const POST_LEN: usize = 4;

/// The control thread's ends of everything between it and the workers.
pub struct Wiring {
    /// One per worker.
    pub workers: Vec<Seat>,
    /// Between a VTEP's host interface and the workers.
    pub punts: HashMap<VtepId, PuntQueues>,
    /// Frames from worker to worker, by the port that they leave by; with the worker that sends
    /// them.
    handovers: HashMap<PortId, Vec<(usize, FrameQueue)>>,
    number: u64,
    /// Workers have not all said that they have taken up the last post.
    is_posted: bool,
}

/// One worker's.
pub struct Seat {
    /// What it heard.
    pub events: Arc<ArrayQueue<LearnEvent>>,
    /// The receive queues that it polls.
    pub polled: Vec<Polled>,
    rewirings: Post<Rewiring>,
    unwired: Post<Unwired>,
}

/// A receive queue that a worker polls.
pub struct Polled {
    /// The port.
    pub port: PortId,
    /// The queue's number on it.
    pub queue: u16,
    /// What it gave.
    pub received: QueueView,
}

/// The queues between a host interface and the workers.
#[derive(Clone)]
pub struct PuntQueues {
    /// Frames for the host.
    pub punts: FrameQueue,
    /// Frames from the host.
    pub injections: FrameQueue,
    /// The uplink.
    pub port: PortId,
}

fn frame_queue() -> FrameQueue {
    Arc::new(ArrayQueue::new(FRAME_QUEUE_LEN))
}

impl Wiring {
    /// So many workers, with no queues yet.
    #[must_use]
    pub fn new(workers: usize, pool: &Pool) -> (Self, Vec<WorkerIo>) {
        let seat = || Seat {
            events: Arc::new(ArrayQueue::new(EVENT_QUEUE_LEN)),
            polled: Vec::new(),
            rewirings: Arc::new(ArrayQueue::new(POST_LEN)),
            unwired: Arc::new(ArrayQueue::new(POST_LEN)),
        };
        let workers: Vec<_> = std::iter::repeat_with(seat).take(workers).collect();
        let io = |seat: &Seat| WorkerIo {
            inputs: Vec::new(),
            outputs: Vec::new(),
            relays: Vec::new(),
            punts: Vec::new(),
            rewirings: Arc::clone(&seat.rewirings),
            unwired: Arc::clone(&seat.unwired),
            events: Arc::clone(&seat.events),
            pool: pool.clone(),
        };
        let ios = workers.iter().map(io).collect();
        let (punts, handovers) = (HashMap::new(), HashMap::new());
        (Self { workers, punts, handovers, number: 0, is_posted: false }, ios)
    }

    /// The number of the wiring that was posted last.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Posts what workers need for a topology beyond what they have: the queues of ports that are
    /// new. Those that are `removed` come back when the workers have taken up a generation with the
    /// wiring's number.
    pub fn post(&mut self, topology: &Topology, new: Vec<(PortId, Queues)>, removed: &[PortId]) {
        self.number += 1;
        self.is_posted = true;
        for seat in &mut self.workers {
            seat.polled.retain(|polled| !removed.contains(&polled.port));
        }
        for (id, vtep) in topology.vteps() {
            self.punts.entry(id).or_insert_with(|| PuntQueues {
                punts: frame_queue(),
                injections: frame_queue(),
                port: topology.uplink_of(vtep),
            });
        }
        let mut parts: Vec<_> = self.workers.iter().map(|_| Part::new(topology)).collect();
        for (id, queues) in new {
            for queue in queues.rx {
                let worker = self.least_busy();
                let (counter, received) = metrics::queue::new();
                let polled = Polled { port: id, queue: queue.number(), received };
                self.workers[worker].polled.push(polled);
                parts[worker].inputs.push(Input { port: id, queue, received: counter });
            }
            self.connect_outputs(&mut parts, id, queues.tx, queues.multi_segment);
        }
        let relays = self.relays(topology, removed);
        let punts = || {
            let slots = (0..).map(VtepId).take(topology.vtep_slots());
            let queue =
                |id| topology.vtep(id).and_then(|_| Some(self.punts.get(&id)?.punts.clone()));
            slots.map(queue).collect()
        };
        for ((number, part), relays) in parts.into_iter().enumerate().zip(relays) {
            let seat = &self.workers[number];
            let mut inputs = Vec::with_capacity(seat.polled.len());
            inputs.extend(part.inputs);
            let rewiring = Rewiring {
                number: self.number,
                inputs,
                outputs: part.outputs,
                removed: removed.to_vec(),
                relays,
                punts: punts(),
            };
            // Never full: a change is posted when the one before it has been taken up.
            let _ = seat.rewirings.push(rewiring);
        }
    }

    fn least_busy(&self) -> usize {
        let polled = |(_, seat): &(usize, &Seat)| seat.polled.len();
        self.workers.iter().enumerate().min_by_key(polled).map_or(0, |(worker, _)| worker)
    }

    fn connect_outputs(
        &mut self,
        parts: &mut [Part],
        port: PortId,
        queues: Vec<crate::dpdk::queue::TxQueue>,
        multi_segment: bool,
    ) {
        let owners = queues.len().max(1);
        let mut queues = queues.into_iter();
        let mut handovers: Vec<(usize, FrameQueue)> = Vec::new();
        for (worker, part) in parts.iter_mut().enumerate() {
            let way = match queues.next() {
                Some(queue) => Way::Queue(queue),
                None => {
                    let owner = worker % owners;
                    let known = handovers.iter().find(|(other, _)| *other == owner);
                    let queue = known.map_or_else(frame_queue, |(_, queue)| Arc::clone(queue));
                    if known.is_none() {
                        handovers.push((owner, Arc::clone(&queue)));
                    }
                    Way::Handover(queue)
                }
            };
            part.outputs[port.index()] = Some(Output { way, multi_segment });
        }
        self.handovers.insert(port, handovers);
    }

    /// What each worker sends for others.
    fn relays(&self, topology: &Topology, removed: &[PortId]) -> Vec<Vec<Relay>> {
        let mut relays: Vec<_> = self.workers.iter().map(|_| Vec::new()).collect();
        // The first worker has a transmit queue on every port. It asks the host's queues before
        // those of other workers, so that their load cannot shut the kernel's ARP out.
        for (id, vtep) in topology.vteps() {
            let Some(queues) = self.punts.get(&id) else { continue };
            let queue = Arc::clone(&queues.injections);
            relays[0].push(Relay {
                queue,
                port: topology.uplink_of(vtep),
                from: RelayedFrom::Host,
            });
        }
        for (port, queues) in self.handovers.iter().filter(|(port, _)| !removed.contains(port)) {
            for (owner, queue) in queues {
                let (queue, port, from) = (Arc::clone(queue), *port, RelayedFrom::Worker);
                relays[*owner].push(Relay { queue, port, from });
            }
        }
        relays
    }

    /// Whether every worker has taken the last post up.
    #[must_use]
    pub fn is_taken_up(&self) -> bool {
        !self.is_posted || self.workers.iter().all(|seat| !seat.unwired.is_empty())
    }

    /// After every worker has taken the last post up: gives back the queues of what was removed,
    /// with the frames that are still in them, by the port that these were to leave by. What
    /// workers sent back is freed, which closes ports.
    pub fn release(
        &mut self,
        topology: &Topology,
        removed: &[PortId],
    ) -> Vec<(PortId, FrameQueue)> {
        for seat in &self.workers {
            while seat.unwired.pop().is_some() {}
        }
        self.is_posted = false;
        let mut left = Vec::new();
        for port in removed {
            let queues = self.handovers.remove(port).unwrap_or_default();
            left.extend(queues.into_iter().map(|(_, queue)| (*port, queue)));
        }
        let gone = self.punts.extract_if(|id, _| topology.vtep(*id).is_none());
        left.extend(gone.map(|(_, queues)| (queues.port, queues.injections)));
        left
    }
}

/// What is new for one worker.
struct Part {
    inputs: Vec<Input>,
    outputs: Vec<Option<Output>>,
}

impl Part {
    fn new(topology: &Topology) -> Self {
        let outputs = std::iter::repeat_with(|| None).take(topology.port_slots()).collect();
        Self { inputs: Vec::new(), outputs }
    }
}
