//! The IOMMU, which confines a NIC to the memory that it was given: whether there is one, and if not,
//! why.

use super::boot_arguments;
use super::finding::{Check, Finding};
use super::host::Host;

/// The consequence of having none.
const WITHOUT: &str = "without one the device can write to all memory, and DPDK needs root";

/// Whether the host has one.
pub fn of_host(host: &Host) -> Finding {
    let has_one = !host.list("sys/class/iommu").is_empty()
        || !host.list("sys/kernel/iommu_groups").is_empty();
    if has_one {
        Finding::ok(Check::Iommu, "on")
    } else {
        Finding::note(Check::Iommu, "no IOMMU is on: vfio-pci needs one")
    }
}

/// Whether vfio's no-IOMMU mode is allowed.
pub fn is_unsafe_allowed(host: &Host) -> bool {
    host.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode").as_deref() == Some("Y")
}

/// Whether vfio made a group in no-IOMMU mode.
pub fn is_unsafe(host: &Host, group: &str) -> bool {
    host.has(format!("dev/vfio/noiommu-{group}"))
}

/// A warning about a device that DPDK uses without an IOMMU.
pub fn unprotected(host: &Host, who: &str, address: &str, by: &str) -> Finding {
    Finding {
        found: format!("{who}: {address} is on {by}, without an IOMMU"),
        ..missing(host, who, address)
    }
}

/// A warning that a device has no IOMMU, with the cause and the remedy.
pub fn missing(host: &Host, who: &str, address: &str) -> Finding {
    let cpu = host.read("proc/cpuinfo").unwrap_or_default();
    let line = host.read("proc/cmdline").unwrap_or_default();
    let found = format!("{who}: no IOMMU for {address}, which vfio-pci needs");
    let finding = |cause: &str| Finding::warning(Check::Iommu, found.clone(), cause);
    let is_intel = cpu.contains("GenuineIntel");
    if let Some(word) = turned_off(&line) {
        let cause = format!("the kernel was told not to use one: {word} is on its command line");
        return finding(&cause).advice(format!(
            "take {word} off the kernel's command line (/etc/default/grub, then `update-grub`) and \
             reboot; {WITHOUT}"
        ));
    }
    if cpu.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor")) {
        let asked = if is_intel { ", and intel_iommu=on on the kernel's command line" } else { "" };
        return finding("this is a virtual machine without an IOMMU, or it is not turned on")
            .advice(format!("give the virtual machine one{asked}; {WITHOUT}"));
    }
    if is_intel && intel(&line) != Some("intel_iommu=on") {
        let cause = "the kernel was not told to use one, or it is turned off in the firmware";
        let then = format!("if there is still none, turn VT-d on in the firmware; {WITHOUT}");
        return boot_arguments::add(finding(cause), host, "intel_iommu=on iommu=pt", &then);
    }
    // The kernel uses AMD's IOMMU without an argument.
    let name = if is_intel { "VT-d" } else { "AMD-Vi, IOMMU or SMMU" };
    finding("the kernel uses one if it finds one: it is turned off in the firmware")
        .advice(format!("turn {name} on in the firmware; {WITHOUT}"))
}

/// The last `intel_iommu=` argument, which is the one that counts.
fn intel(line: &str) -> Option<&'static str> {
    let values = line.split_whitespace().filter_map(|word| word.strip_prefix("intel_iommu="));
    let last =
        values.flat_map(|value| value.split(',')).rfind(|option| ["on", "off"].contains(option));
    last.map(|option| if option == "on" { "intel_iommu=on" } else { "intel_iommu=off" })
}

/// The argument that turned the IOMMU off. A later `intel_iommu=on` overrules an earlier off; nothing
/// overrules the other arguments.
fn turned_off(line: &str) -> Option<&str> {
    let is_off = |word: &&str| {
        let value = word.strip_prefix("iommu=").or_else(|| word.strip_prefix("amd_iommu="));
        value.is_some_and(|value| value.split(',').any(|option| option == "off"))
    };
    let off = line.split_whitespace().find(is_off);
    off.or_else(|| intel(line).filter(|word| word.ends_with("off")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::test_host::TestHost;
    use super::*;

    const INTEL: &str = "vendor_id : GenuineIntel\n";
    const AMD: &str = "vendor_id : AuthenticAMD\n";

    fn why(cpu: &str, line: &str) -> Finding {
        let fixture = TestHost::new()
            .file("proc/cpuinfo", cpu)
            .file("proc/cmdline", line)
            .file("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n");
        missing(&fixture.host, "port \"p0\"", "0000:01:00.0")
    }

    #[test]
    fn intels_is_asked_for() {
        let finding = why(INTEL, "quiet\n");
        assert!(finding.mend[0].contains("&intel_iommu=on iommu=pt "), "{finding}");
        assert!(finding.advice.contains("VT-d") && finding.advice.contains("root"), "{finding}");
        let asked = why(INTEL, "intel_iommu=sm_on,on\n");
        assert!(asked.mend.is_empty() && asked.cause.contains("firmware"), "{asked}");
    }

    #[test]
    fn amds_is_a_matter_of_the_firmware() {
        let finding = why(AMD, "quiet\n");
        assert!(finding.mend.is_empty() && finding.advice.contains("AMD-Vi"), "{finding}");
    }

    #[test]
    fn what_turns_it_off_is_named() {
        for (cpu, line, word) in [
            (INTEL, "intel_iommu=on intel_iommu=off", "intel_iommu=off"),
            (INTEL, "intel_iommu=on iommu=off", "iommu=off"),
            (AMD, "iommu=pt amd_iommu=off", "amd_iommu=off"),
        ] {
            let finding = why(cpu, line);
            assert!(finding.cause.contains(&format!(": {word} is on")), "{line}: {finding}");
            assert!(finding.mend.is_empty() && finding.advice.contains(word), "{finding}");
        }
        let again = why(INTEL, "intel_iommu=off intel_iommu=on");
        assert!(again.cause.contains("firmware"), "{again}");
    }

    #[test]
    fn a_virtual_machine_is_given_one() {
        let finding = why("vendor_id : GenuineIntel\nflags : fpu hypervisor\n", "");
        assert!(finding.mend.is_empty() && finding.advice.contains("intel_iommu=on"), "{finding}");
    }

    #[test]
    fn a_host_has_one_or_is_told() {
        assert_eq!(of_host(&TestHost::new().host).severity, Severity::Note);
        let fixture = TestHost::new().directory("sys/kernel/iommu_groups/0");
        assert_eq!(of_host(&fixture.host).severity, Severity::Ok);
    }
}
