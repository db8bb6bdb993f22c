//! Stage `learn`: looks sources and destinations up in the FDB, in one pass, and tells the control
//! thread about sources that are new, elsewhere than known, or not heard for long.
//!
//! A known source costs a comparison and writes nothing. The control thread alone writes the FDB.

use super::context::{Context, Now};
use super::io::{Io, LearnEvent, LearnKind};
use super::vector::{NOBODY, Vector};
use super::verdict::PackedVerdict;
use crate::table::{Destination, Key};

/// Looks the burst up and sends the events.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let len = vector.len();
    context.fdb.lookup_burst(&vector.sources[..len], &mut vector.sources_found[..len]);
    context.fdb.lookup_burst(&vector.destinations[..len], &mut vector.destinations_found[..len]);

    // Most sources are where they are known to be, and were heard lately.
    let now_secs = context.now.secs();
    let fresh_secs =
        now_secs.saturating_add(1).saturating_sub(context.generation.refresh_after_secs);
    for i in 0..len {
        if !vector.sources_found[i].is_at_since(vector.origins[i], fresh_secs) {
            tell(context, vector, i, now_secs);
        }
    }
}

/// Tells the control thread about the source of a frame, unless it is as it should be: the frame was
/// dropped, the entry is static, or its network's entries live longer than others'.
#[cold]
fn tell<I: Io>(context: &mut Context<'_, I>, vector: &Vector<I::Packet>, i: usize, now_secs: u32) {
    let (found, origin) = (vector.sources_found[i], vector.origins[i]);
    if vector.verdicts[i] != PackedVerdict::PENDING || found.is_static() {
        return;
    }
    let kind = if found.packed() == origin {
        let domain = &context.generation.domains[vector.domains[i].index()];
        if found.age_secs(now_secs) < domain.refresh_after_secs {
            return;
        }
        LearnKind::Refresh
    } else {
        LearnKind::Heard
    };
    let event = LearnEvent { key: vector.sources[i], origin: origin.into(), kind };
    if !context.recently_told.is_recent(&event, context.now) {
        let taken = context.io.learn(event);
        context.counters.learn_event(taken);
        if taken {
            context.recently_told.remember(&event, context.now);
        }
    }
}

/// What this worker told the control thread in the last few milliseconds, so that a stream from a
/// MAC that is not learned yet (or cannot be) makes one event, not one per frame.
///
/// Direct-mapped and lossy: a forgotten event is only sent once more.
#[derive(Debug)]
pub struct RecentlyTold {
    slots: Box<[Told; Self::SLOTS]>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    event: LearnEvent,
    at_millis: u64,
}

impl RecentlyTold {
    const SLOTS: usize = 1024;
    /// How long an event is not repeated. Long against the control thread's answer (1 ms), short
    /// against anybody's notice when the answer was lost.
    const QUIET_MILLIS: u64 = 5;

    /// Nothing told yet.
    #[must_use]
    pub fn new() -> Self {
        let origin = Destination::Port(crate::ids::PortId(0));
        let event = LearnEvent { key: NOBODY, origin, kind: LearnKind::Heard };
        let nothing = Told { event, at_millis: 0 };
        Self { slots: Box::new([nothing; Self::SLOTS]) }
    }

    #[inline(always)]
    fn slot(key: Key) -> usize {
        // Fibonacci hashing: the top 10 bits of a product with 2^64 / the golden ratio.
        (key.to_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
    }

    #[inline]
    fn is_recent(&self, event: &LearnEvent, now: Now) -> bool {
        let told = &self.slots[Self::slot(event.key)];
        told.event == *event && now.millis.saturating_sub(told.at_millis) < Self::QUIET_MILLIS
    }

    #[inline]
    fn remember(&mut self, event: &LearnEvent, now: Now) {
        self.slots[Self::slot(event.key)] = Told { event: *event, at_millis: now.millis };
    }
}

impl Default for RecentlyTold {
    fn default() -> Self {
        Self::new()
    }
}
