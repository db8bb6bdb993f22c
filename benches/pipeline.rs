//! What the pipeline costs per frame, without a driver: bursts of 64 frames of 60 bytes (64 with FCS)
//! of 1,000 pairs of known MACs, through `Worker::turn` with queues that only pass pointers on.
//!
//! | name | way |
//! |---|---|
//! | l2 | from a tenant port to another |
//! | encap | from a tenant port to a remote VTEP |
//! | decap | from a remote VTEP to a tenant port |
//! | flood | from a tenant port to another and to two remote VTEPs; per frame received |
//!
//! ```sh
//! taskset -c 1 cargo bench -p vswitch --no-default-features --bench pipeline
//! ```

#![allow(clippy::unwrap_used, reason = "a benchmark")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vswitch::config;
use vswitch::control::generations::{PortFacts, Topology};
use vswitch::datapath::context::Now;
use vswitch::datapath::generation::Template;
use vswitch::datapath::io::{Io, LearnEvent, Relayed, Sent};
use vswitch::datapath::packet::{Packet, Received};
use vswitch::datapath::vector::{BURST, Burst};
use vswitch::datapath::worker::Worker;
use vswitch::ids::{BridgeDomain, MacAddr, PortId, TunnelId, VtepId};
use vswitch::metrics::counters;
use vswitch::table::{Destination, Entry, Key, fdb, snapshot};
use vswitch::wire::{ethernet, ipv4, udp, vxlan};

const CONFIG: &str = r#"
[[port]]
name = "uplink"
device = "net_null0"
[[port]]
name = "a"
device = "net_null1"
[[port]]
name = "b"
device = "net_null2"
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
"#;

const UPLINK: PortId = PortId(0);
const A: PortId = PortId(1);
const B: PortId = PortId(2);
const BLUE: BridgeDomain = BridgeDomain(0);
const PAIRS: u16 = 1000;
const HEADROOM: usize = 64;
const MTU: u16 = 1500;

/// A buffer of the size class of an mbuf with a small frame; moving it moves a pointer.
struct Frame(Box<Slot>);

#[repr(align(64))]
struct Slot {
    bytes: [u8; 256],
    start: usize,
    end: usize,
    len_at_first: usize,
    is_copy: bool,
}

impl Frame {
    fn new(contents: &[u8], is_copy: bool) -> Self {
        let mut bytes = [0; 256];
        bytes[HEADROOM..][..contents.len()].copy_from_slice(contents);
        let len_at_first = contents.len();
        let end = HEADROOM + len_at_first;
        Self(Box::new(Slot { bytes, start: HEADROOM, end, len_at_first, is_copy }))
    }

    /// As it was when it came: what was put before the frame lies in the headroom, and what was taken
    /// off is still there.
    fn reset(mut self) -> Self {
        (self.0.start, self.0.end) = (HEADROOM, HEADROOM + self.0.len_at_first);
        self
    }
}

impl Packet for Frame {
    fn bytes(&self) -> &[u8] {
        &self.0.bytes[self.0.start..self.0.end]
    }

    fn len(&self) -> usize {
        self.0.end - self.0.start
    }

    fn narrow(&mut self, start: usize, len: usize) {
        self.0.start += start;
        self.0.end = self.0.start + len;
    }

    fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        self.0.start = self.0.start.checked_sub(count)?;
        let start = self.0.start;
        Some(&mut self.0.bytes[start..][..count])
    }

    fn accept(&mut self) -> Received {
        Received { len: self.len() as u32, is_contiguous: true, has_stripped_vlan: false }
    }
}

/// One receive queue that never runs dry: what leaves comes again.
struct Loop {
    port: PortId,
    waiting: VecDeque<Frame>,
    spare: Vec<Frame>,
}

impl Loop {
    fn give_back(&mut self, frame: Frame) {
        if frame.0.is_copy {
            self.spare.push(frame);
        } else {
            self.waiting.push_back(frame.reset());
        }
    }
}

impl Io for Loop {
    type Packet = Frame;

    fn queues(&self) -> usize {
        1
    }

    fn receive(&mut self, _queue: usize, burst: &mut Burst<Frame>) -> PortId {
        let count = burst.remaining_capacity().min(self.waiting.len());
        burst.extend(self.waiting.drain(..count));
        self.port
    }

    fn transmit(&mut self, _port: PortId, burst: &mut Burst<Frame>) -> Sent {
        let sent = burst.len();
        for frame in burst.drain(..) {
            self.give_back(frame);
        }
        Sent::Transmitted(sent)
    }

    fn replicate(&mut self, packet: &Frame, _port: PortId, _headers: usize) -> Option<Frame> {
        let mut copy = self.spare.pop()?.reset();
        copy.0.end = copy.0.start + packet.len();
        let Slot { bytes, start, end, .. } = &mut *copy.0;
        bytes[*start..*end].copy_from_slice(packet.bytes());
        Some(copy)
    }

    fn discard(&mut self, burst: &mut Burst<Frame>) {
        assert!(burst.is_empty(), "nothing is dropped here");
    }

    fn punt(&mut self, _vtep: VtepId, packet: Frame) -> Result<(), Frame> {
        Err(packet)
    }

    fn next_relayed(&mut self) -> Option<Relayed<Frame>> {
        None
    }

    fn learn(&mut self, _event: LearnEvent) -> bool {
        unreachable!("every source is known")
    }
}

fn station(side: u8, n: u16) -> MacAddr {
    let [high, low] = n.to_be_bytes();
    MacAddr::from_bytes([0x02, side, 0, 0, high, low])
}

/// A frame of 60 bytes with a UDP datagram, as station `n` of one side sends it.
fn tenants(n: u16, to: MacAddr) -> Vec<u8> {
    let mut frame = vec![0; 60];
    ethernet::emit(&mut frame, to, station(1, n), ethernet::ethertype::IPV4);
    let header = ipv4::Header {
        source: 0xcb00_7101,
        destination: 0xcb00_7102,
        protocol: ipv4::protocol::UDP,
        ttl: 64,
        total_len: 46,
    };
    let sum = ipv4::emit_partial(&mut frame[14..], &header);
    ipv4::complete(&mut frame[14..], sum, 0);
    udp::emit(&mut frame[34..], 10_000 + n, 2000, 26);
    frame
}

/// The same frame as the first remote VTEP sends it to the uplink.
fn tunnelled(inner: &[u8], uplink: MacAddr) -> Vec<u8> {
    let [remote, local] = [2, 1].map(|n| Ipv4Addr::new(198, 51, 100, n));
    let template = Template::new(uplink, station(9, 9), remote, local, vxlan::UDP_PORT);
    let mut frame = [&template.bytes[..], inner].concat();
    let udp_len = u16::try_from(inner.len() + 16).unwrap();
    ipv4::complete(&mut frame[14..], template.checksum_seed, udp_len + 20);
    udp::complete(&mut frame[34..], 50_000, udp_len);
    vxlan::complete(&mut frame[42..], vswitch::ids::Vni::new(100).unwrap());
    frame
}

/// A worker whose frames come from `port` and all are `frames`; `home` is where station 2/n is.
fn worker(port: PortId, home: Destination, frames: &[Vec<u8>]) -> Worker<Loop> {
    let topology = Topology::new(config::parse("bench.toml", CONFIG).unwrap()).unwrap();
    let facts: Vec<_> = (0..3).map(|n| PortFacts { mac: station(0, n), mtu: MTU }).collect();
    let next_hops = vec![Some(station(9, 9)); topology.remotes().len()];
    let generation = topology.generation(&facts, &next_hops);
    let (_, mut readers) = snapshot::channel(Box::new(generation), 1);
    let (mut writer, reader) = fdb::new(topology.config().fdb_capacity, 0x5eed);
    let from =
        if port == UPLINK { Destination::Tunnel(TunnelId(0)) } else { Destination::Port(port) };
    for n in 0..PAIRS {
        for (mac, destination) in [(station(1, n), from), (station(2, n), home)] {
            let entry = Entry { destination, is_static: false, refreshed_secs: 0 };
            writer.insert(Key::new(BLUE, mac), entry).unwrap();
        }
    }
    let (counters, _) = counters::new(topology.shape());
    let waiting = frames.iter().map(|frame| Frame::new(frame, false)).collect();
    let spare = (0..4 * BURST).map(|_| Frame::new(&[0; 60], true)).collect();
    let io = Loop { port, waiting, spare };
    Worker::new(io, readers.remove(0), reader, counters, facts.len())
}

fn pipeline(c: &mut Criterion) {
    let remote = Destination::Tunnel(TunnelId(0));
    let unicast: Vec<_> = (0..PAIRS).map(|n| tenants(n, station(2, n))).collect();
    let broadcast: Vec<_> = (0..PAIRS).map(|n| tenants(n, MacAddr::BROADCAST)).collect();
    let outer: Vec<_> = unicast.iter().map(|inner| tunnelled(inner, station(0, 0))).collect();

    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(BURST as u64));
    for (name, port, home, frames) in [
        ("l2", A, Destination::Port(B), &unicast),
        ("encap", A, remote, &unicast),
        ("decap", UPLINK, Destination::Port(A), &outer),
        ("flood", A, remote, &broadcast),
    ] {
        let mut worker = worker(port, home, frames);
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(worker.turn(black_box(Now { millis: 1 })), BURST));
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);

fn scratch(scenario: &str, turns: usize) {
    let remote = Destination::Tunnel(TunnelId(0));
    let unicast: Vec<_> = (0..PAIRS).map(|n| tenants(n, station(2, n))).collect();
    let broadcast: Vec<_> = (0..PAIRS).map(|n| tenants(n, MacAddr::BROADCAST)).collect();
    let outer: Vec<_> = unicast.iter().map(|inner| tunnelled(inner, station(0, 0))).collect();
    let mut worker = match scenario {
        "l2" => worker(A, Destination::Port(B), &unicast),
        "encap" => worker(A, remote, &unicast),
        "decap" => worker(UPLINK, Destination::Port(A), &outer),
        _ => worker(A, remote, &broadcast),
    };
    let mut best = f64::MAX;
    let mut all = vec![];
    let chunk = 500;
    for _ in 0..turns / chunk {
        let t0 = unsafe { core::arch::x86_64::_rdtsc() };
        for _ in 0..chunk {
            assert_eq!(worker.turn(black_box(Now { millis: 1 })), BURST);
        }
        let t = unsafe { core::arch::x86_64::_rdtsc() } - t0;
        let t = t as f64 / (chunk * BURST) as f64;
        best = best.min(t);
        all.push(t);
    }
    all.sort_by(f64::total_cmp);
    if !all.is_empty() {
        println!("{scenario}: min {best:.1} median {:.1} ticks", all[all.len() / 2]);
    }
}

fn main() {
    match std::env::var("TURNS") {
        Ok(turns) => scratch(&std::env::var("SCEN").unwrap(), turns.parse().unwrap()),
        Err(_) => {
            benches();
        }
    }
}
