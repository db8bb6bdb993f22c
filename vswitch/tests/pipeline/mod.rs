//! What the tests of the pipeline share: a switch in memory that accounts for every frame, and
//! frames built byte by byte, without the switch's own wire code, so that any field can be wrong.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod random;

use std::sync::Arc;

use vswitch::capture::comment::comment;
use vswitch::capture::generation_names::GenerationNames;
use vswitch::capture::request::CaptureRequest;
use vswitch::config::{self, Config};
use vswitch::datapath::capture::Capture;
use vswitch::ids::{MacAddr, PortId, VtepId};
use vswitch::metrics::counters::{Place, Site};
use vswitch::metrics::drop_reason::{DropReason, SiteKind};
use vswitch::sim::{Buffer, DroppedFrame, Options, Simulation};
use vswitch::topology::Role;

/// The VTEP's address, and those of others, as numbers.
pub const LOCAL: u32 = 0xc633_6401;
pub const REMOTE_1: u32 = 0xc633_6402;
pub const REMOTE_2: u32 = 0xc633_6403;
pub const STRANGER: u32 = 0xc633_6463;

/// An uplink; network blue (100) with ports a and b and two remote VTEPs; network green (200) with
/// port g and one of these; network local (300) with port alone and no VTEP; a port of nobody.
pub const CONFIG: &str = r#"
[fdb]
capacity = 64

[[port]]
name = "uplink"
device = "net_null0"
[[port]]
name = "a"
device = "net_null1"
[[port]]
name = "b"
device = "net_null2"
[[port]]
name = "g"
device = "net_null3"
[[port]]
name = "alone"
device = "net_null4"
[[port]]
name = "unused"
device = "net_null5"

[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"

[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2", "198.51.100.3"]
  [[network.port]]
  port = "a"
  [[network.port]]
  port = "b"

[[network]]
name = "green"
vni = 200
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
  [[network.port]]
  port = "g"

[[network]]
name = "local"
vni = 300
  [[network.port]]
  port = "alone"
"#;

/// [`CONFIG`] with static MACs and ageing in network blue.
pub fn config_with(in_blue: &str) -> String {
    let (before, after) = CONFIG.split_once("  [[network.port]]\n  port = \"a\"").unwrap();
    let (keys, tables) = in_blue.split_once("[[").unwrap_or((in_blue, ""));
    let tables = if tables.is_empty() { String::new() } else { format!("[[{tables}") };
    format!("{before}{keys}\n{tables}\n  [[network.port]]\n  port = \"a\"{after}")
}

/// The MAC of a tenant's station.
pub fn station(n: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, n]
}

pub const BROADCAST: [u8; 6] = [0xff; 6];

/// What left the switch: by a port, or, as `host:<VTEP>`, to a host interface.
pub type Out = Vec<(String, Vec<u8>)>;

/// Drops: where ("port a", "network blue"), why, how many.
pub type Drops = Vec<(String, DropReason, u64)>;

/// A switch in memory that knows how many frames went in and came out.
pub struct Switch {
    pub sim: Simulation,
    ports: Vec<String>,
    vteps: Vec<String>,
    received: u64,
    injected: u64,
    handed_in: u64,
    left: u64,
    punted: u64,
    told: Vec<DroppedFrame>,
    handed_out: bool,
}

impl Switch {
    pub fn new(toml: &str) -> Self {
        Self::with(toml, Options::default())
    }

    pub fn with(toml: &str, options: Options) -> Self {
        let config = config::parse("test.toml", toml).unwrap_or_else(|e| panic!("{e}"));
        Self::of(config, options)
    }

    pub fn of(config: Config, options: Options) -> Self {
        let ports = config.ports.iter().map(|p| p.name.clone()).collect();
        let vteps = config.vteps.iter().map(|v| v.name.clone()).collect();
        Self {
            sim: Simulation::new(config, options).unwrap(),
            ports,
            vteps,
            received: 0,
            injected: 0,
            handed_in: 0,
            left: 0,
            punted: 0,
            told: Vec::new(),
            handed_out: options.hand_over,
        }
    }

    pub fn port(&self, name: &str) -> PortId {
        self.sim.port(name).unwrap_or_else(|| panic!("no port {name}"))
    }

    /// Puts a frame into a receive queue, if there is a buffer.
    pub fn offer(&mut self, port: &str, frame: &[u8]) -> bool {
        self.offer_as(port, frame, |_| ())
    }

    pub fn offer_as(&mut self, port: &str, frame: &[u8], mark: impl FnOnce(&mut Buffer)) -> bool {
        let port = self.port(port);
        let taken = self.sim.receive_as(port, frame, mark);
        self.received += u64::from(taken);
        taken
    }

    /// A frame from the kernel, by the first VTEP's host interface.
    pub fn offer_from_host(&mut self, frame: &[u8]) -> bool {
        let taken = self.sim.send_from_host(VtepId(0), frame);
        self.injected += u64::from(taken);
        taken
    }

    /// A frame from another worker, for a port's transmit queue.
    pub fn hand_in(&mut self, port: &str, frame: &[u8]) -> bool {
        let port = self.port(port);
        let taken = self.sim.hand_in(port, frame);
        self.handed_in += u64::from(taken);
        taken
    }

    /// Runs until everything offered has had its verdict; takes what left, in the order of ports.
    pub fn run(&mut self) -> Out {
        self.sim.run();
        let mut out = Out::new();
        for name in self.ports.clone() {
            let port = self.port(&name);
            out.extend(self.sim.transmitted(port).into_iter().map(|f| (name.clone(), f)));
        }
        self.left += out.len() as u64;
        for (index, name) in (0..).zip(&self.vteps) {
            let frames = self.sim.punted(VtepId(index));
            self.punted += frames.len() as u64;
            out.extend(frames.into_iter().map(|f| (format!("host:{name}"), f)));
        }
        out
    }

    /// One frame in; what leaves.
    pub fn pass(&mut self, port: &str, frame: &[u8]) -> Out {
        assert!(self.offer(port, frame), "no buffer");
        self.run()
    }

    /// One frame in; where copies of it leave, unchanged or as inner frames: "a", "b", or
    /// "198.51.100.2#100" for a remote VTEP and a VNI.
    pub fn reach(&mut self, port: &str, frame: &[u8]) -> Vec<String> {
        let inner = if port == "uplink" { &frame[50..] } else { frame };
        let out = self.pass(port, frame);
        out.iter().map(|(port, left)| place(port, left, inner)).collect()
    }

    /// Every drop so far.
    pub fn drops(&self) -> Drops {
        let (counters, topology) = (self.sim.counters(), self.sim.topology());
        let mut drops = Drops::new();
        for &reason in DropReason::ALL {
            for (port, config) in topology.ports() {
                let count = counters.port_drops(port, reason);
                drops.push((format!("port {}", config.name), reason, count));
            }
            for (domain, config) in topology.networks() {
                let count = counters.network_drops(domain, reason);
                drops.push((format!("network {}", config.name), reason, count));
            }
        }
        drops.retain(|(_, _, count)| *count != 0);
        drops
    }

    /// Every drop so far as it was told of, with its bytes.
    pub fn told(&mut self) -> &[DroppedFrame] {
        self.told.extend(self.sim.dropped());
        &self.told
    }

    /// The same as [`drops`](Self::drops), from what was told.
    fn told_drops(&mut self) -> Drops {
        let mut drops = Drops::new();
        for DroppedFrame { site, reason, .. } in self.told().to_vec() {
            let topology = self.sim.topology();
            let at = match site.place() {
                Place::Port(port) => format!("port {}", topology.port(port).unwrap().name),
                Place::Network(domain) => {
                    format!("network {}", topology.network(domain).unwrap().name)
                }
            };
            match drops.iter_mut().find(|drop| (&drop.0, drop.1) == (&at, reason)) {
                Some((.., count)) => *count += 1,
                None => drops.push((at, reason, 1)),
            }
        }
        drops
    }

    /// Begins a capture that the test reads itself.
    pub fn watch(&mut self, request: CaptureRequest) -> Arc<Capture> {
        self.watch_with(request, Capture::new(None, 2048, 512, 1))
    }

    pub fn watch_with(&mut self, request: CaptureRequest, capture: Capture) -> Arc<Capture> {
        let capture = Arc::new(capture);
        self.sim.captures().watch(request, Arc::clone(&capture)).unwrap();
        self.sim.look_after_captures();
        capture
    }

    /// What a capture took, in order: the comments of its packets, and their bytes.
    pub fn taken(&mut self, capture: &Capture) -> Vec<(String, Vec<u8>)> {
        let names = GenerationNames::of(self.sim.topology());
        let taken = std::iter::from_fn(|| {
            let record = capture.next()?;
            let taken = (comment(&record, &names), record.bytes.clone());
            capture.give_back(record);
            Some(taken)
        });
        let taken = taken.collect();
        assert_eq!(capture.records_in_hand(), 0, "a record leaked");
        taken
    }

    /// Asserts that every frame is accounted for, and every buffer given back.
    #[track_caller]
    pub fn check(&mut self) {
        assert!(self.run().is_empty(), "outputs are taken before a check");
        let ledger = self.sim.counters().ledger();
        assert_eq!(ledger.unaccounted(), 0, "{ledger:?}");
        assert_eq!(ledger.received, self.received, "{ledger:?}");
        assert_eq!(ledger.injected, self.injected, "{ledger:?}");
        assert_eq!(ledger.handed_in, self.handed_in, "{ledger:?}");
        assert_eq!(ledger.punted, self.punted, "{ledger:?}");
        let (transmitted, handed_out) =
            if self.handed_out { (0, self.left) } else { (self.left, 0) };
        assert_eq!((ledger.transmitted, ledger.handed_out), (transmitted, handed_out));
        self.check_sites();
        let drops: u64 = self.drops().iter().map(|(_, _, count)| count).sum();
        assert_eq!(ledger.dropped, drops, "{:?}", self.drops());
        let (mut counted, mut told) = (self.drops(), self.told_drops());
        counted.sort();
        told.sort();
        assert_eq!(counted, told, "each drop is told of");
        let counters = self.sim.counters();
        let topology = self.sim.topology();
        let per_port: u64 = topology.ports().map(|(p, _)| counters.port(p).receive_packets).sum();
        assert_eq!(per_port, self.received);
        let copies: u64 = topology.networks().map(|(d, _)| counters.replicated(d)).sum();
        assert_eq!(ledger.replicated, copies);
        let punted: u64 = topology.vteps().map(|(v, _)| counters.punted(v)).sum();
        assert_eq!(ledger.punted, punted);
        assert_eq!(self.sim.buffers_in_use(), 0, "buffers leaked");
    }
}

impl Switch {
    /// Asserts that nothing was dropped where its reason's declaration says it cannot be: metrics
    /// list no more.
    #[track_caller]
    fn check_sites(&self) {
        let (counters, topology) = (self.sim.counters(), self.sim.topology());
        let ports = topology.ports().map(|(port, _)| {
            let kind = match topology.role(port) {
                Role::Tenant(_) => SiteKind::Tenant,
                Role::Uplink(_) => SiteKind::Uplink,
                Role::Unused => SiteKind::Unused,
            };
            (Site::port(port), kind)
        });
        let networks = topology.networks().map(|(id, _)| (Site::network(id), SiteKind::Network));
        for (site, kind) in ports.chain(networks) {
            for (reason, count) in DropReason::ALL.iter().zip(counters.drops_at(site)) {
                let is_declared = reason.sites().contains(&kind);
                assert!(
                    count == 0 || is_declared,
                    "{reason:?} at {kind:?}: see metrics/drop_reason.rs"
                );
            }
        }
    }
}

fn place(port: &str, left: &[u8], inner: &[u8]) -> String {
    if left == inner {
        return port.to_owned();
    }
    assert_eq!(port, "uplink", "a tenant's port got other bytes than were sent");
    let (to, vni, encapsulated) = outer(left);
    assert_eq!(encapsulated, inner, "the inner frame changed");
    format!("{to}#{vni}")
}

impl Tunnelled {
    /// Reads VNI and inner frame as a decapsulator would that trusts the lengths: the oracle for
    /// frames of any bytes. `None` where they lie outside the frame.
    pub fn read(frame: &[u8]) -> Option<(u32, &[u8])> {
        let udp_at = 14 + usize::from(frame.get(14)? & 0xf) * 4;
        let len =
            usize::from(u16::from_be_bytes(frame.get(udp_at + 4..)?.get(..2)?.try_into().ok()?));
        let udp = frame.get(udp_at..)?.get(..len)?;
        let vni = udp.get(12..15)?;
        Some((u32::from_be_bytes([0, vni[0], vni[1], vni[2]]), udp.get(16..)?))
    }
}

/// Remote VTEP, VNI and inner frame of a frame that we encapsulated (which has no IPv4 options).
pub fn outer(frame: &[u8]) -> (std::net::Ipv4Addr, u32, &[u8]) {
    let to: [u8; 4] = frame[30..34].try_into().unwrap();
    let vni = u32::from_be_bytes([0, frame[46], frame[47], frame[48]]);
    (to.into(), vni, &frame[50..])
}

/// An Ethernet frame.
pub fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &ethertype.to_be_bytes(), payload].concat()
}

/// A tenant's frame of 60 bytes, whose contents say who sent it to whom.
pub fn tenant(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    let mut payload: Vec<u8> = (0..46).collect();
    payload[..6].copy_from_slice(&from);
    ethernet(to, from, 0x88b5, &payload)
}

/// The one's-complement sum that RFC 1071 describes, in its plainest form.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// A tunnel frame on the underlay, every field of which can be set. What is `None` is computed.
#[derive(Clone, Debug)]
pub struct Tunnelled {
    pub to: [u8; 6],
    pub from: [u8; 6],
    pub ethertype: u16,
    pub version: u8,
    pub ihl: Option<u8>,
    pub total_len: Option<u16>,
    pub flags_offset: u16,
    pub protocol: u8,
    pub ip_checksum: Option<u16>,
    pub source: u32,
    pub destination: u32,
    pub options: Vec<u8>,
    pub udp_source: u16,
    pub udp_destination: u16,
    pub udp_len: Option<u16>,
    pub udp_checksum: u16,
    pub flags: u8,
    pub reserved: [u8; 3],
    pub vni: u32,
    pub reserved_last: u8,
    pub inner: Vec<u8>,
    pub padding: usize,
}

impl Tunnelled {
    /// A faultless one for blue, from the first remote VTEP to [`CONFIG`]'s, port 0 being the
    /// uplink.
    pub fn new(inner: Vec<u8>) -> Self {
        Self {
            to: [0x02, 0xff, 0, 0, 0, 0],
            from: Simulation::next_hop().to_bytes(),
            ethertype: 0x0800,
            version: 4,
            ihl: None,
            total_len: None,
            flags_offset: 0x4000,
            protocol: 17,
            ip_checksum: None,
            source: REMOTE_1,
            destination: LOCAL,
            options: Vec::new(),
            udp_source: 50_000,
            udp_destination: 4789,
            udp_len: None,
            udp_checksum: 0,
            flags: 0x08,
            reserved: [0; 3],
            vni: 100,
            reserved_last: 0,
            inner,
            padding: 0,
        }
    }

    pub fn from(mut self, source: u32, vni: u32) -> Self {
        (self.source, self.vni) = (source, vni);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let ihl = self.ihl.unwrap_or(u8::try_from(5 + self.options.len() / 4).unwrap());
        let vni = self.vni.to_be_bytes();
        let vxlan =
            [&[self.flags][..], &self.reserved, &vni[1..], &[self.reserved_last], &self.inner]
                .concat();
        let len = |n: usize| u16::try_from(n).unwrap();
        let udp_len = self.udp_len.unwrap_or(len(8 + vxlan.len()));
        let udp = [self.udp_source, self.udp_destination, udp_len, self.udp_checksum]
            .map(u16::to_be_bytes)
            .concat();
        let mut ip = vec![self.version << 4 | ihl, 0];
        let total_len =
            self.total_len.unwrap_or(len(20 + self.options.len() + udp.len() + vxlan.len()));
        ip.extend(total_len.to_be_bytes());
        ip.extend([0, 0]);
        ip.extend(self.flags_offset.to_be_bytes());
        ip.extend([64, self.protocol, 0, 0]);
        ip.extend(self.source.to_be_bytes());
        ip.extend(self.destination.to_be_bytes());
        ip.extend(&self.options);
        let checksum = self.ip_checksum.unwrap_or_else(|| internet_checksum(&ip));
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let payload = [ip, udp, vxlan, vec![0; self.padding]].concat();
        ethernet(self.to, self.from, self.ethertype, &payload)
    }
}

/// A tunnel frame for blue from the first remote VTEP, with this tenant's frame in it.
pub fn tunnelled(inner: &[u8]) -> Vec<u8> {
    Tunnelled::new(inner.to_vec()).bytes()
}

/// The uplink's MAC as the switch has it.
pub fn uplink_mac(switch: &Switch) -> MacAddr {
    switch.sim.mac(switch.port("uplink"))
}
