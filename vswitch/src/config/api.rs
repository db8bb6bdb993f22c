//! Checks `[api]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::address;
use super::checks::{checked, checked_if_given};
use super::diagnostic::{Complaint, Problems, listed, quoted};
use super::document::ApiDocument;
use super::location::Location;
use super::model::{Api, Tcp};

/// `sun_path` with its final zero is 108 bytes (unix(7)).
const MAX_SOCKET_PATH_BYTES: usize = 107;
/// The stand-in for an address that is not valid.
const UNSPECIFIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

pub(super) fn check(table: &ApiDocument, at: &Location, problems: &mut Problems) -> Api {
    let listen = |text: &str| address::listen(text, 9144);
    let metrics = checked(&table.metrics, &at.key("metrics"), listen, problems);
    let tcp = tcp(table, at, problems);
    if let (Some(metrics), Some(tcp)) = (metrics, &tcp)
        && tcp.listen == metrics
    {
        problems.error(
            &at.key("listen"),
            format!("{metrics} is the address of the metrics already"),
            "give each its own port",
        );
    }
    Api {
        socket: checked(&table.socket, &at.key("socket"), socket, problems).unwrap_or_default(),
        metrics: metrics.unwrap_or(UNSPECIFIED),
        page_frames: table.page_frames,
        group: checked_if_given(table.group.as_ref(), &at.key("group"), group, problems),
        tcp,
    }
}

fn socket(path: &str) -> Result<PathBuf, Complaint> {
    let what = if path.len() > MAX_SOCKET_PATH_BYTES {
        format!("is {} bytes long, and Linux allows {MAX_SOCKET_PATH_BYTES}", path.len())
    } else if let Some(what) = no_path(path) {
        what.to_owned()
    } else {
        return Ok(path.into());
    };
    Err(Complaint::new(
        format!("{} cannot be the path of a socket: it {what}", quoted(path)),
        "write the path of a file to be made, for example `/run/vswitch/vswitch.sock`",
    ))
}

fn file(path: &str) -> Result<PathBuf, Complaint> {
    let Some(what) = no_path(path) else { return Ok(path.into()) };
    Err(Complaint::new(
        format!("{} cannot be the path of a file: it {what}", quoted(path)),
        "write the path of a file, for example `/etc/vswitch/tls.pem`",
    ))
}

fn no_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("is empty")
    } else if path.ends_with('/') {
        Some("names a directory")
    } else if path.contains('\0') {
        Some("contains a zero byte")
    } else {
        None
    }
}

/// Only the start finds out whether the group exists.
fn group(name: &str) -> Result<String, Complaint> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || ":,/".contains(c);
    if !name.is_empty() && !name.contains(is_odd) {
        return Ok(name.to_owned());
    }
    Err(Complaint::new(
        format!("{} cannot be the name of a group", quoted(name)),
        "write a group's name as `getent group` shows it, for example `vswitch`",
    ))
}

/// All four keys or none: TCP has neither the permissions of a file nor a private wire.
fn tcp(table: &ApiDocument, at: &Location, problems: &mut Problems) -> Option<Tcp> {
    let others = [
        ("tls-certificate", table.tls_certificate.as_ref()),
        ("tls-key", table.tls_key.as_ref()),
        ("token-file", table.token_file.as_ref()),
    ];
    let listen_at = at.key("listen");
    let listen = |text: &str| address::listen(text, 9143);
    let listen = checked_if_given(table.listen.as_ref(), &listen_at, listen, problems);
    let [certificate, key, token] =
        others.map(|(name, text)| checked_if_given(text, &at.key(name), file, problems));
    if table.listen.is_none() {
        for (name, _) in others.iter().filter(|(_, text)| text.is_some()) {
            problems.error(
                &at.key(name),
                format!("`{name}` is for TCP, and there is no `listen`"),
                "add `listen = \"127.0.0.1:9143\"`, or remove this: the socket needs neither TLS \
                 nor a token",
            );
        }
        return None;
    }
    let absent: Vec<_> =
        others.iter().filter(|(_, text)| text.is_none()).map(|(name, _)| *name).collect();
    if !absent.is_empty() {
        problems.error(
            &listen_at,
            format!(
                "the API is not served over TCP without {}",
                listed(absent.iter().copied(), absent.len())
            ),
            "whoever can change the switch can read every tenant's frames: TLS and a token are \
             needed; without `listen` the API is on its socket alone",
        );
    }
    Some(Tcp { listen: listen?, tls_certificate: certificate?, tls_key: key?, token_file: token? })
}
