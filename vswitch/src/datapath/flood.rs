//! Stage `flood`: head-end replication. A frame for everybody, or for somebody unknown, goes to every
//! other member port of its network and, if it came from a port, to every remote VTEP.
//!
//! Split horizon is in the shape of the loop: the tunnels are not even looked at for a frame that
//! came from one. The last target gets the frame itself, the others get copies. Copies pass `encap`
//! and `tx` in a vector of their own, whenever it is full and at the end.

use super::context::Context;
use super::generation::Domain;
use super::io::Io;
use super::vector::{BURST, Meta, Vector};
use super::verdict::{DropReason, Verdict};
use super::{encap, tx};
use crate::table::Destination;

/// Floods what `forward` said to flood.
#[inline]
pub fn run<I: Io>(
    context: &mut Context<'_, I>,
    vector: &mut Vector<I::Packet>,
    copies: &mut Vector<I::Packet>,
) {
    let generation = context.generation;
    for i in 0..vector.len {
        let meta = &mut vector.meta[i];
        if meta.verdict != Verdict::Flood {
            continue;
        }
        let Some(packet) = &vector.packets[i] else { continue };
        let domain = &generation.domains[meta.domain.index()];
        let mut targets = targets(domain, meta.origin);
        let Some(last) = targets.next_back() else {
            meta.drop(DropReason::NoDestination);
            continue;
        };
        let mut wanted = 0;
        for target in targets {
            wanted += 1;
            match context.io.copy(packet) {
                Some(copy) => copies.push(copy, Meta { verdict: target, ..*meta }),
                None => context.counters.dropped(meta.site, DropReason::NoBuffers),
            }
            if copies.len == BURST {
                finish(context, copies);
            }
        }
        context.counters.replicated(meta.domain, wanted);
        meta.verdict = last;
    }
    finish(context, copies);
}

/// Everybody else in the network.
#[inline]
fn targets(domain: &Domain, origin: Destination) -> impl DoubleEndedIterator<Item = Verdict> + '_ {
    let tunnels: &[_] = match origin {
        Destination::Port(_) => &domain.flood,
        Destination::Tunnel(_) => &[],
    };
    let ports = domain.ports.iter().filter(move |port| Destination::Port(**port) != origin);
    ports.map(|p| Verdict::Forward(*p)).chain(tunnels.iter().map(|t| Verdict::Encapsulate(*t)))
}

fn finish<I: Io>(context: &mut Context<'_, I>, copies: &mut Vector<I::Packet>) {
    encap::run(context, copies);
    tx::run(context, copies);
}
