//! What every stage is given: the generation, the FDB, the time, and the worker's own things.

use crate::metrics::counters::{Counters, Site};
use crate::table::fdb;

use super::capture::Recorder;
use super::generation::Generation;
use super::io::{Dropped, Io};
use super::learn::RecentlyTold;
use super::packet::Packet;
use super::tx::Outputs;
use super::vector::Burst;
use crate::metrics::drop_reason::DropReason;

/// The time of a turn of the loop. A parameter, never read from a clock by the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since start.
    pub millis: u64,
    /// Nanoseconds since start.
    pub nanos: u64,
}

impl Now {
    /// So many milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis, nanos: millis * 1_000_000 }
    }

    /// So many nanoseconds after the start.
    #[inline(always)]
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { millis: nanos / 1_000_000, nanos }
    }

    /// Whole seconds since start.
    #[inline(always)]
    #[must_use]
    pub fn secs(self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "wraps after 136 years")]
        let secs = (self.millis / 1000) as u32;
        secs
    }
}

/// One turn's surroundings.
pub struct Context<'a, I: Io> {
    /// Ports, networks and tunnels, the same for the whole turn.
    pub generation: &'a Generation,
    /// The forwarding table, the same for the whole turn.
    pub fdb: &'a fdb::Table,
    /// The time.
    pub now: Now,
    /// Queues and buffers.
    pub io: &'a mut I,
    /// The worker's counters.
    pub counters: &'a Counters,
    /// Frames on their way out.
    pub outputs: &'a mut Outputs<I::Packet>,
    /// What the control thread has just been told.
    pub recently_told: &'a mut RecentlyTold,
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
