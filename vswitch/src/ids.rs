//! Newtypes for the indices and identifiers that the whole switch shares.
//!
//! Indices ([`PortId`], [`MemberId`], [`UnderlayId`], [`NetworkId`], [`TunnelId`], [`VtepId`]) are dense: they index arrays in a
//! [generation](crate::datapath). An index is that of one thing for as long as the thing exists, and goes to another
//! only when nobody refers to the first any more: see [`Topology`](crate::topology::Topology). [`Vni`] and [`MacAddr`] are values from the wire.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The index as an array subscript.
            #[inline(always)]
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// A port of the switch: one DPDK ethdev. Dense.
    PortId(u16)
}
index! {
    /// A network's touch of a port. Dense.
    MemberId(u32)
}
index! {
    /// A port that carries VTEPs. Dense.
    UnderlayId(u16)
}
index! {
    /// A network: one tenant's broadcast domain. Dense.
    NetworkId(u16)
}
impl NetworkId {
    /// No network: an index that none has.
    pub const NONE: Self = Self(u16::MAX);
}
index! {
    /// A remote VTEP as seen from one local VTEP. Dense.
    TunnelId(u16)
}
index! {
    /// A local VTEP. Dense.
    VtepId(u16)
}

/// A remote VTEP as seen from a local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteId {
    /// The local VTEP that the tunnel starts from.
    pub vtep: VtepId,
    /// The remote VTEP's address.
    pub address: Ipv4Addr,
}

/// A VXLAN network identifier: 24 bits (RFC 7348 §5). Zero is refused, because too much
/// equipment treats it as "no network".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vni(u32);

impl Vni {
    /// The largest VNI.
    pub const MAX: u32 = 0x00ff_ffff;
    /// The smallest VNI.
    pub const LEAST: Self = Self(1);

    /// A VNI from a number in 1..=16777215, or `None`.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value >= 1 && value <= Self::MAX { Some(Self(value)) } else { None }
    }

    /// The VNI as a number.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit Ethernet address, held as a number whose most significant byte of six is sent first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(u64);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self(0xffff_ffff_ffff);
    /// 00:00:00:00:00:00.
    pub const ZERO: Self = Self(0);

    /// From the bytes as they stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn from_bytes(b: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]))
    }

    /// The bytes as they stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        let b = self.0.to_be_bytes();
        [b[2], b[3], b[4], b[5], b[6], b[7]]
    }

    /// From the low 48 bits of a number; higher bits are ignored.
    #[inline(always)]
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        Self(value & 0xffff_ffff_ffff)
    }

    /// The address as a number below 2^48.
    #[inline(always)]
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Whether the group bit is set (IEEE 802-2014 §8.2.2): multicast or broadcast.
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0 & 0x0100_0000_0000 != 0
    }

    /// Whether this can be the address of one station: neither zero nor a group.
    #[inline(always)]
    #[must_use]
    pub const fn is_station(self) -> bool {
        (self.0 != 0) & !self.is_multicast()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.to_bytes();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a MAC address: six two-digit hexadecimal bytes with `:` between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address: write six two-digit hexadecimal bytes, as in 02:00:00:00:00:09")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(ParseMacError)?;
            if !part.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(ParseMacError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| ParseMacError)?;
        }
        if parts.next().is_some() { Err(ParseMacError) } else { Ok(Self::from_bytes(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_text_and_bytes_agree() {
        let mac: MacAddr = "02:00:5e:10:00:ff".parse().unwrap();
        assert_eq!(mac.to_bytes(), [0x02, 0x00, 0x5e, 0x10, 0x00, 0xff]);
        assert_eq!(mac.to_string(), "02:00:5e:10:00:ff");
        assert_eq!(MacAddr::from_u64(mac.to_u64()), mac);
    }

    #[test]
    fn mac_refuses_what_is_not_one() {
        for bad in
            ["", "02:00:00:00:00", "02:00:00:00:00:00:00", "2:0:0:0:0:0", "+2:00:00:00:00:00"]
        {
            assert_eq!(bad.parse::<MacAddr>(), Err(ParseMacError), "{bad:?}");
        }
    }

    #[test]
    fn group_and_zero_are_no_stations() {
        assert!(!MacAddr::BROADCAST.is_station());
        assert!(!MacAddr::ZERO.is_station());
        assert!(MacAddr::from_bytes([0x01, 0, 0x5e, 0, 0, 1]).is_multicast());
        assert!(MacAddr::from_bytes([0x02, 0, 0, 0, 0, 1]).is_station());
    }

    #[test]
    fn vni_is_24_bits_and_not_zero() {
        assert_eq!(Vni::new(0), None);
        assert_eq!(Vni::new(1 << 24), None);
        assert_eq!(Vni::new(Vni::MAX).map(Vni::get), Some(Vni::MAX));
    }
}
