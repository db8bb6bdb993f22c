//! The API's socket and the TCP addresses of API and metrics: they must be free before a switch takes
//! them.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::files::make_directory;
use super::finding::{Check, Finding, set};
use super::host::{Host, Listener};
use super::tcp;
use super::view::{Purpose, View};
use crate::api::socket;
use crate::text::shell_quoted;

/// Another switch on the API's socket when one is to start. Nothing may be taken from the other one.
pub(super) fn another_switch(view: &View<'_>) -> Option<Finding> {
    let path = view.config?.api.socket.display();
    if view.purpose != Purpose::Start {
        return None;
    }
    let own = "or give this one its own socket, addresses and names";
    match view.host.api_listener {
        Listener::Switch(pid) => {
            let stop = match view.host.unit_of(pid) {
                Some(unit) => format!("systemctl stop {}", shell_quoted(&unit)),
                None => format!("kill {pid}"),
            };
            Some(
                Finding::problem(
                    Check::Socket,
                    format!("[api] socket: another process listens on {path} already"),
                    format!("process {pid}, another vswitch, is running there"),
                )
                .mend(stop)
                .advice(format!("the command stops it and its traffic; {own}")),
            )
        }
        Listener::Unknown => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] socket: a switch may be running on {path}"),
                "this user may not connect to it, or the listener is in another pid namespace",
            )
            .advice(format!("look as root: `ss -xlp src {path}`; {own}")),
        ),
        Listener::None | Listener::Other(_) => None,
    }
}

pub(super) fn check(view: &View<'_>) -> Vec<Finding> {
    let Some(config) = view.config else { return running_alone(view.host) };
    let mut findings = vec![of_api(view, &config.api.socket)];
    findings.extend(config.api.group.as_ref().and_then(|group| of_group(view.host, group)));
    findings.push(listens(view, "metrics", config.api.metrics));
    if let Some(tcp) = &config.api.tcp {
        findings.push(listens(view, "listen", tcp.listen));
    }
    findings
}

/// A group to which the socket cannot be given.
fn of_group(host: &Host, group: &str) -> Option<Finding> {
    const CAP_CHOWN: u32 = 0;
    match socket::group(group) {
        Err(error) => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] group: there is no group {group:?} on this host"),
                error.to_string().lines().next().unwrap_or_default().to_owned(),
            )
            .mend(format!("groupadd --system {}", shell_quoted(group))),
        ),
        Ok(gid) if host.has_capability(CAP_CHOWN) || host.groups().contains(&gid.as_raw()) => None,
        Ok(_) => Some(
            Finding::problem(
                Check::Socket,
                format!("[api] group: this user cannot give the socket to group {group:?}"),
                "this user is neither root nor a member of the group",
            )
            .mend(format!(
                "usermod --append --groups {} \"$(id -un {})\"",
                shell_quoted(group),
                host.user()
            ))
            .advice("takes effect at the next login; in a systemd unit: SupplementaryGroups="),
        ),
    }
}

fn running_alone(host: &Host) -> Vec<Finding> {
    match host.api_listener {
        Listener::Switch(pid) => {
            vec![Finding::note(Check::Socket, format!("a switch is running (process {pid})"))]
        }
        Listener::Unknown => vec![Finding::note(
            Check::Socket,
            "a switch may be running: this user may not connect to its socket, or it is in another pid \
             namespace",
        )],
        Listener::None | Listener::Other(_) => Vec::new(),
    }
}

fn of_api(view: &View<'_>, path: &Path) -> Finding {
    let host = view.host;
    if let Some(running) = view.running_switch() {
        return Finding::note(
            Check::Socket,
            format!("[api] socket: {running} listens on {}", path.display()),
        );
    }
    let problem = |what: String, cause: &str| {
        Finding::problem(Check::Socket, format!("[api] socket: {what}"), cause)
    };
    if let Listener::Other(pid) = host.api_listener {
        return problem(
            format!("another process listens on {} already", path.display()),
            &format!("the listener is {} (process {pid}), which is no vswitch", host.name_of(pid)),
        )
        .advice("choose another path for `socket` in [api]");
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.display();
    if !host.path(folder).is_dir() {
        let parent =
            folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return if !host.path(parent).is_dir() {
            problem(
                format!("the directory {name} does not exist"),
                "neither it nor its parent was created",
            )
            .mend(make_directory(host, folder))
        } else if may_write(&host.path(parent)) {
            Finding::ok(
                Check::Socket,
                format!("[api] socket: {} can be created, with its directory", path.display()),
            )
        } else {
            problem(
                format!("the directory {name} does not exist, and this user may not create it"),
                "it was not created; everything in /run disappears at each boot",
            )
            .mend(make_directory(host, folder))
            .advice("in a systemd unit: RuntimeDirectory=vswitch")
        };
    }
    if !may_write(&host.path(folder)) {
        return problem(
            format!("this user may not write to {name}"),
            "the directory belongs to another user",
        )
        .advice(
            "choose a path for `socket` in a directory of this user; in a systemd unit: \
                 RuntimeDirectory=vswitch",
        );
    }
    let file = host.path(path);
    if std::fs::symlink_metadata(&file).is_ok_and(|file| !file.file_type().is_socket()) {
        return problem(
            format!("{} exists, and is not a socket", path.display()),
            "the switch removes a socket that another switch left behind, and nothing else",
        )
        .mend(format!("mv {0} {0}.old", shell_quoted(path.display())));
    }
    Finding::ok(Check::Socket, format!("[api] socket: {} can be created", path.display()))
}

fn may_write(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK) != Err(Errno::EACCES)
}

fn listens(view: &View<'_>, key: &str, address: SocketAddr) -> Finding {
    let host = view.host;
    let mut taken = tcp::sockets(host);
    taken.retain(|socket| socket.is_listening);
    let Some(tcp) = taken.iter().find(|other| conflict(other.local, address)) else {
        return Finding::ok(Check::Listen, format!("[api] {key}: {address} is free"));
    };
    let who = host.holder(&format!("socket:[{}]", tcp.inode));
    match (view.running_switch(), &who) {
        (Some(running), Some((pid, _))) if host.api_listener == Listener::Switch(*pid) => {
            let found = format!("[api] {key}: {running} listens on {address}");
            return Finding::ok(Check::Listen, found);
        }
        (Some(running), None) => {
            let found = format!(
                "[api] {key}: a process listens on {address}; whether it is {running} cannot be seen"
            );
            return Finding::note(Check::Listen, found);
        }
        _ => {}
    }
    let who =
        who.map_or("another process".to_owned(), |(pid, name)| format!("{name} (process {pid})"));
    let free = (address.port()..=u16::MAX)
        .map(|port| SocketAddr::new(address.ip(), port))
        .find(|candidate| taken.iter().all(|other| !conflict(other.local, *candidate)));
    let change = free.map_or("choose another address".to_owned(), |free| {
        set(key, format!("\"{free}\""), "[api]")
    });
    Finding::problem(
        Check::Listen,
        format!("[api] {key}: cannot listen on {address}: the address is in use"),
        format!("{who} listens there"),
    )
    .advice(format!(
        "{change}, or stop the process: `ss -ltnp sport = :{}` shows it",
        address.port()
    ))
}

/// Whether two sockets cannot listen at the same time.
fn conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || is_any(one) || is_any(other))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::super::{examine, host_interfaces};
    use super::*;
    use crate::config::Config;
    use crate::kernel::netdev::Link;

    const NOBODY: &str = "Uid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t8 9\nCapEff:\t0\n";

    fn usual() -> Config {
        config(&["net_null0"])
    }

    fn folder() -> TestHost {
        TestHost::new().directory("run/vswitch")
    }

    /// Somebody listens on the address of the metrics.
    fn listening() -> TestHost {
        let table = "sl local rem st\n 0: 0100007F:23B8 00000000:0000 0A 0:0 0:0 0 0 0 777 1\n";
        folder().file("proc/net/tcp", table)
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
            .symlink("proc/77/fd/3", "socket:[777]");
        fixture.host.api_listener = Listener::Switch(77);
        let of_77 = "the running switch (process 77)";
        for check in [host_interfaces::check, check] {
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
            .symlink("proc/9/fd/3", "socket:[777]");
        fixture.host.api_listener = Listener::Switch(77);
        fixture.problem(&usual(), host_interfaces::check);
        assert_eq!(fixture.problem(&usual(), check).check, Check::Listen);
        // Where it cannot be seen, nothing is claimed.
        let mut fixture = listening().link("vtep0", Link::default());
        for running in [Listener::Switch(77), Listener::Unknown] {
            fixture.host.api_listener = running;
            for check in [host_interfaces::check, check] {
                let all = fixture.findings(&usual(), check);
                assert!(all.iter().all(|finding| finding.severity == Severity::Note), "{all:#?}");
            }
        }
    }

    #[test]
    fn a_second_switch_leaves_the_first_what_it_has() {
        let mut fixture = listening().link("vtep0", Link { is_tap: true, ..Link::default() });
        fixture.purpose = Purpose::Start;
        fixture.host.api_listener = Listener::Switch(77);
        let only = |fixture: &TestHost| {
            let mut all = examine(&fixture.view(&usual())).findings;
            assert_eq!((all.len(), all[0].severity), (1, Severity::Problem), "{all:#?}");
            all.remove(0)
        };
        assert_eq!(only(&fixture).mend, ["kill 77"]);
        let mut fixture = fixture.file("proc/77/cgroup", "0::/system.slice/vswitch.service\n");
        assert_eq!(only(&fixture).mend, ["systemctl stop vswitch.service"]);
        fixture.host.api_listener = Listener::Unknown;
        assert!(only(&fixture).mend.is_empty());
    }

    #[test]
    fn a_listener_that_is_no_switch_is_not_ended() {
        let mut fixture = folder().file("proc/1/comm", "systemd\n");
        fixture.host.api_listener = Listener::Other(1);
        for purpose in [Purpose::Report, Purpose::Start] {
            fixture.purpose = purpose;
            let finding = fixture.problem(&usual(), check);
            assert!(
                finding.mend.is_empty() && finding.cause.contains("systemd (process 1)"),
                "{finding}"
            );
        }
    }

    #[test]
    fn the_socket_has_a_place() {
        folder().all_is_well(&usual(), check);
        // As before the first start, and when the service is stopped: the directory is made by who starts.
        TestHost::new().directory("run").all_is_well(&usual(), check);
        let finding = TestHost::new().problem(&usual(), check);
        assert_eq!(finding.mend, ["install -d -m 0750 /run/vswitch"]);
        let finding = TestHost::new().file("proc/self/status", NOBODY).problem(&usual(), check);
        assert_eq!(finding.mend, ["install -d -m 0750 -o 7 /run/vswitch"]);
        let finding = folder().file("run/vswitch/vswitch.sock", "").problem(&usual(), check);
        let socket = "/run/vswitch/vswitch.sock";
        assert_eq!(finding.mend, [format!("mv {socket} {socket}.old")]);
    }

    #[test]
    fn the_socket_can_be_given_to_its_group() {
        let mut config = usual();
        config.api.group = Some("no-such-group".into());
        assert_eq!(folder().problem(&config, check).mend, ["groupadd --system no-such-group"]);
        // On every Debian: 8 is "mail", and 10 is "uucp".
        let nobody = || folder().file("proc/self/status", NOBODY);
        config.api.group = Some("mail".into());
        nobody().all_is_well(&config, check);
        config.api.group = Some("uucp".into());
        let finding = nobody().problem(&config, check);
        assert_eq!(finding.mend, ["usermod --append --groups uucp \"$(id -un 7)\""]);
        let root = NOBODY.replace("CapEff:\t0", "CapEff:\t000001ffffffffff");
        folder().file("proc/self/status", &root).all_is_well(&config, check);
    }

    #[test]
    fn who_listens_is_named_and_a_free_port_found() {
        let line = |n: u32, local: &str, inode: u32| {
            format!(" {n}: {local} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1\n")
        };
        let table =
            format!("head\n{}{}", line(0, "00000000:23B8", 777), line(1, "0100007F:23B9", 778));
        let fixture = folder()
            .file("proc/net/tcp", &table)
            .symlink("proc/9/fd/3", "socket:[777]")
            .file("proc/9/comm", "exporter\n");
        let finding = fixture.problem(&usual(), check);
        assert_eq!(finding.cause, "exporter (process 9) listens there");
        let advice = "set `metrics = \"127.0.0.1:9146\"` in [api]";
        assert!(finding.advice.starts_with(advice), "{finding}");
        let six = format!("head\n{}", line(0, "00000000000000000000000001000000:23B8", 1));
        folder().file("proc/net/tcp6", &six).all_is_well(&usual(), check);
        let any = format!("head\n{}", line(0, "00000000000000000000000000000000:23B8", 1));
        folder().file("proc/net/tcp6", &any).problem(&usual(), check);
    }

    #[test]
    fn a_switch_that_runs_is_seen_without_a_configuration() {
        let mut fixture = TestHost::new();
        assert!(fixture.of_host(check).is_empty());
        fixture.host.api_listener = Listener::Unknown;
        assert_eq!(fixture.of_host(check)[0].severity, Severity::Note);
    }
}
