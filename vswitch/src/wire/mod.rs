//! The protocols of the wire, as views over bytes. Pure: no allocation, no I/O, no unsafe.
//!
//! Each file has the same parts in the same order: codes, a view, the named field ranges, accessors
//! and writers, tests over bytes. A view's `new` checks the length once; after it no accessor panics.
//! Whether the *values* make sense is the caller's question: [`crate::datapath::parse`] asks it.

pub mod checksum;
pub mod ethernet;
pub mod flow;
pub mod ipv4;
pub mod udp;
pub mod vxlan;

/// Reads a big-endian 16-bit field whose place was checked by the view.
#[inline(always)]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a big-endian 32-bit field whose place was checked by the view.
#[inline(always)]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a big-endian 64-bit field whose place was checked by the view.
#[inline(always)]
pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
}
