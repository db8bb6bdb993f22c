//! Frames that must not pass: each ends in its own drop reason, counted once, at the right place,
//! and nothing of it leaves the switch.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use pipeline::*;
use vswitch::capture::request::CaptureRequest;
use vswitch::metrics::drop_reason::DropReason;
use vswitch::sim::Options;

/// How a drop reason comes about.
enum Case {
    /// Setting the switch up, then the one frame that is dropped; where it is counted.
    Dropped { switch: Box<Switch>, offend: fn(&mut Switch), at: &'static str },
    /// Not within what the simulation can do: the control thread drops such frames. In a test with
    /// a kernel it does.
    Elsewhere,
}

fn dropped(at: &'static str, offend: fn(&mut Switch)) -> Case {
    Case::Dropped { switch: Box::new(Switch::new(CONFIG)), offend, at }
}

fn dropped_with(at: &'static str, options: Options, offend: fn(&mut Switch)) -> Case {
    Case::Dropped { switch: Box::new(Switch::with(CONFIG, options)), offend, at }
}

fn offer(switch: &mut Switch, port: &str, frame: &[u8]) {
    assert!(switch.offer(port, frame));
}

fn offer_tunnelled(switch: &mut Switch, change: impl FnOnce(&mut Tunnelled)) {
    let mut frame = Tunnelled::new(tenant(station(1), station(9)));
    change(&mut frame);
    offer(switch, "uplink", &frame.bytes());
}

fn unicast() -> Vec<u8> {
    tenant(station(1), station(2))
}

/// A case for every reason. The match has no wildcard: a new reason does not compile without one.
#[allow(clippy::too_many_lines, reason = "a table")]
fn case(reason: DropReason) -> Case {
    use DropReason as R;
    let options = Options::default();
    match reason {
        R::Runt => dropped("port a", |s| offer(s, "a", &unicast()[..13])),
        R::NotContiguous => dropped("port a", |s| {
            assert!(s.offer_as("a", &unicast(), |buffer| buffer.set_scattered()));
        }),
        R::Oversize => dropped("port a", |s| {
            offer(s, "a", &ethernet(station(1), station(2), 0x88b5, &[0; 1501]));
        }),
        R::PortUnused => dropped("port unused", |s| offer(s, "unused", &unicast())),
        R::VlanNotConfigured => dropped("port a", |s| {
            offer(s, "a", &ethernet(station(1), station(2), 0x8100, &[0, 10, 8, 0]));
        }),
        R::InvalidSourceMac => {
            dropped("port a", |s| offer(s, "a", &tenant(station(1), [0x03, 0, 0, 0, 0, 1])))
        }
        R::LinkLocalMulticast => dropped("port a", |s| {
            offer(s, "a", &tenant([0x01, 0x80, 0xc2, 0, 0, 0x0e], station(2)));
        }),
        R::NotOurMac => dropped("port uplink", |s| offer_tunnelled(s, |f| f.to[5] ^= 1)),
        R::Truncated => dropped("port uplink", |s| {
            let frame = tunnelled(&unicast());
            offer(s, "uplink", &frame[..frame.len() - 1]);
        }),
        R::OuterBadIhl => dropped("port uplink", |s| offer_tunnelled(s, |f| f.ihl = Some(4))),
        R::OuterBadLength => {
            dropped("port uplink", |s| offer_tunnelled(s, |f| f.udp_len = Some(77)))
        }
        R::OuterBadChecksum => {
            dropped("port uplink", |s| offer_tunnelled(s, |f| f.ip_checksum = Some(0)))
        }
        R::OuterFragment => {
            dropped("port uplink", |s| offer_tunnelled(s, |f| f.flags_offset = 0x2000))
        }
        R::NotOurAddress => {
            dropped("port uplink", |s| offer_tunnelled(s, |f| f.destination = STRANGER))
        }
        R::VxlanWrongUdpPort => {
            dropped("port uplink", |s| offer_tunnelled(s, |f| f.udp_destination = 8472))
        }
        R::VxlanNoVniFlag => dropped("port uplink", |s| offer_tunnelled(s, |f| f.flags = 0xf7)),
        R::UnknownVni => dropped("port uplink", |s| offer_tunnelled(s, |f| f.vni = 101)),
        R::UnknownRemoteVtep => {
            dropped("network blue", |s| offer_tunnelled(s, |f| f.source = STRANGER))
        }
        R::InnerRunt => dropped("network blue", |s| offer_tunnelled(s, |f| f.inner.truncate(13))),
        R::SamePort => dropped("port a", |s| {
            offer(s, "a", &tenant(station(1), station(1)));
            s.run();
            offer(s, "a", &unicast());
        }),
        R::SplitHorizon => dropped("network blue", |s| {
            offer(s, "uplink", &tunnelled(&tenant(station(9), station(1))));
            s.run();
            let frame = Tunnelled::new(unicast()).from(REMOTE_2, 100);
            offer(s, "uplink", &frame.bytes());
        }),
        R::NoDestination => dropped("port alone", |s| offer(s, "alone", &unicast())),
        R::NextHopUnresolved => dropped("port g", |s| {
            s.sim.set_next_hop(None);
            offer(s, "g", &unicast());
        }),
        R::ExceedsUnderlayMtu => dropped("port g", |s| {
            // 1500 - (20 + 8 + 8) = 1464 bytes fit.
            offer(s, "g", &ethernet(station(1), station(2), 0x88b5, &[0; 1465 - 14]));
        }),
        R::ExceedsPortMtu => Case::Dropped {
            switch: Switch::new(&CONFIG.replace("net_null2\"", "net_null2\"\nmtu = 600")).into(),
            offend: |s| {
                offer(s, "b", &tenant(station(9), station(1)));
                s.run();
                offer(s, "a", &ethernet(station(1), station(2), 0x88b5, &[0; 601]));
            },
            at: "port a",
        },
        R::NoHeadroom => dropped_with("port g", Options { headroom: 49, ..options }, |s| {
            offer(s, "g", &unicast());
        }),
        // The first target's copy finds no buffer; the last target gets the frame itself.
        R::NoBuffers => Case::Dropped {
            switch: Switch::with(
                &CONFIG.replace("\"198.51.100.2\", \"198.51.100.3\"", "\"198.51.100.2\""),
                Options { buffers: 1, ..options },
            )
            .into(),
            offend: |s| offer(s, "a", &tenant(BROADCAST, station(2))),
            at: "port a",
        },
        R::PuntQueueFull => {
            dropped_with("port uplink", Options { punt_queue: 0, ..options }, |s| {
                offer_tunnelled(s, |f| f.protocol = 1);
            })
        }
        R::TransmitQueueFull => {
            dropped_with("port uplink", Options { transmit_queue: 0, ..options }, |s| {
                offer(s, "g", &unicast());
            })
        }
        R::HandoverQueueFull => {
            let options = Options { transmit_queue: 0, hand_over: true, ..options };
            dropped_with("port uplink", options, |s| offer(s, "g", &unicast()))
        }
        R::HostWriteFailed | R::HostQueueFull | R::PortRemoved => Case::Elsewhere,
    }
}

#[test]
fn every_reason_is_reached_and_counted_once_where_it_belongs() {
    for &reason in DropReason::ALL {
        let (mut switch, offend, at) = match case(reason) {
            Case::Dropped { switch, offend, at } => (switch, offend, at),
            Case::Elsewhere => {
                let with_a_kernel = include_str!("e2e/test_capture.py");
                assert!(with_a_kernel.contains(&format!("{:?}", reason.label())), "{reason:?}");
                continue;
            }
        };
        let of_this = CaptureRequest { reason: Some(reason), ..CaptureRequest::default() };
        let captures = [switch.watch(of_this), switch.watch(CaptureRequest::default())];
        offend(&mut switch);
        let out = switch.run();
        let expected = usize::from(reason == DropReason::NoBuffers);
        assert_eq!(out.len(), expected, "{reason:?} let frames through: {out:?}");
        assert_eq!(switch.drops(), [(at.to_owned(), reason, 1)]);
        let told = switch.told()[0].clone();
        assert!(!told.bytes.is_empty(), "{reason:?} is told of with the frame");
        // The ring has the same frame, at the same place.
        let [kept] = &switch.sim.captures().dropped()[..] else { panic!("{reason:?}") };
        assert_eq!(
            (kept.frame.reason, kept.frame.bytes()),
            (reason, &told.bytes[..told.bytes.len().min(256)])
        );
        let (port, network) = (&kept.port, &kept.network);
        assert!(at == format!("port {port}") || at == format!("network {network}"), "{kept:?}");
        // So has a capture of the reason, and of everything.
        let said = format!(", dropped: {}, generation 0", reason.label());
        let taken = switch.taken(&captures[0]);
        let [(comment, bytes)] = &taken[..] else { panic!("{reason:?}: {taken:?}") };
        assert!(comment.starts_with("dropped at port ") && comment.ends_with(&said), "{comment}");
        assert_eq!(*bytes, told.bytes, "{reason:?}");
        let all = switch.taken(&captures[1]);
        assert!(all.contains(&taken[0]), "{reason:?}: {all:?}");
        switch.check();
    }
}

/// What became of a single frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Dropped, for this reason only; nothing left.
    Drop(DropReason),
    /// Given to the host as it was, and to nobody else.
    Punt,
    /// Accepted: it reached port a with exactly these bytes of the original.
    Delivered,
}

/// Sends a frame to a fresh switch and says what became of it. `inner` is what port a is to get.
#[track_caller]
fn end_of(port: &str, frame: &[u8], inner: &[u8]) -> End {
    let mut switch = Switch::new(CONFIG);
    let out = switch.pass(port, frame);
    switch.check();
    let drops = switch.drops();
    if let Some((name, left)) = out.iter().find(|(name, _)| name.starts_with("host:")) {
        assert_eq!((name.as_str(), out.len(), &drops[..]), ("host:fabric", 1, &[][..]));
        assert_eq!(left, frame, "punted frames are not changed");
        return End::Punt;
    }
    if drops.is_empty() {
        let to_tenants: Vec<_> = out.iter().filter(|(name, _)| name != "uplink").collect();
        assert!(to_tenants.iter().any(|(name, _)| name == if port == "a" { "b" } else { "a" }));
        assert!(to_tenants.iter().all(|(_, left)| left == inner));
        return End::Delivered;
    }
    assert!(out.is_empty(), "dropped ({drops:?}) and yet {out:?}");
    let [(_, reason, 1)] = drops[..] else { panic!("one frame, one drop: {drops:?}") };
    End::Drop(reason)
}

#[test]
fn a_tenants_frame_cut_at_every_byte() {
    let frame = tenant(BROADCAST, station(1));
    for len in 0..=frame.len() {
        let expected = if len < 14 { End::Drop(DropReason::Runt) } else { End::Delivered };
        assert_eq!(end_of("a", &frame[..len], &frame[..len]), expected, "{len} bytes");
    }
}

#[test]
fn a_tunnel_frame_cut_on_the_way_at_every_byte() {
    for options in [0, 4, 40] {
        let frame = Tunnelled {
            options: vec![1; options],
            ..Tunnelled::new(tenant(BROADCAST, station(9)))
        }
        .bytes();
        for len in 0..frame.len() {
            let reason = if len < 14 { DropReason::Runt } else { DropReason::Truncated };
            assert_eq!(end_of("uplink", &frame[..len], &[]), End::Drop(reason), "{len} bytes");
        }
        let inner = &frame[50 + options..];
        assert_eq!(end_of("uplink", &frame, inner), End::Delivered);
    }
}

/// The sender cut the frame: the lengths say so, with or without padding behind.
#[test]
fn a_tunnel_frame_whose_lengths_end_at_every_byte() {
    let inner = tenant(BROADCAST, station(9));
    let whole = Tunnelled::new(inner.clone()).bytes();
    for total_len in 0..=whole.len() - 14 {
        let mut cut = Tunnelled::new(inner.clone());
        cut.total_len = Some(u16::try_from(total_len).unwrap());
        cut.udp_len = Some(u16::try_from(total_len.saturating_sub(20)).unwrap());
        let padded = cut.bytes();
        let expected = match total_len {
            0..20 => End::Drop(DropReason::OuterBadLength),
            20..36 => End::Drop(DropReason::Truncated),
            36..50 => End::Drop(DropReason::InnerRunt),
            _ => End::Delivered,
        };
        let left = padded.get(50..14 + total_len).unwrap_or_default();
        assert_eq!(end_of("uplink", &padded, left), expected, "total length {total_len}, padded");
        // Not padded: below 20 bytes there is no header that could say a length.
        let expected = if total_len < 20 { End::Drop(DropReason::Truncated) } else { expected };
        let short = &padded[..14 + total_len];
        assert_eq!(end_of("uplink", short, left), expected, "total length {total_len}");
    }
}

#[test]
fn a_udp_length_that_contradicts_the_datagram() {
    let inner = tenant(BROADCAST, station(9));
    let right = u16::try_from(16 + inner.len()).unwrap();
    for udp_len in 0..=right + 20 {
        let frame = Tunnelled { udp_len: Some(udp_len), ..Tunnelled::new(inner.clone()) }.bytes();
        let expected = match udp_len {
            0..8 => End::Drop(DropReason::OuterBadLength),
            8..16 => End::Drop(DropReason::Truncated),
            16..30 => End::Drop(DropReason::InnerRunt),
            // Shorter than the datagram: what follows is not ours to pass on.
            _ if udp_len <= right => End::Delivered,
            _ => End::Drop(DropReason::OuterBadLength),
        };
        let left = inner.get(..usize::from(udp_len.saturating_sub(16))).unwrap_or_default();
        assert_eq!(end_of("uplink", &frame, left), expected, "UDP length {udp_len}");
    }
}

#[test]
fn a_total_length_that_contradicts_the_frame() {
    let inner = tenant(BROADCAST, station(9));
    let right = u16::try_from(36 + inner.len()).unwrap();
    let with =
        |total_len| Tunnelled { total_len: Some(total_len), ..Tunnelled::new(inner.clone()) };
    for beyond in [right + 1, right + 100, 0xffff] {
        let frame = with(beyond).bytes();
        assert_eq!(end_of("uplink", &frame, &[]), End::Drop(DropReason::Truncated));
    }
    for below in [28, 35, right - 1] {
        // The UDP header claims more than the datagram has.
        let frame = with(below).bytes();
        assert_eq!(end_of("uplink", &frame, &[]), End::Drop(DropReason::OuterBadLength));
    }
}

#[test]
fn padding_behind_the_datagram_is_not_the_tenants() {
    let inner = ethernet(BROADCAST, station(9), 0x88b5, &[]);
    for padding in [1, 10, 1000] {
        let frame = Tunnelled { padding, ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &inner), End::Delivered);
    }
}

#[test]
fn header_lengths_and_versions() {
    let inner = tenant(BROADCAST, station(9));
    for ihl in 0..5 {
        let frame = Tunnelled { ihl: Some(ihl), ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &[]), End::Drop(DropReason::OuterBadIhl), "{ihl}");
    }
    for words in 1..=10 {
        let options = vec![1; 4 * words]; // no-operation (RFC 791 §3.1)
        let frame = Tunnelled { options, ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &inner), End::Delivered, "{words} words of options");
    }
    for ihl in 6..=15 {
        // Claims options that are not there: what stands in their place is no UDP for us. The
        // kernel, which sees the checksum, may have it.
        let frame = Tunnelled { ihl: Some(ihl), ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &[]), End::Punt, "{ihl}");
        // Claims more than the datagram has.
        let total_len = Some(u16::from(ihl) * 4 - 1);
        let frame = Tunnelled { ihl: Some(ihl), total_len, ..Tunnelled::new(inner.clone()) };
        let end = end_of("uplink", &frame.bytes(), &[]);
        assert_eq!(end, End::Drop(DropReason::OuterBadLength), "{ihl}");
    }
    for version in (0..16).filter(|v| *v != 4) {
        let frame = Tunnelled { version, ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &[]), End::Drop(DropReason::OuterBadIhl));
    }
}

/// RFC 7348 §5: reserved fields are ignored on receipt, only the I flag counts.
#[test]
fn vxlan_flags_and_reserved_fields() {
    let inner = tenant(BROADCAST, station(9));
    for flags in 0..=255 {
        let frame = Tunnelled {
            flags,
            reserved: [flags, !flags, 0xff],
            reserved_last: flags,
            ..Tunnelled::new(inner.clone())
        };
        let expected =
            if flags & 0x08 == 0 { End::Drop(DropReason::VxlanNoVniFlag) } else { End::Delivered };
        assert_eq!(end_of("uplink", &frame.bytes(), &inner), expected, "flags {flags:#x}");
    }
}

/// RFC 7348 §4.1: a checksum that is not zero may be verified; this switch does not.
#[test]
fn a_udp_checksum_right_or_wrong_is_accepted() {
    let inner = tenant(BROADCAST, station(9));
    for udp_checksum in [1, 0x1234, 0xffff] {
        let frame = Tunnelled { udp_checksum, ..Tunnelled::new(inner.clone()) }.bytes();
        assert_eq!(end_of("uplink", &frame, &inner), End::Delivered);
    }
}

#[test]
fn a_flipped_bit_in_the_outer_ip_header_never_reaches_a_tenant() {
    let frame = tunnelled(&tenant(BROADCAST, station(9)));
    for bit in 0..160 {
        let mut flipped = frame.clone();
        flipped[14 + bit / 8] ^= 1 << (bit % 8);
        let end = end_of("uplink", &flipped, &[]);
        let byte = bit / 8;
        match byte {
            // Another protocol, or a longer header with something else for UDP ports.
            9 => assert_eq!(end, End::Punt, "bit {bit}"),
            0 => assert!(matches!(end, End::Punt | End::Drop(DropReason::OuterBadIhl))),
            2..=3 => assert!(matches!(
                end,
                End::Drop(
                    DropReason::Truncated
                        | DropReason::OuterBadLength
                        | DropReason::OuterBadChecksum
                )
            )),
            6..=7 => assert!(matches!(
                end,
                End::Drop(DropReason::OuterFragment | DropReason::OuterBadChecksum)
            )),
            16..20 => assert_eq!(end, End::Drop(DropReason::NotOurAddress), "bit {bit}"),
            _ => assert_eq!(end, End::Drop(DropReason::OuterBadChecksum), "bit {bit}"),
        }
    }
}

#[test]
fn only_our_mac_and_groups_are_for_us() {
    let frame = tunnelled(&tenant(BROADCAST, station(9)));
    for bit in 0..48 {
        let mut other = frame.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let group = bit == 0;
        let expected = if group { End::Punt } else { End::Drop(DropReason::NotOurMac) };
        assert_eq!(end_of("uplink", &other, &[]), expected, "bit {bit}");
    }
    let mut broadcast = frame;
    broadcast[..6].fill(0xff);
    assert_eq!(end_of("uplink", &broadcast, &[]), End::Punt);
}

#[test]
fn fragments_are_dropped_for_us_and_the_kernels_otherwise() {
    let of = |flags_offset, destination, protocol| {
        let inner = tenant(BROADCAST, station(9));
        let frame = Tunnelled { flags_offset, destination, protocol, ..Tunnelled::new(inner) };
        end_of("uplink", &frame.bytes(), &[])
    };
    for flags_offset in [0x2000, 0x0001, 0x2001, 0x1fff, 0x6000] {
        assert_eq!(of(flags_offset, LOCAL, 17), End::Drop(DropReason::OuterFragment));
        assert_eq!(of(flags_offset, STRANGER, 17), End::Punt);
        assert_eq!(of(flags_offset, LOCAL, 1), End::Punt);
    }
    // DF and the reserved bit make no fragment.
    assert_eq!(of(0x0000, LOCAL, 1), End::Punt);
    assert_eq!(of(0x8000, LOCAL, 1), End::Punt);
}

#[test]
fn what_is_not_vxlan_for_us_is_the_kernels() {
    let mac = [0x02, 0xff, 0, 0, 0, 0];
    let neighbour = station(77);
    for ethertype in [0x0806, 0x86dd, 0x88cc, 0x0000, 0x0600, 0xffff] {
        for payload in [&[][..], &[1; 46]] {
            let frame = ethernet(mac, neighbour, ethertype, payload);
            assert_eq!(end_of("uplink", &frame, &[]), End::Punt, "{ethertype:#x}");
        }
    }
    let with = |change: fn(&mut Tunnelled)| {
        let mut frame = Tunnelled::new(vec![0; 20]);
        change(&mut frame);
        end_of("uplink", &frame.bytes(), &[])
    };
    assert_eq!(with(|f| f.protocol = 1), End::Punt, "ICMP to us");
    assert_eq!(with(|f| (f.protocol, f.destination) = (1, STRANGER)), End::Punt, "ICMP");
    assert_eq!(with(|f| f.protocol = 6), End::Punt, "TCP");
    assert_eq!(with(|f| f.udp_destination = 53), End::Punt, "UDP to us");
    assert_eq!(with(|f| f.udp_destination = 0), End::Punt, "UDP port 0");
    assert_eq!(with(|f| (f.udp_destination, f.udp_len) = (53, Some(3))), End::Punt, "bad UDP");
    let wrong = End::Drop(DropReason::VxlanWrongUdpPort);
    assert_eq!(with(|f| f.udp_destination = 8472), wrong);
    assert_eq!(with(|f| f.udp_destination = 4790), wrong);
    let elsewhere = |f: &mut Tunnelled| (f.udp_destination, f.destination) = (8472, STRANGER);
    assert_eq!(with(elsewhere), End::Punt, "another host's tunnel is not ours to judge");
}

#[test]
fn a_configured_udp_port_replaces_the_default() {
    let toml = CONFIG.replace("host-interface", "udp-port = 8472\nhost-interface");
    let mut switch = Switch::new(&toml);
    let mut frame = Tunnelled::new(tenant(BROADCAST, station(9)));
    assert!(switch.pass("uplink", &frame.bytes()).is_empty());
    frame.udp_destination = 8472;
    assert_eq!(switch.reach("uplink", &frame.bytes()), ["a", "b"]);
    let reason = DropReason::VxlanWrongUdpPort;
    assert_eq!(switch.drops(), [("port uplink".to_owned(), reason, 1)], "4789 is another's then");
    switch.check();
}

#[test]
fn vlan_tags_in_every_place() {
    let drop = End::Drop(DropReason::VlanNotConfigured);
    for tag in [0x8100, 0x88a8] {
        let tagged = ethernet(BROADCAST, station(9), tag, &[0, 10, 0x08, 0]);
        assert_eq!(end_of("a", &tagged, &[]), drop);
        assert_eq!(end_of("uplink", &tunnelled(&tagged), &[]), drop);
        let mut outer = tunnelled(&tenant(BROADCAST, station(9)));
        outer.splice(12..12, [0x81, 0, 0, 10]);
        assert_eq!(end_of("uplink", &outer, &[]), drop);
    }
    for port in ["a", "uplink"] {
        let mut switch = Switch::new(CONFIG);
        let frame = if port == "a" { unicast() } else { tunnelled(&unicast()) };
        assert!(switch.offer_as(port, &frame, |buffer| buffer.set_stripped_vlan()));
        assert!(switch.run().is_empty());
        let at = format!("port {port}");
        assert_eq!(switch.drops(), [(at, DropReason::VlanNotConfigured, 1)]);
        switch.check();
    }
}

#[test]
fn sources_that_no_station_has_and_groups_that_no_bridge_passes_on() {
    for (from, to, reason) in [
        ([0; 6], station(1), DropReason::InvalidSourceMac),
        (BROADCAST, station(1), DropReason::InvalidSourceMac),
        ([0x01, 0, 0x5e, 0, 0, 1], station(1), DropReason::InvalidSourceMac),
        (station(2), [0x01, 0x80, 0xc2, 0, 0, 0x00], DropReason::LinkLocalMulticast),
        (station(2), [0x01, 0x80, 0xc2, 0, 0, 0x0f], DropReason::LinkLocalMulticast),
    ] {
        let frame = tenant(to, from);
        assert_eq!(end_of("a", &frame, &[]), End::Drop(reason));
        assert_eq!(end_of("uplink", &tunnelled(&frame), &[]), End::Drop(reason));
    }
    // The next sixteen groups are for all bridges; MAC zero as a destination is only unknown.
    for to in [[0x01, 0x80, 0xc2, 0, 0, 0x10], [0; 6]] {
        let frame = tenant(to, station(2));
        assert_eq!(end_of("a", &frame, &frame), End::Delivered);
        assert_eq!(end_of("uplink", &tunnelled(&frame), &frame), End::Delivered);
    }
}

#[test]
fn no_dropped_source_is_learned() {
    let mut switch = Switch::new(CONFIG);
    for frame in [tenant(station(1), [0; 6]), tenant(station(1), BROADCAST)] {
        switch.pass("a", &frame);
        switch.pass("uplink", &tunnelled(&frame));
    }
    switch.pass("a", &ethernet(BROADCAST, station(5), 0x8100, &[0, 10, 8, 0]));
    switch.pass("unused", &tenant(station(1), station(5)));
    let stranger = Tunnelled::new(tenant(BROADCAST, station(5))).from(STRANGER, 100);
    switch.pass("uplink", &stranger.bytes());
    assert_eq!(switch.sim.learner().entries().count(), 0);
    switch.check();
}

#[test]
fn frames_at_the_mtu_pass_and_one_byte_more_does_not() {
    let of = |len: usize| ethernet(station(8), station(2), 0x88b5, &vec![7; len - 14]);
    let mut switch = Switch::new(CONFIG);
    assert_eq!(switch.reach("g", &of(1464)), ["198.51.100.2#200"]);
    assert!(switch.reach("g", &of(1465)).is_empty());
    // Locally the full MTU holds; the remote VTEPs of a flooded frame miss out, counted one by one.
    assert_eq!(switch.reach("a", &of(1514)), ["b"]);
    assert!(switch.reach("a", &of(1515)).is_empty());
    assert_eq!(
        switch.drops(),
        [
            ("port a".to_owned(), DropReason::Oversize, 1),
            ("port a".to_owned(), DropReason::ExceedsUnderlayMtu, 2),
            ("port g".to_owned(), DropReason::ExceedsUnderlayMtu, 1),
        ]
    );
    switch.check();
}
