//! Which frames of an underlay are tunnel frames for a VTEP, and what their outer headers say.
//!
//! Nearly all are recognised by [`Recognition::plain`]: a masked comparison of six words, and the lengths.
//! [`Recognition::judge`] looks at every other frame header by header, in the order of the headers, so that
//! each defect has one reason: first what every frame must have, then whether the frame is the kernel's,
//! then what a tunnel frame must have (RFC 7348 §4.1, §5). Both read one cache line of the frame.

use std::net::Ipv4Addr;

use super::template::Template;
use super::{IP_AT, OUTER_LEN, UDP_AT, VXLAN_AT};
use crate::ids::MacAddr;
use crate::metrics::drop_reason::DropReason;
use crate::wire::ethernet::{self, Ethernet, ethertype};
use crate::wire::ipv4::{self, Ipv4, protocol};
use crate::wire::udp::{self, Udp};
use crate::wire::vxlan::{self, Vxlan};

/// What the outer headers of a tunnel frame say, and where its inner frame is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnelled {
    /// The VNI as it came.
    pub vni: u32,
    /// The outer source address.
    pub remote: u32,
    /// Length of the outer headers, with IPv4 options.
    pub outer_len: u16,
    /// Length of the inner frame.
    pub inner_len: u16,
}

/// What a frame of the underlay is.
#[derive(Clone, Copy, Debug)]
pub enum Recognised {
    /// A tunnel frame for the VTEP.
    Tunnelled(Tunnelled),
    /// A frame for the kernel.
    ForKernel,
}

/// Up to the VXLAN header's VNI, exclusive of its last byte.
const WORDS: usize = 6;

/// What tells the tunnel frames of one VTEP from the other frames of its underlay.
#[derive(Clone, Debug)]
pub struct Recognition {
    mac: MacAddr,
    address: u32,
    udp_port: u16,
    /// What the outer headers of nearly all of them have in common, in the bits that `mask` selects: no IPv4
    /// options, no fragment.
    bits: [u64; WORDS],
    mask: [u64; WORDS],
}

impl Recognition {
    /// Of the VTEP with an address and a UDP port, on the underlay that has a MAC.
    #[must_use]
    pub fn new(mac: MacAddr, address: Ipv4Addr, udp_port: u16) -> Self {
        let (mut bits, mut mask) = ([0; WORDS * 8], [0; WORDS * 8]);
        let template = Template::new(mac, MacAddr::ZERO, Ipv4Addr::UNSPECIFIED, address, udp_port);
        bits.copy_from_slice(&template.bytes[..WORDS * 8]);
        mask[..6].fill(0xff); // destination MAC
        mask[12..14].fill(0xff); // EtherType
        mask[IP_AT] = 0xff; // version and header length
        mask[IP_AT + 6..IP_AT + 8].copy_from_slice(&ipv4::FRAGMENT_MASK.to_be_bytes());
        mask[IP_AT + 9] = 0xff; // protocol
        mask[IP_AT + 16..UDP_AT].fill(0xff); // destination address
        mask[UDP_AT + 2..UDP_AT + 4].fill(0xff); // destination port
        mask[VXLAN_AT] = vxlan::FLAG_I;
        let words = |bytes: [u8; WORDS * 8]| {
            std::array::from_fn(|i| u64::from_ne_bytes(std::array::from_fn(|j| bytes[i * 8 + j])))
        };
        let address = address.to_bits();
        Self { mac, address, udp_port, bits: words(bits), mask: words(mask) }
    }

    /// The UDP port that tunnel frames are for.
    #[must_use]
    pub fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// Whether the headers are as those of nearly all tunnel frames.
    #[inline(always)]
    #[must_use]
    fn matches(&self, outer: &[u8; OUTER_LEN]) -> bool {
        let (words, _) = outer.as_chunks::<8>();
        let mut differences = 0;
        for (i, word) in words.iter().enumerate() {
            differences |= (u64::from_ne_bytes(*word) ^ self.bits[i]) & self.mask[i];
        }
        differences == 0
    }

    /// Recognises a tunnel frame without IPv4 options and without unused room. `None` says only that
    /// [`judge`](Self::judge) has to look.
    #[inline(always)]
    #[must_use]
    pub fn plain(&self, bytes: &[u8]) -> Option<Tunnelled> {
        let outer = bytes.first_chunk::<OUTER_LEN>()?;
        let is_ours = self.matches(outer);
        let ip = Ipv4::new(&outer[IP_AT..])?;
        let udp = Udp::new(&outer[UDP_AT..])?;
        let vxlan = Vxlan::new(&outer[VXLAN_AT..])?;
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

    /// Says what a frame is, by its headers one after the other.
    ///
    /// # Errors
    /// Why it is dropped.
    #[inline(never)]
    pub fn judge(&self, bytes: &[u8]) -> Result<Recognised, DropReason> {
        let frame = Ethernet::new(bytes).ok_or(DropReason::Runt)?;
        if frame.is_tagged() {
            return Err(DropReason::VlanNotConfigured);
        }
        let destination = frame.destination();
        if destination != self.mac {
            // Group addresses are the kernel's: ARP requests, routing protocols.
            return if destination.is_multicast() {
                Ok(Recognised::ForKernel)
            } else {
                Err(DropReason::NotOurMac)
            };
        }
        if frame.ethertype() != ethertype::IPV4 {
            return Ok(Recognised::ForKernel);
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
            return Ok(Recognised::ForKernel);
        }
        let ours = ip.destination() == self.address;
        if ip.is_fragment() {
            return if ours { Err(DropReason::OuterFragment) } else { Ok(Recognised::ForKernel) };
        }
        let udp_bytes = &datagram[header_len..];
        let udp = Udp::new(udp_bytes).ok_or(DropReason::Truncated)?;
        if udp.destination() != self.udp_port {
            let other_tunnel = vxlan::WELL_KNOWN_UDP_PORTS.contains(&udp.destination());
            return if ours && other_tunnel {
                Err(DropReason::VxlanWrongUdpPort)
            } else {
                Ok(Recognised::ForKernel)
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
        Ok(Recognised::Tunnelled(Tunnelled {
            vni: vxlan.vni(),
            remote: ip.source(),
            outer_len,
            inner_len,
        }))
    }
}
