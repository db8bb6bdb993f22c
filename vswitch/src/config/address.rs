//! Addresses and names: parsed from text, or explained if they are not valid.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::diagnostic::{Complaint, quoted};
use crate::ids::MacAddr;

/// A VTEP's own address with the prefix length of its subnet.
pub(super) fn vtep_address(text: &str) -> Result<Ipv4Net, Complaint> {
    let Some((address, prefix)) = text.split_once('/') else {
        let address = ipv4(text, "198.51.100.1/24")?;
        return Err(Complaint::new(
            format!("{} has no prefix length", quoted(text)),
            format!("add that of the underlay's subnet, for example `{address}/24`"),
        ));
    };
    let address = ipv4(address, "198.51.100.1/24")?;
    let prefix_len = prefix
        .parse()
        .ok()
        .filter(|len| (1..=32).contains(len) && prefix.bytes().all(|c| c.is_ascii_digit()));
    let net = prefix_len.and_then(|len| Ipv4Net::new(address, len).ok()).ok_or_else(|| {
        Complaint::new(
            format!("{} is not a prefix length", quoted(prefix)),
            format!("write a number from 1 to 32 after the slash, for example `{address}/24`"),
        )
    })?;
    unicast(address)?;
    not_reserved_in(net, address)?;
    Ok(net)
}

/// The address of a remote VTEP.
pub(super) fn remote_vtep(text: &str) -> Result<Ipv4Addr, Complaint> {
    if let Some((address, _)) = text.split_once('/')
        && address.parse::<Ipv4Addr>().is_ok()
    {
        return Err(Complaint::new(
            format!("{} is a subnet, not the address of one VTEP", quoted(text)),
            format!("write it without the prefix length: `{address}`"),
        ));
    }
    let address = ipv4(text, "198.51.100.2")?;
    unicast(address)?;
    Ok(address)
}

/// Refuses a subnet's network and broadcast address. A /31 has neither (RFC 3021).
pub(super) fn not_reserved_in(net: Ipv4Net, address: Ipv4Addr) -> Result<(), Complaint> {
    let what = match net.prefix_len() {
        0..=30 if address == net.network() => "network",
        0..=30 if address == net.broadcast() => "broadcast",
        _ => return Ok(()),
    };
    Err(Complaint::new(
        format!("{address} is the {what} address of {}", net.trunc()),
        "write the address of one host in that subnet",
    ))
}

fn ipv4(text: &str, example: &str) -> Result<Ipv4Addr, Complaint> {
    text.parse().map_err(|_| match text.parse::<Ipv6Addr>() {
        Ok(_) => Complaint::new(
            format!("{} is an IPv6 address; the underlay is IPv4 only", quoted(text)),
            format!("write an IPv4 address, for example `{example}`"),
        ),
        Err(_) => Complaint::new(
            format!("{} is not an IPv4 address", quoted(text)),
            format!("write four numbers from 0 to 255 with dots, for example `{example}`"),
        ),
    })
}

/// Refuses addresses that no single host can have (RFC 1122 §3.2.1.3, RFC 1112 §4).
fn unicast(address: Ipv4Addr) -> Result<(), Complaint> {
    let what = if address.is_unspecified() {
        "the unspecified address"
    } else if address.octets()[0] == 0 {
        "an address of \"this network\""
    } else if address.is_loopback() {
        "a loopback address"
    } else if address.is_multicast() {
        "a multicast address"
    } else if address.is_broadcast() {
        "the broadcast address"
    } else if address.octets()[0] >= 240 {
        "a reserved address"
    } else {
        return Ok(());
    };
    Err(Complaint::new(
        format!("{address} is {what}, and cannot be a VTEP's"),
        "write the unicast address of one host on the underlay",
    ))
}

/// The MAC address of one station.
pub(super) fn station(text: &str) -> Result<MacAddr, Complaint> {
    let mac: MacAddr = text.parse().map_err(|_| {
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let others = text.chars().all(|c| c.is_ascii_hexdigit() || "-.: ".contains(c));
        let help = match u64::from_str_radix(&digits, 16) {
            Ok(number) if digits.len() == 12 && others => {
                format!("write it as `{}`", MacAddr::from_u64(number))
            }
            _ => "write six two-digit hexadecimal bytes with colons, for example \
                  `02:00:00:00:00:09`"
                .to_owned(),
        };
        Complaint::new(format!("{} is not a MAC address", quoted(text)), help)
    })?;
    let what = match mac {
        MacAddr::ZERO => "the zero address",
        MacAddr::BROADCAST => "the broadcast address",
        _ if mac.is_multicast() => "a multicast address (the lowest bit of its first byte is set)",
        _ => return Ok(mac),
    };
    Err(Complaint::new(
        format!("{mac} is {what}, not that of one station"),
        "write the address of one station; `02:…` is free for your own use",
    ))
}

/// Refuses names that Linux does not accept for an interface (`dev_valid_name` and
/// `sysctl_dev_name_is_allowed` in the kernel), and those with `%`, which the kernel would expand.
pub(super) fn interface_name(name: &str) -> Result<(), Complaint> {
    const MAX_BYTES: usize = 15; // IFNAMSIZ is 16 with the final zero
    let what = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > MAX_BYTES {
        format!("is {} bytes long, and Linux allows {MAX_BYTES}", name.len())
    } else if matches!(name, "." | ".." | "all" | "default") {
        "is reserved".to_owned()
    } else if let Some(bad) =
        name.chars().find(|c| "/:%".contains(*c) || c.is_whitespace() || c.is_control())
    {
        contains(bad)
    } else {
        return Ok(());
    };
    Err(Complaint::new(
        format!("{} cannot be an interface's name: it {what}", quoted(name)),
        "write 1 to 15 letters and digits, for example `vtep0`",
    ))
}

/// Refuses names that a port, VTEP or network cannot have: they are metric labels, table cells and
/// parts of URLs.
pub(super) fn name(name: &str) -> Result<(), Complaint> {
    const MAX_CHARS: usize = 63;
    let what = if name.is_empty() {
        "is empty".to_owned()
    } else if name.chars().count() > MAX_CHARS {
        format!("is longer than {MAX_CHARS} characters")
    } else if let Some(bad) =
        name.chars().find(|c| *c == '/' || c.is_whitespace() || c.is_control() || is_unseen(*c))
    {
        contains(bad)
    } else {
        return Ok(());
    };
    Err(Complaint::new(
        format!("{} cannot be a name: it {what}", quoted(name)),
        "write 1 to 63 characters without spaces or slashes, for example `tenant-a`",
    ))
}

/// Invisible characters, and those that reorder their neighbours: two names that look the same are
/// the same.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    )
}

fn contains(bad: char) -> String {
    match bad {
        ' ' => "contains a space".to_owned(),
        bad => format!("contains `{}`", bad.escape_debug()),
    }
}

/// An address to listen on. `port` is for the example in a help text.
pub(super) fn listen(text: &str, port: u16) -> Result<std::net::SocketAddr, Complaint> {
    text.parse().map_err(|_| {
        let message = format!("{} is not an IP address with a port", quoted(text));
        let help = match (text.parse::<IpAddr>(), text.rsplit_once(':')) {
            (Ok(IpAddr::V4(ip)), _) => format!("add the port: `{ip}:{port}`"),
            (Ok(IpAddr::V6(ip)), _) => format!("add the port: `[{ip}]:{port}`"),
            (Err(_), Some(("localhost", port))) => {
                format!("names are not looked up: write `127.0.0.1:{port}`")
            }
            (Err(_), Some(("" | "*", port))) => {
                format!("for every address of this host write `0.0.0.0:{port}`")
            }
            _ => format!("write for example `127.0.0.1:{port}` or `[::1]:{port}`"),
        };
        Complaint::new(message, help)
    })
}
