//! One immutable, complete picture of ports, networks and tunnels, as workers read it.
//!
//! Built by the control thread ([`crate::control::generations`]), published through
//! [`crate::table::snapshot`], read once per turn by each worker. Everything is indexed by dense
//! newtypes; the two look-ups by value (a VNI, a remote VTEP's address) are O(1).

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::verdict::DropReason;
use crate::ids::{BridgeDomain, MacAddr, PortId, TunnelId, Vni, VtepId};
use crate::table::{Destination, PackedDestination};
use crate::wire::{ethernet, ipv4, udp, vxlan};

/// Length of the outer headers: Ethernet, IPv4, UDP and VXLAN, 50 bytes.
pub const OUTER_LEN: usize =
    ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN + vxlan::HEADER_LEN;

/// The whole picture.
#[derive(Debug)]
pub struct Generation {
    /// Ports by [`PortId`].
    pub ports: Box<[Port]>,
    /// Networks by [`BridgeDomain`].
    pub domains: Box<[Domain]>,
    /// Local VTEPs by [`VtepId`].
    pub vteps: Box<[Vtep]>,
    /// Remote VTEPs by [`TunnelId`].
    pub tunnels: Box<[Tunnel]>,
    /// The least [`Domain::refresh_after_secs`]: a source that was heard more lately needs no refresh
    /// in any network.
    pub refresh_after_secs: u32,
}

/// What the pipeline knows of a port.
#[derive(Clone, Debug)]
pub struct Port {
    /// What the port is for.
    pub role: Role,
    /// The longest frame that may come or leave by it, in bytes with Ethernet header, without FCS.
    pub max_frame_len: u32,
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing: what arrives is dropped.
    Unused,
    /// A member of one network.
    Tenant(BridgeDomain),
    /// Carries the underlay of a VTEP.
    Uplink(VtepId),
}

impl Role {
    /// Whether the port carries the underlay.
    #[inline(always)]
    #[must_use]
    pub const fn is_uplink(self) -> bool {
        matches!(self, Self::Uplink(_))
    }
}

/// What the pipeline knows of a network.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its VNI.
    pub vni: Vni,
    /// Member ports.
    pub ports: Box<[PortId]>,
    /// The tunnels that flooded frames go to.
    pub flood: Box<[TunnelId]>,
    /// The tunnels that frames are accepted from.
    pub peers: TunnelSet,
    /// A hit on a learned entry older than this asks for a refresh, in seconds. `u32::MAX` if
    /// entries do not age.
    pub refresh_after_secs: u32,
}

/// What the pipeline knows of a local VTEP.
#[derive(Clone, Debug)]
pub struct Vtep {
    /// The MAC that the underlay sees.
    pub mac: MacAddr,
    /// The VTEP's address as a number.
    pub address: u32,
    /// The UDP port that it receives on.
    pub udp_port: u16,
    /// What the outer headers of nearly all frames for it have in common.
    pub outer: OuterPattern,
    /// Networks by VNI.
    pub domains: HashMap<u32, BridgeDomain>,
    /// Tunnels by the remote VTEP's address.
    pub tunnels: HashMap<u32, TunnelId>,
}

/// What the pipeline knows of a remote VTEP. One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Tunnel {
    /// The uplink, as a way to go.
    pub uplink: PackedDestination,
    /// The longest frame that fits in the underlay's MTU with outer headers, in bytes.
    max_inner_len: u16,
    /// Outer headers. Those of nobody while the next hop is not resolved.
    pub template: Template,
}

const _: () = assert!(size_of::<Tunnel>() == 64);

impl Tunnel {
    /// A tunnel by an uplink whose payload is at most `mtu` bytes long.
    #[must_use]
    pub fn new(uplink: PortId, mtu: u16, template: Option<Template>) -> Self {
        let outer_len = (OUTER_LEN - ethernet::HEADER_LEN) as u16;
        // A tunnel that leads nowhere yet admits nothing: one comparison on the way of every frame.
        let max_inner_len = template.as_ref().map_or(0, |_| mtu.saturating_sub(outer_len));
        Self {
            uplink: Destination::Port(uplink).into(),
            max_inner_len,
            template: template.unwrap_or(Template::NOBODY),
        }
    }

    /// The uplink.
    #[must_use]
    pub fn port(&self) -> PortId {
        match self.uplink.into() {
            Destination::Port(port) => port,
            Destination::Tunnel(_) => unreachable!("`new` makes it of a port"),
        }
    }

    /// Whether a frame of `len` bytes can go this way.
    ///
    /// # Errors
    /// Why not.
    #[inline(always)]
    pub fn admits(&self, len: u32) -> Result<(), DropReason> {
        if len <= u32::from(self.max_inner_len) {
            Ok(())
        } else if self.template == Template::NOBODY {
            Err(DropReason::NextHopUnresolved)
        } else {
            Err(DropReason::ExceedsUnderlayMtu)
        }
    }
}

/// The outer headers to a remote VTEP, complete but for what differs per frame: the three lengths,
/// the IPv4 checksum, the UDP source port and the VNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The bytes, with those fields zero.
    pub bytes: [u8; OUTER_LEN],
    /// Sum of the IPv4 header's words with length and checksum zero, to be completed per frame.
    pub checksum_seed: u32,
}

impl Template {
    const NOBODY: Self = Self { bytes: [0; OUTER_LEN], checksum_seed: 0 };

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
}

/// What outer headers must be, in the bits that a mask selects, for a frame to be a tunnel frame for
/// a VTEP without anything unusual: no IPv4 options, no fragment. Compared in six words.
#[derive(Clone, Debug)]
pub struct OuterPattern {
    bits: [u64; Self::WORDS],
    mask: [u64; Self::WORDS],
}

impl OuterPattern {
    /// Up to the VXLAN header's VNI, exclusive of its last byte.
    const WORDS: usize = 6;

    /// The pattern of a VTEP.
    #[must_use]
    pub fn new(mac: MacAddr, address: Ipv4Addr, udp_port: u16) -> Self {
        let (mut bits, mut mask) = ([0; Self::WORDS * 8], [0; Self::WORDS * 8]);
        let template = Template::new(mac, MacAddr::ZERO, Ipv4Addr::UNSPECIFIED, address, udp_port);
        bits.copy_from_slice(&template.bytes[..Self::WORDS * 8]);
        let (ip, udp) = (ethernet::HEADER_LEN, ethernet::HEADER_LEN + ipv4::HEADER_LEN);
        let vxlan = udp + udp::HEADER_LEN;
        mask[..6].fill(0xff); // destination MAC
        mask[12..14].fill(0xff); // EtherType
        mask[ip] = 0xff; // version and header length
        mask[ip + 6..ip + 8].copy_from_slice(&ipv4::FRAGMENT_MASK.to_be_bytes());
        mask[ip + 9] = 0xff; // protocol
        mask[ip + 16..udp].fill(0xff); // destination address
        mask[udp + 2..udp + 4].fill(0xff); // destination port
        mask[vxlan] = vxlan::FLAG_I;
        let words = |bytes: [u8; Self::WORDS * 8]| {
            std::array::from_fn(|i| u64::from_ne_bytes(std::array::from_fn(|j| bytes[i * 8 + j])))
        };
        Self { bits: words(bits), mask: words(mask) }
    }

    /// Whether the headers are as usual.
    #[inline(always)]
    #[must_use]
    pub fn matches(&self, outer: &[u8; OUTER_LEN]) -> bool {
        let (words, _) = outer.as_chunks::<8>();
        let mut differences = 0;
        for (i, word) in words.iter().enumerate() {
            differences |= (u64::from_ne_bytes(*word) ^ self.bits[i]) & self.mask[i];
        }
        differences == 0
    }
}

/// A set of tunnels, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelSet(Box<[u64]>);

impl TunnelSet {
    /// Whether the tunnel is in the set.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, tunnel: TunnelId) -> bool {
        self.0.get(tunnel.index() / 64).is_some_and(|word| word >> (tunnel.index() % 64) & 1 != 0)
    }
}

impl FromIterator<TunnelId> for TunnelSet {
    fn from_iter<I: IntoIterator<Item = TunnelId>>(tunnels: I) -> Self {
        let mut words = Vec::new();
        for tunnel in tunnels {
            let word = tunnel.index() / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (tunnel.index() % 64);
        }
        Self(words.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_set_holds_what_was_put_in() {
        let set: TunnelSet = [0, 63, 64, 200].map(TunnelId).into_iter().collect();
        let held: Vec<_> = (0..1000).filter(|n| set.contains(TunnelId(*n))).collect();
        assert_eq!(held, [0, 63, 64, 200]);
        assert!(!TunnelSet::default().contains(TunnelId(0)));
    }
}
