//! The host interface of a VTEP: a TAP through which the kernel speaks on the underlay.
//!
//! The kernel sees an Ethernet interface that holds the VTEP's address. What it sends there is read
//! here and leaves by the uplink; what the uplink receives and is not VXLAN for us is written here.
//! So ARP, ICMP, BFD and BGP are the kernel's and its daemons', unchanged.
//!
//! Owned by the control thread, which also serves it: reading and writing are system calls, and
//! those do not belong on a worker. One frame costs one call, about 1 µs.
//!
//! The interface is not persistent: the kernel removes it, with its routes and neighbours, when the
//! process ends, however it ends.
//!
//! # What is set on it
//!
//! - MAC, MTU and address as configured; up.
//! - `disable_ipv6`: the underlay is IPv4, and an address that IPv6 makes up for itself would send
//!   router solicitations and multicast reports into it. Best effort: where `/proc/sys` is
//!   read-only (a container), IPv6 stays as the host has it.
//! - Neighbour parameters ([`NEIGHBOUR_PARAMETERS`]) that let a next hop's silent change of its MAC
//!   be followed within a second; the [underlay mirror](super::underlay) does the asking.

use std::ffi::c_char;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::netdev;
use super::netlink::Socket;
use crate::ids::MacAddr;

/// The kernel's device that makes TUN and TAP interfaces.
const TUN_DEVICE: &str = "/dev/net/tun";

/// The longest interface name (`IFNAMSIZ` less the terminating zero).
const NAME_MAX_BYTES: usize = libc::IFNAMSIZ - 1;

/// What is written below `/proc/sys/net/ipv4/neigh/NAME/` (Linux `ip-sysctl`, arp(7)).
///
/// A next hop is asked at its known MAC once, then by broadcast four times, 200 ms apart: one that
/// changed its MAC silently answers the second request, and one that answers none of five in a
/// second has failed. `locktime` 0, because otherwise the kernel ignores a different MAC in a reply
/// for a second after any change of the entry.
pub const NEIGHBOUR_PARAMETERS: [(&str, &str); 5] = [
    ("ucast_solicit", "1"),
    ("mcast_resolicit", "4"),
    ("mcast_solicit", "3"),
    ("retrans_time_ms", "200"),
    ("locktime", "0"),
];

/// What a host interface is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterfaceConfig {
    /// The interface's name; 15 bytes at most.
    pub name: String,
    /// The MAC address: the uplink's, unless configured otherwise.
    pub mac: MacAddr,
    /// The VTEP's address.
    pub address: Ipv4Addr,
    /// The length of the underlay's prefix, 0..=32.
    pub prefix_len: u8,
    /// The MTU in bytes, without the Ethernet header: the uplink's.
    pub mtu: u32,
}

/// Why a host interface could not be made. The text names the cause and the way out.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum HostInterfaceError {
    #[error(
        "host-interface {name:?}: not a name for an interface; use 1 to 15 letters, digits, \".\", \
         \"_\" or \"-\""
    )]
    InvalidName { name: String },
    #[error(
        "host-interface {name:?}: an interface of this name exists already; choose another name, or \
         remove it with `ip link delete {name}` if nothing uses it (is another vswitch running?)"
    )]
    NameTaken { name: String },
    #[error(
        "host-interface {name:?}: {TUN_DEVICE} is missing; load the kernel's module with \
         `modprobe tun`, and in a container pass the device through"
    )]
    NoTunDevice { name: String },
    #[error(
        "host-interface {name:?}: not permitted to create a TAP; run as root or with CAP_NET_ADMIN \
         in this network namespace"
    )]
    NotPermitted { name: String },
    #[error(
        "host-interface {name:?}: the address {address}/{prefix_len} is refused: {reason}; give the \
         VTEP a unicast address of the underlay"
    )]
    AddressRefused { name: String, address: Ipv4Addr, prefix_len: u8, reason: String },
    #[error(
        "host-interface {name:?}: the address {address} is on the interface {holder:?} already; the \
         VTEP's address belongs to its host interface alone: remove it with \
         `ip address delete {address} dev {holder}`, or choose another"
    )]
    AddressInUse { name: String, address: Ipv4Addr, holder: String },
    #[error("host-interface {name:?}: the MAC address {mac} is not that of one station")]
    MacRefused { name: String, mac: MacAddr },
    #[error("host-interface {name:?}: the MTU {mtu} is refused: {source}; a TAP takes 68 to 65521")]
    MtuRefused { name: String, mtu: u32, source: io::Error },
    #[error("host-interface {name:?}: cannot {step}: {source}")]
    System { name: String, step: &'static str, source: io::Error },
}

/// A TAP that is up and holds the VTEP's address. Dropping it removes the interface.
#[derive(Debug)]
pub struct HostInterface {
    name: String,
    if_index: u32,
    tap: AsyncFd<File>,
}

impl HostInterface {
    /// Makes the interface in the calling thread's network namespace, and sets it up.
    ///
    /// Call it inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// See [`HostInterfaceError`]. Nothing is left behind.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn create(config: HostInterfaceConfig) -> Result<Self, HostInterfaceError> {
        let HostInterfaceConfig { name, mac, address, prefix_len, mtu } = config;
        if !is_interface_name(&name) {
            return Err(HostInterfaceError::InvalidName { name });
        }
        if !mac.is_station() {
            return Err(HostInterfaceError::MacRefused { name, mac });
        }
        if let Some(reason) = not_a_host_address(address, prefix_len) {
            let reason = reason.to_owned();
            return Err(HostInterfaceError::AddressRefused { name, address, prefix_len, reason });
        }
        let failed = |step| {
            let name = name.clone();
            move |source| HostInterfaceError::System { name, step, source }
        };
        let mut netlink = Socket::open().map_err(failed("open a netlink socket"))?;
        let holder = holder_of(&mut netlink, address).map_err(failed("list the addresses"))?;

        let tap = open_tap(&name)?;
        if let Some(holder) = holder {
            return Err(HostInterfaceError::AddressInUse { name, address, holder });
        }
        let if_index = nix::net::if_::if_nametoindex(name.as_str())
            .map_err(io::Error::from)
            .map_err(failed("find its index"))?;

        // Before it is up: the kernel must not send anything with other settings.
        set_parameters(&name);
        let mut link = LinkMessage::default();
        link.header.index = if_index;
        link.attributes.push(LinkAttribute::Address(mac.to_bytes().to_vec()));
        netlink
            .change(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(failed("set its MAC address"))?;
        let mut link = LinkMessage::default();
        link.header.index = if_index;
        link.attributes.push(LinkAttribute::Mtu(mtu));
        netlink
            .change(RouteNetlinkMessage::SetLink(link), 0)
            .map_err(|source| HostInterfaceError::MtuRefused { name: name.clone(), mtu, source })?;
        netlink
            .change(
                RouteNetlinkMessage::NewAddress(address_message(if_index, address, prefix_len)),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .map_err(|error| HostInterfaceError::AddressRefused {
                name: name.clone(),
                address,
                prefix_len,
                reason: error.to_string(),
            })?;
        let mut link = LinkMessage::default();
        link.header.index = if_index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        netlink.change(RouteNetlinkMessage::SetLink(link), 0).map_err(failed("set it up"))?;

        // SAFETY: a `File` returns the same open descriptor until it is dropped, and nothing here
        // takes it out of the `AsyncFd` or replaces it.
        let tap = unsafe { AsyncFd::register(tap) };
        let tap = tap.map_err(|error| failed("watch it")(error.into()))?;
        Ok(Self { name, if_index, tap })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's index of the interface.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.if_index
    }

    /// Reads one Ethernet frame that the kernel sent: its length, or `None` if there is none now. A
    /// frame longer than the buffer is cut.
    ///
    /// # Errors
    /// What the system call says; `EBADFD` after somebody deleted the interface.
    pub fn try_read(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        // `try_io` forgets the readiness when it finds nothing, so that `readable` waits again. It
        // does not read at all while no readiness is known, hence the second try.
        let read = |mut tap: &File| tap.read(frame);
        match would_block(self.tap.try_io(Interest::READABLE, read))? {
            Some(len) => Ok(Some(len)),
            None => would_block(self.tap.get_ref().read(frame)),
        }
    }

    /// Hands one Ethernet frame to the kernel: `false` if it has no room now.
    ///
    /// # Errors
    /// `EIO` while the interface is down; `EINVAL` for a frame shorter than an Ethernet header;
    /// `EBADFD` after somebody deleted the interface.
    pub fn try_write(&self, frame: &[u8]) -> io::Result<bool> {
        Ok(would_block(self.tap.get_ref().write(frame))?.is_some())
    }

    /// Waits until there is a frame to read. Cancel-safe. After somebody deleted the interface it
    /// returns at once, and [`Self::try_read`] says so: stop then.
    ///
    /// # Errors
    /// When the runtime stops.
    pub async fn readable(&self) -> io::Result<()> {
        self.tap.readable().await?.retain_ready();
        Ok(())
    }
}

fn would_block<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kernel's own rule (`dev_valid_name`) less what it takes for a pattern (`%`) or an alias
/// (`:`) and less what a message or a path would have to quote.
fn is_interface_name(name: &str) -> bool {
    (1..=NAME_MAX_BYTES).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

/// Why an address cannot be that of one host in its prefix, if it cannot.
fn not_a_host_address(address: Ipv4Addr, prefix_len: u8) -> Option<&'static str> {
    let host_bits = match prefix_len {
        0..=31 => u32::MAX >> prefix_len,
        32 => 0,
        _ => return Some("a prefix has at most 32 bits"),
    };
    let host = address.to_bits() & host_bits;
    match address {
        a if a.is_unspecified() || a.octets()[0] == 0 => Some("it is not an address"),
        a if a.is_loopback() => Some("it is a loopback address"),
        a if a.is_multicast() => Some("it is a multicast address"),
        a if a.octets()[0] >= 240 => Some("it is a reserved address"),
        // A /31 has two hosts and neither of the two (RFC 3021).
        _ if prefix_len < 31 && host == 0 => Some("it is the network's own address"),
        _ if prefix_len < 31 && host == host_bits => Some("it is the network's broadcast address"),
        _ => None,
    }
}

/// Opens a new, non-persistent, non-blocking TAP.
fn open_tap(name: &str) -> Result<File, HostInterfaceError> {
    let tap = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(TUN_DEVICE)
        .map_err(|error| tap_error(name, "open /dev/net/tun", error))?;
    create_tap(&tap, name).map_err(|error| tap_error(name, "create the TAP", error))?;
    Ok(tap)
}

/// `TUNSETIFF` with `IFF_TUN_EXCL`: the kernel itself refuses a name that exists, so there is no
/// moment between a check and the use. (The `tun` and `tun-rs` crates attach to what is there.)
fn create_tap(tap: &File, name: &str) -> io::Result<()> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the flags are a bit set of sixteen; IFF_TUN_EXCL is its sign bit"
    )]
    const FLAGS: i16 = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL) as i16;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: FLAGS },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(NAME_MAX_BYTES)) {
        *to = c_char::from_ne_bytes([from]);
    }
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is for the whole call; its
    // name is terminated, because the last byte stays zero. The descriptor is open.
    let result = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn tap_error(name: &str, step: &'static str, source: io::Error) -> HostInterfaceError {
    let name = name.to_owned();
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => HostInterfaceError::NoTunDevice { name },
        Some(libc::EPERM | libc::EACCES) => HostInterfaceError::NotPermitted { name },
        Some(libc::EBUSY | libc::EEXIST) => HostInterfaceError::NameTaken { name },
        _ => HostInterfaceError::System { name, step, source },
    }
}

/// Best effort, see the module's header. The paths lead into the calling thread's namespace.
fn set_parameters(name: &str) {
    let net = Path::new("/proc/sys/net");
    let mut refused = None;
    let ipv6 = net.join("ipv6/conf").join(name).join("disable_ipv6");
    if ipv6.exists()
        && let Err(error) = std::fs::write(&ipv6, "1")
    {
        warn!(host_interface = name, %error, "cannot disable IPv6 on the host interface");
    }
    for (key, value) in NEIGHBOUR_PARAMETERS {
        let path = net.join("ipv4/neigh").join(name).join(key);
        if let Err(error) = std::fs::write(&path, value) {
            refused = Some(error);
        }
    }
    if let Some(error) = refused {
        warn!(
            host_interface = name,
            %error,
            "cannot set the neighbour parameters below /proc/sys/net/ipv4/neigh: a next hop that \
             changes its MAC address without announcing it is followed later than within a second"
        );
    }
}

/// The name of the interface that holds an address, if one does.
fn holder_of(netlink: &mut Socket, address: Ipv4Addr) -> io::Result<Option<String>> {
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet;
    let found = netlink.dump(RouteNetlinkMessage::GetAddress(question))?;
    Ok(found.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewAddress(held)
            if held.attributes.contains(&AddressAttribute::Local(address.into())) =>
        {
            let index = held.header.index;
            Some(netdev::name_of(index).unwrap_or_else(|| format!("number {index}")))
        }
        _ => None,
    }))
}

fn address_message(if_index: u32, address: Ipv4Addr, prefix_len: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix_len;
    message.header.index = if_index;
    message.attributes.push(AddressAttribute::Local(address.into()));
    message.attributes.push(AddressAttribute::Address(address.into()));
    if prefix_len < 31 {
        let broadcast = Ipv4Addr::from_bits(address.to_bits() | (u32::MAX >> prefix_len));
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_the_kernel_takes() {
        for good in ["vtep0", "a", "vtep.100", "fifteen-bytes-1"] {
            assert!(is_interface_name(good), "{good}");
        }
        for bad in ["", ".", "..", "sixteen-bytes--1", "vtep%d", "a:b", "a/b", "a b", "vtép"] {
            assert!(!is_interface_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_has_a_host_address() {
        let refused = |text: &str, len| not_a_host_address(text.parse().unwrap(), len);
        assert_eq!(refused("198.51.100.1", 24), None);
        assert_eq!(refused("198.51.100.0", 31), None);
        assert_eq!(refused("198.51.100.255", 32), None);
        for (address, len) in [
            ("0.0.0.0", 0),
            ("127.0.0.1", 8),
            ("224.0.0.1", 24),
            ("255.255.255.255", 32),
            ("198.51.100.0", 24),
            ("198.51.100.255", 24),
            ("198.51.100.1", 33),
        ] {
            assert!(refused(address, len).is_some(), "{address}/{len}");
        }
    }
}
