//! Captures of frames that pass: what each point sees, which frames are wanted, and what is missed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use pipeline::*;
use std::cell::Cell;
use std::sync::Arc;

use vswitch::capture::comment::comment;
use vswitch::capture::generation_names::NameHistory;
use vswitch::capture::request::CaptureRequest;
use vswitch::config;
use vswitch::control::captures::{CaptureError, Captures, KEPT_DROPS};
use vswitch::control::drops::Drops;
use vswitch::datapath::capture::budget::UNITS_PER_MILLI;
use vswitch::datapath::capture::recorder::Frame;
use vswitch::datapath::capture::{
    Capture, CapturePoint, Filter, MAX_CAPTURES, Missed, Phase, Recorder,
};
use vswitch::datapath::now::Now;
use vswitch::datapath::packet::{Packet, Received};
use vswitch::ids::PortId;
use vswitch::metrics::counters::{self, Site};
use vswitch::metrics::drop_reason::DropReason;
use vswitch::sim::Options;
use vswitch::topology::{PortFacts, Topology};

fn all() -> CaptureRequest {
    CaptureRequest::default()
}

fn at(point: CapturePoint) -> CaptureRequest {
    CaptureRequest { points: vec![point], ..all() }
}

fn comments(taken: &[(String, Vec<u8>)]) -> Vec<&str> {
    taken.iter().map(|(comment, _)| comment.as_str()).collect()
}

/// A switch on which station 1 is known at port a, station 2 at port b, and station 9 behind the
/// first remote VTEP.
fn learned() -> Switch {
    learned_with(Options::default())
}

fn learned_with(options: Options) -> Switch {
    let mut switch = Switch::with(CONFIG, options);
    for (port, frame) in [
        ("a", tenant(BROADCAST, station(1))),
        ("b", tenant(BROADCAST, station(2))),
        ("uplink", tunnelled(&tenant(station(1), station(9)))),
    ] {
        switch.pass(port, &frame);
    }
    switch
}

#[test]
fn a_frame_from_the_overlay_is_seen_at_each_tap_as_it_is_there() {
    let mut switch = learned();
    let capture = switch.watch(all());
    let inner = tenant(station(1), station(9));
    let outer = tunnelled(&inner);
    switch.pass("uplink", &outer);
    let taken = switch.taken(&capture);
    let from = "on port uplink from remote VTEP 198.51.100.2, network blue (VNI 100)";
    assert_eq!(
        taken,
        [
            (format!("received {from}, forwarded to port a, generation 0"), outer),
            (format!("decapsulated {from}, forwarded to port a, generation 0"), inner.clone()),
            ("transmitted on port a, network blue (VNI 100), sent, generation 0".to_owned(), inner),
        ]
    );
    switch.check();
}

#[test]
fn a_frame_to_the_overlay_is_seen_with_its_headers_when_it_leaves() {
    let mut switch = learned();
    let capture = switch.watch(all());
    let frame = tenant(station(9), station(1));
    let out = switch.pass("a", &frame);
    let taken = switch.taken(&capture);
    let to = "network blue (VNI 100), encapsulated to remote VTEP 198.51.100.2, generation 0";
    assert_eq!(
        taken,
        [
            (format!("received on port a, {to}"), frame),
            (
                "transmitted on port uplink, network blue (VNI 100), sent, generation 0".to_owned(),
                out[0].1.clone()
            ),
        ]
    );
}

#[test]
fn flooded_punted_and_dropped_frames_say_so() {
    let mut switch = learned();
    let capture = switch.watch(at(CapturePoint::Received));
    switch.pass("a", &tenant(BROADCAST, station(1)));
    let mut for_host = Tunnelled::new(tenant(station(1), station(9)));
    for_host.protocol = 1;
    switch.pass("uplink", &for_host.bytes());
    switch.pass("a", &tenant(station(1), station(1)));
    switch.pass("unused", &tenant(station(1), station(1)));
    switch.pass("alone", &tenant(BROADCAST, station(1)));
    assert_eq!(
        comments(&switch.taken(&capture)),
        [
            "received on port a, network blue (VNI 100), flooded, generation 0",
            "received on port uplink, no network, given to the host by VTEP fabric, generation 0",
            "received on port a, network blue (VNI 100), dropped: same_port, generation 0",
            "received on port unused, no network, dropped: port_unused, generation 0",
            "received on port alone, network local (VNI 300), dropped: no_destination, generation 0",
        ]
    );
}

#[test]
fn only_selected_frames_are_taken() {
    let named = |name: &str| Some(name.to_owned());
    let cases: [(CaptureRequest, &[&str]); 8] = [
        (CaptureRequest { port: named("b"), ..all() }, &["transmitted b"]),
        (
            CaptureRequest { network: named("green"), ..all() },
            &["received g", "transmitted uplink"],
        ),
        // Its tunnel frame is told by what is in it.
        (
            CaptureRequest {
                network: named("blue"),
                points: vec![CapturePoint::Received],
                ..all()
            },
            &["received a", "received uplink"],
        ),
        (
            CaptureRequest { vtep: named("fabric"), ..all() },
            &["received uplink", "decapsulated uplink", "transmitted uplink"],
        ),
        (CaptureRequest { reason: Some(DropReason::PortUnused), ..all() }, &["dropped unused"]),
        (
            CaptureRequest {
                reason: Some(DropReason::PortUnused),
                points: vec![CapturePoint::Received],
                ..all()
            },
            &["received unused"],
        ),
        (CaptureRequest { port: named("a"), network: named("green"), ..all() }, &[]),
        (at(CapturePoint::Decapsulated), &["decapsulated uplink"]),
    ];
    for (request, expected) in cases {
        let mut switch = learned();
        let capture = switch.watch(request.clone());
        switch.pass("a", &tenant(station(2), station(1)));
        switch.pass("uplink", &tunnelled(&tenant(station(1), station(9))));
        switch.pass("g", &tenant(station(5), station(6)));
        switch.pass("unused", &tenant(station(5), station(6)));
        let taken = switch.taken(&capture);
        let short = |comment: &&str| {
            let words: Vec<_> = comment.split([' ', ',']).collect();
            format!("{} {}", words[0], words[3])
        };
        let taken: Vec<_> = comments(&taken).iter().map(short).collect();
        assert_eq!(taken, expected, "{request:?}");
        assert_eq!(capture.missed(), Missed::default());
        switch.check();
    }
}

#[test]
fn only_what_a_queue_took_was_transmitted() {
    let mut switch = learned_with(Options { transmit_queue: 3, ..Options::default() });
    let capture = switch.watch(CaptureRequest {
        points: vec![CapturePoint::Transmitted, CapturePoint::Dropped],
        ..all()
    });
    for _ in 0..5 {
        switch.offer("a", &tenant(station(2), station(1)));
    }
    assert_eq!(switch.run().len(), 3);
    let taken = switch.taken(&capture);
    let words = comments(&taken);
    assert!(words[..3].iter().all(|words| words.starts_with("transmitted on port b")), "{words:?}");
    let full =
        "dropped at port b, network blue (VNI 100), dropped: transmit_queue_full, generation 0";
    assert_eq!(words[3..], [full, full]);

    let mut switch = learned_with(Options { hand_over: true, ..Options::default() });
    let capture = switch.watch(at(CapturePoint::Transmitted));
    switch.pass("a", &tenant(station(2), station(1)));
    assert_eq!(switch.taken(&capture), [], "the worker that transmits it takes it");
}

#[test]
fn frames_that_pass_no_stage_are_seen_when_they_leave() {
    let mut switch = learned();
    let capture = switch.watch(all());
    let frame = ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], 0x0806, &[0; 46]);
    assert!(switch.offer_from_host(&frame) && switch.hand_in("a", &frame));
    assert_eq!(switch.run().len(), 2);
    let mut words: Vec<_> = switch.taken(&capture).into_iter().map(|(words, _)| words).collect();
    words.sort();
    assert_eq!(
        words,
        [
            "transmitted on port a, network blue (VNI 100), sent, generation 0",
            "transmitted on port uplink, no network, sent, generation 0",
        ]
    );
}

#[test]
fn a_filter_sees_the_frame_of_its_tap() {
    let mut switch = learned();
    let is_ipv4 = |frame: &[u8]| frame[12..14] == [8, 0];
    let filter = Filter { test: Box::new(is_ipv4), instructions: 4 };
    let capture = switch.watch_with(all(), Capture::new(Some(filter), 20, 16, 1));
    let outer = tunnelled(&tenant(station(1), station(9)));
    switch.pass("uplink", &outer);
    let taken = switch.taken(&capture);
    assert_eq!(taken.len(), 1, "what is inside is no IPv4: {taken:?}");
    assert_eq!(taken[0].1, outer[..20], "as much as was asked for");
    assert_eq!(capture.missed(), Missed::default(), "what is not wanted is not missed");
}

#[test]
fn what_finds_no_room_is_counted_and_passes() {
    let mut switch = learned();
    let capture = switch.watch_with(at(CapturePoint::Received), Capture::new(None, 2048, 4, 1));
    for _ in 0..10 {
        switch.offer("a", &tenant(station(2), station(1)));
    }
    assert_eq!(switch.run().len(), 10);
    assert_eq!(capture.missed(), Missed { no_room: 6, over_budget: 0 });
    assert_eq!(switch.taken(&capture).len(), 4);
    switch.pass("a", &tenant(station(2), station(1)));
    assert_eq!(switch.taken(&capture).len(), 1, "there is room again");
    switch.check();
}

#[test]
fn a_millisecond_has_a_budget_and_no_more() {
    let mut switch = learned();
    let captures: Vec<_> = (0..MAX_CAPTURES)
        .map(|_| switch.watch_with(all(), Capture::new(None, 2048, 4096, 1)))
        .collect();
    let frame = tenant(station(2), station(1));
    let pass = |switch: &mut Switch| {
        for _ in 0..2000 {
            switch.offer("a", &frame);
        }
        assert_eq!(switch.run().len(), 2000);
        let taken = captures.iter().map(|capture| switch.taken(capture).len() as u64);
        taken.collect::<Vec<_>>()
    };
    let first = pass(&mut switch);
    let missed = |n: usize| captures[n].missed();
    for (n, taken) in first.iter().enumerate() {
        assert_eq!(missed(n).no_room, 0);
        assert_eq!(taken + missed(n).over_budget, 2 * 2000, "received and transmitted");
    }
    let sum: u64 = first.iter().sum();
    assert!((100..u64::from(UNITS_PER_MILLI) / 250).contains(&sum), "{first:?}");
    assert_eq!(pass(&mut switch), [0, 0, 0, 0], "the same millisecond");
    switch.sim.advance_millis(1);
    assert_eq!(pass(&mut switch), first, "another one");
    switch.check();
}

/// A frame of which one buffer has the first bytes; knows how often it was put together.
struct Scattered<'a>(&'a Cell<u32>);

impl Scattered<'_> {
    const LEN: usize = 9000;
}

impl Packet for Scattered<'_> {
    fn bytes(&self) -> &[u8] {
        &[7; 50]
    }

    fn len(&self) -> usize {
        Self::LEN
    }

    fn gather(&self, out: &mut [u8]) -> usize {
        let len = Self::LEN.min(out.len());
        self.0.set(self.0.get() + u32::from(len == Self::LEN));
        out[..len].fill(7);
        len
    }

    fn narrow(&mut self, _start: usize, _len: usize) {}

    fn grow_front(&mut self, _count: usize) -> Option<&mut [u8]> {
        None
    }

    fn accept(&mut self) -> Received {
        Received { len: 9000, is_contiguous: false, has_stripped_vlan: false }
    }
}

#[test]
fn a_frame_in_several_buffers_pays_for_being_put_together() {
    let topology = Topology::new(config::parse("test.toml", CONFIG).unwrap()).unwrap();
    let (mut recorder, drops) = Recorder::new(0);
    let mut captures = Captures::new(&topology, 1, vec![drops], Arc::new(|| 0));
    // Nobody wants it, so it is nothing but looked at.
    let nobody = || Some(Filter { test: Box::new(|_| false), instructions: 1 });
    let all: Vec<_> =
        (0..MAX_CAPTURES).map(|_| Arc::new(Capture::new(nobody(), 64, 64, 1))).collect();
    for capture in &all {
        captures.watch(at(CapturePoint::Dropped), Arc::clone(capture)).unwrap();
    }
    let facts = vec![PortFacts::NONE; topology.port_slots()];
    let generation = topology.generation(&facts, &[], 0);
    let generation = generation.watched(1, captures.watches(&topology));
    let gathered = Cell::new(0);
    recorder.begin(Now::from_millis(1), &generation);
    for _ in 0..1000 {
        let site = Site::port(PortId(0));
        recorder.dropped(&generation, site, DropReason::TransmitQueueFull, &Scattered(&gathered));
    }
    recorder.release(&generation);
    // Eight bytes for a unit.
    let most = UNITS_PER_MILLI / (9000 / 8);
    assert!((most / 2..=most).contains(&gathered.get()), "{gathered:?} of {most}");
    let missed: u64 = all.iter().map(|capture| capture.missed().over_budget).sum();
    assert_eq!(missed + u64::from(gathered.get()), 4 * 1000, "and the others are counted");
    // The ring has more than the first buffer of it.
    captures.keep_drops();
    let kept = captures.dropped();
    assert_eq!((kept[0].frame.len, kept[0].frame.bytes()), (9000, &[7; 256][..]));
}

#[test]
fn drops_beyond_the_budget_are_missed_by_captures_that_select_them() {
    let mut switch = learned();
    let named = |name: &str| Some(name.to_owned());
    let room = || Capture::new(None, 64, 4096, 1);
    let dropped = at(CapturePoint::Dropped);
    let [of_a, of_b, runts, all] = [
        CaptureRequest { port: named("a"), ..dropped.clone() },
        CaptureRequest { port: named("b"), ..dropped.clone() },
        CaptureRequest { reason: Some(DropReason::Runt), ..dropped.clone() },
        dropped,
    ]
    .map(|request| switch.watch_with(request, room()));
    for n in 0..3000 {
        // Of two kinds, in turn.
        let (port, to) = if n % 2 == 0 { ("a", station(1)) } else { ("unused", station(2)) };
        switch.offer(port, &tenant(to, station(1)));
    }
    switch.run();
    for (capture, wanted) in [(&of_a, 1500), (&of_b, 0), (&runts, 0), (&all, 3000)] {
        let Missed { no_room, over_budget } = capture.missed();
        assert_eq!((no_room, over_budget + switch.taken(capture).len() as u64), (0, wanted));
    }
    assert!(all.missed().over_budget > 2000);
    switch.check();
}

#[test]
fn a_filter_that_is_too_long_takes_no_time() {
    let mut switch = learned();
    let test = Box::new(|_: &[u8]| panic!("it is run"));
    let filter = Filter { test, instructions: UNITS_PER_MILLI };
    let capture = switch.watch_with(all(), Capture::new(Some(filter), 64, 4, 1));
    switch.pass("a", &tenant(station(2), station(1)));
    assert_eq!(capture.missed(), Missed { no_room: 0, over_budget: 2 });
}

#[test]
fn a_capture_ends_when_no_worker_knows_of_it() {
    let mut switch = learned();
    let (capture, other) = (switch.watch(all()), switch.watch(all()));
    let frame = tenant(station(2), station(1));
    switch.pass("a", &frame);
    assert!(switch.sim.captures().end(1) && !switch.sim.captures().end(3));
    // Its worker has not heard of it: frames come until it has.
    switch.offer("a", &frame);
    switch.sim.look_after_captures();
    assert_eq!(capture.phase(), Phase::Ending);
    switch.run();
    assert_eq!(capture.phase(), Phase::Drained);
    let before = switch.taken(&capture).len();
    assert!((2..=4).contains(&before), "{before}");
    switch.pass("a", &frame);
    assert_eq!(switch.taken(&capture), []);
    assert_eq!(switch.taken(&other).len(), 6, "the other goes on");
    assert_eq!(switch.sim.captures().rows().len(), 1);
    switch.check();
}

#[test]
fn there_are_as_many_captures_as_there_may_be() {
    let mut switch = learned();
    for _ in 0..MAX_CAPTURES {
        switch.watch(all());
    }
    let one_more = std::sync::Arc::new(Capture::new(None, 64, 1, 1));
    let refused = switch.sim.captures().watch(all(), one_more.clone());
    assert!(matches!(refused, Err(CaptureError::TooMany)), "{refused:?}");
    switch.sim.captures().end(2);
    switch.run();
    switch.sim.look_after_captures();
    switch.pass("a", &tenant(station(2), station(1)));
    switch.sim.captures().watch(all(), one_more).unwrap();
}

#[test]
fn a_change_of_the_configuration_changes_what_a_name_stands_for() {
    let mut switch = learned();
    let green = CaptureRequest {
        network: Some("green".to_owned()),
        points: vec![CapturePoint::Received],
        ..all()
    };
    let capture = switch.watch(green);
    let frame = tenant(station(5), station(6));
    switch.pass("g", &frame);
    // Port b goes from blue to green.
    let member = "  [[network.port]]\n  port = \"b\"\n";
    let toml = CONFIG.replace(member, "");
    let toml = toml.replace("port = \"g\"\n\n", &format!("port = \"g\"\n{member}\n"));
    let next = config::parse("test.toml", &toml).unwrap();
    switch.sim.change(next, |_| ()).unwrap();
    switch.pass("b", &frame);
    assert_eq!(
        comments(&switch.taken(&capture)),
        [
            "received on port g, network green (VNI 200), flooded, generation 0",
            "received on port b, network green (VNI 200), flooded, generation 1",
        ]
    );
    // A name that is gone selects nothing.
    let (before, after) = (
        CONFIG.find("[[network]]\nname = \"green\""),
        CONFIG.find("[[network]]\nname = \"local\""),
    );
    let without = [&CONFIG[..before.unwrap()], &CONFIG[after.unwrap()..]].concat();
    let next = config::parse("test.toml", &without).unwrap();
    switch.sim.change(next, |_| ()).unwrap();
    switch.pass("g", &frame);
    assert_eq!(switch.taken(&capture), []);
}

#[test]
fn the_last_sixteen_of_a_reason_are_kept() {
    let mut switch = learned();
    for n in 0..40 {
        switch.offer("unused", &tenant(station(n), station(6)));
        switch.run();
        switch.sim.advance_millis(1);
    }
    switch.pass("a", &tenant(station(1), station(1)));
    let kept = switch.sim.captures().dropped();
    let unused: Vec<_> =
        kept.iter().filter(|kept| kept.frame.reason == DropReason::PortUnused).collect();
    assert_eq!((kept.len(), unused.len()), (17, 16));
    assert_eq!(unused[0].frame.bytes()[5], 24);
    assert_eq!(unused[15].frame.bytes()[5], 39);
    assert!(unused.iter().all(|kept| kept.port == "unused" && kept.network.is_empty()));
    let other = kept.iter().find(|kept| kept.frame.reason == DropReason::SamePort).unwrap();
    assert_eq!((&*other.port, &*other.network), ("a", "blue"));
}

#[test]
fn the_last_are_the_last_by_time_whichever_thread_dropped_them() {
    let topology = Topology::new(config::parse("test.toml", CONFIG).unwrap()).unwrap();
    let [(mut late, its_drops), (mut early, other_drops)] = [Recorder::new(0), Recorder::new(1)];
    let queues = vec![its_drops, other_drops];
    let mut captures = Captures::new(&topology, 1, queues, Arc::new(|| 0));
    let facts = vec![PortFacts::NONE; topology.port_slots()];
    let generation = topology.generation(&facts, &[], 0);
    for n in 0..20 {
        for (recorder, millis) in [(&mut late, 100 + n), (&mut early, 1 + n)] {
            recorder.begin(Now::from_millis(millis), &generation);
            let site = Site::port(PortId(1));
            recorder.dropped(&generation, site, DropReason::Runt, &Frame(&[0; 9]));
        }
    }
    captures.keep_drops();
    let kept: Vec<_> = captures.dropped().iter().map(|kept| kept.frame.nanos).collect();
    assert_eq!((kept.len(), kept[0], kept[15]), (KEPT_DROPS, 104_000_000, 119_000_000));
}

#[test]
fn without_names_there_are_numbers() {
    let mut switch = learned();
    let capture = switch.watch(all());
    switch.pass("a", &tenant(station(2), station(1)));
    switch.pass("unused", &tenant(station(2), station(1)));
    let gone = NameHistory::default().get(0);
    let words: Vec<_> = std::iter::from_fn(|| capture.next())
        .map(|record| comment(&record, &gone).replace(", generation 0 (whose names are gone)", ""))
        .collect();
    let [received, sent, dropped] = &words[..3] else { panic!("{words:?}") };
    assert_eq!(received, "received on port #1, network #0, forwarded to port #2");
    assert_eq!(sent, "transmitted on port #2, network #0, sent");
    assert!(dropped.contains(" port #5, no network, dropped: port_unused"), "{dropped}");
}

#[test]
fn what_the_control_thread_drops_is_kept_and_captured_also_where_its_port_is_gone() {
    let before = Topology::new(config::parse("test.toml", CONFIG).unwrap()).unwrap();
    let without = CONFIG.replace("[[port]]\nname = \"unused\"\ndevice = \"net_null5\"\n", "");
    let after = before.next(config::parse("test.toml", &without).unwrap()).unwrap();
    let (last, _) = before.ports_not_in(&after).next().unwrap();
    assert_eq!(last.index(), after.port_slots(), "no generation has its index any more");
    let cases = [
        (PortId(0), "uplink", DropReason::HostWriteFailed),
        (PortId(0), "uplink", DropReason::HostQueueFull),
        (last, "unused", DropReason::PortRemoved),
    ];
    for (port, name, reason) in cases {
        let (mut recorder, drops) = Recorder::new(0);
        let mut captures = Captures::new(&before, 6, vec![drops], Arc::new(|| 0));
        let [any, of_uplink] = [None, Some("uplink".to_owned())].map(|port| {
            let capture = Arc::new(Capture::new(None, 2048, 4, 1));
            let request = CaptureRequest {
                port,
                points: vec![CapturePoint::Dropped],
                ..CaptureRequest::default()
            };
            captures.watch(request, Arc::clone(&capture)).unwrap();
            capture
        });
        captures.configured(7, &after);
        let facts = vec![PortFacts::NONE; after.port_slots()];
        let generation = after.generation(&facts, &[], 0);
        let generation = generation.watched(7, captures.watches(&after));
        let (counters, view) = counters::new();
        recorder.begin(Now::from_millis(1), &generation);
        let frame = tenant(station(1), station(2));
        let recorder = &mut recorder;
        let mut ends = Drops { counters: &counters, recorder, generation: &generation };
        ends.dropped(Site::port(port), reason, &Frame(&frame));
        assert_eq!(view.port_drops(port, reason), 1);
        captures.keep_drops();
        let [kept] = &captures.dropped()[..] else { panic!("{reason:?}") };
        let is = (kept.frame.reason, kept.frame.bytes(), &*kept.port);
        assert_eq!(is, (reason, &frame[..], name));
        assert_eq!(any.next().unwrap().bytes, frame);
        assert_eq!(of_uplink.next().is_some(), name == "uplink");
    }
}
