//! The Linux kernel as the switch sees it: interfaces, routes and neighbours.
//!
//! | file | what it owns |
//! |---|---|
//! | `netlink` | questions over rtnetlink, answered before the call returns |
//! | [`netdev`] | what the kernel knows of a network interface |
//! | [`host_interface`] | a TAP for each VTEP, through which the kernel speaks on the underlay |
//! | [`underlay`] | a mirror of the kernel's routes and neighbours |
//! | `stack_silencer` | keeps the kernel from answering on interfaces that the switch reads |
//!
//! Called by the control thread. Needs no DPDK.

pub mod host_interface;
pub mod netdev;
mod netlink;
#[cfg(feature = "dpdk")]
pub mod stack_silencer;
pub mod underlay;
