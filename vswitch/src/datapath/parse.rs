//! Stage `parse`: what is this frame? On a tenant port: one of the network's, or to be dropped. On
//! an uplink: a tunnel frame for us, the host's, or to be dropped.
//!
//! An uplink's frames are judged in the order of their headers, so that each defect has one reason:
//! first what every frame must have, then whether it is the host's to have, then what a tunnel frame
//! must have (RFC 7348 §4.1, §5). Costs one cache line of the frame.

use super::context::Context;
use super::generation::{OUTER_LEN, Role, Vtep};
use super::io::Io;
use super::packet::Packet;
use super::vector::{NOBODY, Tunnelled, Vector};
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::{NetworkId, VtepId};
use crate::metrics::drop_reason::DropReason;
use crate::table::Key;
use crate::wire::ethernet::{self, Ethernet, ethertype};
use crate::wire::ipv4::{self, Ipv4, protocol};
use crate::wire::udp::{self, Udp};
use crate::wire::vxlan::{self, Vxlan};

/// Classifies every frame of the burst.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    match context.generation.ports[vector.port.index()].role {
        Role::Tenant(network) => tenant(vector, network),
        Role::Uplink(vtep) => uplink(vector, vtep, &context.generation.vteps[vtep.index()]),
        Role::Unused => {
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
        let mut keys = (NOBODY, NOBODY);
        if verdicts[i] == PackedVerdict::PENDING {
            let frame = Ethernet::new(packet.bytes()).ok_or(DropReason::Runt);
            match frame.and_then(|frame| admit(frame, network)) {
                Ok(admitted) => keys = admitted,
                Err(reason) => verdicts[i] = PackedVerdict::drop(reason),
            }
        }
        (sources[i], destinations[i]) = keys;
    }
}

#[inline(always)]
fn uplink<P: Packet>(vector: &mut Vector<P>, id: VtepId, vtep: &Vtep) {
    let len = vector.len();
    let Vector { packets, verdicts, tunnelled, .. } = vector;
    for (i, packet) in packets[..len].iter().enumerate() {
        if verdicts[i] != PackedVerdict::PENDING {
            continue;
        }
        let bytes = packet.bytes();
        if let Some(found) = plain(bytes, vtep) {
            tunnelled[i] = found;
            continue;
        }
        match underlay(bytes, vtep) {
            Ok(Underlay::Tunnelled(found)) => tunnelled[i] = found,
            Ok(Underlay::Hosts) => verdicts[i] = Verdict::Punt(id).into(),
            Err(reason) => verdicts[i] = PackedVerdict::drop(reason),
        }
    }
}

/// A tunnel frame for us as nearly all are: no IPv4 options, and no room unused. `None` says only
/// that [`underlay`] has to look.
#[inline(always)]
fn plain(bytes: &[u8], vtep: &Vtep) -> Option<Tunnelled> {
    let outer = bytes.first_chunk::<OUTER_LEN>()?;
    let is_ours = vtep.outer.matches(outer);
    let ip = Ipv4::new(&outer[ethernet::HEADER_LEN..])?;
    let udp = Udp::new(&outer[ethernet::HEADER_LEN + ipv4::HEADER_LEN..])?;
    let vxlan = Vxlan::new(&outer[OUTER_LEN - vxlan::HEADER_LEN..])?;
    let (total_len, udp_len) = (ip.total_len(), udp.len_field());
    let inner_len = udp_len.checked_sub(udp::HEADER_LEN + vxlan::HEADER_LEN)?;
    let is_plain = is_ours
        && udp_len + ipv4::HEADER_LEN == total_len
        && total_len + ethernet::HEADER_LEN <= bytes.len()
        && ip.is_plain_checksum_right();
    #[allow(clippy::cast_possible_truncation, reason = "50, and less than a UDP length")]
    let (outer_len, inner_len) = (OUTER_LEN as u16, inner_len as u16);
    is_plain.then(|| Tunnelled { vni: vxlan.vni(), remote: ip.source(), outer_len, inner_len })
}

/// What a tenant's frame must be to enter its network (an inner VLAN tag is dropped unless configured
/// otherwise: RFC 7348 §6.1). Returns the FDB keys of source and
/// destination.
///
/// # Errors
/// The reason to drop it.
#[inline(always)]
pub(super) fn admit(frame: Ethernet<'_>, network: NetworkId) -> Result<(Key, Key), DropReason> {
    let (source, destination) = (frame.source(), frame.destination());
    if frame.is_tagged() || !source.is_station() || ethernet::is_link_local(destination) {
        return Err(refusal(frame));
    }
    Ok((Key::new(network, source), Key::new(network, destination)))
}

/// Why [`admit`] refuses a frame.
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

/// What a frame of the underlay is.
enum Underlay {
    Tunnelled(Tunnelled),
    Hosts,
}

#[inline(never)]
fn underlay(bytes: &[u8], vtep: &Vtep) -> Result<Underlay, DropReason> {
    let frame = Ethernet::new(bytes).ok_or(DropReason::Runt)?;
    if frame.is_tagged() {
        return Err(DropReason::VlanNotConfigured);
    }
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
