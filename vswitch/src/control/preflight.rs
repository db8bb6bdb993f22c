//! What can be known to be wrong before DPDK is started, and how to mend it.
//!
//! DPDK's own messages come late and say little. What is wrong with permissions, interfaces and the
//! socket is found here at once and reported together; nothing is started or changed. Cores and
//! hugepages are [`crate::dpdk::eal`]'s to check.

use std::fmt;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::unistd::geteuid;

use super::netdev;
use crate::config::Config;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong, and where.
    pub cause: String,
    /// What would be right, or which command mends it.
    pub way_out: String,
}

impl Finding {
    fn new(cause: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { cause: cause.into(), way_out: way_out.into() }
    }
}

/// Everything that was found wrong; not empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, finding) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{}\n  help: {}", finding.cause, finding.way_out)?;
        }
        Ok(())
    }
}

/// Looks at everything.
///
/// # Errors
/// What is wrong.
pub fn check(config: &Config) -> Result<(), Findings> {
    let mut findings = Vec::new();
    permissions(config, &mut findings);
    devices(config, &mut findings);
    host_interfaces(config, &mut findings);
    socket(&config.api.socket, &mut findings);
    if findings.is_empty() { Ok(()) } else { Err(Findings(findings)) }
}

/// The capabilities by number (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

fn has_capability(number: u32) -> bool {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return geteuid().is_root() };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 != 0)
}

fn permissions(config: &Config, findings: &mut Vec<Finding>) {
    let uses = |driver: &str| config.ports.iter().any(|p| p.device.starts_with(driver));
    let mut missing = Vec::new();
    let needs_admin = !config.vteps.is_empty() || uses("net_tap") || uses("net_af_xdp");
    if needs_admin && !has_capability(CAP_NET_ADMIN) {
        missing.push("CAP_NET_ADMIN (host interfaces, TAP and AF_XDP ports)");
    }
    if (uses("net_af_packet") || uses("net_af_xdp")) && !has_capability(CAP_NET_RAW) {
        missing.push("CAP_NET_RAW (AF_PACKET and AF_XDP ports)");
    }
    if !missing.is_empty() {
        findings.push(Finding::new(
            format!("no permission: this user lacks {}", missing.join(" and ")),
            "run vswitch as root, or give the process these capabilities",
        ));
    }
}

fn devices(config: &Config, findings: &mut Vec<Finding>) {
    for port in &config.ports {
        if let Some(name) = netdev::missing_interface(&port.device) {
            findings.push(Finding::new(
                format!("port {:?}: there is no interface {name:?} (device {:?})", port.name, port.device),
                "`ip link` lists the interfaces of this network namespace; create it, or correct iface=",
            ));
        }
    }
}

fn host_interfaces(config: &Config, findings: &mut Vec<Finding>) {
    for vtep in &config.vteps {
        if netdev::exists(&vtep.host_interface) {
            findings.push(Finding::new(
                format!(
                    "vtep {:?}: host-interface: an interface {:?} exists already",
                    vtep.name, vtep.host_interface
                ),
                format!(
                    "choose another name, or remove it with `ip link delete {}` if nothing uses it",
                    vtep.host_interface
                ),
            ));
        }
    }
}

fn socket(path: &Path, findings: &mut Vec<Finding>) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        findings.push(Finding::new(
            format!("[api] socket: the directory {} does not exist", folder.display()),
            format!("create it with `install -d -m 0750 {}`", folder.display()),
        ));
    } else if UnixStream::connect(path).is_ok() {
        findings.push(Finding::new(
            format!("[api] socket: somebody answers on {} already", path.display()),
            "another vswitch is running: stop it, or give this one a socket of its own",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_read_as_cause_and_help() {
        let findings = Findings(vec![Finding::new("a", "b"), Finding::new("c", "d")]);
        assert_eq!(findings.to_string(), "a\n  help: b\nc\n  help: d");
    }
}
