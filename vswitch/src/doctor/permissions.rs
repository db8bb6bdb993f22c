//! What the process may do: its capabilities, and the limit of locked memory.

use super::finding::{Check, Finding};
use super::host::Host;
use super::need::foreseen;
use super::view::{Purpose, View};
use crate::config::Config;
use crate::config::device::{driver, pci_address};
use crate::text::shell_quoted;

// By number (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;

/// Files of the service's unit.
const UNITS: [&str; 2] =
    ["lib/systemd/system/vswitch.service", "etc/systemd/system/vswitch.service"];

fn uses(config: &Config, name: &str) -> bool {
    config.ports.iter().any(|port| driver(&port.device) == Some(name))
}

/// What each capability is needed for.
fn needed(config: &Config) -> Vec<(u32, &'static str, &'static str)> {
    let xdp = uses(config, "net_af_xdp");
    let (packet, tap) = (uses(config, "net_af_packet"), uses(config, "net_tap"));
    let mut needed = Vec::new();
    if !config.vteps.is_empty() || tap || xdp || packet {
        needed.push((CAP_NET_ADMIN, "CAP_NET_ADMIN", "host interfaces, and interfaces of ports"));
    }
    if packet || xdp {
        needed.push((CAP_NET_RAW, "CAP_NET_RAW", "AF_PACKET and AF_XDP ports"));
    }
    if xdp {
        needed.push((CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "XDP programs"));
    }
    needed
}

pub(super) fn capabilities(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let Some(config) = view.config else {
        return vec![if host.is_root() {
            Finding::ok(Check::Permissions, "root")
        } else {
            Finding::note(Check::Permissions, "not root: some things cannot be seen")
        }];
    };
    let needed = needed(config);
    let missing: Vec<_> = needed.iter().filter(|cap| !host.has_capability(cap.0)).collect();
    if missing.is_empty() {
        let names: Vec<_> = needed.iter().map(|cap| cap.1).collect();
        let names = if names.is_empty() { "none is needed".to_owned() } else { names.join(", ") };
        let mut findings = vec![Finding::ok(Check::Permissions, format!("capabilities: {names}"))];
        if !host.is_root() {
            let found = "not root: the owners of other users' sockets cannot be seen";
            findings.push(Finding::note(Check::Permissions, found));
        } else if view.purpose == Purpose::Report && UNITS.iter().any(|unit| host.has(unit)) {
            let found = "checked as root, not as the service, which may do less: docs/doctor.md has a command \
                         that checks as the service";
            findings.push(Finding::note(Check::Permissions, found));
        }
        return findings;
    }
    let what: Vec<_> = missing.iter().map(|cap| format!("{} ({})", cap.1, cap.2)).collect();
    let all: Vec<_> = needed.iter().map(|cap| cap.1).collect();
    vec![
        Finding::problem(
            Check::Permissions,
            format!("no permission: this user lacks {}", what.join(" and ")),
            "the process does not run as root, and was not given these capabilities",
        )
        .advice(way_out(host, &all)),
    ]
}

/// How to give a process capabilities. Capabilities of the program file are not advised: every user
/// who may execute it would have them, and `eal-args` load any code.
pub(super) fn way_out(host: &Host, capabilities: &[&str]) -> String {
    let short = |name: &&str| format!("+{}", name.trim_start_matches("CAP_").to_lowercase());
    let list = capabilities.iter().map(short).collect::<Vec<_>>().join(",");
    let group = host.field("proc/self/status", "Gid").unwrap_or_default();
    format!(
        "run it as root, or have root give it only these: `setpriv --reuid={} --regid={} \
         --init-groups --inh-caps={list} --ambient-caps={list} {} run …`; in a systemd unit: \
         AmbientCapabilities={}",
        host.user(),
        group.split_whitespace().nth(1).unwrap_or("0"),
        shell_quoted(host.program.display()),
        capabilities.join(" ")
    )
}

/// How to raise the limit of locked memory.
pub(super) fn more_locked(host: &Host) -> String {
    format!(
        "start it as root by `prlimit --memlock=unlimited {} run …`; in a systemd unit: \
         LimitMEMLOCK=infinity",
        shell_quoted(host.program.display())
    )
}

/// The limit of locked memory. vfio locks all of DPDK's memory, AF_XDP locks the packet buffers.
pub(super) fn locked_memory(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let pci = config.ports.iter().any(|port| pci_address(&port.device).is_some());
    let xdp = uses(config, "net_af_xdp");
    if !pci && !xdp {
        return Vec::new();
    }
    if view.host.has_capability(CAP_IPC_LOCK) {
        return vec![Finding::ok(Check::Memlock, "no limit: CAP_IPC_LOCK")];
    }
    let limits = view.host.read("proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("unlimited");
    let need_mib = if pci {
        u64::from(config.dpdk.memory_mib)
    } else {
        foreseen(view.host, config).most.pool_mib()
    };
    match soft.parse::<u64>() {
        Ok(bytes) if bytes >> 20 < need_mib => vec![
            Finding::problem(
                Check::Memlock,
                format!(
                    "this process may lock {} MiB of memory, and {need_mib} are needed",
                    bytes >> 20
                ),
                if pci {
                    "vfio locks all memory of DPDK"
                } else {
                    "AF_XDP locks the packet buffers"
                },
            )
            .advice(more_locked(view.host)),
        ],
        _ => vec![Finding::ok(Check::Memlock, format!("limit: {soft}"))],
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_host::{TestHost, config};
    use super::*;

    const NOBODY: &str = "Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534\nCapEff:\t0000000000000000\n";
    const ROOT: &str = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n";

    #[test]
    fn what_is_missing_is_given_to_the_process() {
        let config = config(&["net_af_packet0,iface=up0", "net_af_packet1,iface=ta"]);
        let mut fixture = TestHost::new().file("proc/self/status", NOBODY);
        fixture.host.program = "/usr/bin/vswitch".into();
        let finding = fixture.problem(&config, capabilities);
        assert!(finding.found.contains("lacks CAP_NET_ADMIN"), "{finding}");
        let caps = "--inh-caps=+net_admin,+net_raw --ambient-caps=+net_admin,+net_raw";
        let given = format!("--regid=65534 --init-groups {caps} /usr/bin/vswitch run");
        assert!(finding.advice.contains(&given), "{finding}");
        assert!(
            finding.advice.ends_with("AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW"),
            "{finding}"
        );
        // Nobody gives a file that everybody can execute a capability.
        assert!(!finding.to_string().contains("setcap"), "{finding}");
        TestHost::new().file("proc/self/status", ROOT).all_is_well(&config, capabilities);
    }

    #[test]
    fn no_more_is_asked_for_than_is_needed() {
        let only_nics = config(&["0000:01:00.0"]);
        let only_nics = Config { vteps: Vec::new(), ..only_nics };
        TestHost::new().file("proc/self/status", NOBODY).all_is_well(&only_nics, capabilities);
    }

    #[test]
    fn af_xdp_needs_more() {
        let finding = TestHost::new()
            .file("proc/self/status", NOBODY)
            .problem(&config(&["net_af_xdp0,iface=up0"]), capabilities);
        assert!(finding.advice.contains("+sys_admin"), "{finding}");
    }

    #[test]
    fn af_xdp_needs_the_limit_lifted_or_the_capability() {
        // The service with its drop-in: CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, and LimitMEMLOCK=infinity.
        let xdp = config(&["net_af_xdp0,iface=up0"]);
        let service = |soft: &str| {
            let line =
                format!("Max locked memory         {soft}            unlimited            bytes\n");
            TestHost::new()
                .file("proc/self/status", "Uid:\t7\t7\t7\t7\nCapEff:\t0000000000203000\n")
                .file("proc/self/limits", &line)
        };
        service("unlimited").all_is_well(&xdp, capabilities);
        service("unlimited").all_is_well(&xdp, locked_memory);
        service("8388608").all_is_well(&xdp, capabilities);
        let finding = service("8388608").problem(&xdp, locked_memory);
        assert!(finding.advice.contains("LimitMEMLOCK"), "{finding}");
    }

    #[test]
    fn root_is_told_that_the_service_may_do_less() {
        let config = config(&["net_null0"]);
        let notes = |fixture: TestHost| {
            let all = fixture.findings(&config, capabilities);
            all.iter().filter(|finding| finding.found.contains("not as the service")).count()
        };
        let root = || TestHost::new().file("proc/self/status", ROOT);
        assert_eq!(notes(root()), 0);
        assert_eq!(notes(root().file(UNITS[0], "")), 1);
    }

    #[test]
    fn locked_memory_is_limited_or_not() {
        let nic = config(&["0000:01:00.0"]);
        let limits = |soft: &str| {
            let line = format!("Max locked memory         {soft}              8388608   bytes\n");
            TestHost::new().file("proc/self/status", NOBODY).file("proc/self/limits", &line)
        };
        let finding = limits("8388608").problem(&nic, locked_memory);
        assert!(finding.found.contains("may lock 8 MiB"), "{finding}");
        assert!(finding.advice.contains("--memlock=unlimited"), "{finding}");
        limits("unlimited").all_is_well(&nic, locked_memory);
        limits("8388608").file("proc/self/status", ROOT).all_is_well(&nic, locked_memory);
        let virtual_only = config(&["net_null0"]);
        assert!(limits("1").findings(&virtual_only, locked_memory).is_empty());
    }
}
