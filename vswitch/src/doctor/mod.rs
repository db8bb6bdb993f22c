//! What is wrong with a host, before anything is started; why; and the command that mends it.
//!
//! One list of checks. `vswitch doctor` prints all that they find. `vswitch run` makes the same checks before it
//! starts DPDK: a problem ends it, a warning is logged. And where DPDK fails all the same, [`dpdk_errors`] puts what it
//! said into a finding of the same kind. Nothing here starts or changes anything.
//!
//! | file | what it looks at |
//! |---|---|
//! | [`finding`] | what a check says |
//! | [`host`] | the host as the checks see it; tests put a tree of files in its place |
//! | [`edit`] | commands that change one value of the configuration file |
//! | `permissions` | capabilities, locked memory |
//! | [`hugepages`] | `memory-mib` and hugepages against the computed [need](crate::control::memory), per NUMA node |
//! | [`cores`] | cores: there, allowed, alone, at full speed |
//! | [`numa`] | workers and NICs on one node |
//! | [`pci`] | PCI devices: driver, vfio |
//! | `iommu` | the IOMMU: there, or why not |
//! | `boot` | arguments of the kernel, for remedies that take a boot |
//! | `reach` | what of the host's own goes through an interface, so that no command cuts it off |
//! | `plugins` | DPDK's driver plugins |
//! | `links` | the kernel's interfaces behind virtual devices |
//! | `mtu` | MTUs from tenant to uplink |
//! | `kernel` | what the kernel must be able to do |
//! | `places` | names, addresses and sockets that must be free |
//! | [`files`] | the state directory, and the files of TLS |
//! | `dpdk_errors` | what DPDK said, in words |
//!
//! Each check is a function from a [`View`] to findings: of what is wrong, or that all is well. They run on the
//! control thread before it starts anything, and take some milliseconds together.

mod boot;
pub mod cores;
#[cfg(feature = "dpdk")]
pub mod dpdk_errors;
pub mod edit;
pub mod files;
pub mod finding;
#[cfg(test)]
mod fixture;
pub mod host;
pub mod hugepages;
mod iommu;
mod kernel;
mod links;
mod mtu;
pub mod numa;
pub mod pci;
mod permissions;
mod places;
mod plugins;
mod reach;

use serde::Serialize;

use crate::config::Config;
use crate::control::memory::Ordinary;
use crate::text::count;
use edit::File;
use files::Kept;
pub use finding::{Check, Finding, Findings, Severity};
use host::{Host, Running};

/// What the checks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look: a switch that runs already has what it has.
    Look,
    /// To start a switch now.
    Start,
}

/// What a check sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The host.
    pub host: &'a Host,
    /// The configuration, if there is one.
    pub config: Option<&'a Config>,
    /// Its file, for commands that change it.
    pub file: Option<&'a File>,
    /// What is kept of it, if that was looked at.
    pub state: Option<&'a Kept>,
    /// What for.
    pub purpose: Purpose,
}

impl View<'_> {
    /// The switch that runs already, in words.
    fn running(&self) -> Option<String> {
        match (self.purpose, self.host.running) {
            (Purpose::Start, _) | (_, Running::Nobody | Running::Stranger(_)) => None,
            (_, Running::Process(pid)) => Some(format!("the running switch (process {pid})")),
            (_, Running::Hidden) => Some("the running switch".to_owned()),
        }
    }
}

type CheckFn = fn(&View<'_>) -> Vec<Finding>;

/// Every check, in the order of the report.
const CHECKS: [CheckFn; 17] = [
    permissions::capabilities,
    hugepages::check,
    cores::usable,
    cores::isolation,
    cores::governor,
    numa::check,
    pci::check,
    permissions::memlock,
    plugins::check,
    links::interfaces,
    links::quiet,
    mtu::check,
    kernel::check,
    places::host_interfaces,
    places::sockets,
    files::state,
    files::tls,
];

/// Makes every check. Where another switch is in the way of a start, that is all there is to say: what else is in use
/// is that one's, and nobody's to take away.
#[must_use]
pub fn examine(view: &View<'_>) -> Report {
    let findings = match places::another(view) {
        Some(finding) => vec![finding],
        None => CHECKS.iter().flat_map(|check| check(view)).collect(),
    };
    let memory = view.config.map(|config| Memory::of(config, view.host));
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    Report { worst, memory, findings }
}

/// What the checks found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst of all.
    pub worst: Severity,
    /// The computed need; only with a configuration.
    pub memory: Option<Memory>,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// What keeps the switch from starting.
    ///
    /// # Errors
    /// If there is anything.
    pub fn startable(&self) -> Result<(), Findings> {
        let is_problem = |finding: &&Finding| finding.severity == Severity::Problem;
        let problems: Vec<_> = self.findings.iter().filter(is_problem).cloned().collect();
        if problems.is_empty() { Ok(()) } else { Err(Findings(problems)) }
    }
}

/// The memory that a configuration needs, computed.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Memory {
    /// Packet buffers.
    pub packet_buffers: u32,
    /// How long frames each of them holds, in bytes.
    pub buffer_bytes: u16,
    /// Of these, for the devices' rings.
    pub for_rings: usize,
    /// Of these, in workers' hands and caches.
    pub for_workers: usize,
    /// Of these, in queues between workers, and to and from host interfaces.
    pub for_queues: usize,
    /// Of these, for copies of flooded frames.
    pub for_flooding: usize,
    /// All packet buffers, in MiB.
    pub pool_mib: u64,
    /// EAL and drivers, in MiB.
    pub dpdk_other_mib: u64,
    /// The least `memory-mib`: the two together. With a NIC, whose queues are not known yet, an upper bound.
    pub least_memory_mib: u64,
    /// `memory-mib` as it is configured.
    pub memory_mib: u32,
    /// Whether that comes from hugepages.
    pub hugepages: bool,
    /// `memory-mib` in hugepages, by NUMA node.
    pub by_node: Vec<hugepages::NodeShare>,
    /// Ordinary memory: the FDB at capacity, in MiB.
    pub fdb_mib: u64,
    /// Ordinary memory: learn events on their way, in MiB.
    pub events_mib: u64,
    /// Ordinary memory: counters, in MiB of addresses; far less is touched.
    pub counters_mib: u64,
}

impl Memory {
    fn of(config: &Config, host: &Host) -> Self {
        let need = hugepages::foreseen(host, config).most;
        let ordinary = Ordinary::of(config);
        Self {
            packet_buffers: need.buffers,
            buffer_bytes: need.room,
            for_rings: need.holders.rings,
            for_workers: need.holders.workers,
            for_queues: need.holders.queues,
            for_flooding: need.holders.flooding,
            pool_mib: need.pool_mib(),
            dpdk_other_mib: need.other_mib(),
            least_memory_mib: need.dpdk_mib(),
            memory_mib: config.dpdk.memory_mib,
            hugepages: config.dpdk.hugepages,
            by_node: hugepages::shares(host, config),
            fdb_mib: ordinary.fdb_mib,
            events_mib: ordinary.events_mib,
            counters_mib: ordinary.counters_mib,
        }
    }
}
