//! The kernel's interfaces behind virtual devices: there, up, and left alone by the kernel's own stack.

use super::edit::quoted;
use super::host::Host;
use super::{Check, Finding, View};
use crate::config::Port;
use crate::config::device::{driver, interfaces_needed};

/// The longest name of an interface, in bytes.
const NAME_MAX_BYTES: usize = libc::IFNAMSIZ - 1;

pub(super) fn interfaces(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else {
        let names: Vec<_> = view.host.links.keys().map(String::as_str).collect();
        return vec![Finding::ok(
            Check::Interfaces,
            format!("of this network namespace: {}", names.join(", ")),
        )];
    };
    let mut findings: Vec<_> =
        config.ports.iter().flat_map(|port| of_port(view.host, port)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Interfaces, "there, and up"));
    }
    findings
}

/// What is wrong with the interfaces of a port.
pub(super) fn of_port(host: &Host, port: &Port) -> Vec<Finding> {
    let names = interfaces_needed(&port.device);
    names.into_iter().filter_map(|name| of_interface(host, port, name)).collect()
}

fn of_interface(host: &Host, port: &Port, name: &str) -> Option<Finding> {
    let Some(link) = host.links.get(name) else { return Some(missing(port, name)) };
    let word = quoted(name);
    if !link.is_up {
        return Some(
            Finding::warning(
                Check::Interfaces,
                format!("port {:?}: interface {name} is down", port.name),
                "no frame passes it until it is set up",
            )
            .mend(format!("ip link set {word} up")),
        );
    }
    if link.has_carrier {
        return None;
    }
    let found = format!("port {:?}: interface {name} has no carrier", port.name);
    let peer = link.peer.and_then(|index| host.links.iter().find(|(_, peer)| peer.index == index));
    Some(match peer {
        Some((peer, _)) => {
            Finding::warning(Check::Interfaces, found, format!("its peer {peer} is down"))
                .mend(format!("ip link set {} up", quoted(peer)))
        }
        None => Finding::warning(
            Check::Interfaces,
            found,
            "there is no cable, or the other end is down",
        )
        .advice("for a veth set the other end up, in its own network namespace"),
    })
}

fn missing(port: &Port, name: &str) -> Finding {
    let word = quoted(name);
    let mut peer = format!("{name}-peer");
    if peer.len() > NAME_MAX_BYTES {
        peer = format!("{}-p", name.get(..NAME_MAX_BYTES - 2).unwrap_or("vsw"));
    }
    Finding::problem(
        Check::Interfaces,
        format!("port {:?}: there is no interface {name:?} (device {:?})", port.name, port.device),
        "it was not made, is named otherwise, or is in another network namespace (`ip link` lists those of this one)",
    )
    .mend(format!("ip link add {word} type veth peer name {}", quoted(&peer)))
    .mend(format!("ip link set {word} up"))
    .advice(format!(
        "that makes a veth; one that is in namespace NS comes back with `ip -n NS link set {word} netns 1`; or correct iface="
    ))
}

/// A packet socket copies frames: the kernel's stack sees them as well, and must not answer.
pub(super) fn quiet(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let host = view.host;
    let sockets = config.ports.iter().filter(|port| driver(&port.device) == Some("net_af_packet"));
    let names: Vec<_> = sockets.flat_map(|port| interfaces_needed(&port.device)).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if is_filter_loose(host) {
        findings.push(
            Finding::warning(
                Check::Quiet,
                "net.ipv4.conf.all.rp_filter is 2",
                "the kernel answers frames that are the switch's as well, because the larger value counts",
            )
            .mend("sysctl -w net.ipv4.conf.all.rp_filter=1")
            .advice("1 and 0 are both right: the switch sets 1 on the interfaces that it reads"),
        );
    }
    for name in names {
        let Some(link) = host.links.get(name) else { continue };
        if host.read(format!("proc/sys/net/ipv6/conf/{name}/disable_ipv6")).as_deref() == Some("0")
        {
            findings.push(
                Finding::warning(
                    Check::Quiet,
                    format!("interface {name}: IPv6 is on"),
                    "the host speaks IPv6 there itself, and answers frames that are the switch's",
                )
                .mend(format!("sysctl -w net.ipv6.conf.{}.disable_ipv6=1", name.replace('.', "/"))),
            );
        }
        if let Some((address, _)) = link.addresses.first() {
            findings.push(
                Finding::warning(
                    Check::Quiet,
                    format!("interface {name} has the address {address}"),
                    "the host answers for it, beside the switch",
                )
                .mend(format!("ip address flush dev {}", quoted(name))),
            );
        }
    }
    if findings.is_empty() {
        findings
            .push(Finding::ok(Check::Quiet, "the host does not speak where the switch listens"));
    }
    findings
}

/// Whether the reverse-path filter that the switch sets on an interface is overruled: the larger of an interface's own
/// value and that for all counts.
fn is_filter_loose(host: &Host) -> bool {
    host.read("proc/sys/net/ipv4/conf/all/rp_filter").as_deref() == Some("2")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::fixture::{Fixture, config};
    use super::*;
    use crate::control::netdev::Link;

    fn up() -> Link {
        Link { index: 3, mtu: 1500, is_up: true, has_carrier: true, ..Link::default() }
    }

    #[test]
    fn an_interface_is_missing_down_or_without_carrier() {
        let config = config(&["net_af_packet0,iface=up0"]);
        let finding = Fixture::new().problem(&config, interfaces);
        assert!(finding.found.contains("there is no interface \"up0\""), "{finding}");
        assert_eq!(finding.mend[0], "ip link add up0 type veth peer name up0-peer");

        let down = Link { is_up: false, has_carrier: false, ..up() };
        let finding = Fixture::new().link("up0", down).warning(&config, interfaces);
        assert_eq!(finding.mend, ["ip link set up0 up"]);

        let waiting = Link { has_carrier: false, peer: Some(4), ..up() };
        let peer = Link { index: 4, ..Link::default() };
        let finding =
            Fixture::new().link("up0", waiting).link("up1", peer).warning(&config, interfaces);
        assert_eq!(
            (&*finding.cause, &*finding.mend[0]),
            ("its peer up1 is down", "ip link set up1 up")
        );

        Fixture::new().link("up0", up()).all_is_well(&config, interfaces);
    }

    #[test]
    fn a_long_name_has_a_peer_that_is_not_too_long() {
        let config = config(&["net_af_packet0,iface=a-very-long-nam"]);
        let finding = Fixture::new().problem(&config, interfaces);
        assert!(finding.mend[0].ends_with("peer name a-very-long-n-p"), "{finding}");
    }

    #[test]
    fn the_kernel_is_to_be_quiet() {
        let config = config(&["net_af_packet0,iface=up0"]);
        let fixture = Fixture::new().link("up0", up());
        fixture.all_is_well(&config, quiet);
        let loose =
            Fixture::new().link("up0", up()).file("proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
        assert_eq!(loose.warning(&config, quiet).mend, ["sysctl -w net.ipv4.conf.all.rp_filter=1"]);
        let ipv6 =
            Fixture::new().link("up0", up()).file("proc/sys/net/ipv6/conf/up0/disable_ipv6", "0\n");
        assert_eq!(
            ipv6.warning(&config, quiet).mend,
            ["sysctl -w net.ipv6.conf.up0.disable_ipv6=1"]
        );
        let addressed = Link { addresses: vec![(Ipv4Addr::new(203, 0, 113, 1), 24)], ..up() };
        let finding = Fixture::new().link("up0", addressed).warning(&config, quiet);
        assert_eq!(finding.mend, ["ip address flush dev up0"]);
    }

    #[test]
    fn other_devices_have_no_second_reader() {
        let config = config(&["net_null0"]);
        Fixture::new().all_is_well(&config, interfaces);
        assert!(Fixture::new().findings(&config, quiet).is_empty());
        assert!(Fixture::new().link("lo", up()).of_host(interfaces)[0].found.ends_with("lo"));
    }
}
