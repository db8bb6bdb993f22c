//! What the kernel knows of a network interface, for checks before the start and for messages.
//!
//! Called by the control thread at start-up; each call is a few system calls. All of it sees the
//! network namespace of the calling thread.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use nix::net::if_::{if_indextoname, if_nametoindex};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Socket;
use crate::ids::MacAddr;

/// Whether an interface of this name exists in the namespace.
#[must_use]
pub fn exists(name: &str) -> bool {
    if_nametoindex(name).is_ok()
}

/// The name of an interface, or `None` if there is none of this index.
#[must_use]
pub fn name_of(if_index: u32) -> Option<String> {
    if_indextoname(if_index).ok()?.into_string().ok()
}

/// The MTU of an interface, in bytes without the Ethernet header.
///
/// # Errors
/// `ENODEV` if there is no interface of this index; else what the socket says.
pub fn mtu_of(if_index: u32) -> io::Result<u32> {
    let link = link_of(&mut Socket::open()?, if_index)?;
    link.attributes
        .iter()
        .find_map(|a| if let LinkAttribute::Mtu(mtu) = a { Some(*mtu) } else { None })
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The MAC address of an interface.
///
/// # Errors
/// `ENODEV` if there is no interface of this index; `InvalidData` if its link layer has no
/// six-byte addresses; else what the socket says.
pub fn mac_of(if_index: u32) -> io::Result<MacAddr> {
    let link = link_of(&mut Socket::open()?, if_index)?;
    link.attributes
        .iter()
        .find_map(|a| if let LinkAttribute::Address(mac) = a { Some(mac) } else { None })
        .and_then(|mac| <[u8; 6]>::try_from(mac.as_slice()).ok())
        .map(MacAddr::from_bytes)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// An interface of the network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// The MTU in bytes, without the Ethernet header.
    pub mtu: u32,
    /// It was set up.
    pub is_up: bool,
    /// It has its carrier: a cable, or a peer that is up.
    pub has_carrier: bool,
    /// The number of the other end of a veth, if that is in the same network namespace.
    pub peer: Option<u32>,
    /// Its IPv4 addresses, and how long their prefixes are.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// It is a TAP (or a TUN).
    pub is_tap: bool,
}

/// Every interface of the namespace, by name. Needs no permission.
///
/// # Errors
/// What the socket says.
pub fn all() -> io::Result<BTreeMap<String, Link>> {
    let mut socket = Socket::open()?;
    let mut links = BTreeMap::new();
    for message in socket.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let mut link = Link {
            index: message.header.index,
            is_up: message.header.flags.contains(LinkFlags::Up),
            has_carrier: is_up(&message),
            ..Link::default()
        };
        let (mut name, mut is_elsewhere) = (String::new(), false);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = text,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Link(peer) => link.peer = Some(peer),
                LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    link.is_tap = infos.contains(&LinkInfo::Kind(InfoKind::Tun));
                }
                _ => {}
            }
        }
        link.peer = link.peer.filter(|_| !is_elsewhere);
        links.insert(name, link);
    }
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet;
    for message in socket.dump(RouteNetlinkMessage::GetAddress(question))? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        let holder = links.values_mut().find(|link| link.index == message.header.index);
        if let (Some(address), Some(holder)) = (local, holder) {
            holder.addresses.push((address, message.header.prefix_len));
        }
    }
    Ok(links)
}

/// Whether an interface is up and has its carrier.
pub(super) fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}

/// The kernel's record of an interface.
pub(super) fn link_of(socket: &mut Socket, if_index: u32) -> io::Result<LinkMessage> {
    let mut question = LinkMessage::default();
    question.header.index = if_index;
    let answers = socket.ask(vec![RouteNetlinkMessage::GetLink(question)])?;
    match answers.into_iter().next() {
        Some(Ok(Some(RouteNetlinkMessage::NewLink(link)))) => Ok(link),
        Some(Err(error)) => Err(error),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_exists_and_another_does_not() {
        assert!(exists("lo"));
        assert!(!exists("no-such-iface"));
        assert_eq!(name_of(1).as_deref(), Some("lo"));
        assert!(mtu_of(1).unwrap() >= 1500);
        assert_eq!(mac_of(1).unwrap(), MacAddr::ZERO);
        let loopback = &all().unwrap()["lo"];
        assert_eq!((loopback.index, loopback.peer), (1, None));
        assert_eq!(mtu_of(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
