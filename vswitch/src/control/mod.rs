//! The control thread: everything slow.

pub mod host_interface;
pub mod netdev;
mod netlink;
pub mod underlay;
