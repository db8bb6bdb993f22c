//! Ethernet II (IEEE 802.3 §3), and the tags that may follow the addresses (IEEE 802.1Q §9).

use super::{be16, be64};
use crate::ids::MacAddr;

/// EtherTypes that the switch tells apart.
pub mod ethertype {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// A customer VLAN tag (IEEE 802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6 (RFC 2464).
    pub const IPV6: u16 = 0x86dd;
    /// A service VLAN tag (IEEE 802.1ad).
    pub const QINQ: u16 = 0x88a8;
}

/// Length of destination, source and EtherType: 14 bytes.
pub const HEADER_LEN: usize = 14;

/// An Ethernet header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a>(&'a [u8]);

mod field {
    pub const DESTINATION: core::ops::Range<usize> = 0..6;
    pub const SOURCE: core::ops::Range<usize> = 6..12;
    pub const ETHERTYPE: usize = 12;
}

impl<'a> Ethernet<'a> {
    /// A view of `bytes`; `None` below 14 bytes.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER_LEN).then_some(Self(bytes))
    }

    /// Where the frame goes.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> MacAddr {
        mac(self.0, field::DESTINATION.start)
    }

    /// Where the frame comes from.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> MacAddr {
        mac(self.0, field::SOURCE.start)
    }

    /// What follows the header: see [`ethertype`].
    #[inline(always)]
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        be16(self.0, field::ETHERTYPE)
    }

    /// Whether the first thing after the addresses is a VLAN tag, of a customer or a service.
    #[inline(always)]
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        (self.ethertype() == ethertype::VLAN) | (self.ethertype() == ethertype::QINQ)
    }

    /// What follows the header.
    #[inline(always)]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }
}

/// The six bytes from `at`, of eight.
#[inline(always)]
fn mac(bytes: &[u8], at: usize) -> MacAddr {
    MacAddr::from_u64(be64(bytes, at) >> 16)
}

/// Writes a header to the first 14 bytes of `to`.
///
/// # Panics
/// If `to` is shorter.
pub fn emit(to: &mut [u8], destination: MacAddr, source: MacAddr, ethertype: u16) {
    to[field::DESTINATION].copy_from_slice(&destination.to_bytes());
    to[field::SOURCE].copy_from_slice(&source.to_bytes());
    to[field::ETHERTYPE..HEADER_LEN].copy_from_slice(&ethertype.to_be_bytes());
}

/// Whether a destination is one that a bridge must not pass on: 01:80:c2:00:00:00 to …:0f
/// (IEEE 802.1Q §8.6.3, table 8-1: spanning tree, PAUSE, LACP, LLDP of the nearest bridge).
#[inline(always)]
#[must_use]
pub fn is_link_local(destination: MacAddr) -> bool {
    destination.to_u64() & !0xf == 0x0180_c200_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 15] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x06, 0xaa];

    #[test]
    fn reads_fields() {
        let frame = Ethernet::new(&FRAME).unwrap();
        assert_eq!(frame.destination().to_string(), "02:00:00:00:00:01");
        assert_eq!(frame.source().to_string(), "02:00:00:00:00:02");
        assert_eq!(frame.ethertype(), ethertype::ARP);
        assert!(!frame.is_tagged());
        assert_eq!(frame.payload(), [0xaa]);
    }

    #[test]
    fn a_runt_is_no_frame() {
        assert!(Ethernet::new(&FRAME[..13]).is_none());
        assert!(Ethernet::new(&FRAME[..14]).is_some());
    }

    #[test]
    fn emits_what_it_reads() {
        let mut bytes = [0; 14];
        let view = Ethernet::new(&FRAME).unwrap();
        emit(&mut bytes, view.destination(), view.source(), view.ethertype());
        assert_eq!(bytes, FRAME[..14]);
    }

    #[test]
    fn link_local_groups_are_sixteen() {
        let is = |text: &str| is_link_local(text.parse().unwrap());
        assert!(is("01:80:c2:00:00:00") && is("01:80:c2:00:00:0e") && is("01:80:c2:00:00:0f"));
        assert!(!is("01:80:c2:00:00:10") && !is("01:80:c2:00:01:00") && !is("ff:ff:ff:ff:ff:ff"));
    }
}
