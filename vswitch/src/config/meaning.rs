//! From what was typed to what it means: cores, memory and the ports.
//!
//! The API, VTEPs and networks have their own files. Each check goes on with a stand-in after a problem;
//! that is sound because [`parse`](super::parse) gives no configuration away once there is one.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use toml::Spanned;

use super::diagnostic::{Complaint, Problems, Span, listed, nearest, quoted};
use super::typed::{Document, DpdkTable, Integer, PortTable};
use super::{Config, Dpdk, Port, address, api, defaults, networks, vteps};
use crate::ids::PortId;

/// Indices are u16 (see [`crate::ids`]).
const MAX_TABLES: usize = 0xffff;
/// The size of the kernel's CPU sets, and more than any build of EAL takes.
const CORES: RangeInclusive<u32> = 0..=1023;

/// Checks everything; what it returns is a configuration only if no error was found.
pub(super) fn check(document: &Document, problems: &mut Problems) -> Config {
    let empty = DpdkTable::default();
    let dpdk = dpdk(document.dpdk.as_ref().map_or(&empty, Spanned::get_ref), problems);
    let api = api::check(document.api.as_ref().map(Spanned::get_ref), problems);
    let fdb_capacity = number(
        document.fdb.as_ref().and_then(|fdb| fdb.get_ref().capacity.as_ref()),
        64..=16_777_216_u32,
        "capacity",
        "every entry takes memory from the start, used or not",
        problems,
    );
    let port_tables = items(document.ports.as_ref());
    let vtep_tables = items(document.vteps.as_ref());
    let network_tables = items(document.networks.as_ref());
    limit(port_tables, "port", problems);
    limit(vtep_tables, "vtep", problems);
    limit(network_tables, "network", problems);

    let mut ports = Ports::check(port_tables, problems);
    let vteps = vteps::check(vtep_tables, &mut ports, problems);
    let networks = networks::check(network_tables, &mut ports, &vteps, problems);
    ports.warn_unused(problems);

    Config {
        dpdk,
        api,
        fdb_capacity: fdb_capacity
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(defaults::FDB_CAPACITY),
        ports: ports.list,
        vteps: vteps.list,
        networks,
        warnings: Vec::new(),
    }
}

fn dpdk(table: &DpdkTable, problems: &mut Problems) -> Dpdk {
    let main = table.main_core.as_ref();
    let main_core =
        number(main, CORES, "main-core", "it is the number of a CPU, as lscpu shows it", problems)
            .unwrap_or(defaults::MAIN_CORE);
    let worker_cores = match &table.worker_cores {
        Some(typed) => worker_cores(typed, problems),
        None => defaults::WORKER_CORES.to_vec(),
    };
    let typed_at =
        main.map(Spanned::span).or_else(|| table.worker_cores.as_ref().map(Spanned::span));
    if let Some(at) = typed_at
        && worker_cores.contains(&main_core)
    {
        shared_core(at, main_core, problems);
    }
    let memory_mib = number(
        table.memory_mib.as_ref(),
        64..=1_048_576,
        "memory-mib",
        "packet buffers and rings need 64 MiB at least",
        problems,
    );
    let packet_buffers = number(
        table.packet_buffers.as_ref(),
        1024..=16_777_215,
        "packet-buffers",
        "it is the fewest buffers to have, all ports together",
        problems,
    );
    let eal_args = items(table.eal_args.as_ref());
    for arg in eal_args {
        if let Some(key) = key_behind(arg.get_ref()) {
            problems.warning(
                arg.span(),
                format!(
                    "{} may contradict `{key}`, from which the switch makes the same argument",
                    quoted(arg.get_ref())
                ),
                format!("say it with `{key}` if you can"),
            );
        }
    }
    Dpdk {
        worker_cores,
        main_core,
        memory_mib: memory_mib.unwrap_or(defaults::MEMORY_MIB),
        packet_buffers,
        hugepages: table.hugepages.as_ref().map_or(defaults::HUGEPAGES, |typed| *typed.get_ref()),
        eal_args: eal_args.iter().map(|arg| arg.get_ref().clone()).collect(),
    }
}

fn worker_cores(typed: &Spanned<Vec<Spanned<Integer>>>, problems: &mut Problems) -> Vec<u32> {
    let mut cores: Vec<u32> = Vec::new();
    if typed.get_ref().is_empty() {
        problems.error(
            typed.span(),
            "`worker-cores` is empty, and without a worker no frame moves",
            "name one core at least, for example `worker-cores = [1]`",
        );
    }
    for item in typed.get_ref() {
        let why = "it is the number of a CPU, as lscpu shows it";
        let Some(core) = number(Some(item), CORES, "worker-cores", why, problems) else {
            continue;
        };
        if cores.contains(&core) {
            problems.error(
                item.span(),
                format!("core {core} is named twice in `worker-cores`"),
                "name each core once: a core runs one worker",
            );
        } else {
            cores.push(core);
        }
    }
    cores
}

/// Allowed, for machines with few cores: a polling worker leaves the control thread half of the core.
fn shared_core(at: Span, core: u32, problems: &mut Problems) {
    problems.warning(
        at,
        format!(
            "core {core} is a worker's as well: learning and the API wait for their turn on it"
        ),
        "fine for a try on a small machine; otherwise give `main-core` a core that does not poll",
    );
}

/// The key that an EAL argument is made from.
fn key_behind(arg: &str) -> Option<&'static str> {
    let option = arg.split_once('=').map_or(arg, |(option, _)| option);
    match option {
        "-c" | "-l" | "--lcores" => Some("worker-cores"),
        "--main-lcore" => Some("main-core"),
        "-m" | "--socket-mem" | "--numa-mem" => Some("memory-mib"),
        "--no-huge" => Some("hugepages"),
        _ => None,
    }
}

/// The ports, and who uses them.
pub(super) struct Ports {
    pub list: Vec<Port>,
    pub names: Names,
    headers: Vec<Span>,
    users: Vec<Option<User>>,
}

/// Who uses a port, and where the file says so.
#[derive(Clone)]
pub(super) struct User {
    /// "the uplink of VTEP `fabric`"
    pub how: String,
    pub at: Span,
}

impl Ports {
    fn check(tables: &[Spanned<PortTable>], problems: &mut Problems) -> Self {
        let mut names = Names::new("port");
        let mut list = Vec::new();
        let mut devices: HashMap<String, (String, Span)> = HashMap::new();
        let mut interfaces: HashMap<&str, (String, Span)> = HashMap::new();
        for table in tables {
            let table = table.get_ref();
            let name = names.add(table.name.as_ref(), problems);
            if let Some(device) = &table.device {
                check_device(device, &name, &mut devices, &mut interfaces, problems);
            }
            list.push(Port {
                name,
                device: table.device.as_ref().map(|d| d.get_ref().clone()).unwrap_or_default(),
                queues: number(
                    table.queues.as_ref(),
                    1..=1024,
                    "queues",
                    "a port receives on one queue at least, and DPDK knows 1024 at most",
                    problems,
                ),
                mtu: number(
                    table.mtu.as_ref(),
                    576..=9728,
                    "mtu",
                    "every IPv4 host takes 576 bytes (RFC 791), and no common NIC takes more than \
                     9728",
                    problems,
                ),
            });
        }
        let headers = tables.iter().map(Spanned::span).collect();
        Self { users: vec![None; list.len()], list, names, headers }
    }

    /// Gives a port to a user, or reports who has it already.
    pub fn claim(&mut self, port: usize, user: User, problems: &mut Problems) -> bool {
        let (Some(place), Some(name)) = (self.users.get_mut(port), self.list.get(port)) else {
            return false;
        };
        let Some(first) = place else {
            *place = Some(user);
            return true;
        };
        problems.error(
            user.at.clone(),
            format!(
                "port {} cannot be {}: {} it is {}",
                quoted(&name.name),
                user.how,
                problems.place(&first.at),
                first.how
            ),
            "a port is the uplink of one VTEP or belongs to one network: give each its own port",
        );
        false
    }

    fn warn_unused(&self, problems: &mut Problems) {
        for ((port, user), header) in self.list.iter().zip(&self.users).zip(&self.headers) {
            if user.is_none() && !port.name.is_empty() {
                problems.warning(
                    header.clone(),
                    format!("port {} is not used", quoted(&port.name)),
                    "name it in a `[[vtep]]` or a `[[network.port]]`, or remove it",
                );
            }
        }
    }
}

fn check_device<'t>(
    device: &'t Spanned<String>,
    port: &str,
    devices: &mut HashMap<String, (String, Span)>,
    interfaces: &mut HashMap<&'t str, (String, Span)>,
    problems: &mut Problems,
) {
    let text = device.get_ref();
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let what = if text.is_empty() { "is empty" } else { "contains a space" };
        problems.error(
            device.span(),
            format!("{} cannot be a device: it {what}", quoted(text)),
            "write a PCI address, `0000:01:00.0`, or DPDK devargs, `net_af_packet0,iface=eth1`",
        );
        return;
    }
    let identity = device_identity(text);
    if let Some((other, at)) = devices.get(&identity) {
        let message = format!(
            "device {} is already that of port {} {}",
            quoted(&identity),
            quoted(other),
            problems.place(at)
        );
        let help = "give each port its own device; a second virtual device of one driver has \
                    another number: `net_af_packet0`, `net_af_packet1`";
        problems.error(device.span(), message, help);
        return;
    }
    devices.insert(identity, (port.to_owned(), device.span()));
    if let Some(interface) = interface_of(text) {
        if let Some((other, at)) = interfaces.get(interface) {
            let message = format!(
                "interface {} is already that of port {} {}: both ports see the same \
                 frames",
                quoted(interface),
                quoted(other),
                problems.place(at)
            );
            problems.warning(device.span(), message, "give each port its own interface");
        } else {
            interfaces.insert(interface, (port.to_owned(), device.span()));
        }
    }
}

/// What makes two devargs the same device: the name of a virtual device, or the PCI address with
/// its domain.
fn device_identity(devargs: &str) -> String {
    let name = devargs.split(',').next().unwrap_or_default();
    if name.contains('=') {
        return devargs.to_owned(); // the bus=…,class=… syntax: its first part names no device
    }
    let name = name.strip_prefix("pci:").or_else(|| name.strip_prefix("vdev:")).unwrap_or(name);
    let short_pci = name.len() == 7 && name.as_bytes()[2] == b':' && name.as_bytes()[5] == b'.';
    if short_pci { format!("0000:{}", name.to_lowercase()) } else { name.to_owned() }
}

/// The kernel's interface that a virtual device reads and writes, or makes.
fn interface_of(devargs: &str) -> Option<&str> {
    devargs.split(',').find_map(|arg| arg.strip_prefix("iface="))
}

/// Whether two devices cannot be open at one time: they are the same, or would both set up the same interface of the
/// kernel, and the one that is closed first would undo what the other has set.
#[cfg(any(feature = "dpdk", test))]
pub(crate) fn devices_conflict(one: &str, other: &str) -> bool {
    let interface = interface_of(one);
    device_identity(one) == device_identity(other)
        || (interface.is_some() && interface == interface_of(other))
}

/// The names of one kind of thing. An index counts the tables, with or without a valid name.
pub(super) struct Names {
    kind: &'static str,
    list: Vec<(String, Span)>,
    by_name: HashMap<String, usize>,
    /// Names that were looked for in vain, and may still be compared to all that are known.
    hints_left: Cell<u32>,
}

/// A file in which more names are wrong has no typing mistake, but another list of names.
const MAX_HINTS: u32 = 100;

impl Names {
    pub fn new(kind: &'static str) -> Self {
        let hints_left = Cell::new(MAX_HINTS);
        Self { kind, list: Vec::new(), by_name: HashMap::new(), hints_left }
    }

    /// The next table's name, empty if there is none.
    pub fn add(&mut self, typed: Option<&Spanned<String>>, problems: &mut Problems) -> String {
        let index = self.list.len();
        let Some(typed) = typed else {
            self.list.push((String::new(), 0..0));
            return String::new();
        };
        let name = typed.get_ref();
        if let Err(complaint) = address::name(name) {
            problems.complain(typed.span(), complaint);
        }
        if let Some(&first) = self.by_name.get(name) {
            problems.error(
                typed.span(),
                format!(
                    "a second {} is named {}; the first is {}",
                    self.kind,
                    quoted(name),
                    problems.place(&self.list[first].1)
                ),
                "give each its own name",
            );
        } else {
            self.by_name.insert(name.clone(), index);
        }
        self.list.push((name.clone(), typed.span()));
        name.clone()
    }

    /// The index behind a name, or a report that nothing has it.
    pub fn find(&self, typed: &Spanned<String>, problems: &mut Problems) -> Option<usize> {
        let name = typed.get_ref();
        let found = self.by_name.get(name).copied();
        if found.is_none() {
            let kind = self.kind;
            let known = || {
                let firsts = self.list.iter().enumerate();
                firsts
                    .filter(|(i, (name, _))| self.by_name.get(name) == Some(i))
                    .map(|(_, (name, _))| name.as_str())
            };
            let left = self.hints_left.get();
            self.hints_left.set(left.saturating_sub(1));
            let near = if left > 0 { nearest(name, known()) } else { None };
            let near =
                near.map_or_else(String::new, |near| format!("did you mean {}? ", quoted(near)));
            let help = if self.by_name.is_empty() {
                format!("the file defines no [[{}]]", kind.to_lowercase())
            } else {
                format!("{near}known {kind}s: {}", listed(known(), self.by_name.len()))
            };
            problems.error(typed.span(), format!("no {kind} is named {}", quoted(name)), help);
        }
        found
    }
}

/// The items of a list that may be absent.
pub(super) fn items<T>(typed: Option<&Spanned<Vec<Spanned<T>>>>) -> &[Spanned<T>] {
    typed.map_or(&[], |list| list.get_ref().as_slice())
}

/// An index for a type that holds 16 bits; [`limit`] has reported what does not fit.
pub(super) fn index(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// The index of a port as the rest of the switch knows it.
pub(super) fn port_id(port: usize) -> PortId {
    PortId(index(port))
}

fn limit<T>(tables: &[Spanned<T>], kind: &str, problems: &mut Problems) {
    if let Some(table) = tables.get(MAX_TABLES) {
        problems.error(
            table.span(),
            format!("more than {MAX_TABLES} [[{kind}]] tables"),
            "the data path counts them in 16 bits: spread them over several hosts",
        );
    }
}

/// A number in a range, or `None` if there is none or a report was made.
pub(super) fn number<T: Copy + Into<i64> + TryFrom<i64> + std::fmt::Display>(
    typed: Option<&Spanned<Integer>>,
    range: RangeInclusive<T>,
    key: &str,
    why: &str,
    problems: &mut Problems,
) -> Option<T> {
    let typed = typed?;
    let value = *typed.get_ref();
    let (least, most) = (*range.start(), *range.end());
    if (least.into()..=most.into()).contains(&value) {
        return T::try_from(value).ok();
    }
    let message = format!("`{key}` is {value}, which is not from {least} to {most}");
    problems.error(typed.span(), message, format!("write a number from {least} to {most}: {why}"));
    None
}

/// A text that means something, or `None` if there is none or a report was made.
pub(super) fn checked<T>(
    typed: Option<&Spanned<String>>,
    meaning: impl FnOnce(&str) -> Result<T, Complaint>,
    problems: &mut Problems,
) -> Option<T> {
    let typed = typed?;
    meaning(typed.get_ref()).map_err(|complaint| problems.complain(typed.span(), complaint)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_has_one_identity() {
        assert_eq!(device_identity("net_tap0,iface=a"), device_identity("net_tap0"));
        assert_eq!(device_identity("01:00.0"), device_identity("0000:01:00.0,arg=1"));
        assert_eq!(device_identity("pci:0000:01:00.0"), device_identity("0000:01:00.0"));
        assert_ne!(device_identity("net_tap0"), device_identity("net_tap1"));
        assert_ne!(device_identity("bus=pci,addr=1"), device_identity("bus=pci,addr=2"));
    }

    #[test]
    fn devices_conflict_by_name_or_by_interface() {
        assert!(devices_conflict("net_tap0,iface=a", "net_tap0,iface=b"));
        assert!(devices_conflict("net_af_packet0,iface=a", "net_af_packet1,qpairs=2,iface=a"));
        assert!(!devices_conflict("net_af_packet0,iface=a", "net_af_packet1,iface=b"));
        assert!(!devices_conflict("net_null0", "net_null1"));
    }
}
