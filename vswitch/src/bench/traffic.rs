//! Who talks to whom, and the bytes of it: the frames of one worker, in the order in which they
//! come.
//!
//! Stations come in pairs, numbered from 0. They are dealt to the networks in turn, and those of
//! each network to the remote VTEPs in turn, so that all have as many as the others. The order of
//! their frames is shuffled, always in the same way, so that neither caches nor predictors find a
//! pattern that tenants' traffic would not have.
//!
//! A stream is what one receive queue yields. Frames of an uplink are of all networks in turn. A
//! tenant port is in one network; under load a worker finds a full burst at each port that it comes
//! to, so tenants' frames come in whole bursts of one port, and ports take turns.

use std::net::Ipv4Addr;

use super::scenario::{Options, Scenario};
use crate::datapath::tunnel::OUTER_LEN;
use crate::datapath::tunnel::template::Template;
use crate::datapath::vector::BURST;
use crate::ids::{MacAddr, NetworkId, PortId, Vni};
use crate::wire::{ethernet, ipv4, udp, vxlan};

/// The uplink.
pub const UPLINK: PortId = PortId(0);
/// Our VTEP's address.
pub const LOCAL_VTEP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The MAC of every next hop in the underlay.
pub const NEXT_HOP: MacAddr = MacAddr::from_u64(0x02ee_0000_0001);
/// Where the part of a tunnel frame begins that depends on its network and stations: the VNI.
const VNI_AT: usize = OUTER_LEN - 4;
/// Where the IPv4 checksum is, with the source address after it.
const CHECKSUM_AT: usize = ethernet::HEADER_LEN + 10;

/// The address of a remote VTEP: in 198.18.0.0/15, which is for benchmarks (RFC 2544).
#[must_use]
pub fn remote_vtep(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([198, 18, 0, 1]) + number)
}

/// The MAC of a port.
#[must_use]
pub fn port_mac(port: PortId) -> MacAddr {
    MacAddr::from_u64(0x02ff_0000_0000 | u64::from(port.0))
}

/// The VNI of a network.
#[must_use]
pub fn vni(domain: NetworkId) -> u32 {
    1000 + u32::from(domain.0)
}

/// One pair of stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    number: u32,
    /// Their network.
    pub domain: NetworkId,
    /// The remote VTEP that the far one is behind, if it is behind one.
    pub vtep: u32,
}

impl Pair {
    /// The pair of a number.
    #[must_use]
    pub fn new(number: u32, options: &Options) -> Self {
        let networks = u32::from(options.networks);
        #[allow(clippy::cast_possible_truncation, reason = "less than `networks`")]
        let domain = NetworkId((number % networks) as u16);
        let vtep = (number % networks + number / networks) % options.vteps.max(1);
        Self { number, domain, vtep }
    }

    /// The station on a port of this host.
    #[must_use]
    pub fn near(&self) -> MacAddr {
        MacAddr::from_u64(0x0201_0000_0000 | u64::from(self.number))
    }

    /// The other one: on another port, or behind a remote VTEP.
    #[must_use]
    pub fn far(&self) -> MacAddr {
        MacAddr::from_u64(0x0202_0000_0000 | u64::from(self.number))
    }
}

/// The far station of a newcomer in a learning storm is that of a known pair; the near one is new.
fn newcomer(number: u32) -> MacAddr {
    MacAddr::from_u64(0x0203_0000_0000 | u64::from(number))
}

/// What one receive queue yields, for ever.
#[derive(Debug)]
pub struct Stream {
    /// The port of each burst in turn.
    pub ports: Vec<PortId>,
    /// A frame, but for what is below.
    pub base: Vec<u8>,
    /// What differs from frame to frame, 16 bytes at `block_at`: MACs, on an uplink after the VNI.
    pub blocks: Vec<[u8; 16]>,
    /// See `blocks`.
    pub block_at: usize,
    /// On an uplink, what else differs, 8 bytes at `outer_at`: checksum and source address.
    pub outers: Vec<[u8; 8]>,
    /// See `outers`.
    pub outer_at: usize,
    /// Blocks of stations that nobody has heard of, to come between the others at a pace that
    /// somebody else sets.
    pub newcomers: Vec<[u8; 16]>,
}

/// The streams of one worker of several: each pair's traffic goes to one worker, as receive-side
/// scaling would have it.
#[must_use]
pub fn streams(options: &Options, worker: usize) -> Vec<Stream> {
    let mut numbers: Vec<u32> = (0..options.pairs()).collect();
    shuffle(&mut numbers);
    let share = numbers.len().div_ceil(options.workers).max(1);
    let pairs: Vec<_> = match numbers.chunks(share).nth(worker) {
        Some(own) => own.iter().map(|n| Pair::new(*n, options)).collect(),
        // Fewer pairs than workers: each has them all.
        None => numbers.iter().map(|n| Pair::new(*n, options)).collect(),
    };
    match options.scenario {
        Scenario::L2 | Scenario::Encap => vec![from_tenants(options, &pairs, Pair::far)],
        Scenario::Decap => vec![from_uplink(options, &pairs, |pair| vni(pair.domain))],
        Scenario::UnknownVni => vec![from_uplink(options, &pairs, |_| Vni::MAX)],
        Scenario::Mixed => vec![
            from_uplink(options, &pairs, |pair| vni(pair.domain)),
            from_tenants(options, &pairs, Pair::far),
        ],
        Scenario::Flood => {
            vec![from_tenants(options, &pairs, |_| MacAddr::BROADCAST)]
        }
        Scenario::Learn => {
            let known = from_tenants(options, &pairs, Pair::far);
            vec![Stream { newcomers: newcomers(options, &pairs, worker), ..known }]
        }
    }
}

/// Whole bursts of one tenant port after the other; the stations of a port repeat until a burst is
/// full.
fn from_tenants(options: &Options, pairs: &[Pair], to: impl Fn(&Pair) -> MacAddr) -> Stream {
    let mut of_network = vec![Vec::new(); usize::from(options.networks)];
    for pair in pairs {
        of_network[pair.domain.index()].push(*pair);
    }
    let mut bursts = Vec::new();
    for pairs in of_network.iter().filter(|pairs| !pairs.is_empty()) {
        let count = pairs.len().div_ceil(BURST);
        let mut again = pairs.iter().cycle();
        bursts.extend((0..count).map(|_| again.by_ref().take(BURST).collect::<Vec<_>>()));
    }
    shuffle(&mut bursts);
    let near_port = |burst: &Vec<&Pair>| options.near_port(burst[0].domain);
    let base = tenants_frame(options.frame_len());
    let blocks = bursts.iter().flatten().map(|pair| {
        let mut block = [0; 16];
        block.copy_from_slice(&base[..16]);
        block[..6].copy_from_slice(&to(pair).to_bytes());
        block[6..12].copy_from_slice(&pair.near().to_bytes());
        block
    });
    Stream {
        ports: bursts.iter().map(near_port).collect(),
        blocks: blocks.collect(),
        base,
        block_at: 0,
        outers: Vec::new(),
        outer_at: 0,
        newcomers: Vec::new(),
    }
}

/// Tunnel frames of all networks.
fn from_uplink(options: &Options, pairs: &[Pair], vni: impl Fn(&Pair) -> u32) -> Stream {
    let inner = tenants_frame(options.frame_len());
    let blocks = pairs.iter().map(|pair| {
        let mut block = [0; 16];
        block[..4].copy_from_slice(&(vni(pair) << 8).to_be_bytes());
        block[4..10].copy_from_slice(&pair.near().to_bytes());
        block[10..].copy_from_slice(&pair.far().to_bytes());
        block
    });
    let outers = pairs.iter().map(|pair| {
        let mut outer = [0; 8];
        outer.copy_from_slice(&tunnelled(&inner, pair.vtep)[CHECKSUM_AT..][..8]);
        outer
    });
    Stream {
        ports: vec![UPLINK],
        base: tunnelled(&inner, 0),
        blocks: blocks.collect(),
        block_at: VNI_AT,
        outers: outers.collect(),
        outer_at: CHECKSUM_AT,
        newcomers: Vec::new(),
    }
}

/// New stations, one after the other, each talking to a known one.
fn newcomers(options: &Options, pairs: &[Pair], worker: usize) -> Vec<[u8; 16]> {
    let base = tenants_frame(options.frame_len());
    let own = (0..options.macs).skip(worker).step_by(options.workers);
    let block = |(number, pair): (u32, &Pair)| {
        let mut block = [0; 16];
        block.copy_from_slice(&base[..16]);
        block[..6].copy_from_slice(&pair.far().to_bytes());
        block[6..12].copy_from_slice(&newcomer(number).to_bytes());
        block
    };
    own.zip(pairs.iter().cycle()).map(block).collect()
}

/// A frame of so many bytes, without FCS, with a UDP datagram in it.
fn tenants_frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    ethernet::emit(&mut frame, MacAddr::ZERO, MacAddr::ZERO, ethernet::ethertype::IPV4);
    #[allow(clippy::cast_possible_truncation, reason = "below `MAX_SIZE`")]
    let [ip_len, udp_len] =
        [0, ipv4::HEADER_LEN].map(|at| (len - ethernet::HEADER_LEN - at) as u16);
    let ip = &mut frame[ethernet::HEADER_LEN..];
    let header = ipv4::Header {
        source: u32::from_be_bytes([203, 0, 113, 1]),
        destination: u32::from_be_bytes([203, 0, 113, 2]),
        protocol: ipv4::protocol::UDP,
        ttl: 64,
        total_len: ip_len,
    };
    let sum = ipv4::emit_partial(ip, &header);
    ipv4::complete(ip, sum - u32::from(ip_len), ip_len);
    udp::emit(&mut ip[ipv4::HEADER_LEN..], 0, 2000, udp_len);
    frame
}

/// The frame as a remote VTEP sends it to us.
fn tunnelled(inner: &[u8], vtep: u32) -> Vec<u8> {
    let template =
        Template::new(port_mac(UPLINK), NEXT_HOP, remote_vtep(vtep), LOCAL_VTEP, vxlan::UDP_PORT);
    let mut frame = [&template.bytes[..], inner].concat();
    let (_, ip) = frame.split_at_mut(ethernet::HEADER_LEN);
    #[allow(clippy::cast_possible_truncation, reason = "below `DATA_ROOM`")]
    let [ip_len, udp_len] = [0, ipv4::HEADER_LEN].map(|at| (ip.len() - at) as u16);
    ipv4::complete(ip, template.checksum_seed, ip_len);
    udp::complete(&mut ip[ipv4::HEADER_LEN..], 49_152, udp_len);
    frame
}

/// The inner or outer UDP source port of the frame in a buffer: a flow of its own.
pub(super) fn set_flow(frame: &mut [u8], number: usize) {
    let at = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
    #[allow(clippy::cast_possible_truncation, reason = "less than 16,384")]
    let port = 49_152 + (number % 16_384) as u16;
    frame[at..][..2].copy_from_slice(&port.to_be_bytes());
}

/// Fisher and Yates' shuffle, the same every time.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 0x5eed_u64;
    for last in (1..items.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        #[allow(clippy::cast_possible_truncation, reason = "less than `items.len()`")]
        let other = ((u128::from(state) * (last as u128 + 1)) >> 64) as usize;
        items.swap(last, other);
    }
}
