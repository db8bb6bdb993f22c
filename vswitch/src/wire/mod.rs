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

/// The `N` bytes from `at`, whose place was checked by the view. One load: put together from single
/// bytes, a number may become many of them.
#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut chunk = [0; N];
    chunk.copy_from_slice(&bytes[at..at + N]);
    chunk
}

/// Reads a big-endian 16-bit field.
#[inline(always)]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(chunk(bytes, at))
}

/// Reads a big-endian 32-bit field.
#[inline(always)]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(chunk(bytes, at))
}

/// Reads a big-endian 64-bit field.
#[inline(always)]
pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(chunk(bytes, at))
}

/// Reads four bytes in the machine's order, for hashes and sums that have none.
#[inline(always)]
pub(crate) fn ne32(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(chunk(bytes, at))
}

/// Reads eight bytes in the machine's order, for hashes and sums that have none.
#[inline(always)]
pub(crate) fn ne64(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(chunk(bytes, at))
}
