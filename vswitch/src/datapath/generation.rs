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

use super::capture::queue::Watch;
use super::capture::selection::CapturePoints;
use super::directory::Directory;
use super::tunnel::UNDERLAY_OVERHEAD;
use super::tunnel::recognition::Recognition;
use super::tunnel::template::Template;
use crate::ids::{MacAddr, NetworkId, PortId, TunnelId, UnderlayId, Vni, VtepId};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, PackedDestination};

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
    /// Underlays by [`UnderlayId`].
    pub underlays: Arc<[Underlay]>,
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

/// What the pipeline knows of a port: a device.
#[derive(Clone, Debug)]
pub struct Port {
    /// What the frames that it receives belong to.
    pub entrance: Entrance,
    /// The longest frame that may come or leave by it, in bytes with Ethernet header, without FCS.
    pub max_frame_len: u32,
}

/// Where frames enter the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Nowhere: they are dropped.
    Unused,
    /// As frames of a network.
    Network(NetworkId),
    /// As frames of an underlay.
    Underlay(UnderlayId),
}

/// What the pipeline knows of an underlay: what carries VTEPs.
#[derive(Clone, Debug)]
pub struct Underlay {
    /// What tells tunnel frames from those of the kernel.
    pub recognition: Recognition,
    /// The VTEP that it carries.
    pub vtep: VtepId,
}

impl Underlay {
    /// In place of an underlay that there is not: no port leads there.
    #[must_use]
    pub fn nothing() -> Self {
        let recognition = Recognition::new(MacAddr::ZERO, Ipv4Addr::UNSPECIFIED, 0);
        Self { recognition, vtep: VtepId(0) }
    }
}

/// What the pipeline knows of a network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its VNI.
    pub vni: Vni,
    /// The port of its VTEP's underlay, if it has a VTEP.
    pub uplink: Option<PortId>,
    /// Its ports.
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
    /// In place of a network that there is not. `peers` is the number of an empty set.
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

/// What the pipeline knows of a local VTEP: an address on an underlay, whose
/// [recognition](Underlay::recognition) has it.
#[derive(Clone, Debug)]
pub struct Vtep {
    /// Networks by VNI: see [`Carried`].
    pub networks: Directory,
    /// [`TunnelId`]s by the remote VTEP's address.
    pub tunnels: Directory,
}

impl Vtep {
    /// In place of a VTEP that there is not: no network, no tunnel.
    #[must_use]
    pub fn nothing() -> Self {
        Self { networks: Directory::new(&[]), tunnels: Directory::new(&[]) }
    }
}

/// What the pipeline knows of a remote VTEP. One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Tunnel {
    /// The port that its frames leave by, as a way to go.
    pub exit: PackedDestination,
    /// The longest frame that fits in the underlay's MTU with outer headers, in bytes.
    max_inner_len: u16,
    /// Outer headers.
    pub template: Template,
}

const _: () = assert!(size_of::<Tunnel>() == 64);

impl Tunnel {
    /// A tunnel by a port whose payload is at most `mtu` bytes long.
    #[must_use]
    pub fn new(exit: PortId, mtu: u16, template: Option<Template>) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "36")]
        let overhead = UNDERLAY_OVERHEAD as u16;
        // A tunnel that leads nowhere yet has room for nothing: one comparison on the way of every frame.
        let max_inner_len = template.as_ref().map_or(0, |_| mtu.saturating_sub(overhead));
        let template = template.unwrap_or(Template::UNRESOLVED);
        Self { exit: Destination::Port(exit).into(), max_inner_len, template }
    }

    /// The port that its frames leave by.
    #[must_use]
    pub fn port(&self) -> PortId {
        match self.exit.into() {
            Destination::Port(port) => port,
            Destination::Tunnel(_) => unreachable!("`new` makes it of a port"),
        }
    }

    /// Whether the next hop is known, so that frames can go this way at all.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.template != Template::UNRESOLVED
    }

    /// Checks that a frame of `len` bytes fits.
    ///
    /// # Errors
    /// Why it cannot go this way.
    #[inline(always)]
    pub fn check(&self, len: u32) -> Result<(), DropReason> {
        if len <= u32::from(self.max_inner_len) {
            Ok(())
        } else if self.is_resolved() {
            Err(DropReason::ExceedsUnderlayMtu)
        } else {
            Err(DropReason::NextHopUnresolved)
        }
    }
}

/// What a VNI stands for at a VTEP: the network, and the set of tunnels that it accepts frames from. In the
/// [`Directory`] they are one number, so that decapsulation need not touch the network itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The network.
    pub network: NetworkId,
    /// The number of its set in [`PeerSets`].
    pub peers: u16,
}

impl From<Carried> for u32 {
    fn from(carried: Carried) -> Self {
        Self::from(carried.peers) << 16 | Self::from(carried.network.0)
    }
}

impl From<u32> for Carried {
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
    /// Whether frames can go to a destination now: to a port, or through a tunnel whose next hop is known.
    #[must_use]
    pub fn reaches(&self, destination: Destination) -> bool {
        match destination {
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

    /// Whether stations of a network can be at a destination: on a port of it, or behind one of its peers.
    #[must_use]
    pub fn has_stations_at(&self, network: NetworkId, destination: Destination) -> bool {
        let Some(found) = self.networks.get(network.index()) else { return false };
        match destination {
            Destination::Port(port) => self.entrance(port) == Entrance::Network(network),
            Destination::Tunnel(tunnel) => {
                tunnel.index() < self.tunnels.len() && self.peers.contains(found.peers, tunnel)
            }
        }
    }

    /// What frames of a port belong to. A port that this generation does not have is unused.
    #[must_use]
    pub fn entrance(&self, port: PortId) -> Entrance {
        self.ports.get(port.index()).map_or(Entrance::Unused, |port| port.entrance)
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
    fn a_carried_network_comes_back() {
        for (network, peers) in [(0, 0), (1, 2), (65_534, 65_535)] {
            let carried = Carried { network: NetworkId(network), peers };
            assert_eq!(Carried::from(u32::from(carried)), carried);
        }
    }
}
