//! An explanation is what then happens, it changes nothing, and it names for every drop reason the piece of
//! configuration that makes it one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use std::collections::BTreeMap;

use pipeline::random::*;
use pipeline::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use vswitch::config::{self, Config, Document};
use vswitch::datapath::verdict::DropReason;
use vswitch::explain::answer::{Dropped, Exit, Explanation, Learning, Origin, Outcome, Reason};
use vswitch::explain::difference::Edit;
use vswitch::explain::io::Marks;
use vswitch::explain::{Question, Trace};
use vswitch::ids::{MacAddr, VtepId};
use vswitch::sim::{DroppedFrame, Options, Simulation};
use vswitch::table::{Destination, Entry, Key};

/// Configurations of the property, and frames of each: 10,000 frames.
const CONFIGURATIONS: u32 = 100;
const FRAMES: usize = 100;

/// Where a frame comes from.
#[derive(Clone, Debug)]
enum From {
    Port(Index),
    Host,
}

#[derive(Clone, Debug)]
struct Offer {
    from: From,
    frame: Frame,
    marks: Marks,
    /// Whether the next hops are known when it comes.
    has_next_hops: bool,
    /// Milliseconds before it comes, on top of a hundred.
    wait: u64,
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let frame = prop_oneof![
        1 => vec(any::<u8>(), 1..150).prop_map(Frame::Noise),
        4 => tenants_frames(),
        3 => tunnel_frames(faults()),
        3 => tunnel_frames(Just(Faults::default())),
    ];
    let from = prop_oneof![15 => any::<Index>().prop_map(From::Port), 1 => Just(From::Host)];
    let seldom = || proptest::bool::weighted(0.03);
    let wait = prop_oneof![6 => Just(0), 1 => 0..9000_u64];
    let offer = (from, frame, (seldom(), seldom()), proptest::bool::weighted(0.9), wait);
    vec(offer, FRAMES).prop_map(|offers| {
        let offer = |(from, frame, (stripped_vlan, scattered), has_next_hops, wait)| {
            let marks = Marks { stripped_vlan, scattered };
            Offer { from, frame, marks, has_next_hops, wait }
        };
        offers.into_iter().map(offer).collect()
    })
}

/// Everything that an explanation must not change.
fn state(sim: &Simulation) -> (Vec<u64>, BTreeMap<u64, Entry>, u64, usize) {
    let (view, topology) = (sim.counters(), sim.topology());
    let ledger = view.ledger();
    let mut counters = vec![
        ledger.received,
        ledger.injected,
        ledger.handed_in,
        ledger.replicated,
        ledger.transmitted,
        ledger.dropped,
        ledger.punted,
        ledger.handed_out,
    ];
    let turns = view.turns();
    counters.extend([turns.turns, turns.learn_events, turns.learn_events_lost]);
    for (port, _) in topology.ports() {
        let totals = view.port(port);
        counters.extend([totals.receive_packets, totals.receive_bytes]);
        counters.extend([totals.transmit_packets, totals.transmit_bytes]);
        counters.extend(DropReason::ALL.iter().map(|reason| view.port_drops(port, *reason)));
    }
    for (domain, _) in topology.networks() {
        counters.push(view.replicated(domain));
        counters.extend(DropReason::ALL.iter().map(|reason| view.network_drops(domain, *reason)));
        let totals = sim.learner().network(domain);
        counters.extend([
            totals.entries,
            totals.learned,
            totals.moves,
            totals.aged,
            totals.refused,
        ]);
    }
    counters.extend(topology.vteps().map(|(vtep, _)| view.punted(vtep)));
    (counters, fdb(sim), sim.version(), sim.buffers_in_use())
}

fn fdb(sim: &Simulation) -> BTreeMap<u64, Entry> {
    sim.learner().entries().map(|(key, entry)| (key.to_u64(), entry)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// What the differences make of the frame that came.
fn edited(mut frame: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        match edit {
            Edit::Removed { at, length, hex } => {
                let gone: Vec<_> = frame.drain(*at..at + length).collect();
                assert_eq!(gone, unhex(hex));
            }
            Edit::Put { at, length, hex } => {
                let new = unhex(hex);
                assert_eq!(new.len(), *length);
                frame.splice(*at..*at, new);
            }
            Edit::Changed { at, length, before, after } => {
                assert_eq!(frame[*at..at + length], unhex(before));
                frame[*at..at + length].copy_from_slice(&unhex(after));
            }
        }
    }
    frame
}

/// What left: by a port, or (`host:`) to the kernel; sorted.
fn left(sim: &mut Simulation) -> Vec<(String, Vec<u8>)> {
    let ports: Vec<_> = sim.topology().ports().map(|(id, p)| (id, p.name.clone())).collect();
    let vteps: Vec<_> = sim.topology().vteps().map(|(id, v)| (id, v.name.clone())).collect();
    let mut all = Vec::new();
    for (id, name) in ports {
        all.extend(sim.transmitted(id).into_iter().map(|frame| (name.clone(), frame)));
    }
    for (id, name) in vteps {
        all.extend(sim.punted(id).into_iter().map(|frame| (format!("host:{name}"), frame)));
    }
    all.sort();
    all
}

/// What was to leave; sorted.
fn predicted(told: &Explanation) -> Vec<(String, Vec<u8>)> {
    let copy = |copy: &vswitch::explain::answer::Copy| {
        let to = match &copy.to {
            Exit::Port(port) => port.clone(),
            Exit::Vtep(vtep) => format!("host:{vtep}"),
        };
        (to, unhex(&copy.frame.hex))
    };
    let mut all: Vec<_> = told.copies.iter().map(copy).collect();
    all.sort();
    all
}

/// The value that a pointer means is there; or its key is not, and the table that it belongs into is.
fn points_somewhere(document: &Value, reason: &Reason) {
    let pointer = &reason.cause.pointer;
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let found = document.pointer(pointer).or_else(|| document.pointer(parent));
    assert!(found.is_some(), "{reason:?}");
    assert!(!reason.cause.configured.is_empty() && !reason.cause.remedy.is_empty(), "{reason:?}");
}

/// What the table should be after a frame of which the explanation says what is learned.
fn learned(
    sim: &Simulation,
    told: &Explanation,
    before: &BTreeMap<u64, Entry>,
    now: u32,
) -> BTreeMap<u64, Entry> {
    let mut after = before.clone();
    let Some(learns) = &told.learns else { return after };
    let topology = sim.topology();
    let network = topology.networks().find(|(_, network)| network.name == learns.network).unwrap();
    let mac: MacAddr = learns.mac.parse().unwrap();
    let key = Key::new(network.0, mac).to_u64();
    let destination = match (&learns.at.port, &learns.at.remote_vtep) {
        (Some(port), None) => Destination::Port(sim.port(port).unwrap()),
        (None, Some(remote)) => {
            let mut remotes = topology.remotes();
            let (tunnel, _) = remotes.find(|(_, id)| id.address.to_string() == *remote).unwrap();
            Destination::Tunnel(tunnel)
        }
        other => panic!("{other:?}"),
    };
    let fresh = Entry { destination, is_static: false, refreshed_secs: now };
    let known = before.get(&key);
    match learns.what {
        Learning::Refused => assert!(known.is_none() && sim.learner().is_full()),
        what => {
            let expected = match known {
                None => Learning::Learned,
                Some(entry) if entry.destination == destination => Learning::Refreshed,
                Some(_) => Learning::Moved,
            };
            assert_eq!(what, expected);
            after.insert(key, fresh);
        }
    }
    after
}

fn question(from: Origin, frame: Vec<u8>) -> Question {
    Question { from, frame, marks: Marks::default(), was: None }
}

fn check_offer(sim: &mut Simulation, offer: &Offer, id: u32, now: &mut u64, document: &Value) {
    sim.advance_millis(100 + offer.wait);
    *now += (100 + offer.wait).div_ceil(100) * 100;
    let frame = offer.frame.bytes(id);
    let names: Vec<_> = sim.topology().ports().map(|(_, port)| port.name.clone()).collect();
    let from = match &offer.from {
        From::Port(index) => Origin::Port(index.get(&names).clone()),
        From::Host => Origin::Vtep("v".to_owned()),
    };

    let before = state(sim);
    let asked = Question { marks: offer.marks, ..question(from.clone(), frame.clone()) };
    let trace = sim.explain(asked.clone()).unwrap();
    let (dropped, told) = (trace.dropped.clone(), trace.explanation());
    assert_eq!(state(sim), before, "an explanation changes nothing");
    assert_eq!(sim.explain(asked).unwrap().explanation(), told, "and not even itself");

    let is_taken = match &from {
        Origin::Port(port) => {
            let port = sim.port(port).unwrap();
            sim.receive_as(port, &frame, |buffer| {
                if offer.marks.stripped_vlan {
                    buffer.set_stripped_vlan();
                }
                if offer.marks.scattered {
                    buffer.set_scattered();
                }
            })
        }
        Origin::Vtep(_) => sim.send_from_host(VtepId(0), &frame),
    };
    assert!(is_taken);
    // What the table will be follows from the explanation and the table alone.
    let expected_fdb = learned(sim, &told, &before.1, u32::try_from(*now / 1000).unwrap());
    sim.run();

    assert_eq!(predicted(&told), left(sim), "{told:#?}");
    let really: Vec<_> = sim.dropped();
    let foretold: Vec<_> = dropped
        .into_iter()
        .map(|drop| DroppedFrame { site: drop.site, reason: drop.reason, bytes: drop.bytes })
        .collect();
    assert_eq!(foretold, really, "{told:#?}");
    assert_eq!(fdb(sim), expected_fdb, "{told:#?}");

    for copy in &told.copies {
        let bytes = unhex(&copy.frame.hex);
        assert_eq!(edited(frame.clone(), &copy.differences), bytes, "{copy:#?}");
        assert_eq!(copy.frame.length, bytes.len());
    }
    assert_eq!(told.drops.len(), really.len());
    for (Dropped { reason, to, .. }, real) in told.drops.iter().zip(&really) {
        use DropReason as R;
        assert_eq!(reason.reason, real.reason.label());
        points_somewhere(document, reason);
        let has_way = matches!(
            real.reason,
            R::ExceedsPortMtu
                | R::ExceedsUnderlayMtu
                | R::NextHopUnresolved
                | R::SamePort
                | R::SplitHorizon
        );
        let is_decided = has_way && !matches!(real.reason, R::SamePort | R::SplitHorizon);
        assert_eq!(to.is_some(), is_decided, "{told:#?}");
    }
    let ends = told.steps.last().unwrap();
    assert_eq!(told.copies.is_empty(), told.verdict == Outcome::Dropped);
    assert_eq!(ends.drops, told.copies.is_empty(), "{told:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: CONFIGURATIONS,
        ..ProptestConfig::default()
    })]

    /// For 10,000 random frames through random configurations.
    #[test]
    fn what_is_explained_is_what_then_happens_and_nothing_changes(
        config in configurations(&[576, 1500, 9000]),
        offers in offers(),
    ) {
        let mut config: Config = config;
        let spare = config::Port {
            name: "spare".to_owned(),
            device: "net_null99".to_owned(),
            ..config.ports[0].clone()
        };
        config.ports.push(spare);
        let document = serde_json::to_value(Document::from(&config)).unwrap();
        let mut sim = Simulation::new(config, Options::default()).unwrap();
        let (mut now, mut has_next_hops) = (0, true);
        for (id, offer) in (1..).zip(&offers) {
            if offer.has_next_hops != has_next_hops {
                has_next_hops = offer.has_next_hops;
                sim.set_next_hop(has_next_hops.then(Simulation::next_hop));
            }
            check_offer(&mut sim, offer, id, &mut now, &document);
        }
        prop_assert_eq!(sim.counters().ledger().unaccounted(), 0);
    }
}

/// How a drop reason comes about, and what is said to cause it.
struct Case {
    toml: String,
    /// Frames that come before.
    before: Vec<(&'static str, Vec<u8>)>,
    has_next_hops: bool,
    port: &'static str,
    frame: Vec<u8>,
    marks: Marks,
    /// It is not to be had with queues that take everything: asked for as something that was.
    was: bool,
    pointer: &'static str,
    /// What the piece of configuration and the way out say, among others.
    words: [&'static str; 2],
    /// The configuration with which such a frame passes.
    cured: Option<String>,
}

impl Case {
    fn new(
        port: &'static str,
        frame: Vec<u8>,
        pointer: &'static str,
        words: [&'static str; 2],
    ) -> Self {
        Self {
            toml: CONFIG.to_owned(),
            before: Vec::new(),
            has_next_hops: true,
            port,
            frame,
            marks: Marks::default(),
            was: false,
            pointer,
            words,
            cured: None,
        }
    }

    /// A tunnel frame for blue with something changed.
    fn tunnel(
        change: impl FnOnce(&mut Tunnelled),
        pointer: &'static str,
        words: [&'static str; 2],
    ) -> Self {
        let mut frame = Tunnelled::new(tenant(station(1), station(9)));
        change(&mut frame);
        Self::new("uplink", frame.bytes(), pointer, words)
    }

    /// Something of the moment: the frame would pass now.
    fn was(
        port: &'static str,
        frame: Vec<u8>,
        pointer: &'static str,
        words: [&'static str; 2],
    ) -> Self {
        Self { was: true, ..Self::new(port, frame, pointer, words) }
    }

    fn cured(self, from: &str, to: &str) -> Self {
        let cured = self.toml.replacen(from, to, 1);
        assert_ne!(cured, self.toml, "{from} is not in the configuration");
        Self { cured: Some(cured), ..self }
    }

    fn after(self, port: &'static str, frame: Vec<u8>) -> Self {
        Self { before: [self.before, vec![(port, frame)]].concat(), ..self }
    }
}

fn unicast() -> Vec<u8> {
    tenant(station(1), station(2))
}

/// The match has no wildcard: a new reason does not compile without a case.
#[allow(clippy::too_many_lines, reason = "a table")]
fn case(reason: DropReason) -> Case {
    use DropReason as R;
    let long = |len: usize| ethernet(station(1), station(2), 0x88b5, &vec![0; len - 14]);
    match reason {
        R::Runt => Case::new("a", unicast()[..13].to_vec(), "/port/1", ["port a", "13 bytes"]),
        R::NotContiguous => Case {
            marks: Marks { scattered: true, ..Marks::default() },
            ..Case::new("a", unicast(), "/port/1/mtu", ["port a: mtu is not set", "one buffer"])
        },
        R::Oversize => {
            Case::new("a", long(1515), "/port/1/mtu", ["frames up to 1514 bytes", "set mtu to 1501"])
                .cured("\"net_null1\"", "\"net_null1\"\nmtu = 1501")
        }
        R::PortUnused => Case::new(
            "unused", unicast(), "/port/5", ["no network has port unused", "network attach NETWORK unused"],
        )
        .cured("port = \"g\"", "port = \"g\"\n[[network.port]]\nport = \"unused\""),
        R::VlanNotConfigured => Case {
            marks: Marks { stripped_vlan: true, ..Marks::default() },
            ..Case::new("a", unicast(), "/network/0/port/0", ["port a is in network blue", "untagged"])
        },
        R::InvalidSourceMac => Case::new(
            "a",
            tenant(station(1), [0x03, 0, 0, 0, 0, 1]),
            "/network/0/port/0",
            ["single stations", "not 03:00:00:00:00:01"],
        ),
        R::LinkLocalMulticast => Case::new(
            "b",
            tenant([0x01, 0x80, 0xc2, 0, 0, 0x0e], station(2)),
            "/network/0/port/1",
            ["802.1Q", "next device only"],
        ),
        R::NotOurMac => Case::tunnel(
            |f| f.to[5] = 7, "/vtep/0/mac", ["that of port uplink", "not to 02:ff:00:00:00:07"],
        )
        .cured("host-interface = \"vtep0\"", "host-interface = \"vtep0\"\nmac = \"02:ff:00:00:00:07\""),
        R::Truncated => {
            let frame = tunnelled(&unicast());
            let frame = frame[..frame.len() - 1].to_vec();
            Case::new("uplink", frame, "/vtep/0/address", ["198.51.100.1", "spoils the frame"])
        }
        R::OuterBadIhl => {
            Case::tunnel(|f| f.ihl = Some(4), "/vtep/0/address", ["VTEP fabric", "spoils the frame"])
        }
        R::OuterBadLength => {
            Case::tunnel(|f| f.udp_len = Some(77), "/vtep/0/address", ["VTEP fabric", "spoils"])
        }
        R::OuterBadChecksum => {
            Case::tunnel(|f| f.ip_checksum = Some(0), "/vtep/0/address", ["VTEP fabric", "spoils"])
        }
        R::OuterFragment => {
            Case::tunnel(|f| f.flags_offset = 0x2000, "/port/0/mtu", ["port uplink", "raise the MTU"])
        }
        R::NotOurAddress => Case::tunnel(
            |f| f.destination = STRANGER, "/vtep/0/address", ["198.51.100.1", "not to 198.51.100.99"],
        )
        .cured("198.51.100.1/24", "198.51.100.99/24"),
        R::VxlanWrongUdpPort => Case::tunnel(
            |f| f.udp_destination = 8472, "/vtep/0/udp-port", ["udp-port = 4789", "this frame is for 8472"],
        )
        .cured("host-interface = \"vtep0\"", "host-interface = \"vtep0\"\nudp-port = 8472"),
        R::VxlanNoVniFlag => {
            Case::tunnel(|f| f.flags = 0xf7, "/vtep/0/udp-port", ["VXLAN (RFC 7348)", "I flag"])
        }
        R::UnknownVni => Case::tunnel(
            |f| f.vni = 101,
            "/network",
            [
                "no network has VNI 101; those of VTEP fabric have 100 (blue), 200 (green)",
                "network create NAME --vni 101 --vtep fabric --remote-vtep 198.51.100.2",
            ],
        )
        .cured("vni = 100", "vni = 101"),
        R::UnknownRemoteVtep => Case::tunnel(
            |f| f.source = STRANGER,
            "/network/0/remote-vteps",
            [
                "network blue: remote-vteps are 198.51.100.2, 198.51.100.3",
                "vswitch network remote-vtep add blue 198.51.100.99",
            ],
        )
        .cured("\"198.51.100.3\"", "\"198.51.100.3\", \"198.51.100.99\""),
        R::InnerRunt => Case::tunnel(
            |f| f.inner.truncate(13), "/network/0/remote-vteps", ["network blue", "whole frames"],
        ),
        R::SamePort => Case::new(
            "a",
            unicast(),
            "/network/0/port/0",
            ["02:00:00:00:00:01 is on port a (learned)", "mac flush --network blue --mac 02:00:00:00:00:01"],
        )
        .after("a", tenant(station(3), station(1))),
        R::SplitHorizon => {
            let frame = Tunnelled::new(unicast()).from(REMOTE_2, 100).bytes();
            Case::new(
                "uplink",
                frame,
                "/network/0/remote-vteps",
                ["is behind remote VTEP 198.51.100.2 (learned)", "mac flush --network blue"],
            )
            .after("uplink", tunnelled(&tenant(station(9), station(1))))
        }
        R::NoDestination => Case::new(
            "alone",
            unicast(),
            "/network/2/remote-vteps",
            ["network local: ports are alone, remote-vteps are none", "network attach local PORT"],
        )
        .cured("port = \"alone\"", "port = \"alone\"\n[[network.port]]\nport = \"unused\""),
        R::NextHopUnresolved => Case {
            has_next_hops: false,
            ..Case::new(
                "g",
                unicast(),
                "/network/1/remote-vteps/0",
                ["198.51.100.2 has no known MAC: the simulation has none", "ip route get 198.51.100.2"],
            )
        },
        // 1500 - (20 + 8 + 8) = 1464 bytes fit.
        R::ExceedsUnderlayMtu => Case::new(
            "g",
            long(1465),
            "/port/0/mtu",
            ["port uplink: mtu is not set; the device has 1500, so tenants' frames up to 1464 bytes", "set mtu to 1501"],
        )
        .cured("\"net_null0\"", "\"net_null0\"\nmtu = 1501"),
        R::ExceedsPortMtu => Case {
            toml: CONFIG.replace("net_null2\"", "net_null2\"\nmtu = 600"),
            ..Case::new("a", long(615), "/port/2/mtu", ["port b: mtu = 600, so frames up to 614", "set mtu to 601"])
        }
        .after("b", tenant(station(9), station(1)))
        .cured("mtu = 600", "mtu = 601"),
        R::NoHeadroom => Case::was("g", unicast(), "/port/3/device", ["less than 50 bytes", "RTE_PKTMBUF_HEADROOM"]),
        R::NoBuffers => Case::was(
            "a",
            tenant(BROADCAST, station(2)),
            "/dpdk/packet-buffers",
            ["packet-buffers is not set, memory-mib = ", "raise packet-buffers"],
        ),
        R::PuntQueueFull => {
            let mut frame = Tunnelled::new(unicast());
            frame.protocol = 1;
            Case::was("uplink", frame.bytes(), "/vtep/0/host-interface", ["\"vtep0\"", "main-core"])
        }
        R::TransmitQueueFull => {
            Case::was("g", unicast(), "/port/0/queues", ["port uplink: queues is not set", "more queues"])
        }
        R::HandoverQueueFull => {
            Case::was("g", unicast(), "/dpdk/worker-cores", ["worker-cores are 1", "fewer workers"])
        }
        R::HostWriteFailed => {
            let mut frame = Tunnelled::new(unicast());
            frame.protocol = 1;
            Case::was("uplink", frame.bytes(), "/vtep/0/host-interface", ["\"vtep0\"", "ip link set vtep0 up"])
        }
        R::PortRemoved => Case::was("g", unicast(), "/port", ["ports: uplink, a, b", "removed while"]),
        R::HostQueueFull => {
            Case::was("uplink", unicast(), "/vtep/0/host-interface", ["\"vtep0\"", "vswitch show workers"])
        }
    }
}

/// The frame of a case explained, in a switch with this configuration.
fn explained(case: &Case, toml: &str, reason: DropReason) -> (Explanation, Value) {
    let config = config::parse("test.toml", toml).unwrap_or_else(|e| panic!("{e}"));
    let document = serde_json::to_value(Document::from(&config)).unwrap();
    let mut sim = Simulation::new(config, Options::default()).unwrap();
    if !case.has_next_hops {
        sim.set_next_hop(None);
    }
    for (port, frame) in &case.before {
        assert!(sim.receive(sim.port(port).unwrap(), frame));
        sim.run();
    }
    let asked = Question {
        marks: case.marks,
        was: case.was.then_some((reason, None)),
        ..question(Origin::Port(case.port.to_owned()), case.frame.clone())
    };
    let trace: Trace = sim.explain(asked).unwrap();
    (trace.explanation(), document)
}

#[test]
fn every_reason_is_explained_by_the_configuration_that_causes_it() {
    for &reason in DropReason::ALL {
        let case = case(reason);
        let (told, document) = explained(&case, &case.toml, reason);
        let said = if case.was {
            assert_ne!(told.summary, "", "what would happen now is said, too");
            told.was.clone().unwrap()
        } else {
            assert_eq!(
                (told.verdict, told.drops.len()),
                (Outcome::Dropped, 1),
                "{reason:?}: {told:#?}"
            );
            told.drops[0].reason.clone()
        };
        assert_eq!(said.reason, reason.label(), "{told:#?}");
        assert_eq!(said.meaning, reason.help());
        assert_eq!(said.cause.pointer, case.pointer, "{said:#?}");
        points_somewhere(&document, &said);
        let [configured, remedy] = case.words;
        assert!(said.cause.configured.contains(configured), "{said:#?}");
        assert!(said.cause.remedy.contains(remedy), "{said:#?}");
        if let Some(cured) = &case.cured {
            assert!(said.cause.by_configuration, "{said:#?}");
            let (told, _) = explained(&case, cured, reason);
            let again = told.drops.iter().any(|drop| drop.reason.reason == reason.label());
            assert!(!again, "{reason:?} in spite of the way out: {told:#?}");
        }
    }
}

#[test]
fn every_reason_can_be_asked_about_whatever_the_frame() {
    let frames = [
        ("a", tenant(BROADCAST, station(1))),
        ("g", unicast()),
        ("alone", unicast()),
        ("unused", unicast()),
        ("uplink", tunnelled(&unicast())),
        ("uplink", unicast()),
    ];
    let sim = Simulation::new(config::parse("t", CONFIG).unwrap(), Options::default()).unwrap();
    let document = serde_json::to_value(Document::from(sim.topology().config())).unwrap();
    for (from, frame) in frames {
        for &reason in DropReason::ALL {
            for at in [None, Some("uplink".to_owned()), Some("b".to_owned())] {
                let asked = Question {
                    was: Some((reason, at)),
                    ..question(Origin::Port(from.to_owned()), frame.clone())
                };
                let told = sim.explain(asked).unwrap().explanation();
                let was = told.was.unwrap();
                assert_eq!(was.reason, reason.label());
                points_somewhere(&document, &was);
            }
        }
    }
}

#[test]
fn a_name_that_nothing_has_is_said() {
    let sim = Simulation::new(config::parse("t", CONFIG).unwrap(), Options::default()).unwrap();
    let was = Some((DropReason::Runt, Some("nobody".to_owned())));
    for (from, was, words) in [
        (Origin::Port("c".to_owned()), None, "there is no port `c`"),
        (Origin::Vtep("blue".to_owned()), None, "there is no VTEP `blue`"),
        (Origin::Port("a".to_owned()), was, "there is no port `nobody`"),
    ] {
        let asked = Question { was, ..question(from, unicast()) };
        assert_eq!(sim.explain(asked).unwrap_err().to_string(), words);
    }
}

/// More copies than are kept: the others are counted.
#[test]
fn a_frame_for_thousands_is_explained_in_bounds() {
    let remotes: Vec<_> = (0..3000).map(|n| format!("10.0.{}.{}", n / 250, 1 + n % 250)).collect();
    let toml = CONFIG.replace("[\"198.51.100.2\", \"198.51.100.3\"]", &format!("{remotes:?}"));
    let sim = Simulation::new(config::parse("t", &toml).unwrap(), Options::default()).unwrap();
    let asked = question(Origin::Port("a".to_owned()), tenant(BROADCAST, station(1)));
    let told = sim.explain(asked).unwrap().explanation();
    assert_eq!((told.copies.len(), told.copies_left_out), (1000, 2001));
    assert_eq!(told.summary, "The frame is flooded in network blue: 3001 copies leave.");
}
