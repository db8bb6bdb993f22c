//! A burst of frames from one queue with what the stages find out about each: arrays side by side,
//! so that a stage touches only what it needs.

use crate::ids::{BridgeDomain, PortId};
use crate::metrics::counters::Site;
use crate::table::{Destination, Found, Key};

use super::verdict::{DropReason, Verdict};

/// The most frames in a burst.
pub const BURST: usize = 64;

/// What the stages know of one frame.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// What happens to it.
    pub verdict: Verdict,
    /// Where its drop would be counted.
    pub site: Site,
    /// Its network. Valid from the stage that leaves it pending with a network: `parse` on a tenant
    /// port, `decap` on an uplink.
    pub domain: BridgeDomain,
    /// Where its sender is: the port, or the tunnel, that it came from.
    pub origin: Destination,
    /// The tunnel frame that `parse` found, for `decap`.
    pub tunnelled: Tunnelled,
}

/// Where the inner frame is, and what the outer headers said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnelled {
    /// The VNI as it came.
    pub vni: u32,
    /// The outer source address.
    pub remote: u32,
    /// Length of the outer headers, with IPv4 options; 0 if this is not a tunnel frame.
    pub outer_len: u16,
    /// Length of the inner frame.
    pub inner_len: u16,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            verdict: Verdict::Pending,
            site: Site::default(),
            domain: BridgeDomain::default(),
            origin: Destination::Port(PortId(0)),
            tunnelled: Tunnelled::default(),
        }
    }
}

impl Meta {
    /// Ends the frame's way.
    #[inline(always)]
    pub fn drop(&mut self, reason: DropReason) {
        self.verdict = Verdict::Drop(reason);
    }

    /// Whether nothing has been decided yet.
    #[inline(always)]
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.verdict == Verdict::Pending
    }
}

/// A burst. `packets[..len]` are `Some` until the stage `tx` takes them.
#[derive(Debug)]
pub struct Vector<P> {
    /// The port that the burst came from.
    pub port: PortId,
    /// How many frames there are.
    pub len: usize,
    /// The frames.
    pub packets: [Option<P>; BURST],
    /// What is known of each.
    pub meta: [Meta; BURST],
    /// (network, source MAC) of each frame that has a network.
    pub source: [Key; BURST],
    /// (network, destination MAC) of each frame that has a network.
    pub destination: [Key; BURST],
    /// What the FDB has for `source`.
    pub source_found: [Found; BURST],
    /// What the FDB has for `destination`.
    pub destination_found: [Found; BURST],
}

impl<P> Vector<P> {
    /// An empty burst, on the heap: it is some kilobytes.
    #[must_use]
    pub fn new() -> Box<Self> {
        Box::new(Self {
            port: PortId(0),
            len: 0,
            packets: [const { None }; BURST],
            meta: [Meta::default(); BURST],
            source: [NOBODY; BURST],
            destination: [NOBODY; BURST],
            source_found: [Found::MISS; BURST],
            destination_found: [Found::MISS; BURST],
        })
    }

    /// The frames and what is known of each.
    #[inline(always)]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&mut P, &mut Meta)> {
        let packets = self.packets[..self.len].iter_mut().filter_map(Option::as_mut);
        packets.zip(&mut self.meta[..self.len])
    }

    /// Adds a frame that is already decided; the vector must not be full.
    #[inline(always)]
    pub fn push(&mut self, packet: P, meta: Meta) {
        self.packets[self.len] = Some(packet);
        self.meta[self.len] = meta;
        self.len += 1;
    }
}

/// A key that is never in the FDB: no group address is learned.
pub const NOBODY: Key = Key::new(BridgeDomain(0), crate::ids::MacAddr::BROADCAST);
