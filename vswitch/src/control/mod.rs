//! The control thread: everything slow.

pub mod generations;
pub mod host_interface;
pub mod learner;
pub mod netdev;
mod netlink;
pub mod underlay;
