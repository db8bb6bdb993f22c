//! What the kernel must be able to do: TAPs for host interfaces, packet and AF_XDP sockets.

use super::edit::Table;
use super::host::Host;
use super::{Check, Finding, View};
use crate::config::device::{argument, driver, interfaces_needed};

const TUN: &str = "dev/net/tun";

/// Drivers that need a family of sockets: its number, its name, the kernel's option, and the module, where it can be one.
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
            Finding { severity: super::Severity::Note, ..no_tun(host) }
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
            "it was built without {option}, a module cannot be loaded, or the unit forbids them (RestrictAddressFamilies=)"
        );
        let found =
            format!("this kernel ({release}) gives no {family} sockets, which {name} needs");
        let finding = Finding::problem(Check::Kernel, found, cause);
        findings.push(match module {
            Some(module) => finding.mend(format!("modprobe {module}")).advice(format!(
                "in a systemd unit: RestrictAddressFamilies={family} beside the others"
            )),
            None => instead(view, finding, name),
        });
    }
    if findings.iter().all(|finding| finding.check != Check::Kernel) {
        findings.push(Finding::ok(Check::Kernel, format!("Linux {release} has what is needed")));
    }
    findings
}

/// The same interface by a packet socket.
fn instead(view: &View<'_>, finding: Finding, name: &str) -> Finding {
    let port = view
        .config
        .and_then(|config| config.ports.iter().find(|port| driver(&port.device) == Some(name)));
    let edit = port.and_then(|port| {
        let interface = interfaces_needed(&port.device).into_iter().next()?;
        // A number that no other packet socket has, and as many queues.
        let named = |device: &str| {
            let mut ports = view.config.into_iter().flat_map(|config| &config.ports);
            ports.any(|port| port.device.split(',').next() == Some(device))
        };
        let device =
            (0..).map(|n| format!("net_af_packet{n}")).find(|device| !named(device.as_str()))?;
        let queues = argument(&port.device, "queue_count");
        let queues = queues.map_or(String::new(), |count| format!(",qpairs={count}"));
        let device = format!("\"{device},iface={interface}{queues}\"");
        view.file?.set(Table::Named("port", &port.name), "device", &device)
    });
    finding.mend_if(edit).advice(
        "net_af_packet works on every kernel, slower; in a systemd unit AF_XDP needs more than the package's gives \
         (its example af-xdp.conf)",
    )
}

fn no_tun(host: &Host) -> Finding {
    let finding = |cause: &str| {
        Finding::problem(
            Check::Tun,
            "/dev/net/tun is missing: no host interface can be made",
            cause,
        )
    };
    let misc = host.read("proc/misc").unwrap_or_default();
    if misc.lines().any(|line| line.split_whitespace().eq(["200", "tun"])) {
        finding("the kernel has the driver, and nobody made the file (as in a container)")
            .mend("mkdir -p /dev/net")
            .mend("mknod -m 0666 /dev/net/tun c 10 200")
            .advice("in a container pass the device through: --device /dev/net/tun")
    } else {
        finding("the kernel's module tun is not loaded").mend("modprobe tun")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::edit::File;
    use super::super::fixture::{Fixture, config};
    use super::*;

    #[test]
    fn host_interfaces_need_tun() {
        let config = config(&["net_null0"]);
        let finding = Fixture::new().problem(&config, check);
        assert_eq!(finding.mend, ["modprobe tun"]);
        let finding =
            Fixture::new().file("proc/misc", "229 fuse\n200 tun\n").problem(&config, check);
        assert_eq!(finding.mend[1], "mknod -m 0666 /dev/net/tun c 10 200");
        Fixture::new().file(TUN, "").all_is_well(&config, check);
        assert_eq!(Fixture::new().of_host(check)[0].severity, Severity::Note);
    }

    #[test]
    fn sockets_are_there_or_not() {
        let without = |family: i32| {
            let mut fixture = Fixture::new().file(TUN, "");
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
    fn a_packet_socket_takes_the_place_of_af_xdp() {
        let file = File::with(
            "f.toml",
            "[[port]]\nname = \"p1\"\ndevice = \"net_af_xdp0,iface=up0,queue_count=2\"\n",
        );
        let devices = ["net_af_packet0,iface=ta", "net_af_xdp0,iface=up0,queue_count=2"];
        let mut fixture = Fixture::new().file(TUN, "").with_file(&file);
        fixture.host.no_sockets = vec![libc::AF_XDP];
        let finding = fixture.problem(&config(&devices), check);
        assert!(finding.cause.contains("CONFIG_XDP_SOCKETS"), "{finding}");
        let device = "\"net_af_packet1,iface=up0,qpairs=2\"";
        let edit = file.set(Table::Named("port", "p1"), "device", device);
        assert_eq!(finding.mend, [edit.unwrap()]);
    }
}
