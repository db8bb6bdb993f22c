//! Kernel interfaces behind virtual devices: whether they exist, are up, and are left alone by the
//! kernel's own stack.

use super::finding::{Check, Finding, set};
use super::host::Host;
use super::interface_use;
use super::view::View;
use crate::config::device::{driver, interfaces_needed};
use crate::config::{self, Config, Port};
use crate::text::shell_quoted;

/// The longest name of an interface, in bytes.
const NAME_MAX_BYTES: usize = libc::IFNAMSIZ - 1;

pub(super) fn usable(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else {
        let names: Vec<_> = view.host.links.keys().map(String::as_str).collect();
        return vec![Finding::ok(
            Check::Interfaces,
            format!("in this network namespace: {}", names.join(", ")),
        )];
    };
    let mut findings = Vec::new();
    for port in &config.ports {
        let names = interfaces_needed(&port.device).into_iter();
        findings.extend(names.filter_map(|name| of_interface(view, config, port, name)));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Interfaces, "all exist, and are up"));
    }
    findings
}

fn of_interface(view: &View<'_>, config: &Config, port: &Port, name: &str) -> Option<Finding> {
    let host = view.host;
    let Some(link) = host.links.get(name) else {
        return Some(missing(view, config, port, name));
    };
    let word = shell_quoted(name);
    if !link.is_up {
        return Some(
            Finding::warning(
                Check::Interfaces,
                format!("port {:?}: interface {name} is down", port.name),
                "no frame passes until it is up",
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
                .mend(format!("ip link set {} up", shell_quoted(peer)))
        }
        None => Finding::warning(
            Check::Interfaces,
            found,
            "there is no cable, or the other end is down",
        )
        .advice("for a veth, set the other end up, in its own network namespace"),
    })
}

/// An interface that does not exist. One with a similar name is suggested: a typing error.
fn missing(view: &View<'_>, config: &Config, port: &Port, name: &str) -> Finding {
    let unused = unused(view.host, config);
    let correct = match similar(name, &unused) {
        Some(similar) => {
            let device = port.device.replace(&format!("={name}"), &format!("={similar}"));
            set("device", format!("{device:?}"), format!("[[port]] {:?}", port.name))
        }
        None if unused.is_empty() => "correct the device (no interface here is unused)".to_owned(),
        None => format!("correct the device (unused here: {})", unused.join(", ")),
    };
    Finding::problem(
        Check::Interfaces,
        format!("port {:?}: there is no interface {name:?} (device {:?})", port.name, port.device),
        "it was not created, has another name, or is in another network namespace",
    )
    .advice(format!(
        "{correct}; to bring it back from namespace NS, `ip -n NS link set {} netns 1`; {}",
        shell_quoted(name),
        veth(name)
    ))
}

/// How to create an interface for a test or a container, in words.
pub(super) fn veth(name: &str) -> String {
    let mut peer = format!("{name}-peer");
    if peer.len() > NAME_MAX_BYTES {
        peer = format!("{}-p", name.get(..NAME_MAX_BYTES - 2).unwrap_or("vsw"));
    }
    let word = shell_quoted(name);
    format!(
        "for a test or a container, `ip link add {word} type veth peer name {}` creates a veth, and \
         `ip link set {word} up` sets it up",
        shell_quoted(&peer)
    )
}

/// The interfaces that neither the host nor the configuration uses.
fn unused<'a>(host: &'a Host, config: &Config) -> Vec<&'a str> {
    let used: Vec<_> =
        config.ports.iter().flat_map(|port| interfaces_needed(&port.device)).collect();
    let peers: Vec<_> =
        used.iter().filter_map(|name| host.links.get(*name)).map(|link| link.peer).collect();
    let is_unused = |name: &&str| {
        let index = host.links.get(*name).map(|link| link.index);
        *name != "lo"
            && !used.contains(name)
            && (index.is_none() || !peers.contains(&index))
            && config.vteps.iter().all(|vtep| vtep.host_interface != *name)
            && interface_use::used_for(host, name).is_none()
    };
    host.links.keys().map(String::as_str).filter(is_unused).collect()
}

/// The name that was probably meant. A name with other numbers is another interface.
fn similar<'n>(typed: &str, known: &[&'n str]) -> Option<&'n str> {
    let numbers = |name: &str| name.replace(|c: char| !c.is_ascii_digit(), " ");
    let numbers =
        |name: &str| numbers(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let has_same = |name: &&str| numbers(name) == numbers(typed);
    config::nearest(typed, known.iter().copied().filter(has_same))
}

/// A packet socket copies frames. The kernel's stack sees them too, and must not answer.
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
        findings.push(loose_filter(host, &names));
    }
    for name in names {
        let Some(link) = host.links.get(name) else { continue };
        let way_in = interface_use::way_in(host, name);
        let mended = |finding: Finding, command: String| {
            match &way_in {
            None => finding.mend(command),
            Some(why) => finding.advice(format!(
                "careful, this host may be reached there: {why}; give the switch an interface of its \
                 own, or move that first (then: `{command}`)"
            )),
        }
        };
        if host.read(format!("proc/sys/net/ipv6/conf/{name}/disable_ipv6")).as_deref() == Some("0")
        {
            let finding = Finding::warning(
                Check::Quiet,
                format!("interface {name}: IPv6 is on"),
                "the host speaks IPv6 there itself, and answers frames that are for the switch",
            );
            let key = format!("net.ipv6.conf.{}.disable_ipv6", sysctl_name(name));
            findings.push(mended(finding, format!("sysctl -w {key}=1")));
        }
        if let Some((address, _)) = link.addresses.first() {
            let finding = Finding::warning(
                Check::Quiet,
                format!("interface {name} has the address {address}"),
                "the host answers for it too, and no ARP there while the switch runs",
            );
            findings.push(mended(finding, format!("ip address flush dev {}", shell_quoted(name))));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Quiet, "the host is silent on the switch's interfaces"));
    }
    findings
}

/// Whether the value for all interfaces overrules the reverse-path filter that the switch sets: the
/// larger of the two counts.
fn is_filter_loose(host: &Host) -> bool {
    host.read("proc/sys/net/ipv4/conf/all/rp_filter").as_deref() == Some("2")
}

/// An interface's name in the key of a sysctl, where a dot separates.
fn sysctl_name(interface: &str) -> String {
    interface.replace('.', "/")
}

/// Lowers the value for all interfaces, and gives the other interfaces the value that they had.
fn loose_filter(host: &Host, names: &[&str]) -> Finding {
    let is_stricter = |name: &&str| {
        let own = host.read(format!("proc/sys/net/ipv4/conf/{name}/rp_filter"));
        !names.contains(name) && own.is_some_and(|own| own != "2")
    };
    let others = host.links.keys().map(String::as_str).filter(is_stricter);
    let loose = others.map(|name| format!("net.ipv4.conf.{}.rp_filter=2 ", sysctl_name(name)));
    Finding::warning(
        Check::Quiet,
        "net.ipv4.conf.all.rp_filter is 2",
        "the kernel answers frames that are for the switch, because the larger value counts",
    )
    .mend(format!("sysctl -w {}net.ipv4.conf.all.rp_filter=0", loose.collect::<String>()))
    .advice(
        "the other interfaces keep their value; the switch sets 1 on those that it reads; to set it \
         at each boot, use a file in /etc/sysctl.d",
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::test_host::{TestHost, config};
    use super::*;
    use crate::kernel::netdev::Link;

    fn up() -> Link {
        Link { index: 3, mtu: 1500, is_up: true, has_carrier: true, ..Link::default() }
    }

    #[test]
    fn an_interface_is_missing_down_or_without_carrier() {
        let config = config(&["net_af_packet0,iface=up0"]);
        let finding = TestHost::new().problem(&config, usable);
        assert!(finding.found.contains("there is no interface \"up0\""), "{finding}");
        assert!(finding.mend.is_empty(), "{finding}");
        assert!(
            finding.advice.contains("`ip link add up0 type veth peer name up0-peer`"),
            "{finding}"
        );

        let down = Link { is_up: false, has_carrier: false, ..up() };
        let finding = TestHost::new().link("up0", down).warning(&config, usable);
        assert_eq!(finding.mend, ["ip link set up0 up"]);

        let waiting = Link { has_carrier: false, peer: Some(4), ..up() };
        let peer = Link { index: 4, ..Link::default() };
        let finding =
            TestHost::new().link("up0", waiting).link("up1", peer).warning(&config, usable);
        assert_eq!(
            (&*finding.cause, &*finding.mend[0]),
            ("its peer up1 is down", "ip link set up1 up")
        );

        TestHost::new().link("up0", up()).all_is_well(&config, usable);
    }

    #[test]
    fn a_long_name_has_a_peer_that_is_not_too_long() {
        assert!(veth("a-very-long-nam").contains("peer name a-very-long-n-p`"));
    }

    #[test]
    fn a_typing_error_is_corrected() {
        let config =
            config(&["net_af_packet0,qpairs=1,iface=veht-a", "net_af_packet1,iface=veth-b"]);
        let fixture = TestHost::new().link("veth-b", up()).link("lo", up());
        let finding = fixture.problem(&config, usable);
        assert!(finding.advice.starts_with("correct the device (no interface here"), "{finding}");
        let fixture = fixture.link("veth-a", up());
        let finding = fixture.problem(&config, usable);
        let set = "set `device = \"net_af_packet0,qpairs=1,iface=veth-a\"` in [[port]] \"p0\"";
        assert!(finding.advice.starts_with(set), "{finding}");
        // What has an address is the host's.
        let used = Link { addresses: vec![(Ipv4Addr::new(203, 0, 113, 1), 24)], ..up() };
        let finding = fixture.link("veth-a", used).problem(&config, usable);
        assert!(finding.advice.contains("no interface here"), "{finding}");
    }

    #[test]
    fn another_number_is_another_interface() {
        for (typed, name) in
            [("vetha", "veth-a"), ("Veth_a", "veth-a"), ("et1", "eth1"), ("ta", "t-a")]
        {
            assert_eq!(similar(typed, &["lo", name]), Some(name), "{typed}");
        }
        let others = ["eth0", "eth10", "eth", "ens1f1", "enp3s0"];
        for typed in ["eth1", "ens1f0", "ens2f1", "ta"] {
            assert_eq!(similar(typed, &others), None, "{typed}");
        }
    }

    #[test]
    fn the_kernel_is_to_be_quiet() {
        let config = config(&["net_af_packet0,iface=up0"]);
        let fixture = TestHost::new().link("up0", up());
        fixture.all_is_well(&config, quiet);
        let loose =
            TestHost::new().link("up0", up()).file("proc/sys/net/ipv4/conf/all/rp_filter", "2\n");
        assert_eq!(loose.warning(&config, quiet).mend, ["sysctl -w net.ipv4.conf.all.rp_filter=0"]);
        let others = loose
            .link("eth1.5", up())
            .file("proc/sys/net/ipv4/conf/eth1.5/rp_filter", "0\n")
            .link("eth2", up())
            .file("proc/sys/net/ipv4/conf/eth2/rp_filter", "2\n");
        let command = "sysctl -w net.ipv4.conf.eth1/5.rp_filter=2 net.ipv4.conf.all.rp_filter=0";
        assert_eq!(others.warning(&config, quiet).mend, [command]);
        let ipv6 = TestHost::new()
            .link("up0", up())
            .file("proc/sys/net/ipv6/conf/up0/disable_ipv6", "0\n");
        assert_eq!(
            ipv6.warning(&config, quiet).mend,
            ["sysctl -w net.ipv6.conf.up0.disable_ipv6=1"]
        );
        let addressed = Link { addresses: vec![(Ipv4Addr::new(203, 0, 113, 1), 24)], ..up() };
        let fixture = TestHost::new().link("up0", addressed);
        let finding = fixture.warning(&config, quiet);
        assert_eq!(finding.mend, ["ip address flush dev up0"]);
        // Nobody is to cut himself off.
        let route = "Iface\tDestination\tGateway\nup0\t00000000\t016433C6\n";
        let fixture = fixture
            .file("proc/net/route", route)
            .file("proc/sys/net/ipv6/conf/up0/disable_ipv6", "0\n");
        for finding in fixture.findings(&config, quiet) {
            assert!(finding.mend.is_empty(), "{finding}");
            assert!(finding.advice.contains("up0 has the default route"), "{finding}");
        }
    }

    #[test]
    fn other_devices_have_no_second_reader() {
        let config = config(&["net_null0"]);
        TestHost::new().all_is_well(&config, usable);
        assert!(TestHost::new().findings(&config, quiet).is_empty());
        assert!(TestHost::new().link("lo", up()).of_host(usable)[0].found.ends_with("lo"));
    }
}
