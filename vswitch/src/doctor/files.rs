//! What must be readable, or writable, before a switch can use it: the state directory, and the files of TLS.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::edit::quoted;
use super::host::{Host, Running};
use super::{Check, Finding, Purpose, View};
use crate::api::tls::{self, TlsError};
use crate::control::state::{self, StateError};

/// The state directory, and what a start comes up with because of it.
#[derive(Debug)]
pub struct Kept {
    /// The directory.
    pub directory: PathBuf,
    /// What a start comes up with, in a line; or why it does not.
    pub start: Result<String, StateError>,
    /// What of it was damaged or undone, where nobody has said that yet.
    pub reports: Vec<String>,
}

pub(super) fn state(view: &View<'_>) -> Vec<Finding> {
    let Some(kept) = view.state else { return Vec::new() };
    let line = match &kept.start {
        Ok(line) => line,
        Err(error) => return vec![of_state(view.host, error)],
    };
    // A start has locked it itself.
    if view.purpose == Purpose::Look
        && let Some(pid) = view.host.locker(&state::lock_file(&kept.directory))
        && ![Running::Process(pid), Running::Hidden].contains(&view.host.running)
    {
        return vec![of_state(view.host, &StateError::InUse { path: kept.directory.clone() })];
    }
    let mut findings = vec![Finding::ok(Check::State, line)];
    if !kept.reports.is_empty() {
        let found = format!("the state in {} is not as it should be", kept.directory.display());
        findings.push(
            Finding::warning(Check::State, found, kept.reports.join("; "))
                .advice("that is what a start says, and does; what it keeps aside is for people"),
        );
    }
    findings
}

/// Why a switch cannot use its state.
fn of_state(host: &Host, error: &StateError) -> Finding {
    match error {
        StateError::InUse { path } => {
            let locker = host.locker(&state::lock_file(path));
            let who = locker.map_or("a process that cannot be seen from here".to_owned(), |pid| {
                format!("{} (process {pid})", host.name_of(pid))
            });
            Finding::problem(
                Check::State,
                format!("another switch uses the state directory {}", path.display()),
                format!("{who} has locked it"),
            )
            .advice("stop it, or give each its own with --state")
        }
        StateError::Directory { path, source } => {
            let finding = Finding::problem(
                Check::State,
                format!("cannot use the state directory {}", path.display()),
                source.to_string(),
            );
            let is_missing = source.kind() == ErrorKind::PermissionDenied && !path.exists();
            let finding = finding.mend_if(is_missing.then(|| make_directory(host, path)));
            // What is there may be another's state, and is not to be given away.
            finding
                .advice("or choose another with --state; in a systemd unit: StateDirectory=vswitch")
        }
        other => {
            let text = other.to_string();
            let (found, help) = text.split_once("\n  help: ").unwrap_or((&text, ""));
            Finding::problem(
                Check::State,
                found,
                "the operating system does not give it to this user",
            )
            .advice(if help.is_empty() {
                "run as its owner, or as root"
            } else {
                help
            })
        }
    }
}

/// The command that makes a directory for this user.
pub(super) fn make_directory(host: &Host, folder: &Path) -> String {
    let owner = if host.is_root() { String::new() } else { format!("-o {} ", host.user()) };
    format!("install -d -m 0750 {owner}{}", quoted(&folder.display().to_string()))
}

pub(super) fn tls(view: &View<'_>) -> Vec<Finding> {
    let Some(tcp) = view.config.and_then(|config| config.api.tcp.as_ref()) else {
        return Vec::new();
    };
    let pair = tls::acceptor(&tcp.tls_certificate, &tcp.tls_key).err();
    let token = tls::Token::read(&tcp.token_file).err();
    let findings: Vec<_> = pair.iter().chain(&token).map(of_tls).collect();
    if findings.is_empty() {
        return vec![Finding::ok(Check::Tls, "[api] certificate, key and token can be used")];
    }
    findings
}

fn of_tls(error: &TlsError) -> Finding {
    let problem = |found: String, cause: &str| Finding::problem(Check::Tls, found, cause);
    match error {
        TlsError::Read { key, path, source } => {
            problem(format!("[api] {key}: cannot read {}", path.display()), &source.to_string())
                .advice("check the path, and that this user may read it")
        }
        TlsError::Exposed { key, path } => problem(
            format!("[api] {key}: everybody on this host can read {}", path.display()),
            "whoever reads it can do what the switch's operators can",
        )
        .mend(format!("chmod o-rwx {}", quoted(&path.display().to_string())))
        .advice("make a new one if it was so for long"),
        TlsError::Content { key, path, what, why, help } => {
            problem(format!("[api] {key}: {} holds no {what}", path.display()), why).advice(*help)
        }
        TlsError::Pair(source) => problem(
            "[api] tls-certificate, tls-key: they cannot be used together".to_owned(),
            &source.to_string(),
        )
        .advice("the key must be that of the first certificate in the file"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::super::Severity;
    use super::super::fixture::{Fixture, config};
    use super::*;
    use crate::config::Tcp;

    fn kept(start: Result<String, StateError>) -> Kept {
        Kept { directory: "/var/lib/s".into(), start, reports: Vec::new() }
    }

    fn with(start: Result<String, StateError>) -> Fixture {
        let mut fixture = Fixture::new().file("proc/self/status", "Uid:\t7\t7\t7\t7\n");
        fixture.state = Some(kept(start));
        fixture
    }

    #[test]
    fn a_state_directory_can_be_used_or_has_a_way_out() {
        let config = config(&["net_null0"]);
        with(Ok("starting with f".into())).all_is_well(&config, state);
        let refused = |errno: i32| StateError::Directory {
            path: "/no/such/s".into(),
            source: std::io::Error::from_raw_os_error(errno),
        };
        let finding = with(Err(refused(libc::EACCES))).problem(&config, state);
        assert_eq!(finding.mend, ["install -d -m 0750 -o 7 /no/such/s"]);
        let finding = with(Err(refused(libc::EROFS))).problem(&config, state);
        assert!(finding.mend.is_empty() && finding.cause.contains("Read-only"), "{finding}");
        let read = StateError::Read { path: "/s".into(), source: ErrorKind::Other.into() };
        with(Err(read)).problem(&config, state);

        let mut damaged = with(Ok(String::new()));
        damaged.state.as_mut().unwrap().reports = vec!["a".into(), "b".into()];
        assert_eq!(damaged.warning(&config, state).cause, "a; b");
    }

    #[test]
    fn who_uses_the_directory_is_named() {
        let config = config(&["net_null0"]);
        let mut fixture = with(Ok(String::new())).file("var/lib/s/lock", "");
        let about = fs::metadata(fixture.host.path("var/lib/s/lock")).unwrap();
        let (major, minor) = (libc::major(about.dev()), libc::minor(about.dev()));
        let line =
            format!("1: FLOCK  ADVISORY  WRITE 77 {major:02x}:{minor:02x}:{} 0 EOF", about.ino());
        fixture = fixture.file("proc/locks", &line).file("proc/77/comm", "vswitch\n");
        let finding = fixture.problem(&config, state);
        assert_eq!(finding.cause, "vswitch (process 77) has locked it");
        // The one that answers on the socket, and a start itself, have it by right.
        fixture.host.running = Running::Process(77);
        fixture.all_is_well(&config, state);
        fixture.host.running = Running::Nobody;
        fixture.purpose = Purpose::Start;
        fixture.all_is_well(&config, state);
    }

    #[test]
    fn certificate_key_and_token_can_be_used_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str, mode| {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let mut config = config(&["net_null0"]);
        assert!(Fixture::new().findings(&config, tls).is_empty());
        config.api.tcp = Some(Tcp {
            listen: "127.0.0.1:9145".parse().unwrap(),
            tls_certificate: path("cert"),
            tls_key: path("key"),
            token_file: path("token"),
        });
        let problems = Fixture::new().problems(&config, tls);
        assert!(problems[0].found.contains("tls-certificate: cannot read"), "{}", problems[0]);
        assert!(problems[1].found.contains("token-file: cannot read"), "{}", problems[1]);

        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write("cert", &made.cert.pem(), 0o644);
        write("key", &made.signing_key.serialize_pem(), 0o644);
        write("token", "0123456789abcdef", 0o640);
        let finding = Fixture::new().problem(&config, tls);
        assert_eq!(finding.mend, [format!("chmod o-rwx {}", path("key").display())]);
        write("key", &made.signing_key.serialize_pem(), 0o600);
        Fixture::new().all_is_well(&config, tls);
        write("token", "short", 0o640);
        assert_eq!(Fixture::new().problem(&config, tls).severity, Severity::Problem);
    }
}
