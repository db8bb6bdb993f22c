//! PCI devices: that they are there, the driver that holds them, the IOMMU, and vfio's files.

use super::edit::quoted;
use super::host::Host;
use super::{Check, Finding, View, cores};
use crate::config::Port;
use crate::config::device::pci_address;

const DEVICES: &str = "sys/bus/pci/devices";

/// Kernel drivers that hold a device for DPDK.
const FOR_DPDK: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];
/// Kernel drivers that DPDK works beside: the device stays theirs.
const SHARED: [&str; 3] = ["mlx4_core", "mlx5_core", "mana"];
/// Drivers that do not make a group of devices unusable for vfio.
const HARMLESS: [&str; 4] = ["vfio-pci", "pcieport", "pci-stub", "shpchp"];

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return listed(view.host) };
    let mut findings = Vec::new();
    for port in &config.ports {
        if let Some(address) = pci_address(&port.device) {
            findings.extend(device(view, &who(port), &address));
        }
    }
    if findings.is_empty() && config.ports.iter().all(|port| pci_address(&port.device).is_none()) {
        findings.push(Finding::ok(Check::Device, "no port is a PCI device"));
    }
    findings
}

fn who(port: &Port) -> String {
    format!("port {:?}", port.name)
}

/// The NICs of a host, and who holds them.
fn listed(host: &Host) -> Vec<Finding> {
    // Class 02: network controllers.
    let is_nic = |address: &String| {
        host.read(format!("{DEVICES}/{address}/class"))
            .is_some_and(|class| class.starts_with("0x02"))
    };
    let nics: Vec<_> = host.list(DEVICES).into_iter().filter(is_nic).collect();
    let line = |address: &String| {
        let folder = format!("{DEVICES}/{address}");
        let driver = host.link_name(format!("{folder}/driver")).unwrap_or("no driver".into());
        let names = host.list(format!("{folder}/net")).join(", ");
        let names = if names.is_empty() { String::new() } else { format!(", {names}") };
        let node = host.node_of_device(&folder);
        let node = node.map_or(String::new(), |node| format!(", NUMA node {node}"));
        Finding::ok(Check::Device, format!("NIC {address}: {driver}{names}{node}"))
    };
    let mut findings: Vec<_> = nics.iter().map(line).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Device, "no PCI NIC is on this machine"));
    }
    let on = has_iommu(host);
    let found = if on { "on" } else { "off, or there is none: NICs need it for vfio-pci" };
    findings.push(if on {
        Finding::ok(Check::Iommu, found)
    } else {
        Finding::note(Check::Iommu, found)
    });
    findings
}

fn has_iommu(host: &Host) -> bool {
    !host.list("sys/class/iommu").is_empty() || !host.list("sys/kernel/iommu_groups").is_empty()
}

/// vfio without IOMMU was allowed.
fn is_unsafe_allowed(host: &Host) -> bool {
    host.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode").as_deref() == Some("Y")
}

/// Everything about a PCI device. `who` has it, in words.
#[must_use]
pub fn device(view: &View<'_>, who: &str, address: &str) -> Vec<Finding> {
    let host = view.host;
    let folder = format!("{DEVICES}/{address}");
    if !host.has(&folder) {
        return vec![
            Finding::problem(
                Check::Device,
                format!("{who}: there is no PCI device {address}"),
                "the address is wrong, or the device was removed",
            )
            .mend("echo 1 > /sys/bus/pci/rescan")
            .advice("that finds a device again that was removed; `lspci -D` lists the PCI devices of this machine"),
        ];
    }
    let driver = host.link_name(format!("{folder}/driver"));
    let group = host.link_name(format!("{folder}/iommu_group"));
    let found = format!("{who}: {address} is there");
    let mut findings = vec![Finding::ok(Check::Device, found)];
    match driver.as_deref() {
        Some(driver) if SHARED.contains(&driver) => findings.push(Finding::ok(
            Check::Driver,
            format!("{who}: {address} stays with {driver}, beside which DPDK works"),
        )),
        Some(driver) if FOR_DPDK.contains(&driver) => {
            let found = format!("{who}: {address} is bound to {driver}");
            findings.push(Finding::ok(Check::Driver, found));
            if driver == "vfio-pci" {
                findings.extend(vfio(view, who, address, group.as_deref()));
            }
        }
        driver => {
            let to = if group.is_some() || is_unsafe_allowed(host) {
                "vfio-pci"
            } else {
                "uio_pci_generic"
            };
            if to != "vfio-pci" {
                findings.push(no_iommu(host, who, address));
            }
            findings.push(unbound(host, who, address, driver, to));
        }
    }
    findings
}

/// A device that the kernel has, or nobody.
fn unbound(host: &Host, who: &str, address: &str, driver: Option<&str>, to: &str) -> Finding {
    let found = match driver {
        Some(driver) => format!("{who}: the kernel's {driver} holds {address}"),
        None => format!("{who}: no driver holds {address}"),
    };
    let interfaces = host.list(format!("{DEVICES}/{address}/net"));
    let way_in = interfaces.iter().find(|name| has_default_route(host, name));
    let advice = match way_in {
        Some(name) => format!(
            "careful: {name} has the default route of this host, and a bound NIC is gone from the kernel"
        ),
        None => format!(
            "a bound NIC is gone from the kernel; to keep it bound without driverctl, bind it at each boot; \
             back: the same with the kernel's driver in place of {to}"
        ),
    };
    Finding::problem(Check::Driver, found, format!("DPDK takes a NIC from {to} only"))
        .mend(format!("modprobe {to}"))
        .mend(bind(host, address, to))
        .advice(advice)
}

/// The command that binds a device, by the tool that is there.
fn bind(host: &Host, address: &str, to: &str) -> String {
    let has = |tool: &str| {
        ["usr/bin", "usr/sbin"].iter().any(|folder| host.has(format!("{folder}/{tool}")))
    };
    if has("driverctl") {
        format!("driverctl set-override {address} {to}")
    } else if has("dpdk-devbind.py") {
        format!("dpdk-devbind.py --bind={to} {address}")
    } else {
        let device = format!("/{DEVICES}/{address}");
        format!(
            "echo {to} > {device}/driver_override; echo {address} > {device}/driver/unbind; \
             echo {address} > /sys/bus/pci/drivers_probe"
        )
    }
}

fn has_default_route(host: &Host, interface: &str) -> bool {
    let routes = host.read("proc/net/route").unwrap_or_default();
    routes.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.next() == Some(interface) && fields.next() == Some("00000000")
    })
}

fn no_iommu(host: &Host, who: &str, address: &str) -> Finding {
    let cpu = host.read("proc/cpuinfo").unwrap_or_default();
    let argument = if cpu.contains("AuthenticAMD") { "amd_iommu=on" } else { "intel_iommu=on" };
    let line = host.read("proc/cmdline").unwrap_or_default();
    let is_asked = line.split_whitespace().any(|word| word == argument);
    let is_virtual =
        cpu.lines().any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let cause = match (is_virtual, is_asked) {
        (true, _) => "this is a virtual machine without an IOMMU, or it is not turned on",
        (false, true) => "the kernel was told to use one, and the firmware has it turned off",
        (false, false) => "the kernel was not told to use one",
    };
    let found = format!("{who}: no IOMMU for {address}, which vfio-pci needs");
    let finding = Finding::warning(Check::Iommu, found, cause);
    let advice =
        "without one the device can write to all of the memory: then uio_pci_generic, as root";
    if is_asked {
        finding.advice(format!("turn VT-d or AMD-Vi on in the firmware; {advice}"))
    } else {
        let advice = format!(
            "the machine is booted anew, and then the device can be bound to vfio-pci; {advice}"
        );
        finding.mend(cores::kernel_arguments(&format!("{argument} iommu=pt"))).advice(advice)
    }
}

/// A device that vfio-pci holds: its group, and its files.
fn vfio(view: &View<'_>, who: &str, address: &str, group: Option<&str>) -> Vec<Finding> {
    let host = view.host;
    if !host.has("dev/vfio/vfio") {
        return vec![
            Finding::problem(
                Check::Vfio,
                format!("{who}: /dev/vfio/vfio is missing"),
                "vfio is not loaded, or a container was not given the device",
            )
            .mend("modprobe vfio-pci"),
        ];
    }
    let Some(group) = group else { return Vec::new() };
    let strangers = strangers(host, address);
    if !strangers.is_empty() {
        let names: Vec<_> =
            strangers.iter().map(|(other, driver)| format!("{other} ({driver})")).collect();
        let finding = Finding::problem(
            Check::Vfio,
            format!(
                "{who}: IOMMU group {group} of {address} has devices that the kernel uses: {}",
                names.join(", ")
            ),
            "vfio gives a group away as a whole, because its devices can reach each other's memory",
        );
        return strangers
            .iter()
            .fold(finding, |finding, (other, _)| finding.mend(bind(host, other, "vfio-pci")))
            .advice("or move the NIC to another slot")
            .into();
    }
    let file = group_file(host, group);
    let may = nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK;
    if nix::unistd::access(&host.path(&file), may) == Err(nix::errno::Errno::EACCES) {
        return vec![
            Finding::problem(
                Check::Vfio,
                format!("{who}: no permission to open {file}"),
                "the file of the device's group is another user's",
            )
            .mend(format!("chown {} {}", host.user(), quoted(&file)))
            .advice("that is this user; at each boot by a rule of udev; or run as root"),
        ];
    }
    vec![Finding::ok(Check::Vfio, format!("{who}: group {group}"))]
}

/// vfio's file of a group.
pub(super) fn group_file(host: &Host, group: &str) -> String {
    // Of an unsafe group: /dev/vfio/noiommu-N.
    let of_unsafe = format!("/dev/vfio/noiommu-{group}");
    if host.has(&of_unsafe) { of_unsafe } else { format!("/dev/vfio/{group}") }
}

/// The other devices of a group that are in use, with their drivers.
fn strangers(host: &Host, address: &str) -> Vec<(String, String)> {
    let others = format!("{DEVICES}/{address}/iommu_group/devices");
    let stranger = |other: String| {
        let driver = host.link_name(format!("{others}/{other}/driver"))?;
        (other != address && !HARMLESS.contains(&driver.as_str())).then_some((other, driver))
    };
    host.list(&others).into_iter().filter_map(stranger).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::super::fixture::{Fixture, config};
    use super::*;

    const NIC: &str = "0000:01:00.0";

    fn nic() -> Fixture {
        Fixture::new().file(&format!("{DEVICES}/{NIC}/class"), "0x020000\n")
    }

    fn bound_to(driver: &str) -> Fixture {
        nic().points(&format!("{DEVICES}/{NIC}/driver"), &format!("/drivers/{driver}"))
    }

    /// In group 7, alone but for what is added.
    fn in_group(fixture: Fixture) -> Fixture {
        let group = fixture.host.path("groups/7");
        fixture
            .directory("groups/7/devices")
            .points(&format!("{DEVICES}/{NIC}/iommu_group"), group.to_str().unwrap())
    }

    #[test]
    fn a_device_that_is_not_there() {
        let finding = Fixture::new().problem(&config(&[NIC]), check);
        assert_eq!(
            (finding.check, &*finding.mend[0]),
            (Check::Device, "echo 1 > /sys/bus/pci/rescan")
        );
        assert!(finding.advice.contains("lspci -D"), "{finding}");
    }

    #[test]
    fn a_device_bound_to_the_kernels_driver_is_bound_to_vfio() {
        let fixture = in_group(bound_to("ixgbe"));
        let finding = fixture.problem(&config(&[NIC]), check);
        assert_eq!(finding.found, "port \"p0\": the kernel's ixgbe holds 0000:01:00.0");
        assert_eq!(finding.mend[0], "modprobe vfio-pci");
        assert!(
            finding.mend[1].contains(&format!("echo vfio-pci > /{DEVICES}/{NIC}/driver_override"))
        );
        let with = |tool: &str| {
            in_group(bound_to("ixgbe")).file(tool, "").problem(&config(&[NIC]), check).mend
        };
        assert_eq!(
            with("usr/bin/dpdk-devbind.py")[1],
            "dpdk-devbind.py --bind=vfio-pci 0000:01:00.0"
        );
        assert_eq!(with("usr/sbin/driverctl")[1], "driverctl set-override 0000:01:00.0 vfio-pci");
    }

    #[test]
    fn the_way_in_is_not_bound_without_a_word() {
        let fixture = in_group(bound_to("ixgbe"))
            .directory(&format!("{DEVICES}/{NIC}/net/eth3"))
            .file("proc/net/route", "Iface\tDestination\neth3\t00000000\t0101A8C0\n");
        let finding = fixture.problem(&config(&[NIC]), check);
        assert!(finding.advice.starts_with("careful: eth3 has the default route"), "{finding}");
    }

    #[test]
    fn without_an_iommu_it_is_turned_on_or_done_without() {
        let fixture = bound_to("e1000e").file("proc/cpuinfo", "vendor_id : AuthenticAMD\n");
        let all = fixture.findings(&config(&[NIC]), check);
        let iommu = all.iter().find(|finding| finding.check == Check::Iommu).unwrap();
        assert!(iommu.mend[0].contains("amd_iommu=on iommu=pt"), "{iommu}");
        let driver = all.iter().find(|finding| finding.check == Check::Driver).unwrap();
        assert_eq!(
            (driver.severity, &*driver.mend[0]),
            (Severity::Problem, "modprobe uio_pci_generic")
        );
        let asked = fixture.file("proc/cmdline", "quiet amd_iommu=on\n");
        let all = asked.findings(&config(&[NIC]), check);
        let iommu = all.iter().find(|finding| finding.check == Check::Iommu).unwrap();
        assert!(iommu.mend.is_empty() && iommu.advice.contains("firmware"), "{iommu}");
        let unsafe_mode = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
        let allowed = bound_to("e1000e").file(unsafe_mode, "Y\n");
        assert_eq!(allowed.problem(&config(&[NIC]), check).mend[0], "modprobe vfio-pci");
    }

    #[test]
    fn a_device_that_vfio_has_needs_its_files_and_its_group() {
        let fixture = in_group(bound_to("vfio-pci"));
        let finding = fixture.problem(&config(&[NIC]), check);
        assert_eq!(finding.found, "port \"p0\": /dev/vfio/vfio is missing");
        let fixture = fixture.file("dev/vfio/vfio", "").file("dev/vfio/7", "");
        fixture.all_is_well(&config(&[NIC]), check);
        let fixture = fixture.points("groups/7/devices/0000:01:00.1/driver", "/drivers/e1000e");
        let finding = fixture.problem(&config(&[NIC]), check);
        assert!(finding.found.ends_with("the kernel uses: 0000:01:00.1 (e1000e)"), "{finding}");
        assert!(finding.mend[0].contains("0000:01:00.1"), "{finding}");
    }

    #[test]
    fn some_nics_stay_with_the_kernel() {
        bound_to("mlx5_core").all_is_well(&config(&[NIC]), check);
        Fixture::new().all_is_well(&config(&["net_null0"]), check);
    }

    #[test]
    fn the_nics_of_a_host_are_listed() {
        let all = bound_to("ixgbe").directory(&format!("{DEVICES}/{NIC}/net/eth3")).of_host(check);
        assert_eq!(all[0].found, "NIC 0000:01:00.0: ixgbe, eth3");
        assert_eq!((all[1].check, all[1].severity), (Check::Iommu, Severity::Note));
    }
}
