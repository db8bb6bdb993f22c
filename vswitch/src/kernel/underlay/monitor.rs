//! The kernel's notifications, as hints at what to ask again.

use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, TokioSocket};

use super::queries::Hop;
use crate::kernel::netlink;

/// Datagrams read per wake-up, so that a storm does not keep the control thread to itself.
const DATAGRAMS: usize = 64;

/// A notification fits a page; a longer one would be cut, and count as [`Hint::Anything`].
const RECEIVE_BYTES: usize = 16 * 1024;

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// One neighbour.
    Neighbour(Hop),
    /// The routes to the addresses of a prefix.
    Route(Ipv4Net),
    /// Whatever a link, an address, a rule or something unreadable can change.
    Anything,
    /// The kernel dropped notifications.
    Lost,
}

/// The socket that is subscribed to them.
pub(super) struct Monitor {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Monitor {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        netlink::enlarge(socket.socket_ref());
        socket.socket_mut().bind_auto()?;
        for group in [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Nexthop,
        ] {
            socket.socket_mut().add_membership(group as u32)?;
        }
        Ok(Self { socket, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Waits for notifications, and returns what they hint at. Cancel-safe: nothing is awaited
    /// after the first was read.
    pub(super) async fn hints(&mut self) -> io::Result<Vec<Hint>> {
        let mut hints = Vec::new();
        self.buffer.clear();
        let mut awaited = Some(poll_fn(|cx| self.socket.poll_recv(cx, &mut self.buffer)).await);
        for _ in 0..DATAGRAMS {
            let received = awaited.take().unwrap_or_else(|| {
                self.buffer.clear();
                self.socket.socket_ref().recv(&mut self.buffer, libc::MSG_DONTWAIT).map(drop)
            });
            match received {
                Ok(()) => netlink::split(&self.buffer).for_each(|m| hints.extend(hint(&m))),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => hints.push(Hint::Lost),
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => break,
                    _ => return Err(error),
                },
            }
        }
        Ok(hints)
    }
}

fn hint(message: &NetlinkBuffer<&[u8]>) -> Option<Hint> {
    let payload = match netlink::parse(message) {
        Some((_, NetlinkPayload::InnerMessage(payload))) => payload,
        Some((_, NetlinkPayload::Overrun(_))) => return Some(Hint::Lost),
        Some(_) => return None,
        // Next-hop objects, and whatever a newer kernel adds.
        None => return Some(Hint::Anything),
    };
    match payload {
        RouteNetlinkMessage::NewNeighbour(m) | RouteNetlinkMessage::DelNeighbour(m) => {
            neighbour_of(&m).map(Hint::Neighbour)
        }
        RouteNetlinkMessage::NewRoute(m) | RouteNetlinkMessage::DelRoute(m) => {
            Some(prefix_of(&m).map_or(Hint::Anything, Hint::Route))
        }
        _ => Some(Hint::Anything),
    }
}

/// Whose neighbour it is; `None` if it is not an IPv4 one.
pub(super) fn neighbour_of(message: &NeighbourMessage) -> Option<Hop> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some(Hop { if_index: message.header.ifindex, address: *address })
        }
        _ => None,
    })
}

fn prefix_of(message: &RouteMessage) -> Option<Ipv4Net> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    // The default route has no destination.
    let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    Ipv4Net::new(address, message.header.destination_prefix_length).ok()
}
