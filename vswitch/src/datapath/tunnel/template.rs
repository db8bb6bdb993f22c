//! The outer headers to a remote VTEP.
//!
//! A [`Template`] is made by the control thread when a next hop is known. What differs per frame is the
//! lengths, the IPv4 checksum (from the template's sum), the source port from the inner flow's hash, and the
//! VNI. The UDP checksum is 0 and the source port is in 49152–65535, as RFC 7348 §5 asks.

use std::net::Ipv4Addr;

use super::{IP_AT, OUTER_LEN, UDP_AT, VXLAN_AT};
use crate::datapath::packet::Packet;
use crate::ids::{MacAddr, Vni};
use crate::metrics::drop_reason::DropReason;
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;
use crate::wire::udp::Udp;
use crate::wire::vxlan::Vxlan;
use crate::wire::{ethernet, flow, ipv4, udp, vxlan};

/// By how much encapsulation lengthens a frame, in bytes.
#[allow(clippy::cast_possible_truncation, reason = "50")]
pub const ADDED_LEN: u32 = OUTER_LEN as u32;
/// By how much the lengths that UDP and IPv4 state exceed those of what they carry.
const UDP_ADDED_LEN: u16 = 16;
const IP_ADDED_LEN: u16 = 20;
const _: () = assert!(
    UDP_ADDED_LEN as usize == udp::HEADER_LEN + vxlan::HEADER_LEN
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

/// The outer headers to a remote VTEP, complete but for what differs per frame: the two lengths, the IPv4
/// checksum, the UDP source port and the VNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The bytes, with those fields zero.
    pub bytes: [u8; OUTER_LEN],
    /// Sum of the IPv4 header's words with length and checksum zero, to be completed per frame.
    pub checksum_seed: u32,
}

impl Template {
    /// In place of the headers to a next hop that is not known.
    pub const UNRESOLVED: Self = Self { bytes: [0; OUTER_LEN], checksum_seed: 0 };

    /// Outer headers from one end to the other.
    #[must_use]
    pub fn new(
        next_hop: MacAddr,
        mac: MacAddr,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        udp_port: u16,
    ) -> Self {
        let mut bytes = [0; OUTER_LEN];
        let (ethernet, rest) = bytes.split_at_mut(ethernet::HEADER_LEN);
        let (ip, rest) = rest.split_at_mut(ipv4::HEADER_LEN);
        let (udp, vxlan) = rest.split_at_mut(udp::HEADER_LEN);
        ethernet::emit(ethernet, next_hop, mac, ethernet::ethertype::IPV4);
        let header = ipv4::Header {
            source: source.to_bits(),
            destination: destination.to_bits(),
            protocol: ipv4::protocol::UDP,
            ttl: 64,
            total_len: 0,
        };
        let checksum_seed = ipv4::emit_partial(ip, &header);
        udp::emit(udp, 0, udp_port, 0);
        vxlan::emit_partial(vxlan);
        Self { bytes, checksum_seed }
    }

    /// Puts the headers before a frame of `len` bytes.
    ///
    /// # Errors
    /// There is no room for them.
    #[inline(always)]
    pub fn put<P: Packet>(
        &self,
        packet: &mut P,
        len: u32,
        vni: Vni,
        entropy: Entropy,
    ) -> Result<(), DropReason> {
        let outer =
            packet.grow_front(OUTER_LEN).and_then(|outer| outer.first_chunk_mut::<OUTER_LEN>());
        let outer = outer.ok_or(DropReason::NoHeadroom)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the tunnel admits no more than its MTU"
        )]
        let udp_len = len as u16 + UDP_ADDED_LEN;
        *outer = self.bytes;
        let total_len = udp_len + IP_ADDED_LEN;
        ipv4::complete(&mut outer[IP_AT..], self.checksum_seed, total_len);
        udp::complete(&mut outer[UDP_AT..], entropy.0, udp_len);
        vxlan::complete(&mut outer[VXLAN_AT..], vni);
        Ok(())
    }
}

/// What the outer headers of a frame say that this switch encapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The address of the remote VTEP.
    pub remote: u32,
    /// The UDP port of both VTEPs.
    pub udp_port: u16,
    /// The VNI.
    pub vni: u32,
}

impl Written {
    /// Reads headers as a [`Template`] has them: no tag, no IPv4 options. `None` for any other frame.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (outer, ip) = (Ethernet::new(frame)?, Ipv4::new(frame.get(IP_AT..)?)?);
        let (udp, vxlan) = (Udp::new(frame.get(UDP_AT..)?)?, Vxlan::new(frame.get(VXLAN_AT..)?)?);
        let is_plain = outer.ethertype() == ethernet::ethertype::IPV4
            && (ip.version(), ip.header_len()) == (4, ipv4::HEADER_LEN)
            && ip.protocol() == ipv4::protocol::UDP;
        let (remote, udp_port, vni) = (ip.destination(), udp.destination(), vxlan.vni());
        is_plain.then_some(Self { remote, udp_port, vni })
    }
}
