//! VXLAN (RFC 7348 §5).

use super::be32;
use crate::ids::Vni;

/// Length of the header.
pub const HEADER_LEN: usize = 8;
/// The UDP port that IANA gave VXLAN.
pub const UDP_PORT: u16 = 4789;
/// The UDP ports on which tunnel frames turn up by mistake: IANA's VXLAN, Linux's old default for
/// VXLAN (8472), VXLAN-GPE (4790).
pub const WELL_KNOWN_UDP_PORTS: [u16; 3] = [UDP_PORT, 8472, 4790];

/// Whether VXLAN is to be looked for behind a UDP port, where frames are decoded for people: on the well-known ones,
/// and on those of the VTEPs.
#[must_use]
pub fn is_expected_on(udp_port: u16, of_vteps: &[u16]) -> bool {
    WELL_KNOWN_UDP_PORTS.contains(&udp_port) || of_vteps.contains(&udp_port)
}

/// The I flag: the VNI is valid.
pub const FLAG_I: u8 = 0x08;

/// A VXLAN header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a>(&'a [u8]);

mod field {
    pub const FLAGS: usize = 0;
    pub const VNI: core::ops::Range<usize> = 4..7;
}

impl<'a> Vxlan<'a> {
    /// A view of `bytes`; `None` below 8 bytes.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= HEADER_LEN).then_some(Self(bytes))
    }

    /// Whether the I flag is set. All other flags are reserved and ignored on receipt.
    #[inline(always)]
    #[must_use]
    pub fn has_vni(&self) -> bool {
        self.0[field::FLAGS] & FLAG_I != 0
    }

    /// The VNI as a number; the reserved byte after it is ignored.
    #[inline(always)]
    #[must_use]
    pub fn vni(&self) -> u32 {
        be32(self.0, field::VNI.start) >> 8
    }
}

/// Writes a header with VNI 0, reserved fields zero, to the first 8 bytes of `to`.
///
/// # Panics
/// If `to` is shorter.
pub fn emit_partial(to: &mut [u8]) {
    to[..HEADER_LEN].fill(0);
    to[field::FLAGS] = FLAG_I;
}

/// Completes a header that [`emit_partial`] wrote.
///
/// # Panics
/// If `to` is shorter than 8 bytes.
#[inline(always)]
pub fn complete(to: &mut [u8], vni: Vni) {
    // With the reserved byte after it, which is zero.
    to[field::VNI.start..][..4].copy_from_slice(&(vni.get() << 8).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_emits() {
        let mut bytes = [0xff; 9];
        emit_partial(&mut bytes);
        complete(&mut bytes, Vni::new(0x0001_02ab).unwrap());
        assert_eq!(bytes, [8, 0, 0, 0, 0x01, 0x02, 0xab, 0, 0xff]);
        let view = Vxlan::new(&bytes).unwrap();
        assert!(view.has_vni());
        assert_eq!(view.vni(), 0x0001_02ab);
    }

    #[test]
    fn reserved_bits_do_not_matter() {
        let view = Vxlan::new(&[0xff, 1, 2, 3, 0, 0, 5, 0xee]).unwrap();
        assert!(view.has_vni());
        assert_eq!(view.vni(), 5);
        assert!(!Vxlan::new(&[0xf7, 0, 0, 0, 0, 0, 5, 0]).unwrap().has_vni());
    }

    #[test]
    fn seven_bytes_are_no_header() {
        assert!(Vxlan::new(&[8; 7]).is_none());
    }
}
