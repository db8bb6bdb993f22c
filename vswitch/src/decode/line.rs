//! A frame as one line of text: who sends what to whom.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpPacketSlice, IpNumber, TcpHeaderSlice};

use super::headers::{self, Header, Next};
use crate::hex;
use crate::ids::MacAddr;

/// The frame as one line, as far as its bytes go.
///
/// VXLAN is looked for on its well-known UDP ports and on `udp_ports`, those of the VTEPs.
#[must_use]
pub fn line(frame: &[u8], udp_ports: &[u16]) -> String {
    let decoded = headers::decode(frame, udp_ports);
    let mut text = String::new();
    for (_, _, header) in &decoded.headers {
        write_header(header, &mut text);
    }
    let rest = decoded.rest;
    let _ = match decoded.next {
        Next::Payload => Ok(()),
        Next::Ethernet => {
            let separator = if text.is_empty() { "" } else { ": " };
            write!(text, "{separator}{} bytes: {}", rest.len(), hex::text(rest))
        }
        Next::EtherType(ether_type) => write!(text, " EtherType 0x{:04x}", ether_type.0),
        Next::Protocol(IpNumber::IGMP) => write!(text, " IGMP"),
        Next::Protocol(protocol) => write!(text, " protocol {}", protocol.0),
    };
    if decoded.is_broken && decoded.next != Next::Ethernet {
        text.push_str(", cut short or malformed");
    }
    text
}

fn write_header(header: &Header<'_>, text: &mut String) {
    let _ = match header {
        Header::Ethernet(ethernet) => {
            let separator = if text.is_empty() { "" } else { ": " };
            let [from, to] = [ethernet.source(), ethernet.destination()].map(MacAddr::from_bytes);
            write!(text, "{separator}{from} → {to}")
        }
        Header::Vlan(tag) => write!(text, " VLAN {}", tag.vlan_identifier().value()),
        Header::Arp(arp) => write!(text, " ARP{}", arp_text(arp)),
        Header::Ipv4(ip) => {
            let (from, to) = (ip.source_addr(), ip.destination_addr());
            write!(text, " IPv4 {from} → {to}").and_then(|()| match ip.is_fragmenting_payload() {
                true => write!(text, " fragment at {}", ip.fragments_offset().byte_offset()),
                false => Ok(()),
            })
        }
        Header::Ipv6(ip) => {
            write!(text, " IPv6 {} → {}", ip.source_addr(), ip.destination_addr())
        }
        Header::Udp(udp) => {
            write!(text, " UDP {} → {}", udp.source_port(), udp.destination_port())
        }
        Header::Tcp(tcp) => {
            let (from, to) = (tcp.source_port(), tcp.destination_port());
            write!(text, " TCP {from} → {to} [{}]", tcp_flags(tcp))
        }
        Header::Icmp { is_v6, icmp_type, code } => {
            let protocol = if *is_v6 { "ICMPv6" } else { "ICMP" };
            match icmp_name(*is_v6, *icmp_type) {
                Some(name) => write!(text, " {protocol} {name}"),
                None => write!(text, " {protocol} type {icmp_type} code {code}"),
            }
        }
        Header::Vxlan(vxlan) => write!(text, " VXLAN {}", vxlan.vni()),
    };
}

/// What an ARP packet asks or answers; empty if it is not about IPv4 on Ethernet.
fn arp_text(arp: &ArpPacketSlice<'_>) -> String {
    let ipv4 = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from);
    let (Ok(sender), Ok(target)) =
        (ipv4(arp.sender_protocol_addr()), ipv4(arp.target_protocol_addr()))
    else {
        return String::new();
    };
    if arp.hw_addr_type() != ArpHardwareId::ETHERNET {
        return String::new();
    }
    match arp.operation().0 {
        1 => format!(" who has {target}? tell {sender}"),
        2 => {
            let mac = <[u8; 6]>::try_from(arp.sender_hw_addr()).unwrap_or_default();
            format!(" {sender} is at {}", MacAddr::from_bytes(mac))
        }
        other => format!(" operation {other}"),
    }
}

/// As tcpdump writes them: `S.` is SYN and ACK.
fn tcp_flags(tcp: &TcpHeaderSlice<'_>) -> String {
    let flags =
        [(tcp.syn(), 'S'), (tcp.fin(), 'F'), (tcp.rst(), 'R'), (tcp.psh(), 'P'), (tcp.ack(), '.')];
    flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect()
}

fn icmp_name(is_v6: bool, icmp_type: u8) -> Option<&'static str> {
    match (is_v6, icmp_type) {
        (false, 0) | (true, 129) => Some("echo reply"),
        (false, 8) | (true, 128) => Some("echo request"),
        (true, 135) => Some("neighbour solicitation"),
        (true, 136) => Some("neighbour advertisement"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([198, 51, 100, 1], [198, 51, 100, 2], 64)
            .udp(from, to)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    #[test]
    fn a_frame_is_one_line() {
        assert_eq!(
            line(&udp(5, 6, &[]), &[]),
            "02:00:00:00:00:01 → 02:00:00:00:00:02 IPv4 198.51.100.1 → 198.51.100.2 UDP 5 → 6"
        );
        let vxlan = [&[8, 0, 0, 0, 0, 0, 100, 0][..], &udp(7, 8, &[])].concat();
        assert_eq!(
            line(&udp(50_000, 4789, &vxlan), &[]),
            "02:00:00:00:00:01 → 02:00:00:00:00:02 IPv4 198.51.100.1 → 198.51.100.2 UDP 50000 → 4789 \
             VXLAN 100: 02:00:00:00:00:01 → 02:00:00:00:00:02 IPv4 198.51.100.1 → 198.51.100.2 UDP 7 → 8"
        );
        let is_vxlan =
            |port, ports: &[u16]| line(&udp(50_000, port, &vxlan), ports).contains(" VXLAN 100: ");
        assert!(is_vxlan(8472, &[]) && is_vxlan(4790, &[]) && !is_vxlan(5555, &[]));
        assert!(is_vxlan(5555, &[4789, 5555]), "the port of a VTEP");
    }

    #[test]
    fn a_frame_cut_anywhere_is_one_line() {
        let vxlan = [&[8, 0, 0, 0, 0, 0, 100, 0][..], &udp(7, 8, &[1; 40])].concat();
        let frame = udp(50_000, 4789, &vxlan);
        for len in 0..frame.len() {
            let text = line(&frame[..len], &[]);
            assert!(!text.is_empty() && !text.contains('\n'), "{text}");
        }
        assert_eq!(line(&[1, 2], &[]), "2 bytes: 0102");
        let other = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5][..], &[0; 50]].concat();
        assert_eq!(line(&other, &[]), "02:00:00:00:00:01 → 02:00:00:00:00:02 EtherType 0x88b5");
    }

    #[test]
    fn a_frame_that_is_cut_short_is_decoded_as_far_as_it_goes() {
        let frame = udp(5, 6, &[1; 40]);
        let macs = "02:00:00:00:00:01 → 02:00:00:00:00:02";
        let ip = format!("{macs} IPv4 198.51.100.1 → 198.51.100.2");
        for (len, expected) in [
            (50, format!("{ip} UDP 5 → 6")),
            (40, format!("{ip} protocol 17, cut short or malformed")),
            (20, format!("{macs} EtherType 0x0800, cut short or malformed")),
        ] {
            assert_eq!(line(&frame[..len], &[]), expected);
        }
    }

    #[test]
    fn the_protocol_behind_ipv6_extension_headers_is_found() {
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 0x16, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 16, 0, 1]);
        frame.extend([0; 32]);
        // Hop-by-hop options with a router alert, then a listener report (RFC 3810).
        frame.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0]);
        let text = line(&frame, &[]);
        assert!(text.ends_with(" IPv6 :: → :: ICMPv6 type 143 code 0"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(
            mut frame in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            ether_type in proptest::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 0x88a8]),
            protocol in proptest::sample::select(vec![1u8, 2, 6, 17, 58]),
            is_tunnel: bool,
        ) {
            // Steers past the first headers, where random frames usually end.
            for (at, byte) in (12..).zip(ether_type.to_be_bytes()) {
                frame.get_mut(at).into_iter().for_each(|b| *b = byte);
            }
            let ip = match ether_type {
                0x0800 => [(14, 0x45), (23, protocol)],
                _ => [(14, 0x60), (20, protocol)],
            };
            let udp = [(36, 0x12), (37, 0xb5)];
            for (at, byte) in ip.into_iter().chain(udp.into_iter().filter(|_| is_tunnel)) {
                frame.get_mut(at).into_iter().for_each(|b| *b = byte);
            }
            let text = line(&frame, &[5555]);
            let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
            proptest::prop_assert!(is_plain, "{text:?}");
        }
    }
}
