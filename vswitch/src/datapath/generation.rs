//! One immutable, complete picture of ports, networks and tunnels, as workers read it.
//!
//! Built by the control thread ([`crate::control::generations`]), published through
//! [`crate::table::snapshot`], read once per turn by each worker. Everything is indexed by dense
//! newtypes; the two look-ups by value (a VNI, a remote VTEP's address) are O(1).

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use crate::ids::{BridgeDomain, MacAddr, PortId, TunnelId, Vni, VtepId};
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
}

/// What the pipeline knows of a port.
#[derive(Clone, Debug)]
pub struct Port {
    /// What the port is for.
    pub role: Role,
    /// The longest frame that may come or leave by it, in bytes with Ethernet header, without FCS.
    pub max_frame_len: usize,
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
    /// Networks by VNI.
    pub domains: HashMap<u32, BridgeDomain>,
    /// Tunnels by the remote VTEP's address.
    pub tunnels: HashMap<u32, TunnelId>,
}

/// What the pipeline knows of a remote VTEP.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// The uplink.
    pub port: PortId,
    /// The longest frame that fits in the underlay's MTU with outer headers, in bytes.
    pub max_inner_len: usize,
    /// Outer headers, or `None` while the next hop is not resolved.
    pub template: Option<Template>,
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
