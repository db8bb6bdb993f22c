//! The host as the checks see it: files of `/proc`, `/sys` and `/dev`, the interfaces of this network
//! namespace, and the switch that may be running.
//!
//! Nothing is written. Files are read below a root directory. Tests replace it with a tree of their
//! own, and so have NUMA nodes, NICs and IOMMUs that the machine does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::kernel::netdev::{self, Link};

/// The process that listens on the API's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listener {
    /// No process listens.
    #[default]
    None,
    /// A switch, with its process ID.
    Switch(i32),
    /// Another program, with its process ID.
    Other(i32),
    /// This user may not connect, or the listener is in another pid namespace.
    Unknown,
}

/// A process that has hugepages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugepageUser {
    /// Its process ID.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Its memory in hugepages, in KiB.
    pub kib: u64,
}

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// The interfaces of the network namespace, by name.
    pub links: BTreeMap<String, Link>,
    /// The cores that this process can run on; `None` if that is not known.
    pub allowed: Option<BTreeSet<u32>>,
    /// The path of this program, for commands.
    pub program: PathBuf,
    /// The folder of DPDK's driver plugins; `None` if this program was built without DPDK.
    pub plugins: Option<PathBuf>,
    /// The process that listens on the API's socket.
    pub api_listener: Listener,
    /// Socket families, such as `AF_PACKET`, that this process cannot have.
    pub no_sockets: Vec<i32>,
}

impl Host {
    /// This host. `socket` is the API's socket of the switch that may be running.
    #[must_use]
    pub fn here(socket: &Path) -> Self {
        Self { api_listener: listener_of(socket), ..Self::machine() }
    }

    /// This host, without a look for a running switch.
    #[must_use]
    pub fn machine() -> Self {
        let online = Self::at("/").online();
        Self {
            links: netdev::all().unwrap_or_default(),
            allowed: allowed_of(&online),
            program: std::env::current_exe().unwrap_or_else(|_| "vswitch".into()),
            plugins: plugin_folder(),
            no_sockets: [libc::AF_PACKET, libc::AF_XDP]
                .into_iter()
                .filter(|f| !has_sockets(*f))
                .collect(),
            ..Self::at("/")
        }
    }

    /// A tree of files, and nothing else.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            links: BTreeMap::new(),
            allowed: None,
            program: "vswitch".into(),
            plugins: None,
            api_listener: Listener::None,
            no_sockets: Vec::new(),
        }
    }

    /// A path of the host, which may begin with a slash.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether a path exists.
    #[must_use]
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The text of a file, without white space around it.
    #[must_use]
    pub fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.path(path)).ok().map(|text| text.trim().to_owned())
    }

    /// The number in a file.
    #[must_use]
    pub fn number(&self, path: impl AsRef<Path>) -> Option<i64> {
        self.read(path)?.parse().ok()
    }

    /// The names in a folder, sorted; none if there is no such folder.
    #[must_use]
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last part of what a symbolic link points to.
    #[must_use]
    pub fn link_name(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        target.file_name().map(OsStr::to_string_lossy).map(Into::into)
    }

    /// The value behind `Key:` in a file of such lines.
    #[must_use]
    pub fn field(&self, path: &str, key: &str) -> Option<String> {
        let text = self.read(path)?;
        let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
        text.lines().find_map(value)
    }

    /// A `12 kB` of such a file, in KiB.
    #[must_use]
    pub fn kib(&self, path: &str, key: &str) -> Option<u64> {
        self.field(path, key)?.split_whitespace().next()?.parse().ok()
    }

    /// Whether this process has a capability, by number (capabilities(7)).
    #[must_use]
    pub fn has_capability(&self, number: u32) -> bool {
        let bits = self.field("proc/self/status", "CapEff");
        let bits = bits.and_then(|hex| u64::from_str_radix(&hex, 16).ok());
        bits.is_some_and(|bits| bits >> number & 1 != 0)
    }

    /// The effective user ID of this process.
    #[must_use]
    pub fn user(&self) -> String {
        let ids = self.field("proc/self/status", "Uid").unwrap_or_default();
        ids.split_whitespace().nth(1).unwrap_or("0").to_owned()
    }

    /// The group IDs of this process.
    #[must_use]
    pub fn groups(&self) -> Vec<u32> {
        let field = |key| self.field("proc/self/status", key).unwrap_or_default();
        let numbers = format!("{} {}", field("Gid"), field("Groups"));
        numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }

    /// Whether this process runs as root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user() == "0"
    }

    /// The cores that are online.
    #[must_use]
    pub fn online(&self) -> BTreeSet<u32> {
        cores(&self.read("sys/devices/system/cpu/online").unwrap_or_default())
    }

    /// The numbers of the NUMA nodes; empty if the kernel knows none.
    #[must_use]
    pub fn nodes(&self) -> Vec<u32> {
        let names = self.list("sys/devices/system/node");
        let number = |name: &String| name.strip_prefix("node")?.parse().ok();
        let mut nodes: Vec<u32> = names.iter().filter_map(number).collect();
        nodes.sort_unstable();
        nodes
    }

    /// The cores of a NUMA node.
    #[must_use]
    pub fn cores_of(&self, node: u32) -> BTreeSet<u32> {
        let list = self.read(format!("sys/devices/system/node/node{node}/cpulist"));
        cores(&list.unwrap_or_default())
    }

    /// The NUMA node of a core.
    #[must_use]
    pub fn node_of(&self, core: u32) -> Option<u32> {
        self.nodes().into_iter().find(|node| self.cores_of(*node).contains(&core))
    }

    /// The NUMA node of a device, by its folder in sysfs.
    #[must_use]
    pub fn node_of_device(&self, folder: &str) -> Option<u32> {
        // -1: the firmware does not say.
        self.number(format!("{folder}/numa_node")).and_then(|node| u32::try_from(node).ok())
    }

    /// The name of a process.
    #[must_use]
    pub fn name_of(&self, pid: i32) -> String {
        self.read(format!("proc/{pid}/comm")).unwrap_or_default()
    }

    fn processes(&self) -> impl Iterator<Item = i32> {
        self.list("proc").into_iter().filter_map(|name| name.parse().ok())
    }

    /// The process that has a file open, with its name. `file` is a path or `socket:[INODE]`. Root
    /// sees every process, other users only their own.
    #[must_use]
    pub fn holder(&self, file: &str) -> Option<(i32, String)> {
        let has = |pid: &i32| {
            let folder = format!("proc/{pid}/fd");
            let target = |fd: &String| fs::read_link(self.path(format!("{folder}/{fd}"))).ok();
            self.list(&folder).iter().any(|fd| target(fd).is_some_and(|t| t == Path::new(file)))
        };
        let pid = self.processes().find(has)?;
        Some((pid, self.name_of(pid)))
    }

    /// Whether a process has a TAP open; `None` if this user cannot see that.
    #[must_use]
    pub fn has_tap(&self, pid: i32, name: &str) -> Option<bool> {
        let folder = format!("proc/{pid}/fdinfo");
        let files = self.list(&folder);
        let is_it =
            |fd: &String| self.field(&format!("{folder}/{fd}"), "iff").as_deref() == Some(name);
        (!files.is_empty()).then(|| files.iter().any(is_it))
    }

    /// The process that has a TAP open, as far as this user can see.
    #[must_use]
    pub fn tap_holder(&self, name: &str) -> Option<(i32, String)> {
        let pid = self.processes().find(|pid| self.has_tap(*pid, name) == Some(true))?;
        Some((pid, self.name_of(pid)))
    }

    /// The process that holds an exclusive lock on a file (flock(2)), as far as this user can see.
    #[must_use]
    pub fn locker(&self, file: &Path) -> Option<i32> {
        let about = fs::metadata(self.path(file)).ok()?;
        let (device, inode) = (about.dev(), about.ino());
        let locked = format!("{:02x}:{:02x}:{inode}", libc::major(device), libc::minor(device));
        let locks = self.read("proc/locks")?;
        locks.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, "FLOCK", _, "WRITE", pid, file, ..] = fields[..] else { return None };
            (file == locked).then(|| pid.parse().ok())?
        })
    }

    /// The systemd service that a process belongs to.
    #[must_use]
    pub fn unit_of(&self, pid: i32) -> Option<String> {
        let groups = self.read(format!("proc/{pid}/cgroup"))?;
        let group = groups.lines().find_map(|line| line.split_once("/system.slice/"))?.1;
        let unit = group.split('/').find(|part| part.ends_with(".service"))?;
        Some(unit.to_owned())
    }

    /// The processes that have hugepages.
    #[must_use]
    pub fn hugepage_users(&self) -> Vec<HugepageUser> {
        let user = |pid: i32| {
            let status = format!("proc/{pid}/status");
            let kib = self.kib(&status, "HugetlbPages").filter(|kib| *kib > 0)?;
            Some(HugepageUser { pid, name: self.field(&status, "Name").unwrap_or_default(), kib })
        };
        self.processes().filter_map(user).collect()
    }
}

/// Parses a list of cores as the kernel writes it: `0-3,8`.
#[must_use]
pub fn cores(list: &str) -> BTreeSet<u32> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?)
    });
    ranges.flatten().collect()
}

/// Formats a list of cores: `0,1,8`.
#[must_use]
pub fn listed<'a>(cores: impl IntoIterator<Item = &'a u32>) -> String {
    cores.into_iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The cores that this process can run on. Setting the affinity is tried, on a thread of its own,
/// because the current affinity may exclude a core that the cpuset allows.
fn allowed_of(online: &BTreeSet<u32>) -> Option<BTreeSet<u32>> {
    let is_allowed = |core: &u32| {
        let mut one = CpuSet::new();
        one.set(*core as usize).and_then(|()| sched_setaffinity(Pid::from_raw(0), &one)).is_ok()
    };
    let online = online.clone();
    let tried = std::thread::spawn(move || online.into_iter().filter(is_allowed).collect());
    tried.join().ok()
}

/// Whether this process can have sockets of a family. Opening one is tried, because the kernel may
/// load a module for it, and a unit may forbid it (`RestrictAddressFamilies=`). An error about
/// permissions still shows that the family exists.
fn has_sockets(family: i32) -> bool {
    let tried = Socket::new(Domain::from(family), Type::from(libc::SOCK_RAW), None);
    tried.map_or_else(|error| error.raw_os_error() != Some(libc::EAFNOSUPPORT), |_| true)
}

fn listener_of(socket: &Path) -> Listener {
    match UnixStream::connect(socket) {
        Ok(stream) => match getsockopt(&stream, sockopt::PeerCredentials) {
            // A process ID of 0 stands for another pid namespace.
            Ok(peer) if peer.pid() > 0 => {
                let host = Host::at("/");
                let name = host.name_of(peer.pid());
                // A renamed program has the name of this process.
                if name == "vswitch" || Some(name) == host.read("proc/self/comm") {
                    Listener::Switch(peer.pid())
                } else {
                    Listener::Other(peer.pid())
                }
            }
            Ok(_) | Err(_) => Listener::Unknown,
        },
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Listener::Unknown,
        Err(_) => Listener::None,
    }
}

#[cfg(feature = "dpdk")]
fn plugin_folder() -> Option<PathBuf> {
    Some(crate::dpdk::eal::plugin_folder())
}

#[cfg(not(feature = "dpdk"))]
fn plugin_folder() -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn lists_of_cores_are_read_and_written() {
        assert_eq!(cores("0-2,7"), BTreeSet::from([0, 1, 2, 7]));
        assert_eq!(cores(""), BTreeSet::new());
        assert_eq!(listed(&cores("1-2,5")), "1,2,5");
    }

    #[test]
    fn this_host_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let host = Host::here(&socket);
        assert_eq!(host.api_listener, Listener::None);
        assert!(host.links.contains_key("lo"));
        assert!(has_sockets(libc::AF_UNIX) && !has_sockets(255));
        assert!(!host.online().is_empty());
        let allowed = host.allowed.as_ref().unwrap();
        assert!(!allowed.is_empty() && allowed.is_subset(&host.online()));

        let _listener = UnixListener::bind(&socket).unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Host::here(&socket).api_listener, Listener::Switch(me));
    }
}
