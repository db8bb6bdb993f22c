//! Changes of the configuration while frames are on their way: what stays goes on as if nothing had
//! happened, and what is gone is gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use std::cell::Cell;
use std::collections::BTreeMap;

use pipeline::*;
use vswitch::config::{self, Config, Home, Network, PortIndex, StaticMac, Vtep, VtepIndex};
use vswitch::control::learner::ARRIVAL_MILLIS;
use vswitch::ids::{MacAddr, PortId, Vni};
use vswitch::metrics::drop_reason::DropReason;
use vswitch::sim::{Options, Simulation};
use vswitch::table::{Destination, Key};
use vswitch::topology::Topology;

fn parse(text: &str) -> Config {
    config::parse("test.toml", text).unwrap()
}

/// Sends a frame and says by which ports it left, in order.
fn pass(sim: &mut Simulation, port: &str, frame: &[u8]) -> Vec<String> {
    let from = sim.port(port).unwrap();
    assert!(sim.receive(from, frame));
    sim.run();
    collect(sim)
}

fn collect(sim: &mut Simulation) -> Vec<String> {
    let ports: Vec<_> = sim.topology().ports().map(|(id, port)| (id, port.name.clone())).collect();
    let left = |(id, name): (PortId, String)| {
        sim.transmitted(id).into_iter().map(move |_| name.clone()).collect::<Vec<_>>()
    };
    ports.into_iter().flat_map(left).collect()
}

fn unaccounted(sim: &Simulation) -> i64 {
    sim.counters().ledger().unaccounted()
}

/// Port b goes from network blue to network green while frames to its station are under way.
#[test]
fn a_port_that_moves_takes_its_stations_along_and_leaves_nothing_behind() {
    let before = CONFIG.to_owned();
    let to_b = "  [[network.port]]\n  port = \"b\"\n";
    let after =
        before.replace(to_b, "").replace("port = \"g\"\n", &format!("port = \"g\"\n{to_b}"));
    let mut sim = Simulation::new(parse(&before), Options::default()).unwrap();
    // Station 2 is heard on b, station 1 on a, station 7 on g.
    pass(&mut sim, "b", &tenant(BROADCAST, station(2)));
    pass(&mut sim, "a", &tenant(BROADCAST, station(1)));
    pass(&mut sim, "g", &tenant(BROADCAST, station(7)));
    assert_eq!(pass(&mut sim, "a", &tenant(station(2), station(1))), ["b"]);
    let uplink_and = |port: &str| vec!["uplink".to_owned(), "uplink".to_owned(), port.to_owned()];

    let (from_a, from_g) = (sim.port("a").unwrap(), sim.port("g").unwrap());
    let b = sim.port("b").unwrap();
    sim.change(parse(&after), |sim| {
        // Taken up by the worker together with the new generation.
        assert!(sim.receive(from_a, &tenant(station(2), station(1))));
        assert!(sim.receive(from_g, &tenant(station(2), station(7))));
    })
    .unwrap();
    assert_eq!(sim.port("b"), Some(b), "the same port has the same index");
    // One as before the change, one as after it; neither is flooded.
    assert_eq!(collect(&mut sim), ["b", "b"]);

    // It is known in green, without having said a word, and in blue not any more.
    assert_eq!(pass(&mut sim, "g", &tenant(station(2), station(7))), ["b"]);
    let mut flooded = pass(&mut sim, "a", &tenant(station(2), station(1)));
    flooded.sort();
    assert_eq!(flooded, uplink_and("").into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>());
    assert_eq!(unaccounted(&sim), 0);
}

/// Ports b and g change places: who leaves a network must not reach who comes.
#[test]
fn ports_that_change_places_do_not_meet() {
    let after =
        CONFIG.replace("port = \"b\"", "port = \"x\"").replace("port = \"g\"", "port = \"b\"");
    let after = after.replace("port = \"x\"", "port = \"g\"");
    let mut sim = Simulation::new(parse(CONFIG), Options::default()).unwrap();
    pass(&mut sim, "b", &tenant(BROADCAST, station(2)));
    pass(&mut sim, "g", &tenant(BROADCAST, station(7)));
    let (b, g) = (sim.port("b").unwrap(), sim.port("g").unwrap());
    let frames = [tenant(station(7), station(2)), tenant(station(2), station(7))];
    sim.change(parse(&after), |sim| {
        // What the FDB has at this moment is seen by workers before and after the change.
        let places = |mac: u8| {
            let entries = sim.learner().entries();
            let of_mac = entries.filter(|(key, _)| key.mac() == MacAddr::from_bytes(station(mac)));
            of_mac.count()
        };
        assert_eq!((places(2), places(7)), (0, 0));
        assert!(sim.receive(b, &frames[0]) && sim.receive(g, &frames[1]));
    })
    .unwrap();
    let mut left = collect(&mut sim);
    left.sort();
    // Flooded: b's in green to one remote VTEP, g's in blue to port a and two.
    assert_eq!(left, ["a", "uplink", "uplink", "uplink"]);
    // And then they are known where they are.
    assert_eq!(pass(&mut sim, "a", &tenant(station(7), station(1))), ["g"]);
    assert_eq!(unaccounted(&sim), 0);
}

/// Blue becomes azure, with a static MAC behind a remote VTEP that no frame is flooded to, and what
/// it has learned.
#[test]
fn a_network_with_another_name_floods_nothing() {
    let before = with_home("198.51.100.7");
    let mut after = before.clone();
    "azure".clone_into(&mut after.networks[0].name);
    let mut sim = Simulation::new(before, Options::default()).unwrap();
    let from_remote = Tunnelled::new(tenant(BROADCAST, station(5))).bytes();
    pass(&mut sim, "uplink", &from_remote);
    pass(&mut sim, "b", &tenant(BROADCAST, station(2)));
    collect(&mut sim);
    let a = sim.port("a").unwrap();
    let to = [2, 5, 9].map(|n| tenant(station(n), station(1)));
    sim.change(after, |sim| {
        to.iter().for_each(|frame| assert!(sim.receive(a, frame)));
    })
    .unwrap();
    assert_eq!(outer(&mut sim), [2, 7]);
    assert_eq!(collect(&mut sim), ["b"]);
    to.iter().for_each(|frame| assert!(sim.receive(a, frame)));
    sim.run();
    assert_eq!(outer(&mut sim), [2, 7]);
    assert_eq!(collect(&mut sim), ["b"]);
    assert_eq!(unaccounted(&sim), 0);
}

/// A configuration in which the home of station 9 is a remote VTEP.
fn with_home(home: &str) -> Config {
    let mac =
        format!("[[network.mac]]\n  address = \"02:00:00:00:00:09\"\n  remote-vtep = \"{home}\"\n");
    parse(&config_with(&mac))
}

/// The last bytes of the remote VTEPs that got frames.
fn outer(sim: &mut Simulation) -> Vec<u8> {
    let uplink = sim.port("uplink").unwrap();
    sim.transmitted(uplink).iter().map(|frame| frame[33]).collect()
}

/// Sends station 9 a frame from port a; the last bytes of the remote VTEPs that got it.
fn send_to_9(sim: &mut Simulation) -> Vec<u8> {
    let a = sim.port("a").unwrap();
    assert!(sim.receive(a, &tenant(station(9), station(1))));
    sim.run();
    outer(sim)
}

/// The home of a static MAC moves from one remote VTEP to another that nobody knew before.
#[test]
fn a_static_mac_moves_between_remote_vteps_without_a_flooded_frame() {
    let mut sim = Simulation::new(with_home("198.51.100.7"), Options::default()).unwrap();
    let frame = tenant(station(9), station(1));
    let a = sim.port("a").unwrap();
    assert_eq!(send_to_9(&mut sim), [7]);
    sim.change(with_home("198.51.100.8"), |sim| {
        assert!(sim.receive(a, &frame));
    })
    .unwrap();
    // The worker had the new generation, and the FDB still the old home: its tunnel is there.
    assert_eq!(outer(&mut sim), [7]);
    assert_eq!(send_to_9(&mut sim), [8]);
    assert_eq!(unaccounted(&sim), 0);
}

/// A switch in which station 9 is moving from one remote VTEP to another to which no next hop is
/// known.
fn moving() -> Simulation {
    let options = Options { next_hop: None, ..Options::default() };
    let mut sim = Simulation::new(with_home("198.51.100.7"), options).unwrap();
    sim.set_next_hop(Some(Simulation::next_hop()));
    assert_eq!(send_to_9(&mut sim), [7]);
    sim.change(with_home("198.51.100.8"), |_| ()).unwrap();
    assert_eq!(send_to_9(&mut sim), [7], "the way to the new home is not known");
    sim
}

fn drops(sim: &mut Simulation) -> Vec<DropReason> {
    sim.dropped().iter().map(|dropped| dropped.reason).collect()
}

#[test]
fn a_static_mac_stays_at_its_old_home_until_the_new_one_can_be_reached() {
    let mut sim = moving();
    sim.advance_millis(ARRIVAL_MILLIS - 100);
    assert_eq!(send_to_9(&mut sim), [7]);
    sim.set_next_hop(Some(Simulation::next_hop()));
    // The worker that takes the next hop up still finds the old home.
    assert_eq!(send_to_9(&mut sim), [7]);
    assert_eq!(send_to_9(&mut sim), [8]);
    assert!(drops(&mut sim).is_empty());
    assert_eq!(unaccounted(&sim), 0);
}

#[test]
fn a_static_mac_does_not_wait_for_ever_for_its_new_home() {
    let mut sim = moving();
    sim.advance_millis(ARRIVAL_MILLIS);
    assert!(send_to_9(&mut sim).is_empty());
    assert_eq!(drops(&mut sim), [DropReason::NextHopUnresolved]);
    assert_eq!(unaccounted(&sim), 0);
}

/// Another change does not make it wait longer, nor less long.
#[test]
fn other_changes_while_a_static_mac_is_moving() {
    let mut sim = moving();
    let mut config = with_home("198.51.100.8");
    for ageing in [100, 200] {
        sim.advance_millis(ARRIVAL_MILLIS / 2 - 100);
        config.networks[1].mac_ageing_secs = ageing;
        sim.change(config.clone(), |_| ()).unwrap();
        assert_eq!(send_to_9(&mut sim), [7], "the way to the new home is not known yet");
    }
    sim.advance_millis(200);
    assert!(send_to_9(&mut sim).is_empty(), "the first change is long ago");
    assert_eq!(drops(&mut sim), [DropReason::NextHopUnresolved]);
    assert_eq!(unaccounted(&sim), 0);
}

/// It goes on to a third home, and back to the first, from where it is.
#[test]
fn a_static_mac_that_is_moving_gets_another_home() {
    let mut sim = moving();
    sim.change(with_home("198.51.100.9"), |_| ()).unwrap();
    assert_eq!(send_to_9(&mut sim), [7]);
    sim.set_next_hop(Some(Simulation::next_hop()));
    assert_eq!(send_to_9(&mut sim), [7]);
    assert_eq!(send_to_9(&mut sim), [9]);

    let mut sim = moving();
    sim.change(with_home("198.51.100.7"), |_| ()).unwrap();
    assert_eq!(send_to_9(&mut sim), [7]);
    sim.advance_millis(ARRIVAL_MILLIS);
    assert_eq!(send_to_9(&mut sim), [7]);
    assert!(from_home(&mut sim, 7));

    sim.change(parse(&config_with("")), |_| ()).unwrap();
    let key =
        Key::new(sim.topology().networks().next().unwrap().0, MacAddr::from_bytes(station(9)));
    assert_eq!(sim.learner().entry(key), None);
    assert!(!from_home(&mut sim, 7));
    assert_eq!(unaccounted(&sim), 0);
}

/// Whether a frame that comes from a remote VTEP, by the last byte of its address, reaches a
/// station on port a.
fn from_home(sim: &mut Simulation, home: u32) -> bool {
    let frame = tenant(station(1), station(8));
    pass(sim, "uplink", &Tunnelled::new(frame).from(REMOTE_1 - 2 + home, 100).bytes()) == ["a"]
}

/// The old home is accepted from for as long as frames are sent there: answers come from there.
#[test]
fn the_home_that_a_static_mac_leaves_is_a_peer_until_it_has_left() {
    let mut sim = moving();
    assert!(from_home(&mut sim, 7));
    let mut config = with_home("198.51.100.8");
    config.networks[1].mac_ageing_secs = 100;
    sim.change(config, |_| ()).unwrap();
    assert!(from_home(&mut sim, 7), "another change is no end of it");
    sim.set_next_hop(Some(Simulation::next_hop()));
    assert_eq!(send_to_9(&mut sim), [7]);
    assert_eq!(send_to_9(&mut sim), [8]);
    // Station 8 was heard there, and is forgotten.
    assert!(sim.learner().entries().all(|(key, _)| key.mac() != MacAddr::from_bytes(station(8))));
    assert!(drops(&mut sim).is_empty());
    assert!(!from_home(&mut sim, 7) && from_home(&mut sim, 8));
    assert_eq!(drops(&mut sim), [DropReason::UnknownRemoteVtep]);

    // The same from the publication on, where the way is known; and where the new home is a port.
    let mut sim = Simulation::new(with_home("198.51.100.7"), Options::default()).unwrap();
    let uplink = sim.port("uplink").unwrap();
    pass(&mut sim, "a", &tenant(BROADCAST, station(1)));
    let frame = Tunnelled::new(tenant(station(1), station(9))).from(REMOTE_1 + 5, 100).bytes();
    let at_a = "[[network.mac]]\n  address = \"02:00:00:00:00:09\"\n  port = \"a\"\n";
    sim.change(parse(&config_with(at_a)), |sim| assert!(sim.receive(uplink, &frame))).unwrap();
    assert_eq!(collect(&mut sim), ["a"]);
    assert!(!from_home(&mut sim, 7));
    assert_eq!(unaccounted(&sim), 0);
}

/// A worker that is late with a change must not find in the FDB what came with the change.
#[test]
fn a_place_is_known_from_its_change_on_and_until_nobody_looks_for_it() {
    let without = CONFIG
        .replace("[[network.port]]\n  port = \"b\"\n", "")
        .replace("[[port]]\nname = \"b\"\ndevice = \"net_null2\"\n", "");
    let without = without.replace("\"198.51.100.3\"", "");
    let before = Topology::new(parse(&without)).unwrap();
    let after = before.next(parse(CONFIG)).unwrap();
    let again = after.next(parse(&without)).unwrap();
    let (uplink, b) = (place_of(&after, "uplink"), place_of(&after, "b"));
    let tunnel = after.remotes().find(|(_, remote)| remote.address.octets()[3] == 3).unwrap().0;
    let tunnel = Destination::Tunnel(tunnel);
    let known = |topology: &Topology| [uplink, b, tunnel].map(|place| topology.has(place));
    assert_eq!(known(&before), [true, false, false]);
    assert_eq!(known(&after), [true, true, true]);
    assert_eq!(known(&again), [true, false, true], "the FDB may still lead to the tunnel");
}

fn place_of(topology: &Topology, port: &str) -> Destination {
    Destination::Port(topology.ports().find(|(_, other)| other.name == port).unwrap().0)
}

/// Half of the room twice: the indices of what goes are not free yet.
#[test]
fn more_than_there_is_room_for_says_that_what_goes_counts_too() {
    let networks = |first: u32| {
        let mut config = parse(CONFIG);
        let network = Network { vtep: None, ports: Vec::new(), ..config.networks[1].clone() };
        config.networks = (first..first + 40_000)
            .map(|n| Network {
                name: format!("n{n}"),
                vni: Vni::new(n).unwrap(),
                ..network.clone()
            })
            .collect();
        config
    };
    let topology = Topology::new(networks(1)).unwrap();
    let error = topology.next(networks(100_000)).unwrap_err().to_string();
    assert!(error.contains("65535 networks at one time, those that a change removes"), "{error}");
    topology.next(networks(1)).unwrap();
}

/// The state that a configuration should have led to, however it came about.
fn check_against(sim: &mut Simulation, config: &Config) {
    let mut fresh = Simulation::new(config.clone(), Options::default()).unwrap();
    let statics = |sim: &Simulation| {
        let mut rows = BTreeMap::new();
        for (key, entry) in sim.learner().entries().filter(|(_, entry)| entry.is_static) {
            let network = sim.topology().network(key.network()).unwrap().name.clone();
            let home = match entry.destination {
                vswitch::table::Destination::Port(port) => {
                    sim.topology().port(port).unwrap().name.clone()
                }
                vswitch::table::Destination::Tunnel(tunnel) => {
                    sim.topology().remote(tunnel).unwrap().address.to_string()
                }
            };
            rows.insert((network, key.mac().to_string()), home);
        }
        rows
    };
    assert_eq!(statics(sim), statics(&fresh));
    for (key, entry) in sim.learner().entries() {
        let network = sim.topology().network(key.network()).expect("a network that is there");
        if let vswitch::table::Destination::Port(port) = entry.destination {
            assert!(
                sim.topology().ports_of(network).any(|p| p == port),
                "learned on a port of another network"
            );
        }
    }
    // The same frame goes the same ways, seen from every port.
    for port in &config.ports {
        let frame = tenant(BROADCAST, station(77));
        let (mut there, mut here) =
            (pass(&mut fresh, &port.name, &frame), pass(sim, &port.name, &frame));
        there.sort();
        here.sort();
        assert_eq!(here, there, "a broadcast from {}", port.name);
    }
    assert_eq!(unaccounted(sim), 0);
}

/// Three uplinks, eight tenants' ports, and networks over them by chance.
fn random_config(random: &impl Fn(u64) -> u64) -> Config {
    let mut config = parse(CONFIG);
    let names = ["u0", "u1", "u2", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];
    let model = config.ports[0].clone();
    config.ports = names
        .iter()
        .filter(|name| name.starts_with('u') || random(4) > 0)
        .enumerate()
        .map(|(n, name)| config::Port {
            name: (*name).to_owned(),
            device: format!("net_null{n}"),
            mtu: (random(5) == 0).then_some(1400),
            ..model.clone()
        })
        .collect();
    let vtep = config.vteps[0].clone();
    config.vteps = (0..=2_u16)
        .filter(|_| random(3) > 0)
        .map(|n| Vtep {
            name: format!("v{n}"),
            port: PortIndex(n.into()),
            address: std::net::Ipv4Addr::new(203, 0, 113, 1 + u8::try_from(n).unwrap()),
            host_interface: format!("vtep{n}"),
            udp_port: 4789,
            ..vtep.clone()
        })
        .collect();
    let mut free: Vec<_> = (3..config.ports.len()).map(PortIndex).collect();
    let network = config.networks[0].clone();
    config.networks = (0..6)
        .filter(|_| random(3) > 0)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|n: u32| {
            let ports: Vec<_> = (0..random(4))
                .take_while(|_| !free.is_empty())
                .collect::<Vec<_>>()
                .into_iter()
                .map_while(|_| {
                    let one = usize::try_from(random(free.len() as u64)).unwrap();
                    (one < free.len()).then(|| free.remove(one))
                })
                .collect();
            let vteps = config.vteps.len() as u64;
            let vtep = (vteps > 0 && random(3) > 0)
                .then(|| VtepIndex(usize::try_from(random(vteps.max(1))).unwrap()));
            let mut remote_vteps: Vec<_> = (2..6)
                .filter(|_| random(2) > 0)
                .map(|n| std::net::Ipv4Addr::new(198, 51, 100, n))
                .collect();
            if vtep.is_none() {
                remote_vteps.clear();
            }
            let homes: Vec<_> = (ports.iter().map(|port| Home::Port(*port)))
                .chain(vtep.map(|_| Home::RemoteVtep([198, 51, 100, 9].into())))
                .collect();
            let macs = (0..4_u64)
                .filter(|_| random(2) > 0)
                .filter_map(|mac| {
                    let home = (!homes.is_empty())
                        .then(|| homes[usize::try_from(random(homes.len() as u64)).unwrap()])?;
                    Some(StaticMac { address: MacAddr::from_u64(0x0200_0000_0040 + mac), home })
                })
                .collect();
            Network {
                name: format!("n{n}"),
                vni: Vni::new(100 + n).unwrap(),
                vtep,
                remote_vteps,
                ports,
                macs,
                ..network.clone()
            }
        })
        .collect();
    config
}

/// From any configuration to any other, with traffic before, between and after.
#[test]
fn every_way_leads_to_the_same_switch() {
    let state = Cell::new(0x1234_5678_9abc_def0_u64);
    let random = |below: u64| {
        let mut next = state.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.set(next);
        next % below.max(1)
    };
    let mut sim = Simulation::new(random_config(&random), Options::default()).unwrap();
    for _ in 0..150 {
        let next = random_config(&random);
        let frames: Vec<_> = (0..20)
            .map(|_| (random(11), random(30), random(30)))
            .map(|(port, to, from)| {
                let [to, from] = [to + 0x30, from + 0x50].map(|n| u8::try_from(n).unwrap());
                (port, tenant(station(to), station(from)))
            })
            .collect();
        let send = |sim: &mut Simulation| {
            for (port, frame) in &frames {
                let ports: Vec<_> = sim.topology().ports().map(|(id, _)| id).collect();
                let port = ports[usize::try_from(*port).unwrap() % ports.len()];
                assert!(sim.receive(port, frame));
            }
        };
        send(&mut sim);
        sim.run();
        sim.change(next.clone(), send).unwrap();
        sim.run();
        collect(&mut sim);
        check_against(&mut sim, &next);
        collect(&mut sim);
    }
    assert!(sim.topology().tunnel_slots() < 64, "indices of what is gone are given out again");
    assert!(sim.topology().port_slots() <= 3 * 11 && sim.topology().network_slots() <= 12);
}
