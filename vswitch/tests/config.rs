//! The meaning of a configuration file, and the errors of an invalid one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "config/bad.rs"]
mod bad;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bad::BAD;
use proptest::prelude::*;
use vswitch::config::{
    self, Api, Config, Dpdk, Home, LoadError, Network, Port, PortIndex, Severity, StaticMac, Vtep,
    VtepIndex,
};
use vswitch::ids::Vni;

/// A valid file, from which the invalid ones are made by one replacement each.
const GOOD: &str = r#"[dpdk]
worker-cores = [1]          # cores that poll
main-core = 0               # the management core
memory-mib = 512
hugepages = true            # false: run without (development, tests)
eal-args = []               # passed on to EAL as they are

[api]
socket = "/run/vswitch/vswitch.sock"   # JSON over HTTP; the CLI talks to it
metrics = "127.0.0.1:9144"             # GET /metrics

[[port]]
name = "uplink"
device = "net_af_packet0,iface=eth1"   # DPDK devargs as they are, or a PCI address
# queues, mtu: optional

[[port]]
name = "tenant-a"
device = "net_af_packet1,iface=veth-a"

[[vtep]]
name = "fabric"
port = "uplink"             # later also: network = "..." (nested)
address = "198.51.100.1/24"
host-interface = "vtep0"    # the TAP that the kernel sees
udp-port = 4789
# mac = "02:..."            # optional: the MAC the underlay sees

[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2"]        # who gets flooded frames
mac-ageing-secs = 300
  [[network.port]]
  port = "tenant-a"         # later also: vlan = 10, ...
  [[network.mac]]           # static entries: exactly one of port / remote-vtep
  address = "02:00:00:00:00:09"
  remote-vtep = "198.51.100.2"
"#;

fn good() -> Config {
    Config {
        dpdk: Dpdk {
            worker_cores: vec![1],
            main_core: 0,
            memory_mib: 512,
            packet_buffers: None,
            hugepages: true,
            eal_args: vec![],
        },
        api: Api {
            socket: PathBuf::from("/run/vswitch/vswitch.sock"),
            metrics: "127.0.0.1:9144".parse().unwrap(),
            page_frames: true,
            group: None,
            tcp: None,
        },
        fdb_capacity: 1_048_576,
        ports: vec![
            Port {
                name: "uplink".into(),
                device: "net_af_packet0,iface=eth1".into(),
                queues: None,
                mtu: None,
            },
            Port {
                name: "tenant-a".into(),
                device: "net_af_packet1,iface=veth-a".into(),
                queues: None,
                mtu: None,
            },
        ],
        vteps: vec![Vtep {
            name: "fabric".into(),
            port: PortIndex(0),
            address: Ipv4Addr::new(198, 51, 100, 1),
            prefix_len: 24,
            host_interface: "vtep0".into(),
            udp_port: 4789,
            mac: None,
        }],
        networks: vec![Network {
            name: "blue".into(),
            vni: Vni::new(100).unwrap(),
            vtep: Some(VtepIndex(0)),
            remote_vteps: vec![Ipv4Addr::new(198, 51, 100, 2)],
            mac_ageing_secs: 300,
            ports: vec![PortIndex(1)],
            macs: vec![StaticMac {
                address: "02:00:00:00:00:09".parse().unwrap(),
                home: Home::RemoteVtep(Ipv4Addr::new(198, 51, 100, 2)),
            }],
        }],
        warnings: vec![],
    }
}

#[test]
fn the_example_means_what_it_says() {
    assert_eq!(config::parse("vswitch.toml", GOOD).unwrap(), good());
}

#[test]
fn an_absent_key_has_its_default() {
    let short: String = GOOD
        .lines()
        .skip_while(|line| !line.starts_with("[[port]]"))
        .filter(|line| !line.starts_with("udp-port") && !line.starts_with("mac-ageing-secs"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(config::parse("vswitch.toml", &short).unwrap(), good());
}

#[test]
fn a_bad_file_is_explained() {
    let mut wrong = 0;
    for case in BAD {
        assert_eq!(GOOD.matches(case.from).count(), 1, "{:?} is not there once", case.from);
        let errors = config::parse("f", &GOOD.replacen(case.from, case.to, 1)).unwrap_err();
        println!("== {}\n{errors}", case.to);
        let as_expected = errors.len() == case.errors.len()
            && errors.iter().zip(case.errors).all(|(error, (line, column, message, help))| {
                (error.line, error.column) == (*line, *column)
                    && error.message.contains(message)
                    && error.help.contains(help)
            });
        if !as_expected {
            println!("^^ but expected {:?}", case.errors);
            wrong += 1;
        }
    }
    assert_eq!(wrong, 0, "of {} bad files", BAD.len());
}

/// The whole text that a user sees, once.
#[test]
fn an_error_reads_like_this() {
    let text = GOOD.replace("  port = \"tenant-a\"", "\tport = \"tenant-b\"");
    let expected = [
        "vswitch.toml:36:9: error: no port is named `tenant-b`",
        "   |",
        "36 | \tport = \"tenant-b\"         # later also: vlan = 10, ...",
        "   | \t       ^^^^^^^^^^",
        "help: did you mean `tenant-a`? known ports: `uplink`, `tenant-a`",
    ];
    let errors = config::parse("vswitch.toml", &text).unwrap_err();
    assert_eq!(errors.to_string(), expected.join("\n"));
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_file() {
    let text = GOOD
        .replace("vni = 100", "vni = 0")
        .replace("udp-port = 4789", "udp-port = 0")
        .replace("memory-mib = 512", "memory = 512");
    let errors = config::parse("f", &text).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [4, 26, 31]);
}

#[test]
fn what_is_probably_not_intended_is_a_warning() {
    let text = GOOD.replace("eal-args = []", "eal-args = [\"-l\", \"0-1\"]")
        + r#"
[[port]]
name = "spare"
device = "net_af_packet2,iface=veth-a"
[[network]]
name = "empty"
vni = 7
"#;
    let config = config::parse("f", &text).unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(|w| (w.line, w.message.as_str())).collect();
    assert!(config.warnings.iter().all(|w| w.severity == Severity::Warning));
    let [args, unused, same, empty] = warnings[..] else { panic!("{warnings:?}") };
    assert!(args.0 == 6 && args.1.contains("may contradict `worker-cores`"), "{args:?}");
    assert_eq!(unused, (41, "port `spare` is not used"));
    assert!(same.0 == 43 && same.1.contains("already that of port `tenant-a`"), "{same:?}");
    assert!(empty.0 == 44 && empty.1.contains("has no port"), "{empty:?}");
}

#[test]
fn a_worker_on_the_main_core_is_a_warning() {
    for (from, to, line) in [
        ("worker-cores = [1]", "worker-cores = [0, 1]", 3),
        ("main-core = 0", "main-core = 1", 3),
        ("main-core = 0 ", "", 2),
    ] {
        let text = GOOD.replace(from, to).replace("worker-cores = [1]", "worker-cores = [1, 0]");
        let config = config::parse("f", &text).unwrap();
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert_eq!(warning.line, line, "{to}");
        assert!(warning.message.contains("is a worker's as well"), "{}", warning.message);
    }
}

#[test]
fn limits_belong_to_the_range() {
    for (from, to) in [
        ("vni = 100", "vni = 0xffffff"),
        ("mac-ageing-secs = 300", "mac-ageing-secs = 0"),
        ("mac-ageing-secs = 300", "mac-ageing-secs = 1_000_000"),
        ("198.51.100.1/24", "198.51.100.0/31"),
        ("198.51.100.1/24", "198.51.100.1/32"),
        ("memory-mib = 512", "memory-mib = 64"),
        ("memory-mib = 512", "packet-buffers = 1024"),
        ("memory-mib = 512", "packet-buffers = 16777215"),
        ("# queues, mtu: optional", "queues = 1\nmtu = 9728"),
        ("# queues, mtu: optional", "mtu = 576"),
        ("\"vtep0\"", "\"fifteen-bytes-x\""),
        ("udp-port = 4789", "udp-port = 65535"),
        ("127.0.0.1:9144", "[::1]:9144"),
        ("[api]", "[fdb]\ncapacity = 16777216\n[api]"),
    ] {
        assert!(GOOD.contains(from));
        let parsed = config::parse("f", &GOOD.replace(from, to));
        assert!(parsed.is_ok(), "{to}: {}", parsed.unwrap_err());
    }
}

#[test]
fn a_network_may_stay_on_its_host() {
    let text = "[[port]]\nname = \"a\"\ndevice = \"net_tap0\"\n\
                [[network]]\nname = \"n\"\nvni = 1\n[[network.port]]\nport = \"a\"\n";
    let config = config::parse("f", text).unwrap();
    assert_eq!((config.networks[0].vtep, config.vteps.len()), (None, 0));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path| config::load(path).unwrap_err().to_string();

    let absent = folder.path().join("absent.toml");
    let text = said(&absent);
    assert!(text.starts_with(&format!("{}: error: cannot read", absent.display())), "{text}");
    assert!(text.contains("\nhelp: check the path"), "{text}");
    assert!(said(folder.path()).contains("not its directory"));

    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"a = 1\n\xff\xfe").unwrap();
    let text = said(&binary);
    assert!(text.starts_with(&format!("{}:2: error: ", binary.display())), "{text}");

    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "[dpkd]\n").unwrap();
    assert!(matches!(config::load(&bad), Err(LoadError::Invalid(_))));
}

#[test]
fn the_examples_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let config = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(config.warnings.is_empty(), "{}: {:?}", path.display(), config.warnings);
        count += 1;
    }
    assert!(count >= 7, "{count} examples");
}

/// The examples for all tables in docs/configuration.md make one valid file.
#[test]
fn the_manual_is_valid() {
    let manual = include_str!("../../docs/configuration.md");
    let blocks = manual.split("```toml\n").skip(1);
    let text: String = blocks.filter_map(|block| block.split("```").next()).collect();
    let config = config::parse("docs/configuration.md", &text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.ports.len(), config.networks.len()), (2, 1));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

fn vswitch(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vswitch")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_what_it_would_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vswitch.toml");
    let name = file.to_str().unwrap();

    std::fs::write(&file, GOOD).unwrap();
    let expected = format!("{name}: ok: 1 worker, 2 ports, 1 VTEP, 1 network\n");
    assert_eq!(vswitch(&["check", name]), (Some(0), expected, String::new()));

    std::fs::write(&file, GOOD.replace("[[network.port]]", "").replace("vni = 100", "vni = 0"))
        .unwrap();
    for arguments in [&["check", name][..], &["run", "--config", name]] {
        let (status, out, err) = vswitch(arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.starts_with(&format!("{name}:31:7: error: ")), "{err}");
    }

    assert_eq!(vswitch(&["check", "/absent"]).0, Some(2));
    assert_eq!(vswitch(&["run"]).0, Some(2));
    assert_eq!(vswitch(&["show", "prots"]).0, Some(2));
    assert_eq!(vswitch(&[]).0, Some(2));
    assert_eq!(vswitch(&["--version"]), (Some(0), "vswitch 0.1.0\n".into(), String::new()));
    assert_eq!(vswitch(&["--help"]).0, Some(0));
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn without_dpdk_run_says_so() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/no-nic.toml");
    let (status, _, err) = vswitch(&["run", "--config", file]);
    assert_eq!(status, Some(1));
    assert!(err.contains("built without DPDK: rebuild"), "{err}");
}

/// Any text has a result, and every error has a location in it and can be printed.
fn answers(text: &str) -> Result<(), TestCaseError> {
    if let Err(errors) = config::parse("f", text) {
        prop_assert!(!errors.is_empty());
        for error in errors.iter() {
            prop_assert!(error.line <= text.split('\n').count() && error.column >= 1);
            prop_assert!(!error.help.is_empty());
        }
        prop_assert!(errors.to_string().contains("error: "));
    }
    Ok(())
}

/// A position, the number of characters to remove there, and the text to insert.
fn edit() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    (any::<prop::sample::Index>(), 0..40_usize, "[\\PC\t\r\n]{0,6}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        answers(&text)?;
    }

    #[test]
    fn no_mutation_of_a_good_file_panics(edits in prop::collection::vec(edit(), 1..8)) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, length, new) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, new.chars());
        }
        answers(&text.into_iter().collect::<String>())?;
    }

    /// Mostly valid TOML with an unexpected meaning.
    #[test]
    fn no_exchange_of_lines_panics(
        swaps in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 1..10)
    ) {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        for [a, b] in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
        }
        answers(&lines.join("\n"))?;
    }
}

/// A program may send everything in one line, and all of it wrong. Neither memory nor time grows
/// with the square of the size.
#[test]
fn a_large_file_with_everything_wrong_is_answered_briefly() {
    let of = |table: fn(u32) -> String| (0..5_000).map(table).collect::<Vec<_>>();
    let one_line =
        of(|n| format!("{{name = \"p{n}\", device = \"net_null{n}\", mtu = 1}}")).join(", ");
    let errors = config::parse("f", &format!("port = [{one_line}]")).unwrap_err();
    assert_eq!(errors.len(), 1001);
    assert!(errors.to_string().len() < 1_000_000, "{}", errors.to_string().len());
    let last = errors.iter().last().unwrap();
    assert!(last.message.starts_with("more than 1000 errors"), "{last}");

    let ports = of(|n| format!("[[port]]\nname = \"p{n}\"\ndevice = \"net_null{n}\"\n"));
    let networks = of(|n| {
        format!(
            "[[network]]\nname = \"n{n}\"\nvni = {}\n[[network.port]]\nport = \"q{n}\"\n",
            n + 1
        )
    });
    let errors =
        config::parse("f", &format!("{}{}", ports.concat(), networks.concat())).unwrap_err();
    let hints = errors.iter().filter(|error| error.help.starts_with("did you mean `p")).count();
    assert_eq!((errors.len(), hints), (1001, 100));
    let first = errors.iter().next().unwrap();
    assert!(first.help.ends_with("`p11` and 4988 more"), "{first}");
}

/// Errors are reported even after more warnings than are kept.
#[test]
fn an_error_after_many_warnings_is_one() {
    let port = |n: u32| format!("[[port]]\nname = \"p{n}\"\ndevice = \"net_null{n}\"\n");
    let unused: String = (0..1500).map(port).collect();
    assert_eq!(config::parse("f", &unused).unwrap().warnings.len(), 1000);
    let errors = config::parse("f", &format!("{unused}mtu = 1\n")).unwrap_err();
    assert_eq!(errors.len(), 1);
}
