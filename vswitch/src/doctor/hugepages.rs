//! Free hugepages against `memory-mib`.
//!
//! EAL takes `memory-mib` from the NUMA nodes of its lcores, in proportion to their number, and what
//! one node lacks from others (`eal_dynmem_calc_num_pages_per_socket`). So hugepages on the wrong
//! node are slow. But a NIC's rings must be on the node of the NIC: with no hugepage there, the
//! switch does not start.

use std::collections::BTreeMap;

use serde::Serialize;

use super::finding::{Check, Finding};
use super::host::{Host, Listener};
use super::need::foreseen;
use super::view::View;
use crate::config::device::pci_address;
use crate::config::{Config, overrides_memory};
use crate::text::count;

/// Hugepages of one size, on one node or on the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    kib: u64,
    total: u64,
    free: u64,
}

/// What a NUMA node provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NodeShare {
    /// The node.
    pub node: u32,
    /// The part of `memory-mib` that EAL takes from it, in MiB.
    pub need_mib: u64,
    /// Its free hugepages, in MiB.
    pub free_mib: u64,
}

/// The hugepages of every size in a folder of sysfs.
fn pages(host: &Host, folder: &str) -> Vec<Pages> {
    let size = |name: String| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let number = |file: &str| {
            host.number(format!("{folder}/{name}/{file}")).and_then(|n| u64::try_from(n).ok())
        };
        // Promised to a process that has not touched them yet.
        let reserved = number("resv_hugepages").unwrap_or(0);
        let free = number("free_hugepages")?.saturating_sub(reserved);
        Some(Pages { kib, total: number("nr_hugepages")?, free })
    };
    host.list(folder).into_iter().filter_map(size).collect()
}

fn free_mib(pages: &[Pages]) -> u64 {
    pages.iter().map(|pages| pages.kib * pages.free / 1024).sum()
}

const HOST_WIDE: &str = "sys/kernel/mm/hugepages";

fn folder_of(node: u32) -> String {
    format!("sys/devices/system/node/node{node}/hugepages")
}

/// The part of `memory-mib` that EAL takes from each node; empty without hugepages or NUMA nodes.
#[must_use]
pub fn shares(host: &Host, config: &Config) -> Vec<NodeShare> {
    if !config.dpdk.hugepages {
        return Vec::new();
    }
    let mut lcores: BTreeMap<u32, u64> = BTreeMap::new();
    let all = config.dpdk.worker_cores.iter().chain([&config.dpdk.main_core]);
    for node in all.filter_map(|core| host.node_of(*core)) {
        *lcores.entry(node).or_default() += 1;
    }
    let total: u64 = lcores.values().sum();
    let share = |node: u32| {
        let own = lcores.get(&node).copied().unwrap_or(0);
        let need_mib = (u64::from(config.dpdk.memory_mib) * own).checked_div(total).unwrap_or(0);
        NodeShare { node, need_mib, free_mib: free_mib(&pages(host, &folder_of(node))) }
    };
    host.nodes().into_iter().map(share).collect()
}

/// How many pages of the default size must exist in a folder for so much more to be free.
struct Reservation {
    /// The default size, in KiB.
    page_kib: u64,
    /// How much memory the new pages take.
    more_kib: u64,
    /// The number of pages, with those that exist.
    pages: u64,
}

impl Reservation {
    fn of(host: &Host, folder: &str, more_mib: u64) -> Self {
        let page_kib = host.kib("proc/meminfo", "Hugepagesize").unwrap_or(2048);
        let sizes = pages(host, folder);
        let now = sizes.iter().find(|pages| pages.kib == page_kib).map_or(0, |pages| pages.total);
        let more = (more_mib * 1024).div_ceil(page_kib);
        Self { page_kib, more_kib: more * page_kib, pages: now + more }
    }

    /// The command that reserves them on a node.
    fn command(&self, node: u32) -> String {
        let (folder, page_kib) = (folder_of(node), self.page_kib);
        format!("echo {} > /{folder}/hugepages-{page_kib}kB/nr_hugepages", self.pages)
    }
}

/// The command that reserves as many pages as are missing; `None` if so much is free.
pub(super) fn reserve(host: &Host, wanted_mib: u64) -> Option<String> {
    let missing =
        wanted_mib.checked_sub(free_mib(&pages(host, HOST_WIDE))).filter(|mib| *mib > 0)?;
    let pages = Reservation::of(host, HOST_WIDE, missing).pages;
    Some(format!("sysctl -w vm.nr_hugepages={pages}"))
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return vec![without_configuration(view.host)] };
    if overrides_memory(&config.dpdk.eal_args) {
        let found = "eal-args set how much memory to take: free hugepages are not compared with it";
        return vec![Finding::note(Check::Hugepages, found)];
    }
    if !config.dpdk.hugepages {
        return vec![switched_off(config)];
    }
    let mut findings = vec![enough(view, config)];
    findings.extend(on_nodes(view, config));
    findings
}

fn without_configuration(host: &Host) -> Finding {
    let pages = pages(host, HOST_WIDE);
    let sizes = pages.iter().map(|p| format!("{} of {} KiB, {} free", p.total, p.kib, p.free));
    let sizes: Vec<_> = sizes.collect();
    if pages.iter().all(|pages| pages.total == 0) {
        return Finding::note(Check::Hugepages, "no hugepages are reserved")
            .because("a switch takes memory-mib, 512 by default, from hugepages")
            .mend("sysctl -w vm.nr_hugepages=256");
    }
    Finding::ok(Check::Hugepages, sizes.join("; "))
}

fn switched_off(config: &Config) -> Finding {
    let is_nic = |port: &&crate::config::Port| pci_address(&port.device).is_some();
    match config.ports.iter().find(is_nic) {
        Some(port) => Finding::problem(
            Check::Hugepages,
            format!("hugepages = false, and port {:?} is a NIC", port.name),
            "a NIC accesses physical memory, and only hugepages stay at their physical address",
        )
        .advice("set `hugepages = true` in [dpdk]"),
        None => Finding::note(Check::Hugepages, "hugepages = false: works, but slower"),
    }
}

/// Whether `memory-mib` is free in hugepages, on all nodes together.
fn enough(view: &View<'_>, config: &Config) -> Finding {
    let host = view.host;
    let asked = u64::from(config.dpdk.memory_mib);
    let pages = pages(host, HOST_WIDE);
    let free = free_mib(&pages);
    if pages.is_empty() {
        return Finding::problem(
            Check::Hugepages,
            format!("memory-mib asks for {asked} MiB of hugepages, and this kernel has none"),
            "the kernel was built without CONFIG_HUGETLBFS",
        )
        .advice("set `hugepages = false` in [dpdk], or boot another kernel");
    }
    let found = format!("memory-mib asks for {asked} MiB of hugepages, and {free} MiB are free");
    if free >= asked {
        return Finding::ok(Check::Hugepages, found);
    }
    let users = host.hugepage_users();
    if let (Some(running), Listener::Switch(pid)) = (view.running_switch(), host.api_listener) {
        let held = users.iter().filter(|user| user.pid == pid).map(|user| user.kib / 1024);
        let held: u64 = held.sum();
        if free + held >= asked {
            let found = format!("{running} holds {held} MiB of hugepages, and {free} MiB are free");
            return Finding::ok(Check::Hugepages, found);
        }
    }
    let reserved: u64 = pages.iter().map(|pages| pages.kib * pages.total / 1024).sum();
    let users = users
        .iter()
        .map(|user| format!("; {} (process {}) has {} MiB", user.name, user.pid, user.kib / 1024));
    let least = foreseen(host, config).most.dpdk_mib();
    let cause = format!(
        "{reserved} MiB are reserved{}; the computed need is {least} MiB",
        users.collect::<String>(),
    );
    let Reservation { more_kib, pages, .. } = Reservation::of(host, HOST_WIDE, asked - free);
    let available = host.kib("proc/meminfo", "MemAvailable").unwrap_or(u64::MAX);
    if available < more_kib {
        let available = available / 1024;
        let cause = format!("{cause}, and only {available} MiB of memory are left to reserve");
        let lower = match asked > least {
            true => format!("set `memory-mib = {least}` in [dpdk], or "),
            false => String::new(),
        };
        return Finding::problem(Check::Hugepages, found, cause)
            .advice(format!("{lower}give the machine more memory"));
    }
    let mut finding = Finding::problem(Check::Hugepages, found, cause);
    let shares = shares(host, config);
    if shares.len() > 1 {
        let lacking = shares.iter().filter(|share| share.need_mib > share.free_mib);
        let command = |share: &NodeShare| {
            let more_mib = share.need_mib - share.free_mib;
            Reservation::of(host, &folder_of(share.node), more_mib).command(share.node)
        };
        finding.mend.extend(lacking.map(command));
    }
    if finding.mend.is_empty() {
        finding.mend.extend(reserve(host, asked));
    }
    finding.advice(format!(
        "to reserve them at each boot: `echo vm.nr_hugepages={pages} > \
         /etc/sysctl.d/80-vswitch.conf`; if fewer are reserved than asked for, memory is \
         fragmented: run `sysctl -w vm.compact_memory=1` and try again, or reserve at boot; for \
         tests, hugepages = false works without"
    ))
}

/// Whether each node has its share, on a host with several nodes and enough in all.
fn on_nodes(view: &View<'_>, config: &Config) -> Vec<Finding> {
    let host = view.host;
    let shares = shares(host, config);
    let free = free_mib(&pages(host, HOST_WIDE));
    let is_enough = free >= u64::from(config.dpdk.memory_mib);
    if shares.len() < 2 || !is_enough || view.running_switch().is_some() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for &NodeShare { node, need_mib, free_mib } in &shares {
        let reserve = |mib| Reservation::of(host, &folder_of(node), mib).command(node);
        let nic = config.ports.iter().find(|port| {
            pci_address(&port.device)
                .and_then(|address| host.node_of_device(&format!("sys/bus/pci/devices/{address}")))
                == Some(node)
        });
        if let (Some(port), 0) = (nic, free_mib) {
            let found = format!(
                "NUMA node {node} has no free hugepage, and the NIC of port {:?} is there",
                port.name
            );
            let cause = "the rings of a NIC are reserved on its own node";
            let finding = Finding::problem(Check::Hugepages, found, cause);
            findings.push(finding.mend(reserve(need_mib.max(2))));
        } else if free_mib < need_mib {
            let found = format!(
                "NUMA node {node} has {free_mib} MiB of hugepages free, and the share of its cores \
                 is {need_mib} MiB"
            );
            let cause = "the rest is taken from another node, and every access to it is slower";
            let finding = Finding::warning(Check::Hugepages, found, cause);
            findings.push(finding.mend(reserve(need_mib - free_mib)));
        }
    }
    if findings.is_empty() {
        let nodes = count(shares.len() as u64, "NUMA node");
        findings.push(Finding::ok(Check::Hugepages, format!("each of {nodes} has its share")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::super::view::Purpose;
    use super::*;

    const NR: &str = "vm.nr_hugepages";

    fn one_node(free: u32, total: u32) -> TestHost {
        TestHost::new()
            .file("proc/meminfo", "MemAvailable:    4194304 kB\nHugepagesize:       2048 kB\n")
            .hugepages("sys/kernel/mm/hugepages", total, free)
            .node(0, "0-3", total, free)
    }

    #[test]
    fn hugepages_that_are_gone_are_reserved_again() {
        let config = config(&["net_null0"]);
        let finding = one_node(8, 8).problem(&config, check);
        assert_eq!(finding.check, Check::Hugepages);
        assert_eq!(finding.found, "memory-mib asks for 512 MiB of hugepages, and 16 MiB are free");
        assert_eq!(finding.mend, [format!("sysctl -w {NR}=256")]);
        one_node(256, 256).all_is_well(&config, check);
    }

    #[test]
    fn what_others_hold_is_named() {
        let finding = one_node(100, 256)
            .file("proc/77/status", "Name:\tqemu\nHugetlbPages:\t  319488 kB\n")
            .problem(&config(&["net_null0"]), check);
        assert!(finding.cause.contains("qemu (process 77) has 312 MiB"), "{finding}");
        assert_eq!(finding.mend, [format!("sysctl -w {NR}=412")]);
    }

    #[test]
    fn what_the_running_switch_holds_is_not_missing() {
        let config = config(&["net_null0"]);
        let mut fixture =
            one_node(0, 256).file("proc/77/status", "Name:\tvswitch\nHugetlbPages:\t  524288 kB\n");
        fixture.host.api_listener = Listener::Switch(77);
        let findings = fixture.findings(&config, check);
        let said = &findings[0];
        assert_eq!(said.severity, Severity::Ok, "{said}");
        assert_eq!(
            said.found,
            "the running switch (process 77) holds 512 MiB of hugepages, and 0 MiB are free"
        );
        // But it keeps another from starting.
        fixture.purpose = Purpose::Start;
        assert_eq!(fixture.problem(&config, check).check, Check::Hugepages);
    }

    #[test]
    fn more_than_the_machine_has_is_not_reserved() {
        let mut config = config(&["net_null0"]);
        config.dpdk.memory_mib = 100_000;
        let finding = one_node(8, 8).problem(&config, check);
        assert!(finding.cause.contains("only 4096 MiB"), "{finding}");
        let least = foreseen(&TestHost::new().host, &config).most.dpdk_mib();
        let advice = format!("set `memory-mib = {least}` in [dpdk]");
        assert!(finding.mend.is_empty() && finding.advice.starts_with(&advice), "{finding}");
    }

    #[test]
    fn a_kernel_without_hugepages() {
        let finding = TestHost::new().problem(&config(&["net_null0"]), check);
        assert!(finding.found.ends_with("this kernel has none"), "{finding}");
        let mut off = config(&["net_null0"]);
        off.dpdk.hugepages = false;
        TestHost::new().all_is_well(&off, check);
        let mut nic = config(&["0000:01:00.0"]);
        nic.dpdk.hugepages = false;
        assert!(TestHost::new().problem(&nic, check).found.contains("is a NIC"));
    }

    #[test]
    fn each_node_needs_its_share() {
        // Workers 2 and 3 on node 1, the main core on node 0.
        let mut config = config(&["0000:01:00.0"]);
        config.dpdk.worker_cores = vec![2, 3];
        config.dpdk.memory_mib = 300;
        let two = |first: u32, second: u32| {
            TestHost::new()
                .file("proc/meminfo", "MemAvailable:    4194304 kB\nHugepagesize:       2048 kB\n")
                .hugepages("sys/kernel/mm/hugepages", first + second, first + second)
                .node(0, "0-1", first, first)
                .node(1, "2-3", second, second)
                .file("sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n")
        };
        two(50, 100).all_is_well(&config, check);
        let share = two(110, 40).only(&config, check, Severity::Warning);
        assert!(share.found.contains("node 1 has 80 MiB"), "{share}");
        let file = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
        assert_eq!(share.mend, [format!("echo 100 > {file}")]);
        let none = two(200, 0).problem(&config, check);
        assert!(none.found.contains("NIC of port \"p0\""), "{none}");
        let few = two(10, 10).problem(&config, check);
        assert_eq!(few.mend.len(), 2, "{few}");
        assert_eq!(few.mend[1], format!("echo 100 > {file}"));
    }
}
