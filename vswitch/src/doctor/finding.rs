//! What a check says: how bad, what was found, why, and the command that mends it.

use std::fmt;

use serde::Serialize;

/// What is looked at. The names are stable: they are in the JSON, in logs and in `docs/doctor.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Capabilities of the process.
    Permissions,
    /// `memory-mib` against the computed need.
    Memory,
    /// Hugepages, per NUMA node, against `memory-mib`.
    Hugepages,
    /// The main core and the workers': there, on line, and for this process.
    Cores,
    /// Whether workers have their cores for themselves.
    Isolation,
    /// The frequency governor of the workers' cores.
    Governor,
    /// Workers and NICs on one NUMA node.
    Numa,
    /// PCI devices: there, and alive.
    Device,
    /// The kernel's driver that holds a PCI device.
    Driver,
    /// The IOMMU that vfio-pci needs.
    Iommu,
    /// vfio's files and groups.
    Vfio,
    /// How much memory may be locked.
    Memlock,
    /// DPDK's driver plugins.
    Plugins,
    /// The kernel's interfaces behind virtual devices.
    Interfaces,
    /// The kernel's own stack on interfaces that the switch reads.
    Quiet,
    /// MTUs from tenant to uplink.
    Mtu,
    /// `/dev/net/tun`.
    Tun,
    /// What else the kernel must be able to do.
    Kernel,
    /// Names and addresses of host interfaces.
    HostInterface,
    /// The API's socket.
    Socket,
    /// TCP addresses.
    Listen,
    /// The state directory.
    State,
    /// Certificate, key and token of the API over TCP.
    Tls,
    /// What DPDK said when it was started or given a device (`run` only).
    Dpdk,
}

impl Check {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permissions => "permissions",
            Self::Memory => "memory",
            Self::Hugepages => "hugepages",
            Self::Cores => "cores",
            Self::Isolation => "isolation",
            Self::Governor => "governor",
            Self::Numa => "numa",
            Self::Device => "device",
            Self::Driver => "driver",
            Self::Iommu => "iommu",
            Self::Vfio => "vfio",
            Self::Memlock => "memlock",
            Self::Plugins => "plugins",
            Self::Interfaces => "interfaces",
            Self::Quiet => "quiet",
            Self::Mtu => "mtu",
            Self::Tun => "tun",
            Self::Kernel => "kernel",
            Self::HostInterface => "host-interface",
            Self::Socket => "socket",
            Self::Listen => "listen",
            Self::State => "state",
            Self::Tls => "tls",
            Self::Dpdk => "dpdk",
        }
    }
}

/// How bad it is, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// To be known; also what could not be seen.
    Note,
    /// The switch starts, and something will be slow, lost or answered twice.
    Warning,
    /// The switch does not start.
    Problem,
}

impl Severity {
    /// In a word, as in the JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// By which check.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen, and where; one line.
    pub found: String,
    /// Why that is so, or what comes of it; empty where there is nothing wrong.
    pub cause: String,
    /// Commands that mend it, to be run as root one after the other; empty where no command can.
    pub mend: Vec<String>,
    /// What to know beside the commands, or to do where none is known; may be empty.
    pub advice: String,
}

impl Finding {
    fn new(check: Check, severity: Severity, found: impl Into<String>) -> Self {
        let (cause, mend, advice) = (String::new(), Vec::new(), String::new());
        Self { check, severity, found: found.into(), cause, mend, advice }
    }

    /// As it should be.
    #[must_use]
    pub fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Severity::Ok, found)
    }

    /// To be known.
    #[must_use]
    pub fn note(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Severity::Note, found)
    }

    /// What does not keep the switch from starting.
    #[must_use]
    pub fn warning(check: Check, found: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, found).because(cause)
    }

    /// What does.
    #[must_use]
    pub fn problem(check: Check, found: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(check, Severity::Problem, found).because(cause)
    }

    /// With the reason.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    /// With a command (another one, if there is one already).
    #[must_use]
    pub fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend.push(command.into());
        self
    }

    /// With a command, if there is one.
    #[must_use]
    pub fn mend_if(self, command: Option<String>) -> Self {
        match command {
            Some(command) => self.mend(command),
            None => self,
        }
    }

    /// With words.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

/// As `run` says it: what, why, and the way out.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)?;
        if !self.cause.is_empty() {
            write!(f, "\n  cause: {}", self.cause)?;
        }
        for command in &self.mend {
            write!(f, "\n  mend:  {command}")?;
        }
        if !self.advice.is_empty() {
            write!(f, "\n  help:  {}", self.advice)?;
        }
        Ok(())
    }
}

/// Everything that keeps the switch from starting; not empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            write!(f, "{}{finding}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_what_why_and_the_way_out() {
        let finding = Finding::problem(Check::Tun, "a", "b").mend("c").mend("d").advice("e");
        let text = "a\n  cause: b\n  mend:  c\n  mend:  d\n  help:  e";
        assert_eq!(finding.to_string(), text);
        let both = Findings(vec![finding, Finding::ok(Check::Mtu, "f")]);
        assert_eq!(both.to_string(), format!("{text}\nf"));
    }

    #[test]
    fn the_json_has_the_stable_names() {
        for check in [Check::HostInterface, Check::Numa, Check::Iommu, Check::Dpdk] {
            assert_eq!(serde_json::to_value(check).unwrap(), check.name());
        }
        assert_eq!(serde_json::to_value(Severity::Problem).unwrap(), Severity::Problem.name());
        assert!(Severity::Problem > Severity::Warning && Severity::Note > Severity::Ok);
    }
}
