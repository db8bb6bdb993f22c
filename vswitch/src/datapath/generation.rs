//! One immutable, complete picture of ports, networks and tunnels, as workers read it.
//!
//! Built by the control thread ([`crate::topology`]), published through
//! [`crate::table::snapshot`], read once per turn by each worker. Everything is indexed by dense
//! newtypes; the two look-ups by value (a VNI, a remote VTEP's address) are O(1).
//!
//! A generation is made of parts that generations share: one with other next hops has tunnels of its
//! own, one with other captures has watches of its own, and everything else is the same memory.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::capture::selection::{CapturePoints, Watch};
use super::directory::Directory;
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, Vni, VtepId};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, PackedDestination};
use crate::wire::{ethernet, ipv4, udp, vxlan};

/// Length of the outer headers: Ethernet, IPv4, UDP and VXLAN, 50 bytes.
pub const OUTER_LEN: usize =
    ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN + vxlan::HEADER_LEN;

/// The whole picture. A clone shares every part.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The number of the configuration that it was made from, as users see it.
    pub number: u64,
    /// The number of the wiring that it goes with: a worker that sees another one than before
    /// [changes its queues](super::io::Io::rewire) first.
    pub wiring: u64,
    /// Ports by [`PortId`].
    pub ports: Arc<[Port]>,
    /// Networks by [`NetworkId`].
    pub networks: Arc<[Network]>,
    /// Local VTEPs by [`VtepId`].
    pub vteps: Arc<[Vtep]>,
    /// Remote VTEPs by [`TunnelId`].
    pub tunnels: Arc<[Tunnel]>,
    /// Who may send to whom through tunnels.
    pub peers: Arc<PeerSets>,
    /// What captures there are: at most [`MAX_CAPTURES`](super::capture::selection::MAX_CAPTURES).
    pub watches: Arc<[Watch]>,
    /// Where they look, all together.
    pub points: CapturePoints,
    /// The least [`Network::refresh_after_secs`]: a source that was heard more lately needs no refresh
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
    Tenant(NetworkId),
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
pub struct Network {
    /// Its VNI.
    pub vni: Vni,
    /// The uplink of its VTEP, if it has one.
    pub uplink: Option<PortId>,
    /// Member ports.
    pub ports: Box<[PortId]>,
    /// The tunnels that flooded frames go to.
    pub flood: Box<[TunnelId]>,
    /// The number of the set of tunnels, in [`PeerSets`], that it accepts frames from.
    pub peers: u16,
    /// A hit on a learned entry older than this asks for a refresh, in seconds. `u32::MAX` if
    /// entries do not age.
    pub refresh_after_secs: u32,
}

impl Network {
    /// The place of a network that there is not. `peers` is the number of an empty set.
    #[must_use]
    pub fn nothing(peers: u16) -> Self {
        Self {
            vni: Vni::LEAST,
            uplink: None,
            ports: Box::default(),
            flood: Box::default(),
            peers,
            refresh_after_secs: u32::MAX,
        }
    }
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
    /// Networks by VNI: see [`Membership`].
    pub networks: Directory,
    /// [`TunnelId`]s by the remote VTEP's address.
    pub tunnels: Directory,
}

impl Vtep {
    /// The place of a VTEP that there is not: no port carries it, and nothing is for it.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            mac: MacAddr::ZERO,
            address: 0,
            udp_port: 0,
            outer: OuterPattern::new(MacAddr::ZERO, Ipv4Addr::UNSPECIFIED, 0),
            networks: Directory::new(&[]),
            tunnels: Directory::new(&[]),
        }
    }
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
        #[allow(clippy::cast_possible_truncation, reason = "36")]
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

    /// Whether the next hop is known, so that frames can go this way at all.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.template != Template::NOBODY
    }

    /// Whether a frame of `len` bytes can go this way.
    ///
    /// # Errors
    /// Why not.
    #[inline(always)]
    pub fn admits(&self, len: u32) -> Result<(), DropReason> {
        if len <= u32::from(self.max_inner_len) {
            Ok(())
        } else if self.is_resolved() {
            Err(DropReason::ExceedsUnderlayMtu)
        } else {
            Err(DropReason::NextHopUnresolved)
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

/// What a VNI stands for: the network, and the set of tunnels that it accepts frames from. In the
/// [`Directory`] they are one number, so that decapsulation need not touch the network itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The network.
    pub network: NetworkId,
    /// The number of its set in [`PeerSets`].
    pub peers: u16,
}

impl From<Membership> for u32 {
    fn from(membership: Membership) -> Self {
        Self::from(membership.peers) << 16 | Self::from(membership.network.0)
    }
}

impl From<u32> for Membership {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a word")]
    fn from(word: u32) -> Self {
        Self { network: NetworkId(word as u16), peers: (word >> 16) as u16 }
    }
}

/// Sets of tunnels, one bit for each tunnel. Networks with the same peers share a set, so that there
/// are few even where there are many networks.
#[derive(Clone, Debug, Default)]
pub struct PeerSets {
    words_per_set: usize,
    words: Vec<u64>,
    numbers: HashMap<Box<[u64]>, u16>,
}

impl Generation {
    /// Whether frames can go to a place now: to a port, or through a tunnel whose next hop is known.
    #[must_use]
    pub fn reaches(&self, place: Destination) -> bool {
        match place {
            Destination::Port(_) => true,
            Destination::Tunnel(tunnel) => {
                self.tunnels.get(tunnel.index()).is_some_and(Tunnel::is_resolved)
            }
        }
    }

    /// This generation with other captures, and with the number that users know it by. All other
    /// parts are shared.
    #[must_use]
    pub fn watched(&self, number: u64, watches: Vec<Watch>) -> Self {
        let points =
            watches.iter().fold(CapturePoints::NONE, |all, watch| all | watch.selection.points);
        Self { number, watches: watches.into(), points, ..self.clone() }
    }

    /// Whether the stations of a network may be at a place: on a port of it, or behind one of its peers.
    #[must_use]
    pub fn admits(&self, network: NetworkId, place: Destination) -> bool {
        let Some(found) = self.networks.get(network.index()) else { return false };
        match place {
            Destination::Port(port) => {
                let port = self.ports.get(port.index());
                port.is_some_and(|port| port.role == Role::Tenant(network))
            }
            Destination::Tunnel(tunnel) => {
                tunnel.index() < self.tunnels.len() && self.peers.contains(found.peers, tunnel)
            }
        }
    }
}

impl PeerSets {
    /// No sets yet, for so many tunnels.
    #[must_use]
    pub fn new(tunnels: usize) -> Self {
        Self { words_per_set: tunnels.div_ceil(64), ..Self::default() }
    }

    /// The number of a set, which is added if there is none like it. There are no more sets than
    /// networks, so 16 bits number them.
    pub fn add(&mut self, tunnels: impl IntoIterator<Item = TunnelId>) -> u16 {
        let mut words = vec![0; self.words_per_set];
        for tunnel in tunnels {
            words[tunnel.index() / 64] |= 1 << (tunnel.index() % 64);
        }
        #[allow(clippy::cast_possible_truncation, reason = "no more sets than networks")]
        let next = self.numbers.len() as u16;
        let number = *self.numbers.entry(words.clone().into()).or_insert(next);
        if number == next {
            self.words.extend(words);
        }
        number
    }

    /// Whether a tunnel is in a set.
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, set: u16, tunnel: TunnelId) -> bool {
        let word = self.words[usize::from(set) * self.words_per_set + tunnel.index() / 64];
        word >> (tunnel.index() % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_sets_hold_what_was_put_in_once() {
        let mut sets = PeerSets::new(201);
        let tunnels = [0, 63, 64, 200];
        let some = sets.add(tunnels.map(TunnelId));
        let none = sets.add([]);
        assert_ne!(some, none);
        assert_eq!(sets.add([200, 64, 63, 0].map(TunnelId)), some, "one like it is there");
        for n in 0..201 {
            assert_eq!(sets.contains(some, TunnelId(n)), tunnels.contains(&n));
            assert!(!sets.contains(none, TunnelId(n)));
        }
    }

    #[test]
    fn a_membership_comes_back() {
        for (network, peers) in [(0, 0), (1, 2), (65_534, 65_535)] {
            let membership = Membership { network: NetworkId(network), peers };
            assert_eq!(Membership::from(u32::from(membership)), membership);
        }
    }
}
