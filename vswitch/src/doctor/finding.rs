//! What a check reports: the severity, what it found, the cause, and commands or advice that mend it.

use std::fmt;

use serde::Serialize;

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal,)*) => {
        /// A check. The names are stable: JSON, logs and `docs/doctor.md` have them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Check {
            $($(#[$doc])* #[serde(rename = $name)] $check,)*
        }

        impl Check {
            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name,)* }
            }
        }
    };
}

checks! {
    /// Capabilities of the process.
    Permissions = "permissions",
    /// `memory-mib` against the computed need.
    Memory = "memory",
    /// Free hugepages against `memory-mib`.
    Hugepages = "hugepages",
    /// The main core and the worker cores exist and can be used.
    Cores = "cores",
    /// Worker cores have nothing else to do.
    Isolation = "isolation",
    /// The frequency governor of the worker cores.
    Governor = "governor",
    /// Workers and NICs are on the same NUMA node.
    Numa = "numa",
    /// PCI devices exist.
    Device = "device",
    /// The kernel driver of a PCI device.
    Driver = "driver",
    /// The IOMMU that vfio-pci needs.
    Iommu = "iommu",
    /// Files and groups of vfio.
    Vfio = "vfio",
    /// The limit of locked memory.
    Memlock = "memlock",
    /// DPDK's driver plugins.
    Plugins = "plugins",
    /// Kernel interfaces behind virtual devices.
    Interfaces = "interfaces",
    /// The kernel's own stack on interfaces that the switch reads.
    Quiet = "quiet",
    /// MTUs from tenant to uplink.
    Mtu = "mtu",
    /// `/dev/net/tun`.
    Tun = "tun",
    /// Socket families.
    Kernel = "kernel",
    /// Names and addresses of host interfaces.
    HostInterface = "host-interface",
    /// The API's socket.
    Socket = "socket",
    /// TCP addresses.
    Listen = "listen",
    /// The state directory.
    State = "state",
    /// Certificate, key and token of the API over TCP.
    Tls = "tls",
    /// An error of DPDK (`run` only).
    Dpdk = "dpdk",
}

/// How bad a finding is, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong.
    Ok,
    /// Worth knowing, or could not be checked.
    Note,
    /// The switch starts, but frames will be slow, lost or answered twice.
    Warning,
    /// The switch does not start.
    Problem,
}

impl Severity {
    /// The name in the JSON.
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

/// One result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, on one line.
    pub found: String,
    /// The cause, or the consequence; empty if nothing is wrong.
    pub cause: String,
    /// Commands that mend it, for root to run in this order; may be empty.
    pub mend: Vec<String>,
    /// Advice in words; may be empty.
    pub advice: String,
}

impl Finding {
    fn new(check: Check, severity: Severity, found: impl Into<String>) -> Self {
        let (cause, mend, advice) = (String::new(), Vec::new(), String::new());
        Self { check, severity, found: found.into(), cause, mend, advice }
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Severity::Ok, found)
    }

    /// Something worth knowing.
    #[must_use]
    pub fn note(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Severity::Note, found)
    }

    /// Something that does not keep the switch from starting.
    #[must_use]
    pub fn warning(check: Check, found: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, found).because(cause)
    }

    /// Something that keeps the switch from starting.
    #[must_use]
    pub fn problem(check: Check, found: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(check, Severity::Problem, found).because(cause)
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    /// Adds a command.
    #[must_use]
    pub fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend.push(command.into());
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

/// Advice to set a value in the configuration file.
pub(super) fn set(key: &str, value: impl fmt::Display, table: impl fmt::Display) -> String {
    format!("set `{key} = {value}` in {table}")
}

/// The form in which `run` prints a finding.
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

/// The findings that keep a switch from starting; not empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
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
