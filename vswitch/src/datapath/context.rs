//! What every stage is given, in two parts: what all workers share and only read, and what is this
//! worker's own.
//!
//! The parts are structs of their own so that a function can borrow one while a caller holds a piece of the
//! other: a stage reads the generation while it writes counters, and a line of the [`Outputs`] is sent by
//! what is in [`Own`].

use super::again::Again;
use super::capture::recorder::Recorder;
use super::generation::Generation;
use super::io::Io;
use super::now::Now;
use super::observer::Observer;
use super::outputs::Outputs;
use super::reports::RecentReports;
use super::vector::Burst;
use crate::metrics::counters::{Counters, Site};
use crate::metrics::drop_reason::DropReason;
use crate::table::Table;

/// What all workers share: the same for the whole turn, and read-only.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    /// Ports, networks and tunnels.
    pub generation: &'a Generation,
    /// The forwarding table.
    pub fdb: &'a Table,
    /// The time.
    pub now: Now,
}

/// What belongs to this worker alone.
pub struct Own<'a, I: Io, O: Observer> {
    /// Queues and buffers.
    pub io: &'a mut I,
    /// Counters, and the ledger.
    pub counters: &'a Counters,
    /// Copies frames for captures, and a sample of the drops.
    pub recorder: &'a mut Recorder,
    /// Watches the stages; `()` in a switch.
    pub observer: &'a mut O,
    /// The learn events that were sent lately.
    pub recent_reports: &'a mut RecentReports,
}

/// One turn's surroundings.
pub struct Context<'a, I: Io, O: Observer> {
    /// What is read.
    pub shared: Shared<'a>,
    /// What is written.
    pub own: Own<'a, I, O>,
    /// Frames on their way out. Beside [`own`](Self::own), which sends them.
    pub outputs: &'a mut Outputs<I::Packet>,
    /// Frames that pass the stages again.
    pub again: &'a mut Again<I::Packet>,
}

impl<I: Io, O: Observer> Own<'_, I, O> {
    /// Counts a frame as dropped, and shows it to the recorder and the observer. The caller gives its
    /// buffer back.
    ///
    /// Every drop of a worker passes here.
    #[inline]
    pub fn dropped(
        &mut self,
        shared: Shared<'_>,
        site: Site,
        reason: DropReason,
        packet: &I::Packet,
    ) {
        self.counters.dropped(site, reason);
        self.recorder.dropped(shared.generation, site, reason, packet);
        self.observer.dropped(site, reason, packet);
    }

    /// As [`dropped`](Self::dropped), and gives the buffer back.
    #[cold]
    pub fn discard(
        &mut self,
        shared: Shared<'_>,
        site: Site,
        reason: DropReason,
        packet: I::Packet,
    ) {
        self.dropped(shared, site, reason, &packet);
        let mut packets = Burst::new();
        packets.push(packet);
        self.io.discard(&mut packets);
    }
}
