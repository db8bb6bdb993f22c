//! `memory-mib` against what the configuration needs, and hugepages against `memory-mib`.
//!
//! EAL spreads `memory-mib` over the NUMA nodes of its lcores, in proportion to their number, and takes from other
//! nodes what one lacks (`eal_dynmem_calc_num_pages_per_socket`). So hugepages on the wrong node are slow, none at
//! all is a failure; but what a NIC's driver reserves for its rings must be on the NIC's own node.

use std::collections::BTreeMap;

use serde::Serialize;

use super::edit::{File, Table};
use super::host::{Host, Running};
use super::{Check, Finding, View, count, mtu};
use crate::config::device::pci_address;
use crate::config::{Config, overrides_memory};
use crate::control::memory::{Foreseen, Need};

/// Hugepages of one size, on one node or on the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    kib: u64,
    total: u64,
    free: u64,
}

/// What a NUMA node has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NodeShare {
    /// The node.
    pub node: u32,
    /// How much of `memory-mib` EAL takes from it, in MiB.
    pub need_mib: u64,
    /// Its free hugepages, in MiB.
    pub free_mib: u64,
}

/// Pages of every size, in a folder of sysfs.
fn pages(host: &Host, folder: &str) -> Vec<Pages> {
    let size = |name: String| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let number = |file: &str| {
            host.number(format!("{folder}/{name}/{file}")).and_then(|n| u64::try_from(n).ok())
        };
        // Promised to somebody who has not touched them yet.
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

/// What EAL takes from each node that has memory; empty without hugepages or NUMA.
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
        let folder = format!("sys/devices/system/node/node{node}/hugepages");
        NodeShare { node, need_mib, free_mib: free_mib(&pages(host, &folder)) }
    };
    host.nodes().into_iter().map(share).collect()
}

/// What a configuration needs, as far as is known before a device is opened.
#[must_use]
pub fn foreseen(host: &Host, config: &Config) -> Foreseen {
    Foreseen::of(config, |port| mtu::known(host, port))
}

/// A `memory-mib` that does not suffice.
#[must_use]
pub fn too_little(config: &Config, need: &Need, file: Option<&File>) -> Finding {
    let (have, least) = (config.dpdk.memory_mib, need.dpdk_mib());
    let found = format!("memory-mib is {have}, and {least} are needed");
    let finding = Finding::problem(Check::Memory, found, takes(config, need));
    raised(finding, least, file)
}

/// What the memory is for, in words.
fn takes(config: &Config, need: &Need) -> String {
    format!(
        "{} take {} packet buffers of {} bytes, {} MiB; EAL and drivers take {}",
        need.user(config),
        need.buffers,
        need.room,
        need.pool_mib(),
        need.other_mib()
    )
}

fn raised(finding: Finding, to: u64, file: Option<&File>) -> Finding {
    let edit = file.and_then(|f| f.set(Table::Section("dpdk"), "memory-mib", &to.to_string()));
    finding.mend_if(edit).advice(format!("set memory-mib to {to} or more, or use fewer queues"))
}

/// `memory-mib` against what is foreseen. What is less than a NIC can take may suffice for what it does take: then
/// `run` tries, and knows when the NIC is open.
fn memory(view: &View<'_>, config: &Config, Foreseen { least, most }: &Foreseen) -> Finding {
    let (have, enough) = (config.dpdk.memory_mib, most.dpdk_mib());
    if most.is_met_by(config) {
        let found = format!("memory-mib is {have}, and {enough} are needed");
        return Finding::ok(Check::Memory, found);
    }
    if !least.is_met_by(config) {
        // What surely suffices, not what would perhaps be too little again.
        return too_little(config, most, view.file);
    }
    let found = format!("memory-mib is {have}, and {enough} may be needed");
    let cause = format!(
        "how many queues a NIC has only its driver knows; with one for each worker, {}",
        takes(config, most)
    );
    raised(Finding::warning(Check::Memory, found, cause), enough, view.file)
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return vec![without_configuration(view.host)] };
    let foreseen = foreseen(view.host, config);
    let need = foreseen.most;
    let mut findings = vec![memory(view, config, &foreseen)];
    if overrides_memory(&config.dpdk.eal_args) {
        findings.push(Finding::note(
            Check::Hugepages,
            "eal-args say how much memory to take: it is not compared with what there is",
        ));
    } else if config.dpdk.hugepages {
        findings.push(enough(view, config, &need));
        findings.extend(on_nodes(view, config));
    } else {
        findings.push(switched_off(config, view.file));
    }
    findings
}

fn without_configuration(host: &Host) -> Finding {
    let pages = pages(host, HOST_WIDE);
    let sizes = pages.iter().map(|p| format!("{} of {} KiB, {} free", p.total, p.kib, p.free));
    let sizes: Vec<_> = sizes.collect();
    if pages.iter().all(|pages| pages.total == 0) {
        return Finding::note(Check::Hugepages, "no hugepages are reserved")
            .because("a switch takes its memory-mib, by default 512, from hugepages")
            .mend("sysctl -w vm.nr_hugepages=256");
    }
    Finding::ok(Check::Hugepages, sizes.join("; "))
}

fn switched_off(config: &Config, file: Option<&File>) -> Finding {
    let is_nic = |port: &&crate::config::Port| pci_address(&port.device).is_some();
    match config.ports.iter().find(is_nic) {
        Some(port) => Finding::problem(
            Check::Hugepages,
            format!("hugepages = false, and port {:?} is a NIC", port.name),
            "a NIC reads and writes physical memory, which only hugepages keep in its place",
        )
        .mend_if(file.and_then(|f| f.set(Table::Section("dpdk"), "hugepages", "true")))
        .advice("set hugepages = true"),
        None => Finding::note(Check::Hugepages, "hugepages = false: runs without, slower"),
    }
}

/// Whether `memory-mib` is free in hugepages, all nodes together.
fn enough(view: &View<'_>, config: &Config, need: &Need) -> Finding {
    let host = view.host;
    let asked = u64::from(config.dpdk.memory_mib);
    let pages = pages(host, HOST_WIDE);
    let free = free_mib(&pages);
    let off = || view.file.and_then(|f| f.set(Table::Section("dpdk"), "hugepages", "false"));
    if pages.is_empty() {
        return Finding::problem(
            Check::Hugepages,
            format!("memory-mib asks for {asked} MiB of hugepages, and this kernel has none"),
            "it was built without CONFIG_HUGETLBFS",
        )
        .mend_if(off())
        .advice("set hugepages = false, or boot another kernel");
    }
    if free >= asked {
        let found =
            format!("memory-mib asks for {asked} MiB of hugepages, and {free} MiB are free");
        return Finding::ok(Check::Hugepages, found);
    }
    let users = host.hugepage_users();
    let held = |pid: i32| {
        users.iter().filter(move |user| user.0 == pid).map(|user| user.2 / 1024).sum::<u64>()
    };
    if let (Some(running), Running::Process(pid)) = (view.running(), host.running)
        && free + held(pid) >= asked
    {
        return Finding::ok(
            Check::Hugepages,
            format!("{running} holds {} MiB of hugepages, and {free} MiB more are free", held(pid)),
        );
    }
    let found = format!("memory-mib asks for {asked} MiB of hugepages, and {free} MiB are free");
    let reserved: u64 = pages.iter().map(|pages| pages.kib * pages.total / 1024).sum();
    let users = users
        .iter()
        .map(|(pid, name, kib)| format!("; {name} (process {pid}) has {} MiB", kib / 1024));
    let cause = format!(
        "{reserved} MiB are reserved{}; the computed need is {} MiB",
        users.collect::<String>(),
        need.dpdk_mib()
    );
    let More { usual, missing, wanted } = More::of(host, &pages, asked - free);
    let available = host.kib("proc/meminfo", "MemAvailable").unwrap_or(u64::MAX);
    if available < missing.saturating_mul(usual) {
        let least = need.dpdk_mib();
        let edit = view
            .file
            .filter(|_| asked > least)
            .and_then(|f| f.set(Table::Section("dpdk"), "memory-mib", &least.to_string()));
        return Finding::problem(
            Check::Hugepages,
            found,
            format!(
                "{cause}, and no more than {} MiB of memory are left to reserve",
                available / 1024
            ),
        )
        .mend_if(edit)
        .advice(format!("lower memory-mib ({least} are needed), or give the machine more memory"));
    }
    let finding = Finding::problem(Check::Hugepages, found, cause);
    let finding = by_node(host, config, usual).into_iter().fold(finding, Finding::mend);
    let finding = if finding.mend.is_empty() { finding.mend(reserving(wanted)) } else { finding };
    finding.advice(format!(
        "at each boot: `echo vm.nr_hugepages={wanted} > /etc/sysctl.d/80-vswitch.conf`; where fewer come than were asked \
         for, memory is in pieces: `sysctl -w vm.compact_memory=1` and again, or reserve at boot; for tests \
         hugepages = false does without"
    ))
}

/// What more of the usual pages makes so much more free.
struct More {
    /// The usual size, in KiB.
    usual: u64,
    /// How many more.
    missing: u64,
    /// How many there are then.
    wanted: u64,
}

impl More {
    fn of(host: &Host, pages: &[Pages], missing_mib: u64) -> Self {
        let usual = host.kib("proc/meminfo", "Hugepagesize").unwrap_or(2048);
        let now = pages.iter().find(|pages| pages.kib == usual).map_or(0, |pages| pages.total);
        let missing = (missing_mib * 1024).div_ceil(usual);
        Self { usual, missing, wanted: now + missing }
    }
}

fn reserving(wanted: u64) -> String {
    format!("sysctl -w vm.nr_hugepages={wanted}")
}

/// The command that reserves so many more pages of the usual size that this much is free; `None` if it is.
#[cfg(feature = "dpdk")]
pub(super) fn reserve(host: &Host, asked_mib: u64) -> Option<String> {
    let pages = pages(host, HOST_WIDE);
    let missing = asked_mib.checked_sub(free_mib(&pages)).filter(|missing| *missing > 0)?;
    Some(reserving(More::of(host, &pages, missing).wanted))
}

/// On a host of several nodes: the commands that give each its share.
fn by_node(host: &Host, config: &Config, usual: u64) -> Vec<String> {
    let shares = shares(host, config);
    if shares.len() < 2 {
        return Vec::new();
    }
    let command = |share: &NodeShare| {
        let folder = format!("sys/devices/system/node/node{}/hugepages", share.node);
        let now = pages(host, &folder).into_iter().find(|pages| pages.kib == usual)?.total;
        let missing = share.need_mib.checked_sub(share.free_mib).filter(|missing| *missing > 0)?;
        let wanted = now + (missing * 1024).div_ceil(usual);
        Some(format!("echo {wanted} > /{folder}/hugepages-{usual}kB/nr_hugepages"))
    };
    shares.iter().filter_map(command).collect()
}

/// Whether each node has its share. Only where there are several, and enough in all.
fn on_nodes(view: &View<'_>, config: &Config) -> Vec<Finding> {
    let host = view.host;
    let shares = shares(host, config);
    let free: u64 = free_mib(&pages(host, HOST_WIDE));
    if shares.len() < 2 || free < u64::from(config.dpdk.memory_mib) || view.running().is_some() {
        return Vec::new();
    }
    let usual = host.kib("proc/meminfo", "Hugepagesize").unwrap_or(2048);
    let mut findings = Vec::new();
    for share in &shares {
        let folder = format!("sys/devices/system/node/node{}/hugepages", share.node);
        let reserve = |mib: u64| {
            let now =
                pages(host, &folder).into_iter().find(|p| p.kib == usual).map_or(0, |p| p.total);
            let wanted = now + (mib * 1024).div_ceil(usual);
            format!("echo {wanted} > /{folder}/hugepages-{usual}kB/nr_hugepages")
        };
        let nic = config.ports.iter().find(|port| {
            pci_address(&port.device)
                .and_then(|address| host.node_of_device(&format!("sys/bus/pci/devices/{address}")))
                == Some(share.node)
        });
        if let (Some(port), 0) = (nic, share.free_mib) {
            findings.push(
                Finding::problem(
                    Check::Hugepages,
                    format!(
                        "NUMA node {} has no free hugepage, and the NIC of port {:?} is there",
                        share.node, port.name
                    ),
                    "a NIC's rings are reserved on its own node",
                )
                .mend(reserve(share.need_mib.max(2))),
            );
        } else if share.free_mib < share.need_mib {
            findings.push(
                Finding::warning(
                    Check::Hugepages,
                    format!(
                        "NUMA node {} has {} MiB of hugepages free, and the share of its cores is {} MiB",
                        share.node, share.free_mib, share.need_mib
                    ),
                    "the rest is taken from another node, and every access to it is slower",
                )
                .mend(reserve(share.need_mib - share.free_mib)),
            );
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
    use super::super::fixture::{Fixture, config};
    use super::super::{Purpose, Severity};
    use super::*;

    const NR: &str = "vm.nr_hugepages";

    fn one_node(free: u32, total: u32) -> Fixture {
        Fixture::new()
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
        fixture.host.running = Running::Process(77);
        let findings = fixture.findings(&config, check);
        let said = &findings[1];
        assert_eq!(said.severity, Severity::Ok, "{said}");
        assert_eq!(
            said.found,
            "the running switch (process 77) holds 512 MiB of hugepages, and 0 MiB more are free"
        );
        // But it keeps another from starting.
        fixture.purpose = Purpose::Start;
        assert_eq!(fixture.problem(&config, check).check, Check::Hugepages);
    }

    #[test]
    fn more_than_the_machine_has_is_not_reserved() {
        let mut config = config(&["net_null0"]);
        config.dpdk.memory_mib = 100_000;
        let file = File::with("f.toml", "[dpdk]\nmemory-mib = 100000\n");
        let fixture = one_node(8, 8);
        let finding = fixture.with_file(&file).problem(&config, check);
        assert!(finding.cause.contains("no more than 4096 MiB"), "{finding}");
        let least = foreseen(&Fixture::new().host, &config).most.dpdk_mib().to_string();
        let edit = file.set(Table::Section("dpdk"), "memory-mib", &least);
        assert_eq!(finding.mend, [edit.unwrap()]);
    }

    #[test]
    fn a_kernel_without_hugepages() {
        let finding = Fixture::new().problem(&config(&["net_null0"]), check);
        assert!(finding.found.ends_with("this kernel has none"), "{finding}");
        let mut off = config(&["net_null0"]);
        off.dpdk.hugepages = false;
        Fixture::new().all_is_well(&off, check);
        let mut nic = config(&["0000:01:00.0"]);
        nic.dpdk.hugepages = false;
        assert!(Fixture::new().problem(&nic, check).found.contains("is a NIC"));
    }

    #[test]
    fn too_little_memory_names_the_need() {
        let mut config = config(&["net_null0"]);
        config.dpdk.memory_mib = 32;
        config.dpdk.hugepages = false;
        let file = File::with("f.toml", "[dpdk]\nmemory-mib = 32\n");
        let fixture = Fixture::new();
        let finding = fixture.with_file(&file).problem(&config, check);
        let least = foreseen(&Fixture::new().host, &config).most.dpdk_mib();
        assert_eq!(finding.found, format!("memory-mib is 32, and {least} are needed"));
        let edit = file.set(Table::Section("dpdk"), "memory-mib", &least.to_string());
        assert_eq!(finding.mend, [edit.unwrap()]);
        config.dpdk.eal_args = vec!["-m=900".into()];
        assert!(Fixture::new().problems(&config, check).is_empty());
    }

    #[test]
    fn what_may_suffice_for_a_nic_is_tried() {
        let mut config = config(&["0000:01:00.0", "net_null0"]);
        config.dpdk.worker_cores = (1..9).collect();
        let Foreseen { least, most } = foreseen(&Fixture::new().host, &config);
        let memory_of = |mib: u64| {
            let mut config = config.clone();
            config.dpdk.memory_mib = u32::try_from(mib).unwrap();
            let all = Fixture::new().findings(&config, check);
            all.into_iter().find(|finding| finding.check == Check::Memory).unwrap()
        };
        assert!(least.dpdk_mib() < most.dpdk_mib());
        for (mib, severity, words) in [
            (least.dpdk_mib() - 1, Severity::Problem, "are needed"),
            (least.dpdk_mib(), Severity::Warning, "may be needed"),
            (most.dpdk_mib() - 1, Severity::Warning, "may be needed"),
            (most.dpdk_mib(), Severity::Ok, "are needed"),
        ] {
            let finding = memory_of(mib);
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.found.ends_with(&format!("{} {words}", most.dpdk_mib())), "{finding}");
        }
    }

    #[test]
    fn each_node_needs_its_share() {
        // Workers 2 and 3 on node 1, the main core on node 0.
        let mut config = config(&["0000:01:00.0"]);
        config.dpdk.worker_cores = vec![2, 3];
        config.dpdk.memory_mib = 300;
        let two = |first: u32, second: u32| {
            Fixture::new()
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
