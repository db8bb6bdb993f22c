//! Frames that the control thread drops: those to and from the host, and those on their way to a
//! port that is removed.

use crate::datapath::capture::Recorder;
use crate::datapath::generation::Generation;
use crate::datapath::now::Now;
use crate::datapath::packet::Packet;
use crate::metrics::counters::{Counters, Site};
use crate::metrics::drop_reason::DropReason;

/// The control thread's own counters, and its part in captures.
pub struct OwnFrames {
    /// The counters of the frames that it carries.
    pub counters: Counters,
    recorder: Recorder,
}

impl OwnFrames {
    /// With the control thread's counters and recorder.
    #[must_use]
    pub fn new(counters: Counters, recorder: Recorder) -> Self {
        Self { counters, recorder }
    }

    /// What drops frames that belong to a generation.
    pub fn drops<'a>(&'a mut self, now: Now, generation: &'a Generation) -> Drops<'a> {
        let Self { counters, recorder } = self;
        recorder.begin(now, generation);
        Drops { counters, recorder, generation }
    }
}

/// Counts a frame that the control thread drops, and tells of it.
pub struct Drops<'a> {
    /// The counters of the frames that it carries.
    pub counters: &'a Counters,
    /// Who takes frames for captures, and a sample of the drops.
    pub recorder: &'a mut Recorder,
    /// What the frame belongs to.
    pub generation: &'a Generation,
}

impl Drops<'_> {
    /// A frame ends here.
    pub fn dropped(&mut self, site: Site, reason: DropReason, packet: &impl Packet) {
        self.counters.dropped(site, reason);
        self.recorder.dropped(self.generation, site, reason, packet);
        self.recorder.release(self.generation);
    }
}
