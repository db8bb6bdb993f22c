//! Who polls what and sends where: spreads started ports' queues over the workers.
//!
//! Receive queues go round the workers, port after port. Every worker gets a transmit queue of its
//! own on every port that has enough of them; where a device has fewer, the worker hands frames to
//! one that has, through a bounded queue. Called once, by the control thread at start-up.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::generations::Topology;
use super::learner::EVENT_QUEUE_LEN;
use super::worker_io::{FrameQueue, Output, Relay, Way, WorkerIo};
use crate::datapath::io::{LearnEvent, RelayedFrom};
use crate::dpdk::pool::Pool;
use crate::dpdk::port::Queues;
use crate::ids::PortId;

/// Frames that wait between two workers, or between the control thread and a worker, at most.
pub const FRAME_QUEUE_LEN: usize = 1024;

/// The workers' surroundings and the control thread's ends of the queues between them.
pub struct Wiring {
    /// One per worker.
    pub workers: Vec<WorkerIo>,
    /// Frames for the host interfaces, by VTEP.
    pub punts: Vec<FrameQueue>,
    /// Frames from the host interfaces, by VTEP.
    pub injections: Vec<FrameQueue>,
    /// What workers heard, by worker.
    pub events: Vec<Arc<ArrayQueue<LearnEvent>>>,
    /// The receive queues that each worker polls: port and queue number.
    pub polled: Vec<Vec<(PortId, u16)>>,
}

fn frame_queue() -> FrameQueue {
    Arc::new(ArrayQueue::new(FRAME_QUEUE_LEN))
}

/// Spreads the queues of the ports, in the order of their ids, over `workers` workers.
#[must_use]
pub fn connect(topology: &Topology, ports: Vec<Queues>, workers: usize, pool: &Pool) -> Wiring {
    let punts: Vec<_> = topology.vteps().map(|_| frame_queue()).collect();
    let events: Vec<_> = std::iter::repeat_with(|| Arc::new(ArrayQueue::new(EVENT_QUEUE_LEN)))
        .take(workers)
        .collect();
    let new_worker = |events: &Arc<ArrayQueue<LearnEvent>>| WorkerIo {
        inputs: Vec::new(),
        outputs: Vec::new(),
        relays: Vec::new(),
        punts: punts.clone(),
        events: Arc::clone(events),
        pool: pool.clone(),
    };
    let mut ios: Vec<_> = events.iter().map(new_worker).collect();
    let mut polled = vec![Vec::new(); workers];
    let mut next = (0..workers).cycle();
    let injections = topology.vteps().map(|(_, vtep)| {
        let queue = frame_queue();
        let relay = Relay { queue: Arc::clone(&queue), port: vtep.port, from: RelayedFrom::Host };
        // The first worker has a transmit queue on every port. It asks this queue before those of other
        // workers (added below), so that their load cannot shut the kernel's ARP out.
        ios[0].relays.push(relay);
        queue
    });
    let injections = injections.collect();
    for ((id, _), queues) in topology.ports().zip(ports) {
        for (worker, queue) in next.by_ref().zip(queues.rx) {
            polled[worker].push((id, queue.number()));
            ios[worker].inputs.push((id, queue));
        }
        connect_outputs(&mut ios, id, queues.tx, queues.multi_segment);
    }
    Wiring { workers: ios, punts, injections, events, polled }
}

fn connect_outputs(
    workers: &mut [WorkerIo],
    port: PortId,
    queues: Vec<crate::dpdk::queue::TxQueue>,
    multi_segment: bool,
) {
    let owners = queues.len().max(1);
    let mut queues = queues.into_iter();
    let mut handovers: Vec<Option<FrameQueue>> = vec![None; owners];
    for worker in 0..workers.len() {
        let way = match queues.next() {
            Some(queue) => Way::Queue(queue),
            None => {
                let owner = worker % owners;
                let queue = handovers[owner].get_or_insert_with(|| {
                    let queue = frame_queue();
                    workers[owner].relays.push(Relay {
                        queue: Arc::clone(&queue),
                        port,
                        from: RelayedFrom::Worker,
                    });
                    queue
                });
                Way::Handover(Arc::clone(queue))
            }
        };
        workers[worker].outputs.push(Output { way, multi_segment });
    }
}
