//! Whether each NIC and some worker are on one NUMA node: what crosses between nodes costs about twice the time of
//! what stays.

use std::collections::BTreeSet;

use super::edit::Table;
use super::host::{Host, listed};
use super::{Check, Finding, View};
use crate::config::Port;
use crate::config::device::{interfaces_needed, pci_address};

/// The NUMA node of a port's hardware, if it has any.
fn node_of(host: &Host, port: &Port) -> Option<u32> {
    if let Some(address) = pci_address(&port.device) {
        return host.node_of_device(&format!("sys/bus/pci/devices/{address}"));
    }
    let interfaces = interfaces_needed(&port.device);
    let interface = interfaces.first()?;
    host.node_of_device(&format!("sys/class/net/{interface}/device"))
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let nodes = host.nodes();
    if nodes.len() < 2 {
        return vec![Finding::ok(Check::Numa, "one NUMA node")];
    }
    let Some(config) = view.config else {
        let cores = nodes
            .iter()
            .map(|node| format!("node {node}: cores {}", listed(&host.cores_of(*node))));
        return vec![Finding::ok(Check::Numa, cores.collect::<Vec<_>>().join("; "))];
    };
    let workers = &config.dpdk.worker_cores;
    let mut findings = Vec::new();
    for port in &config.ports {
        let Some(node) = node_of(host, port) else { continue };
        let near = host.cores_of(node);
        let far: Vec<_> = workers.iter().filter(|core| !near.contains(core)).collect();
        if far.is_empty() {
            continue;
        }
        let distance = far.first().and_then(|core| distance(host, node, host.node_of(**core)?));
        let distance = distance.map_or(String::new(), |distance| {
            format!(" (distance {distance}; to its own node 10)")
        });
        let free: Vec<_> =
            near.iter().filter(|core| **core != config.dpdk.main_core).copied().collect();
        let better: BTreeSet<u32> = free.iter().copied().take(workers.len()).collect();
        let all_far = far.len() == workers.len();
        let edit = (better.len() == workers.len()).then(|| {
            let list: Vec<_> = better.iter().map(u32::to_string).collect();
            view.file?.set(
                Table::Section("dpdk"),
                "worker-cores",
                &format!("[{}]", list.join(", ")),
            )
        });
        let advice =
            format!("node {node} has cores {}: choose worker-cores among them", listed(&near));
        let cause = "frames and rings cross between the nodes, which costs about twice the time";
        if all_far {
            let found = format!(
                "port {:?} is on NUMA node {node}, and no worker is: cores {}{distance}",
                port.name,
                listed(workers)
            );
            let finding = Finding::warning(Check::Numa, found, cause).mend_if(edit.flatten());
            findings.push(finding.advice(advice));
        } else {
            let found = format!(
                "port {:?} is on NUMA node {node}, and workers on cores {} are not{distance}",
                port.name,
                listed(far)
            );
            findings.push(Finding::note(Check::Numa, found).because(cause).advice(advice));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Numa, "every NIC and every worker are on one node"));
    }
    findings
}

/// The kernel's distance between two nodes: 10 is a node to itself.
fn distance(host: &Host, from: u32, to: u32) -> Option<u32> {
    let row = host.read(format!("sys/devices/system/node/node{from}/distance"))?;
    let place = host.nodes().into_iter().position(|node| node == to)?;
    row.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::edit::File;
    use super::super::fixture::{Fixture, config};
    use super::*;

    fn two_nodes() -> Fixture {
        Fixture::new()
            .node(0, "0-3", 0, 0)
            .node(1, "4-7", 0, 0)
            .file("sys/devices/system/node/node1/distance", "21 10\n")
            .file("sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n")
    }

    #[test]
    fn a_nic_far_from_every_worker() {
        let file = File::with("f.toml", "[dpdk]\nworker-cores = [1, 2]\n");
        let mut config = config(&["0000:01:00.0"]);
        config.dpdk.worker_cores = vec![1, 2];
        let fixture = two_nodes().with_file(&file);
        let finding = fixture.warning(&config, check);
        assert!(finding.found.contains("cores 1,2 (distance 21;"), "{finding}");
        let edit = file.set(Table::Section("dpdk"), "worker-cores", "[4, 5]");
        assert_eq!(finding.mend, [edit.unwrap()]);
        config.dpdk.worker_cores = vec![4, 5];
        fixture.all_is_well(&config, check);
        config.dpdk.worker_cores = vec![1, 5];
        let finding = fixture.only(&config, check, Severity::Note);
        assert!(finding.found.contains("workers on cores 1 are not"), "{finding}");
    }

    #[test]
    fn the_nic_behind_an_interface_counts_too() {
        let fixture = two_nodes().file("sys/class/net/eth1/device/numa_node", "1\n");
        assert!(
            fixture
                .warning(&config(&["net_af_packet0,iface=eth1"]), check)
                .found
                .contains("node 1")
        );
    }

    #[test]
    fn one_node_or_no_word_of_it() {
        Fixture::new().node(0, "0-3", 0, 0).all_is_well(&config(&["0000:01:00.0"]), check);
        let unknown = two_nodes().file("sys/bus/pci/devices/0000:01:00.0/numa_node", "-1\n");
        unknown.all_is_well(&config(&["0000:01:00.0"]), check);
        assert!(two_nodes().of_host(check)[0].found.contains("node 1: cores 4,5,6,7"));
    }
}
