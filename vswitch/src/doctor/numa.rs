//! Whether each NIC has a worker on its NUMA node. An access to another node takes about twice as long.

use std::collections::BTreeSet;

use super::finding::{Check, Finding};
use super::host::{Host, listed};
use super::view::View;
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
    let of_ports: Vec<_> =
        config.ports.iter().filter_map(|port| Some((port, node_of(host, port)?))).collect();
    let nic_nodes: BTreeSet<u32> = of_ports.iter().map(|(_, node)| *node).collect();
    let has_worker = |node: u32| workers.iter().any(|core| host.node_of(*core) == Some(node));
    let mut findings = Vec::new();
    for (port, node) in of_ports {
        let near = host.cores_of(node);
        let far: Vec<_> = workers.iter().filter(|core| !near.contains(core)).collect();
        // With NICs on several nodes, no worker is near all of them.
        if far.is_empty() || (has_worker(node) && nic_nodes.len() > 1) {
            continue;
        }
        let distance = far.first().and_then(|core| distance(host, node, host.node_of(**core)?));
        let distance = distance.map_or(String::new(), |distance| {
            format!(" (distance {distance}; to its own node 10)")
        });
        let advice = format!(
            "set `worker-cores` in [dpdk] to cores of node {node}: {}{}",
            listed(&near),
            if nic_nodes.len() > 1 { "; at least one for each node with a NIC" } else { "" }
        );
        let cause = "access to frames and rings on another node takes about twice as long";
        if has_worker(node) {
            let (workers, are) = if far.len() == 1 {
                ("the worker on core", "is")
            } else {
                ("workers on cores", "are")
            };
            let found = format!(
                "port {:?} is on NUMA node {node}, and {workers} {} {are} not{distance}",
                port.name,
                listed(far)
            );
            findings.push(Finding::note(Check::Numa, found).because(cause).advice(advice));
        } else {
            let found = format!(
                "port {:?} is on NUMA node {node}, and no worker is: cores {}{distance}",
                port.name,
                listed(workers)
            );
            let finding = Finding::warning(Check::Numa, found, cause);
            findings.push(finding.advice(advice));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Numa, "every NIC has a worker on its node"));
    }
    findings
}

/// The kernel's distance between two nodes: 10 within a node.
fn distance(host: &Host, from: u32, to: u32) -> Option<u32> {
    let row = host.read(format!("sys/devices/system/node/node{from}/distance"))?;
    let index = host.nodes().into_iter().position(|node| node == to)?;
    row.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::*;

    fn two_nodes() -> TestHost {
        TestHost::new()
            .cores(8)
            .node(0, "0-3", 0, 0)
            .node(1, "4-7", 0, 0)
            .file("sys/devices/system/node/node1/distance", "21 10\n")
            .file("sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n")
    }

    #[test]
    fn a_nic_far_from_every_worker() {
        let mut config = config(&["0000:01:00.0"]);
        config.dpdk.worker_cores = vec![1, 2];
        let fixture = two_nodes();
        let finding = fixture.warning(&config, check);
        assert!(finding.found.contains("cores 1,2 (distance 21;"), "{finding}");
        assert!(finding.advice.ends_with("cores of node 1: 4,5,6,7"), "{finding}");
        config.dpdk.worker_cores = vec![4, 5];
        fixture.all_is_well(&config, check);
        config.dpdk.worker_cores = vec![1, 5];
        let finding = fixture.only(&config, check, Severity::Note);
        assert!(finding.found.contains("the worker on core 1 is not"), "{finding}");
    }

    #[test]
    fn nics_on_two_nodes_have_a_worker_each() {
        let mut config = config(&["0000:01:00.0", "0000:02:00.0"]);
        config.dpdk.worker_cores = vec![1, 2];
        let fixture = two_nodes().file("sys/bus/pci/devices/0000:02:00.0/numa_node", "0\n");
        let finding = fixture.warning(&config, check);
        assert!(finding.advice.ends_with("at least one for each node with a NIC"), "{finding}");
        config.dpdk.worker_cores = vec![1, 6];
        fixture.all_is_well(&config, check);
        assert_eq!(fixture.findings(&config, check).len(), 1);
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
        TestHost::new().node(0, "0-3", 0, 0).all_is_well(&config(&["0000:01:00.0"]), check);
        let unknown = two_nodes().file("sys/bus/pci/devices/0000:01:00.0/numa_node", "-1\n");
        unknown.all_is_well(&config(&["0000:01:00.0"]), check);
        assert!(two_nodes().of_host(check)[0].found.contains("node 1: cores 4,5,6,7"));
    }
}
