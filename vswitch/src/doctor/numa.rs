//! Whether each NIC and some worker are on one NUMA node: what crosses between nodes costs about twice the time of
//! what stays.

use std::collections::BTreeSet;

use super::edit::Table;
use super::host::{Host, listed};
use super::{Check, Finding, View};
use crate::config::device::{interfaces_needed, pci_address};
use crate::config::{Dpdk, Port};

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
    let wanted: BTreeSet<u32> = of_ports.iter().map(|(_, node)| *node).collect();
    let has_worker = |node: u32| workers.iter().any(|core| host.node_of(*core) == Some(node));
    let edit = better(host, &config.dpdk, &wanted).and_then(|cores| {
        let list: Vec<_> = cores.iter().map(u32::to_string).collect();
        let list = format!("[{}]", list.join(", "));
        view.file?.set(Table::Section("dpdk"), "worker-cores", &list)
    });
    let mut findings = Vec::new();
    for (port, node) in of_ports {
        let near = host.cores_of(node);
        let far: Vec<_> = workers.iter().filter(|core| !near.contains(core)).collect();
        // With NICs on several nodes workers are on several, too, and none is near to all.
        if far.is_empty() || (has_worker(node) && wanted.len() > 1) {
            continue;
        }
        let distance = far.first().and_then(|core| distance(host, node, host.node_of(**core)?));
        let distance = distance.map_or(String::new(), |distance| {
            format!(" (distance {distance}; to its own node 10)")
        });
        let advice = format!(
            "node {node} has cores {}: choose worker-cores among them{}",
            listed(&near),
            if wanted.len() > 1 { ", at least one for each node with a NIC" } else { "" }
        );
        let cause = "frames and rings cross between the nodes, which costs about twice the time";
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
            let finding = Finding::warning(Check::Numa, found, cause).mend_if(edit.clone());
            findings.push(finding.advice(advice));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Numa, "every NIC has a worker on its node"));
    }
    findings
}

/// As many workers as there are, by turns on the nodes that have a NIC; `None` if there are more nodes than workers, or
/// too few cores there. Cores that have a worker come first.
fn better(host: &Host, dpdk: &Dpdk, wanted: &BTreeSet<u32>) -> Option<BTreeSet<u32>> {
    if wanted.len() > dpdk.worker_cores.len() {
        return None;
    }
    let online = host.allowed.clone().unwrap_or_else(|| host.online());
    let is_free = |core: &u32| online.contains(core) && *core != dpdk.main_core;
    let on = |node: &u32| {
        let mut cores: Vec<_> = host.cores_of(*node).into_iter().filter(is_free).collect();
        cores.sort_by_key(|core| !dpdk.worker_cores.contains(core));
        cores.into_iter()
    };
    let mut nodes: Vec<_> = wanted.iter().map(on).collect();
    let mut chosen = BTreeSet::new();
    while chosen.len() < dpdk.worker_cores.len() {
        let before = chosen.len();
        let left = dpdk.worker_cores.len() - before;
        chosen.extend(nodes.iter_mut().take(left).filter_map(Iterator::next));
        if chosen.len() == before {
            return None;
        }
    }
    Some(chosen)
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
            .cores(8)
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
        assert!(finding.found.contains("the worker on core 1 is not"), "{finding}");
    }

    #[test]
    fn nics_on_two_nodes_have_a_worker_each() {
        let file = File::with("f.toml", "[dpdk]\nworker-cores = [1, 2]\n");
        let mut config = config(&["0000:01:00.0", "0000:02:00.0"]);
        config.dpdk.worker_cores = vec![1, 2];
        let mut fixture =
            two_nodes().file("sys/bus/pci/devices/0000:02:00.0/numa_node", "0\n").with_file(&file);
        fixture.host.allowed = Some(BTreeSet::from([0, 1, 2, 6]));
        let finding = fixture.warning(&config, check);
        let edit = file.set(Table::Section("dpdk"), "worker-cores", "[1, 6]");
        assert_eq!(finding.mend, [edit.unwrap()]);
        // What it asks for is not undone by the next.
        config.dpdk.worker_cores = vec![1, 6];
        fixture.all_is_well(&config, check);
        assert_eq!(fixture.findings(&config, check).len(), 1);
        config.dpdk.worker_cores = vec![1];
        assert!(fixture.warning(&config, check).mend.is_empty());
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
