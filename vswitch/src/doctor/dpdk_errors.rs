//! What DPDK said when it refused to start, or refused a device, as a finding: the cause, and the command that
//! mends it.
//!
//! The checks find most of it before DPDK is called. What is left is known by a text of DPDK 22.11's log, or by
//! what the checks see of the device; and whatever else happens names what DPDK said last, and where to look.

use std::path::Path;

use super::edit::quoted;
use super::host::Host;
use super::{
    Check, Finding, Purpose, Severity, View, cores, hugepages, links, pci, permissions, plugins,
};
use crate::config::device::{driver, interfaces_needed, pci_address, ring_arguments, ring_slot};
use crate::config::{Config, Dpdk, overrides_memory};
use crate::control::start_error::StartError;
use crate::dpdk::error::{Answer, DeviceCall, DeviceError, Error};

/// A text of DPDK's log, what it is about, the cause, and the way out: commands or, after `?`, advice. A command with
/// `{reserve}` is left out where pages enough are free.
type Known = (&'static str, Check, &'static str, &'static [&'static str]);

/// What EAL says when it does not start, the more certain first.
const OF_EAL: [Known; 13] = [
    (
        "world-writable and insecure",
        Check::Plugins,
        "everybody may write to the folder of DPDK's plugins, so it loads none",
        &["chmod -R o-w {plugins}"],
    ),
    (
        "cannot open shared object file",
        Check::Plugins,
        "a plugin needs a library that is not installed",
        &["{reinstall}"],
    ),
    (
        "Error creating",
        Check::Permissions,
        "EAL cannot make its runtime folder",
        &["mkdir -p /run/dpdk && chown {user} /run/dpdk"],
    ),
    (
        "Not enough memory available",
        Check::Hugepages,
        "fewer hugepages are free than memory-mib asks for, on the nodes of these cores or at all",
        &["{reserve}", ENOUGH_IN_ALL],
    ),
    (
        "Cannot get hugepage information",
        Check::Hugepages,
        "no hugepage is reserved, or the kernel has none",
        &["{reserve}", ENOUGH_IN_ALL],
    ),
    (
        "mmap more hugepages",
        Check::Hugepages,
        "hugepages that are free cannot be had: a limit of the cgroup (hugetlb), or another process was faster",
        &["?raise the limit (hugetlb.2MB.max of the cgroup, or of the container), or start again"],
    ),
    (
        "Cannot allocate memory",
        Check::Memory,
        "the kernel does not give DPDK memory-mib: a limit of the cgroup, or there is no more",
        &["?lower memory-mib, or raise the limit (MemoryMax= of the unit)"],
    ),
    (
        "Cannot use IOVA as 'PA'",
        Check::Permissions,
        "physical addresses were asked for, and this process may not see them",
        &["?remove --iova-mode=pa from eal-args, or run as root"],
    ),
    (
        "unsupported cpu",
        Check::Kernel,
        "this DPDK was built for another processor",
        &[
            "?install a DPDK for this machine, or in a virtual machine pass the host's processor through",
        ],
    ),
    (
        "ermission denied",
        Check::Permissions,
        "this process may not open what DPDK names",
        &["?run as root, or give the service access to what is named below"],
    ),
    (
        "Invalid 'command line' arguments",
        Check::Dpdk,
        "EAL does not understand its arguments",
        &["?correct eal-args; `dpdk-testpmd --help` prints EAL's arguments"],
    ),
    // Said of each size of which there is no page, also where another has all that is needed.
    ("No free", Check::Hugepages, "no hugepage is free", &["{reserve}", ENOUGH_IN_ALL]),
    ("No available", Check::Hugepages, "no hugepage is reserved", &["{reserve}", ENOUGH_IN_ALL]),
];

const ENOUGH_IN_ALL: &str = "?`vswitch doctor FILE` says how many are free on which node, and who has them; what \
                             eal-args ask for (-m, --socket-mem) counts in place of memory-mib";

/// Why the switch does not start, or does not take a port up, and the way out; with what DPDK logged about it.
#[must_use]
pub fn explain(error: &StartError, config: &Config) -> String {
    let explained = |error: &Error| {
        let finding = of(&Host::machine(), &config.dpdk, error);
        let log = error.answer().into_iter().flat_map(|answer| &answer.log);
        let log = log.map(|line| format!("\n  DPDK: {line}"));
        format!("{finding}{}", log.collect::<String>())
    };
    match error {
        StartError::Dpdk(error) => explained(error),
        StartError::Port { name, source } => format!("port {name:?}: {}", explained(source)),
        StartError::Memory(need) => hugepages::too_little(config, need, None).to_string(),
        other => other.to_string(),
    }
}

/// Why DPDK refused something.
#[must_use]
pub fn of(host: &Host, dpdk: &Dpdk, error: &Error) -> Finding {
    let advice = match error {
        Error::Start(answer) => return of_eal(host, dpdk, answer),
        Error::Core(_) => {
            if let Some(finding) = cores::unusable(host, dpdk, None).into_iter().next() {
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

/// What to do about a device that was found, and refuses a setting.
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

/// What DPDK said last, without its prefix.
fn last_words(answer: &Answer) -> String {
    let line = answer.log.last().cloned().unwrap_or_else(|| answer.to_string());
    line.split_once(": ").map_or(&*line, |(_, words)| words).trim_end_matches('.').to_owned()
}

/// Why EAL did not start.
fn of_eal(host: &Host, dpdk: &Dpdk, answer: &Answer) -> Finding {
    // Meanwhile a core may have gone.
    if let Some(finding) = cores::unusable(host, dpdk, None).into_iter().next() {
        return finding;
    }
    let found = format!("DPDK does not start: {}", answer);
    // What eal-args ask for is not known.
    let reserve = (!overrides_memory(&dpdk.eal_args))
        .then(|| hugepages::reserve(host, dpdk.memory_mib.into()))
        .flatten();
    let plugins =
        host.plugins.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    let filled = |text: &str| {
        text.replace("{plugins}", &quoted(&plugins))
            .replace("{reinstall}", &plugins::reinstall(Path::new(&plugins)))
            .replace("{user}", &host.user())
    };
    let is_about = |known: &&Known| {
        // Without hugepages nothing is about them.
        has(answer, known.0) && (dpdk.hugepages || known.1 != Check::Hugepages)
    };
    if let Some((_, check, cause, ways)) = OF_EAL.iter().find(is_about) {
        let problem = Finding::problem(*check, found, *cause);
        return ways.iter().fold(problem, |finding, way| match way.strip_prefix('?') {
            Some(advice) => finding.advice(filled(advice)),
            None if *way == "{reserve}" => finding.mend_if(reserve.clone()),
            None => finding.mend(filled(way)),
        });
    }
    let finding =
        Finding::problem(Check::Dpdk, found, format!("DPDK says: {}", last_words(answer)));
    if dpdk.eal_args.is_empty() {
        finding.advice("`vswitch run` with --log debug says all that DPDK says; `vswitch doctor` what is to be seen")
    } else {
        finding.advice(format!("check eal-args: {}", dpdk.eal_args.join(" ")))
    }
}

/// Why DPDK did not make a device.
/// Why DPDK did not make a device.
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
            "it was not made, is named otherwise, or is elsewhere",
        )
        .advice(format!(
            "correct the device's arguments, or bring it here; {}",
            links::made(interface)
        ));
    }
    if has(answer, "failed to parse device") {
        return problem(
            Check::Plugins,
            "DPDK has no driver of this name",
            "no plugin that it loaded has it",
        )
        .advice(
            "write net_DRIVERn,ARGUMENT=VALUE,…; Debian has the drivers in packages librte-net-*",
        );
    }
    if let Some(name) = capability_of(device).filter(|cap| !host.has_capability(cap.0)) {
        let cause = format!("this process lacks {}", name.1);
        return problem(Check::Permissions, "DPDK cannot open it", &cause)
            .advice(permissions::way_out(host, &[name.1]));
    }
    let refusals: [(&str, &str, &str); 4] = [
        (
            "Device or resource busy",
            "its interface, or a queue of it, is another's",
            "`ip -details link show` names an XDP program on the interface; `ip link set IFACE xdp off` takes it off",
        ),
        (
            "Invalid key",
            "it has an argument that its driver does not know",
            "correct the device's arguments (DPDK guide, \"Network Interface Controller Drivers\")",
        ),
        (
            "No such file",
            "a file that it names does not exist",
            "correct the path in the device's arguments",
        ),
        (
            "memory",
            "memory for its rings cannot be had",
            "fewer or smaller rings (framecnt=, blocksz=), or more memory",
        ),
    ];
    if let Some((_, cause, advice)) = refusals.iter().find(|refusal| has(answer, refusal.0)) {
        return problem(Check::Dpdk, "its driver refuses it", cause).advice(*advice);
    }
    problem(Check::Dpdk, "its driver refuses it", &format!("DPDK says: {}", last_words(answer)))
        .advice("check its arguments (DPDK guide, \"Network Interface Controller Drivers\")")
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

fn of_pci(host: &Host, who: &str, address: &str, answer: &Answer) -> Finding {
    let view = View { host, config: None, file: None, state: None, purpose: Purpose::Start };
    let seen = pci::device(&view, who, address);
    if let Some(problem) = seen.into_iter().find(|finding| finding.severity == Severity::Problem) {
        return problem;
    }
    let group =
        host.link_name(format!("sys/bus/pci/devices/{address}/iommu_group")).unwrap_or_default();
    let file = pci::group_file(host, &group);
    let problem = |check: Check, what: &str, cause: &str| {
        Finding::problem(check, format!("{who}: {what}"), cause)
    };
    if has(answer, "resource busy") {
        let cause = match host.holder(&file) {
            Some((pid, name)) => {
                format!("{name} (process {pid}) has {file}, which has one user at a time")
            }
            None => format!("{file} has one user at a time"),
        };
        return problem(Check::Vfio, "another process has it", &cause).advice(format!(
            "stop that one, or give this switch another NIC; `fuser -v {file}` shows who has it"
        ));
    }
    if has(answer, "ermission denied") {
        return problem(
            Check::Vfio,
            &format!("no permission to open {file}"),
            "it is another user's",
        )
        .mend(format!("chown {} {}", host.user(), quoted(&file)))
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
            let number = host.read(format!("sys/bus/pci/devices/{address}/{name}"));
            number.unwrap_or_default().trim_start_matches("0x").to_owned()
        };
        let id = format!("{}:{}", number("vendor"), number("device"));
        return problem(
            Check::Plugins,
            "DPDK has no driver for it",
            &format!("no plugin knows PCI ID {id}"),
        )
        .mend("apt-get install --reinstall libdpdk-dev")
        .advice(format!("that brings every driver; `lspci -nn -d {id}` says what the device is"));
    }
    problem(Check::Dpdk, "its driver refuses it", &format!("DPDK says: {}", last_words(answer)))
        .advice("`dmesg` says what the kernel saw")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, config};
    use super::*;

    fn heard(said: &[String], errno: i32) -> Answer {
        Answer { errno, log: said.to_vec() }
    }

    fn eal(said: &str) -> Finding {
        eal_with(8, &[said], &[])
    }

    /// With so many of 300 hugepages free.
    fn eal_with(free: u32, said: &[&str], eal_args: &[&str]) -> Finding {
        let mut fixture = Fixture::new()
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
        for known in OF_EAL {
            let finding = eal(&format!("EAL: {} …", known.0));
            assert_eq!((finding.check, &*finding.cause), (known.1, known.2), "{}", known.0);
            assert!(!finding.mend.is_empty() || !finding.advice.is_empty(), "{finding}");
            assert!(!finding.to_string().contains('{'), "{finding}");
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
        let fixture = Fixture::new().cores(2);
        let finding = of_eal(&fixture.host, &dpdk, &heard(&[], 1));
        assert!(finding.advice.ends_with("eal-args: --bogus"), "{finding}");
    }

    const NIC: &str = "0000:01:00.0";

    fn bound() -> Fixture {
        let fixture = Fixture::new()
            .file("proc/self/status", "CapEff:\t000001ffffffffff\nUid:\t7\t7\t7\t7\n");
        let device = format!("sys/bus/pci/devices/{NIC}");
        let group = fixture.host.path("groups/7");
        fixture
            .directory("groups/7/devices")
            .file(&format!("{device}/vendor"), "0x8086\n")
            .file(&format!("{device}/device"), "0x10fb\n")
            .points(&format!("{device}/driver"), "/drivers/vfio-pci")
            .points(&format!("{device}/iommu_group"), group.to_str().unwrap())
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
        let gone = of_device(&Fixture::new().host, NIC, &heard(&[], 1));
        assert_eq!(gone.check, Check::Device);
    }

    #[test]
    fn who_has_a_nic_is_named_and_not_ended() {
        let fixture = bound().file("proc/9/comm", "qemu\n").points("proc/9/fd/4", "/dev/vfio/7");
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
        let root = Fixture::new().file("proc/self/status", "CapEff:\t000001ffffffffff\n");
        let of = |host: &Host, device: &str, said: &str| {
            of_device(host, device, &heard(&[said.to_owned()], 1))
        };
        let text = of(&root.host, "net_bogus0", "EAL: failed to parse device \"net_bogus0\"").found;
        assert_eq!(text, "device net_bogus0: DPDK has no driver of this name");
        let text = of(&root.host, "net_af_packet0,iface=gone", "").found;
        assert!(text.contains("interface gone does not exist"), "{text}");
        let mut nobody = Fixture::new();
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
        assert!(finding.cause.contains("is another's"), "{finding}");
        let finding = of(&root.host, "net_af_xdp0", "PMD: odd");
        assert_eq!(finding.cause, "DPDK says: odd");
    }
}
