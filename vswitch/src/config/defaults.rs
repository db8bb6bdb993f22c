//! What a key means that is left out, where that is not simply "none".
//!
//! One place for both ways in: the file (`validate` and its neighbours) and the
//! [`Document`](super::Document). `docs/configuration.md` says the same to people.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const WORKER_CORES: [u32; 1] = [1];
pub(super) const MAIN_CORE: u32 = 0;
pub(super) const MEMORY_MIB: u32 = 512;
pub(super) const HUGEPAGES: bool = true;
pub(crate) const SOCKET: &str = "/run/vswitch/vswitch.sock";
pub(super) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9144);
pub(super) const FDB_CAPACITY: usize = 1_048_576;
/// IANA's port for VXLAN (RFC 7348 §5).
pub(super) const UDP_PORT: u16 = 4789;
/// The default of a bridge (IEEE 802.1Q-2018, table 8-6).
pub(super) const MAC_AGEING_SECS: u32 = 300;
