//! The kernel's table of TCP sockets in this network namespace (proc(5): `/proc/net/tcp`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::host::Host;

/// A TCP socket.
pub struct TcpSocket {
    /// Its address on this host.
    pub local: SocketAddr,
    /// Waits for connections.
    pub is_listening: bool,
    /// Has a connection.
    pub is_connected: bool,
    /// The number by which `/proc/PID/fd` names it.
    pub inode: u64,
}

/// All TCP sockets, of IPv4 and IPv6.
pub fn sockets(host: &Host) -> Vec<TcpSocket> {
    let text = |file: &str| host.read(file).unwrap_or_default();
    let text = text("proc/net/tcp") + "\n" + &text("proc/net/tcp6");
    text.lines().filter_map(socket).collect()
}

fn socket(line: &str) -> Option<TcpSocket> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (address(fields.next()?)?, fields.next()?, fields.next()?);
    let inode = fields.nth(5).and_then(|inode| inode.parse().ok()).unwrap_or(0);
    Some(TcpSocket { local, is_listening: state == "0A", is_connected: state == "01", inode })
}

/// `0100007F:23B8`: 32-bit words of the address in the byte order of this machine, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |n: usize| u32::from_str_radix(ip.get(n * 8..n * 8 + 8)?, 16).ok();
    let words: Option<Vec<_>> = (0..ip.len() / 8).map(word).collect();
    let bytes: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match *bytes {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
