//! The questions: which way to a remote VTEP, what MAC has a next hop; and the wishes: resolve it,
//! verify it.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;

use rtnetlink::packet_core::NLM_F_CREATE;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteType as Kind,
};

use super::next_hop::{LocalVtep, UnresolvedReason};
use super::pace::Wish;
use crate::ids::{MacAddr, RemoteId};
use crate::kernel::netdev;
use crate::kernel::netlink::{Answer, Socket};

/// A next hop: an address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    pub(super) if_index: u32,
    pub(super) address: Ipv4Addr,
}

/// Which way the kernel sends to a remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// By the VTEP's host interface to a next hop: a gateway or, without one, the remote itself.
    Hop { hop: Hop, gateway: Option<Ipv4Addr> },
    /// Not by the host interface.
    Nowhere(UnresolvedReason),
}

impl Path {
    pub(super) fn hop(&self) -> Option<Hop> {
        if let Self::Hop { hop, .. } = self { Some(*hop) } else { None }
    }
}

/// What the kernel knows of a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// Nothing, and it is not looking.
    #[default]
    Absent,
    /// It is asking.
    Pending,
    /// It asked in vain.
    Failed,
    /// This MAC. `verify`: it can be asked to make sure; not so for what an operator or a routing
    /// daemon vouches for, nor while the kernel is at it.
    Known { mac: MacAddr, verify: bool },
}

/// The socket for questions.
pub(super) struct KernelQueries {
    socket: Socket,
}

impl KernelQueries {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open()? })
    }

    /// The path to every remote, in the remotes' order.
    pub(super) fn paths(
        &mut self,
        vteps: &[LocalVtep],
        remotes: impl Iterator<Item = RemoteId>,
    ) -> io::Result<Vec<Path>> {
        let mut locals = HashMap::new();
        for vtep in vteps {
            locals.insert(vtep.vtep, self.local(*vtep)?);
        }
        let mut paths = Vec::new();
        let mut asked = Vec::new();
        for remote in remotes {
            match locals.get(&remote.vtep) {
                Some(Ok(vtep)) => asked.push((paths.len(), *vtep, remote.address)),
                Some(Err(reason)) => {
                    paths.push(Path::Nowhere(reason.clone()));
                    continue;
                }
                None => {}
            }
            paths.push(Path::Nowhere(UnresolvedReason::HostInterfaceGone));
        }
        let questions = asked.iter().map(|(_, vtep, to)| route_to(*to, Some(vtep.address)));
        let answers = self.socket.ask(questions.collect())?;
        let mut names = HashMap::new();
        for ((index, vtep, to), answer) in asked.into_iter().zip(answers) {
            paths[index] = match path(vtep, to, answer)? {
                Route::Path(path) => path,
                Route::By(other) => {
                    let interface = names.entry(other).or_insert_with(|| {
                        netdev::name_of(other).unwrap_or_else(|| format!("number {other}"))
                    });
                    let interface = interface.clone();
                    Path::Nowhere(UnresolvedReason::OtherInterface { interface })
                }
            };
        }
        Ok(paths)
    }

    /// The VTEP if its host interface is up and the host has its address: otherwise the kernel
    /// answers as if there were no route.
    fn local(&mut self, vtep: LocalVtep) -> io::Result<Result<LocalVtep, UnresolvedReason>> {
        match netdev::link_of(&mut self.socket, vtep.if_index) {
            Ok(link) if netdev::is_up(&link) => {}
            Ok(_) => return Ok(Err(UnresolvedReason::HostInterfaceDown)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                return Ok(Err(UnresolvedReason::HostInterfaceGone));
            }
            Err(error) => return Err(error),
        }
        let answers = self.socket.ask(vec![route_to(vtep.address, None)])?;
        let is_local = matches!(
            answers.first(),
            Some(Ok(Some(RouteNetlinkMessage::NewRoute(r)))) if r.header.kind == Kind::Local
        );
        Ok(if is_local { Ok(vtep) } else { Err(UnresolvedReason::NoSourceAddress) })
    }

    /// What the kernel knows of each next hop, in their order.
    pub(super) fn neighbours(&mut self, hops: &[Hop]) -> io::Result<Vec<Neighbour>> {
        let questions = hops.iter().map(|hop| {
            RouteNetlinkMessage::GetNeighbour(neighbour_message(
                *hop,
                NeighbourState::None,
                NeighbourFlags::empty(),
            ))
        });
        let answers = self.socket.ask(questions.collect())?;
        answers
            .into_iter()
            .map(|answer| match answer {
                Ok(Some(RouteNetlinkMessage::NewNeighbour(message))) => {
                    Ok(read_neighbour(&message))
                }
                Ok(_) => Ok(Neighbour::Absent),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Neighbour::Absent),
                // The kernel's word for "no such entry", or "no such interface any more".
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {
                    Ok(Neighbour::Absent)
                }
                Err(error) => Err(error),
            })
            .collect()
    }

    /// Has the kernel send the ARP requests. The error is the first of any, but for those of a next
    /// hop that went away meanwhile.
    ///
    /// Either request would make a permanent entry an ordinary one, which is why
    /// [`Neighbour::Known`] tells them apart. (An operator who makes it permanent in the instant
    /// between our question and our request loses that, not the MAC.)
    pub(super) fn ask_next_hops(&mut self, wishes: &[(Hop, Wish)]) -> io::Result<()> {
        let mut resolve = Vec::new();
        let mut verify = Vec::new();
        for (hop, wish) in wishes {
            match wish {
                Wish::Resolve { .. } => resolve.push(RouteNetlinkMessage::NewNeighbour(
                    neighbour_message(*hop, NeighbourState::None, NeighbourFlags::Use),
                )),
                // Neither CREATE nor REPLACE nor a MAC: what the kernel knows stays, and it asks.
                Wish::Verify { .. } => verify.push(RouteNetlinkMessage::NewNeighbour(
                    neighbour_message(*hop, NeighbourState::Probe, NeighbourFlags::empty()),
                )),
            }
        }
        let mut answers = self.socket.change_all(resolve, NLM_F_CREATE)?;
        answers.append(&mut self.socket.change_all(verify, 0)?);
        let refused = answers.into_iter().filter_map(Result::err).find(|error| {
            // EINVAL: the entry to verify has no MAC any more.
            !matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV | libc::ENETDOWN | libc::EINVAL)
            )
        });
        refused.map_or(Ok(()), Err)
    }
}

/// A path, or the index of the other interface that the kernel would use.
enum Route {
    Path(Path),
    By(u32),
}

fn route_to(address: Ipv4Addr, from: Option<Ipv4Addr>) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 32;
    message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(address)));
    if let Some(from) = from {
        message.header.source_prefix_length = 32;
        message.attributes.push(RouteAttribute::Source(RouteAddress::Inet(from)));
    }
    RouteNetlinkMessage::GetRoute(message)
}

/// The errors are those of `fib_props` and `ip_route_output_key` in the kernel.
fn path(vtep: LocalVtep, to: Ipv4Addr, answer: Answer) -> io::Result<Route> {
    let error = match answer {
        Ok(Some(RouteNetlinkMessage::NewRoute(route))) => return Ok(read_route(&route, vtep, to)),
        Ok(_) => io::Error::from(io::ErrorKind::InvalidData),
        Err(error) => error,
    };
    let reason = match error.raw_os_error() {
        Some(libc::ENETUNREACH) => UnresolvedReason::NoRoute,
        Some(libc::EHOSTUNREACH) => UnresolvedReason::Unreachable,
        Some(libc::EACCES) => UnresolvedReason::Prohibited,
        Some(libc::EINVAL) => UnresolvedReason::Blackhole,
        None if error.kind() == io::ErrorKind::TimedOut => return Err(error),
        _ => UnresolvedReason::Refused { error: error.to_string() },
    };
    Ok(Route::Path(Path::Nowhere(reason)))
}

fn read_route(route: &RouteMessage, vtep: LocalVtep, to: Ipv4Addr) -> Route {
    let nowhere = |reason| Route::Path(Path::Nowhere(reason));
    let kind = match route.header.kind {
        Kind::Unicast => None,
        Kind::Local => Some("local"),
        Kind::Broadcast => Some("broadcast"),
        Kind::Multicast => Some("multicast"),
        _ => Some("special"),
    };
    if let Some(kind) = kind {
        return nowhere(UnresolvedReason::NotRemote { kind });
    }
    let mut interface = None;
    let mut gateway = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Via(_) | RouteAttribute::Gateway(_) => {
                return nowhere(UnresolvedReason::Unsupported { what: "an IPv6 gateway" });
            }
            RouteAttribute::EncapType(_) => {
                return nowhere(UnresolvedReason::Unsupported { what: "an encapsulation" });
            }
            _ => {}
        }
    }
    match interface {
        None => nowhere(UnresolvedReason::NoRoute),
        Some(other) if other != vtep.if_index => Route::By(other),
        Some(if_index) => {
            let hop = Hop { if_index, address: gateway.unwrap_or(to) };
            Route::Path(Path::Hop { hop, gateway })
        }
    }
}

fn neighbour_message(hop: Hop, state: NeighbourState, flags: NeighbourFlags) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = hop.if_index;
    message.header.state = state;
    message.header.flags = flags;
    message.header.kind = Kind::Unspec;
    message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(hop.address)));
    message
}

fn read_neighbour(message: &NeighbourMessage) -> Neighbour {
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => {
            <[u8; 6]>::try_from(mac.as_slice()).ok().map(MacAddr::from_bytes)
        }
        _ => None,
    });
    let vouched_for = message.header.flags.contains(NeighbourFlags::ExtLearned);
    let known = |verify| mac.map_or(Neighbour::Pending, |mac| Neighbour::Known { mac, verify });
    match message.header.state {
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay => {
            known(!vouched_for)
        }
        NeighbourState::Probe | NeighbourState::Permanent | NeighbourState::Noarp => known(false),
        NeighbourState::Incomplete => Neighbour::Pending,
        NeighbourState::Failed => Neighbour::Failed,
        _ => Neighbour::Absent,
    }
}
