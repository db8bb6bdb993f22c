//! Names and addresses of host interfaces: they must be free before a switch takes them.

use super::finding::{Check, Finding};
use super::host::Listener;
use super::view::View;
use crate::config::Vtep;
use crate::kernel::netdev::Link;
use crate::text::shell_quoted;

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let host = view.host;
    // Whether the running switch has a TAP; `None` if this user cannot see that.
    let is_its_own = |name: &str| match host.api_listener {
        Listener::Switch(pid) => host.has_tap(pid, name),
        _ => None,
    };
    let mut findings = Vec::new();
    for vtep in &config.vteps {
        let name = &vtep.host_interface;
        let of_vtep = format!("vtep {:?}", vtep.name);
        if let Some(link) = host.links.get(name) {
            findings.push(match (view.running_switch(), is_its_own(name)) {
                (Some(running), Some(true)) => {
                    let found = format!("{of_vtep}: {name} belongs to {running}");
                    Finding::ok(Check::HostInterface, found)
                }
                (Some(running), None) => Finding::note(
                    Check::HostInterface,
                    format!(
                        "{of_vtep}: {name} exists; whether it belongs to {running} cannot be seen"
                    ),
                ),
                _ => taken(view, vtep, link),
            });
        }
        let prefix_len = |link: &Link| {
            let mut addresses = link.addresses.iter();
            addresses.find(|(ip, _)| *ip == vtep.address).map(|(_, prefix_len)| *prefix_len)
        };
        let mut others = host.links.iter().filter(|(other, _)| *other != name);
        let holder = others.find_map(|(other, link)| Some((other, prefix_len(link)?)));
        let Some((holder, prefix_len)) = holder else { continue };
        if view.running_switch().is_some() && is_its_own(holder) == Some(true) {
            continue; // of another configuration: it disappears with the process
        }
        let address = vtep.address;
        findings.push(
            Finding::problem(
                Check::HostInterface,
                format!("{of_vtep}: address {address} is on the interface {holder:?} already"),
                "the VTEP's address belongs to its host interface alone",
            )
            .mend(format!("ip address delete {address}/{prefix_len} dev {}", shell_quoted(holder)))
            .advice("or choose another address"),
        );
    }
    if findings.is_empty() && !config.vteps.is_empty() {
        let names: Vec<_> = config.vteps.iter().map(|vtep| vtep.host_interface.as_str()).collect();
        findings.push(Finding::ok(Check::HostInterface, format!("free: {}", names.join(", "))));
    }
    findings
}

/// An interface with the name of a host interface. It is deleted only if nothing can be using it.
fn taken(view: &View<'_>, vtep: &Vtep, link: &Link) -> Finding {
    let (host, name) = (view.host, &vtep.host_interface);
    let found =
        format!("vtep {:?}: host-interface: an interface {name:?} exists already", vtep.name);
    let problem = |cause: &str| Finding::problem(Check::HostInterface, found.clone(), cause);
    let holder = host.tap_holder(name);
    if holder.is_none() && link.is_tap && host.is_root() {
        return problem(
            "it is a TAP that no process has open: left behind, or created for later use",
        )
        .mend(format!("ip link delete {}", shell_quoted(name)))
        .advice("if it is for later use, choose another name for host-interface");
    }
    let cause = match holder {
        Some((pid, who)) => format!("{who} (process {pid}) has it"),
        None => "the switch creates its host interfaces itself, and did not create this one".into(),
    };
    problem(&cause)
        .advice(format!("choose another name for host-interface in [[vtep]] {:?}", vtep.name))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::test_host::{TestHost, config};
    use super::*;

    const NOBODY: &str = "Uid:\t7\t7\t7\t7\nCapEff:\t0\n";

    #[test]
    fn names_and_addresses_of_host_interfaces_are_free() {
        TestHost::new().all_is_well(&config(&["net_null0"]), check);
        let holder =
            Link { addresses: vec![(Ipv4Addr::new(198, 51, 100, 1), 25)], ..Link::default() };
        let finding = TestHost::new().link("eth1", holder).problem(&config(&["net_null0"]), check);
        assert_eq!(finding.mend, ["ip address delete 198.51.100.1/25 dev eth1"]);
    }

    #[test]
    fn what_somebody_may_need_is_not_deleted() {
        let tap = || Link { is_tap: true, ..Link::default() };
        let with = |link: Link| TestHost::new().link("vtep0", link);
        assert_eq!(
            with(tap()).problem(&config(&["net_null0"]), check).mend,
            ["ip link delete vtep0"]
        );
        // A bridge; a TAP of a virtual machine; a TAP whose holder this user cannot see.
        let finding = with(Link::default()).problem(&config(&["net_null0"]), check);
        assert!(finding.mend.is_empty() && finding.advice.contains("another name"), "{finding}");
        let finding = with(tap())
            .file("proc/9/fdinfo/5", "pos:\t0\niff:\tvtep0\n")
            .file("proc/9/comm", "qemu\n")
            .problem(&config(&["net_null0"]), check);
        assert_eq!((&*finding.cause, finding.mend.len()), ("qemu (process 9) has it", 0));
        let finding =
            with(tap()).file("proc/self/status", NOBODY).problem(&config(&["net_null0"]), check);
        assert!(finding.mend.is_empty(), "{finding}");
    }
}
