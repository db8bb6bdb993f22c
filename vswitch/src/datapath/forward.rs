//! Stage `forward`: where each frame goes, from what `learn` found in the FDB.

use super::context::Context;
use super::io::Io;
use super::vector::Vector;
use super::verdict::{DropReason, Verdict};
use crate::table::{Destination, Found, PackedDestination};

/// Decides every frame that is still pending.
#[inline]
pub fn run<I: Io>(_context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    for i in 0..vector.packets.len() {
        if vector.verdicts[i] == Verdict::Pending {
            vector.verdicts[i] = decide(vector.destinations_found[i], vector.origins[i]);
        }
    }
}

#[inline(always)]
fn decide(found: Found, origin: PackedDestination) -> Verdict {
    match found.destination() {
        None => Verdict::Flood,
        Some(Destination::Port(to)) => {
            if found.is_at(origin) {
                Verdict::Drop(DropReason::SamePort)
            } else {
                Verdict::Forward(to)
            }
        }
        Some(Destination::Tunnel(to)) => {
            if origin.is_tunnel() {
                Verdict::Drop(DropReason::SplitHorizon)
            } else {
                Verdict::Encapsulate(to)
            }
        }
    }
}
