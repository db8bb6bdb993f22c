//! The API's Unix socket, and the permissions of its file.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::unistd::{Gid, Group, chown};
use tokio::net::UnixListener;

/// Read and write for owner and group, nothing for others.
const MODE: u32 = 0o660;
/// The length of the accept queue; the kernel limits it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// The socket cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The operating system refuses to bind or listen.
    #[error(
        "[api] socket: cannot listen on {path}: {source}\n  help: choose a path in a \
         directory that this user may write to", path = path.display()
    )]
    Listen {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The group does not exist.
    #[error(
        "[api] group: there is no group {group:?} on this host\n  help: create it with \
         `groupadd --system {group}`, or name one that `getent group` lists"
    )]
    NoGroup {
        /// The name in the configuration.
        group: String,
    },
    /// The group cannot be looked up.
    #[error("[api] group: cannot look up {group:?}: {source}\n  help: see `getent group {group}`")]
    Group {
        /// The name in the configuration.
        group: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The group of the file cannot be changed.
    #[error(
        "[api] group: cannot give {path} to group {group:?}: {source}\n  help: run the switch \
         as root, or as a user in that group", path = path.display()
    )]
    Chown {
        /// The path of the socket.
        path: PathBuf,
        /// The name in the configuration.
        group: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Looks up a group by name.
///
/// # Errors
/// The group does not exist, or the lookup fails.
pub fn group(name: &str) -> Result<Gid, SocketError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(SocketError::NoGroup { group: name.to_owned() }),
        Err(error) => {
            Err(SocketError::Group { group: name.to_owned(), source: io::Error::from(error) })
        }
    }
}

/// A directory created for the socket, as /run is empty after each boot. Dropping it removes it.
#[derive(Debug)]
struct RuntimeDirectory(PathBuf);

impl RuntimeDirectory {
    /// Creates the socket's directory if it does not exist. If the parent of that directory does
    /// not exist, the path is probably wrong, and creating fails.
    fn create(socket: &Path, gid: Option<Gid>) -> io::Result<Option<Self>> {
        const MODE: u32 = 0o750;
        let Some(path) = socket.parent().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(None);
        };
        match std::fs::DirBuilder::new().mode(MODE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            made => made?,
        }
        let made = Self(path.to_owned());
        if gid.is_some() {
            chown(path, None, gid)?;
        }
        // The umask may have removed bits.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
        Ok(Some(made))
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        // Fails if the directory has other files.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The listening socket. Dropping it removes the file, and the directory if it was created.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _directory: Option<RuntimeDirectory>,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Creates the socket and listens. The file gets its group and mode before the socket listens,
    /// so nobody else can ever connect.
    ///
    /// # Errors
    /// The path is in use or not writable, or the group does not exist.
    pub fn listen(path: &Path, group_name: Option<&str>) -> Result<Self, SocketError> {
        let gid = group_name.map(group).transpose()?;
        let failed = |source| SocketError::Listen { path: path.to_owned(), source };
        // The doctor has checked that nothing listens: a switch that was killed has left the
        // socket.
        match std::fs::symlink_metadata(path) {
            Ok(file) if file.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            _ => {}
        }
        let directory = RuntimeDirectory::create(path, gid).map_err(failed)?;
        let socket = Self::bind(path, directory).map_err(|error| failed(error.into()))?;
        if let (Some(gid), Some(name)) = (gid, group_name) {
            chown(path, None, Some(gid)).map_err(|error| SocketError::Chown {
                path: path.to_owned(),
                group: name.to_owned(),
                source: io::Error::from(error),
            })?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        let start = Backlog::new(BACKLOG).and_then(|len| listen(&socket.listener, len));
        start.map_err(|error| failed(error.into()))?;
        Ok(socket)
    }

    fn bind(path: &Path, directory: Option<RuntimeDirectory>) -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self { path: path.to_owned(), _directory: directory, listener: fd.into() })
    }

    /// Makes the listener for the server. Needs a tokio runtime.
    ///
    /// # Errors
    /// The process has no free file descriptors.
    pub fn listener(&self) -> Result<UnixListener, SocketError> {
        let failed = |source| SocketError::Listen { path: self.path.clone(), source };
        UnixListener::from_std(self.listener.try_clone().map_err(failed)?).map_err(failed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Somebody may have removed the file already.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn only_owner_and_group_can_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let own = Group::from_gid(nix::unistd::getegid()).unwrap().unwrap();
        for group_name in [None, Some(own.name.as_str())] {
            let socket = Socket::listen(&path, group_name).unwrap();
            let file = std::fs::metadata(&path).unwrap();
            assert_eq!(file.mode() & 0o7777, MODE);
            assert_eq!(file.gid(), own.gid.as_raw());
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[test]
    fn its_directory_is_created_and_removed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/s");
        let own = nix::unistd::getegid();
        let name = Group::from_gid(own).unwrap().unwrap().name;
        let socket = Socket::listen(&path, Some(&name)).unwrap();
        let made = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!((made.mode() & 0o7777, made.gid()), (0o750, own.as_raw()));
        drop(socket);
        assert!(!path.parent().unwrap().exists());
        // A directory that existed before stays, and so does one with other files.
        for (before, within) in [(true, false), (false, true)] {
            let directory = path.parent().unwrap();
            if before {
                std::fs::create_dir(directory).unwrap();
            }
            let socket = Socket::listen(&path, None).unwrap();
            if within {
                std::fs::write(directory.join("x"), "").unwrap();
            }
            drop(socket);
            assert!(directory.exists());
            std::fs::remove_dir_all(directory).unwrap();
        }
        assert!(Socket::listen(&folder.path().join("a/b/s"), None).is_err());
    }

    #[test]
    fn a_group_that_does_not_exist_is_named_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let error = Socket::listen(&path, Some("no-such-group")).unwrap_err().to_string();
        assert!(error.contains("no-such-group") && error.contains("groupadd"), "{error}");
        assert!(!path.exists());
    }
}
