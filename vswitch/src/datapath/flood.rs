//! Stage `flood`: head-end replication. A frame for everybody, or for somebody unknown, goes to every
//! other member port of its network and, if it came from a port, to every remote VTEP.
//!
//! Split horizon is in the shape of the loop: the tunnels are not even looked at for a frame that
//! came from one. The last target gets the frame itself, in the stages that follow; the others get
//! replicas, which may share its bytes, and leave from here. The hash of the flow is that of the
//! frame, computed once.

use super::context::Context;
use super::encap::{self, Entropy};
use super::generation::{Network, OUTER_LEN};
use super::io::Io;
use super::packet::Packet;
use super::tx;
use super::vector::Vector;
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::{PortId, TunnelId};
use crate::metrics::drop_reason::DropReason;
use crate::table::PackedDestination;

/// Floods what `forward` said to flood.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    for i in 0..vector.len() {
        if vector.verdicts[i] == PackedVerdict::FLOOD {
            vector.verdicts[i] = flood(context, vector, i).into();
        }
    }
}

/// Sends the replicas of frame `i`; says what becomes of the frame itself.
#[inline(never)]
fn flood<I: Io>(context: &mut Context<'_, I>, vector: &Vector<I::Packet>, i: usize) -> Verdict {
    let network = vector.networks[i];
    let (ports, tunnels) =
        targets(&context.generation.networks[network.index()], vector.origins[i]);
    let mut ports = ports.peekable();
    // The frame itself goes to the last one.
    let (last, tunnels) = match tunnels.split_last() {
        Some((last, others)) => (Some(Verdict::Encapsulate(*last)), others),
        None => (None, tunnels),
    };
    let mut replicas = 0;
    while let Some(port) = ports.next() {
        if last.is_none() && ports.peek().is_none() {
            context.counters.replicated(network, replicas);
            return Verdict::Forward(port);
        }
        replicas += 1;
        send_replica(context, vector, i, port);
    }
    let Some(last) = last else { return Verdict::Drop(DropReason::NoDestination) };
    let entropy = Entropy::of(vector.packets[i].bytes());
    for tunnel in tunnels {
        replicas += 1;
        send_encapsulated(context, vector, i, *tunnel, entropy);
    }
    context.counters.replicated(network, replicas);
    last
}

/// Everybody else in the network.
#[inline]
pub(crate) fn targets(
    network: &Network,
    origin: PackedDestination,
) -> (impl Iterator<Item = PortId> + '_, &[TunnelId]) {
    let ports = network.ports.iter().copied().filter(move |port| !origin.is_port(*port));
    (ports, if origin.is_tunnel() { &[] } else { &network.flood })
}

fn send_replica<I: Io>(
    context: &mut Context<'_, I>,
    vector: &Vector<I::Packet>,
    i: usize,
    port: PortId,
) {
    let Some(replica) = context.io.replicate(&vector.packets[i], port, 0) else {
        return drop(context, vector, i, DropReason::NoBuffers);
    };
    if let Err(replica) = tx::send(context, port, replica, vector.lens[i]) {
        let site = vector.site(context.generation, i);
        context.discard(site, DropReason::ExceedsPortMtu, replica);
    }
}

fn send_encapsulated<I: Io>(
    context: &mut Context<'_, I>,
    vector: &Vector<I::Packet>,
    i: usize,
    tunnel: TunnelId,
    entropy: Entropy,
) {
    let generation = context.generation;
    let (tunnel, len) = (&generation.tunnels[tunnel.index()], vector.lens[i]);
    let vni = generation.networks[vector.networks[i].index()].vni;
    let replica = tunnel.admits(len).and_then(|()| {
        let replica = context.io.replicate(&vector.packets[i], tunnel.port(), OUTER_LEN);
        let mut replica = replica.ok_or(DropReason::NoBuffers)?;
        encap::put_headers(&mut replica, &tunnel.template, len, vni, entropy)?;
        Ok(replica)
    });
    let replica = match replica {
        Ok(replica) => replica,
        Err(reason) => return drop(context, vector, i, reason),
    };
    if let Err(replica) = tx::send(context, tunnel.port(), replica, len + encap::ADDED_LEN) {
        let site = vector.site(generation, i);
        context.discard(site, DropReason::ExceedsPortMtu, replica);
    }
}

/// A replica of frame `i` that there cannot be.
#[cold]
fn drop<I: Io>(
    context: &mut Context<'_, I>,
    vector: &Vector<I::Packet>,
    i: usize,
    reason: DropReason,
) {
    context.dropped(vector.site(context.generation, i), reason, &vector.packets[i]);
}
