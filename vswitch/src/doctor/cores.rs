//! The cores of a configuration: present and allowed, with nothing else on worker cores, and these at
//! full speed.

use std::collections::BTreeSet;

use super::boot_arguments;
use super::finding::{Check, Finding};
use super::host::{Host, cores, listed};
use super::view::View;
use crate::config::Dpdk;
use crate::config::device::pci_address;
use crate::text::shell_quoted;

/// DPDK's `RTE_MAX_LCORE` as Debian builds it.
#[cfg(not(feature = "dpdk"))]
const MAX_LCORE: u32 = 128;
#[cfg(feature = "dpdk")]
const MAX_LCORE: u32 = dpdk_sys::VSW_MAX_LCORE;

const CPU: &str = "sys/devices/system/cpu";

/// The main core and the worker cores.
fn configured(dpdk: &Dpdk) -> BTreeSet<u32> {
    dpdk.worker_cores.iter().copied().chain([dpdk.main_core]).collect()
}

pub(super) fn usable(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let online = host.online();
    let Some(config) = view.config else {
        return vec![Finding::ok(Check::Cores, format!("online: {}", listed(&online)))];
    };
    let mut findings = unusable(host, &config.dpdk);
    if findings.is_empty() {
        let (workers, main) = (listed(&config.dpdk.worker_cores), config.dpdk.main_core);
        findings
            .push(Finding::ok(Check::Cores, format!("workers on {workers}, control on {main}")));
    }
    findings
}

/// The cores with which EAL would fail or panic.
#[must_use]
pub fn unusable(host: &Host, dpdk: &Dpdk) -> Vec<Finding> {
    let online = host.online();
    let problem = |found: String, cause: String| Finding::problem(Check::Cores, found, cause);
    let all = configured(dpdk);
    let is_known = |core: &&u32| **core < MAX_LCORE && host.has(format!("{CPU}/cpu{core}"));
    let (known, unknown): (Vec<&u32>, Vec<&u32>) = all.iter().partition(is_known);
    let mut findings = Vec::new();
    if let Some(last) = unknown.last() {
        let list = listed(unknown.iter().copied());
        let cores = if unknown.len() == 1 { "core" } else { "cores" };
        let are = if unknown.len() == 1 { "is" } else { "are" };
        let finding = if **last < MAX_LCORE {
            let cause = format!("this machine has cores {}", listed(&online));
            problem(format!("{cores} {list} {are} not on this machine"), cause)
        } else {
            let cause = format!("DPDK numbers cores up to {}", MAX_LCORE - 1);
            problem(format!("{cores} {list} {are} beyond what this DPDK was built for"), cause)
        };
        let cores = listed(host.allowed.as_ref().unwrap_or(&online));
        findings.push(finding.advice(format!(
            "set `worker-cores` and `main-core` in [dpdk] to cores of this machine: {cores}"
        )));
    }
    for &core in known {
        if !online.contains(&core) {
            let cause = "it was taken offline".to_owned();
            let finding = problem(format!("core {core} is offline"), cause);
            findings.push(finding.mend(format!("echo 1 > /{CPU}/cpu{core}/online")));
        } else if host.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&core)) {
            findings.push(not_allowed(host, core));
        }
    }
    findings
}

/// A core outside the cpuset of this process. Every cgroup on the path from the root to the process's
/// own may leave the core out.
fn not_allowed(host: &Host, core: u32) -> Finding {
    let groups = host.read("proc/self/cgroup").unwrap_or_default();
    // Version 1: `3:cpuset:/path`; version 2: `0::/path`.
    let find = |has: &dyn Fn(&str) -> bool| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            has(controllers).then(|| path.trim_end_matches('/').to_owned())
        })
    };
    let first = find(&|controllers| controllers.split(',').any(|name| name == "cpuset"));
    let (folder, path) = match first {
        Some(path) => ("/sys/fs/cgroup/cpuset", path),
        None => ("/sys/fs/cgroup", find(&str::is_empty).unwrap_or_default()),
    };
    // From the root down, because a group cannot have a core that its parent does not have.
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let is_hidden = host.list(folder).is_empty();
    let leaving_out: Vec<_> = ends
        .filter_map(|end| {
            let group = &path[..end];
            let file = format!("{folder}{group}/cpuset.cpus");
            let all = match &host.allowed {
                // Not mounted here (`ip netns exec`): the process's own group has these cores.
                Some(allowed) if is_hidden && end == path.len() => allowed.clone(),
                // Empty in version 2: all cores of the parent.
                _ => cores(&host.read(&file)?),
            };
            (!all.is_empty() && !all.contains(&core)).then_some((group, file, all))
        })
        .collect();
    let name = |group: &str| if group.is_empty() { "/".to_owned() } else { group.to_owned() };
    let cause = match leaving_out.first() {
        Some((group, ..)) => {
            format!("the cpuset of its cgroup {} leaves the core out", name(group))
        }
        None => format!(
            "a cgroup above {} leaves the core out, or a partition owns it (cpuset.cpus.partition)",
            name(&path)
        ),
    };
    let finding =
        Finding::problem(Check::Cores, format!("this process may not run on core {core}"), cause);
    leaving_out
        .into_iter()
        .fold(finding, |finding, (_, file, mut all)| {
            all.insert(core);
            finding.mend(format!("echo {} > {}", listed(&all), shell_quoted(&file)))
        })
        .advice(
            "under systemd: AllowedCPUs= of the unit or its slice; in a container: --cpuset-cpus",
        )
}

pub(super) fn isolation(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let read = |path: &str| cores(&host.read(path).unwrap_or_default());
    let mut isolated = read(&format!("{CPU}/isolated"));
    // A partition of cgroup version 2.
    isolated.extend(read("sys/fs/cgroup/cpuset.cpus.isolated"));
    let Some(config) = view.config else {
        let list = if isolated.is_empty() { "none".to_owned() } else { listed(&isolated) };
        return vec![Finding::ok(Check::Isolation, format!("isolated cores: {list}"))];
    };
    let workers: BTreeSet<u32> = config.dpdk.worker_cores.iter().copied().collect();
    let mut findings = Vec::new();
    let shared: BTreeSet<_> = workers.difference(&isolated).copied().collect();
    if !shared.is_empty() {
        let list = listed(&shared);
        let all = listed(&isolated.union(&workers).copied().collect::<BTreeSet<_>>());
        let found = match shared.len() {
            1 => format!("worker core {list} is not isolated"),
            _ => format!("worker cores {list} are not isolated"),
        };
        let is_for_nics = config.ports.iter().any(|port| pci_address(&port.device).is_some());
        let finding = if is_for_nics {
            let cause = "the kernel runs other work there, and frames are lost meanwhile";
            Finding::warning(Check::Isolation, found, cause)
        } else {
            Finding::note(Check::Isolation, found)
        };
        let arguments = format!("isolcpus={all} nohz_full={all} rcu_nocbs={all}");
        let afterwards = "then the kernel puts nothing else on these cores";
        findings.push(boot_arguments::add(finding, host, &arguments, afterwards));
    }
    if workers.contains(&config.dpdk.main_core) {
        findings.push(beside_control(config.dpdk.main_core));
    }
    findings.extend(siblings(host, &workers));
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Isolation, format!("isolated: {}", listed(&workers))));
    }
    findings
}

fn beside_control(main_core: u32) -> Finding {
    Finding::warning(
        Check::Isolation,
        format!("core {main_core} has a worker and the control thread"),
        "the control thread gets half of the core, and the worker stands still meanwhile",
    )
    .advice("set `main-core` in [dpdk] to a core that is not among worker-cores")
}

/// Workers that share one physical core.
fn siblings(host: &Host, workers: &BTreeSet<u32>) -> Option<Finding> {
    let of = |core: &u32| {
        cores(
            &host
                .read(format!("{CPU}/cpu{core}/topology/thread_siblings_list"))
                .unwrap_or_default(),
        )
    };
    let pair = workers.iter().find_map(|core| {
        let other = of(core).into_iter().find(|other| other > core && workers.contains(other))?;
        Some((*core, other))
    });
    let (core, other) = pair?;
    Some(
        Finding::warning(
            Check::Isolation,
            format!("workers on {core} and {other} share one physical core"),
            "the cores are hyper-threads, and each gets little more than half of the physical core",
        )
        .advice("use one core of each pair in worker-cores: `lscpu -e` shows the pairs"),
    )
}

pub(super) fn governor(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let cores = match view.config {
        Some(config) => config.dpdk.worker_cores.iter().copied().collect(),
        None => host.online(),
    };
    let file = |core: u32| format!("{CPU}/cpu{core}/cpufreq/scaling_governor");
    let of = |core: &u32| host.read(file(*core)).map(|governor| (*core, governor));
    let all: Vec<_> = cores.iter().filter_map(of).collect();
    if all.is_empty() {
        return vec![Finding::ok(
            Check::Governor,
            "the kernel does not change the frequency of these cores",
        )];
    }
    let slow: Vec<_> = all.iter().filter(|(_, governor)| governor != "performance").collect();
    let Some((_, governor)) = slow.first() else {
        return vec![Finding::ok(Check::Governor, "performance")];
    };
    let list = listed(slow.iter().map(|(core, _)| core));
    let of = if slow.len() == 1 { "core" } else { "cores" };
    let finding = Finding::warning(
        Check::Governor,
        format!("the frequency governor of {of} {list} is {governor}"),
        "it slows a core down that looks idle, and the core takes time to speed up again",
    );
    let command =
        |finding: Finding, core| finding.mend(format!("echo performance > /{}", file(core)));
    let finding = slow.iter().map(|(core, _)| *core).fold(finding, command);
    vec![finding.advice(
        "to set it at each boot: GOVERNOR=performance in /etc/default/cpufrequtils (package \
         cpufrequtils)",
    )]
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::*;
    use crate::config::Config;

    fn with_cores(workers: &[u32], main: u32) -> Config {
        let mut config = config(&["net_null0"]);
        config.dpdk.worker_cores = workers.to_vec();
        config.dpdk.main_core = main;
        config
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let fixture = TestHost::new().cores(4);
        let finding = fixture.problem(&with_cores(&[1, 97], 0), usable);
        assert_eq!(finding.found, "core 97 is not on this machine");
        assert_eq!(finding.cause, "this machine has cores 0,1,2,3");
        assert!(finding.advice.ends_with("cores of this machine: 0,1,2,3"), "{finding}");
        fixture.all_is_well(&with_cores(&[1, 2], 0), usable);
        let finding = fixture.problem(&with_cores(&[8, 9], 0), usable);
        assert_eq!(finding.found, "cores 8,9 are not on this machine");
        let finding = fixture.problem(&with_cores(&[1], 5000), usable);
        assert!(finding.found.starts_with("core 5000 is beyond"), "{finding}");
    }

    #[test]
    fn a_core_that_is_offline_is_brought_back() {
        let fixture = TestHost::new().cores(4).file("sys/devices/system/cpu/online", "0,2-3");
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert_eq!(finding.found, "core 1 is offline");
        assert_eq!(finding.mend, ["echo 1 > /sys/devices/system/cpu/cpu1/online"]);
    }

    #[test]
    fn a_core_outside_the_cpuset_is_let_in() {
        let mut fixture = TestHost::new().cores(4).file("proc/self/cgroup", "0::/system.slice/x\n");
        fixture.host.allowed = Some(BTreeSet::from([0, 2]));
        // No group is to be seen from here.
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert_eq!(finding.mend, ["echo 0,1,2 > /sys/fs/cgroup/system.slice/x/cpuset.cpus"]);
        let fixture = fixture.directory("sys/fs/cgroup/system.slice");
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert!(finding.mend.is_empty(), "{finding}");
        assert!(finding.cause.contains("above /system.slice/x"), "{finding}");
        // It is not the process's own group: that has what the one above it has.
        let fixture = fixture
            .file("sys/fs/cgroup/system.slice/x/cpuset.cpus", "\n")
            .file("sys/fs/cgroup/system.slice/cpuset.cpus", "0,2\n");
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert!(finding.cause.contains("its cgroup /system.slice leaves"), "{finding}");
        assert_eq!(finding.mend, ["echo 0,1,2 > /sys/fs/cgroup/system.slice/cpuset.cpus"]);
        let fixture = fixture.file("sys/fs/cgroup/system.slice/x/cpuset.cpus", "2\n");
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert_eq!(finding.mend[1], "echo 1,2 > /sys/fs/cgroup/system.slice/x/cpuset.cpus");
        let fixture = fixture
            .file("proc/self/cgroup", "5:devices:/\n3:cpuset:/y\n0::/\n")
            .file("sys/fs/cgroup/cpuset/cpuset.cpus", "0-3\n")
            .file("sys/fs/cgroup/cpuset/y/cpuset.cpus", "0\n");
        let finding = fixture.problem(&with_cores(&[1], 0), usable);
        assert_eq!(finding.mend, ["echo 0,1 > /sys/fs/cgroup/cpuset/y/cpuset.cpus"]);
    }

    #[test]
    fn workers_want_their_cores_alone() {
        let fixture = TestHost::new().cores(4);
        fixture.all_is_well(&with_cores(&[2, 3], 0), isolation);
        let mut with_nic = with_cores(&[2, 3], 0);
        with_nic.ports[0].device = "0000:01:00.0".to_owned();
        let finding = fixture.warning(&with_nic, isolation);
        assert_eq!(finding.found, "worker cores 2,3 are not isolated");
        assert!(finding.advice.contains("isolcpus=2,3 nohz_full=2,3"), "{finding}");
        let isolated = fixture.file("sys/devices/system/cpu/isolated", "2-3\n");
        isolated.all_is_well(&with_cores(&[2, 3], 0), isolation);
        let finding = isolated.warning(&with_cores(&[2, 3], 2), isolation);
        assert_eq!(finding.found, "core 2 has a worker and the control thread");
        let paired =
            isolated.file("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "2-3");
        let finding = paired.warning(&with_cores(&[2, 3], 0), isolation);
        assert!(finding.found.contains("share one physical core"), "{finding}");
    }

    #[test]
    fn workers_want_full_speed() {
        let file = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
        let fixture = TestHost::new().cores(2);
        fixture.all_is_well(&with_cores(&[1], 0), governor);
        let fixture = fixture.file(file, "powersave\n");
        let finding = fixture.warning(&with_cores(&[1], 0), governor);
        assert_eq!(finding.mend, [format!("echo performance > /{file}")]);
        fixture.file(file, "performance\n").all_is_well(&with_cores(&[1], 0), governor);
    }

    #[test]
    fn a_host_alone_is_described() {
        let fixture = TestHost::new().cores(2);
        for check in [usable, isolation, governor] {
            assert!(fixture.of_host(check).iter().all(|f| f.severity == Severity::Ok));
        }
    }
}
