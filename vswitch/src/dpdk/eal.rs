//! The process's one EAL (DPDK's environment abstraction layer): hugepages, lcores, drivers.
//!
//! The control thread starts it first of all, and becomes its main lcore, pinned to the main core.
//! It leaves nothing behind, not even after SIGKILL: hugepages are anonymous (`--in-memory`), and
//! the runtime folder that EAL insists on is removed as soon as EAL has started. (What stays is
//! `/run/dpdk`, which all DPDK processes share.)
//!
//! What EAL would answer with a panic or in riddles is checked before it is called.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::log::{self, Mark};
use super::{Error, Said, c_string, errno_text, last_errno};

/// What the switch asks of EAL.
#[derive(Clone, Debug, Default)]
pub struct EalArgs {
    /// The core of the control thread. If a worker polls on it too, the two share it.
    pub main_core: u32,
    /// The cores that poll.
    pub worker_cores: Vec<u32>,
    /// Memory for packet buffers and drivers, in MiB.
    pub memory_mib: u32,
    /// Take the memory from hugepages. Without, physical devices do not work.
    pub hugepages: bool,
    /// PCI devices to use, each `ADDRESS[,argument…]`; EAL leaves all others alone.
    /// See [`super::device::pci_address`].
    pub pci_devices: Vec<String>,
    /// More EAL arguments, passed on last, as they are.
    pub extra: Vec<String>,
}

/// The running EAL. Ports, pools and queues keep it alive; it is cleaned up when the last of them
/// is dropped.
///
/// # Thread safety
///
/// For the thread that called [`init`]. EAL is cleaned up only on that thread; elsewhere it is left
/// to the end of the process.
pub struct Eal(Arc<EalInner>);

pub(super) struct EalInner {
    main_lcore: u32,
    worker_cores: Vec<u32>,
    /// Ports that have an owner.
    claimed: Mutex<BTreeSet<u16>>,
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts EAL, which takes some 100 ms. Once per process; after a failure inside DPDK, not again.
///
/// # Errors
///
/// A core is not there or given twice, too little memory, a refused argument, no permission. The
/// error says which, and the way out.
pub fn init(args: &EalArgs) -> Result<Eal, Error> {
    check_arguments(&args.extra)?;
    check_cores(args)?;
    if args.hugepages {
        check_hugepages(args)?;
    }
    if STARTED.swap(true, Ordering::Relaxed) {
        return Err(Error::new(
            "DPDK was started before in this process",
            "it can be started once: start another process",
            Said::default(),
        ));
    }
    log::take_over().map_err(|error| {
        Error::new(format!("DPDK's log cannot be taken over: {error}"), "", Said::default())
    })?;

    let arguments: Vec<CString> = arguments(args).iter().map(|text| c_string(text)).collect();
    tracing::debug!(target: "dpdk", ?arguments, "starting EAL");
    let mark = Mark::now();
    let started = quietly(|| start(&arguments));
    remove_runtime_folder();
    if started < 0 {
        return Err(explain(args, last_errno(), mark.said()));
    }
    Ok(Eal(Arc::new(EalInner {
        main_lcore: main_lcore(args),
        worker_cores: args.worker_cores.clone(),
        claimed: Mutex::default(),
    })))
}

/// Calls `rte_eal_init`.
fn start(arguments: &[CString]) -> i32 {
    // EAL permutes the array and keeps pointers to the strings: they must live for ever.
    let mut pointers: Vec<*mut c_char> =
        arguments.iter().map(|text| text.clone().into_raw()).collect();
    let count = i32::try_from(pointers.len()).unwrap_or(i32::MAX);
    pointers.push(std::ptr::null_mut());
    let pointers = pointers.leak();
    // SAFETY: `count` C strings and a null pointer, never freed; called once per process.
    unsafe { dpdk_sys::rte_eal_init(count, pointers.as_mut_ptr()) }
}

fn arguments(args: &EalArgs) -> Vec<String> {
    let main_lcore = main_lcore(args);
    let main = (main_lcore, args.main_core);
    let lcores = args.worker_cores.iter().map(|core| (*core, *core)).chain([main]);
    let lcores: Vec<_> = lcores.map(|(lcore, core)| format!("{lcore}@{core}")).collect();
    let mut list: Vec<String> = vec!["vswitch".into(), "--lcores".into(), lcores.join(",")];
    list.extend(["--main-lcore".into(), main_lcore.to_string(), "--no-telemetry".into()]);
    // A name of our own, so that the folder can be removed while other DPDK processes start.
    list.extend(["--file-prefix".into(), format!("vswitch-{}", std::process::id())]);
    if args.hugepages {
        list.push("--in-memory".into());
    } else {
        list.extend(["--no-huge".into(), "--no-shconf".into()]);
    }
    if !overrides_memory(&args.extra) {
        list.extend(["-m".into(), args.memory_mib.to_string()]);
    }
    if args.pci_devices.is_empty() {
        list.push("--no-pci".into());
    }
    for device in &args.pci_devices {
        list.extend(["-a".into(), device.clone()]);
    }
    list.extend(args.extra.iter().cloned());
    list
}

/// The number of the main lcore: its core's, or, where a worker polls on that core too, one that no
/// core of ours has.
fn main_lcore(args: &EalArgs) -> u32 {
    let is_free = |lcore: &u32| !args.worker_cores.contains(lcore);
    let others = (0..dpdk_sys::VSW_MAX_LCORE).rev();
    std::iter::once(args.main_core).chain(others).find(is_free).unwrap_or(args.main_core)
}

/// Whether the user says how much memory to take, and where.
fn overrides_memory(extra: &[String]) -> bool {
    extra.iter().any(|arg| arg.starts_with("-m") || arg.starts_with("--socket-mem"))
}

/// Refuses what makes EAL print its help and end the process.
fn check_arguments(extra: &[String]) -> Result<(), Error> {
    let exits = |arg: &&String| matches!(arg.as_str(), "-h" | "--help" | "-v" | "--version");
    extra.iter().find(exits).map_or(Ok(()), |arg| {
        Err(Error::new(
            format!("eal-args: {arg} would end the process"),
            "remove it; `dpdk-testpmd --help` prints EAL's arguments",
            Said::default(),
        ))
    })
}

/// Checks that this process may run on every core. (EAL panics where it may not.)
fn check_cores(args: &EalArgs) -> Result<(), Error> {
    let error = |cause: String, way_out: String| Err(Error::new(cause, way_out, Said::default()));
    if args.worker_cores.is_empty() {
        return error("there is no worker core".into(), "name at least one in worker-cores".into());
    }
    let mut seen = BTreeSet::new();
    if let Some(core) = args.worker_cores.iter().find(|&&core| !seen.insert(core)) {
        return error(
            format!("worker core {core} is named twice"),
            "give every worker a core of its own".into(),
        );
    }
    seen.insert(args.main_core);
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let online = online.trim();
    let me = Pid::from_raw(0);
    let Ok(before) = sched_getaffinity(me) else { return Ok(()) };
    for &core in &seen {
        if core >= dpdk_sys::VSW_MAX_LCORE {
            return error(
                format!("core {core} is beyond what this DPDK was built for"),
                format!("use cores below {}", dpdk_sys::VSW_MAX_LCORE),
            );
        }
        let mut one = CpuSet::new();
        let allowed = one.set(core as usize).and_then(|()| sched_setaffinity(me, &one));
        let _ = sched_setaffinity(me, &before);
        if allowed.is_ok() {
            continue;
        }
        return if Path::new(&format!("/sys/devices/system/cpu/cpu{core}")).exists() {
            error(
                format!("core {core} is off line, or not for this process"),
                format!("online: {online}; or widen the process's cpuset (cgroup)"),
            )
        } else {
            error(
                format!("core {core} is not on this machine"),
                format!("use some of its cores in main-core and worker-cores: {online}"),
            )
        };
    }
    Ok(())
}

fn check_hugepages(args: &EalArgs) -> Result<(), Error> {
    let pages = free_hugepages();
    let free_mib: u64 = pages.iter().map(|(kib, count)| kib * count / 1024).sum();
    if overrides_memory(&args.extra) || free_mib >= u64::from(args.memory_mib) {
        return Ok(());
    }
    let sizes: Vec<String> = pages
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kib, count)| format!("{count} of {kib} KiB"))
        .collect();
    let sizes = if sizes.is_empty() { String::new() } else { format!(" ({})", sizes.join(", ")) };
    let missing = (u64::from(args.memory_mib) - free_mib).div_ceil(2);
    let now = fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    let now: u64 = now.trim().parse().unwrap_or(0);
    Err(Error::new(
        format!(
            "memory-mib asks for {} MiB of hugepages, and {free_mib} MiB are free{sizes}",
            args.memory_mib
        ),
        format!(
            "reserve {missing} more pages of 2 MiB (`sysctl vm.nr_hugepages={}`), lower memory-mib, \
             or for tests set hugepages = false",
            now + missing
        ),
        Said::default(),
    ))
}

/// Size in KiB and number of free pages, for each size of hugepage.
fn free_hugepages() -> Vec<(u64, u64)> {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let size = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let kib = number(name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?)?;
        let free = fs::read_to_string(entry.path().join("free_hugepages")).ok()?;
        Some((kib, number(&free)?))
    };
    sizes.filter_map(size).collect()
}

/// Why EAL did not start.
fn explain(args: &EalArgs, errno: i32, said: Said) -> Error {
    let reason = errno_text(errno);
    let heard = |text: &str| said.lines().iter().any(|line| line.contains(text));
    let way_out = if errno == libc::EACCES || errno == libc::EPERM || heard("ermission denied") {
        "run as root, or give the service access to what is named below".to_owned()
    } else if errno == libc::ENOMEM || heard("memory") {
        "lower memory-mib, or free memory; on several NUMA nodes, each node needs hugepages"
            .to_owned()
    } else if !args.extra.is_empty() {
        format!("check eal-args: {}", args.extra.join(" "))
    } else {
        "see what DPDK logged".to_owned()
    };
    Error::new(format!("DPDK does not start: {reason}"), way_out, said)
}

/// Calls `work` with standard output and DPDK's log held back. On a bad argument EAL prints a
/// hundred lines of usage there, which hide the reason.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let held = log::Held::new();
    let redirected = Stdout::redirect();
    let result = work();
    drop(redirected);
    drop(held);
    result
}

/// Standard output, to be restored.
struct Stdout(std::os::fd::OwnedFd);

impl Stdout {
    fn redirect() -> Option<Self> {
        use std::io::Write as _;
        let _ = io::stdout().flush();
        let nowhere = fs::OpenOptions::new().write(true).open("/dev/null").ok()?;
        let saved = Self(nix::unistd::dup(io::stdout()).ok()?);
        nix::unistd::dup2_stdout(nowhere).ok()?;
        Some(saved)
    }
}

impl Drop for Stdout {
    fn drop(&mut self) {
        // What C has buffered belongs to the time before.
        // SAFETY: null stands for all streams.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        let _ = nix::unistd::dup2_stdout(&self.0);
    }
}

/// Removes the folder that EAL makes for files it was told not to make. Empty, else it stays.
fn remove_runtime_folder() {
    // SAFETY: returns a string that EAL keeps.
    let folder = unsafe { dpdk_sys::rte_eal_get_runtime_dir() };
    if folder.is_null() {
        return;
    }
    // SAFETY: NUL-terminated, not null.
    let folder = unsafe { CStr::from_ptr(folder) };
    let _ = fs::remove_dir(OsStr::from_bytes(folder.to_bytes()));
}

impl Eal {
    /// The cores that [`super::lcore::launch`] takes.
    #[must_use]
    pub fn worker_cores(&self) -> &[u32] {
        &self.0.worker_cores
    }

    /// The NUMA node of a core.
    #[must_use]
    pub fn numa_node(&self, core: u32) -> u32 {
        // SAFETY: EAL runs; an unknown core is answered with node 0.
        unsafe { dpdk_sys::rte_lcore_to_socket_id(core) }
    }

    /// The version of the DPDK that runs: "DPDK 22.11.9".
    #[must_use]
    pub fn version(&self) -> String {
        // SAFETY: returns a string that the library keeps.
        let version = unsafe { dpdk_sys::rte_version() };
        // SAFETY: NUL-terminated, never null.
        unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned()
    }

    pub(super) fn inner(&self) -> &Arc<EalInner> {
        &self.0
    }
}

impl EalInner {
    /// The ports that have an owner.
    pub(super) fn claimed(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EalInner {
    fn drop(&mut self) {
        // SAFETY: reads a thread-local variable.
        if unsafe { dpdk_sys::vsw_lcore_id() } != self.main_lcore {
            tracing::warn!("DPDK is not cleaned up: its last user is not on the main core");
            return;
        }
        // SAFETY: on the main lcore. After this no closure of ours runs on any lcore.
        unsafe { dpdk_sys::rte_eal_mp_wait_lcore() };
        // SAFETY: nothing is left that uses EAL: ports, pools and queues keep `self` alive.
        unsafe { dpdk_sys::rte_eal_cleanup() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> EalArgs {
        EalArgs { main_core: 0, worker_cores: vec![1], memory_mib: 64, ..EalArgs::default() }
    }

    #[test]
    fn arguments_without_hugepages_and_devices() {
        let text = arguments(&args()).join(" ");
        assert!(text.contains("--lcores 1@1,0@0 --main-lcore 0"), "{text}");
        assert!(text.contains("--no-huge --no-shconf -m 64 --no-pci"), "{text}");
    }

    #[test]
    fn a_worker_on_the_main_core_has_the_lcore_of_its_core() {
        let args = EalArgs { worker_cores: vec![0, 1], ..args() };
        let lcore = dpdk_sys::VSW_MAX_LCORE - 1;
        let text = arguments(&args).join(" ");
        assert!(
            text.contains(&format!("--lcores 0@0,1@1,{lcore}@0 --main-lcore {lcore}")),
            "{text}"
        );
    }

    #[test]
    fn arguments_with_everything() {
        let args = EalArgs {
            hugepages: true,
            pci_devices: vec!["0000:01:00.0,x=1".into()],
            extra: vec!["--socket-mem=32,32".into()],
            ..args()
        };
        let text = arguments(&args).join(" ");
        assert!(text.ends_with("--in-memory -a 0000:01:00.0,x=1 --socket-mem=32,32"), "{text}");
    }

    #[test]
    fn refused_before_dpdk_is_called() {
        let cause = |change: &dyn Fn(&mut EalArgs)| {
            let mut args = args();
            change(&mut args);
            init(&args).err().expect("must be refused").to_string()
        };
        let text = cause(&|args| args.worker_cores = vec![1, 77]);
        assert!(text.starts_with("core 77 is not on this machine"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![5000]);
        assert!(text.starts_with("core 5000 is beyond"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![1, 1]);
        assert!(text.starts_with("worker core 1 is named twice"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![]);
        assert!(text.starts_with("there is no worker core"), "{text}");
        let text = cause(&|args| args.extra = vec!["--help".into()]);
        assert!(text.starts_with("eal-args: --help"), "{text}");
        let text = cause(&|args| (args.hugepages, args.memory_mib) = (true, 9_000_000));
        assert!(text.starts_with("memory-mib asks for 9000000 MiB of hugepages"), "{text}");
    }
}
