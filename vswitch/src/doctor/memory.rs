//! `memory-mib` against the memory that the configuration needs.

use serde::Serialize;

use super::finding::{Check, Finding};
use super::host::Host;
use super::hugepages::{self, NodeShare};
use super::need::foreseen;
use super::view::View;
use crate::config::Config;
use crate::control::memory::{Foreseen, Need, Ordinary};

/// The memory that a configuration needs.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct MemoryNeed {
    /// The number of packet buffers.
    pub packet_buffers: u32,
    /// The longest frame that fits into a packet buffer, in bytes.
    pub buffer_bytes: u16,
    /// Packet buffers in the rings of devices.
    pub for_rings: usize,
    /// Packet buffers in the workers' caches and bursts.
    pub for_workers: usize,
    /// Packet buffers in queues between workers, and to and from host interfaces.
    pub for_queues: usize,
    /// Packet buffers for copies of flooded frames.
    pub for_flooding: usize,
    /// All packet buffers, in MiB.
    pub pool_mib: u64,
    /// EAL and drivers, in MiB.
    pub dpdk_other_mib: u64,
    /// The least `memory-mib`: the sum of the two above. An upper bound if there is a NIC, because
    /// only its driver knows how many queues it has.
    pub least_memory_mib: u64,
    /// `memory-mib` of the configuration.
    pub memory_mib: u32,
    /// Whether `memory-mib` is taken from hugepages.
    pub hugepages: bool,
    /// The part of `memory-mib` that each NUMA node provides.
    pub by_node: Vec<NodeShare>,
    /// Ordinary memory: the FDB at its capacity, in MiB.
    pub fdb_mib: u64,
    /// Ordinary memory: queues of learn events, in MiB.
    pub events_mib: u64,
    /// Ordinary memory: counters, in MiB of address space; only a small part is touched.
    pub counters_mib: u64,
}

impl MemoryNeed {
    pub(super) fn of(config: &Config, host: &Host) -> Self {
        let need = foreseen(host, config).most;
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

/// A need that is not met.
#[must_use]
pub fn too_little(config: &Config, need: &Need) -> Finding {
    let (have, least) = (config.dpdk.memory_mib, need.dpdk_mib());
    let found = format!("memory-mib is {have}, and {least} are needed");
    raise(Finding::problem(Check::Memory, found, users(config, need)), least)
}

fn users(config: &Config, need: &Need) -> String {
    format!(
        "{} take {} packet buffers of {} bytes, {} MiB; EAL and drivers take {} MiB",
        need.user(config),
        need.buffers,
        need.room,
        need.pool_mib(),
        need.other_mib()
    )
}

fn raise(finding: Finding, least: u64) -> Finding {
    finding.advice(format!("set `memory-mib = {least}` or more in [dpdk], or use fewer queues"))
}

/// A `memory-mib` between the two bounds of a NIC may suffice: then `run` tries, and compares again
/// when the NIC is open.
pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let Foreseen { least, most } = foreseen(view.host, config);
    let (have, enough) = (config.dpdk.memory_mib, most.dpdk_mib());
    if most.is_met_by(config) {
        let found = format!("memory-mib is {have}, and {enough} are needed");
        return vec![Finding::ok(Check::Memory, found)];
    }
    if !least.is_met_by(config) {
        // The number that surely suffices, not one that may be too little again.
        return vec![too_little(config, &most)];
    }
    let found = format!("memory-mib is {have}, and {enough} may be needed");
    let cause = format!(
        "only its driver knows how many queues a NIC has; with one for each worker, {}",
        users(config, &most)
    );
    vec![raise(Finding::warning(Check::Memory, found, cause), enough)]
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::*;

    #[test]
    fn too_little_memory_names_the_need() {
        let mut config = config(&["net_null0"]);
        config.dpdk.memory_mib = 32;
        config.dpdk.hugepages = false;
        let finding = TestHost::new().problem(&config, check);
        let least = foreseen(&TestHost::new().host, &config).most.dpdk_mib();
        assert_eq!(finding.found, format!("memory-mib is 32, and {least} are needed"));
        let advice = format!("set `memory-mib = {least}` or more in [dpdk]");
        assert!(finding.advice.starts_with(&advice), "{finding}");
        config.dpdk.eal_args = vec!["-m=900".into()];
        assert!(TestHost::new().problems(&config, check).is_empty());
    }

    #[test]
    fn what_may_suffice_for_a_nic_is_tried() {
        let mut config = config(&["0000:01:00.0", "net_null0"]);
        config.dpdk.worker_cores = (1..9).collect();
        let Foreseen { least, most } = foreseen(&TestHost::new().host, &config);
        let memory_of = |mib: u64| {
            let mut config = config.clone();
            config.dpdk.memory_mib = u32::try_from(mib).unwrap();
            TestHost::new().findings(&config, check).remove(0)
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
}
