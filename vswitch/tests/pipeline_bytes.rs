//! Byte for byte: what the switch sends and takes, judged by implementations that are not ours:
//! etherparse here, scapy in the captures of `golden/` (made by `golden/make.py`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use std::net::Ipv4Addr;
use std::path::Path;

use etherparse::{
    IpNumber, Ipv4Header, LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
};
use pipeline::*;
use vswitch::sim::Simulation;

const LOCAL_BYTES: [u8; 4] = LOCAL.to_be_bytes();
const REMOTE_BYTES: [u8; 4] = REMOTE_1.to_be_bytes();

/// Inner frames of every kind that the flow hash tells apart, and of every length that matters.
fn inner_frames() -> Vec<Vec<u8>> {
    let ethernet2 = || PacketBuilder::ethernet2(station(1), station(2));
    let v4 = || ethernet2().ipv4([203, 0, 113, 1], [203, 0, 113, 2], 64);
    let v6 = || {
        let prefix = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let of = |n| [&prefix[..], &[n]].concat().try_into().unwrap();
        ethernet2().ipv6(of(1), of(2), 64)
    };
    let mut frames = Vec::new();
    for len in [0, 1, 2, 3, 18, 100, 1000] {
        let payload: Vec<u8> = (0..=250).cycle().take(len).collect();
        let mut built = [const { Vec::new() }; 5];
        v4().udp(1000, 2000).write(&mut built[0], &payload).unwrap();
        v4().tcp(1000, 2000, 7, 1024).write(&mut built[1], &payload).unwrap();
        v4().icmpv4_echo_request(1, 1).write(&mut built[2], &payload).unwrap();
        v6().udp(1000, 2000).write(&mut built[3], &payload).unwrap();
        v6().icmpv6_echo_request(1, 1).write(&mut built[4], &payload).unwrap();
        frames.extend(built);
        frames.push(ethernet(station(2), station(1), 0x88b5, &payload));
    }
    frames.push(ethernet(BROADCAST, station(1), 0x88b5, &[0xee; 1464 - 14]));
    frames
}

/// A frame that we encapsulated, as etherparse sees it: everything outer is asserted, the source
/// port and the inner frame returned.
#[track_caller]
fn decoded(frame: &[u8], vni: u32, udp_port: u16) -> (u16, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else { panic!("{packet:?}") };
    assert_eq!(ethernet.destination(), Simulation::next_hop().to_bytes());
    assert_eq!(ethernet.source(), [0x02, 0xff, 0, 0, 0, 0]);
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("{packet:?}") };
    let ip = ip.header();
    assert_eq!((ip.version(), ip.ihl(), ip.options().len()), (4, 5, 0));
    assert_eq!((ip.dcp().value(), ip.ecn().value()), (0, 0));
    assert_eq!(usize::from(ip.total_len()), frame.len() - 14);
    assert_eq!(ip.identification(), 0);
    assert!(ip.dont_fragment() && !ip.more_fragments() && !ip.is_fragmenting_payload());
    assert_eq!((ip.ttl(), ip.protocol()), (64, IpNumber::UDP));
    assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
    assert_eq!(ip.source(), LOCAL_BYTES);
    assert_eq!(ip.destination(), REMOTE_BYTES);
    let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("{packet:?}") };
    assert!(udp.source_port() >= 49_152);
    assert_eq!((udp.destination_port(), udp.checksum()), (udp_port, 0));
    assert_eq!(usize::from(udp.length()), frame.len() - 34);
    // RFC 7348 §5, figure 1: flags with only I set, three reserved bytes, VNI, a reserved byte.
    let (vxlan, inner) = udp.payload().split_at(8);
    assert_eq!(vxlan[..4], [0x08, 0, 0, 0]);
    assert_eq!(vxlan[4..], (vni << 8).to_be_bytes());
    (udp.source_port(), inner.to_vec())
}

#[test]
fn what_is_encapsulated_decodes() {
    let mut switch = Switch::new(CONFIG);
    for inner in inner_frames() {
        let out = switch.pass("g", &inner);
        assert_eq!(out.len(), 1);
        let (source_port, left) = decoded(&out[0].1, 200, 4789);
        assert_eq!(left, inner);
        let again = switch.pass("g", &inner);
        assert_eq!(decoded(&again[0].1, 200, 4789).0, source_port, "a flow keeps its port");
    }
    switch.check();
}

#[test]
fn the_configured_udp_port_and_the_largest_vni_are_sent() {
    let toml = CONFIG
        .replace("host-interface", "udp-port = 8472\nhost-interface")
        .replace("vni = 200", "vni = 16777215");
    let mut switch = Switch::new(&toml);
    let inner = tenant(BROADCAST, station(1));
    let out = switch.pass("g", &inner);
    assert_eq!(decoded(&out[0].1, 0xff_ffff, 8472).1, inner);
    switch.check();
}

/// One's-complement sums have their edges where a carry comes back: every length that fits.
#[test]
fn the_ip_checksum_is_right_for_every_length() {
    let jumbo = CONFIG.replace("net_null0\"", "net_null0\"\nmtu = 9000");
    let jumbo = jumbo.replace("net_null3\"", "net_null3\"\nmtu = 9000");
    let mut switch = Switch::new(&jumbo);
    for len in 14..=9000 - 36 {
        let mut inner = vec![0x5a; len];
        inner[..12].copy_from_slice(&[station(2), station(1)].concat());
        inner[12..14].copy_from_slice(&[0x88, 0xb5]);
        let out = switch.pass("g", &inner);
        assert_eq!(out[0].1.len(), len + 50);
        let header = Ipv4Header::from_slice(&out[0].1[14..]).unwrap().0;
        assert_eq!(header.header_checksum, header.calc_header_checksum(), "{len} bytes");
    }
    switch.check();
}

/// Enough flows use enough ports for ECMP to spread them.
#[test]
fn flows_differ_in_their_source_ports() {
    let mut switch = Switch::new(CONFIG);
    let mut ports = std::collections::HashSet::new();
    for n in 0..500 {
        let mut inner = Vec::new();
        PacketBuilder::ethernet2(station(1), station(2))
            .ipv4([203, 0, 113, 1], [203, 0, 113, 2], 64)
            .tcp(10_000 + n, 80, 0, 0)
            .write(&mut inner, &[])
            .unwrap();
        let out = switch.pass("g", &inner);
        ports.insert(decoded(&out[0].1, 200, 4789).0);
    }
    // 500 balls in 16,384 boxes meet 7.5 times on average.
    assert!(ports.len() > 470, "{} ports for 500 flows", ports.len());
}

#[test]
fn what_etherparse_builds_decapsulates_to_the_inner_bytes() {
    // Room for a whole inner frame, the outer headers and IPv4 options.
    let mut switch = Switch::new(&CONFIG.replace("net_null0\"", "net_null0\"\nmtu = 1600"));
    for (n, inner) in (0_u16..).zip(inner_frames()) {
        for option_words in [0, 1, 5, 10] {
            let mut ip = Ipv4Header::new(
                0,
                u8::try_from(1 + n % 255).unwrap(),
                IpNumber::UDP,
                REMOTE_BYTES,
                LOCAL_BYTES,
            )
            .unwrap();
            ip.identification = n;
            ip.dont_fragment = n % 2 == 0;
            ip.options = vec![1; option_words * 4].as_slice().try_into().unwrap();
            let vxlan = [&[0x08, 0, 0, 0, 0, 0, 100, 0][..], &inner].concat();
            let mut frame = Vec::new();
            // The builder computes both checksums: this one's UDP checksum is there, and right.
            PacketBuilder::ethernet2(station(77), [0x02, 0xff, 0, 0, 0, 0])
                .ip(etherparse::IpHeaders::Ipv4(ip, etherparse::Ipv4Extensions::default()))
                .udp(n, 4789)
                .write(&mut frame, &vxlan)
                .unwrap();
            let out = switch.pass("uplink", &frame);
            assert!(!out.is_empty());
            for (port, left) in out {
                assert!(port == "a" || port == "b", "{port}");
                assert_eq!(left, inner);
            }
        }
    }
    assert_eq!(switch.drops(), []);
    switch.check();
}

/// What we send is what we take: from this switch to one whose roles are exchanged.
#[test]
fn two_switches_understand_each_other() {
    let other = CONFIG
        .replace("\"198.51.100.2\", \"198.51.100.3\"", "\"198.51.100.1\"")
        .replace("[\"198.51.100.2\"]", "[\"198.51.100.1\"]")
        .replace(
            "address = \"198.51.100.1/24\"",
            "address = \"198.51.100.2/24\"\nmac = \"02:ee:00:00:00:01\"",
        );
    let (mut here, mut there) = (Switch::new(CONFIG), Switch::new(&other));
    for inner in inner_frames() {
        let out = here.pass("g", &inner);
        assert_eq!(there.pass("uplink", &out[0].1), [("g".to_owned(), inner)]);
    }
    here.check();
    there.check();
}

/// The frames of a little-endian capture with microseconds (draft-ietf-opsawg-pcap).
fn capture(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = std::fs::read(&path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1), "{name}: pcap, Ethernet");
    let (mut frames, mut at) = (Vec::new(), 24);
    while at < bytes.len() {
        let len = word(at + 8) as usize;
        frames.push(bytes[at + 16..at + 16 + len].to_vec());
        at += 16 + len;
    }
    assert!(frames.len() > 10, "{name}");
    frames
}

#[test]
fn scapys_frames_are_encapsulated_as_scapy_would() {
    let mut switch = Switch::new(CONFIG);
    for (n, (sent, mut expected)) in
        capture("encap-in.pcap").into_iter().zip(capture("encap-out.pcap")).enumerate()
    {
        let out = switch.pass("g", &sent);
        assert_eq!(out.len(), 1, "frame {n}");
        let source_port = &out[0].1[34..36];
        assert!(source_port[0] >= 0xc0);
        expected[34..36].copy_from_slice(source_port);
        assert_eq!(out[0], ("uplink".to_owned(), expected), "frame {n}");
    }
    switch.check();
}

#[test]
fn scapys_tunnel_frames_decapsulate_as_scapy_made_them() {
    for (n, (sent, expected)) in
        capture("decap-in.pcap").into_iter().zip(capture("decap-out.pcap")).enumerate()
    {
        let mut switch = Switch::new(CONFIG);
        let out = switch.pass("uplink", &sent);
        assert_eq!(out, ["a", "b"].map(|port| (port.to_owned(), expected.clone())), "frame {n}");
        switch.check();
    }
}

#[test]
fn addresses_in_this_file_are_those_of_the_configuration() {
    assert_eq!(Ipv4Addr::from(LOCAL_BYTES).to_string(), "198.51.100.1");
    assert_eq!(Ipv4Addr::from(REMOTE_BYTES).to_string(), "198.51.100.2");
}
