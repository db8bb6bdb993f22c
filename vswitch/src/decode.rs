//! A frame in one line, for people: who sends to whom, and what.
//!
//! Decoding is `etherparse`'s. What is inside a VXLAN frame is shown behind its outer headers.

use std::fmt::Write as _;

use etherparse::{
    ArpHardwareId, EtherType, LinkExtSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice,
};

use crate::ids::MacAddr;
use crate::wire::vxlan::{self, Vxlan};

/// VXLAN inside VXLAN, at most.
const MAX_DEPTH: usize = 2;

/// The frame, as far as its bytes go. VXLAN is looked for on its well-known UDP ports and on `udp_ports`, those of the
/// VTEPs.
#[must_use]
pub fn line(frame: &[u8], udp_ports: &[u16]) -> String {
    let mut text = String::new();
    describe(frame, udp_ports, 0, &mut text);
    text
}

fn describe(frame: &[u8], udp_ports: &[u16], depth: usize, text: &mut String) {
    let Ok(sliced) = SlicedPacket::from_ethernet(frame) else {
        return broken(frame, text);
    };
    let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link else { return broken(frame, text) };
    macs(ethernet.source(), ethernet.destination(), text);
    for extension in &sliced.link_exts {
        if let LinkExtSlice::Vlan(vlan) = extension {
            let _ = write!(text, " VLAN {}", vlan.vlan_identifier().value());
        }
    }
    match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            let _ = write!(text, " IPv4 {from} → {to}");
            if ip.is_payload_fragmented() {
                let _ = write!(text, " fragment at {}", header.fragments_offset().byte_offset());
            } else if sliced.transport.is_none() {
                let _ = write!(text, " protocol {}", ip.payload_ip_number().0);
            }
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            let _ = write!(text, " IPv6 {from} → {to}");
            if sliced.transport.is_none() {
                let _ = write!(text, " protocol {}", ip.payload().ip_number.0);
            }
        }
        Some(NetSlice::Arp(arp)) => {
            let _ = write!(text, " ARP");
            let ipv4 = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(std::net::Ipv4Addr::from);
            if arp.hw_addr_type() == ArpHardwareId::ETHERNET
                && let (Ok(sender), Ok(target)) =
                    (ipv4(arp.sender_protocol_addr()), ipv4(arp.target_protocol_addr()))
            {
                let _ = match arp.operation().0 {
                    1 => write!(text, " who has {target}? tell {sender}"),
                    2 => {
                        let mac = <[u8; 6]>::try_from(arp.sender_hw_addr()).unwrap_or_default();
                        write!(text, " {sender} is at {}", MacAddr::from_bytes(mac))
                    }
                    other => write!(text, " operation {other}"),
                };
            }
        }
        None => {
            let EtherType(number) = ethernet.ether_type();
            let _ = write!(text, " EtherType 0x{number:04x}");
        }
    }
    transport(&sliced, udp_ports, depth, text);
}

fn transport(sliced: &SlicedPacket<'_>, udp_ports: &[u16], depth: usize, text: &mut String) {
    match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            let _ = write!(text, " UDP {} → {}", udp.source_port(), udp.destination_port());
            let payload = udp.payload();
            if vxlan::is_expected_on(udp.destination_port(), udp_ports)
                && let Some(header) = Vxlan::new(payload)
            {
                let _ = write!(text, " VXLAN {}: ", header.vni());
                if depth < MAX_DEPTH {
                    describe(&payload[vxlan::HEADER_LEN..], udp_ports, depth + 1, text);
                }
            }
        }
        Some(TransportSlice::Tcp(tcp)) => {
            let flags = [
                (tcp.syn(), 'S'),
                (tcp.fin(), 'F'),
                (tcp.rst(), 'R'),
                (tcp.psh(), 'P'),
                (tcp.ack(), '.'),
            ];
            let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, f)| f).collect();
            let (from, to) = (tcp.source_port(), tcp.destination_port());
            let _ = write!(text, " TCP {from} → {to} [{flags}]");
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let words = match icmp.type_u8() {
                0 => "echo reply".to_owned(),
                8 => "echo request".to_owned(),
                other => format!("type {other} code {}", icmp.code_u8()),
            };
            let _ = write!(text, " ICMP {words}");
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let words = match icmp.type_u8() {
                128 => "echo request".to_owned(),
                129 => "echo reply".to_owned(),
                135 => "neighbour solicitation".to_owned(),
                136 => "neighbour advertisement".to_owned(),
                other => format!("type {other} code {}", icmp.code_u8()),
            };
            let _ = write!(text, " ICMPv6 {words}");
        }
        Some(TransportSlice::Igmp(_)) => text.push_str(" IGMP"),
        None => {}
    }
}

fn macs(source: [u8; 6], destination: [u8; 6], text: &mut String) {
    let (from, to) = (MacAddr::from_bytes(source), MacAddr::from_bytes(destination));
    let _ = write!(text, "{from} → {to}");
}

/// What its headers contradict, or what was cut off: the addresses, and the rest in numbers.
fn broken(frame: &[u8], text: &mut String) {
    let Some((macs_of, rest)) = frame.split_first_chunk::<12>() else {
        let _ = write!(text, "{} bytes: {}", frame.len(), crate::hex::text(frame));
        return;
    };
    let part = |at: usize| std::array::from_fn(|i| macs_of[at + i]);
    macs(part(6), part(0), text);
    match rest.split_first_chunk::<2>() {
        Some((ethertype, _)) => {
            let number = u16::from_be_bytes(*ethertype);
            let _ = write!(text, " EtherType 0x{number:04x}, cut short or malformed");
        }
        None => text.push_str(", cut short"),
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
        assert!(is_vxlan(5555, &[4789, 5555]), "that of a VTEP");
    }

    #[test]
    fn what_is_cut_anywhere_is_one_line_all_the_same() {
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
    proptest::proptest! {
        #[test]
        fn no_bytes_panic(
            mut frame in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            ether_type in proptest::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 0x88a8]),
            protocol in proptest::sample::select(vec![1u8, 2, 6, 17, 58]),
            is_tunnel: bool,
        ) {
            // Steered past the first headers, as most frames of any bytes end there.
            for (at, byte) in (12..).zip(ether_type.to_be_bytes()) {
                frame.get_mut(at).into_iter().for_each(|b| *b = byte);
            }
            let ip = if ether_type == 0x0800 { [(14, 0x45), (23, protocol)] } else { [(14, 0x60), (20, protocol)] };
            let udp = [(36, 0x12), (37, 0xb5)];
            for (at, byte) in ip.into_iter().chain(udp.into_iter().filter(|_| is_tunnel)) {
                frame.get_mut(at).into_iter().for_each(|b| *b = byte);
            }
            let text = line(&frame, &[5555]);
            proptest::prop_assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
        }
    }
}
