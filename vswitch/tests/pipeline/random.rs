//! Random configurations and frames, for property tests: out of few names and addresses, so that
//! they meet.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use vswitch::config::{self, Config};
use vswitch::ids::MacAddr;

use super::*;

/// Remote VTEPs: three that networks may have, and one that none has.
pub const REMOTES: [u32; 4] = [REMOTE_1, REMOTE_2, 0xc633_6404, STRANGER];
pub const VNIS: [u32; 4] = [100, 200, 300, 400];

/// A network, before it has a name.
#[derive(Clone, Debug)]
pub struct Net {
    /// Which of [`REMOTES`]; `None`: no VTEP.
    pub remotes: Option<[bool; 3]>,
    pub ageing_secs: u32,
    /// Station, and its home: a tenant port or one of [`REMOTES`].
    pub macs: Vec<(u8, Result<Index, usize>)>,
}

pub fn nets() -> impl Strategy<Value = Vec<Net>> {
    let home = prop_oneof![any::<Index>().prop_map(Ok), (0..REMOTES.len()).prop_map(Err)];
    let net = (
        proptest::option::weighted(0.9, any::<[bool; 3]>()),
        select(&[0, 1, 5, 60][..]),
        vec((0..6_u8, home), 0..3),
    );
    let net = net.prop_map(|(remotes, ageing_secs, macs)| Net { remotes, ageing_secs, macs });
    vec(net, 1..=3)
}

/// A valid configuration: port "uplink", then tenants' ports "t0"…, each in one of the networks.
pub fn configurations(mtus: &'static [u16]) -> impl Strategy<Value = Config> {
    let ports = vec((any::<Index>(), select(mtus)), 1..=4);
    (nets(), ports, select(mtus), 2..20_usize).prop_map(|(nets, ports, mtu, capacity)| {
        let mut toml =
            format!("[[port]]\nname = \"uplink\"\ndevice = \"net_null0\"\nmtu = {mtu}\n");
        for (n, (_, mtu)) in ports.iter().enumerate() {
            let device = n + 1;
            writeln!(toml, "[[port]]\nname = \"t{n}\"\ndevice = \"net_null{device}\"\nmtu = {mtu}")
                .unwrap();
        }
        toml += "[[vtep]]\nname = \"v\"\nport = \"uplink\"\naddress = \"198.51.100.1/24\"\n\
                 host-interface = \"vtep0\"\n";
        let home_of = |index: &Index| index.index(nets.len());
        for (n, net) in nets.iter().enumerate() {
            writeln!(toml, "[[network]]\nname = \"n{n}\"\nvni = {}", VNIS[n]).unwrap();
            writeln!(toml, "mac-ageing-secs = {}", net.ageing_secs).unwrap();
            if let Some(remotes) = net.remotes {
                let remotes: Vec<_> = REMOTES.iter().zip(remotes).filter(|(_, on)| *on).collect();
                let remotes: Vec<_> =
                    remotes.iter().map(|(r, _)| Ipv4Addr::from(**r).to_string()).collect();
                writeln!(toml, "vtep = \"v\"\nremote-vteps = {remotes:?}").unwrap();
            }
            let members: Vec<_> =
                (0..ports.len()).filter(|port| home_of(&ports[*port].0) == n).collect();
            for port in &members {
                writeln!(toml, "[[network.port]]\nport = \"t{port}\"").unwrap();
            }
            let mut known = HashSet::new();
            for (mac, home) in &net.macs {
                let home = match home {
                    Ok(index) if !members.is_empty() => {
                        format!("port = \"t{}\"", index.get(&members))
                    }
                    Err(remote) if net.remotes.is_some() => {
                        format!("remote-vtep = \"{}\"", Ipv4Addr::from(REMOTES[*remote]))
                    }
                    _ => continue,
                };
                if known.insert(*mac) {
                    let mac = MacAddr::from_bytes(station(*mac));
                    writeln!(toml, "[[network.mac]]\naddress = \"{mac}\"\n{home}").unwrap();
                }
            }
        }
        let config = config::parse("generated", &toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        let statics: usize = config.networks.iter().map(|network| network.macs.len()).sum();
        Config { fdb_capacity: capacity.max(statics), ..config }
    })
}

/// MAC addresses out of few, so that they meet.
pub fn macs() -> impl Strategy<Value = [u8; 6]> {
    prop_oneof![
        12 => (0..6_u8).prop_map(station),
        2 => Just(BROADCAST),
        1 => Just([0x33, 0x33, 0, 0, 0, 1]),
        1 => Just([0x01, 0x80, 0xc2, 0, 0, 0]),
        1 => Just([0; 6]),
    ]
}

#[derive(Clone, Debug)]
pub enum Frame {
    Noise(Vec<u8>),
    Tenants { to: [u8; 6], from: [u8; 6], len: usize },
    Tunnelled { remote: usize, vni: usize, to: [u8; 6], from: [u8; 6], len: usize, faults: Faults },
}

/// What is wrong with a tunnel frame: bytes changed, the end cut off.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub changed: Vec<(Index, u8)>,
    pub cut: Option<Index>,
}

impl Frame {
    /// The bytes. `id` makes them unlike any other frame's.
    pub fn bytes(&self, id: u32) -> Vec<u8> {
        let tenants = |to: [u8; 6], from: [u8; 6], len: usize| {
            let mut payload = id.to_be_bytes().to_vec();
            payload.resize(4.max(len), 0x77);
            ethernet(to, from, 0x88b5, &payload)
        };
        match self {
            Self::Noise(bytes) => bytes.clone(),
            Self::Tenants { to, from, len } => tenants(*to, *from, *len),
            Self::Tunnelled { remote, vni, to, from, len, faults } => {
                let inner = tenants(*to, *from, *len);
                let frame = Tunnelled::new(inner).from(REMOTES[*remote], VNIS[*vni]);
                let mut bytes = frame.bytes();
                for (at, xor) in &faults.changed {
                    // Mostly in the headers, where it matters.
                    let at = at.index(64.min(bytes.len()));
                    bytes[at] ^= xor;
                }
                if let Some(cut) = faults.cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
                bytes
            }
        }
    }
}

pub fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 4..100_usize, 1 => 500..600_usize, 1 => 1400..1600_usize]
}

pub fn tenants_frames() -> impl Strategy<Value = Frame> {
    (macs(), macs(), lengths()).prop_map(|(to, from, len)| Frame::Tenants { to, from, len })
}

pub fn tunnel_frames(faults: impl Strategy<Value = Faults>) -> impl Strategy<Value = Frame> {
    let ends = (0..REMOTES.len(), 0..VNIS.len());
    (ends, macs(), macs(), lengths(), faults).prop_map(|((remote, vni), to, from, len, faults)| {
        Frame::Tunnelled { remote, vni, to, from, len, faults }
    })
}

pub fn faults() -> impl Strategy<Value = Faults> {
    (vec((any::<Index>(), any::<u8>()), 0..3), proptest::option::weighted(0.1, any::<Index>()))
        .prop_map(|(changed, cut)| Faults { changed, cut })
}
