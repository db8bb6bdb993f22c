//! A host made of files, for the tests of the checks.

use std::fs;
use std::os::unix::fs::symlink;

use super::finding::{Finding, Severity};
use super::host::Host;
use super::view::{CheckFn, Purpose, StateSeen, View};
use crate::config::{self, Config, sample};
use crate::kernel::netdev::Link;

/// A tree of files below a temporary root.
pub struct TestHost {
    folder: tempfile::TempDir,
    pub host: Host,
    pub purpose: Purpose,
    pub state: Option<StateSeen>,
}

impl TestHost {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::at(folder.path());
        Self { folder, host, purpose: Purpose::Report, state: None }
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.folder.path().join(path)).unwrap();
        self
    }

    /// A symbolic link, as sysfs has them for drivers and groups. The target need not exist.
    pub fn symlink(self, path: &str, target: &str) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
        self
    }

    pub fn hugepages(self, folder: &str, total: u32, free: u32) -> Self {
        let folder = format!("{folder}/hugepages-2048kB");
        self.file(&format!("{folder}/nr_hugepages"), &total.to_string())
            .file(&format!("{folder}/free_hugepages"), &free.to_string())
    }

    /// A NUMA node with cores and hugepages.
    pub fn node(self, node: u32, cores: &str, total: u32, free: u32) -> Self {
        let folder = format!("sys/devices/system/node/node{node}");
        self.file(&format!("{folder}/cpulist"), cores).hugepages(
            &format!("{folder}/hugepages"),
            total,
            free,
        )
    }

    /// Cores, all online.
    pub fn cores(mut self, count: u32) -> Self {
        for core in 0..count {
            self = self.directory(&format!("sys/devices/system/cpu/cpu{core}"));
        }
        self.file("sys/devices/system/cpu/online", &format!("0-{}", count - 1))
    }

    pub fn link(mut self, name: &str, link: Link) -> Self {
        self.host.links.insert(name.to_owned(), link);
        self
    }

    pub fn findings(&self, config: &Config, check: CheckFn) -> Vec<Finding> {
        check(&self.view(config))
    }

    pub fn view<'a>(&'a self, config: &'a Config) -> View<'a> {
        let (state, purpose) = (self.state.as_ref(), self.purpose);
        View { host: &self.host, config: Some(config), state, purpose }
    }

    /// Without a configuration.
    pub fn of_host(&self, check: CheckFn) -> Vec<Finding> {
        check(&View::of_host(&self.host))
    }

    pub fn problems(&self, config: &Config, check: CheckFn) -> Vec<Finding> {
        let mut all = self.findings(config, check);
        all.retain(|finding| finding.severity == Severity::Problem);
        all
    }

    /// The one finding of a severity. It must have a cause and a remedy, and nothing may be worse.
    pub fn only(&self, config: &Config, check: CheckFn, severity: Severity) -> Finding {
        let all = self.findings(config, check);
        assert!(all.iter().all(|finding| finding.severity <= severity), "{all:#?}");
        let mut those: Vec<_> = all.into_iter().filter(|f| f.severity == severity).collect();
        assert_eq!(those.len(), 1, "{those:#?}");
        let finding = those.remove(0);
        if severity > Severity::Note {
            assert!(!finding.cause.is_empty(), "{finding:#?}");
            assert!(!finding.mend.is_empty() || !finding.advice.is_empty(), "{finding:#?}");
        }
        finding
    }

    pub fn problem(&self, config: &Config, check: CheckFn) -> Finding {
        self.only(config, check, Severity::Problem)
    }

    pub fn warning(&self, config: &Config, check: CheckFn) -> Finding {
        self.only(config, check, Severity::Warning)
    }

    /// Nothing is wrong, and a finding says so.
    pub fn all_is_well(&self, config: &Config, check: CheckFn) {
        let all = self.findings(config, check);
        assert!(!all.is_empty());
        assert!(all.iter().all(|finding| finding.severity <= Severity::Note), "{all:#?}");
    }
}

/// A configuration with ports `p0`, `p1`, … of these devices. The first is the uplink of VTEP `v`,
/// the others are in network `n`; worker on core 1, main core 0, 512 MiB.
pub fn config(devices: &[&str]) -> Config {
    let mut text = String::from("[dpdk]\nworker-cores = [1]\nmain-core = 0\nmemory-mib = 512\n");
    for (n, device) in devices.iter().enumerate() {
        text += &sample::port(&format!("p{n}"), device);
    }
    text += &sample::vtep("v", "p0", 1);
    let ports: Vec<_> = (1..devices.len()).map(|n| format!("p{n}")).collect();
    let ports: Vec<_> = ports.iter().map(String::as_str).collect();
    let overlay = "vtep = \"v\"\nremote-vteps = [\"198.51.100.2\"]";
    text += &sample::network("n", 5, overlay, &ports);
    config::parse("test", &text).unwrap()
}
