//! Stage `parse`: what is this frame? A tenant's frame enters its network, or is dropped. A frame of an
//! underlay is a tunnel frame for us, the kernel's, or dropped: see [`recognition`](super::tunnel::recognition).

use super::context::Context;
use super::generation::{Entrance, Underlay};
use super::io::Io;
use super::observer::Observer;
use super::packet::Packet;
use super::tunnel::recognition::Recognised;
use super::vector::{NOBODY, Vector};
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::NetworkId;
use crate::metrics::drop_reason::DropReason;
use crate::table::Key;
use crate::wire::ethernet::{self, Ethernet};

/// Classifies every frame of the burst.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    let generation = context.shared.generation;
    match vector.entrance {
        Entrance::Network(network) => tenant(vector, network),
        Entrance::Underlay(id) => underlay(vector, &generation.underlays[id.index()]),
        Entrance::Unused => {
            let len = vector.len();
            vector.verdicts[..len].fill(PackedVerdict::drop(DropReason::PortUnused));
            vector.sources[..len].fill(NOBODY);
            vector.destinations[..len].fill(NOBODY);
        }
    }
}

#[inline(always)]
fn tenant<P: Packet>(vector: &mut Vector<P>, network: NetworkId) {
    let len = vector.len();
    vector.networks[..len].fill(network);
    let Vector { packets, verdicts, sources, destinations, .. } = vector;
    for (i, packet) in packets[..len].iter().enumerate() {
        let mut found = (NOBODY, NOBODY);
        if verdicts[i] == PackedVerdict::PENDING {
            let frame = Ethernet::new(packet.bytes()).ok_or(DropReason::Runt);
            match frame.and_then(|frame| keys(frame, network)) {
                Ok(keys) => found = keys,
                Err(reason) => verdicts[i] = PackedVerdict::drop(reason),
            }
        }
        (sources[i], destinations[i]) = found;
    }
}

#[inline(always)]
fn underlay<P: Packet>(vector: &mut Vector<P>, underlay: &Underlay) {
    let len = vector.len();
    let Vector { packets, verdicts, tunnelled, .. } = vector;
    for (i, packet) in packets[..len].iter().enumerate() {
        if verdicts[i] != PackedVerdict::PENDING {
            continue;
        }
        let bytes = packet.bytes();
        if let Some(found) = underlay.recognition.plain(bytes) {
            tunnelled[i] = found;
            continue;
        }
        match underlay.recognition.judge(bytes) {
            Ok(Recognised::Tunnelled(found)) => tunnelled[i] = found,
            Ok(Recognised::ForKernel) => verdicts[i] = Verdict::Punt(underlay.vtep).into(),
            Err(reason) => verdicts[i] = PackedVerdict::drop(reason),
        }
    }
}

/// The FDB keys of source and destination of a frame that may enter its network. A frame with a VLAN tag may
/// not: RFC 7348 §6.1 asks so inside VXLAN.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub(super) fn keys(frame: Ethernet<'_>, network: NetworkId) -> Result<(Key, Key), DropReason> {
    let (source, destination) = (frame.source(), frame.destination());
    if frame.is_tagged() || !source.is_station() || ethernet::is_link_local(destination) {
        return Err(refusal(frame));
    }
    Ok((Key::new(network, source), Key::new(network, destination)))
}

/// Why [`keys`] refuses a frame.
#[cold]
fn refusal(frame: Ethernet<'_>) -> DropReason {
    if frame.is_tagged() {
        DropReason::VlanNotConfigured
    } else if !frame.source().is_station() {
        DropReason::InvalidSourceMac
    } else {
        DropReason::LinkLocalMulticast
    }
}
