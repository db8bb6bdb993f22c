//! DPDK's drivers: plugins in one folder, which EAL loads by itself. EAL does not report a missing one.

use std::path::Path;

use super::finding::{Check, Finding};
use super::host::Host;
use super::view::View;
use crate::config::Config;
use crate::config::device::{driver, pci_address, plugin};
use crate::text::{count, shell_quoted};

/// A plugin that every configuration needs.
const ALWAYS: &str = "mempool_ring";

/// Plugins by PCI vendor ID, for vendors whose NICs all have the same driver.
const BY_VENDOR: [(&str, &str); 3] =
    [("0x1af4", "net_virtio"), ("0x15ad", "net_vmxnet3"), ("0x1d0f", "net_ena")];
/// Plugins by the kernel driver that the NIC is bound to.
const BY_DRIVER: [(&str, &str); 12] = [
    ("e1000", "net_e1000"),
    ("e1000e", "net_e1000"),
    ("igb", "net_e1000"),
    ("igc", "net_igc"),
    ("ixgbe", "net_ixgbe"),
    ("i40e", "net_i40e"),
    ("ice", "net_ice"),
    ("mlx4_core", "net_mlx4"),
    ("mlx5_core", "net_mlx5"),
    ("bnxt_en", "net_bnxt"),
    ("bnx2x", "net_bnx2x"),
    ("qede", "net_qede"),
];

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let host = view.host;
    let Some(folder) = &host.plugins else {
        return vec![Finding::note(Check::Plugins, "this program was built without DPDK")];
    };
    let files = host.list(folder);
    if files.is_empty() {
        let found = format!("DPDK's plugins are missing: {} has none", folder.display());
        let cause = "without them DPDK knows no driver at all";
        return vec![
            Finding::problem(Check::Plugins, found, cause)
                .mend(reinstall(folder))
                .advice("the command is for Debian's DPDK; another DPDK has to be installed again"),
        ];
    }
    // A broken link is no plugin.
    let is_there = |name: &str| {
        let prefix = format!("librte_{name}.so");
        files.iter().any(|file| {
            let rest = file.strip_prefix(&prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                && host.has(folder.join(file))
        })
    };
    let Some(config) = view.config else {
        let drivers = files
            .iter()
            .filter(|file| file.starts_with("librte_net_") && file.ends_with(".so"))
            .count();
        let drivers = count(drivers as u64, "network driver");
        return vec![Finding::ok(Check::Plugins, format!("{drivers} in {}", folder.display()))];
    };
    let mut findings: Vec<_> = needed(host, config)
        .into_iter()
        .filter(|(name, _)| !is_there(name))
        .map(|(name, who)| missing(folder, name, &who))
        .collect();
    findings.extend(config.ports.iter().filter_map(|port| {
        let name = driver(&port.device).filter(|name| name.starts_with("net_"))?;
        (plugin(&port.device).is_none() && !is_there(name))
            .then(|| unknown(&port.name, &port.device, name))
    }));
    if findings.is_empty() {
        let found = format!("all that are needed are in {}", folder.display());
        findings.push(Finding::ok(Check::Plugins, found));
    }
    findings
}

/// The plugins, and why each is needed.
fn needed(host: &Host, config: &Config) -> Vec<(&'static str, String)> {
    let mut needed = vec![(ALWAYS, "packet buffers need it".to_owned())];
    for port in &config.ports {
        let who = format!("port {:?} needs it (device {:?})", port.name, port.device);
        let of_port = match pci_address(&port.device) {
            Some(address) => ["bus_pci"].into_iter().chain(of_nic(host, &address)).collect(),
            None => ["bus_vdev"].into_iter().chain(plugin(&port.device)).collect::<Vec<_>>(),
        };
        for name in of_port {
            if needed.iter().all(|(known, _)| *known != name) {
                needed.push((name, who.clone()));
            }
        }
    }
    needed
}

/// The plugin of a NIC, if that is certain.
fn of_nic(host: &Host, address: &str) -> Option<&'static str> {
    let folder = format!("sys/bus/pci/devices/{address}");
    let vendor = host.read(format!("{folder}/vendor"))?;
    let of_vendor = BY_VENDOR.iter().find(|known| known.0 == vendor).map(|known| known.1);
    of_vendor.or_else(|| {
        let driver = host.link_name(format!("{folder}/driver"))?;
        BY_DRIVER.iter().find(|known| known.0 == driver).map(|known| known.1)
    })
}

fn missing(folder: &Path, name: &str, who: &str) -> Finding {
    Finding::problem(
        Check::Plugins,
        format!("DPDK's plugin librte_{name} is not in {}", folder.display()),
        format!("its Debian package is not installed, and {who}"),
    )
    .mend(format!("apt-get install --reinstall {}", package(folder, name)))
}

/// The command that installs all packages with files in the folder again.
pub(super) fn reinstall(folder: &Path) -> String {
    let folder = shell_quoted(folder.display());
    format!("apt-get install --reinstall $(dpkg -S {folder} | sed 's|: /.*||; s|,||g')")
}

/// Debian's package of a plugin: `librte-net-af-packet23`, `librte-net-e1000-23`.
fn package(folder: &Path, name: &str) -> String {
    let abi = folder
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix("pmds-"));
    let abi = abi.and_then(|abi| abi.split('.').next()).unwrap_or_default();
    let dash = if name.ends_with(|c: char| c.is_ascii_digit()) { "-" } else { "" };
    format!("librte-{}{dash}{abi}", name.replace('_', "-"))
}

/// A driver that is neither known nor in the folder.
fn unknown(port: &str, device: &str, name: &str) -> Finding {
    Finding::problem(
        Check::Plugins,
        format!("port {port:?}: DPDK has no driver {name} (device {device:?})"),
        format!("no plugin librte_{name} is installed, and no other plugin is known to have the driver"),
    )
    .advice(format!(
        "correct the name: net_af_packet, net_af_xdp and net_tap are for kernel interfaces; Debian has \
         the drivers in packages librte-net-*: `apt-cache search librte-net | grep -i {}`",
        shell_quoted(name.trim_start_matches("net_").replace('_', "-"))
    ))
}

#[cfg(test)]
mod tests {
    use super::super::test_host::{TestHost, config};
    use super::*;

    const FOLDER: &str = "usr/lib/dpdk/pmds-23.0";

    fn with(names: &[&str]) -> TestHost {
        let mut fixture = TestHost::new();
        for name in names {
            fixture = fixture.file(&format!("{FOLDER}/librte_{name}.so.23"), "");
        }
        fixture.host.plugins = Some(format!("/{FOLDER}").into());
        fixture
    }

    #[test]
    fn a_plugin_that_is_missing_names_its_package() {
        let veth = config(&["net_af_packet0,iface=up0"]);
        let finding = with(&["mempool_ring", "bus_vdev", "net_af_packets"]).problem(&veth, check);
        assert_eq!(
            finding.found,
            "DPDK's plugin librte_net_af_packet is not in /usr/lib/dpdk/pmds-23.0"
        );
        assert!(finding.cause.contains("port \"p0\" needs it"), "{finding}");
        assert_eq!(finding.mend, ["apt-get install --reinstall librte-net-af-packet23"]);
        with(&["mempool_ring", "bus_vdev", "net_af_packet"]).all_is_well(&veth, check);
        let finding = with(&["bus_vdev", "net_af_packet"]).problem(&veth, check);
        assert_eq!(finding.mend, ["apt-get install --reinstall librte-mempool-ring23"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_plugin() {
        let broken = with(&["mempool_ring", "bus_vdev"])
            .symlink(&format!("{FOLDER}/librte_net_null.so.23"), "../gone");
        assert!(broken.problem(&config(&["net_null0"]), check).found.contains("librte_net_null"));
    }

    #[test]
    fn the_driver_of_a_nic_is_known_where_it_is_certain() {
        let device = "sys/bus/pci/devices/0000:01:00.0";
        let with_nic = |vendor: &str, driver: &str| {
            with(&["mempool_ring", "bus_pci"])
                .file(&format!("{device}/vendor"), vendor)
                .symlink(&format!("{device}/driver"), &format!("/drivers/{driver}"))
        };
        let config = config(&["0000:01:00.0"]);
        for (vendor, driver, package) in [
            ("0x15b3\n", "mlx5_core", "librte-net-mlx5-23"),
            ("0x15b3\n", "mlx4_core", "librte-net-mlx4-23"),
            ("0x14e4\n", "bnx2x", "librte-net-bnx2x23"),
            ("0x8086\n", "ixgbe", "librte-net-ixgbe23"),
            ("0x1d0f\n", "vfio-pci", "librte-net-ena23"),
        ] {
            let finding = with_nic(vendor, driver).problem(&config, check);
            assert_eq!(finding.mend, [format!("apt-get install --reinstall {package}")]);
        }
        // It may be bnxt, and it may be bnx2x.
        with_nic("0x14e4\n", "vfio-pci").all_is_well(&config, check);
    }

    #[test]
    fn a_driver_of_no_plugin() {
        let fixture = with(&["mempool_ring", "bus_vdev"]);
        let finding = fixture.problem(&config(&["net_nonsense0,iface=ta"]), check);
        assert!(finding.found.contains("no driver net_nonsense"), "{finding}");
        assert!(
            finding.mend.is_empty() && finding.advice.contains("grep -i nonsense"),
            "{finding}"
        );
        let own = with(&["mempool_ring", "bus_vdev", "net_nonsense"]);
        own.all_is_well(&config(&["net_nonsense0"]), check);
    }

    #[test]
    fn no_plugins_at_all_or_no_dpdk() {
        let mut fixture = TestHost::new().directory(FOLDER);
        fixture.host.plugins = Some(FOLDER.into());
        let finding = fixture.problem(&config(&["net_null0"]), check);
        assert!(finding.found.contains("are missing"), "{finding}");
        assert!(finding.mend[0].contains("$(dpkg -S usr/lib/dpdk/pmds-23.0 | sed "), "{finding}");
        TestHost::new().all_is_well(&config(&["net_null0"]), check);
        assert!(with(&["net_null"]).of_host(check)[0].found.contains("network driver"));
    }
}
