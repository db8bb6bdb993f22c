//! An explanation is what then happens, it changes nothing, and it names for every drop reason the
//! piece of configuration that makes it one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;
#[path = "explain/reasons.rs"]
mod reasons;

use std::collections::BTreeMap;

use pipeline::random::*;
use pipeline::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use vswitch::config::{self, Config, Document};
use vswitch::explain::answer::{Dropped, Exit, Explanation, Learning, Origin, Outcome, Reason};
use vswitch::explain::difference::Edit;
use vswitch::explain::io::RxFlags;
use vswitch::explain::{Explainer, Question, Trace, Unknown};
use vswitch::ids::{MacAddr, VtepId};
use vswitch::metrics::drop_reason::DropReason;
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
    rx_flags: RxFlags,
    /// Whether the next hops are known when it comes.
    has_next_hops: bool,
    /// Milliseconds before it comes, on top of a hundred.
    wait: u64,
}

/// What would become of a frame now.
pub fn explain(sim: &Simulation, asked: Question) -> Result<Trace, Unknown> {
    // Its counters have room for every index: mapping that memory takes longer than an answer.
    thread_local!(static EXPLAINER: Explainer = Explainer::default());
    EXPLAINER.with(|explainer| explainer.explain(sim.live_state(), asked))
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
            let rx_flags = RxFlags { stripped_vlan, scattered };
            Offer { from, frame, rx_flags, has_next_hops, wait }
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

/// The value that a pointer means is there; or its key is not, and the table that it belongs into
/// is.
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
    Question { from, frame, rx_flags: RxFlags::default(), was: None }
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
    let asked = Question { rx_flags: offer.rx_flags, ..question(from.clone(), frame.clone()) };
    let trace = explain(sim, asked.clone()).unwrap();
    let (dropped, told) = (trace.dropped.clone(), trace.explanation());
    assert_eq!(state(sim), before, "an explanation changes nothing");
    assert_eq!(explain(sim, asked).unwrap().explanation(), told, "and not even itself");

    let is_taken = match &from {
        Origin::Port(port) => {
            let port = sim.port(port).unwrap();
            sim.receive_as(port, &frame, |buffer| {
                if offer.rx_flags.stripped_vlan {
                    buffer.set_stripped_vlan();
                }
                if offer.rx_flags.scattered {
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

#[test]
fn a_name_that_nothing_has_is_said() {
    let sim = Simulation::new(config::parse("t", CONFIG).unwrap(), Options::default()).unwrap();
    let was = Some((DropReason::Runt, Some("nobody".to_owned())));
    for (from, was, words) in [
        (Origin::Port("c".to_owned()), None, "there is no port `c`"),
        (Origin::Vtep("blue".to_owned()), None, "there is no VTEP `blue`"),
        (Origin::Port("a".to_owned()), was, "there is no port `nobody`"),
    ] {
        let asked = Question { was, ..question(from, tenant(station(1), station(2))) };
        assert_eq!(explain(&sim, asked).unwrap_err().to_string(), words);
    }
}

/// More copies than are kept: the others are counted.
#[test]
fn a_frame_for_thousands_is_explained_in_bounds() {
    let remotes: Vec<_> = (0..3000).map(|n| format!("10.0.{}.{}", n / 250, 1 + n % 250)).collect();
    let toml = CONFIG.replace("[\"198.51.100.2\", \"198.51.100.3\"]", &format!("{remotes:?}"));
    let sim = Simulation::new(config::parse("t", &toml).unwrap(), Options::default()).unwrap();
    let asked = question(Origin::Port("a".to_owned()), tenant(BROADCAST, station(1)));
    let told = explain(&sim, asked).unwrap().explanation();
    assert_eq!((told.copies.len(), told.copies_left_out), (1000, 2001));
    assert_eq!(told.summary, "The frame is flooded in network blue: 3001 copies leave.");
}
