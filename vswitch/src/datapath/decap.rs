//! Stage `decap`: takes the outer headers off tunnel frames of known networks and remote VTEPs.
//!
//! The two look-ups are O(1) and done once per run of frames of the same tunnel and network.

use super::context::Context;
use super::generation::{Generation, Role, Vtep};
use super::io::Io;
use super::packet::Packet;
use super::parse;
use super::vector::{Tunnelled, Vector};
use super::verdict::{DropReason, Verdict};
use crate::ids::{BridgeDomain, TunnelId};
use crate::table::Destination;
use crate::wire::ethernet::Ethernet;

/// Decapsulates the tunnel frames of the burst. Does nothing on a tenant port.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let generation = context.generation;
    let Role::Uplink(vtep) = generation.ports[vector.port.index()].role else { return };
    let vtep = &generation.vteps[vtep.index()];
    let mut last = Link::of(generation, vtep, Tunnelled::default());
    for i in 0..vector.packets.len() {
        if vector.verdicts[i] != Verdict::Pending {
            continue;
        }
        let tunnelled = vector.tunnelled[i];
        if (tunnelled.vni, tunnelled.remote) != (last.vni, last.remote) {
            last = Link::of(generation, vtep, tunnelled);
        }
        let Some(domain) = last.domain else {
            vector.drop(i, DropReason::UnknownVni);
            continue;
        };
        vector.domains[i] = domain;
        let Some(tunnel) = last.tunnel else {
            vector.drop(i, DropReason::UnknownRemoteVtep);
            continue;
        };
        vector.origins[i] = Destination::Tunnel(tunnel).into();
        vector.lens[i] = u32::from(tunnelled.inner_len);
        let packet = &mut vector.packets[i];
        packet.narrow(usize::from(tunnelled.outer_len), usize::from(tunnelled.inner_len));
        let inner = Ethernet::new(packet.bytes()).ok_or(DropReason::InnerRunt);
        match inner.and_then(|inner| parse::admit(inner, domain)) {
            Ok(keys) => (vector.sources[i], vector.destinations[i]) = keys,
            Err(reason) => vector.drop(i, reason),
        }
    }
}

/// Where frames of one VNI from one remote VTEP belong.
struct Link {
    vni: u32,
    remote: u32,
    /// The network of the VNI.
    domain: Option<BridgeDomain>,
    /// The tunnel, if the network has it.
    tunnel: Option<TunnelId>,
}

impl Link {
    #[inline]
    fn of(generation: &Generation, vtep: &Vtep, tunnelled: Tunnelled) -> Self {
        let Tunnelled { vni, remote, .. } = tunnelled;
        let domain = vtep.domains.get(&vni).copied();
        let tunnel = domain.and_then(|domain| {
            let peers = &generation.domains[domain.index()].peers;
            vtep.tunnels.get(&remote).copied().filter(|tunnel| peers.contains(*tunnel))
        });
        Self { vni, remote, domain, tunnel }
    }
}
