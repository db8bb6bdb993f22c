//! The benchmark measures what it says: every frame of every scenario goes where it should.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::arena;
use super::device::{BUFFERS, Device};
use super::scenario::{MAX_SIZE, Options, Scenario};
use super::traffic::{self, Pair, UPLINK};
use super::world::World;
use crate::datapath::capture::Recorder;
use crate::datapath::now::Now;
use crate::datapath::vector::BURST;
use crate::datapath::worker::Worker;
use crate::ids::{NetworkId, PortId};
use crate::metrics::counters;
use crate::metrics::drop_reason::DropReason;

const ALL: [Scenario; 7] = [
    Scenario::L2,
    Scenario::Encap,
    Scenario::Decap,
    Scenario::Mixed,
    Scenario::Flood,
    Scenario::Learn,
    Scenario::UnknownVni,
];

/// Some turns; then the counters.
fn turns(options: &Options, turns: usize) -> counters::CountersView {
    options.check().unwrap();
    let World { mut fdb, mut generations, .. } = World::new(options).unwrap();
    let events = Arc::new(ArrayQueue::new(1 << 16));
    let mut slots = arena::slots(BUFFERS);
    let device = Device::new(&mut slots, traffic::streams(options, 0), Arc::clone(&events));
    let (counters, view) = counters::new();
    let ports = usize::from(options.ports());
    let (recorder, _drops) = Recorder::new(0);
    let (generations, fdb) = (generations.remove(0), fdb.remove(0));
    let mut worker = Worker::new(device, generations, fdb, counters, recorder, ports);
    for _ in 0..turns {
        worker.turn(Now::from_millis(1));
    }
    worker.counters().publish();
    assert!(events.is_empty(), "every source is known");
    assert_eq!(view.ledger().unaccounted(), 0);
    view
}

fn sized(scenario: Scenario) -> Options {
    let vteps = if scenario.has_tunnels() { 3 } else { 0 };
    let networks = if scenario == Scenario::Learn { 1 } else { 5 };
    let fdb_capacity = Some(10_000);
    Options { macs: 400, networks, vteps, fdb_capacity, ..Options::new(scenario) }
}

#[test]
fn frames_go_where_the_scenario_says() {
    for scenario in ALL {
        for size in [64, 100, 1500, MAX_SIZE] {
            let options = Options { size, ..sized(scenario) };
            let view = turns(&options, 200);
            let ledger = view.ledger();
            let uplink = view.port(UPLINK);
            let from_uplink = uplink.receive_packets;
            let copies = if scenario == Scenario::Flood { 2 * ledger.received } else { 0 };
            assert_eq!(ledger.replicated, copies, "{options:?}");
            let (expected_from, expected_to) = match scenario {
                Scenario::L2 | Scenario::Learn => (0, 0),
                Scenario::Encap => (0, ledger.received),
                Scenario::Decap | Scenario::UnknownVni => (ledger.received, 0),
                Scenario::Mixed => (ledger.received / 2, ledger.received / 2),
                Scenario::Flood => (0, 3 * ledger.received),
            };
            let to_uplink = uplink.transmit_packets;
            assert_eq!((from_uplink, to_uplink), (expected_from, expected_to), "{options:?}");
            if scenario == Scenario::UnknownVni {
                assert_eq!(view.port_drops(UPLINK, DropReason::UnknownVni), ledger.received);
            } else {
                assert_eq!(ledger.dropped, 0, "{options:?}");
            }
            let tenants = (1..options.ports()).map(PortId).map(|port| view.port(port));
            let used = tenants.filter(|port| port.receive_packets + port.transmit_packets > 0);
            let wanted = if scenario == Scenario::UnknownVni { 0 } else { options.ports() - 1 };
            assert_eq!(used.count(), usize::from(wanted), "every port has traffic: {options:?}");
        }
    }
}

#[test]
fn a_storm_is_heard() {
    let options = Options { macs: 1000, fdb_capacity: Some(4000), ..Options::new(Scenario::Learn) };
    options.check().unwrap();
    let World { mut learner, mut fdb, mut generations, publisher, .. } =
        World::new(&options).unwrap();
    let events = Arc::new(ArrayQueue::new(1 << 16));
    let mut slots = arena::slots(BUFFERS);
    let device = Device::new(&mut slots, traffic::streams(&options, 0), Arc::clone(&events));
    let (counters, _view) = counters::new();
    let ports = usize::from(options.ports());
    let (recorder, _drops) = Recorder::new(0);
    let (generations, fdb) = (generations.remove(0), fdb.remove(0));
    let mut worker = Worker::new(device, generations, fdb, counters, recorder, ports);
    let known = learner.network(NetworkId(0)).entries;
    worker.io_mut().release(100);
    assert_eq!(worker.turn(Now::from_millis(1)), BURST);
    assert_eq!(worker.turn(Now::from_millis(1)), BURST);
    assert_eq!((worker.io_mut().newcomers(), events.len()), (100, 100));
    learner.drain(&events, publisher.current(), 0, |_| ());
    assert_eq!(learner.network(NetworkId(0)).entries, known + 100);
    worker.turn(Now::from_millis(1));
    assert_eq!(events.len(), 0, "the others are known");
}

#[test]
fn pairs_are_spread_evenly() {
    let options =
        Options { macs: 12_000, networks: 100, vteps: 30, ..Options::new(Scenario::Decap) };
    let pairs: Vec<_> = (0..options.macs).map(|n| Pair::new(n, &options)).collect();
    for domain in (0..100).map(NetworkId) {
        let of_network: Vec<_> = pairs.iter().filter(|pair| pair.domain == domain).collect();
        assert_eq!(of_network.len(), 120);
        for vtep in 0..30 {
            assert_eq!(of_network.iter().filter(|pair| pair.vtep == vtep).count(), 4);
        }
    }
}

#[test]
fn workers_share_the_pairs() {
    let options = Options { macs: 1000, workers: 2, ..Options::new(Scenario::Decap) };
    let [first, second] = [0, 1].map(|worker| traffic::streams(&options, worker).remove(0).blocks);
    assert_eq!((first.len(), second.len()), (500, 500));
    assert!(first.iter().all(|block| !second.contains(block)));
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let good = Options::new(Scenario::Encap);
    good.check().unwrap();
    for (options, reason) in [
        (Options { size: 63, ..good }, "--size 63"),
        (Options { size: MAX_SIZE + 1, ..good }, "--size 2003"),
        (Options { macs: 0, ..good }, "--macs 0"),
        (Options { networks: 0, ..good }, "--networks 0"),
        (Options { networks: 2000, ..good }, "raise --macs to 2000"),
        (Options { vteps: 2000, ..good }, "raise --macs to 2000"),
        (Options { vteps: 0, ..good }, "--vteps 0"),
        (Options { vteps: 2, ..Options::new(Scenario::L2) }, "leaves this host"),
        (Options { networks: 2, ..Options::new(Scenario::Learn) }, "one network"),
        (Options { workers: 0, ..good }, "--workers 0"),
        (Options { seconds: f64::NAN, ..good }, "--seconds"),
    ] {
        let error = options.check().unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_short_run_has_a_report() {
    let options = Options { seconds: 0.1, ..Options::new(Scenario::Mixed) };
    let report = super::run(&options, &|_| ()).unwrap();
    assert!(report.mpps.min > 0.0 && report.mpps.min <= report.mpps.median, "{report:?}");
    assert!(report.device_cycles_per_packet > 0.0, "{report:?}");
    assert!(report.to_string().contains("unaccounted 0"), "{report}");
    serde_json::to_string(&report).unwrap();
}
