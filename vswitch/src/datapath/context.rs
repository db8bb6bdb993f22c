//! What every stage is given: the generation, the FDB, the time, and the worker's own things.

use crate::metrics::counters::{Counters, Site};
use crate::table::Table;

use super::capture::recorder::Recorder;
use super::generation::Generation;
use super::io::{Dropped, Io};
use super::now::Now;
use super::outputs::Outputs;
use super::packet::Packet;
use super::reports::RecentReports;
use super::vector::Burst;
use crate::metrics::drop_reason::DropReason;

/// One turn's surroundings.
pub struct Context<'a, I: Io> {
    /// Ports, networks and tunnels, the same for the whole turn.
    pub generation: &'a Generation,
    /// The forwarding table, the same for the whole turn.
    pub fdb: &'a Table,
    /// The time.
    pub now: Now,
    /// Queues and buffers.
    pub io: &'a mut I,
    /// The worker's counters.
    pub counters: &'a Counters,
    /// Frames on their way out.
    pub outputs: &'a mut Outputs<I::Packet>,
    /// What the worker has just reported to the control thread.
    pub recent_reports: &'a mut RecentReports,
    /// Who takes frames for captures, and a sample of the drops.
    pub recorder: &'a mut Recorder,
}

impl<I: Io> Context<'_, I> {
    /// Counts a frame as dropped, and tells of it. Its buffer stays the caller's to give back.
    #[inline]
    pub fn dropped(&mut self, site: Site, reason: DropReason, packet: &I::Packet) {
        let Self { generation, io, counters, recorder, .. } = self;
        dropped(*io, counters, (*recorder, *generation), site, reason, packet);
    }

    /// Counts a frame as dropped, tells of it, and gives its buffer back.
    #[cold]
    pub fn discard(&mut self, site: Site, reason: DropReason, packet: I::Packet) {
        self.dropped(site, reason, &packet);
        let mut packets = Burst::new();
        packets.push(packet);
        self.io.discard(&mut packets);
    }
}

/// As [`Context::dropped`], where the rest of the context is borrowed.
#[inline]
pub(super) fn dropped<I: Io>(
    io: &mut I,
    counters: &Counters,
    (recorder, generation): (&mut Recorder, &Generation),
    site: Site,
    reason: DropReason,
    packet: &I::Packet,
) {
    counters.dropped(site, reason);
    recorder.dropped(generation, site, reason, packet);
    io.dropped(Dropped { site, reason, bytes: packet.bytes(), len: packet.len() });
}
