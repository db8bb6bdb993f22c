//! IPv4 (RFC 791).

use super::{be16, be32, checksum, ne32};

/// Protocol numbers that the switch tells apart.
pub mod protocol {
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;
/// "Don't fragment", in the word of flags and offset.
pub const FLAG_DF: u16 = 0x4000;
/// "More fragments", in the word of flags and offset.
pub const FLAG_MF: u16 = 0x2000;
/// What is set in the word of flags and offset of a fragment: "more fragments" or an offset.
pub const FRAGMENT_MASK: u16 = FLAG_MF | 0x1fff;

/// An IPv4 header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a>(&'a [u8]);

mod field {
    pub const VERSION_IHL: usize = 0;
    pub const TOTAL_LEN: usize = 2;
    pub const FLAGS_OFFSET: usize = 6;
    pub const TTL: usize = 8;
    pub const PROTOCOL: usize = 9;
    pub const CHECKSUM: usize = 10;
    pub const SOURCE: usize = 12;
    pub const DESTINATION: usize = 16;
}

impl<'a> Ipv4<'a> {
    /// A view of `bytes`; `None` below 20 bytes. Version, header length and total length are the
    /// caller's to check.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER_LEN).then_some(Self(bytes))
    }

    /// The version: 4 if this is IPv4 at all.
    #[inline(always)]
    #[must_use]
    pub fn version(&self) -> u8 {
        self.0[field::VERSION_IHL] >> 4
    }

    /// Length of the header in bytes as it claims: 0 to 60.
    #[inline(always)]
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[field::VERSION_IHL] & 0xf) * 4
    }

    /// Length of header and payload in bytes as it claims.
    #[inline(always)]
    #[must_use]
    pub fn total_len(&self) -> usize {
        usize::from(be16(self.0, field::TOTAL_LEN))
    }

    /// Whether this is one of several fragments, the first included (RFC 791 §3.2).
    #[inline(always)]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        be16(self.0, field::FLAGS_OFFSET) & FRAGMENT_MASK != 0
    }

    /// Time to live.
    #[inline(always)]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.0[field::TTL]
    }

    /// What the payload is: see [`protocol`].
    #[inline(always)]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.0[field::PROTOCOL]
    }

    /// Source address as a number.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> u32 {
        be32(self.0, field::SOURCE)
    }

    /// Destination address as a number.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> u32 {
        be32(self.0, field::DESTINATION)
    }

    /// Whether the checksum is right if the header has no options.
    #[inline(always)]
    #[must_use]
    pub fn is_plain_checksum_right(&self) -> bool {
        // One's complement sums are the same in either byte order, and 2^32 is 1 modulo 2^16 - 1
        // (RFC 1071 §2). The sum is not zero: the version is in it.
        let sum: u64 = (0..HEADER_LEN).step_by(4).map(|at| u64::from(ne32(self.0, at))).sum();
        sum.is_multiple_of(0xffff)
    }

    /// Whether the header's checksum is right. The header must lie within the bytes; a header that
    /// does not is not right.
    #[inline(always)]
    #[must_use]
    pub fn is_checksum_right(&self) -> bool {
        self.0.get(..self.header_len()).is_some_and(|h| checksum::fold(checksum::sum(h)) == 0xffff)
    }
}

/// What [`emit_partial`] writes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Source address.
    pub source: u32,
    /// Destination address.
    pub destination: u32,
    /// See [`protocol`].
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// Length of header and payload in bytes.
    pub total_len: u16,
}

/// Writes a header without options, DF set, identification 0 (allowed by RFC 6864 §4.1 for what is
/// never fragmented), but without checksum, to the first 20 bytes of `to`. Returns the sum of its
/// words, from which [`checksum::finish`] makes the checksum once the total length is added.
///
/// # Panics
/// If `to` is shorter.
pub fn emit_partial(to: &mut [u8], header: &Header) -> u32 {
    to[..HEADER_LEN].fill(0);
    to[field::VERSION_IHL] = 0x45;
    to[field::TOTAL_LEN..][..2].copy_from_slice(&header.total_len.to_be_bytes());
    to[field::FLAGS_OFFSET..][..2].copy_from_slice(&FLAG_DF.to_be_bytes());
    to[field::TTL] = header.ttl;
    to[field::PROTOCOL] = header.protocol;
    to[field::SOURCE..][..4].copy_from_slice(&header.source.to_be_bytes());
    to[field::DESTINATION..][..4].copy_from_slice(&header.destination.to_be_bytes());
    checksum::sum(&to[..HEADER_LEN])
}

/// Completes a header that [`emit_partial`] wrote with length 0 and whose sum it returned.
///
/// # Panics
/// If `to` is shorter than 20 bytes.
#[inline(always)]
pub fn complete(to: &mut [u8], partial_sum: u32, total_len: u16) {
    to[field::TOTAL_LEN..][..2].copy_from_slice(&total_len.to_be_bytes());
    let checksum = checksum::finish(partial_sum + u32::from(total_len));
    to[field::CHECKSUM..][..2].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        source: 0xc633_6401,
        destination: 0xc633_6402,
        protocol: protocol::UDP,
        ttl: 64,
        total_len: 0,
    };

    fn emit(to: &mut [u8]) {
        let sum = emit_partial(to, &HEADER);
        complete(to, sum, 100);
    }

    #[test]
    fn reads_what_it_emits() {
        let mut bytes = [0xff; 24];
        emit(&mut bytes);
        let view = Ipv4::new(&bytes).unwrap();
        assert_eq!((view.version(), view.header_len(), view.total_len()), (4, 20, 100));
        assert_eq!((view.ttl(), view.protocol()), (64, protocol::UDP));
        assert_eq!((view.source(), view.destination()), (HEADER.source, HEADER.destination));
        assert!(view.is_checksum_right() && !view.is_fragment());
        assert_eq!(bytes[20..], [0xff; 4], "nothing past the header is written");
    }

    #[test]
    fn a_flipped_bit_shows() {
        let mut bytes = [0; 20];
        emit(&mut bytes);
        for bit in 0..160 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!Ipv4::new(&bytes).unwrap().is_checksum_right(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn first_and_later_fragments_are_fragments() {
        let mut bytes = [0; 20];
        emit(&mut bytes);
        bytes[6..8].copy_from_slice(&FLAG_MF.to_be_bytes());
        assert!(Ipv4::new(&bytes).unwrap().is_fragment());
        bytes[6..8].copy_from_slice(&185u16.to_be_bytes());
        assert!(Ipv4::new(&bytes).unwrap().is_fragment());
    }

    #[test]
    fn nineteen_bytes_are_no_header() {
        assert!(Ipv4::new(&[0x45; 19]).is_none());
    }
}
