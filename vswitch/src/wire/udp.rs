//! UDP (RFC 768).

use super::be16;

/// Length of the header.
pub const HEADER_LEN: usize = 8;

/// A UDP header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8]);

mod field {
    pub const SOURCE: usize = 0;
    pub const DESTINATION: usize = 2;
    pub const LEN: usize = 4;
    pub const CHECKSUM: usize = 6;
}

impl<'a> Udp<'a> {
    /// A view of `bytes`; `None` below 8 bytes. The length field is the caller's to check.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER_LEN).then_some(Self(bytes))
    }

    /// Source port.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> u16 {
        be16(self.0, field::SOURCE)
    }

    /// Destination port.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> u16 {
        be16(self.0, field::DESTINATION)
    }

    /// Length of header and payload in bytes as it claims.
    #[inline(always)]
    #[must_use]
    pub fn len_field(&self) -> usize {
        usize::from(be16(self.0, field::LEN))
    }
}

/// Writes a header to the first 8 bytes of `to`, with checksum 0: none (RFC 768; RFC 7348 §5 asks
/// for it over IPv4).
///
/// # Panics
/// If `to` is shorter.
pub fn emit(to: &mut [u8], source: u16, destination: u16, len: u16) {
    to[field::SOURCE..][..2].copy_from_slice(&source.to_be_bytes());
    to[field::DESTINATION..][..2].copy_from_slice(&destination.to_be_bytes());
    to[field::LEN..][..2].copy_from_slice(&len.to_be_bytes());
    to[field::CHECKSUM..][..2].fill(0);
}

/// Completes a header that [`emit`] wrote with source port and length 0.
///
/// # Panics
/// If `to` is shorter than 8 bytes.
#[inline(always)]
pub fn complete(to: &mut [u8], source: u16, len: u16) {
    to[field::SOURCE..][..2].copy_from_slice(&source.to_be_bytes());
    to[field::LEN..][..2].copy_from_slice(&len.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_emits() {
        let mut bytes = [0xff; 9];
        emit(&mut bytes, 0, 4789, 0);
        complete(&mut bytes, 50_000, 58);
        assert_eq!(bytes, [0xc3, 0x50, 0x12, 0xb5, 0, 58, 0, 0, 0xff]);
        let view = Udp::new(&bytes).unwrap();
        assert_eq!((view.source(), view.destination(), view.len_field()), (50_000, 4789, 58));
    }

    #[test]
    fn seven_bytes_are_no_header() {
        assert!(Udp::new(&[0; 7]).is_none());
    }
}
