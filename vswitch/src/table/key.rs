//! What the forwarding table is asked: a network and a MAC address, in one word.

use std::fmt;

use crate::ids::{MacAddr, NetworkId};

/// A network in bits 48..64 and a MAC address in bits 0..48.
///
/// Two networks whose tenants use the same MAC address have two keys. The VNI is resolved to its
/// dense index before the lookup, which is what makes the key fit a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Key(u64);

impl Key {
    /// The key of `mac` in `network`.
    #[inline(always)]
    #[must_use]
    pub const fn new(network: NetworkId, mac: MacAddr) -> Self {
        Self((network.0 as u64) << 48 | mac.to_u64())
    }

    /// The key that [`to_u64`](Self::to_u64) gave.
    #[inline(always)]
    #[must_use]
    pub const fn from_u64(word: u64) -> Self {
        Self(word)
    }

    /// The network.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the shift leaves 16 bits")]
    pub const fn network(self) -> NetworkId {
        NetworkId((self.0 >> 48) as u16)
    }

    /// The MAC address.
    #[inline(always)]
    #[must_use]
    pub const fn mac(self) -> MacAddr {
        MacAddr::from_u64(self.0)
    }

    /// The key as a number; zero is MAC zero in network zero, which no table ever holds.
    #[inline(always)]
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network().0, self.mac())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_come_back() {
        let mac = MacAddr::from_bytes([0x02, 0xfe, 0, 1, 2, 0xff]);
        let key = Key::new(NetworkId(0xabcd), mac);
        assert_eq!(key.to_u64(), 0xabcd_02fe_0001_02ff);
        assert_eq!((key.network(), key.mac()), (NetworkId(0xabcd), mac));
        assert_eq!(Key::new(NetworkId(0), MacAddr::ZERO).to_u64(), 0);
        assert_eq!(format!("{key:?}"), "43981/02:fe:00:01:02:ff");
    }
}
