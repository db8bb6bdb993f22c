//! Stage `flood`: head-end replication. A frame for everybody, or for somebody unknown, goes to every
//! other port of its network and, if it came from a port, to every remote VTEP.
//!
//! Split horizon is in the shape of the loop: the tunnels are not even looked at for a frame that
//! came from one. The last target gets the frame itself, in the stages that follow; the others get
//! replicas, which may share its bytes, and leave from here. The hash of the flow is that of the
//! frame, computed once.

use super::context::Context;
use super::generation::Network;
use super::io::{Io, OwnBytes};
use super::observer::Observer;
use super::packet::Packet;
use super::tunnel::OUTER_LEN;
use super::tunnel::template::{ADDED_LEN, Entropy};
use super::tx;
use super::vector::Vector;
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::{PortId, TunnelId};
use crate::metrics::drop_reason::DropReason;
use crate::table::PackedDestination;

/// Floods what `forward` said to flood.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    for i in 0..vector.len() {
        if vector.verdicts[i] == PackedVerdict::FLOOD {
            vector.verdicts[i] = flood(context, vector, i).into();
        }
    }
}

/// Sends the replicas of frame `i`; returns the verdict on the frame itself.
#[inline(never)]
fn flood<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &Vector<I::Packet>,
    i: usize,
) -> Verdict {
    let network = vector.networks[i];
    let (ports, tunnels) =
        targets(&context.shared.generation.networks[network.index()], vector.origins[i]);
    let mut ports = ports.peekable();
    // The frame itself goes to the last one.
    let (last, tunnels) = match tunnels.split_last() {
        Some((last, others)) => (Some(Verdict::Encapsulate(*last)), others),
        None => (None, tunnels),
    };
    let mut replicas = 0;
    while let Some(port) = ports.next() {
        if last.is_none() && ports.peek().is_none() {
            context.own.counters.replicated(network, replicas);
            return Verdict::Forward(port);
        }
        replicas += 1;
        if let Err(reason) = send_replica(context, vector, i, port) {
            drop(context, vector, i, reason);
        }
    }
    let Some(last) = last else { return Verdict::Drop(DropReason::NoDestination) };
    let entropy = Entropy::of(vector.packets[i].bytes());
    for tunnel in tunnels {
        replicas += 1;
        if let Err(reason) = send_encapsulated(context, vector, i, *tunnel, entropy) {
            drop(context, vector, i, reason);
        }
    }
    context.own.counters.replicated(network, replicas);
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

fn send_replica<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &Vector<I::Packet>,
    i: usize,
    port: PortId,
) -> Result<(), DropReason> {
    let len = vector.lens[i];
    if !tx::fits(context.shared, port, len) {
        return Err(DropReason::ExceedsPortMtu);
    }
    let replica = context.own.io.replicate(&vector.packets[i], port, OwnBytes::default());
    tx::send(context, port, replica.ok_or(DropReason::NoBuffers)?, len);
    Ok(())
}

fn send_encapsulated<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &Vector<I::Packet>,
    i: usize,
    tunnel: TunnelId,
    entropy: Entropy,
) -> Result<(), DropReason> {
    let generation = context.shared.generation;
    let (tunnel, len) = (&generation.tunnels[tunnel.index()], vector.lens[i]);
    let vni = generation.networks[vector.networks[i].index()].vni;
    tunnel.check(len)?;
    let own = OwnBytes { headers: OUTER_LEN, leading: 0 };
    let replica = context.own.io.replicate(&vector.packets[i], tunnel.port(), own);
    let mut replica = replica.ok_or(DropReason::NoBuffers)?;
    tunnel.template.put(&mut replica, len, vni, entropy)?;
    tx::send(context, tunnel.port(), replica, len + ADDED_LEN);
    Ok(())
}

/// Counts a replica of frame `i` that could not be sent.
#[cold]
fn drop<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &Vector<I::Packet>,
    i: usize,
    reason: DropReason,
) {
    context.own.dropped(context.shared, vector.site(i), reason, &vector.packets[i]);
}
