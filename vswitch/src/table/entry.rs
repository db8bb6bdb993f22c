//! What the forwarding table answers: where a MAC address is, packed into one word.
//!
//! One word, because then no reader can see half of an update: the writer refreshes or moves an
//! address by a single store, and a lookup takes the destination and the time in a single load.
//!
//! ```text
//!  63     62    61       60..48  47..32                   31..0
//! static  kind  present  zero    port or tunnel index     refreshed, seconds since start
//! ```

use std::fmt;

use crate::ids::{PortId, TunnelId};

/// There is an entry: no entry is the word zero, which is a miss.
const PRESENT: u64 = 1 << 61;
/// The entry was configured, not learned.
const STATIC: u64 = 1 << 63;
/// The index is a tunnel's, not a port's.
const TUNNEL: u64 = 1 << 62;

/// Where frames for a MAC address go.
///
/// The index is only a number: check it against the generation in hand, which may be older or newer
/// than the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Out of a local port.
    Port(PortId),
    /// Encapsulated, to a remote VTEP.
    Tunnel(TunnelId),
}

/// A [`Destination`] as it stands in an entry: comparing two of them is one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct PackedDestination(u32);

impl PackedDestination {
    const TUNNEL: u32 = (TUNNEL >> 32) as u32;
    const PRESENT: u32 = (PRESENT >> 32) as u32;

    #[inline(always)]
    const fn new(destination: Destination) -> Self {
        match destination {
            Destination::Port(port) => Self(Self::PRESENT | port.0 as u32),
            Destination::Tunnel(tunnel) => Self(Self::PRESENT | Self::TUNNEL | tunnel.0 as u32),
        }
    }

    /// As a number: bit 29 is set, bit 30 says whether it is a tunnel, bits 0..16 are the index.
    #[inline(always)]
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        self.0
    }

    /// The destination that [`to_u32`](Self::to_u32) gave; `None` for a number without bit 29.
    #[inline(always)]
    #[must_use]
    pub const fn from_u32(word: u32) -> Option<Self> {
        if word & Self::PRESENT == 0 { None } else { Some(Self(word)) }
    }

    /// Whether it is a remote VTEP.
    #[inline(always)]
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        self.0 & Self::TUNNEL != 0
    }

    /// The index of the port or the tunnel.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    /// Whether it is this port.
    #[inline(always)]
    #[must_use]
    pub const fn is_port(self, port: PortId) -> bool {
        self.0 == Self::PRESENT | port.0 as u32
    }
}

impl From<Destination> for PackedDestination {
    #[inline(always)]
    fn from(destination: Destination) -> Self {
        Self::new(destination)
    }
}

impl From<PackedDestination> for Destination {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the index is the low half")]
    fn from(packed: PackedDestination) -> Self {
        let index = packed.0 as u16;
        if packed.is_tunnel() { Self::Tunnel(TunnelId(index)) } else { Self::Port(PortId(index)) }
    }
}

/// One entry of the forwarding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where frames for this address go.
    pub destination: Destination,
    /// Configured by the operator: it neither ages nor moves.
    pub is_static: bool,
    /// When the address was last heard, in seconds since the switch started.
    pub refreshed_secs: u32,
}

impl Entry {
    #[inline(always)]
    pub(super) const fn pack(self) -> u64 {
        let home = PackedDestination::new(self.destination);
        let configured = if self.is_static { STATIC } else { 0 };
        configured | (home.0 as u64) << 32 | self.refreshed_secs as u64
    }

    #[inline(always)]
    pub(super) const fn unpack(word: u64) -> Self {
        let found = Found(word);
        Self {
            destination: found.home(),
            is_static: word & STATIC != 0,
            refreshed_secs: found.stamp(),
        }
    }
}

/// The outcome of one lookup in a burst: a packed [`Entry`], or a miss.
///
/// Eight bytes, so that the outcomes of a burst of 32 are four cache lines.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Found(u64);

impl Found {
    /// Nothing is known about the address.
    pub const MISS: Self = Self(0);

    #[inline(always)]
    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word that [`from_word`](Self::from_word) takes.
    #[inline(always)]
    pub(super) const fn to_word(self) -> u64 {
        self.0
    }

    /// Whether the address is known.
    #[inline(always)]
    #[must_use]
    pub const fn is_hit(self) -> bool {
        self.0 != Self::MISS.0
    }

    /// Where to send, or `None` for a miss.
    #[inline(always)]
    #[must_use]
    pub const fn destination(self) -> Option<Destination> {
        if self.is_hit() { Some(self.home()) } else { None }
    }

    /// Whether the entry was configured by the operator; `false` for a miss.
    #[inline(always)]
    #[must_use]
    pub const fn is_static(self) -> bool {
        self.0 & STATIC != 0
    }

    /// Where to send, as [`destination`](Self::destination) says it; meaningless for a miss.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "takes the high half")]
    pub const fn packed(self) -> PackedDestination {
        PackedDestination(((self.0 & !STATIC) >> 32) as u32)
    }

    /// Whether the address is known to be there, and was heard at `secs` since start or later;
    /// `false` for a miss. One subtraction and one comparison.
    #[inline(always)]
    #[must_use]
    pub const fn is_at_since(self, destination: PackedDestination, secs: u32) -> bool {
        let oldest = (destination.0 as u64) << 32 | secs as u64;
        (self.0 & !STATIC).wrapping_sub(oldest) <= (u32::MAX - secs) as u64
    }

    /// For how long the address has not been heard, in seconds; meaningless for a miss.
    #[inline(always)]
    #[must_use]
    pub const fn age_secs(self, now_secs: u32) -> u32 {
        now_secs.saturating_sub(self.stamp())
    }

    /// The whole entry, or `None` for a miss.
    #[inline(always)]
    #[must_use]
    pub const fn entry(self) -> Option<Entry> {
        if self.is_hit() { Some(Entry::unpack(self.0)) } else { None }
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the index is bits 32..48")]
    const fn home(self) -> Destination {
        let index = (self.0 >> 32) as u16;
        if self.0 & TUNNEL == 0 {
            Destination::Port(PortId(index))
        } else {
            Destination::Tunnel(TunnelId(index))
        }
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the stamp is the low half")]
    const fn stamp(self) -> u32 {
        self.0 as u32
    }
}

impl Default for Found {
    fn default() -> Self {
        Self::MISS
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => entry.fmt(f),
            None => f.write_str("Miss"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back_and_no_entry_is_a_miss() {
        for index in [0, 1, 0x7fff, u16::MAX] {
            for destination in
                [Destination::Port(PortId(index)), Destination::Tunnel(TunnelId(index))]
            {
                for is_static in [false, true] {
                    for refreshed_secs in [0, 1, u32::MAX] {
                        let entry = Entry { destination, is_static, refreshed_secs };
                        let found = Found::from_word(entry.pack());
                        assert!(found.is_hit());
                        assert_eq!(found.entry(), Some(entry));
                        assert_eq!(found.destination(), Some(destination));
                        assert_eq!(found.is_static(), is_static);
                        assert_eq!(found.age_secs(u32::MAX), u32::MAX - refreshed_secs);
                        assert_eq!(found.packed(), destination.into());
                        assert_eq!(
                            Destination::from(PackedDestination::from(destination)),
                            destination
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_miss_has_nothing_to_say() {
        let miss = Found::default();
        assert!(!miss.is_hit() && !miss.is_static());
        assert_eq!((miss.destination(), miss.entry()), (None, None));
        assert!(!miss.is_at_since(Destination::Port(PortId(0)).into(), 0));
    }

    #[test]
    fn at_a_place_since_a_time() {
        let places = [Destination::Port(PortId(6)), Destination::Port(PortId(7))]
            .into_iter()
            .chain([6, 7].map(|n| Destination::Tunnel(TunnelId(n))));
        let times = [0, 1, 99, 100, 101, u32::MAX - 1, u32::MAX];
        for (destination, is_static) in places.flat_map(|p| [(p, false), (p, true)]) {
            for refreshed_secs in times {
                let found = Found(Entry { destination, is_static, refreshed_secs }.pack());
                for secs in times {
                    assert_eq!(found.is_at_since(destination.into(), secs), refreshed_secs >= secs);
                    let other = Destination::Port(PortId(8));
                    assert!(!found.is_at_since(other.into(), secs), "{found:?} {secs}");
                    let other = Destination::Port(PortId(5));
                    assert!(!found.is_at_since(other.into(), secs), "{found:?} {secs}");
                }
            }
        }
    }
}
