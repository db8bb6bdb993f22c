//! Stage `parse`: what is this frame? On a tenant port: one of the network's, or to be dropped. On
//! an uplink: a tunnel frame for us, the host's, or to be dropped.
//!
//! An uplink's frames are judged in the order of their headers, so that each defect has one reason:
//! first what every frame must have, then whether it is the host's to have, then what a tunnel frame
//! must have (RFC 7348 §4.1, §5). Costs one cache line of the frame.

use super::context::Context;
use super::generation::{Port, Role, Vtep};
use super::io::Io;
use super::packet::Packet;
use super::vector::{NOBODY, Tunnelled, Vector};
use super::verdict::{DropReason, Verdict};
use crate::ids::{BridgeDomain, VtepId};
use crate::table::Key;
use crate::wire::ethernet::{self, Ethernet, ethertype};
use crate::wire::ipv4::{self, Ipv4, protocol};
use crate::wire::udp::{self, Udp};
use crate::wire::vxlan::{self, Vxlan};

/// Classifies every frame of the burst.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let port = &context.generation.ports[vector.port.index()];
    match port.role {
        Role::Tenant(domain) => tenant(vector, port, domain),
        Role::Uplink(vtep) => uplink(vector, port, vtep, &context.generation.vteps[vtep.index()]),
        Role::Unused => {
            for meta in &mut vector.meta[..vector.len] {
                meta.drop(DropReason::PortUnused);
            }
        }
    }
}

fn tenant<P: Packet>(vector: &mut Vector<P>, port: &Port, domain: BridgeDomain) {
    for i in 0..vector.len {
        let Some(packet) = &vector.packets[i] else { continue };
        let admitted = whole_and_untagged(packet, port).and_then(|frame| admit(frame, domain));
        let meta = &mut vector.meta[i];
        meta.domain = domain;
        (vector.source[i], vector.destination[i]) = admitted.unwrap_or_else(|reason| {
            meta.drop(reason);
            (NOBODY, NOBODY)
        });
    }
}

fn uplink<P: Packet>(vector: &mut Vector<P>, port: &Port, id: VtepId, vtep: &Vtep) {
    for (packet, meta) in vector.iter_mut() {
        let found = whole_and_untagged(packet, port).and_then(|frame| underlay(frame, vtep));
        match found {
            Ok(Underlay::Tunnelled(tunnelled)) => meta.tunnelled = tunnelled,
            Ok(Underlay::Hosts) => meta.verdict = Verdict::Punt(id),
            Err(reason) => meta.drop(reason),
        }
    }
}

/// What every frame must be, whichever port it comes from.
#[inline(always)]
fn whole_and_untagged<'a, P: Packet>(
    packet: &'a P,
    port: &Port,
) -> Result<Ethernet<'a>, DropReason> {
    if !packet.is_contiguous() {
        return Err(DropReason::NotContiguous);
    }
    // Also what tells a frame that a driver cut to the size of its ring's slots (net_af_packet).
    if packet.len() > port.max_frame_len {
        return Err(DropReason::Oversize);
    }
    let frame = Ethernet::new(packet.bytes()).ok_or(DropReason::Runt)?;
    if frame.is_tagged() || packet.has_stripped_vlan() {
        return Err(DropReason::VlanNotConfigured);
    }
    Ok(frame)
}

/// What a tenant's frame must be to enter its network. Returns the FDB keys of source and
/// destination.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub(super) fn admit(frame: Ethernet<'_>, domain: BridgeDomain) -> Result<(Key, Key), DropReason> {
    let (source, destination) = (frame.source(), frame.destination());
    if !source.is_station() {
        return Err(DropReason::InvalidSourceMac);
    }
    if ethernet::is_link_local(destination) {
        return Err(DropReason::LinkLocalMulticast);
    }
    Ok((Key::new(domain, source), Key::new(domain, destination)))
}

enum Underlay {
    Tunnelled(Tunnelled),
    Hosts,
}

#[inline(always)]
fn underlay(frame: Ethernet<'_>, vtep: &Vtep) -> Result<Underlay, DropReason> {
    let destination = frame.destination();
    if destination != vtep.mac {
        // Group addresses are the host's: ARP requests, routing protocols.
        return if destination.is_multicast() {
            Ok(Underlay::Hosts)
        } else {
            Err(DropReason::NotOurMac)
        };
    }
    if frame.ethertype() != ethertype::IPV4 {
        return Ok(Underlay::Hosts);
    }
    let bytes = frame.payload();
    let ip = Ipv4::new(bytes).ok_or(DropReason::Truncated)?;
    let (header_len, total_len) = (ip.header_len(), ip.total_len());
    if ip.version() != 4 || header_len < ipv4::HEADER_LEN {
        return Err(DropReason::OuterBadIhl);
    }
    if total_len < header_len {
        return Err(DropReason::OuterBadLength);
    }
    // What follows the datagram is padding of a short frame (RFC 894).
    let datagram = bytes.get(..total_len).ok_or(DropReason::Truncated)?;
    if ip.protocol() != protocol::UDP {
        return Ok(Underlay::Hosts);
    }
    let ours = ip.destination() == vtep.address;
    if ip.is_fragment() {
        return if ours { Err(DropReason::OuterFragment) } else { Ok(Underlay::Hosts) };
    }
    let udp_bytes = &datagram[header_len..];
    let udp = Udp::new(udp_bytes).ok_or(DropReason::Truncated)?;
    if udp.destination() != vtep.udp_port {
        let other_tunnel = vxlan::WELL_KNOWN_UDP_PORTS.contains(&udp.destination());
        return if ours && other_tunnel {
            Err(DropReason::VxlanWrongUdpPort)
        } else {
            Ok(Underlay::Hosts)
        };
    }
    if !ours {
        return Err(DropReason::NotOurAddress);
    }
    if !ip.is_checksum_right() {
        return Err(DropReason::OuterBadChecksum);
    }
    let udp_len = udp.len_field();
    if udp_len < udp::HEADER_LEN || udp_len > udp_bytes.len() {
        return Err(DropReason::OuterBadLength);
    }
    let vxlan_bytes = &udp_bytes[udp::HEADER_LEN..udp_len];
    let vxlan = Vxlan::new(vxlan_bytes).ok_or(DropReason::Truncated)?;
    if !vxlan.has_vni() {
        return Err(DropReason::VxlanNoVniFlag);
    }
    let inner_len = vxlan_bytes.len() - vxlan::HEADER_LEN;
    let outer_len = ethernet::HEADER_LEN + header_len + udp::HEADER_LEN + vxlan::HEADER_LEN;
    #[allow(clippy::cast_possible_truncation, reason = "both are below an IPv4 total length")]
    let (outer_len, inner_len) = (outer_len as u16, inner_len as u16);
    Ok(Underlay::Tunnelled(Tunnelled {
        vni: vxlan.vni(),
        remote: ip.source(),
        outer_len,
        inner_len,
    }))
}
