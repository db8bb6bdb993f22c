//! Stage `learn`: looks sources and destinations up in the FDB, in one pass, and reports
//! sources that are new, that moved, or that were not heard for long, to the control thread.
//!
//! A known source costs a comparison and writes nothing. The control thread alone writes the FDB.

use super::context::Context;
use super::io::{Io, LearnEvent, LearnKind};
use super::observer::Observer;
use super::vector::Vector;
use super::verdict::PackedVerdict;

/// Looks the burst up and reports.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    let len = vector.len();
    context.shared.fdb.lookup_burst(&vector.sources[..len], &mut vector.sources_found[..len]);
    context
        .shared
        .fdb
        .lookup_burst(&vector.destinations[..len], &mut vector.destinations_found[..len]);

    // Most sources are where they are known to be, and were heard lately.
    let now_secs = context.shared.now.secs();
    let fresh_secs =
        now_secs.saturating_add(1).saturating_sub(context.shared.generation.refresh_after_secs);
    for i in 0..len {
        if !vector.sources_found[i].is_at_since(vector.origins[i], fresh_secs) {
            report(context, vector, i, now_secs);
        }
    }
}

/// Reports the source of a frame, unless there is nothing to report: the frame was dropped, the entry is
/// static, or the entries of its network live longer than those of others.
#[cold]
fn report<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &Vector<I::Packet>,
    i: usize,
    now_secs: u32,
) {
    let (found, origin) = (vector.sources_found[i], vector.origins[i]);
    if vector.verdicts[i] != PackedVerdict::PENDING || found.is_static() {
        return;
    }
    let kind = if found.packed() == origin {
        let network = &context.shared.generation.networks[vector.networks[i].index()];
        if found.age_secs(now_secs) < network.refresh_after_secs {
            return;
        }
        LearnKind::Refresh
    } else {
        LearnKind::Heard
    };
    let event = LearnEvent { key: vector.sources[i], origin: origin.into(), kind };
    if !context.own.recent_reports.has(&event, context.shared.now) {
        let taken = context.own.io.learn(event);
        context.own.counters.learn_event(taken);
        if taken {
            context.own.recent_reports.remember(&event, context.shared.now);
        }
    }
}
