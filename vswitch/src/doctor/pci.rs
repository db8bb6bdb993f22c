//! PCI devices: whether they exist, the kernel driver that they are bound to, and the files of vfio.

use super::finding::{Check, Finding};
use super::host::Host;
use super::view::View;
use super::{interface_use, iommu};
use crate::config::Port;
use crate::config::device::pci_address;
use crate::text::shell_quoted;

const DEVICES: &str = "sys/bus/pci/devices";

/// Kernel drivers that give a device to DPDK.
const FOR_DPDK: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];
/// Kernel drivers that keep their device while DPDK uses it.
const SHARED: [&str; 3] = ["mlx4_core", "mlx5_core", "mana"];
/// Drivers that vfio tolerates on other devices of a group.
const HARMLESS: [&str; 4] = ["vfio-pci", "pcieport", "pci-stub", "shpchp"];

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return listed(view.host) };
    let mut findings = Vec::new();
    for port in &config.ports {
        if let Some(address) = pci_address(&port.device) {
            findings.extend(device(view.host, &who(port), &address));
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

/// The NICs of a host, and their drivers.
fn listed(host: &Host) -> Vec<Finding> {
    let is_nic = |address: &String| class(host, address).is_some_and(|class| is_network(&class));
    let nics: Vec<_> = host.list(DEVICES).into_iter().filter(is_nic).collect();
    let line = |address: &String| {
        let folder = format!("{DEVICES}/{address}");
        let driver = host.link_name(format!("{folder}/driver")).unwrap_or("no driver".into());
        let names = interfaces(host, address).join(", ");
        let names = if names.is_empty() { String::new() } else { format!(", {names}") };
        let node = host.node_of_device(&folder);
        let node = node.map_or(String::new(), |node| format!(", NUMA node {node}"));
        Finding::ok(Check::Device, format!("NIC {address}: {driver}{names}{node}"))
    };
    let mut findings: Vec<_> = nics.iter().map(line).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Device, "no PCI NIC is on this machine"));
    }
    findings.push(iommu::of_host(host));
    findings
}

/// Everything about a PCI device. `who` names the port in the findings.
#[must_use]
pub fn device(host: &Host, who: &str, address: &str) -> Vec<Finding> {
    let folder = format!("{DEVICES}/{address}");
    if !host.has(&folder) {
        return vec![
            Finding::problem(
                Check::Device,
                format!("{who}: there is no PCI device {address}"),
                "the address is wrong, or the device was removed",
            )
            .mend("echo 1 > /sys/bus/pci/rescan")
            .advice("the command finds a device that was removed; `lspci -D` lists the PCI devices of this \
                 machine"),
        ];
    }
    let driver = host.link_name(format!("{folder}/driver"));
    let group = host.link_name(format!("{folder}/iommu_group"));
    let found = format!("{who}: {address} is there");
    let mut findings = vec![Finding::ok(Check::Device, found)];
    match driver.as_deref() {
        Some(driver) if SHARED.contains(&driver) => findings.push(Finding::ok(
            Check::Driver,
            format!("{who}: {address} is bound to {driver}, which shares it with DPDK"),
        )),
        Some("vfio-pci") => {
            findings.push(bound(who, address, "vfio-pci"));
            findings.extend(vfio(host, who, address, group.as_deref()));
        }
        Some(driver) if FOR_DPDK.contains(&driver) => {
            findings.push(bound(who, address, driver));
            findings.extend(uio(host, who, address, driver, group.is_some()));
        }
        driver => {
            let to = if group.is_some() || iommu::is_unsafe_allowed(host) {
                "vfio-pci"
            } else {
                "uio_pci_generic"
            };
            if group.is_none() {
                findings.push(iommu::missing(host, who, address));
            }
            findings.push(unbound(host, who, address, driver, to));
        }
    }
    findings
}

fn bound(who: &str, address: &str, driver: &str) -> Finding {
    Finding::ok(Check::Driver, format!("{who}: {address} is bound to {driver}"))
}

fn class(host: &Host, address: &str) -> Option<String> {
    host.read(format!("{DEVICES}/{address}/class"))
}

/// Class 02: network controllers.
fn is_network(class: &str) -> bool {
    class.starts_with("0x02")
}

/// The kernel interfaces of a device in this network namespace.
fn interfaces(host: &Host, address: &str) -> Vec<String> {
    let folder = format!("{DEVICES}/{address}");
    let mut names = host.list(format!("{folder}/net"));
    // The interface of a virtio NIC belongs to a child device.
    for child in host.list(&folder).iter().filter(|name| name.starts_with("virtio")) {
        names.extend(host.list(format!("{folder}/{child}/net")));
    }
    names
}

/// The MTU of a NIC that the kernel's driver shares with DPDK: that of its interface. Other NICs get
/// DPDK's default of 1500.
pub fn mtu_beside_kernel(host: &Host, address: &str) -> Option<u32> {
    let driver = host.link_name(format!("{DEVICES}/{address}/driver"))?;
    let names = if SHARED.contains(&&*driver) { interfaces(host, address) } else { Vec::new() };
    Some(host.links.get(names.first()?)?.mtu)
}

/// Why a device should not be taken from the kernel's driver, in words.
fn in_the_way(host: &Host, address: &str, driver: &str) -> Option<String> {
    let class = class(host, address).unwrap_or_else(|| "unknown".to_owned());
    if !is_network(&class) {
        return Some(format!("it is no NIC (PCI class {class})"));
    }
    let interfaces = interfaces(host, address);
    if interfaces.is_empty() {
        return Some(format!(
            "{driver} has no interface for it here: it may be in use in another network namespace"
        ));
    }
    interfaces.iter().find_map(|name| interface_use::used_for(host, name))
}

/// A device that is not bound to a driver that DPDK can use.
fn unbound(host: &Host, who: &str, address: &str, driver: Option<&str>, to: &str) -> Finding {
    let found = match driver {
        Some(driver) => format!("{who}: {address} is bound to the kernel's {driver}"),
        None => format!("{who}: {address} is not bound to a driver"),
    };
    let cause = match to {
        "vfio-pci" => "DPDK needs it bound to vfio-pci",
        _ => "DPDK needs it bound to vfio-pci or, without an IOMMU, as here, to uio_pci_generic",
    };
    let finding = Finding::problem(Check::Driver, found, cause);
    let (load, bind) = (format!("modprobe {to}"), bind(host, address, driver, to));
    if let Some(why) = driver.and_then(|driver| in_the_way(host, address, driver)) {
        return finding.advice(format!(
            "careful: a bound device disappears from the kernel, and {why}; use another device, or \
             move that elsewhere first; to bind it: `{load}`, then `{bind}`"
        ));
    }
    finding.mend(load).mend(bind).advice(format!(
        "a bound NIC disappears from the kernel; only driverctl binds it again at each boot; to undo \
         it, name the kernel's driver in place of {to}, or run `driverctl unset-override {address}`"
    ))
}

/// The command that binds a device, with a tool that is installed.
fn bind(host: &Host, address: &str, from: Option<&str>, to: &str) -> String {
    let has = |tool: &str| {
        ["usr/bin", "usr/sbin"].iter().any(|folder| host.has(format!("{folder}/{tool}")))
    };
    if has("driverctl") {
        format!("driverctl set-override {address} {to}")
    } else if has("dpdk-devbind.py") {
        format!("dpdk-devbind.py --bind={to} {address}")
    } else {
        let device = format!("/{DEVICES}/{address}");
        let unbind =
            from.map_or(String::new(), |_| format!("echo {address} > {device}/driver/unbind; "));
        format!(
            "echo {to} > {device}/driver_override; {unbind}\
             echo {address} > /sys/bus/pci/drivers_probe"
        )
    }
}

/// A device on a uio driver, which accesses memory by physical addresses.
fn uio(host: &Host, who: &str, address: &str, driver: &str, has_iommu: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !host.is_root() {
        findings.push(
            Finding::problem(
                Check::Driver,
                format!("{who}: {address} is on {driver}, and this process does not run as root"),
                "the device uses physical addresses, which only root may see",
            )
            .advice("run as root, or bind the device to vfio-pci, which needs an IOMMU"),
        );
    }
    findings.push(if has_iommu {
        Finding::warning(
            Check::Iommu,
            format!("{who}: {address} is on {driver}, which bypasses the IOMMU"),
            "the device can write to all memory, or to none (without iommu=pt), and DPDK needs root",
        )
        .mend("modprobe vfio-pci")
        .mend(bind(host, address, Some(driver), "vfio-pci"))
    } else {
        iommu::unprotected(host, who, address, driver)
    });
    findings
}

/// A device on vfio-pci: its group, and the files of vfio.
fn vfio(host: &Host, who: &str, address: &str, group: Option<&str>) -> Vec<Finding> {
    if !host.has("dev/vfio/vfio") {
        return vec![
            Finding::problem(
                Check::Vfio,
                format!("{who}: /dev/vfio/vfio is missing"),
                "vfio is not loaded, or this container was not given the device",
            )
            .mend("modprobe vfio-pci"),
        ];
    }
    let Some(group) = group else { return Vec::new() };
    let strangers = strangers(host, address);
    if !strangers.is_empty() {
        return vec![shared_group(host, who, address, group, &strangers)];
    }
    let is_unsafe = iommu::is_unsafe(host, group);
    let file = group_file(host, group);
    let may = nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK;
    if nix::unistd::access(&host.path(&file), may) == Err(nix::errno::Errno::EACCES) {
        return vec![
            Finding::problem(
                Check::Vfio,
                format!("{who}: no permission to open {file}"),
                "the file of the device's IOMMU group belongs to another user",
            )
            .mend(format!("chown {} {}", host.user(), shell_quoted(&file)))
            .advice("to give it to this user at each boot, use a udev rule; or run as root"),
        ];
    }
    let mut findings = vec![Finding::ok(Check::Vfio, format!("{who}: group {group}"))];
    if is_unsafe {
        findings.push(iommu::unprotected(host, who, address, "vfio-pci"));
    }
    findings
}

/// A group with devices that the kernel uses. Commands take them from the kernel only if they are NICs
/// that are not in use: a disk may be among them.
fn shared_group(
    host: &Host,
    who: &str,
    address: &str,
    group: &str,
    strangers: &[(String, String)],
) -> Finding {
    let names: Vec<_> =
        strangers.iter().map(|(other, driver)| format!("{other} ({driver})")).collect();
    let finding = Finding::problem(
        Check::Vfio,
        format!(
            "{who}: IOMMU group {group} of {address} has devices that the kernel uses: {}",
            names.join(", ")
        ),
        "vfio gives away a whole group, because its devices can reach each other's memory",
    );
    let with_carrier = |other: &str| {
        let interfaces = interfaces(host, other);
        let is_on = |name: &&String| host.links.get(*name).is_some_and(|link| link.has_carrier);
        interfaces.iter().find(is_on).map(|name| format!("{name} has a carrier"))
    };
    let in_the_way = strangers.iter().find_map(|(other, driver)| {
        let why = in_the_way(host, other, driver).or_else(|| with_carrier(other))?;
        Some(format!("for {other}, {why}"))
    });
    if let Some(why) = in_the_way {
        return finding.advice(format!(
            "move the NIC to another slot; the other devices could be bound to vfio-pci too, but {why}"
        ));
    }
    strangers
        .iter()
        .fold(finding, |finding, (other, driver)| {
            finding.mend(bind(host, other, Some(driver), "vfio-pci"))
        })
        .advice("the commands take them from the kernel; or move the NIC to another slot")
}

/// The file of a group.
pub(super) fn group_file(host: &Host, group: &str) -> String {
    format!("/dev/vfio/{}{group}", if iommu::is_unsafe(host, group) { "noiommu-" } else { "" })
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
    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::*;
    use crate::kernel::netdev::Link;

    const NIC: &str = "0000:01:00.0";

    fn nic() -> TestHost {
        TestHost::new().file(&format!("{DEVICES}/{NIC}/class"), "0x020000\n")
    }

    fn bound_to(driver: &str) -> TestHost {
        nic().symlink(&format!("{DEVICES}/{NIC}/driver"), &format!("/drivers/{driver}"))
    }

    /// Bound to a kernel driver, with an interface that is not in use.
    fn idle(driver: &str) -> TestHost {
        bound_to(driver).directory(&format!("{DEVICES}/{NIC}/net/eth3"))
    }

    /// In group 7, alone unless a test adds others.
    fn in_group(fixture: TestHost) -> TestHost {
        let group = fixture.host.path("groups/7");
        fixture
            .directory("groups/7/devices")
            .symlink(&format!("{DEVICES}/{NIC}/iommu_group"), group.to_str().unwrap())
    }

    #[test]
    fn a_device_that_is_not_there() {
        let finding = TestHost::new().problem(&config(&[NIC]), check);
        assert_eq!(
            (finding.check, &*finding.mend[0]),
            (Check::Device, "echo 1 > /sys/bus/pci/rescan")
        );
        assert!(finding.advice.contains("lspci -D"), "{finding}");
    }

    #[test]
    fn a_device_bound_to_the_kernels_driver_is_bound_to_vfio() {
        let fixture = in_group(idle("ixgbe"));
        let finding = fixture.problem(&config(&[NIC]), check);
        assert_eq!(finding.found, "port \"p0\": 0000:01:00.0 is bound to the kernel's ixgbe");
        let device = format!("/{DEVICES}/{NIC}");
        let by_hand = format!(
            "echo vfio-pci > {device}/driver_override; echo {NIC} > {device}/driver/unbind; \
             echo {NIC} > /sys/bus/pci/drivers_probe"
        );
        assert_eq!(finding.mend, ["modprobe vfio-pci", &by_hand]);
        let with = |tool: &str| {
            in_group(idle("ixgbe")).file(tool, "").problem(&config(&[NIC]), check).mend
        };
        assert_eq!(
            with("usr/bin/dpdk-devbind.py")[1],
            "dpdk-devbind.py --bind=vfio-pci 0000:01:00.0"
        );
        assert_eq!(with("usr/sbin/driverctl")[1], "driverctl set-override 0000:01:00.0 vfio-pci");
    }

    #[test]
    fn what_no_driver_has_is_not_taken_from_one() {
        let finding = in_group(nic()).problem(&config(&[NIC]), check);
        assert_eq!(finding.found, "port \"p0\": 0000:01:00.0 is not bound to a driver");
        assert!(!finding.mend[1].contains("unbind"), "{finding}");
    }

    #[test]
    fn no_command_takes_away_what_the_host_uses() {
        let route = "Iface\tDestination\teth3\nbond0\t00000000\t0101A8C0\n";
        let route = |fixture: TestHost| fixture.file("proc/net/route", route);
        let disk = idle("ahci").file(&format!("{DEVICES}/{NIC}/class"), "0x010601\n");
        let virtio =
            route(bound_to("virtio-pci")).directory(&format!("{DEVICES}/{NIC}/virtio0/net/bond0"));
        let in_bond = route(idle("ixgbe")).symlink("sys/class/net/eth3/upper_bond0", "bond0");
        for (fixture, why) in [
            (in_bond, "bond0 has the default route of this host"),
            (virtio, "bond0 has the default route of this host"),
            (disk, "it is no NIC (PCI class 0x010601)"),
            (bound_to("ixgbe"), "another network namespace"),
        ] {
            let finding = in_group(fixture).problem(&config(&[NIC]), check);
            assert!(finding.mend.is_empty() && finding.advice.contains(why), "{finding}");
        }
    }

    #[test]
    fn without_an_iommu_that_is_said_beside_what_does_without() {
        let found = |fixture: &TestHost, wanted: Check| {
            let all = fixture.findings(&config(&[NIC]), check);
            all.into_iter().find(|finding| finding.check == wanted).unwrap()
        };
        let fixture = idle("e1000e");
        let driver = found(&fixture, Check::Driver);
        assert_eq!(driver.mend[0], "modprobe uio_pci_generic");
        assert!(driver.cause.contains("without an IOMMU, as here"), "{driver}");
        assert_eq!(found(&fixture, Check::Iommu).severity, Severity::Warning);
        let unsafe_mode = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
        let allowed = idle("e1000e").file(unsafe_mode, "Y\n");
        assert_eq!(found(&allowed, Check::Driver).mend[0], "modprobe vfio-pci");
        assert_eq!(found(&allowed, Check::Iommu).severity, Severity::Warning);
    }

    #[test]
    fn a_device_that_no_iommu_watches_is_named() {
        let uio = bound_to("uio_pci_generic");
        let finding = uio.warning(&config(&[NIC]), check);
        assert!(finding.found.ends_with("is on uio_pci_generic, without an IOMMU"), "{finding}");
        assert!(finding.advice.contains("DPDK needs root"), "{finding}");
        let another = uio.file("proc/self/status", "Uid:\t7\t7\t7\t7\n");
        assert!(another.problem(&config(&[NIC]), check).found.contains("does not run as root"));
        let beside = in_group(bound_to("igb_uio")).warning(&config(&[NIC]), check);
        assert!(beside.found.ends_with("which bypasses the IOMMU"), "{beside}");
        assert_eq!(beside.mend[0], "modprobe vfio-pci");
        let unsafe_mode =
            in_group(bound_to("vfio-pci")).file("dev/vfio/vfio", "").file("dev/vfio/noiommu-7", "");
        let finding = unsafe_mode.warning(&config(&[NIC]), check);
        assert!(finding.found.ends_with("is on vfio-pci, without an IOMMU"), "{finding}");
    }

    #[test]
    fn a_device_that_vfio_has_needs_its_files_and_its_group() {
        let fixture = in_group(bound_to("vfio-pci"));
        let finding = fixture.problem(&config(&[NIC]), check);
        assert_eq!(finding.found, "port \"p0\": /dev/vfio/vfio is missing");
        let fixture = fixture.file("dev/vfio/vfio", "").file("dev/vfio/7", "");
        fixture.all_is_well(&config(&[NIC]), check);
    }

    #[test]
    fn the_others_of_a_group_are_taken_only_if_nobody_uses_them() {
        const OTHER: &str = "0000:01:00.1";
        let up = |has_carrier| Link { is_up: true, has_carrier, ..Link::default() };
        let with = |class: &str, driver: &str, has_carrier| {
            let fixture = in_group(bound_to("vfio-pci"))
                .file("dev/vfio/vfio", "")
                .file(&format!("{DEVICES}/{OTHER}/class"), class)
                .directory(&format!("{DEVICES}/{OTHER}/net/eth4"))
                .symlink(&format!("groups/7/devices/{OTHER}/driver"), &format!("/drivers/{driver}"))
                .link("eth4", up(has_carrier));
            fixture.problem(&config(&[NIC]), check)
        };
        let finding = with("0x020000", "e1000e", false);
        assert!(finding.found.ends_with("the kernel uses: 0000:01:00.1 (e1000e)"), "{finding}");
        assert!(finding.mend[0].contains(OTHER), "{finding}");
        for (finding, why) in [
            (with("0x020000", "e1000e", true), "for 0000:01:00.1, eth4 has a carrier"),
            (with("0x010601", "ahci", false), "for 0000:01:00.1, it is no NIC"),
        ] {
            assert!(finding.mend.is_empty() && finding.advice.contains(why), "{finding}");
        }
    }

    #[test]
    fn some_nics_stay_with_the_kernel() {
        bound_to("mlx5_core").all_is_well(&config(&[NIC]), check);
        TestHost::new().all_is_well(&config(&["net_null0"]), check);
    }

    #[test]
    fn the_nics_of_a_host_are_listed() {
        let all = bound_to("ixgbe").directory(&format!("{DEVICES}/{NIC}/net/eth3")).of_host(check);
        assert_eq!(all[0].found, "NIC 0000:01:00.0: ixgbe, eth3");
        assert_eq!((all[1].check, all[1].severity), (Check::Iommu, Severity::Note));
    }
}
