//! What the mirror is asked for, and what it answers.

use std::net::Ipv4Addr;

use crate::ids::{MacAddr, VtepId};

/// A local VTEP, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalVtep {
    /// Which VTEP.
    pub vtep: VtepId,
    /// The kernel's index of its host interface.
    pub if_index: u32,
    /// Its address: the source of the tunnels' packets.
    pub address: Ipv4Addr,
}

/// Where packets to a remote VTEP go first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// Known.
    Resolved {
        /// The MAC address to send to.
        mac: MacAddr,
        /// The gateway's address; `None` if the remote VTEP is on the link.
        gateway: Option<Ipv4Addr>,
    },
    /// Not known; packets are to be dropped and counted.
    Unresolved {
        /// The gateway's address, if the route has one.
        gateway: Option<Ipv4Addr>,
        /// Why, for people.
        reason: UnresolvedReason,
    },
}

/// Why a next hop is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnresolvedReason {
    /// The kernel's routing has nothing for the address.
    #[error("the kernel has no route to it")]
    NoRoute,
    /// A route of type `unreachable`.
    #[error("an \"unreachable\" route covers it")]
    Unreachable,
    /// A route of type `prohibit`.
    #[error("a \"prohibit\" route covers it")]
    Prohibited,
    /// A route of type `blackhole`.
    #[error("a \"blackhole\" route covers it")]
    Blackhole,
    /// The kernel would send by an interface that is not the VTEP's.
    #[error("its route leaves by the interface {interface}, not by the VTEP's host interface")]
    OtherInterface {
        /// The interface's name.
        interface: String,
    },
    /// The address is the host's own, or a broadcast or multicast address.
    #[error("the kernel takes it for a {kind} address")]
    NotRemote {
        /// The kernel's word for it.
        kind: &'static str,
    },
    /// The route is of a kind that the switch cannot follow.
    #[error("its route has {what}, which is not supported")]
    Unsupported {
        /// What the route has.
        what: &'static str,
    },
    /// The VTEP's own address is not on the host, so the kernel routes nothing from it.
    #[error("the VTEP's own address is no longer on its host interface")]
    NoSourceAddress,
    /// Somebody set the host interface down.
    #[error("the VTEP's host interface is down")]
    HostInterfaceDown,
    /// Somebody removed the host interface, or moved it into another namespace.
    #[error("the VTEP's host interface is gone")]
    HostInterfaceGone,
    /// The next hop has been asked for and has not answered yet.
    #[error("the next hop has not answered ARP yet")]
    NeighbourPending,
    /// The next hop has been asked for as often as the kernel does, and does not answer.
    #[error("the next hop does not answer ARP")]
    NeighbourFailed,
    /// The kernel refused to answer.
    #[error("the kernel refused to say: {error}")]
    Refused {
        /// The kernel's error.
        error: String,
    },
}
