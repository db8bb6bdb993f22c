//! What the kernel must provide: TAPs for host interfaces, packet sockets and AF_XDP sockets.

use super::finding::{Check, Finding, Severity};
use super::host::Host;
use super::view::View;
use crate::config::device::driver;

const TUN: &str = "dev/net/tun";

/// Drivers that need a socket family: its number, its name, the kernel's option, and its module if it
/// can be one.
const SOCKETS: [(&str, i32, &str, &str, Option<&str>); 2] = [
    ("net_af_packet", libc::AF_PACKET, "AF_PACKET", "CONFIG_PACKET", Some("af_packet")),
    ("net_af_xdp", libc::AF_XDP, "AF_XDP", "CONFIG_XDP_SOCKETS", None),
];

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let release = host.read("proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into());
    let Some(config) = view.config else {
        let tun = if host.has(TUN) {
            Finding::ok(Check::Tun, "/dev/net/tun is there")
        } else {
            Finding { severity: Severity::Note, ..no_tun(host) }
        };
        return vec![tun, Finding::ok(Check::Kernel, format!("Linux {release}"))];
    };
    let mut findings = Vec::new();
    let drivers: Vec<_> = config.ports.iter().filter_map(|port| driver(&port.device)).collect();
    if !config.vteps.is_empty() || drivers.contains(&"net_tap") {
        findings.push(match host.has(TUN) {
            true => Finding::ok(Check::Tun, "/dev/net/tun is there"),
            false => no_tun(host),
        });
    }
    for (name, number, family, option, module) in SOCKETS {
        if !drivers.contains(&name) || !host.no_sockets.contains(&number) {
            continue;
        }
        let cause = format!(
            "it was built without {option}, a module cannot be loaded, or the unit forbids them \
             (RestrictAddressFamilies=)"
        );
        let found =
            format!("this kernel ({release}) gives no {family} sockets, which {name} needs");
        let finding = Finding::problem(Check::Kernel, found, cause);
        findings.push(match module {
            Some(module) => finding.mend(format!("modprobe {module}")).advice(format!(
                "in a systemd unit, add {family} to RestrictAddressFamilies="
            )),
            None => finding.advice(
                "use net_af_packet, which is slower but works on every kernel; in a systemd unit, AF_XDP \
                 needs more than the package's unit allows (its example af-xdp.conf)",
            ),
        });
    }
    if findings.iter().all(|finding| finding.check != Check::Kernel) {
        findings
            .push(Finding::ok(Check::Kernel, format!("Linux {release} provides what is needed")));
    }
    findings
}

fn no_tun(host: &Host) -> Finding {
    let finding = |cause: &str| {
        Finding::problem(
            Check::Tun,
            "/dev/net/tun is missing: host interfaces cannot be created",
            cause,
        )
    };
    let misc = host.read("proc/misc").unwrap_or_default();
    if misc.lines().any(|line| line.split_whitespace().eq(["200", "tun"])) {
        finding("the kernel has the driver, but the file does not exist (as in a container)")
            .mend("mkdir -p /dev/net")
            .mend("mknod -m 0666 /dev/net/tun c 10 200")
            .advice("in a container, pass the device through: --device /dev/net/tun")
    } else {
        finding("the kernel's module tun is not loaded").mend("modprobe tun")
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_host::{TestHost, config};
    use super::*;

    #[test]
    fn host_interfaces_need_tun() {
        let config = config(&["net_null0"]);
        let finding = TestHost::new().problem(&config, check);
        assert_eq!(finding.mend, ["modprobe tun"]);
        let finding =
            TestHost::new().file("proc/misc", "229 fuse\n200 tun\n").problem(&config, check);
        assert_eq!(finding.mend[1], "mknod -m 0666 /dev/net/tun c 10 200");
        TestHost::new().file(TUN, "").all_is_well(&config, check);
        assert_eq!(TestHost::new().of_host(check)[0].severity, Severity::Note);
    }

    #[test]
    fn sockets_are_there_or_not() {
        let without = |family: i32| {
            let mut fixture = TestHost::new().file(TUN, "");
            fixture.host.no_sockets = vec![family];
            fixture
        };
        let packet = config(&["net_af_packet0,iface=up0"]);
        let finding = without(libc::AF_PACKET).problem(&packet, check);
        assert_eq!(finding.mend, ["modprobe af_packet"]);
        assert!(finding.cause.contains("RestrictAddressFamilies"), "{finding}");
        without(libc::AF_XDP).all_is_well(&packet, check);
    }

    #[test]
    fn a_packet_socket_can_take_the_place_of_af_xdp() {
        let mut fixture = TestHost::new().file(TUN, "");
        fixture.host.no_sockets = vec![libc::AF_XDP];
        let finding = fixture.problem(&config(&["net_af_xdp0,iface=up0"]), check);
        assert!(finding.cause.contains("CONFIG_XDP_SOCKETS"), "{finding}");
        assert!(finding.advice.contains("net_af_packet"), "{finding}");
    }
}
