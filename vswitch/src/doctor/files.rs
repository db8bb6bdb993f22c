//! The state directory, and the files of the API over TCP.

use std::io::ErrorKind;
use std::path::Path;

use super::finding::{Check, Finding};
use super::host::{Host, Listener};
use super::view::{Purpose, View};
use crate::api::tls::{self, TlsError};
use crate::control::state::{self, StateError};
use crate::text::shell_quoted;

pub(super) fn state(view: &View<'_>) -> Vec<Finding> {
    let Some(seen) = view.state else { return Vec::new() };
    let line = match &seen.start {
        Ok(line) => line,
        Err(error) => return vec![unusable(view.host, error)],
    };
    // A start has locked the directory itself.
    if view.purpose == Purpose::Report
        && let Some(pid) = view.host.locker(&state::lock_file(&seen.directory))
        && ![Listener::Switch(pid), Listener::Unknown].contains(&view.host.api_listener)
    {
        return vec![unusable(view.host, &StateError::InUse { path: seen.directory.clone() })];
    }
    let mut findings = vec![match &seen.copy_to_file {
        None => Finding::ok(Check::State, line),
        Some(copy) => Finding::note(Check::State, line).advice(format!(
            "before you change the configuration file, copy the state over it: `{copy}`; otherwise \
             the changed file replaces the state"
        )),
    }];
    if !seen.reports.is_empty() {
        let found = format!("the state in {} is not as it should be", seen.directory.display());
        findings
            .push(Finding::warning(Check::State, found, seen.reports.join("; ")).advice(
                "a start reports and does this too; look at the files that it keeps aside",
            ));
    }
    findings
}

/// The problem that a switch cannot use its state directory.
fn unusable(host: &Host, error: &StateError) -> Finding {
    match error {
        StateError::InUse { path } => {
            let locker = host.locker(&state::lock_file(path));
            let who = locker.map_or("a process that cannot be seen".to_owned(), |pid| {
                format!("{} (process {pid})", host.name_of(pid))
            });
            Finding::problem(
                Check::State,
                format!("another switch uses the state directory {}", path.display()),
                format!("{who} has locked it"),
            )
            .advice("stop it, or give each switch its own directory with --state")
        }
        StateError::Directory { path, source } => {
            let finding = Finding::problem(
                Check::State,
                format!("cannot use the state directory {}", path.display()),
                source.to_string(),
            );
            let is_missing = source.kind() == ErrorKind::PermissionDenied && !path.exists();
            let finding = match is_missing {
                true => finding.mend(make_directory(host, path)),
                false => finding,
            };
            // An existing directory may be another switch's state: no command gives it away.
            finding
                .advice("or choose another directory with --state; in a systemd unit: StateDirectory=vswitch")
        }
        other => {
            let text = other.to_string();
            let (found, help) = text.split_once("\n  help: ").unwrap_or((&text, ""));
            Finding::problem(Check::State, found, "the operating system refuses it to this user")
                .advice(if help.is_empty() { "run as its owner, or as root" } else { help })
        }
    }
}

/// The command that creates a directory for this user.
pub(super) fn make_directory(host: &Host, folder: &Path) -> String {
    let owner = if host.is_root() { String::new() } else { format!("-o {} ", host.user()) };
    format!("install -d -m 0750 {owner}{}", shell_quoted(folder.display()))
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
            "everybody who reads it can control the switch",
        )
        .mend(format!("chmod o-rwx {}", shell_quoted(path.display())))
        .advice("replace it if it was readable for long"),
        TlsError::Content { key, path, what, why, help } => {
            problem(format!("[api] {key}: {} holds no {what}", path.display()), why).advice(*help)
        }
        TlsError::Pair(source) => problem(
            "[api] tls-certificate, tls-key: they cannot be used together".to_owned(),
            &source.to_string(),
        )
        .advice("the key must belong to the first certificate in the file"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::super::finding::Severity;
    use super::super::test_host::{TestHost, config};
    use super::super::view::StateSeen;
    use super::*;
    use crate::config::Tcp;

    fn seen(start: Result<String, StateError>) -> StateSeen {
        let (reports, copy_to_file) = (Vec::new(), None);
        StateSeen { directory: "/var/lib/s".into(), start, reports, copy_to_file }
    }

    fn with(start: Result<String, StateError>) -> TestHost {
        let mut fixture = TestHost::new().file("proc/self/status", "Uid:\t7\t7\t7\t7\n");
        fixture.state = Some(seen(start));
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
        fixture.host.api_listener = Listener::Switch(77);
        fixture.all_is_well(&config, state);
        fixture.host.api_listener = Listener::None;
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
        assert!(TestHost::new().findings(&config, tls).is_empty());
        config.api.tcp = Some(Tcp {
            listen: "127.0.0.1:9145".parse().unwrap(),
            tls_certificate: path("cert"),
            tls_key: path("key"),
            token_file: path("token"),
        });
        let problems = TestHost::new().problems(&config, tls);
        assert!(problems[0].found.contains("tls-certificate: cannot read"), "{}", problems[0]);
        assert!(problems[1].found.contains("token-file: cannot read"), "{}", problems[1]);

        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write("cert", &made.cert.pem(), 0o644);
        write("key", &made.signing_key.serialize_pem(), 0o644);
        write("token", "0123456789abcdef", 0o640);
        let finding = TestHost::new().problem(&config, tls);
        assert_eq!(finding.mend, [format!("chmod o-rwx {}", path("key").display())]);
        write("key", &made.signing_key.serialize_pem(), 0o600);
        TestHost::new().all_is_well(&config, tls);
        write("token", "short", 0o640);
        assert_eq!(TestHost::new().problem(&config, tls).severity, Severity::Problem);
    }
}
