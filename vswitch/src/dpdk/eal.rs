//! The process's one EAL (DPDK's environment abstraction layer): hugepages, lcores, drivers.
//!
//! The control thread starts it first of all, and becomes its main lcore, pinned to the main core.
//! It leaves nothing behind, not even after SIGKILL: hugepages are anonymous (`--in-memory`), and
//! the runtime folder that EAL insists on is removed as soon as EAL has started. (What stays is
//! `/run/dpdk`, which all DPDK processes share.)
//!
//! Arguments and cores with which EAL would end the process are refused before EAL is called.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::error::{Answer, Error};
use super::log::{self, Mark};
use super::{c_string, last_errno};

/// What the switch asks of EAL.
#[derive(Clone, Debug, Default)]
pub struct EalArgs {
    /// The core of the control thread. If a worker polls on it too, the two share it.
    pub main_core: u32,
    /// The cores that poll.
    pub worker_cores: Vec<u32>,
    /// Memory for packet buffers and drivers, in MiB. `None`: `extra` says how much.
    pub memory_mib: Option<u32>,
    /// Take the memory from hugepages. Without, physical devices do not work.
    pub hugepages: bool,
    /// PCI devices to use, each `ADDRESS[,argument…]`; EAL leaves all others alone.
    /// See [`crate::config::device::pci_address`].
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
    if STARTED.swap(true, Ordering::Relaxed) {
        return Err(Error::Misuse("DPDK was started before in this process".into()));
    }
    log::take_over().map_err(Error::Log)?;

    let arguments: Vec<CString> = arguments(args).iter().map(|text| c_string(text)).collect();
    tracing::debug!(target: "dpdk", ?arguments, "starting EAL");
    let mark = Mark::now();
    let started = quietly(|| start(&arguments));
    remove_runtime_folder();
    if started < 0 {
        return Err(Error::Start(Answer::new(last_errno(), mark)));
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
    if let Some(mib) = args.memory_mib {
        list.extend(["-m".into(), mib.to_string()]);
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

/// Refuses what makes EAL print its help and end the process.
fn check_arguments(extra: &[String]) -> Result<(), Error> {
    let exits = |arg: &&String| matches!(arg.as_str(), "-h" | "--help" | "-v" | "--version");
    extra.iter().find(exits).map_or(Ok(()), |arg| Err(Error::EndsProcess(arg.clone())))
}

/// Refuses cores on which EAL cannot start a thread: EAL answers some of them with a panic.
fn check_cores(args: &EalArgs) -> Result<(), Error> {
    if args.worker_cores.is_empty() {
        return Err(Error::Misuse("there is no worker core".into()));
    }
    let mut seen = BTreeSet::new();
    if let Some(core) = args.worker_cores.iter().find(|&&core| !seen.insert(core)) {
        return Err(Error::Misuse(format!("worker core {core} is named twice")));
    }
    let mut cores = args.worker_cores.iter().chain([&args.main_core]);
    cores.find(|core| !can_run_on(**core)).map_or(Ok(()), |core| Err(Error::Core(*core)))
}

fn can_run_on(core: u32) -> bool {
    if core >= dpdk_sys::VSW_MAX_LCORE {
        return false;
    }
    // Tried on a thread of its own, because the affinity of this one is to stay.
    let tried = std::thread::spawn(move || {
        let mut one = CpuSet::new();
        one.set(core as usize).and_then(|()| sched_setaffinity(Pid::from_raw(0), &one)).is_ok()
    });
    tried.join().unwrap_or(false)
}

/// Where EAL looks for drivers: set when DPDK was built.
#[must_use]
pub fn plugin_folder() -> PathBuf {
    // SAFETY: returns a string constant.
    let folder = unsafe { dpdk_sys::vsw_plugin_folder() };
    // SAFETY: NUL-terminated, not null, never freed.
    let folder = unsafe { CStr::from_ptr(folder) };
    OsStr::from_bytes(folder.to_bytes()).into()
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
        EalArgs { main_core: 0, worker_cores: vec![1], memory_mib: Some(64), ..EalArgs::default() }
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
            memory_mib: None,
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
        assert!(text.starts_with("no thread of this process can run on core 77"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![5000]);
        assert!(text.starts_with("no thread of this process can run on core 5000"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![1, 1]);
        assert!(text.starts_with("worker core 1 is named twice"), "{text}");
        let text = cause(&|args| args.worker_cores = vec![]);
        assert!(text.starts_with("there is no worker core"), "{text}");
        let text = cause(&|args| args.extra = vec!["--help".into()]);
        assert!(text.starts_with("eal-args: --help"), "{text}");
    }
}
