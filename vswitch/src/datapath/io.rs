//! What the pipeline needs from the world around it: queues, buffers, and the way to the control
//! thread. A worker has it from DPDK (`control::worker_io`), the simulation from memory.

use crate::ids::{PortId, VtepId};
use crate::table::{Destination, Key};

use super::packet::Packet;
use super::vector::Burst;

/// What a worker tells the control thread about a source MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnEvent {
    /// Network and MAC.
    pub key: Key,
    /// Where it was heard.
    pub origin: Destination,
    /// What the worker saw in the FDB.
    pub kind: LearnKind,
}

/// Why a [`LearnEvent`] is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnKind {
    /// Unknown, or known somewhere else.
    Heard,
    /// Known there, and its entry is getting old. Must not move an entry: it may be late.
    Refresh,
}

/// How many frames of a burst went, and where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A transmit queue took so many from the front.
    Transmitted(usize),
    /// The queue to the worker that owns the transmit queue took so many from the front.
    HandedOver(usize),
}

/// A frame that leaves by a port without having passed the pipeline.
#[derive(Debug)]
pub struct Relayed<P> {
    /// The port that it leaves by.
    pub port: PortId,
    /// The frame.
    pub packet: P,
    /// Where it comes from.
    pub from: RelayedFrom,
}

/// Where a [`Relayed`] frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayedFrom {
    /// The kernel, by a host interface.
    Host,
    /// A worker that has no transmit queue on the port.
    Worker,
}

/// The bytes that a [replica](Io::replicate) has for itself, where it shares the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnBytes {
    /// Room for so many bytes of headers, to be put in front of the frame.
    pub headers: usize,
    /// So many leading bytes of the frame: addresses and tags that are to be rewritten.
    pub leading: usize,
}

/// Queues, buffers, and the way to the control thread. No method waits, allocates from the heap or
/// makes a system call of its own.
pub trait Io {
    /// The packet buffer.
    type Packet: Packet;

    /// How many receive queues this worker polls.
    fn queues(&self) -> usize;

    /// Takes a burst from a receive queue into `burst`, which is empty, and returns the queue's port.
    fn receive(&mut self, queue: usize, burst: &mut Burst<Self::Packet>) -> PortId;

    /// Sends frames by a port: takes from the front what goes, leaves the rest.
    fn transmit(&mut self, port: PortId, burst: &mut Burst<Self::Packet>) -> Sent;

    /// A frame with the contents of `packet`, to be sent by `port`, or `None` where no buffer is free.
    ///
    /// `own` says which of its bytes the replica has for itself; it may share the others with `packet`.
    fn replicate(
        &mut self,
        packet: &Self::Packet,
        port: PortId,
        own: OwnBytes,
    ) -> Option<Self::Packet>;

    /// Gives buffers back; leaves the burst empty.
    fn discard(&mut self, burst: &mut Burst<Self::Packet>);

    /// Hands a frame to the host interface of a VTEP, or gives it back where the queue is full.
    ///
    /// # Errors
    /// The frame.
    fn punt(&mut self, vtep: VtepId, packet: Self::Packet) -> Result<(), Self::Packet>;

    /// The next frame that others want sent by a transmit queue of this worker.
    fn next_relayed(&mut self) -> Option<Relayed<Self::Packet>>;

    /// Takes up the queues of the wiring with a number: called between turns, before the first frame of a
    /// generation that goes with it. What it gives back has been sent or dropped by then.
    fn rewire(&mut self, wiring: u64);

    /// Tells the control thread; false where the queue is full.
    fn learn(&mut self, event: LearnEvent) -> bool;
}
