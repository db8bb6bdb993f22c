//! Stage `forward`: where each frame goes, from what `learn` found in the FDB.

use super::context::Context;
use super::io::Io;
use super::vector::Vector;
use super::verdict::{DropReason, Verdict};
use crate::table::Destination;

/// Decides every frame that is still pending.
#[inline]
pub fn run<I: Io>(_context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    for i in 0..vector.len {
        let meta = &mut vector.meta[i];
        if !meta.is_pending() {
            continue;
        }
        meta.verdict = match (vector.destination_found[i].destination(), meta.origin) {
            (None, _) => Verdict::Flood,
            (Some(Destination::Port(to)), Destination::Port(from)) if to == from => {
                Verdict::Drop(DropReason::SamePort)
            }
            (Some(Destination::Tunnel(_)), Destination::Tunnel(_)) => {
                Verdict::Drop(DropReason::SplitHorizon)
            }
            (Some(Destination::Port(to)), _) => Verdict::Forward(to),
            (Some(Destination::Tunnel(to)), Destination::Port(_)) => Verdict::Encapsulate(to),
        };
    }
}
