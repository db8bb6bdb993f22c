//! Stage `forward`: where each frame goes, from what `learn` found in the FDB.

use super::context::Context;
use super::io::Io;
use super::observer::Observer;
use super::vector::Vector;
use super::verdict::PackedVerdict;
use crate::metrics::drop_reason::DropReason;
use crate::table::{PackedDestination, prefetch};

/// What the burst needs next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// A frame is to be flooded.
    pub flood: bool,
    /// A frame is to be encapsulated; flooding may make one so, too.
    pub encap: bool,
}

/// Decides every frame that is still pending.
#[inline]
pub fn run<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &mut Vector<I::Packet>,
) -> Needs {
    let tunnels = &context.shared.generation.tunnels;
    let mut needs = Needs::default();
    for i in 0..vector.len() {
        if vector.verdicts[i] != PackedVerdict::PENDING {
            continue;
        }
        let (found, origin) = (vector.destinations_found[i], vector.origins[i]);
        if !found.is_hit() {
            vector.verdicts[i] = PackedVerdict::FLOOD;
            needs.flood = true;
            continue;
        }
        let to = found.packed();
        // What came from the overlay never goes back there, through whichever tunnel.
        let back = (to == origin) | (to.is_tunnel() & origin.is_tunnel());
        if to.is_tunnel() {
            needs.encap = true;
            // Its template is read two stages on.
            prefetch(&tunnels[to.index()]);
        }
        vector.verdicts[i] = if back { refuse(to) } else { PackedVerdict::to(to) };
    }
    needs
}

#[cold]
fn refuse(back_to: PackedDestination) -> PackedVerdict {
    PackedVerdict::drop(if back_to.is_tunnel() {
        DropReason::SplitHorizon
    } else {
        DropReason::SamePort
    })
}
