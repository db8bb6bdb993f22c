//! The causes of DPDK's errors, with commands and advice.
//!
//! The checks find most causes before DPDK is called. The others are recognized by a text in the log
//! of DPDK 22.11, or by the state of the device. Any other error quotes the last line of DPDK's log.

use std::path::Path;

use super::finding::{Check, Finding, Severity};
use super::host::Host;
use super::{cores, hugepages, interfaces, memory, pci, permissions, plugins};
use crate::config::device::{driver, interfaces_needed, pci_address, ring_arguments, ring_slot};
use crate::config::{Config, Dpdk, overrides_memory};
use crate::control::start_error::StartError;
use crate::dpdk::error::{Answer, DeviceCall, DeviceError, Error};
use crate::text::shell_quoted;

/// A cause that is recognized by a text in DPDK's log.
struct Cause {
    text: &'static str,
    check: Check,
    cause: &'static str,
    remedy: Remedy,
}

/// The remedy for a cause.
#[derive(Clone, Copy)]
enum Remedy {
    Advice(&'static str),
    ReserveHugepages,
    ProtectPlugins,
    ReinstallPlugins,
    CreateRuntimeFolder,
}

const fn cause(text: &'static str, check: Check, cause: &'static str, remedy: Remedy) -> Cause {
    Cause { text, check, cause, remedy }
}

/// Causes why EAL does not start, the more certain first.
const EAL_CAUSES: [Cause; 13] = [
    cause(
        "world-writable and insecure",
        Check::Plugins,
        "DPDK loads no plugins from a folder to which everybody may write",
        Remedy::ProtectPlugins,
    ),
    cause(
        "cannot open shared object file",
        Check::Plugins,
        "a plugin needs a library that is not installed",
        Remedy::ReinstallPlugins,
    ),
    cause(
        "Error creating",
        Check::Permissions,
        "EAL cannot create its runtime folder",
        Remedy::CreateRuntimeFolder,
    ),
    cause(
        "Not enough memory available",
        Check::Hugepages,
        "fewer hugepages are free than memory-mib asks for, on the nodes of these cores or at all",
        Remedy::ReserveHugepages,
    ),
    cause(
        "Cannot get hugepage information",
        Check::Hugepages,
        "no hugepage is reserved, or the kernel has none",
        Remedy::ReserveHugepages,
    ),
    cause(
        "mmap more hugepages",
        Check::Hugepages,
        "free hugepages cannot be used: a cgroup limits them (hugetlb), or another process was faster",
        Remedy::Advice(
            "raise the limit (hugetlb.2MB.max of the cgroup or the container), or start again",
        ),
    ),
    cause(
        "Cannot allocate memory",
        Check::Memory,
        "the kernel does not give DPDK memory-mib: a cgroup limits it, or no more is left",
        Remedy::Advice("lower memory-mib, or raise the limit (MemoryMax= of the unit)"),
    ),
    cause(
        "Cannot use IOVA as 'PA'",
        Check::Permissions,
        "physical addresses were asked for, and this process may not see them",
        Remedy::Advice("remove --iova-mode=pa from eal-args, or run as root"),
    ),
    cause(
        "unsupported cpu",
        Check::Kernel,
        "this DPDK was built for another processor",
        Remedy::Advice(
            "install a DPDK for this machine; in a virtual machine, pass the host's processor through",
        ),
    ),
    cause(
        "ermission denied",
        Check::Permissions,
        "this process may not open what DPDK names",
        Remedy::Advice("run as root, or give the service access to what DPDK names below"),
    ),
    cause(
        "Invalid 'command line' arguments",
        Check::Dpdk,
        "EAL does not understand its arguments",
        Remedy::Advice("correct eal-args; `dpdk-testpmd --help` prints EAL's arguments"),
    ),
    // EAL logs this for each page size that has no free page, even if another size has enough.
    cause("No free", Check::Hugepages, "no hugepage is free", Remedy::ReserveHugepages),
    cause("No available", Check::Hugepages, "no hugepage is reserved", Remedy::ReserveHugepages),
];

/// The text of an error for a user: the finding, and what DPDK logged.
#[must_use]
pub fn explain(error: &StartError, config: &Config) -> String {
    let explained = |error: &Error| {
        let finding = finding(&Host::machine(), &config.dpdk, error);
        let log = error.answer().into_iter().flat_map(|answer| &answer.log);
        let log = log.map(|line| format!("\n  DPDK: {line}"));
        format!("{finding}{}", log.collect::<String>())
    };
    match error {
        StartError::Dpdk(error) => explained(error),
        StartError::Port { name, source } => format!("port {name:?}: {}", explained(source)),
        StartError::Memory(need) => memory::too_little(config, need).to_string(),
        other => other.to_string(),
    }
}

fn finding(host: &Host, dpdk: &Dpdk, error: &Error) -> Finding {
    let advice = match error {
        Error::Start(answer) => return of_eal(host, dpdk, answer),
        Error::Core(_) => {
            if let Some(finding) = cores::unusable(host, dpdk).into_iter().next() {
                return finding;
            }
            "choose other cores"
        }
        Error::Misuse(_) | Error::Log(_) => "start the switch again",
        Error::EndsProcess(_) => "remove it; `dpdk-testpmd --help` prints EAL's arguments",
        Error::Pool { .. } => "raise memory-mib, or use fewer queues",
        Error::Device { device, source } => match source {
            DeviceError::Probe(answer) => return of_device(host, device, answer),
            other => &of_open_device(device, other),
        },
    };
    Finding::problem(Check::Dpdk, error.to_string(), "").advice(advice)
}

/// Advice about a device that was opened, and refuses a setting.
fn of_open_device(device: &str, error: &DeviceError) -> String {
    let advice = match error {
        DeviceError::Misuse(_) => "start the switch again",
        DeviceError::Probe(_) => "check its arguments",
        DeviceError::InUse(_) => "give each port a device of its own, with a name of its own",
        DeviceError::DeviceMtu { mtu, .. } => {
            return match ring_slot(device) {
                Some(_) => {
                    let arguments = ring_arguments(mtu.bytes);
                    format!("lower the MTU, or: add {arguments} to the device")
                }
                None => "lower the MTU: the driver takes no more".to_owned(),
            };
        }
        DeviceError::BufferMtu { .. } => "lower the MTU of the port or of the interface behind it",
        DeviceError::InterfaceMtu { .. }
        | DeviceError::Refused { call: DeviceCall::SetMtu(_), .. } => {
            "remove the port's mtu to keep what the interface has, or choose another"
        }
        DeviceError::Refused { call, answer } => match call {
            DeviceCall::Configure { .. } => "ask for fewer queues or a smaller MTU",
            // net_pcap keeps a buffer for each frame of its file.
            DeviceCall::RxQueue(_) if has(answer, "Not enough mbufs") => "raise packet-buffers",
            DeviceCall::RxQueue(_) | DeviceCall::TxQueue(_) => "raise memory-mib",
            DeviceCall::Promiscuous => "the switch must receive every frame",
            _ => "see what DPDK logged",
        },
    };
    advice.to_owned()
}

fn has(answer: &Answer, text: &str) -> bool {
    answer.log.iter().any(|line| line.contains(text))
}

/// The last line of DPDK's log, without its prefix.
fn last_line(answer: &Answer) -> String {
    let line = answer.log.last().cloned().unwrap_or_else(|| answer.to_string());
    let text = line.split_once(": ").map_or(&*line, |(_, text)| text).trim_end_matches('.');
    format!("DPDK says: {text}")
}

/// Why EAL did not start.
fn of_eal(host: &Host, dpdk: &Dpdk, answer: &Answer) -> Finding {
    // A core may have gone offline since the checks.
    if let Some(finding) = cores::unusable(host, dpdk).into_iter().next() {
        return finding;
    }
    let found = format!("DPDK does not start: {answer}");
    // Without hugepages, no error is about them.
    let is_it = |known: &&Cause| {
        has(answer, known.text) && (dpdk.hugepages || known.check != Check::Hugepages)
    };
    if let Some(known) = EAL_CAUSES.iter().find(is_it) {
        return remedy(host, dpdk, Finding::problem(known.check, found, known.cause), known.remedy);
    }
    Finding::problem(Check::Dpdk, found, last_line(answer)).advice(match &dpdk.eal_args[..] {
        [] => {
            "`vswitch run --log debug` prints all that DPDK says; `vswitch doctor` checks the host"
                .to_owned()
        }
        arguments => format!("check eal-args: {}", arguments.join(" ")),
    })
}

fn remedy(host: &Host, dpdk: &Dpdk, mut finding: Finding, remedy: Remedy) -> Finding {
    let plugins = host.plugins.as_deref().unwrap_or(Path::new(""));
    match remedy {
        Remedy::Advice(advice) => finding.advice(advice),
        Remedy::ReserveHugepages => {
            // How much eal-args ask for is not known.
            if !overrides_memory(&dpdk.eal_args) {
                finding.mend.extend(hugepages::reserve(host, dpdk.memory_mib.into()));
            }
            finding.advice(
                "`vswitch doctor FILE` prints how many are free on which node, and which processes \
                 have them; eal-args with -m or --socket-mem replace memory-mib",
            )
        }
        Remedy::ProtectPlugins => {
            finding.mend(format!("chmod -R o-w {}", shell_quoted(plugins.display())))
        }
        Remedy::ReinstallPlugins => finding.mend(plugins::reinstall(plugins)),
        Remedy::CreateRuntimeFolder => {
            finding.mend(format!("mkdir -p /run/dpdk && chown {} /run/dpdk", host.user()))
        }
    }
}

/// Why DPDK cannot open a device.
#[must_use]
pub fn of_device(host: &Host, device: &str, answer: &Answer) -> Finding {
    let who = format!("device {device}");
    if let Some(address) = pci_address(device) {
        return of_pci(host, &who, &address, answer);
    }
    let problem = |check: Check, what: &str, cause: &str| {
        Finding::problem(check, format!("{who}: {what}"), cause)
    };
    let missing = |interface: &&str| !host.links.contains_key(*interface);
    if let Some(interface) = interfaces_needed(device).into_iter().find(missing) {
        return problem(
            Check::Interfaces,
            &format!("interface {interface} does not exist in this network namespace"),
            "it was not created, has another name, or is in another network namespace",
        )
        .advice(format!(
            "correct the device's arguments, or bring the interface here; {}",
            interfaces::veth(interface)
        ));
    }
    if has(answer, "failed to parse device") {
        return problem(
            Check::Plugins,
            "DPDK has no driver of this name",
            "no plugin that DPDK loaded has it",
        )
        .advice(
            "write net_DRIVERn,ARGUMENT=VALUE,…; Debian has the drivers in packages librte-net-*",
        );
    }
    if let Some((_, name)) = capability_of(device).filter(|cap| !host.has_capability(cap.0)) {
        let cause = format!("this process lacks {name}");
        return problem(Check::Permissions, "DPDK cannot open it", &cause)
            .advice(permissions::way_out(host, &[name]));
    }
    let causes = [
        (
            "Device or resource busy",
            "its interface, or a queue of it, is in use",
            "`ip -details link show` names an XDP program on the interface; `ip link set IFACE xdp \
             off` removes it",
        ),
        (
            "Invalid key",
            "its driver does not know one of its arguments",
            "correct the device's arguments (DPDK guide, \"Network Interface Controller Drivers\")",
        ),
        (
            "No such file",
            "a file that its arguments name does not exist",
            "correct the path in the device's arguments",
        ),
        (
            "memory",
            "there is not enough memory for its rings",
            "use fewer or smaller rings (framecnt=, blocksz=), or more memory",
        ),
    ];
    let known = causes.into_iter().find(|(text, ..)| has(answer, text));
    let (cause, advice) = match known {
        Some((_, cause, advice)) => (cause.to_owned(), advice),
        None => (
            last_line(answer),
            "check its arguments (DPDK guide, \"Network Interface Controller Drivers\")",
        ),
    };
    problem(Check::Dpdk, "its driver refuses it", &cause).advice(advice)
}

/// The capability that the driver of a virtual device needs to open it: its number and its name.
fn capability_of(device: &str) -> Option<(u32, &'static str)> {
    match driver(device)? {
        "net_af_packet" | "net_af_xdp" => Some((13, "CAP_NET_RAW")),
        // On an interface, not on files.
        "net_pcap" if !interfaces_needed(device).is_empty() => Some((13, "CAP_NET_RAW")),
        "net_tap" | "net_tun" => Some((12, "CAP_NET_ADMIN")),
        _ => None,
    }
}

/// Why DPDK cannot open a NIC.
fn of_pci(host: &Host, who: &str, address: &str, answer: &Answer) -> Finding {
    let seen = pci::device(host, who, address);
    if let Some(problem) = seen.into_iter().find(|finding| finding.severity == Severity::Problem) {
        return problem;
    }
    let device = format!("sys/bus/pci/devices/{address}");
    let group = host.link_name(format!("{device}/iommu_group")).unwrap_or_default();
    let file = pci::group_file(host, &group);
    let problem = |check: Check, what: &str, cause: &str| {
        Finding::problem(check, format!("{who}: {what}"), cause)
    };
    if has(answer, "resource busy") {
        let holder = host.holder(&file).map(|(pid, name)| format!("{name} (process {pid})"));
        let cause = match holder {
            Some(holder) => format!("{holder} has {file}, which has one user at a time"),
            None => format!("{file} has one user at a time"),
        };
        return problem(Check::Vfio, "another process has it", &cause).advice(format!(
            "stop that process, or give this switch another NIC; `fuser -v {file}` shows the process"
        ));
    }
    if has(answer, "ermission denied") {
        let what = format!("no permission to open {file}");
        return problem(Check::Vfio, &what, "it belongs to another user")
            .mend(format!("chown {} {}", host.user(), shell_quoted(&file)))
            .advice("or run as root");
    }
    if has(answer, "allocate memory") {
        return problem(
            Check::Memlock,
            "DPDK's memory cannot be locked for it",
            "it needs all memory of DPDK locked, and this process may not lock so much",
        )
        .advice(permissions::more_locked(host));
    }
    if answer.errno == libc::ENOTSUP {
        let number = |name: &str| {
            let number = host.read(format!("{device}/{name}"));
            number.unwrap_or_default().trim_start_matches("0x").to_owned()
        };
        let id = format!("{}:{}", number("vendor"), number("device"));
        let cause = format!("no plugin knows PCI ID {id}");
        return problem(Check::Plugins, "DPDK has no driver for it", &cause)
            .mend("apt-get install --reinstall libdpdk-dev")
            .advice(format!(
                "the package brings every driver; `lspci -nn -d {id}` shows what the device is"
            ));
    }
    problem(Check::Dpdk, "its driver refuses it", &last_line(answer))
        .advice("`dmesg` shows what the kernel reported")
}

#[cfg(test)]
mod tests {
    use super::super::test_host::{TestHost, config};
    use super::*;

    fn heard(said: &[String], errno: i32) -> Answer {
        Answer { errno, log: said.to_vec() }
    }

    fn eal(said: &str) -> Finding {
        eal_with(8, &[said], &[])
    }

    /// With so many of 300 hugepages free.
    fn eal_with(free: u32, said: &[&str], eal_args: &[&str]) -> Finding {
        let mut fixture = TestHost::new()
            .cores(2)
            .file("proc/self/status", "Uid:\t7\t7\t7\t7\n")
            .hugepages("sys/kernel/mm/hugepages", 300, free);
        fixture.host.plugins = Some("/usr/lib/dpdk/pmds-23.0".into());
        let mut dpdk = config(&["net_null0"]).dpdk;
        dpdk.eal_args = eal_args.iter().map(ToString::to_string).collect();
        let said: Vec<_> = said.iter().map(ToString::to_string).collect();
        of_eal(&fixture.host, &dpdk, &heard(&said, 1))
    }

    #[test]
    fn hugepages_are_added_to_what_is_reserved_and_never_taken_away() {
        let said =
            ["EAL: Not enough memory available on socket 0! Requested: 512MB, available: 16MB"];
        // 300 and the 248 that are missing of 256.
        assert_eq!(eal_with(8, &said, &[]).mend, ["sysctl -w vm.nr_hugepages=548"]);
        // Enough in all, or nobody knows: a number would be wrong.
        for (free, eal_args) in [(256, &[][..]), (8, &["-m", "9999"])] {
            let finding = eal_with(free, &said, eal_args);
            assert!(finding.mend.is_empty() && finding.advice.contains("which node"), "{finding}");
        }
        let limit = eal_with(300, &["EAL: SIGBUS: Cannot mmap more hugepages of size 2MB"], &[]);
        assert!(limit.mend.is_empty() && limit.advice.contains("hugetlb"), "{limit}");
    }

    #[test]
    fn sizes_without_a_page_are_the_cause_only_if_nothing_else_is() {
        let sizes = [
            "EAL: No available 1048576 kB hugepages reported",
            "EAL: No free 1048576 kB hugepages reported on node 0",
        ];
        let finding = eal_with(8, &sizes, &[]);
        assert_eq!((finding.check, &*finding.cause), (Check::Hugepages, "no hugepage is free"));
        let and = |said| eal_with(8, &[sizes[0], sizes[1], said], &[]).check;
        assert_eq!(and("EAL: Error creating '/run/dpdk': Permission denied"), Check::Permissions);
        assert_eq!(and("EAL: Invalid 'command line' arguments."), Check::Dpdk);
    }

    #[test]
    fn every_text_of_eal_has_a_cause_and_a_way_out() {
        for known in &EAL_CAUSES {
            let finding = eal(&format!("EAL: {} …", known.text));
            assert_eq!(
                (finding.check, &*finding.cause),
                (known.check, known.cause),
                "{}",
                known.text
            );
            assert!(!finding.mend.is_empty() || !finding.advice.is_empty(), "{finding}");
        }
    }

    #[test]
    fn what_eal_says_when_it_does_not_start() {
        // As DPDK 22.11 says it.
        for (said, check, mend) in [
            (
                "EAL: Not enough memory available on socket 0! Requested: 512MB, available: 16MB",
                Check::Hugepages,
                "sysctl -w vm.nr_hugepages=548",
            ),
            (
                "EAL: Error creating '/run/dpdk': Permission denied",
                Check::Permissions,
                "mkdir -p /run/dpdk && chown 7 /run/dpdk",
            ),
            (
                "EAL: Error, directory path /usr/lib/dpdk/pmds-23.0 is world-writable and insecure",
                Check::Plugins,
                "chmod -R o-w /usr/lib/dpdk/pmds-23.0",
            ),
        ] {
            let finding = eal(said);
            assert_eq!((finding.check, &*finding.mend[0]), (check, mend), "{said}");
        }
    }

    #[test]
    fn what_nobody_knows_still_has_a_cause_and_a_way_out() {
        let finding = eal("EAL: Something new.");
        assert_eq!((finding.check, &*finding.cause), (Check::Dpdk, "DPDK says: Something new"));
        assert!(finding.advice.contains("--log debug"), "{finding}");
        let mut dpdk = config(&["net_null0"]).dpdk;
        dpdk.eal_args = vec!["--bogus".into()];
        let fixture = TestHost::new().cores(2);
        let finding = of_eal(&fixture.host, &dpdk, &heard(&[], 1));
        assert!(finding.advice.ends_with("eal-args: --bogus"), "{finding}");
    }

    const NIC: &str = "0000:01:00.0";

    fn bound() -> TestHost {
        let fixture = TestHost::new()
            .file("proc/self/status", "CapEff:\t000001ffffffffff\nUid:\t7\t7\t7\t7\n");
        let device = format!("sys/bus/pci/devices/{NIC}");
        let group = fixture.host.path("groups/7");
        fixture
            .directory("groups/7/devices")
            .file(&format!("{device}/vendor"), "0x8086\n")
            .file(&format!("{device}/device"), "0x10fb\n")
            .symlink(&format!("{device}/driver"), "/drivers/vfio-pci")
            .symlink(&format!("{device}/iommu_group"), group.to_str().unwrap())
            .file("dev/vfio/vfio", "")
            .file("dev/vfio/7", "")
    }

    #[test]
    fn what_dpdk_says_of_a_nic() {
        let fixture = bound();
        let refused = |said: &str, errno: i32| {
            of_device(&fixture.host, NIC, &heard(&[said.to_owned()], errno))
        };
        // As DPDK 22.11 says it.
        for (said, check, what) in [
            (
                "EAL: Cannot open /dev/vfio/7: Device or resource busy",
                Check::Vfio,
                "another process has it",
            ),
            (
                "EAL: Cannot open /dev/vfio/7: Permission denied",
                Check::Vfio,
                "no permission to open /dev/vfio/7",
            ),
            (
                "EAL: 0000:01:00.0 DMA remapping failed, error 12 (Cannot allocate memory)",
                Check::Memlock,
                "cannot be locked",
            ),
            (
                "EAL: Driver cannot attach the device (0000:01:00.0)",
                Check::Dpdk,
                "its driver refuses it",
            ),
        ] {
            let finding = refused(said, 1);
            assert_eq!(finding.check, check, "{said}");
            assert!(finding.found.contains(what), "{finding}");
        }
        let finding = refused("", libc::ENOTSUP);
        assert!(finding.cause.ends_with("PCI ID 8086:10fb"), "{finding}");
        let gone = of_device(&TestHost::new().host, NIC, &heard(&[], 1));
        assert_eq!(gone.check, Check::Device);
    }

    #[test]
    fn who_has_a_nic_is_named_and_not_ended() {
        let fixture = bound().file("proc/9/comm", "qemu\n").symlink("proc/9/fd/4", "/dev/vfio/7");
        let said = ["EAL: Cannot open /dev/vfio/7: Device or resource busy".to_owned()];
        let finding = of_device(&fixture.host, NIC, &heard(&said, 1));
        assert!(finding.cause.starts_with("qemu (process 9) has /dev/vfio/7"), "{finding}");
        assert!(finding.mend.is_empty(), "{finding}");
        // A group without an IOMMU has another file.
        let fixture = bound().file("dev/vfio/noiommu-7", "");
        let said = ["EAL: Cannot open /dev/vfio/noiommu-7: Permission denied".to_owned()];
        let finding = of_device(&fixture.host, NIC, &heard(&said, 1));
        assert_eq!(finding.mend, ["chown 7 /dev/vfio/noiommu-7"]);
    }

    #[test]
    fn what_dpdk_says_of_a_virtual_device() {
        let root = TestHost::new().file("proc/self/status", "CapEff:\t000001ffffffffff\n");
        let of = |host: &Host, device: &str, said: &str| {
            of_device(host, device, &heard(&[said.to_owned()], 1))
        };
        let text = of(&root.host, "net_bogus0", "EAL: failed to parse device \"net_bogus0\"").found;
        assert_eq!(text, "device net_bogus0: DPDK has no driver of this name");
        let text = of(&root.host, "net_af_packet0,iface=gone", "").found;
        assert!(text.contains("interface gone does not exist"), "{text}");
        let mut nobody = TestHost::new();
        nobody.host.links.insert("up0".into(), crate::kernel::netdev::Link::default());
        for (device, capability) in [
            ("net_af_packet0,iface=up0", "lacks CAP_NET_RAW"),
            ("net_af_xdp0,iface=up0", "lacks CAP_NET_RAW"),
            ("net_pcap0,iface=up0", "lacks CAP_NET_RAW"),
            ("net_tap0,iface=new0", "lacks CAP_NET_ADMIN"),
        ] {
            let finding = of(&nobody.host, device, "");
            assert!(
                finding.check == Check::Permissions && finding.cause.ends_with(capability),
                "{finding}"
            );
        }
        for device in
            ["net_pcap0,rx_pcap=a", "net_memif0", "net_vhost0,iface=/run/v.sock", "net_null0"]
        {
            assert_eq!(of(&nobody.host, device, "PMD: odd").cause, "DPDK says: odd", "{device}");
        }
        let finding = of(&root.host, "net_af_xdp0", "xsk: Device or resource busy");
        assert!(finding.cause.contains("is in use"), "{finding}");
        let finding = of(&root.host, "net_af_xdp0", "PMD: odd");
        assert_eq!(finding.cause, "DPDK says: odd");
    }
}
