//! Whatever comes, in whatever order, through whatever configuration: the pipeline never panics,
//! loses no frame without a count and no buffer at all, and keeps tenants apart. And for valid
//! frames, forwarding is what a model of a learning bridge says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pipeline;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use pipeline::random::*;
use pipeline::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use vswitch::config::{Config, Home, PortIndex};
use vswitch::ids::{MacAddr, NetworkId};
use vswitch::sim::Options;

#[derive(Clone, Debug)]
enum Step {
    /// Frames into ports, all before the next turn.
    Burst(Vec<(Index, Frame)>),
    FromHost(Frame),
    HandedIn(Index, Frame),
    Wait {
        millis: u64,
    },
    NextHop(Option<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let frame = || {
        prop_oneof![
            1 => vec(any::<u8>(), 0..150).prop_map(Frame::Noise),
            4 => tenants_frames(),
            4 => tunnel_frames(faults()),
            2 => tunnel_frames(Just(Faults::default())),
        ]
    };
    let step = prop_oneof![
        8 => vec((any::<Index>(), frame()), 1..20).prop_map(Step::Burst),
        1 => vec((any::<Index>(), frame()), 60..140).prop_map(Step::Burst),
        1 => frame().prop_map(Step::FromHost),
        1 => (any::<Index>(), frame()).prop_map(|(port, frame)| Step::HandedIn(port, frame)),
        1 => (1..20_000_u64).prop_map(|millis| Step::Wait { millis }),
        1 => proptest::option::of(any::<u8>()).prop_map(Step::NextHop),
    ];
    vec(step, 1..12)
}

fn options() -> impl Strategy<Value = Options> {
    let few_or_many = || prop_oneof![0..5_usize, Just(100), Just(1 << 16)];
    (few_or_many(), few_or_many(), few_or_many(), any::<bool>(), select(&[0, 49, 50, 128][..]))
        .prop_map(|(buffers, transmit_queue, punt_queue, hand_over, headroom)| Options {
            buffers,
            transmit_queue,
            punt_queue,
            hand_over,
            headroom,
            ..Options::default()
        })
}

/// A frame that the switch took, and where from.
struct Offered {
    port: String,
    bytes: Vec<u8>,
}

/// Which networks and ports there are, as names.
struct Plan {
    ports: Vec<String>,
    /// By tenant port.
    network_of: HashMap<String, usize>,
    config: Config,
}

impl Plan {
    fn new(config: &Config) -> Self {
        let name = |PortIndex(port): PortIndex| config.ports[port].name.clone();
        let members = config.networks.iter().enumerate();
        Self {
            ports: config.ports.iter().map(|port| port.name.clone()).collect(),
            network_of: members
                .flat_map(|(n, network)| network.ports.iter().map(move |port| (name(*port), n)))
                .collect(),
            config: config.clone(),
        }
    }

    fn network_of_vni(&self, vni: u32) -> Option<usize> {
        let networks = &self.config.networks;
        networks.iter().position(|network| network.vni.get() == vni && network.vtep.is_some())
    }

    fn peers(&self, network: usize) -> HashSet<Ipv4Addr> {
        let network = &self.config.networks[network];
        let homes = network.macs.iter().filter_map(|mac| match mac.home {
            Home::RemoteVtep(address) => Some(address),
            Home::Port(_) => None,
        });
        network.remote_vteps.iter().copied().chain(homes).collect()
    }

    /// Whether `left` may leave by `place` because `offered` came.
    fn explains(&self, offered: &Offered, place: &str, left: &[u8]) -> bool {
        // Relayed frames leave as they are.
        if let Some(port) = offered.port.strip_prefix("relayed:") {
            return port == place && offered.bytes == left;
        }
        let from_overlay = offered.port == "uplink";
        if place == "host:v" {
            return from_overlay && offered.bytes == left;
        }
        let (network, inner) = if from_overlay {
            let Some((vni, inner)) = Tunnelled::read(&offered.bytes) else { return false };
            let source: [u8; 4] = offered.bytes[26..30].try_into().unwrap();
            let network = self.network_of_vni(vni);
            (network.filter(|n| self.peers(*n).contains(&Ipv4Addr::from(source))), inner)
        } else {
            (self.network_of.get(&offered.port).copied(), &offered.bytes[..])
        };
        let Some(network) = network else { return false };
        if place != "uplink" {
            return place != offered.port
                && self.network_of.get(place) == Some(&network)
                && inner == left;
        }
        let (to, vni, encapsulated) = outer(left);
        !from_overlay
            && self.network_of_vni(vni) == Some(network)
            && self.peers(network).contains(&to)
            && encapsulated == inner
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_accounted_for_and_stays_in_its_network(
        config in configurations(&[576, 1500, 9000]),
        options in options(),
        steps in steps(),
    ) {
        let plan = Plan::new(&config);
        let mut switch = Switch::of(config, options);
        let mut id = 0;
        let mut bytes = |frame: &Frame| {
            id += 1;
            frame.bytes(id)
        };
        for step in steps {
            let mut offered = Vec::new();
            match step {
                Step::Burst(frames) => {
                    for (port, frame) in frames {
                        let (port, bytes) = (port.get(&plan.ports).clone(), bytes(&frame));
                        if switch.offer(&port, &bytes) {
                            offered.push(Offered { port, bytes });
                        }
                    }
                }
                Step::FromHost(frame) => {
                    let bytes = bytes(&frame);
                    if switch.offer_from_host(&bytes) {
                        offered.push(Offered { port: "relayed:uplink".to_owned(), bytes });
                    }
                }
                Step::HandedIn(port, frame) => {
                    let (port, bytes) = (port.get(&plan.ports), bytes(&frame));
                    if switch.hand_in(port, &bytes) {
                        offered.push(Offered { port: format!("relayed:{port}"), bytes });
                    }
                }
                Step::Wait { millis } => switch.sim.advance_millis(millis),
                Step::NextHop(next_hop) => {
                    switch.sim.set_next_hop(next_hop.map(|n| MacAddr::from_bytes(station(n))));
                }
            }
            // Every frame that leaves has come, is where it may be, and is there once.
            let mut explained = HashSet::new();
            for (place, left) in switch.run() {
                let way = if place == "uplink" && left.len() >= 50 {
                    format!("uplink to {}", outer(&left).0)
                } else {
                    place.clone()
                };
                let cause = (0..offered.len()).find(|n| {
                    plan.explains(&offered[*n], &place, &left)
                        && !explained.contains(&(*n, way.clone()))
                });
                prop_assert!(cause.is_some(), "{} has left by {}", hex(&left), place);
                explained.extend(cause.map(|n| (n, way)));
            }
            switch.check();
        }
    }

    #[test]
    fn valid_frames_go_where_a_model_of_a_bridge_sends_them(
        config in configurations(&[9000]),
        steps in vec(
            prop_oneof![
                8 => tenants_frames().prop_map(Some),
                8 => tunnel_frames(Just(Faults::default())).prop_map(Some),
                1 => Just(None),
            ],
            1..80,
        ),
        ports in vec(any::<Index>(), 80),
        waits in vec(1..70_u64, 80),
    ) {
        let plan = Plan::new(&config);
        let mut model = Model::new(&plan);
        let mut switch = Switch::of(config, Options::default());
        for (n, step) in steps.iter().enumerate() {
            let id = u32::try_from(n).unwrap();
            let (port, origin, network, to, from) = match step {
                None => {
                    switch.sim.advance_millis(waits[n] * 1000);
                    model.wait(waits[n], &switch);
                    continue;
                }
                Some(Frame::Tenants { to, from, .. }) => {
                    let port = ports[n].get(&plan.ports[1..]).as_str();
                    let network = plan.network_of.get(port).copied();
                    (port, Place::Port(port.to_owned()), network, *to, *from)
                }
                Some(Frame::Tunnelled { remote, vni, to, from, .. }) => {
                    let origin = Place::Remote(REMOTES[*remote].into());
                    ("uplink", origin, plan.network_of_vni(VNIS[*vni]), *to, *from)
                }
                Some(Frame::Noise(_)) => unreachable!("no noise in this test"),
            };
            let dropped = switch.sim.counters().ledger().dropped;
            let frame = step.as_ref().unwrap().bytes(id);
            let mut reached = switch.reach(port, &frame);
            let mut expected = match network {
                Some(network) => model.pass(network, &origin, to, from),
                None => Vec::new(),
            };
            reached.sort();
            expected.sort();
            prop_assert_eq!(&reached, &expected, "step {}", n);
            let drops = switch.sim.counters().ledger().dropped - dropped;
            prop_assert_eq!(drops, u64::from(expected.is_empty()), "step {}: one drop or none", n);
            model.agrees(&switch)?;
            switch.check();
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Where a station is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Port(String),
    Remote(Ipv4Addr),
}

/// A learning bridge as one would explain it.
struct Model<'a> {
    plan: &'a Plan,
    known: HashMap<(usize, [u8; 6]), Known>,
    now_secs: u64,
}

struct Known {
    place: Place,
    /// `None`: configured.
    heard_secs: Option<u64>,
}

impl<'a> Model<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut known = HashMap::new();
        for (n, network) in plan.config.networks.iter().enumerate() {
            for mac in &network.macs {
                let place = match mac.home {
                    Home::Port(port) => Place::Port(plan.ports[port.0].clone()),
                    Home::RemoteVtep(address) => Place::Remote(address),
                };
                known.insert((n, mac.address.to_bytes()), Known { place, heard_secs: None });
            }
        }
        Self { plan, known, now_secs: 0 }
    }

    /// Where a frame is to leave, as [`Switch::reach`] puts it; learns from it.
    fn pass(&mut self, n: usize, origin: &Place, to: [u8; 6], from: [u8; 6]) -> Vec<String> {
        let network = &self.plan.config.networks[n];
        let stranger = matches!(origin, Place::Remote(r) if !self.plan.peers(n).contains(r));
        let is_group = |mac: [u8; 6]| mac[0] & 1 != 0;
        if stranger || from == [0; 6] || is_group(from) || to == [0x01, 0x80, 0xc2, 0, 0, 0] {
            return Vec::new();
        }
        let name = |place: &Place| match place {
            Place::Port(port) => port.clone(),
            Place::Remote(address) => format!("{address}#{}", network.vni),
        };
        let places = match self.known.get(&(n, to)) {
            Some(Known { place, .. }) => match (origin, place) {
                _ if place == origin => Vec::new(),
                (Place::Remote(_), Place::Remote(_)) => Vec::new(),
                _ => vec![name(place)],
            },
            None => {
                let ports = network.ports.iter();
                let ports = ports.map(|port| Place::Port(self.plan.ports[port.0].clone()));
                let remotes = network.remote_vteps.iter().map(|remote| Place::Remote(*remote));
                let from_overlay = matches!(origin, Place::Remote(_));
                let everybody = ports.chain(remotes.filter(|_| !from_overlay));
                everybody.filter(|place| place != origin).map(|place| name(&place)).collect()
            }
        };
        self.learn(n, from, origin);
        places
    }

    fn learn(&mut self, n: usize, mac: [u8; 6], origin: &Place) {
        let ageing_secs = u64::from(self.plan.config.networks[n].mac_ageing_secs);
        let full = self.known.len() >= self.plan.config.fdb_capacity;
        let now = self.now_secs;
        match self.known.get_mut(&(n, mac)) {
            Some(Known { heard_secs: None, .. }) => {}
            Some(Known { place, heard_secs: Some(heard) }) if place == origin => {
                // Not at every frame: an eighth of the ageing time late, at most.
                if ageing_secs != 0 && now - *heard >= (ageing_secs / 8).max(1) {
                    *heard = now;
                }
            }
            Some(known) => *known = Known { place: origin.clone(), heard_secs: Some(now) },
            None if full => {}
            None => {
                let known = Known { place: origin.clone(), heard_secs: Some(now) };
                self.known.insert((n, mac), known);
            }
        }
    }

    /// Lets time pass. What is one second over its age may be gone or not: a sweep takes a second.
    fn wait(&mut self, secs: u64, switch: &Switch) {
        self.now_secs += secs;
        let there = in_table(switch);
        let now = self.now_secs;
        self.known.retain(|(n, mac), known| {
            let ageing_secs = u64::from(self.plan.config.networks[*n].mac_ageing_secs);
            // Never early, so as late as `heard_secs` may be.
            let keep_secs = ageing_secs + (ageing_secs / 8).max(1);
            match known.heard_secs {
                None => true,
                Some(_) if ageing_secs == 0 => true,
                Some(heard) if now - heard == keep_secs + 1 => there.contains(&(*n, *mac)),
                Some(heard) => now - heard <= keep_secs,
            }
        });
    }

    fn agrees(&self, switch: &Switch) -> Result<(), TestCaseError> {
        let expected: HashSet<_> = self.known.keys().copied().collect();
        prop_assert_eq!(in_table(switch), expected);
        for n in 0..self.plan.config.networks.len() {
            let entries = self.known.keys().filter(|(network, _)| *network == n).count();
            let domain = NetworkId(u16::try_from(n).unwrap());
            let counted = switch.sim.learner().network(domain).entries;
            prop_assert_eq!(counted, entries as u64);
        }
        Ok(())
    }
}

fn in_table(switch: &Switch) -> HashSet<(usize, [u8; 6])> {
    let entries = switch.sim.learner().entries();
    entries.map(|(key, _)| (key.network().index(), key.mac().to_bytes())).collect()
}
