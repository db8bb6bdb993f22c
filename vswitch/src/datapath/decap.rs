//! Stage `decap`: takes the outer headers off tunnel frames of known networks and remote VTEPs.
//!
//! The two look-ups are O(1) and done once per run of frames of the same tunnel and network. A burst
//! that is more than one run has all of its cache lines asked for first.

use super::context::Context;
use super::generation::{Carried, Entrance, Generation, Vtep};
use super::io::Io;
use super::observer::Observer;
use super::packet::Packet;
use super::parse;
use super::tunnel::recognition::Tunnelled;
use super::vector::{NOBODY, Vector};
use super::verdict::PackedVerdict;
use crate::ids::{NetworkId, PortId, TunnelId};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, PackedDestination};
use crate::wire::ethernet::Ethernet;

/// Decapsulates the tunnel frames of the burst. Does nothing to tenants' frames.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    let generation = context.shared.generation;
    let Entrance::Underlay(underlay) = vector.entrance else { return };
    let vtep = &generation.vteps[generation.underlays[underlay.index()].vtep.index()];
    let mut last = Run::of(generation, vtep, Tunnelled::default());
    let len = vector.len();
    let Vector { packets, lens, verdicts, networks, origins, tunnelled: all, .. } = vector;
    // The first run is there at once.
    let mut asked_for = 0;
    let (sources, destinations) = (&mut vector.sources, &mut vector.destinations);
    for (i, packet) in packets[..len].iter_mut().enumerate() {
        let mut found = (NOBODY, NOBODY);
        if verdicts[i] == PackedVerdict::PENDING {
            let tunnelled = all[i];
            if (tunnelled.vni, tunnelled.remote) != (last.vni, last.remote) {
                if i > asked_for {
                    asked_for = len;
                    ask_for(vtep, &all[i..len]);
                }
                last = Run::of(generation, vtep, tunnelled);
            }
            networks[i] = last.network;
            origins[i] = last.origin;
            let keys = match last.refusal {
                Some(reason) => Err(reason),
                None => {
                    let (start, len) = (tunnelled.outer_len.into(), tunnelled.inner_len.into());
                    lens[i] = u32::from(tunnelled.inner_len);
                    packet.narrow(start, len);
                    let inner = Ethernet::new(packet.bytes()).ok_or(DropReason::InnerRunt);
                    inner.and_then(|inner| parse::keys(inner, last.network))
                }
            };
            match keys {
                Ok(keys) => found = keys,
                Err(reason) => verdicts[i] = PackedVerdict::drop(reason),
            }
        }
        (sources[i], destinations[i]) = found;
    }
}

/// Asks for what [`Run::of`] will read. Frames without a tunnel have the numbers of an earlier frame there,
/// which is harmless.
#[inline(never)]
fn ask_for(vtep: &Vtep, tunnelled: &[Tunnelled]) {
    for Tunnelled { vni, remote, .. } in tunnelled {
        vtep.networks.prefetch(*vni);
        vtep.tunnels.prefetch(*remote);
    }
}

/// What frames of one VNI from one remote VTEP have in common.
struct Run {
    vni: u32,
    remote: u32,
    /// The network of the VNI.
    network: NetworkId,
    /// The tunnel.
    origin: PackedDestination,
    /// Why such frames are dropped, if they are.
    refusal: Option<DropReason>,
}

impl Run {
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the directory holds the 16 bits of an index"
    )]
    fn of(generation: &Generation, vtep: &Vtep, tunnelled: Tunnelled) -> Self {
        let Tunnelled { vni, remote, .. } = tunnelled;
        let nowhere = Destination::Port(PortId(u16::MAX)).into();
        let Some(Carried { network, peers }) = vtep.networks.get(vni).map(Carried::from) else {
            let (network, refusal) = (NetworkId::NONE, Some(DropReason::UnknownVni));
            return Self { vni, remote, network, origin: nowhere, refusal };
        };
        let tunnel = vtep.tunnels.get(remote).map(|id| TunnelId(id as u16));
        match tunnel.filter(|tunnel| generation.peers.contains(peers, *tunnel)) {
            Some(tunnel) => {
                let origin = Destination::Tunnel(tunnel).into();
                Self { vni, remote, network, origin, refusal: None }
            }
            None => {
                let refusal = Some(DropReason::UnknownRemoteVtep);
                Self { vni, remote, network, origin: nowhere, refusal }
            }
        }
    }
}
