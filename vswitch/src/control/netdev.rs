//! What the kernel knows of a network interface, for checks before the start and for messages.
//!
//! Called by the control thread at start-up; each call is a few system calls. All of it sees the
//! network namespace of the calling thread.

use std::io;

use nix::net::if_::{if_indextoname, if_nametoindex};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

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

/// The kernel interfaces that a vdev needs before it can be probed, as its devargs name them:
/// `net_af_packet0,iface=eth1` needs `eth1`.
///
/// A `net_tap` makes the interface that its `iface` names, and needs the one of `remote`. Devices
/// that are not on an interface (a PCI address, vhost-user) need none.
#[must_use]
pub fn interfaces_needed(devargs: &str) -> Vec<&str> {
    let mut parts = devargs.split(',');
    let driver = parts.next().unwrap_or_default().trim();
    let keys: &[&str] = match driver {
        d if d.starts_with("net_af_packet") || d.starts_with("net_af_xdp") => &["iface"],
        d if d.starts_with("net_pcap") => &["iface", "rx_iface", "rx_iface_in", "tx_iface"],
        d if d.starts_with("net_tap") => &["remote"],
        _ => &[],
    };
    parts
        .filter_map(|part| part.split_once('='))
        .filter(|(key, _)| keys.contains(&key.trim()))
        .map(|(_, name)| name.trim())
        .collect()
}

/// The first interface that a vdev needs and that does not exist.
#[must_use]
pub fn missing_interface(devargs: &str) -> Option<&str> {
    interfaces_needed(devargs).into_iter().find(|name| !exists(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devargs_name_their_interfaces() {
        for (devargs, names) in [
            ("net_af_packet0,iface=eth1", vec!["eth1"]),
            ("net_af_packet_up,qpairs=2,iface=veth-a,blocksz=4096", vec!["veth-a"]),
            ("net_af_xdp0,iface=veth-x,start_queue=0", vec!["veth-x"]),
            ("net_tap0,iface=dtap0", vec![]),
            ("net_tap0,iface=dtap0,remote=eth2", vec!["eth2"]),
            ("net_pcap0,rx_pcap=in.pcap,tx_iface=eth3", vec!["eth3"]),
            ("net_pcap0,rx_pcap=in.pcap,infinite_rx=1", vec![]),
            ("0000:01:00.0", vec![]),
            ("net_af_packet0", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(interfaces_needed(devargs), names, "{devargs}");
        }
    }

    #[test]
    fn the_loopback_exists_and_another_does_not() {
        assert!(exists("lo"));
        assert!(!exists("no-such-iface"));
        assert_eq!(missing_interface("net_af_packet0,iface=lo"), None);
        assert_eq!(missing_interface("net_af_packet0,iface=absent0"), Some("absent0"));
        assert_eq!(name_of(1).as_deref(), Some("lo"));
        assert!(mtu_of(1).unwrap() >= 1500);
        assert_eq!(mac_of(1).unwrap(), MacAddr::ZERO);
        assert_eq!(mtu_of(0x7fff_fff0).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
