//! For every drop reason: the piece of configuration that causes it, and that the way out is one.

use serde_json::Value;
use vswitch::config::{self, Document};
use vswitch::explain::answer::{Explanation, Origin, Outcome};
use vswitch::explain::io::RxFlags;
use vswitch::explain::{Question, Trace};
use vswitch::metrics::drop_reason::DropReason;
use vswitch::sim::{Options, Simulation};

use crate::pipeline::*;
use crate::{explain, points_somewhere, question};

/// How a drop reason comes about, and what is said to cause it.
struct Case {
    toml: String,
    /// Frames that come before.
    before: Vec<(&'static str, Vec<u8>)>,
    has_next_hops: bool,
    port: &'static str,
    frame: Vec<u8>,
    rx_flags: RxFlags,
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
            rx_flags: RxFlags::default(),
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
            rx_flags: RxFlags { scattered: true, ..RxFlags::default() },
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
            rx_flags: RxFlags { stripped_vlan: true, ..RxFlags::default() },
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
            |f| f.to[5] = 7, "/vtep/0/mac", ["the MAC of port uplink", "not to 02:ff:00:00:00:07"],
        )
        .cured("host-interface = \"vtep0\"", "host-interface = \"vtep0\"\nmac = \"02:ff:00:00:00:07\""),
        R::Truncated => {
            let frame = tunnelled(&unicast());
            let frame = frame[..frame.len() - 1].to_vec();
            Case::new("uplink", frame, "/vtep/0/address", ["198.51.100.1", "corrupts the frame"])
        }
        R::OuterBadIhl => {
            Case::tunnel(|f| f.ihl = Some(4), "/vtep/0/address", ["VTEP fabric", "corrupts the frame"])
        }
        R::OuterBadLength => {
            Case::tunnel(|f| f.udp_len = Some(77), "/vtep/0/address", ["VTEP fabric", "corrupts"])
        }
        R::OuterBadChecksum => {
            Case::tunnel(|f| f.ip_checksum = Some(0), "/vtep/0/address", ["VTEP fabric", "corrupts"])
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
                "no network has VNI 101; VTEP fabric has the VNIs 100 (blue), 200 (green)",
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
        rx_flags: case.rx_flags,
        was: case.was.then_some((reason, None)),
        ..question(Origin::Port(case.port.to_owned()), case.frame.clone())
    };
    let trace: Trace = explain(&sim, asked).unwrap();
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
                let told = explain(&sim, asked).unwrap().explanation();
                let was = told.was.unwrap();
                assert_eq!(was.reason, reason.label());
                points_somewhere(&document, &was);
            }
        }
    }
}

#[test]
fn the_sender_that_is_wrong_is_named_and_not_one_in_a_tenants_own_tunnel() {
    let nobody = |n: u8| [0x03, 0, 0, 0, 0, n];
    let own = Tunnelled { from: nobody(1), ..Tunnelled::new(unicast()) };
    let in_ours = Tunnelled::new(Tunnelled { from: nobody(9), ..own.clone() }.bytes());
    let sim = Simulation::new(config::parse("t", CONFIG).unwrap(), Options::default()).unwrap();
    for (port, frame, who) in
        [("a", own, "not 03:00:00:00:00:01"), ("uplink", in_ours, "not 03:00:00:00:00:09")]
    {
        let asked = question(Origin::Port(port.to_owned()), frame.bytes());
        let told = explain(&sim, asked).unwrap().explanation();
        let [drop] = &told.drops[..] else { panic!("{told:#?}") };
        assert_eq!(drop.reason.reason, DropReason::InvalidSourceMac.label());
        assert!(drop.reason.cause.remedy.ends_with(who), "{drop:#?}");
    }
}
