//! Stage `encap`: puts the outer headers before frames for remote VTEPs.
//!
//! The headers are a template per remote VTEP, resolved by the control thread; per frame there are
//! the lengths, the IPv4 checksum from the template's sum, the source port from the inner flow's
//! hash, and the VNI. UDP checksum 0 and a source port in 49152–65535 as RFC 7348 §5 asks.

use super::context::Context;
use super::generation::{OUTER_LEN, Template};
use super::io::Io;
use super::packet::Packet;
use super::vector::Vector;
use super::verdict::{DropReason, Verdict};
use crate::ids::Vni;
use crate::wire::{ethernet, flow, ipv4, udp, vxlan};

const IP_AT: usize = ethernet::HEADER_LEN;
const UDP_AT: usize = IP_AT + ipv4::HEADER_LEN;
const VXLAN_AT: usize = UDP_AT + udp::HEADER_LEN;

/// Encapsulates what is to be encapsulated; each such frame then goes to the tunnel's uplink.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let generation = context.generation;
    for (packet, meta) in vector.iter_mut() {
        let Verdict::Encapsulate(tunnel) = meta.verdict else { continue };
        let tunnel = &generation.tunnels[tunnel.index()];
        meta.verdict = match &tunnel.template {
            None => Verdict::Drop(DropReason::NextHopUnresolved),
            Some(_) if packet.len() > tunnel.max_inner_len => {
                Verdict::Drop(DropReason::ExceedsUnderlayMtu)
            }
            Some(template) => {
                let vni = generation.domains[meta.domain.index()].vni;
                match encapsulate(packet, template, vni) {
                    Some(()) => Verdict::Forward(tunnel.port),
                    None => Verdict::Drop(DropReason::NoHeadroom),
                }
            }
        };
    }
}

#[inline(always)]
fn encapsulate<P: Packet>(packet: &mut P, template: &Template, vni: Vni) -> Option<()> {
    let source_port = flow::source_port(flow::hash(packet.bytes()));
    // `run` compared the length with the MTU, which has 16 bits.
    let udp_len = packet.len() + udp::HEADER_LEN + vxlan::HEADER_LEN;
    let total_len = u16::try_from(udp_len + ipv4::HEADER_LEN).ok()?;
    let udp_len = u16::try_from(udp_len).ok()?;
    let outer = packet.grow_front(OUTER_LEN)?.first_chunk_mut::<OUTER_LEN>()?;
    *outer = template.bytes;
    ipv4::complete(&mut outer[IP_AT..], template.checksum_seed, total_len);
    udp::complete(&mut outer[UDP_AT..], source_port, udp_len);
    vxlan::complete(&mut outer[VXLAN_AT..], vni);
    Some(())
}
