//! What is wrong with a host before a switch starts on it, why, and what mends it.
//!
//! There is one list of checks. `vswitch doctor` prints everything that they find. `vswitch run`
//! makes the same checks before it starts DPDK: a problem ends it, a warning is logged. Where DPDK
//! fails all the same, `dpdk_errors` turns its error into a finding of the same form. Nothing in
//! this folder starts or changes anything.
//!
//! | file | what it owns |
//! |---|---|
//! | [`finding`] | what a check reports |
//! | [`view`] | what a check sees |
//! | [`host`] | the host, read from files; tests replace them with a tree of their own |
//! | `permissions` | capabilities and the limit of locked memory |
//! | [`memory`] | `memory-mib` against the [computed need](crate::control::memory) |
//! | `need` | the need that is known before a device is opened |
//! | [`hugepages`] | free hugepages against `memory-mib`, on each NUMA node |
//! | [`cores`] | cores: present, allowed, isolated, at full speed |
//! | `numa` | workers and NICs on the same node |
//! | [`pci`] | NICs: present, and bound to a driver that DPDK can use |
//! | `iommu` | why there is no IOMMU |
//! | `boot_arguments` | commands that change the kernel's command line |
//! | `interface_use` | what the host itself uses an interface for, so that no command cuts it off |
//! | `plugins` | DPDK's drivers |
//! | `interfaces` | kernel interfaces behind virtual devices |
//! | `mtu` | MTUs from tenant to uplink |
//! | `kernel` | TAPs and socket families |
//! | `host_interfaces` | names and addresses of host interfaces |
//! | `sockets` | the API's socket and the TCP addresses |
//! | `tcp` | the kernel's table of TCP sockets |
//! | `files` | the state directory and the files of TLS |
//! | `dpdk_errors` | causes of DPDK's errors |
//!
//! Each check is a function from a [`View`] to findings, including one that all is well. All of
//! them together take some milliseconds, on the control thread.

mod boot_arguments;
pub mod cores;
#[cfg(feature = "dpdk")]
pub mod dpdk_errors;
mod files;
pub mod finding;
pub mod host;
mod host_interfaces;
pub mod hugepages;
mod interface_use;
mod interfaces;
mod iommu;
mod kernel;
pub mod memory;
mod mtu;
mod need;
mod numa;
pub mod pci;
mod permissions;
mod plugins;
mod sockets;
mod tcp;
#[cfg(test)]
mod test_host;
pub mod view;

use serde::Serialize;

use finding::{Check, Finding, Findings, Severity};
use memory::MemoryNeed;
use view::{CheckFn, View};

/// Every check, in the order of the report.
const CHECKS: [CheckFn; 18] = [
    permissions::capabilities,
    memory::check,
    hugepages::check,
    cores::usable,
    cores::isolation,
    cores::governor,
    numa::check,
    pci::check,
    permissions::locked_memory,
    plugins::check,
    interfaces::usable,
    interfaces::quiet,
    mtu::check,
    kernel::check,
    host_interfaces::check,
    sockets::check,
    files::state,
    files::tls,
];

/// Makes every check. If another switch is in the way of a start, that is the only finding: what
/// else is in use belongs to that switch, and no command may take it away.
#[must_use]
pub fn examine(view: &View<'_>) -> Report {
    let findings = match sockets::another_switch(view) {
        Some(finding) => vec![finding],
        None => CHECKS.iter().flat_map(|check| check(view)).collect(),
    };
    let memory = view.config.map(|config| MemoryNeed::of(config, view.host));
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    Report { worst, memory, findings }
}

/// What the checks found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The worst severity of all findings.
    pub worst: Severity,
    /// The computed need; `None` without a configuration.
    pub memory: Option<MemoryNeed>,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether the switch can start.
    ///
    /// # Errors
    /// Returns the problems, and what to know before the configuration file is changed.
    pub fn startable(&self) -> Result<(), Findings> {
        if self.worst < Severity::Problem {
            return Ok(());
        }
        let is_shown = |finding: &&Finding| {
            let is_about_the_file = finding.check == Check::State && !finding.advice.is_empty();
            finding.severity == Severity::Problem || is_about_the_file
        };
        Err(Findings(self.findings.iter().filter(is_shown).cloned().collect()))
    }
}
