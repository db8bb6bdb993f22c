//! What the kernel must be able to do: TAPs for host interfaces, packet and AF_XDP sockets.

use super::edit::Table;
use super::host::Host;
use super::{Check, Finding, View};
use crate::config::device::{driver, interfaces_needed};

const TUN: &str = "dev/net/tun";

/// Drivers that need a family of sockets: its number, its name in `/proc/net/protocols`, the kernel's option, and the
/// module, where it can be one.
const SOCKETS: [(&str, u32, &str, &str, Option<&str>); 2] = [
    ("net_af_packet", 17, "PACKET", "CONFIG_PACKET", Some("af_packet")),
    ("net_af_xdp", 44, "XDP", "CONFIG_XDP_SOCKETS", None),
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
    for (name, family, protocol, option, module) in SOCKETS {
        if !drivers.contains(&name) || has_family(host, family, protocol, &release) {
            continue;
        }
        let finding = Finding::problem(
            Check::Kernel,
            format!("this kernel ({release}) has no sockets for {name}"),
            format!("it was built without {option}, or a module is not loaded"),
        );
        findings.push(match module {
            Some(module) => finding.mend(format!("modprobe {module}")),
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
        // A number that no other packet socket has.
        let device = format!("\"net_af_packet9,iface={interface}\"");
        view.file?.set(Table::Named("port", &port.name), "device", &device)
    });
    finding.mend_if(edit).advice("net_af_packet works on every kernel, slower")
}

/// Whether there are such sockets, or the kernel loads them when they are asked for.
fn has_family(host: &Host, family: u32, protocol: &str, release: &str) -> bool {
    let protocols = host.read("proc/net/protocols");
    let is_there =
        |text: &String| text.lines().any(|line| line.split_whitespace().next() == Some(protocol));
    // Not to be seen is not to be missing.
    let Some(protocols) = protocols else { return true };
    let alias = format!("alias net-pf-{family} ");
    let aliases = host.read(format!("lib/modules/{release}/modules.alias")).unwrap_or_default();
    is_there(&protocols) || aliases.lines().any(|line| line.starts_with(&alias))
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
    fn sockets_are_there_or_come_when_they_are_asked_for() {
        let packet = config(&["net_af_packet0,iface=up0"]);
        let fixture = || Fixture::new().file(TUN, "").file("proc/sys/kernel/osrelease", "6.1.0\n");
        let without = || fixture().file("proc/net/protocols", "protocol\nTCP 1\n");
        assert_eq!(without().problem(&packet, check).mend, ["modprobe af_packet"]);
        fixture().file("proc/net/protocols", "PACKET 1600\n").all_is_well(&packet, check);
        let alias = "alias net-pf-17 af_packet\n";
        without().file("lib/modules/6.1.0/modules.alias", alias).all_is_well(&packet, check);
        // Where nothing can be seen nothing is claimed.
        fixture().all_is_well(&packet, check);

        let file =
            File::with("f.toml", "[[port]]\nname = \"p0\"\ndevice = \"net_af_xdp0,iface=up0\"\n");
        let xdp = config(&["net_af_xdp0,iface=up0"]);
        let finding = without().with_file(&file).problem(&xdp, check);
        assert!(finding.cause.contains("CONFIG_XDP_SOCKETS"), "{finding}");
        assert!(finding.mend[0].contains("net_af_packet9,iface=up0"), "{finding}");
    }
}
