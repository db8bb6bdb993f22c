//! What the text that names a device says: a PCI address or a virtual device's driver, with
//! arguments after commas (DPDK calls it devargs). And why DPDK refuses it. Control thread.

use std::fs;
use std::path::Path;

use super::{Error, Said, errno_text};

/// The PCI address in a device's name (`01:00.0` or `0000:01:00.0`, perhaps with arguments after a
/// comma), in full; `None` if it is a virtual device. A PCI device must be in
/// [`super::eal::EalArgs::pci_devices`].
#[must_use]
pub fn pci_address(device: &str) -> Option<String> {
    let name = device.split(',').next()?;
    let (rest, function) = name.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let (slot, bus, domain) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0000"));
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let valid = parts.next().is_none()
        && (4..=8).any(|len| hex(domain, len))
        && hex(bus, 2)
        && hex(slot, 2)
        && hex(function, 1);
    valid.then(|| format!("{domain}:{bus}:{slot}.{function}").to_ascii_lowercase())
}

/// The value of one of a device's arguments.
pub(super) fn argument<'a>(device: &'a str, key: &str) -> Option<&'a str> {
    device.split(',').skip(1).find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// Why DPDK did not make a device, from what it said and what can be seen from here.
pub(super) fn explain_refusal(device: &str, pci: Option<&str>, errno: i32, said: Said) -> Error {
    let error = |cause: &str, way_out: &str, said| {
        Error::new(format!("device {device}: {cause}"), way_out, said)
    };
    if let Some(address) = pci {
        let devices = Path::new("/sys/bus/pci/devices");
        let (cause, way_out) = explain_pci(address, devices, errno, &said);
        return error(&cause, &way_out, said);
    }
    // Not net_tap's: there it names the TAP to be made.
    let key = if device.starts_with("net_tap") { "remote" } else { "iface" };
    if let Some(interface) = argument(device, key)
        && nix::net::if_::if_nametoindex(interface) == Err(nix::errno::Errno::ENODEV)
    {
        return error(
            &format!("interface {interface} does not exist in this network namespace"),
            &format!("make the interface first, or correct {key}="),
            said,
        );
    }
    if !nix::unistd::geteuid().is_root() {
        let way_out = "run as root, or give CAP_NET_ADMIN and CAP_NET_RAW";
        return error("DPDK cannot open it, and this process is not root's", way_out, said);
    }
    if said.contains("failed to parse device") {
        return error(
            "DPDK has no driver of this name",
            "write net_DRIVERn,ARGUMENT=VALUE,…; Debian has the drivers in packages librte-net-*",
            said,
        );
    }
    // Drivers return -1 for anything, which reads as "not permitted".
    let reason = if errno == -libc::EPERM { String::new() } else { errno_text(-errno) };
    error(
        &format!("its driver refuses it. {reason}"),
        "check its arguments (DPDK guide, \"Network Interface Controller Drivers\")",
        said,
    )
}

/// Why DPDK did not take a PCI device, and the way out. `devices` is sysfs's folder of them.
fn explain_pci(address: &str, devices: &Path, errno: i32, said: &Said) -> (String, String) {
    let folder = devices.join(address);
    if !folder.exists() {
        let way_out = "`lspci -D` lists the PCI devices of this machine";
        return ("there is no such PCI device".to_owned(), way_out.to_owned());
    }
    let driver = link_name(&folder.join("driver"));
    let group = link_name(&folder.join("iommu_group"));
    match (driver.as_deref(), group) {
        (Some("vfio-pci"), Some(group)) => explain_vfio(&folder, &group, errno, said),
        (Some("vfio-pci" | "uio_pci_generic" | "igb_uio"), _) => explain_bound(errno),
        (driver, group) => {
            let cause = driver.map_or_else(
                || "no kernel driver holds it for DPDK".to_owned(),
                |driver| format!("DPDK has no driver for it while the kernel's {driver} holds it"),
            );
            let bind = |driver: &str| {
                format!("`modprobe {driver}; dpdk-devbind.py --bind={driver} {address}`")
            };
            let way_out = if group.is_some() {
                format!("bind it: {}", bind("vfio-pci"))
            } else {
                format!(
                    "vfio-pci needs an IOMMU, and the kernel has none for it: turn it on (firmware; \
                     intel_iommu=on or amd_iommu=on), then {}; or without: {}",
                    bind("vfio-pci"),
                    bind("uio_pci_generic")
                )
            };
            (cause, way_out)
        }
    }
}

/// Why a device that vfio-pci holds is refused.
fn explain_vfio(folder: &Path, group: &str, errno: i32, said: &Said) -> (String, String) {
    if said.contains("resource busy") {
        (
            "another process has it".to_owned(),
            format!("stop that process: `fuser -v /dev/vfio/{group}` names it"),
        )
    } else if said.contains("ermission denied") {
        (
            format!("no permission to open /dev/vfio/{group}"),
            "run as root, or make the file the service's user's".to_owned(),
        )
    } else if said.contains("not viable") {
        let group_devices = fs::read_dir(folder.join("iommu_group/devices"));
        let others: Vec<_> = group_devices
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| Some(entry.file_name().as_os_str()) != folder.file_name())
            .filter_map(|entry| Some((entry.file_name(), link_name(&entry.path().join("driver"))?)))
            .filter(|(_, driver)| !matches!(driver.as_str(), "vfio-pci" | "pcieport" | "pci-stub"))
            .map(|(address, driver)| format!("{} ({driver})", address.to_string_lossy()))
            .collect();
        (
            format!("its IOMMU group {group} has devices that the kernel uses"),
            format!(
                "bind them to vfio-pci too, or to no driver: {}; or move the NIC to another slot",
                others.join(", ")
            ),
        )
    } else if said.contains("allocate memory") {
        (
            "it needs all memory of DPDK locked, and this process may not lock so much".to_owned(),
            "run as root, or raise the limit: LimitMEMLOCK=infinity in the service, or \
             `ulimit -l unlimited`"
                .to_owned(),
        )
    } else {
        explain_bound(errno)
    }
}

/// Why a device that is bound as it should be is refused.
fn explain_bound(errno: i32) -> (String, String) {
    if errno == -libc::ENOTSUP {
        return (
            "DPDK has no driver for it".to_owned(),
            "`lspci -nn` says what it is; Debian has the drivers in packages librte-net-*"
                .to_owned(),
        );
    }
    ("its driver refuses it".to_owned(), "see what DPDK logged, and `dmesg`".to_owned())
}

/// The last part of what a symbolic link points to.
fn link_name(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn pci_addresses_and_virtual_devices() {
        let full = Some("0000:3b:00.1".to_owned());
        assert_eq!(pci_address("3B:00.1"), full);
        assert_eq!(pci_address("0000:3b:00.1,representor=[0-1]"), full);
        assert_eq!(pci_address("10000:3b:00.1"), Some("10000:3b:00.1".to_owned()));
        for other in ["net_null0", "net_af_packet0,iface=eth0.5", "net_pcap0,rx_pcap=a:b.1", ""] {
            assert_eq!(pci_address(other), None, "{other}");
        }
    }

    #[test]
    fn arguments_are_found_by_name() {
        assert_eq!(argument("net_af_packet0,iface=eth1,qpairs=2", "iface"), Some("eth1"));
        assert_eq!(argument("iface=eth1", "iface"), None);
        assert_eq!(argument("net_tap0,ifaces=x", "iface"), None);
    }

    #[test]
    fn pci_refusals_name_the_cause_and_the_way_out() {
        const NIC: &str = "0000:01:00.0";
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (devices, nic) = (folder.path(), folder.path().join(NIC));
        let link = |target: &str, name: &str| {
            let _ = fs::remove_file(nic.join(name));
            symlink(target, nic.join(name)).expect("a symbolic link");
        };
        let explain = |said: &str| explain_pci(NIC, devices, -1, &Said(vec![said.to_owned()]));

        assert_eq!(explain("").0, "there is no such PCI device");

        fs::create_dir(&nic).expect("a folder");
        let (cause, way_out) = explain("EAL: Cannot find device (0000:01:00.0)");
        assert_eq!(cause, "no kernel driver holds it for DPDK");
        assert!(way_out.starts_with("vfio-pci needs an IOMMU"), "{way_out}");

        let group = devices.join("groups/7");
        let other = group.join("devices/0000:01:00.1");
        fs::create_dir_all(&other).expect("a folder");
        symlink("/drivers/e1000e", other.join("driver")).expect("a symbolic link");
        link(group.to_str().expect("a UTF-8 path"), "iommu_group");
        link("/drivers/e1000e", "driver");
        let (cause, way_out) = explain("EAL: Driver cannot attach the device (0000:01:00.0)");
        assert_eq!(cause, "DPDK has no driver for it while the kernel's e1000e holds it");
        let bind = "bind it: `modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci 0000:01:00.0`";
        assert_eq!(way_out, bind);

        link("/drivers/vfio-pci", "driver");
        // As DPDK 22.11 says it.
        for (said, cause) in [
            ("EAL: Cannot open /dev/vfio/7: Device or resource busy", "another process has it"),
            (
                "EAL: Cannot open /dev/vfio/7: Permission denied",
                "no permission to open /dev/vfio/7",
            ),
            (
                "EAL: 0000:01:00.0 DMA remapping failed, error 12 (Cannot allocate memory)",
                "it needs all memory of DPDK locked, and this process may not lock so much",
            ),
            ("EAL: Driver cannot attach the device (0000:01:00.0)", "its driver refuses it"),
        ] {
            assert_eq!(explain(said).0, cause, "{said}");
        }
        let (cause, _) = explain_pci(NIC, devices, -libc::ENOTSUP, &Said::default());
        assert_eq!(cause, "DPDK has no driver for it");
        let (cause, way_out) = explain("EAL: 0000:01:00.0 VFIO group is not viable! Not all …");
        assert_eq!(cause, "its IOMMU group 7 has devices that the kernel uses");
        assert!(way_out.contains("no driver: 0000:01:00.1 (e1000e);"), "{way_out}");
    }
}
