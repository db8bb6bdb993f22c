//! The shape of outer headers: Ethernet, IPv4, UDP and VXLAN (RFC 7348 §5), 50 bytes.
//!
//! Every reader and every writer of outer headers uses this folder, so that another shape concerns no other
//! file.
//!
//! | file | what it owns |
//! |---|---|
//! | this one | lengths, and where each header begins |
//! | [`recognition`] | which frames of an underlay are tunnel frames, and what their headers say |
//! | [`template`] | outer headers to a remote VTEP: made once, completed for each frame, and read back |

pub mod recognition;
pub mod template;

use crate::wire::{ethernet, ipv4, udp, vxlan};

/// Length of the outer headers, in bytes.
pub const OUTER_LEN: usize =
    ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN + vxlan::HEADER_LEN;

/// How many bytes of the underlay's MTU the outer headers take: all but Ethernet's.
pub const UNDERLAY_OVERHEAD: usize = OUTER_LEN - ethernet::HEADER_LEN;

/// By how many bytes the MTU of tenants has to be lower than that of the underlay: a tunnel carries the
/// Ethernet header of the tenant's frame, too.
pub const MTU_OVERHEAD: usize = UNDERLAY_OVERHEAD + ethernet::HEADER_LEN;

const IP_AT: usize = ethernet::HEADER_LEN;
const UDP_AT: usize = IP_AT + ipv4::HEADER_LEN;
const VXLAN_AT: usize = UDP_AT + udp::HEADER_LEN;
