//! Stage `decap`: takes the outer headers off tunnel frames of known networks and remote VTEPs.
//!
//! The two look-ups are O(1) and done once per run of frames of the same tunnel and network.

use super::context::Context;
use super::generation::{Generation, Role, Vtep};
use super::io::Io;
use super::packet::Packet;
use super::parse;
use super::vector::{NOBODY, Tunnelled, Vector};
use super::verdict::DropReason;
use crate::ids::{BridgeDomain, TunnelId};
use crate::metrics::counters::Shape;
use crate::table::Destination;
use crate::wire::ethernet::Ethernet;

/// Decapsulates the tunnel frames of the burst. Does nothing on a tenant port.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let generation = context.generation;
    let Role::Uplink(vtep) = generation.ports[vector.port.index()].role else { return };
    let vtep = &generation.vteps[vtep.index()];
    let mut last = None;
    for i in 0..vector.len {
        (vector.source[i], vector.destination[i]) = (NOBODY, NOBODY);
        let meta = &mut vector.meta[i];
        let tunnelled = meta.tunnelled;
        let Some(packet) = vector.packets[i].as_mut().filter(|_| meta.is_pending()) else {
            continue;
        };
        let (domain, tunnel) = match last {
            Some(((vni, remote), found)) if vni == tunnelled.vni && remote == tunnelled.remote => {
                found
            }
            _ => {
                let found = find(generation, vtep, tunnelled);
                last = Some(((tunnelled.vni, tunnelled.remote), found));
                found
            }
        };
        let Some(domain) = domain else {
            meta.drop(DropReason::UnknownVni);
            continue;
        };
        meta.domain = domain;
        meta.site = Shape::network_site(generation.ports.len(), domain);
        let Some(tunnel) = tunnel else {
            meta.drop(DropReason::UnknownRemoteVtep);
            continue;
        };
        meta.origin = Destination::Tunnel(tunnel);
        packet.trim_front(usize::from(tunnelled.outer_len));
        packet.truncate(usize::from(tunnelled.inner_len));
        let admitted = match Ethernet::new(packet.bytes()) {
            None => Err(DropReason::InnerRunt),
            // RFC 7348 §6.1: an inner VLAN tag is dropped unless configured otherwise.
            Some(inner) if inner.is_tagged() => Err(DropReason::VlanNotConfigured),
            Some(inner) => parse::admit(inner, domain),
        };
        match admitted {
            Ok(keys) => (vector.source[i], vector.destination[i]) = keys,
            Err(reason) => meta.drop(reason),
        }
    }
}

/// The network of the VNI, and the tunnel if the network has it.
#[inline]
fn find(
    generation: &Generation,
    vtep: &Vtep,
    tunnelled: Tunnelled,
) -> (Option<BridgeDomain>, Option<TunnelId>) {
    let Some(&domain) = vtep.domains.get(&tunnelled.vni) else { return (None, None) };
    let peers = &generation.domains[domain.index()].peers;
    let tunnel = vtep.tunnels.get(&tunnelled.remote).copied().filter(|t| peers.contains(*t));
    (Some(domain), tunnel)
}
