//! From `[api]` to where the switch can be asked, and by whom.

use std::path::PathBuf;

use super::checks::checked;
use super::diagnostic::{Complaint, Problems, listed, quoted};
use super::raw::ApiTable;
use super::{Api, Tcp, address, defaults};

/// `sun_path` with its final zero is 108 bytes (unix(7)).
const MAX_SOCKET_PATH_BYTES: usize = 107;

pub(super) fn check(table: Option<&ApiTable>, problems: &mut Problems) -> Api {
    let empty = ApiTable::default();
    let table = table.unwrap_or(&empty);
    let socket = checked(table.socket.as_ref(), socket, problems);
    let metrics = checked(table.metrics.as_ref(), |text| address::listen(text, 9144), problems)
        .unwrap_or(defaults::METRICS);
    let api = Api {
        socket: socket.unwrap_or_else(|| defaults::SOCKET.into()),
        metrics,
        page_frames: table.page_frames.as_ref().is_none_or(|typed| *typed.get_ref()),
        group: checked(table.group.as_ref(), group, problems),
        tcp: tcp(table, problems),
    };
    if let (Some(typed), Some(tcp)) = (&table.listen, &api.tcp)
        && tcp.listen == api.metrics
    {
        problems.error(
            typed.span(),
            format!("{} is the address of the metrics already", api.metrics),
            "give each its own port",
        );
    }
    api
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

/// Whether there is such a group is for the start to find out.
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

/// All four keys or none: over TCP there is neither a file's permission nor a wire that nobody reads.
fn tcp(table: &ApiTable, problems: &mut Problems) -> Option<Tcp> {
    let others = [
        ("tls-certificate", table.tls_certificate.as_ref()),
        ("tls-key", table.tls_key.as_ref()),
        ("token-file", table.token_file.as_ref()),
    ];
    let listen = checked(table.listen.as_ref(), |text| address::listen(text, 9143), problems);
    let [certificate, key, token] = others.map(|(_, typed)| checked(typed, file, problems));
    let absent: Vec<_> =
        others.iter().filter(|(_, typed)| typed.is_none()).map(|(name, _)| *name).collect();
    let Some(typed) = &table.listen else {
        for (name, typed) in others {
            if let Some(typed) = typed {
                problems.error(
                    typed.span(),
                    format!("`{name}` is for TCP, and there is no `listen`"),
                    "add `listen = \"127.0.0.1:9143\"`, or remove this: the socket needs neither TLS \
                     nor a token",
                );
            }
        }
        return None;
    };
    if !absent.is_empty() {
        problems.error(
            typed.span(),
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
