//! Arbitrary valid configurations for property tests. They are small, and their names come from
//! small pools, so that two of them have much in common.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::Config;
use super::document::{
    ApiDocument, Document, DpdkDocument, FdbDocument, MacDocument, MemberDocument, NetworkDocument,
    PortDocument, VtepDocument,
};

const PORTS: usize = 8;
const VTEPS: usize = 3;
const NETWORKS: usize = 5;
const REMOTES: [&str; 4] = ["198.51.100.2", "198.51.100.3", "203.0.113.7", "203.0.113.8"];

/// The random values for a port, used or not.
type PortSeed = (bool, Option<i64>, Option<i64>, usize);
/// The random values for a VTEP.
type VtepSeed = (u8, i64, Option<u8>);
/// The random values for a network: ageing, VTEP, remotes, static MACs.
type NetworkSeed = (i64, Option<usize>, Vec<&'static str>, Vec<(u8, Option<Index>, Index)>);

/// A valid configuration with plain names and texts.
pub(crate) fn config() -> impl Strategy<Value = Config> {
    any_config(Just(String::new()), Just(Vec::new()))
}

/// A valid configuration with any names and texts that a file may contain.
pub(crate) fn odd_config() -> impl Strategy<Value = Config> {
    any_config("[^\\s/\\pC]{0,5}", vec(any::<String>(), 0..3))
}

fn any_config(
    suffix: impl Strategy<Value = String>,
    eal_args: impl Strategy<Value = Vec<String>>,
) -> impl Strategy<Value = Config> {
    let order =
        |count: usize| subsequence((0..count).collect::<Vec<_>>(), 0..=count).prop_shuffle();
    let port = (any::<bool>(), option::of(1..4_i64), option::of(576..600_i64), 0..PORTS + 2);
    let vtep = (0..2_u8, 4789..4791_i64, option::of(0..2_u8));
    let remotes = subsequence(REMOTES.to_vec(), 0..=REMOTES.len()).prop_shuffle();
    let macs = vec((0..4_u8, option::of(any::<Index>()), any::<Index>()), 0..4);
    let network = (0..3_i64, option::of(0..VTEPS), remotes, macs);
    let settings = (0..3_i64, option::of(1024..1026_i64), any::<bool>(), eal_args, 64..66_i64);
    (
        settings,
        (order(PORTS), vec(port, PORTS)),
        (order(VTEPS), vec(vtep, VTEPS)),
        (order(NETWORKS), vec(network, NETWORKS), Just(vec![10, 11, 12, 13, 14]).prop_shuffle()),
        suffix,
    )
        .prop_map(|(settings, ports, vteps, (networks, seeds, vnis), suffix)| {
            let (core, packet_buffers, hugepages, eal_args, capacity) = settings;
            let mut document = Document {
                dpdk: DpdkDocument {
                    worker_cores: (1..=core + 1).collect(),
                    memory_mib: 64 + core,
                    packet_buffers,
                    hugepages,
                    eal_args,
                    ..DpdkDocument::default()
                },
                api: ApiDocument {
                    metrics: format!("[::1]:{}", 9000 + core),
                    page_frames: core % 2 == 0,
                    group: hugepages.then(|| format!("group{core}")),
                    listen: (core > 0).then(|| format!("[::1]:{}", 9100 + core)),
                    tls_certificate: (core > 0).then(|| "/etc/vswitch/tls.pem".to_owned()),
                    tls_key: (core > 0).then(|| "/etc/vswitch/tls-key.pem".to_owned()),
                    token_file: (core > 0).then(|| format!("/etc/vswitch/token{core}")),
                    ..ApiDocument::default()
                },
                fdb: FdbDocument { capacity },
                ..Document::default()
            };
            let name = |kind: &str, index: usize| format!("{kind}{index}{suffix}");
            add_ports(&mut document, &ports, &name);
            add_vteps(&mut document, &ports, &vteps, &name);
            for index in networks {
                let members: Vec<String> = ports_with_use(&ports, VTEPS + index, &name);
                document.network.push(network_of(
                    index,
                    &seeds[index],
                    vnis[index],
                    members,
                    &document.vtep,
                    &name,
                ));
            }
            document.check().unwrap_or_else(|errors| panic!("{errors:#?}\n{}", document.to_toml()))
        })
}

fn ports_with_use(
    ports: &(Vec<usize>, Vec<PortSeed>),
    wanted: usize,
    name: &impl Fn(&str, usize) -> String,
) -> Vec<String> {
    let chosen = ports.0.iter().filter(|&&port| ports.1[port].3 == wanted);
    chosen.map(|&port| name("p", port)).collect()
}

fn add_ports(
    document: &mut Document,
    (order, seeds): &(Vec<usize>, Vec<PortSeed>),
    name: &impl Fn(&str, usize) -> String,
) {
    for &index in order {
        let (other, queues, mtu, _) = seeds[index];
        let device = format!("net_tap{index},iface={}{index}", if other { "x" } else { "y" });
        document.port.push(PortDocument { name: name("p", index), device, queues, mtu });
    }
}

fn add_vteps(
    document: &mut Document,
    ports: &(Vec<usize>, Vec<PortSeed>),
    (order, seeds): &(Vec<usize>, Vec<VtepSeed>),
    name: &impl Fn(&str, usize) -> String,
) {
    for &index in order {
        let Some(port) = ports_with_use(ports, index, name).into_iter().next() else { continue };
        let (address, udp_port, mac) = seeds[index];
        document.vtep.push(VtepDocument {
            name: name("v", index),
            port,
            address: format!("10.1.0.{}/24", 10 * (index + 1) + usize::from(address)),
            host_interface: format!("vtep{index}"),
            udp_port,
            mac: mac.map(|byte| format!("02:00:00:00:01:{byte:02x}")),
        });
    }
}

fn network_of(
    index: usize,
    (ageing, vtep, remotes, macs): &NetworkSeed,
    vni: i64,
    members: Vec<String>,
    vteps: &[VtepDocument],
    name: &impl Fn(&str, usize) -> String,
) -> NetworkDocument {
    let vtep = vtep
        .map(|vtep| name("v", vtep))
        .filter(|wanted| vteps.iter().any(|vtep| vtep.name == *wanted));
    let mut static_macs: Vec<MacDocument> = Vec::new();
    for (byte, port, remote) in macs {
        let address = format!("02:00:00:00:00:{byte:02x}");
        let port = port.filter(|_| !members.is_empty()).map(|port| port.get(&members).clone());
        let remote_vtep =
            (port.is_none() && vtep.is_some()).then(|| (*remote.get(&REMOTES)).to_owned());
        let known = static_macs.iter().any(|mac| mac.address == address);
        if !known && (port.is_some() || remote_vtep.is_some()) {
            static_macs.push(MacDocument { address, port, remote_vtep });
        }
    }
    let remote_vteps = if vtep.is_some() { remotes.clone() } else { Vec::new() };
    NetworkDocument {
        name: name("n", index),
        vni,
        vtep,
        remote_vteps: remote_vteps.into_iter().map(str::to_owned).collect(),
        mac_ageing_secs: 100 * ageing,
        port: members.into_iter().map(|port| MemberDocument { port }).collect(),
        mac: static_macs,
    }
}
