//! What DPDK said when it refused to start, or refused a device, as a finding: the cause, and the command that
//! mends it.
//!
//! The checks find most of it before DPDK is called. What is left is known by a text of DPDK 22.11's log, or by
//! what the checks see of the device; and whatever else happens names what DPDK said last, and where to look.

use std::path::Path;

use super::edit::quoted;
use super::host::Host;
use super::{Check, Finding, Purpose, Severity, View, cores, links, pci, plugins};
use crate::config::Dpdk;
use crate::config::device::{argument, driver, pci_address};

/// A text of DPDK's log, what it is about, the cause, and the way out: commands or, after `?`, advice.
type Known = (&'static str, Check, &'static str, &'static [&'static str]);

/// What EAL says when it does not start, the more certain first.
const OF_EAL: [Known; 12] = [
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
        &["sysctl -w vm.nr_hugepages={pages}"],
    ),
    (
        "Cannot get hugepage information",
        Check::Hugepages,
        "no hugepage is reserved, or the kernel has none",
        &["sysctl -w vm.nr_hugepages={pages}"],
    ),
    ("No free", Check::Hugepages, "no hugepage is free", &["sysctl -w vm.nr_hugepages={pages}"]),
    (
        "hugepages",
        Check::Hugepages,
        "hugepages that are free cannot be had: a limit of the cgroup (hugetlb), or another process was faster",
        &["sysctl -w vm.nr_hugepages={pages}"],
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
];

/// What DPDK said about one thing.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its errno, positive.
    pub errno: i32,
    /// That in words.
    pub reason: &'a str,
    /// The lines of its log.
    pub said: &'a [String],
}

impl Heard<'_> {
    fn has(&self, text: &str) -> bool {
        self.said.iter().any(|line| line.contains(text))
    }

    /// What DPDK said last, without its prefix.
    fn last_words(&self) -> String {
        let line = self.said.last().map_or(self.reason, String::as_str);
        line.split_once(": ").map_or(line, |(_, words)| words).trim_end_matches('.').to_owned()
    }
}

/// Why EAL did not start.
#[must_use]
pub fn of_eal(host: &Host, dpdk: &Dpdk, heard: Heard<'_>) -> Finding {
    // Meanwhile a core may have gone.
    if let Some(finding) = cores::unusable(host, dpdk, None).into_iter().next() {
        return finding;
    }
    let found = format!("DPDK does not start: {}", heard.reason);
    let pages = (u64::from(dpdk.memory_mib) / 2).to_string();
    let plugins =
        host.plugins.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    let filled = |text: &str| {
        text.replace("{pages}", &pages)
            .replace("{plugins}", &quoted(&plugins))
            .replace("{reinstall}", &plugins::reinstall(Path::new(&plugins)))
            .replace("{user}", &host.user())
    };
    let is_about = |known: &&Known| {
        // Without hugepages nothing is about them.
        heard.has(known.0) && (dpdk.hugepages || known.1 != Check::Hugepages)
    };
    if let Some((_, check, cause, ways)) = OF_EAL.iter().find(is_about) {
        return ways.iter().fold(Finding::problem(*check, found, *cause), |finding, way| match way
            .strip_prefix('?')
        {
            Some(advice) => finding.advice(filled(advice)),
            None => finding.mend(filled(way)),
        });
    }
    let finding =
        Finding::problem(Check::Dpdk, found, format!("DPDK says: {}", heard.last_words()));
    if dpdk.eal_args.is_empty() {
        finding.advice("`vswitch run` with --log debug says all that DPDK says; `vswitch doctor` what is to be seen")
    } else {
        finding.advice(format!("check eal-args: {}", dpdk.eal_args.join(" ")))
    }
}

/// Why DPDK did not make a device.
#[must_use]
pub fn of_device(host: &Host, device: &str, heard: Heard<'_>) -> Finding {
    let who = format!("device {device}");
    if let Some(address) = pci_address(device) {
        return of_pci(host, &who, &address, heard);
    }
    let problem = |check: Check, what: &str, cause: &str| {
        Finding::problem(check, format!("{who}: {what}"), cause)
    };
    // Not net_tap's iface: there it names the TAP to be made.
    let key = if driver(device) == Some("net_tap") { "remote" } else { "iface" };
    if let Some(interface) = argument(device, key)
        && !host.links.contains_key(interface)
    {
        return problem(
            Check::Interfaces,
            &format!("interface {interface} does not exist in this network namespace"),
            "it was not made, is named otherwise, or is elsewhere",
        )
        .advice(format!("correct {key}=, or bring it here; {}", links::made(interface)));
    }
    if heard.has("failed to parse device") {
        return problem(
            Check::Plugins,
            "DPDK has no driver of this name",
            "no plugin that it loaded has it",
        )
        .advice(
            "write net_DRIVERn,ARGUMENT=VALUE,…; Debian has the drivers in packages librte-net-*",
        );
    }
    const CAP_NET_RAW: u32 = 13;
    if !host.has_capability(CAP_NET_RAW) {
        let program = quoted(&host.program.display().to_string());
        return problem(
            Check::Permissions,
            "DPDK cannot open it",
            "this process lacks CAP_NET_RAW",
        )
        .mend(format!("setcap cap_net_admin,cap_net_raw=ep {program}"))
        .advice("or run as root");
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
    if let Some((_, cause, advice)) = refusals.iter().find(|refusal| heard.has(refusal.0)) {
        return problem(Check::Dpdk, "its driver refuses it", cause).advice(*advice);
    }
    problem(Check::Dpdk, "its driver refuses it", &format!("DPDK says: {}", heard.last_words()))
        .advice("check its arguments (DPDK guide, \"Network Interface Controller Drivers\")")
}

fn of_pci(host: &Host, who: &str, address: &str, heard: Heard<'_>) -> Finding {
    let view = View { host, config: None, file: None, purpose: Purpose::Start };
    let seen = pci::device(&view, who, address);
    if let Some(problem) = seen.into_iter().find(|finding| finding.severity == Severity::Problem) {
        return problem;
    }
    let group =
        host.link_name(format!("sys/bus/pci/devices/{address}/iommu_group")).unwrap_or_default();
    let problem = |check: Check, what: &str, cause: &str| {
        Finding::problem(check, format!("{who}: {what}"), cause)
    };
    if heard.has("resource busy") {
        return problem(
            Check::Vfio,
            "another process has it",
            "a device of vfio has one user at a time",
        )
        .mend(format!("fuser -k -TERM /dev/vfio/{group}"))
        .advice(format!("that ends who has it: `fuser -v /dev/vfio/{group}` shows it first"));
    }
    if heard.has("ermission denied") {
        return problem(
            Check::Vfio,
            &format!("no permission to open /dev/vfio/{group}"),
            "it is another user's",
        )
        .mend(format!("chown {} /dev/vfio/{group}", host.user()))
        .advice("or run as root");
    }
    if heard.has("allocate memory") {
        return problem(
            Check::Memlock,
            "DPDK's memory cannot be locked for it",
            "it needs all memory of DPDK locked, and this process may not lock so much",
        )
        .mend("prlimit --pid $$ --memlock=unlimited")
        .advice("that is for what this shell starts; in a systemd unit: LimitMEMLOCK=infinity");
    }
    if heard.errno == libc::ENOTSUP {
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
    problem(Check::Dpdk, "its driver refuses it", &format!("DPDK says: {}", heard.last_words()))
        .advice("`dmesg` says what the kernel saw")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, config};
    use super::*;

    fn heard<'a>(said: &'a [String], errno: i32) -> Heard<'a> {
        Heard { errno, reason: "Operation not permitted", said }
    }

    fn eal(said: &str) -> Finding {
        let mut fixture = Fixture::new().cores(2).file("proc/self/status", "Uid:\t7\t7\t7\t7\n");
        fixture.host.plugins = Some("/usr/lib/dpdk/pmds-23.0".into());
        of_eal(&fixture.host, &config(&["net_null0"]).dpdk, heard(&[said.to_owned()], 1))
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
                "sysctl -w vm.nr_hugepages=256",
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
        let finding = of_eal(&fixture.host, &dpdk, heard(&[], 1));
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
            of_device(&fixture.host, NIC, heard(&[said.to_owned()], errno))
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
        let gone = of_device(&Fixture::new().host, NIC, heard(&[], 1));
        assert_eq!(gone.check, Check::Device);
    }

    #[test]
    fn what_dpdk_says_of_a_virtual_device() {
        let root = Fixture::new().file("proc/self/status", "CapEff:\t000001ffffffffff\n");
        let of = |host: &Host, device: &str, said: &str| {
            of_device(host, device, heard(&[said.to_owned()], 1))
        };
        let text = of(&root.host, "net_bogus0", "EAL: failed to parse device \"net_bogus0\"").found;
        assert_eq!(text, "device net_bogus0: DPDK has no driver of this name");
        let text = of(&root.host, "net_af_packet0,iface=gone", "").found;
        assert!(text.contains("interface gone does not exist"), "{text}");
        assert_eq!(of(&Fixture::new().host, "net_pcap0", "").check, Check::Permissions);
        let finding = of(&root.host, "net_af_xdp0", "xsk: Device or resource busy");
        assert!(finding.cause.contains("is another's"), "{finding}");
        let finding = of(&root.host, "net_af_xdp0", "PMD: odd");
        assert_eq!(finding.cause, "DPDK says: odd");
    }
}
