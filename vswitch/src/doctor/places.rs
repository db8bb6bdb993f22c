//! What must be free before a switch takes it: names and addresses of host interfaces, the API's socket, TCP ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::edit::{Table, quoted};
use super::files::make_directory;
use super::host::{Host, Running};
use super::{Check, Finding, Purpose, View};
use crate::api::socket;
use crate::config::{Config, Vtep};
use crate::kernel::netdev::Link;

/// Another switch on the API's socket, when one is to be started: it has what it has, and none of it is to be taken
/// from it.
pub(super) fn another(view: &View<'_>) -> Option<Finding> {
    let path = view.config?.api.socket.display();
    if view.purpose != Purpose::Start {
        return None;
    }
    let own = "or give this one a socket, addresses and names of its own";
    match view.host.running {
        Running::Process(pid) => {
            let stop = match view.host.unit_of(pid) {
                Some(unit) => format!("systemctl stop {}", quoted(&unit)),
                None => format!("kill {pid}"),
            };
            Some(
                Finding::problem(
                    Check::Socket,
                    format!("[api] socket: somebody answers on {path} already"),
                    format!("process {pid}, another vswitch, is running there"),
                )
                .mend(stop)
                .advice(format!("that stops it, and what it carries; {own}")),
            )
        }
        Running::Hidden => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] socket: a switch may be running on {path}"),
                "this user may not ask there, or who listens is in another pid namespace",
            )
            .advice(format!("look as root: `ss -xlp src {path}`; {own}")),
        ),
        Running::Nobody | Running::Stranger(_) => None,
    }
}

pub(super) fn host_interfaces(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let host = view.host;
    // Whether the running switch has a TAP; `None` if that cannot be seen.
    let is_its_own = |name: &str| match host.running {
        Running::Process(pid) => host.has_tap(pid, name),
        _ => None,
    };
    let mut findings = Vec::new();
    for vtep in &config.vteps {
        let name = &vtep.host_interface;
        let of_vtep = format!("vtep {:?}", vtep.name);
        if let Some(link) = host.links.get(name) {
            findings.push(match (view.running(), is_its_own(name)) {
                (Some(running), Some(true)) => {
                    let found = format!("{of_vtep}: {name} is that of {running}");
                    Finding::ok(Check::HostInterface, found)
                }
                (Some(running), None) => Finding::note(
                    Check::HostInterface,
                    format!("{of_vtep}: {name} is there; whether {running} has it cannot be seen"),
                ),
                _ => taken(view, config, vtep, link),
            });
        }
        let prefix_len = |link: &Link| {
            let mut addresses = link.addresses.iter();
            addresses.find(|(ip, _)| *ip == vtep.address).map(|(_, prefix_len)| *prefix_len)
        };
        let mut others = host.links.iter().filter(|(other, _)| *other != name);
        let holder = others.find_map(|(other, link)| Some((other, prefix_len(link)?)));
        let Some((holder, prefix_len)) = holder else { continue };
        if view.running().is_some() && is_its_own(holder) == Some(true) {
            continue; // by another configuration: it goes with the process
        }
        let address = vtep.address;
        findings.push(
            Finding::problem(
                Check::HostInterface,
                format!("{of_vtep}: address {address} is on the interface {holder:?} already"),
                "the VTEP's address belongs to its host interface alone",
            )
            .mend(format!("ip address delete {address}/{prefix_len} dev {}", quoted(holder)))
            .advice("or choose another address"),
        );
    }
    if findings.is_empty() && !config.vteps.is_empty() {
        let names: Vec<_> = config.vteps.iter().map(|vtep| vtep.host_interface.as_str()).collect();
        findings.push(Finding::ok(Check::HostInterface, format!("free: {}", names.join(", "))));
    }
    findings
}

/// An interface in the place of a host interface. What may be of use to somebody is not deleted.
fn taken(view: &View<'_>, config: &Config, vtep: &Vtep, link: &Link) -> Finding {
    let (host, name) = (view.host, &vtep.host_interface);
    let found =
        format!("vtep {:?}: host-interface: an interface {name:?} exists already", vtep.name);
    let problem = |cause: &str| Finding::problem(Check::HostInterface, found.clone(), cause);
    let holder = host.tap_holder(name);
    if holder.is_none() && link.is_tap && host.is_root() {
        return problem(
            "it is a TAP that no process has: left behind, or made for somebody who comes later",
        )
        .mend(format!("ip link delete {}", quoted(name)))
        .advice("if something uses it, choose another name for host-interface");
    }
    let cause = match holder {
        Some((pid, who)) => format!("{who} (process {pid}) has it"),
        None => {
            "the switch makes its host interfaces itself, and somebody else made this one".into()
        }
    };
    let is_free = |name: &String| {
        !host.links.contains_key(name) && config.vteps.iter().all(|v| v.host_interface != *name)
    };
    let free =
        (0..=host.links.len() + config.vteps.len()).map(|n| format!("vtep{n}")).find(is_free);
    let edit = free.and_then(|free| {
        let table = Table::Named("vtep", &vtep.name);
        view.file?.set(table, "host-interface", &format!("\"{free}\""))
    });
    problem(&cause).mend_if(edit).advice("choose another name for host-interface")
}

pub(super) fn sockets(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return running_alone(view.host) };
    let mut findings = vec![of_api(view, &config.api.socket)];
    findings.extend(config.api.group.as_ref().and_then(|group| of_group(view.host, group)));
    findings.push(listens(view, "metrics", config.api.metrics));
    if let Some(tcp) = &config.api.tcp {
        findings.push(listens(view, "listen", tcp.listen));
    }
    findings
}

/// A group that the socket cannot be given to.
fn of_group(host: &Host, group: &str) -> Option<Finding> {
    const CAP_CHOWN: u32 = 0;
    match socket::group(group) {
        Err(error) => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] group: there is no group {group:?} on this host"),
                error.to_string().lines().next().unwrap_or_default().to_owned(),
            )
            .mend(format!("groupadd --system {}", quoted(group))),
        ),
        Ok(gid) if host.has_capability(CAP_CHOWN) || host.groups().contains(&gid.as_raw()) => None,
        Ok(_) => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] group: this user cannot give the socket to group {group:?}"),
                "it is neither root nor a member",
            )
            .mend(format!(
                "usermod --append --groups {} \"$(id -un {})\"",
                quoted(group),
                host.user()
            ))
            .advice("that counts from the next login; in a systemd unit: SupplementaryGroups="),
        ),
    }
}

fn running_alone(host: &Host) -> Vec<Finding> {
    match host.running {
        Running::Process(pid) => {
            vec![Finding::note(Check::Socket, format!("a switch is running (process {pid})"))]
        }
        Running::Hidden => vec![Finding::note(
            Check::Socket,
            "a switch may be running: this user may not ask on its socket, or it is in another pid namespace",
        )],
        Running::Nobody | Running::Stranger(_) => Vec::new(),
    }
}

fn of_api(view: &View<'_>, path: &Path) -> Finding {
    let host = view.host;
    if let Some(running) = view.running() {
        return Finding::note(
            Check::Socket,
            format!("[api] socket: {running} answers on {}", path.display()),
        );
    }
    let problem = |what: String, cause: &str| {
        Finding::problem(Check::Socket, format!("[api] socket: {what}"), cause)
    };
    if let Running::Stranger(pid) = host.running {
        return problem(
            format!("somebody answers on {} already", path.display()),
            &format!("{} (process {pid}), which is no vswitch, listens there", host.name_of(pid)),
        )
        .advice("choose another path for socket");
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.display();
    if !host.path(folder).is_dir() {
        let parent =
            folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return if !host.path(parent).is_dir() {
            problem(
                format!("the directory {name} does not exist"),
                "nobody made it, nor the one that it is in",
            )
            .mend(make_directory(host, folder))
        } else if may_write(&host.path(parent)) {
            Finding::ok(
                Check::Socket,
                format!("[api] socket: {} can be made, with its directory", path.display()),
            )
        } else {
            problem(
                format!("the directory {name} does not exist, and this user may not make it"),
                "nobody made it; what is in /run is gone with each boot",
            )
            .mend(make_directory(host, folder))
            .advice("in a systemd unit: RuntimeDirectory=vswitch")
        };
    }
    if !may_write(&host.path(folder)) {
        return problem(format!("this user may not write to {name}"), "the directory is another user's")
            .advice("choose a path for socket in a directory of this user's; in a systemd unit: RuntimeDirectory=vswitch");
    }
    let file = host.path(path);
    if std::fs::symlink_metadata(&file).is_ok_and(|file| !file.file_type().is_socket()) {
        return problem(
            format!("{} is there, and is no socket", path.display()),
            "the switch removes what another switch left behind, and nothing else",
        )
        .mend(format!("mv {0} {0}.old", quoted(&path.display().to_string())));
    }
    Finding::ok(Check::Socket, format!("[api] socket: {} can be made", path.display()))
}

fn may_write(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK) != Err(Errno::EACCES)
}

fn listens(view: &View<'_>, key: &str, address: SocketAddr) -> Finding {
    let host = view.host;
    let taken = listeners(host);
    let Some((_, inode)) = taken.iter().find(|(other, _)| meets(*other, address)) else {
        return Finding::ok(Check::Listen, format!("[api] {key}: {address} is free"));
    };
    let who = host.holder(&format!("socket:[{inode}]"));
    match (view.running(), &who) {
        (Some(running), Some((pid, _))) if host.running == Running::Process(*pid) => {
            let found = format!("[api] {key}: {running} listens on {address}");
            return Finding::ok(Check::Listen, found);
        }
        (Some(running), None) => {
            let found = format!(
                "[api] {key}: somebody listens on {address}; whether that is {running} cannot be seen"
            );
            return Finding::note(Check::Listen, found);
        }
        _ => {}
    }
    let who =
        who.map_or("another process".to_owned(), |(pid, name)| format!("{name} (process {pid})"));
    let free = (address.port()..=u16::MAX)
        .map(|port| SocketAddr::new(address.ip(), port))
        .find(|candidate| taken.iter().all(|(other, _)| !meets(*other, *candidate)));
    let edit =
        free.and_then(|free| view.file?.set(Table::Section("api"), key, &format!("\"{free}\"")));
    Finding::problem(
        Check::Listen,
        format!("[api] {key}: cannot listen on {address}: the address is in use"),
        format!("{who} listens there"),
    )
    .mend_if(edit)
    .advice(format!("or stop who has it: `ss -ltnp sport = :{}` shows the process", address.port()))
}

/// Whether two cannot listen at the same time.
fn meets(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || is_any(one) || is_any(other))
}

/// The TCP addresses of this network namespace that somebody listens on, with the inodes of the sockets (proc(5)).
fn listeners(host: &Host) -> Vec<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for file in ["proc/net/tcp", "proc/net/tcp6"] {
        let text = host.read(file).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let address = (*state == LISTEN).then(|| socket_address(local))??;
            Some((address, inode.parse().ok()?))
        }));
    }
    found
}

/// `0100007F:23B8`: words of the address as this machine has them in memory.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |n: usize| u32::from_str_radix(ip.get(n * 8..n * 8 + 8)?, 16).ok();
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes()))
    } else {
        let mut bytes = [0; 16];
        for n in 0..4 {
            bytes[n * 4..n * 4 + 4].copy_from_slice(&word(n)?.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::edit::File;
    use super::super::fixture::{Fixture, config};
    use super::super::{Severity, examine};
    use super::*;

    const NOBODY: &str = "Uid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t8 9\nCapEff:\t0\n";

    fn usual() -> Config {
        config(&["net_null0"])
    }

    fn folder() -> Fixture {
        Fixture::new().directory("run/vswitch")
    }

    /// Somebody listens on the address of the metrics.
    fn listening() -> Fixture {
        let table = "sl local rem st\n 0: 0100007F:23B8 00000000:0000 0A 0:0 0:0 0 0 0 777 1\n";
        folder().file("proc/net/tcp", table)
    }

    #[test]
    fn names_and_addresses_of_host_interfaces_are_free() {
        Fixture::new().all_is_well(&usual(), host_interfaces);
        let holder =
            Link { addresses: vec![(Ipv4Addr::new(198, 51, 100, 1), 25)], ..Link::default() };
        let finding = Fixture::new().link("eth1", holder).problem(&usual(), host_interfaces);
        assert_eq!(finding.mend, ["ip address delete 198.51.100.1/25 dev eth1"]);
    }

    #[test]
    fn what_somebody_may_need_is_not_deleted() {
        let file = File::with("f.toml", "[[vtep]]\nname = \"v\"\nhost-interface = \"vtep0\"\n");
        let renamed = file.set(Table::Named("vtep", "v"), "host-interface", "\"vtep1\"").unwrap();
        let tap = || Link { is_tap: true, ..Link::default() };
        let with = |link: Link| Fixture::new().with_file(&file).link("vtep0", link);
        assert_eq!(with(tap()).problem(&usual(), host_interfaces).mend, ["ip link delete vtep0"]);
        // A bridge; a TAP of a virtual machine; a TAP whose holder this user cannot see.
        let finding = with(Link::default()).problem(&usual(), host_interfaces);
        assert_eq!(finding.mend, [&*renamed]);
        let finding = with(tap())
            .file("proc/9/fdinfo/5", "pos:\t0\niff:\tvtep0\n")
            .file("proc/9/comm", "qemu\n")
            .problem(&usual(), host_interfaces);
        assert_eq!(
            (&*finding.cause, &finding.mend[..]),
            ("qemu (process 9) has it", &[renamed.clone()][..])
        );
        let finding =
            with(tap()).file("proc/self/status", NOBODY).problem(&usual(), host_interfaces);
        assert_eq!(finding.mend, [renamed]);
    }

    #[test]
    fn what_the_running_switch_has_is_its_own() {
        let address =
            Link { addresses: vec![(Ipv4Addr::new(198, 51, 100, 1), 24)], ..Link::default() };
        let mut fixture = listening()
            .link("vtep0", Link::default())
            .link("old0", address)
            .file("proc/77/fdinfo/5", "iff:\tvtep0\n")
            .file("proc/77/fdinfo/6", "iff:\told0\n")
            .points("proc/77/fd/3", "socket:[777]");
        fixture.host.running = Running::Process(77);
        let of_77 = "the running switch (process 77)";
        for check in [host_interfaces, sockets] {
            fixture.all_is_well(&usual(), check);
            let found =
                fixture.findings(&usual(), check).into_iter().find(|f| f.severity == Severity::Ok);
            assert!(found.is_some_and(|found| found.found.contains(of_77)));
        }
    }

    #[test]
    fn what_another_has_is_not_the_running_switchs() {
        let mut fixture = listening()
            .link("vtep0", Link::default())
            .file("proc/77/fdinfo/5", "iff:\tvtep9\n")
            .points("proc/9/fd/3", "socket:[777]");
        fixture.host.running = Running::Process(77);
        fixture.problem(&usual(), host_interfaces);
        assert_eq!(fixture.problem(&usual(), sockets).check, Check::Listen);
        // Where it cannot be seen, nothing is claimed.
        let mut fixture = listening().link("vtep0", Link::default());
        for running in [Running::Process(77), Running::Hidden] {
            fixture.host.running = running;
            for check in [host_interfaces, sockets] {
                let all = fixture.findings(&usual(), check);
                assert!(all.iter().all(|finding| finding.severity == Severity::Note), "{all:#?}");
            }
        }
    }

    #[test]
    fn a_second_switch_leaves_the_first_what_it_has() {
        let mut fixture = listening().link("vtep0", Link { is_tap: true, ..Link::default() });
        fixture.purpose = Purpose::Start;
        fixture.host.running = Running::Process(77);
        let only = |fixture: &Fixture| {
            let mut all = examine(&fixture.view(&usual())).findings;
            assert_eq!((all.len(), all[0].severity), (1, Severity::Problem), "{all:#?}");
            all.remove(0)
        };
        assert_eq!(only(&fixture).mend, ["kill 77"]);
        let mut fixture = fixture.file("proc/77/cgroup", "0::/system.slice/vswitch.service\n");
        assert_eq!(only(&fixture).mend, ["systemctl stop vswitch.service"]);
        fixture.host.running = Running::Hidden;
        assert!(only(&fixture).mend.is_empty());
    }

    #[test]
    fn a_listener_that_is_no_switch_is_not_ended() {
        let mut fixture = folder().file("proc/1/comm", "systemd\n");
        fixture.host.running = Running::Stranger(1);
        for purpose in [Purpose::Look, Purpose::Start] {
            fixture.purpose = purpose;
            let finding = fixture.problem(&usual(), sockets);
            assert!(
                finding.mend.is_empty() && finding.cause.contains("systemd (process 1)"),
                "{finding}"
            );
        }
    }

    #[test]
    fn the_socket_has_a_place() {
        folder().all_is_well(&usual(), sockets);
        // As before the first start, and when the service is stopped: the directory is made by who starts.
        Fixture::new().directory("run").all_is_well(&usual(), sockets);
        let finding = Fixture::new().problem(&usual(), sockets);
        assert_eq!(finding.mend, ["install -d -m 0750 /run/vswitch"]);
        let finding = Fixture::new().file("proc/self/status", NOBODY).problem(&usual(), sockets);
        assert_eq!(finding.mend, ["install -d -m 0750 -o 7 /run/vswitch"]);
        let finding = folder().file("run/vswitch/vswitch.sock", "").problem(&usual(), sockets);
        let socket = "/run/vswitch/vswitch.sock";
        assert_eq!(finding.mend, [format!("mv {socket} {socket}.old")]);
    }

    #[test]
    fn the_socket_can_be_given_to_its_group() {
        let mut config = usual();
        config.api.group = Some("no-such-group".into());
        assert_eq!(folder().problem(&config, sockets).mend, ["groupadd --system no-such-group"]);
        // On every Debian: 8 is "mail", and 10 is "uucp".
        let nobody = || folder().file("proc/self/status", NOBODY);
        config.api.group = Some("mail".into());
        nobody().all_is_well(&config, sockets);
        config.api.group = Some("uucp".into());
        let finding = nobody().problem(&config, sockets);
        assert_eq!(finding.mend, ["usermod --append --groups uucp \"$(id -un 7)\""]);
        let root = NOBODY.replace("CapEff:\t0", "CapEff:\t000001ffffffffff");
        folder().file("proc/self/status", &root).all_is_well(&config, sockets);
    }

    #[test]
    fn who_listens_is_named_and_a_free_port_found() {
        let line = |n: u32, local: &str, inode: u32| {
            format!(" {n}: {local} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1\n")
        };
        let table =
            format!("head\n{}{}", line(0, "00000000:23B8", 777), line(1, "0100007F:23B9", 778));
        let file = File::with("f.toml", "[api]\nmetrics = \"127.0.0.1:9144\"\n");
        let fixture = folder()
            .file("proc/net/tcp", &table)
            .points("proc/9/fd/3", "socket:[777]")
            .file("proc/9/comm", "exporter\n")
            .with_file(&file);
        let finding = fixture.problem(&usual(), sockets);
        assert_eq!(finding.cause, "exporter (process 9) listens there");
        let edit = file.set(Table::Section("api"), "metrics", "\"127.0.0.1:9146\"");
        assert_eq!(finding.mend, [edit.unwrap()]);
        let six = format!("head\n{}", line(0, "00000000000000000000000001000000:23B8", 1));
        folder().file("proc/net/tcp6", &six).all_is_well(&usual(), sockets);
        let any = format!("head\n{}", line(0, "00000000000000000000000000000000:23B8", 1));
        folder().file("proc/net/tcp6", &any).problem(&usual(), sockets);
    }

    #[test]
    fn a_switch_that_runs_is_seen_without_a_configuration() {
        let mut fixture = Fixture::new();
        assert!(fixture.of_host(sockets).is_empty());
        fixture.host.running = Running::Hidden;
        assert_eq!(fixture.of_host(sockets)[0].severity, Severity::Note);
    }
}
