//! What must be free before a switch takes it: names and addresses of host interfaces, the API's socket, TCP ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::edit::{Table, quoted};
use super::host::{Host, Running};
use super::{Check, Finding, View};
use crate::api::socket;

pub(super) fn host_interfaces(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return Vec::new() };
    let host = view.host;
    let mut findings = Vec::new();
    for vtep in &config.vteps {
        let name = &vtep.host_interface;
        let is_there = host.links.contains_key(name);
        if let (Some(running), true) = (view.running(), is_there) {
            let found = format!("vtep {:?}: {name} is that of {running}", vtep.name);
            findings.push(Finding::ok(Check::HostInterface, found));
            continue;
        }
        if is_there {
            findings.push(
                Finding::problem(
                    Check::HostInterface,
                    format!("vtep {:?}: host-interface: an interface {name:?} exists already", vtep.name),
                    "the switch makes its host interfaces itself; another switch has it, or somebody made it",
                )
                .mend(format!("ip link delete {}", quoted(name)))
                .advice("if something uses it, choose another name for host-interface"),
            );
        }
        let holder = host.links.iter().find(|(_, link)| link.addresses.contains(&vtep.address));
        if let Some((holder, _)) = holder.filter(|(holder, _)| *holder != name) {
            findings.push(
                Finding::problem(
                    Check::HostInterface,
                    format!(
                        "vtep {:?}: address {} is on the interface {holder:?} already",
                        vtep.name, vtep.address
                    ),
                    "the VTEP's address belongs to its host interface alone",
                )
                .mend(format!("ip address delete {} dev {}", held_as(vtep), quoted(holder)))
                .advice("or choose another address"),
            );
        }
    }
    if findings.is_empty() && !config.vteps.is_empty() {
        let names: Vec<_> = config.vteps.iter().map(|vtep| vtep.host_interface.as_str()).collect();
        findings.push(Finding::ok(Check::HostInterface, format!("free: {}", names.join(", "))));
    }
    findings
}

/// `ip address delete` finds an address by its own prefix length or without any.
fn held_as(vtep: &crate::config::Vtep) -> Ipv4Addr {
    vtep.address
}

pub(super) fn sockets(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return running_alone(view.host) };
    let mut findings = vec![of_api(view, &config.api.socket)];
    if let Some(group) = &config.api.group
        && let Err(error) = socket::group(group)
    {
        findings.push(
            Finding::problem(
                Check::Socket,
                format!("[api] group: there is no group {group:?} on this host"),
                error.to_string().lines().next().unwrap_or_default().to_owned(),
            )
            .mend(format!("groupadd --system {}", quoted(group))),
        );
    }
    findings.push(listens(view, "metrics", config.api.metrics));
    if let Some(tcp) = &config.api.tcp {
        findings.push(listens(view, "listen", tcp.listen));
    }
    findings
}

fn running_alone(host: &Host) -> Vec<Finding> {
    match host.running {
        Running::Process(pid) => {
            vec![Finding::note(Check::Socket, format!("a switch is running (process {pid})"))]
        }
        Running::Hidden => vec![Finding::note(
            Check::Socket,
            "a switch may be running: this user may not ask on its socket",
        )],
        Running::Nobody => Vec::new(),
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
    if let Running::Process(pid) = host.running {
        return Finding::problem(
            Check::Socket,
            format!("[api] socket: somebody answers on {} already", path.display()),
            format!("process {pid}, another vswitch, is running there"),
        )
        .mend(format!("kill {pid}"))
        .advice("that stops it; or give this one a socket of its own");
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let word = quoted(&folder.display().to_string());
    if !host.path(folder).is_dir() {
        return Finding::problem(
            Check::Socket,
            format!("[api] socket: the directory {} does not exist", folder.display()),
            "nobody made it; what is in /run is gone with each boot",
        )
        .mend(format!("install -d -m 0750 {word}"))
        .advice("in a systemd unit: RuntimeDirectory=vswitch");
    }
    if access(&host.path(folder), AccessFlags::W_OK | AccessFlags::X_OK) == Err(Errno::EACCES) {
        return Finding::problem(
            Check::Socket,
            format!("[api] socket: this user may not write to {}", folder.display()),
            "the directory is another user's",
        )
        .mend(format!("chown {} {word}", host.user()));
    }
    let file = host.path(path);
    if std::fs::symlink_metadata(&file).is_ok_and(|file| !file.file_type().is_socket()) {
        return Finding::problem(
            Check::Socket,
            format!("[api] socket: {} is there, and is no socket", path.display()),
            "the switch removes what another switch left behind, and nothing else",
        )
        .mend(format!("mv {0} {0}.old", quoted(&path.display().to_string())));
    }
    Finding::ok(Check::Socket, format!("[api] socket: {} can be made", path.display()))
}

fn listens(view: &View<'_>, key: &str, address: SocketAddr) -> Finding {
    let host = view.host;
    let taken = listeners(host);
    let Some((_, inode)) = taken.iter().find(|(other, _)| meets(*other, address)) else {
        return Finding::ok(Check::Listen, format!("[api] {key}: {address} is free"));
    };
    if let Some(running) = view.running() {
        return Finding::ok(Check::Listen, format!("[api] {key}: {running} listens on {address}"));
    }
    let who = owner(host, *inode);
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

/// Whose socket it is. Root sees every process, others only their own.
fn owner(host: &Host, inode: u64) -> Option<(i32, String)> {
    let wanted = format!("socket:[{inode}]");
    let pids = host.list("proc").into_iter().filter_map(|name| name.parse::<i32>().ok());
    let has = |pid: &i32| {
        let folder = format!("proc/{pid}/fd");
        host.list(&folder)
            .iter()
            .any(|fd| host.link_name(format!("{folder}/{fd}")).as_deref() == Some(&wanted))
    };
    let pid = pids.into_iter().find(has)?;
    Some((pid, host.read(format!("proc/{pid}/comm")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::edit::File;
    use super::super::fixture::{Fixture, config};
    use super::super::{Purpose, Severity};
    use super::*;
    use crate::config::Config;
    use crate::control::netdev::Link;

    fn usual() -> Config {
        config(&["net_null0"])
    }

    fn folder() -> Fixture {
        Fixture::new().directory("run/vswitch")
    }

    #[test]
    fn names_and_addresses_of_host_interfaces_are_free() {
        Fixture::new().all_is_well(&usual(), host_interfaces);
        let finding =
            Fixture::new().link("vtep0", Link::default()).problem(&usual(), host_interfaces);
        assert_eq!(finding.mend, ["ip link delete vtep0"]);
        let holder = Link { addresses: vec![Ipv4Addr::new(198, 51, 100, 1)], ..Link::default() };
        let finding = Fixture::new().link("eth1", holder).problem(&usual(), host_interfaces);
        assert_eq!(finding.mend, ["ip address delete 198.51.100.1 dev eth1"]);
    }

    #[test]
    fn what_the_running_switch_has_is_its_own() {
        let table = "sl local rem st\n 0: 0100007F:23B8 00000000:0000 0A 0:0 0:0 0 0 0 777 1\n";
        let mut fixture = folder().link("vtep0", Link::default()).file("proc/net/tcp", table);
        fixture.host.running = Running::Process(77);
        fixture.all_is_well(&usual(), host_interfaces);
        fixture.all_is_well(&usual(), sockets);
        fixture.purpose = Purpose::Start;
        let all = fixture.problems(&usual(), sockets);
        assert_eq!(all[0].mend, ["kill 77"]);
        assert!(all[1].found.contains("127.0.0.1:9144"), "{}", all[1]);
    }

    #[test]
    fn the_socket_has_a_place() {
        folder().all_is_well(&usual(), sockets);
        let finding = Fixture::new().problem(&usual(), sockets);
        assert_eq!(finding.mend, ["install -d -m 0750 /run/vswitch"]);
        let finding = folder().file("run/vswitch/vswitch.sock", "").problem(&usual(), sockets);
        let socket = "/run/vswitch/vswitch.sock";
        assert_eq!(finding.mend, [format!("mv {socket} {socket}.old")]);
        let mut config = usual();
        config.api.group = Some("no-such-group".into());
        assert_eq!(folder().problem(&config, sockets).mend, ["groupadd --system no-such-group"]);
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
