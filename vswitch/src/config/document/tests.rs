use proptest::prelude::*;

use super::*;
use crate::config::{arbitrary, parse};

/// The configuration without its warnings.
fn without_warnings(config: &Config) -> Config {
    Config { warnings: Vec::new(), ..config.clone() }
}

fn example() -> Document {
    let text = include_str!("../../../../docs/examples/no-nic.toml");
    Document::from(&parse("no-nic.toml", text).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_configuration_survives_document_toml_and_json(config in arbitrary::odd_config()) {
        let document = Document::from(&config);
        let text = document.to_toml();
        let read = parse("f", &text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(without_warnings(&read), without_warnings(&config));
        prop_assert_eq!(without_warnings(&document.check().unwrap()), without_warnings(&config));
        prop_assert_eq!(&Document::from(&read), &document);
        // The same keys for serde as for the reader of files, and one way of writing it.
        prop_assert_eq!(&toml::from_str::<Document>(&text).unwrap(), &document);
        prop_assert_eq!(Document::from(&read).to_toml(), text);

        let json = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Document>(&json).unwrap(), &document);
    }

    #[test]
    fn the_order_of_tables_means_nothing_to_sorted(config in arbitrary::config()) {
        let document = Document::from(&config);
        let mut turned = document.clone();
        turned.port.reverse();
        turned.network.reverse();
        turned.network.iter_mut().for_each(|n| { n.mac.reverse(); n.remote_vteps.reverse(); });
        prop_assert_eq!(turned.sorted(), document.sorted());
    }
}

#[test]
fn a_document_reads_like_the_examples() {
    let expected = r#"[dpdk]
worker-cores = [1]
main-core = 0
memory-mib = 512
hugepages = false
eal-args = []

[api]
socket = "/run/vswitch/vswitch.sock"
metrics = "127.0.0.1:9144"
page-frames = true

[fdb]
capacity = 1048576

[[port]]
name = "uplink"
device = "net_af_packet0,iface=underlay"
mtu = 1600

[[port]]
name = "tenant-a"
device = "net_af_packet1,iface=veth-a"

[[port]]
name = "tenant-b"
device = "net_af_packet2,iface=veth-b"

[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"
udp-port = 4789

[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2", "198.51.100.3"]
mac-ageing-secs = 300
  [[network.port]]
  port = "tenant-a"

[[network]]
name = "green"
vni = 200
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
mac-ageing-secs = 60
  [[network.port]]
  port = "tenant-b"
  [[network.mac]]
  address = "02:00:00:00:00:09"
  remote-vtep = "198.51.100.2"
"#;
    assert_eq!(example().to_toml(), expected);
}

#[test]
fn json_has_the_keys_of_the_file_and_its_defaults() {
    let short = r#"{"port": [{"name": "a", "device": "net_tap0"}],
                    "network": [{"name": "n", "vni": 7, "port": [{"port": "a"}]}]}"#;
    let document: Document = serde_json::from_str(short).unwrap();
    let file = "[[port]]\nname = \"a\"\ndevice = \"net_tap0\"\n\
                [[network]]\nname = \"n\"\nvni = 7\n[[network.port]]\nport = \"a\"\n";
    assert_eq!(document, Document::from(&parse("f", file).unwrap()));
    assert_eq!(Document::default(), Document::from(&parse("f", "").unwrap()));
    for unknown in [r#"{"ports": []}"#, r#"{"network": [{"name": "n", "vni": 7, "vnl": 8}]}"#] {
        assert!(serde_json::from_str::<Document>(unknown).is_err(), "{unknown}");
    }
}

#[test]
fn a_warning_has_a_location_too() {
    let mut document = example();
    document.network[0].port.clear();
    let config = document.check().unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(FieldError::from).collect();
    let places: Vec<_> = warnings.iter().map(|w| w.pointer.as_str()).collect();
    assert_eq!(places, ["/port/1", "/network/0"], "{warnings:?}");
    assert!(config.warnings[0].to_string().starts_with("/port/1: warning: port `tenant-a` is"));
}

type Edit = fn(&mut Document);

/// Changes of the example, each with the pointer and a part of the message of every error.
#[rustfmt::skip] // one line for the change, one for each error
const WRONG: &[(Edit, &[(&str, &str)])] = &[
    (|d| d.dpdk.worker_cores.clear(),
        &[("/dpdk/worker-cores", "`worker-cores` is empty")]),
    (|d| d.dpdk.worker_cores = vec![1, 2, 1],
        &[("/dpdk/worker-cores/2", "core 1 is named twice")]),
    (|d| d.dpdk.worker_cores = vec![1, 1024],
        &[("/dpdk/worker-cores/1", "`worker-cores` is 1024")]),
    (|d| d.dpdk.main_core = -1,
        &[("/dpdk/main-core", "`main-core` is -1")]),
    (|d| d.dpdk.memory_mib = i64::MIN,
        &[("/dpdk/memory-mib", "`memory-mib` is -9223372036854775808")]),
    (|d| d.dpdk.packet_buffers = Some(0),
        &[("/dpdk/packet-buffers", "`packet-buffers` is 0")]),
    (|d| d.api.socket = "/run/".into(),
        &[("/api/socket", "names a directory")]),
    (|d| d.api.socket = "a\0b".into(),
        &[("/api/socket", "contains a zero byte")]),
    (|d| d.api.metrics = "localhost:9144".into(),
        &[("/api/metrics", "is not an IP address with a port")]),
    (|d| d.api.group = Some("a:b".into()),
        &[("/api/group", "cannot be the name of a group")]),
    (|d| d.api.listen = Some("127.0.0.1:9143".into()),
        &[("/api/listen", "without `tls-certificate`, `tls-key`, `token-file`")]),
    (|d| d.api.token_file = Some("/etc/vswitch/token".into()),
        &[("/api/token-file", "there is no `listen`")]),
    (|d| d.fdb.capacity = 63,
        &[("/fdb/capacity", "`capacity` is 63")]),
    (|d| d.port[2].name = "two words".into(),
        &[("/port/2/name", "cannot be a name: it contains a space"), ("/network/1/port/0/port", "no port is named `tenant-b`")]),
    (|d| d.port[2].name = "uplink".into(),
        &[("/port/2/name", "a second port is named `uplink`; the first is at /port/0/name"), ("/network/1/port/0/port", "no port is named `tenant-b`")]),
    (|d| d.port[1].device = String::new(),
        &[("/port/1/device", "cannot be a device: it is empty")]),
    (|d| d.port[1].device = "net_af_packet0".into(),
        &[("/port/1/device", "is already that of port `uplink` at /port/0/device")]),
    (|d| d.port[1].queues = Some(0),
        &[("/port/1/queues", "`queues` is 0")]),
    (|d| d.port[1].mtu = Some(575),
        &[("/port/1/mtu", "`mtu` is 575")]),
    (|d| d.vtep[0].name = "a/b".into(),
        &[("/vtep/0/name", "cannot be a name: it contains `/`"), ("/network/0/vtep", "no VTEP is named"), ("/network/1/vtep", "no VTEP is named")]),
    (|d| d.vtep[0].port = "eth1".into(),
        &[("/vtep/0/port", "no port is named `eth1`")]),
    (|d| d.vtep[0].address = "198.51.100.1".into(),
        &[("/vtep/0/address", "has no prefix length")]),
    (|d| d.vtep[0].address = "198.51.100.0/24".into(),
        &[("/vtep/0/address", "is the network address")]),
    (|d| d.vtep[0].host_interface = "sixteen-bytes-xx".into(),
        &[("/vtep/0/host-interface", "is 16 bytes long")]),
    (|d| d.vtep[0].udp_port = 65536,
        &[("/vtep/0/udp-port", "`udp-port` is 65536")]),
    (|d| d.vtep[0].mac = Some("01:00:5e:00:00:01".into()),
        &[("/vtep/0/mac", "is a multicast address")]),
    (|d| { let mut second = d.vtep[0].clone(); second.name = "two".into(); second.port = "tenant-a".into(); d.vtep.push(second); },
        &[("/vtep/1/address", "already that of VTEP `fabric` at /vtep/0/address"),
          ("/vtep/1/host-interface", "already that of VTEP `fabric` at /vtep/0/host-interface"),
          ("/network/0/port/0/port", "cannot be a port of network `blue`: at /vtep/1/port it is the uplink of VTEP `two`")]),
    (|d| d.network[1].name = "blue".into(),
        &[("/network/1/name", "a second network is named `blue`; the first is at /network/0/name")]),
    (|d| d.network[1].vni = 100,
        &[("/network/1/vni", "VNI 100 is already that of network `blue` at /network/0/vni")]),
    (|d| d.network[1].vni = 16_777_216,
        &[("/network/1/vni", "`vni` is 16777216")]),
    (|d| d.network[0].vtep = Some("fabirc".into()),
        &[("/network/0/vtep", "no VTEP is named `fabirc`")]),
    (|d| d.network[0].vtep = None,
        &[("/network/0/remote-vteps", "network `blue` has no VTEP")]),
    (|d| d.network[0].remote_vteps.push("198.51.100.1".into()),
        &[("/network/0/remote-vteps/2", "is this switch's own VTEP `fabric`")]),
    (|d| d.network[0].remote_vteps.push("198.51.100.2".into()),
        &[("/network/0/remote-vteps/2", "is named twice")]),
    (|d| d.network[0].remote_vteps[0] = "fe80::1".into(),
        &[("/network/0/remote-vteps/0", "is an IPv6 address")]),
    (|d| d.network[1].mac_ageing_secs = 1_000_001,
        &[("/network/1/mac-ageing-secs", "`mac-ageing-secs` is 1000001")]),
    (|d| d.network[0].port.push(MemberDocument { port: "tenant-b".into() }),
        &[("/network/1/port/0/port", "cannot be a port of network `green`: at /network/0/port/1/port it is a port")]),
    (|d| d.network[0].port[0].port = "nobody".into(),
        &[("/network/0/port/0/port", "no port is named `nobody`")]),
    (|d| d.network[1].mac[0].address = "02-00-00-00-00-09".into(),
        &[("/network/1/mac/0/address", "is not a MAC address")]),
    (|d| { let again = d.network[1].mac[0].clone(); d.network[1].mac.push(again); },
        &[("/network/1/mac/1/address", "already has a place in this network, at /network/1/mac/0/address")]),
    (|d| d.network[1].mac[0].remote_vtep = None,
        &[("/network/1/mac/0", "has neither `port` nor `remote-vtep`")]),
    (|d| d.network[1].mac[0].port = Some("tenant-b".into()),
        &[("/network/1/mac/0/remote-vtep", "has both `port` and `remote-vtep`")]),
    (|d| { d.network[1].mac[0].remote_vtep = None; d.network[1].mac[0].port = Some("tenant-a".into()); },
        &[("/network/1/mac/0/port", "port `tenant-a` is not in network `green`")]),
    (|d| d.network[1].mac[0].remote_vtep = Some("198.51.100.0/24".into()),
        &[("/network/1/mac/0/remote-vtep", "is a subnet")]),
    (|d| { d.network[1].vtep = None; d.network[1].remote_vteps.clear(); },
        &[("/network/1/mac/0/remote-vtep", "network `green` has no VTEP")]),
];

#[test]
fn an_error_names_the_field() {
    let mut failed = 0;
    for (edit, expected) in WRONG {
        let mut document = example();
        edit(&mut document);
        let errors = document.check().unwrap_err();
        let as_expected = errors.len() == expected.len()
            && errors.iter().zip(*expected).all(|(error, (pointer, message))| {
                error.pointer == *pointer
                    && error.message.contains(message)
                    && !error.help.is_empty()
            });
        let json = serde_json::to_value(&document).unwrap();
        let there = errors.iter().all(|error| json.pointer(&error.pointer).is_some());
        if !as_expected || !there {
            println!("{errors:#?}\n^^ but expected {expected:?}");
            failed += 1;
        }
    }
    assert_eq!(failed, 0, "of {} wrong documents", WRONG.len());
}

#[test]
fn every_key_has_its_row_in_the_manual() {
    let manual = include_str!("../../../../docs/configuration.md");
    for table in FILE.all().skip(1) {
        let heading = format!("# `{}`: ", table.title);
        let Some((_, section)) = manual.split_once(&heading) else { panic!("no {heading}") };
        let section = section.split("\n## ").next().unwrap();
        let section = section.split("\n### ").next().unwrap();
        for key in table.keys.iter().filter(|key| key.kind.table().is_none()) {
            let kind = key.kind.one().trim_start_matches("an ").trim_start_matches("a ");
            let kind = if kind == "true or false" { "boolean" } else { kind };
            let row = format!("| `{}` | {kind} | ", key.name);
            let row = section.lines().find_map(|line| line.strip_prefix(&row));
            let row = row.unwrap_or_else(|| panic!("{}: no row for `{}`", table.title, key.name));
            assert_eq!(row.starts_with("**required**"), key.is_required, "{}", key.name);
            let limits = key.range.iter().flat_map(|range| [range.start(), range.end()]);
            for limit in limits.filter(|limit| **limit > 0) {
                assert!(row.contains(&limit.to_string()), "`{}`: no {limit} in {row}", key.name);
            }
        }
    }
}

#[test]
fn the_schema_has_the_keys_of_the_file() {
    use utoipa::PartialSchema as _;
    let schema = serde_json::to_value(NetworkDocument::schema()).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    assert!(keys.contains(&"mac-ageing-secs".to_owned()), "{keys:?}");
    assert_eq!(schema["required"], serde_json::json!(["name", "vni"]));
    assert_eq!(schema["additionalProperties"], serde_json::json!(false));
}
