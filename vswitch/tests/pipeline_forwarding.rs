//! Learning and forwarding: who gets a frame, who does not, and how often.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use pipeline::*;
use vswitch::ids::{MacAddr, NetworkId};
use vswitch::metrics::drop_reason::DropReason;
use vswitch::sim::{Options, Simulation};
use vswitch::table::Key;

const BLUE: NetworkId = NetworkId(0);
const BOTH_REMOTES: [&str; 2] = ["198.51.100.2#100", "198.51.100.3#100"];

/// A tenant's frame in a tunnel frame for blue.
fn from_remote(source: u32, to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    Tunnelled::new(tenant(to, from)).from(source, 100).bytes()
}

fn sorted(mut places: Vec<String>) -> Vec<String> {
    places.sort();
    places
}

#[test]
fn the_unknown_is_flooded_and_the_known_goes_to_its_port_alone() {
    let mut switch = Switch::new(CONFIG);
    let to_unknown = switch.reach("a", &tenant(station(2), station(1)));
    assert_eq!(sorted(to_unknown), ["198.51.100.2#100", "198.51.100.3#100", "b"]);
    assert_eq!(switch.reach("b", &tenant(station(1), station(2))), ["a"]);
    assert_eq!(switch.reach("a", &tenant(station(2), station(1))), ["b"]);
    assert_eq!(switch.reach("uplink", &from_remote(REMOTE_1, station(1), station(9))), ["a"]);
    assert_eq!(switch.reach("a", &tenant(station(9), station(1))), ["198.51.100.2#100"]);
    assert_eq!(switch.sim.counters().replicated(BLUE), 2);
    assert_eq!(switch.drops(), []);
    switch.check();
}

#[test]
fn everybody_else_gets_a_broadcast_exactly_once() {
    let mut switch = Switch::new(CONFIG);
    for to in [BROADCAST, [0x33, 0x33, 0, 0, 0, 1], [0x01, 0, 0x5e, 0, 0, 1]] {
        let from_a = sorted(switch.reach("a", &tenant(to, station(1))));
        assert_eq!(from_a, ["198.51.100.2#100", "198.51.100.3#100", "b"]);
        let from_b = sorted(switch.reach("b", &tenant(to, station(2))));
        assert_eq!(from_b, ["198.51.100.2#100", "198.51.100.3#100", "a"]);
        for remote in [REMOTE_1, REMOTE_2] {
            let places = switch.reach("uplink", &from_remote(remote, to, station(9)));
            assert_eq!(sorted(places), ["a", "b"], "and no remote VTEP");
        }
    }
    assert_eq!(switch.drops(), []);
    switch.check();
}

#[test]
fn a_full_burst_is_flooded_whole() {
    let mut switch = Switch::new(CONFIG);
    for n in 0..200 {
        assert!(switch.offer("a", &tenant(BROADCAST, station(n))));
    }
    let out = switch.run();
    let expected: Vec<_> = (0..200).map(|n| tenant(BROADCAST, station(n))).collect();
    let on_b: Vec<_> = out.iter().filter(|(port, _)| port == "b").map(|(_, f)| f.clone()).collect();
    assert_eq!(on_b, expected[..], "each once and in order");
    for remote in ["198.51.100.2", "198.51.100.3"] {
        let (mut inner, mut count) = (Vec::new(), 0);
        for (_, frame) in out.iter().filter(|(port, _)| port == "uplink") {
            let (to, _, encapsulated) = outer(frame);
            if to.to_string() == remote {
                inner.push(encapsulated.to_vec());
                count += 1;
            }
        }
        assert_eq!((count, &inner[..]), (200, &expected[..]));
    }
    switch.check();
}

#[test]
fn a_mac_that_moves_is_followed_at_once() {
    let mut switch = Switch::new(CONFIG);
    let to_mover = tenant(station(1), station(2));
    switch.pass("b", &to_mover);
    let moves: [(&str, &str); 6] = [
        ("a", "a"),
        ("remote 1", "198.51.100.2#100"),
        ("remote 2", "198.51.100.3#100"),
        ("remote 1", "198.51.100.2#100"),
        ("a", "a"),
        ("remote 2", "198.51.100.3#100"),
    ];
    for (now_at, place) in moves {
        match now_at {
            "remote 1" => switch.pass("uplink", &from_remote(REMOTE_1, station(2), station(1))),
            "remote 2" => switch.pass("uplink", &from_remote(REMOTE_2, station(2), station(1))),
            port => switch.pass(port, &tenant(station(2), station(1))),
        };
        assert_eq!(switch.reach("b", &to_mover), [place], "now at {now_at}");
    }
    // And to the port that it was flooded from: its own traffic does not come back.
    switch.pass("b", &tenant(station(2), station(1)));
    assert!(switch.reach("b", &to_mover).is_empty());
    assert_eq!(switch.drops(), [("port b".to_owned(), DropReason::SamePort, 2)]);
    let totals = switch.sim.learner().network(BLUE);
    assert_eq!((totals.entries, totals.learned, totals.moves), (2, 2, 6));
    switch.check();
}

#[test]
fn learning_never_overrides_a_static_entry() {
    let toml = config_with(
        r#"
  [[network.mac]]
  address = "02:00:00:00:00:05"
  port = "b"
  [[network.mac]]
  address = "02:00:00:00:00:06"
  remote-vtep = "198.51.100.3"
"#,
    );
    let mut switch = Switch::new(&toml);
    for n in [5, 6] {
        switch.pass("a", &tenant(station(2), station(n)));
        switch.pass("uplink", &from_remote(REMOTE_1, station(2), station(n)));
    }
    switch.sim.advance_millis(1_000_000);
    assert_eq!(switch.reach("a", &tenant(station(5), station(1))), ["b"]);
    assert_eq!(switch.reach("a", &tenant(station(6), station(1))), ["198.51.100.3#100"]);
    let totals = switch.sim.learner().network(BLUE);
    assert_eq!((totals.learned, totals.moves, totals.aged), (1, 0, 0));
    switch.check();
}

/// A remote VTEP that only a static MAC names is a peer, but gets no flooded frames.
#[test]
fn the_home_of_a_static_mac_is_heard_but_not_flooded_to() {
    let toml = config_with(
        r#"
  [[network.mac]]
  address = "02:00:00:00:00:05"
  remote-vtep = "198.51.100.99"
"#,
    );
    let mut switch = Switch::new(&toml);
    let flooded = sorted(switch.reach("a", &tenant(BROADCAST, station(1))));
    assert_eq!(flooded, ["198.51.100.2#100", "198.51.100.3#100", "b"]);
    assert_eq!(switch.reach("a", &tenant(station(5), station(1))), ["198.51.100.99#100"]);
    let heard = from_remote(STRANGER, station(1), station(5));
    assert_eq!(switch.reach("uplink", &heard), ["a"]);
    // It learns from there, too.
    assert_eq!(switch.reach("uplink", &from_remote(STRANGER, station(1), station(7))), ["a"]);
    assert_eq!(switch.reach("a", &tenant(station(7), station(1))), ["198.51.100.99#100"]);
    // For green it is a stranger still.
    let for_green = Tunnelled::new(tenant(BROADCAST, station(5))).from(STRANGER, 200);
    assert!(switch.reach("uplink", &for_green.bytes()).is_empty());
    let at_green = ("network green".to_owned(), DropReason::UnknownRemoteVtep, 1);
    assert_eq!(switch.drops(), [at_green]);
    switch.check();
}

#[test]
fn the_remote_vtep_of_another_network_is_a_stranger() {
    let mut switch = Switch::new(CONFIG);
    let frame = Tunnelled::new(tenant(BROADCAST, station(9))).from(REMOTE_2, 200);
    assert!(switch.reach("uplink", &frame.bytes()).is_empty());
    let at_green = ("network green".to_owned(), DropReason::UnknownRemoteVtep, 1);
    assert_eq!(switch.drops(), [at_green]);
    switch.check();
}

#[test]
fn an_unheard_mac_ages_out_and_a_heard_one_does_not() {
    let mut switch = Switch::new(&config_with("mac-ageing-secs = 10"));
    let to_silent = tenant(station(1), station(2));
    let to_talker = tenant(station(2), station(1));
    switch.pass("a", &tenant(BROADCAST, station(1)));
    switch.pass("b", &to_silent);
    switch.sim.advance_millis(10_000);
    assert_eq!(switch.reach("b", &to_silent), ["a"], "ten seconds old: still known");
    // A second for the stamp's grain, one for the clock's, one for the sweep.
    switch.sim.advance_millis(3_100);
    assert_eq!(switch.reach("b", &to_silent).len(), 3, "older than ten seconds: flooded");
    // The sender has talked all the while, at longer and longer intervals.
    for interval in [1_000, 3_000, 5_000, 9_000, 10_000] {
        switch.sim.advance_millis(interval);
        switch.pass("b", &to_silent);
        assert_eq!(switch.reach("a", &to_talker), ["b"], "heard {interval} ms ago");
    }
    let totals = switch.sim.learner().network(BLUE);
    assert_eq!((totals.entries, totals.learned, totals.aged), (2, 3, 1));
    switch.check();
}

#[test]
fn ageing_of_zero_is_never() {
    let mut switch = Switch::new(&config_with("mac-ageing-secs = 0"));
    switch.pass("a", &tenant(BROADCAST, station(1)));
    switch.sim.advance_millis(3_600_000);
    assert_eq!(switch.reach("b", &tenant(station(1), station(2))), ["a"]);
    switch.check();
}

/// A hit costs no event: at most one refresh per second and MAC.
#[test]
fn a_known_source_is_told_of_seldom() {
    let mut switch = Switch::new(&config_with("mac-ageing-secs = 1"));
    let events = |switch: &Switch| switch.sim.counters().turns().learn_events;
    switch.pass("a", &tenant(BROADCAST, station(1)));
    assert_eq!(events(&switch), 1);
    for tenths in 1..=100 {
        switch.sim.advance_millis(100);
        for _ in 0..10 {
            switch.pass("a", &tenant(BROADCAST, station(1)));
        }
        assert!(events(&switch) <= 1 + tenths / 10, "{} after {tenths}", events(&switch));
    }
    assert_eq!(switch.sim.learner().network(BLUE).learned, 1);
    switch.check();
}

#[test]
fn a_full_table_refuses_counts_and_forwards_on() {
    let mut switch = Switch::new(CONFIG);
    let capacity = u64::try_from(switch.sim.learner().capacity()).unwrap();
    for n in 0..250 {
        switch.pass("a", &tenant(station(251), station(n)));
    }
    let totals = switch.sim.learner().network(BLUE);
    assert_eq!(totals.entries, capacity);
    assert_eq!(totals.learned + totals.refused, 250);
    switch.check();
}

#[test]
fn refused_macs_are_flooded_and_known_ones_still_move() {
    let mut switch = Switch::new(CONFIG);
    for n in 0..100 {
        switch.pass("a", &tenant(BROADCAST, station(n)));
    }
    let known = |switch: &Switch, n| {
        let key = Key::new(BLUE, MacAddr::from_bytes(station(n)));
        switch.sim.learner().entries().any(|(k, _)| k == key)
    };
    let (in_table, refused) = (0..100).partition::<Vec<u8>, _>(|n| known(&switch, *n));
    assert_eq!((in_table.len(), refused.len()), (64, 36));
    assert_eq!(switch.sim.learner().network(BLUE).refused, 36);
    assert_eq!(switch.reach("b", &tenant(station(refused[0]), station(in_table[1]))).len(), 3);
    assert_eq!(switch.reach("a", &tenant(station(in_table[1]), station(in_table[2]))), ["b"]);
    switch.check();
}

#[test]
fn identical_macs_in_two_networks_are_strangers() {
    let mut switch = Switch::new(CONFIG);
    let (frame, answer) = (tenant(station(2), station(1)), tenant(station(1), station(2)));
    assert_eq!(sorted(switch.reach("g", &frame)), ["198.51.100.2#200"]);
    // Known in green, not in blue.
    let in_blue = sorted(switch.reach("b", &answer));
    assert_eq!(in_blue, ["198.51.100.2#100", "198.51.100.3#100", "a"]);
    assert_eq!(switch.reach("a", &frame), ["b"]);
    let green = |to, from| Tunnelled::new(tenant(to, from)).from(REMOTE_1, 200).bytes();
    assert_eq!(switch.reach("uplink", &green(station(1), station(2))), ["g"]);
    assert_eq!(switch.reach("uplink", &green(BROADCAST, station(2))), ["g"]);
    assert_eq!(switch.reach("g", &frame), ["198.51.100.2#200"]);
    assert_eq!(switch.reach("a", &frame), ["b"], "blue has not noticed");
    let counts = [0, 1].map(|n| switch.sim.learner().network(NetworkId(n)).entries);
    assert_eq!(counts, [2, 2]);
    switch.check();
}

#[test]
fn the_overlays_frames_never_go_back_there() {
    let mut switch = Switch::new(CONFIG);
    switch.pass("uplink", &from_remote(REMOTE_2, BROADCAST, station(8)));
    for remote in [REMOTE_1, REMOTE_2] {
        let out = switch.pass("uplink", &from_remote(remote, station(8), station(9)));
        assert_eq!(out, [], "to a station behind the other, or the same, remote VTEP");
    }
    let split = ("network blue".to_owned(), DropReason::SplitHorizon, 2);
    assert_eq!(switch.drops(), [split]);
    switch.check();
}

#[test]
fn the_hosts_frames_leave_by_the_uplink_as_they_are() {
    let mut switch = Switch::new(CONFIG);
    let arp = ethernet(BROADCAST, uplink_mac(&switch).to_bytes(), 0x0806, &[7; 28]);
    for _ in 0..100 {
        assert!(switch.offer_from_host(&arp));
    }
    let out = switch.run();
    assert_eq!(out.len(), 100, "more than a burst");
    assert!(out.iter().all(|(port, frame)| port == "uplink" && *frame == arp));
    assert!(switch.offer_from_host(&[0; 1515]));
    assert_eq!(switch.run(), []);
    let too_long = ("port uplink".to_owned(), DropReason::ExceedsPortMtu, 1);
    assert_eq!(switch.drops(), [too_long]);
    switch.check();
}

#[test]
fn the_uplinks_other_frames_go_to_the_host_as_they_are() {
    let mut switch = Switch::new(CONFIG);
    let (ours, neighbour) = (uplink_mac(&switch).to_bytes(), station(77));
    let icmp = Tunnelled { protocol: 1, ..Tunnelled::new(Vec::new()) }.bytes();
    let dns = Tunnelled { udp_destination: 53, ..Tunnelled::new(Vec::new()) }.bytes();
    for frame in [
        ethernet(BROADCAST, neighbour, 0x0806, &[1; 28]),
        ethernet(ours, neighbour, 0x0806, &[2; 46]),
        ethernet([0x33, 0x33, 0, 0, 0, 1], neighbour, 0x86dd, &[0x60; 48]),
        icmp,
        dns,
    ] {
        assert_eq!(switch.pass("uplink", &frame), [("host:fabric".to_owned(), frame)]);
    }
    assert_eq!(switch.sim.learner().entries().count(), 0, "the underlay teaches no tenant's MACs");
    switch.check();
}

#[test]
fn a_full_queue_to_the_host_costs_the_hosts_frames_only() {
    let mut switch = Switch::with(CONFIG, Options { punt_queue: 2, ..Options::default() });
    let arp = ethernet(BROADCAST, station(77), 0x0806, &[1; 28]);
    for _ in 0..5 {
        assert!(switch.offer("uplink", &arp));
        assert!(switch.offer("uplink", &from_remote(REMOTE_1, BROADCAST, station(9))));
    }
    let out = switch.run();
    let by = |name: &str| out.iter().filter(|(port, _)| port == name).count();
    assert_eq!((by("host:fabric"), by("a"), by("b")), (2, 5, 5));
    let full = ("port uplink".to_owned(), DropReason::PuntQueueFull, 3);
    assert_eq!(switch.drops(), [full]);
    switch.check();
}

#[test]
fn an_unresolved_next_hop_is_a_counted_drop_until_it_is_resolved() {
    let mut switch = Switch::new(CONFIG);
    switch.pass("uplink", &from_remote(REMOTE_1, BROADCAST, station(9)));
    switch.sim.set_next_hop(None);
    assert!(switch.reach("a", &tenant(station(9), station(1))).is_empty());
    assert_eq!(switch.reach("a", &tenant(BROADCAST, station(1))), ["b"], "local ports still hear");
    let unresolved = |count| ("port a".to_owned(), DropReason::NextHopUnresolved, count);
    assert_eq!(switch.drops(), [unresolved(1 + 2)], "one unicast, two copies");
    for next_hop in [0x02ee_0000_0002, 0x02ee_0000_0003] {
        let next_hop = MacAddr::from_u64(next_hop);
        switch.sim.set_next_hop(Some(next_hop));
        let out = switch.pass("a", &tenant(station(9), station(1)));
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].1[..6], next_hop.to_bytes(), "followed at once");
    }
    assert_eq!(switch.drops(), [unresolved(3)]);
    assert_ne!(Simulation::next_hop(), MacAddr::from_u64(0x02ee_0000_0002));
    switch.check();
}

#[test]
fn a_flood_short_of_buffers_reaches_as_many_as_it_can() {
    // Three targets: two copies and the frame itself. So many buffers, so many targets.
    for buffers in 1..=4 {
        let mut switch = Switch::with(CONFIG, Options { buffers, ..Options::default() });
        let places = switch.reach("a", &tenant(BROADCAST, station(1)));
        assert_eq!(places.len(), buffers.min(3));
        assert_eq!(switch.sim.counters().replicated(BLUE), 2, "wanted, made or not");
        let short = 3_u64.saturating_sub(buffers as u64);
        let expected = ("port a".to_owned(), DropReason::NoBuffers, short);
        let expected = if short == 0 { vec![] } else { vec![expected] };
        assert_eq!(switch.drops(), expected);
        switch.check();
    }
}

#[test]
fn what_a_transmit_queue_does_not_take_is_counted_and_freed() {
    for hand_over in [false, true] {
        let options = Options { transmit_queue: 10, hand_over, ..Options::default() };
        let mut switch = Switch::with(CONFIG, options);
        for n in 1..=100 {
            assert!(switch.offer("a", &tenant(BROADCAST, station(n))));
        }
        let out = switch.run();
        let by = |name: &str| out.iter().filter(|(port, _)| port == name).count();
        assert_eq!((by("b"), by("uplink")), (10, 10));
        let first: Vec<_> = out.iter().filter(|(port, _)| port == "b").collect();
        assert_eq!(first[9].1, tenant(BROADCAST, station(10)), "the first ten, in order");
        let reason =
            if hand_over { DropReason::HandoverQueueFull } else { DropReason::TransmitQueueFull };
        let expected = [("port uplink".to_owned(), reason, 190), ("port b".to_owned(), reason, 90)];
        assert_eq!(switch.drops(), expected);
        let sent = switch.sim.counters().port(switch.port("b")).transmit_packets;
        assert_eq!(sent, if hand_over { 0 } else { 10 });
        switch.check();
    }
}

#[test]
fn bytes_are_counted_as_they_came_and_went() {
    let mut switch = Switch::with(CONFIG, Options { transmit_queue: 1, ..Options::default() });
    let (first, second) = (tenant(BROADCAST, station(1)), vec![2; 14 + 1000]);
    let second = ethernet(BROADCAST, station(1), 0x88b5, &second[14..]);
    assert!(switch.offer("g", &first) && switch.offer("g", &second));
    assert_eq!(switch.run().len(), 1);
    let totals = |switch: &Switch, name| switch.sim.counters().port(switch.port(name));
    assert_eq!(totals(&switch, "g").receive_bytes, 60 + 1014);
    assert_eq!(totals(&switch, "uplink").transmit_bytes, 60 + 50);
    assert_eq!(totals(&switch, "uplink").transmit_packets, 1);
    switch.check();
}

#[test]
fn a_frame_handed_in_by_another_worker_leaves_as_it_is() {
    let mut switch = Switch::new(CONFIG);
    let frame = tenant(station(1), station(2));
    assert!(switch.hand_in("b", &frame));
    assert_eq!(switch.run(), [("b".to_owned(), frame)]);
    assert_eq!(switch.sim.learner().entries().count(), 0, "its own worker has learned it");
    switch.check();
}

#[test]
fn a_network_without_a_vtep_stays_on_the_host() {
    let toml = CONFIG.replace("name = \"local\"", "name = \"local\"\n# two ports").replace(
        "  port = \"alone\"",
        "  port = \"alone\"\n  [[network.port]]\n  port = \"unused\"",
    );
    let mut switch = Switch::new(&toml);
    assert_eq!(switch.reach("alone", &tenant(BROADCAST, station(1))), ["unused"]);
    assert_eq!(switch.reach("unused", &tenant(station(1), station(2))), ["alone"]);
    let vni_300 = Tunnelled::new(tenant(station(1), station(9))).from(REMOTE_1, 300);
    assert!(switch.reach("uplink", &vni_300.bytes()).is_empty(), "its VNI is not on any wire");
    assert_eq!(switch.drops(), [("port uplink".to_owned(), DropReason::UnknownVni, 1)]);
    switch.check();
}

#[test]
fn everybody_behind_both_remotes_is_reached() {
    let mut switch = Switch::new(CONFIG);
    for (remote, place) in [REMOTE_1, REMOTE_2].into_iter().zip(BOTH_REMOTES) {
        for n in 10..20 {
            switch.pass("uplink", &from_remote(remote, BROADCAST, station(n)));
            assert_eq!(switch.reach("a", &tenant(station(n), station(1))), [place]);
        }
    }
    switch.check();
}

/// Tunnel and network are looked up once per run of frames: the runs must be told apart.
#[test]
fn a_burst_of_many_tunnels_and_networks_is_told_apart() {
    let mut switch = Switch::new(CONFIG);
    let senders = [
        (REMOTE_1, 100),
        (REMOTE_2, 100),
        (STRANGER, 100),
        (REMOTE_1, 200),
        (STRANGER, 200),
        (REMOTE_1, 999),
        (REMOTE_2, 200),
    ];
    for (n, (remote, vni)) in (0..).zip(senders) {
        let frame = Tunnelled::new(tenant(BROADCAST, station(n))).from(remote, vni);
        assert!(switch.offer("uplink", &frame.bytes()));
    }
    let out: Vec<_> = switch.run();
    let got = |port: &str| -> Vec<_> {
        out.iter().filter(|(to, _)| to == port).map(|(_, frame)| frame[11]).collect()
    };
    assert_eq!((got("a"), got("b"), got("g")), (vec![0, 1], vec![0, 1], vec![3]));
    assert_eq!(
        switch.drops(),
        [
            ("port uplink".to_owned(), DropReason::UnknownVni, 1),
            ("network blue".to_owned(), DropReason::UnknownRemoteVtep, 1),
            ("network green".to_owned(), DropReason::UnknownRemoteVtep, 2),
        ]
    );
    for (n, place) in [(0, BOTH_REMOTES[0]), (1, BOTH_REMOTES[1])] {
        assert_eq!(switch.reach("a", &tenant(station(n), station(50))), [place]);
    }
    switch.check();
}
