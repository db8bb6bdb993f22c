//! Stage `encap`: puts the outer headers before frames for remote VTEPs.
//!
//! The headers are a template per remote VTEP, resolved by the control thread; per frame there are
//! the lengths, the IPv4 checksum from the template's sum, the source port from the inner flow's
//! hash, and the VNI. UDP checksum 0 and a source port in 49152–65535 as RFC 7348 §5 asks.

use super::context::Context;
use super::generation::{OUTER_LEN, Role, Template};
use super::io::Io;
use super::packet::Packet;
use super::vector::Vector;
use super::verdict::PackedVerdict;
use crate::ids::Vni;
use crate::metrics::drop_reason::DropReason;
use crate::wire::{ethernet, flow, ipv4, udp, vxlan};

const IP_AT: usize = ethernet::HEADER_LEN;
const UDP_AT: usize = IP_AT + ipv4::HEADER_LEN;
const VXLAN_AT: usize = UDP_AT + udp::HEADER_LEN;

/// By how much encapsulation lengthens a frame, in bytes.
pub(super) const ADDED_LEN: u32 = 50;
/// By how much the lengths that UDP and IPv4 state exceed those of what they carry.
const UDP_ADDED_LEN: u16 = 16;
const IP_ADDED_LEN: u16 = 20;
const _: () = assert!(
    ADDED_LEN as usize == OUTER_LEN
        && UDP_ADDED_LEN as usize == udp::HEADER_LEN + vxlan::HEADER_LEN
        && IP_ADDED_LEN as usize == ipv4::HEADER_LEN
);

/// The outer UDP source port of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Entropy(u16);

impl Entropy {
    /// That of the flow that a tenant's frame belongs to.
    #[inline(always)]
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        Self(flow::source_port(flow::hash(frame)))
    }
}

/// Encapsulates what is to be encapsulated; each such frame then goes to the tunnel's uplink. Does
/// nothing on an uplink: what came from the overlay does not go back there.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let generation = context.generation;
    let Role::Tenant(network) = generation.ports[vector.port.index()].role else { return };
    let vni = generation.networks[network.index()].vni;
    let len = vector.len();
    let Vector { packets, lens, verdicts, .. } = vector;
    for (i, packet) in packets[..len].iter_mut().enumerate() {
        let Some(tunnel) = verdicts[i].tunnel() else { continue };
        let tunnel = &generation.tunnels[tunnel.index()];
        let done = tunnel.admits(lens[i]).and_then(|()| {
            let entropy = Entropy::of(packet.bytes());
            put_headers(packet, &tunnel.template, lens[i], vni, entropy)
        });
        verdicts[i] = match done {
            Ok(()) => {
                lens[i] += ADDED_LEN;
                PackedVerdict::to(tunnel.uplink)
            }
            Err(reason) => PackedVerdict::drop(reason),
        };
    }
}

/// Puts outer headers before a frame of `len` bytes that its tunnel [admits](super::generation::Tunnel::admits).
///
/// # Errors
/// There is no room for them.
#[inline(always)]
pub(super) fn put_headers<P: Packet>(
    packet: &mut P,
    template: &Template,
    len: u32,
    vni: Vni,
    entropy: Entropy,
) -> Result<(), DropReason> {
    let outer = packet.grow_front(OUTER_LEN).and_then(|outer| outer.first_chunk_mut::<OUTER_LEN>());
    let outer = outer.ok_or(DropReason::NoHeadroom)?;
    #[allow(clippy::cast_possible_truncation, reason = "the tunnel admits no more than its MTU")]
    let udp_len = len as u16 + UDP_ADDED_LEN;
    *outer = template.bytes;
    let total_len = udp_len + IP_ADDED_LEN;
    ipv4::complete(&mut outer[IP_AT..], template.checksum_seed, total_len);
    udp::complete(&mut outer[UDP_AT..], entropy.0, udp_len);
    vxlan::complete(&mut outer[VXLAN_AT..], vni);
    Ok(())
}
