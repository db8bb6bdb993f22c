//! The API's socket in the file system, and who may open it.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::unistd::{Gid, Group, chown};
use tokio::net::UnixListener;

/// Root and the group, and nobody else.
const MODE: u32 = 0o660;
/// Connections that wait to be accepted; the kernel takes net.core.somaxconn if that is less.
const BACKLOG: i32 = 4096;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The operating system refuses.
    #[error(
        "[api] socket: cannot listen on {path}: {source}\n  help: choose a path in a directory that \
         this user may write to", path = path.display()
    )]
    Listen {
        /// Where it should be.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Nobody is in it, as it does not exist.
    #[error(
        "[api] group: there is no group {group:?} on this host\n  help: create it with \
         `groupadd --system {group}`, or name one that `getent group` lists"
    )]
    NoGroup {
        /// The name in the configuration.
        group: String,
    },
    /// The operating system does not say who is in it.
    #[error("[api] group: cannot look {group:?} up: {source}\n  help: see `getent group {group}`")]
    Group {
        /// The name in the configuration.
        group: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It cannot be given to the group.
    #[error(
        "[api] group: cannot give {path} to group {group:?}: {source}\n  help: run the switch as root, \
         or as a user who is in that group", path = path.display()
    )]
    Chown {
        /// The socket.
        path: PathBuf,
        /// The name in the configuration.
        group: String,
        /// What the operating system says.
        source: io::Error,
    },
}

/// The group of that name.
///
/// # Errors
/// There is none, or the operating system does not say.
pub fn group(name: &str) -> Result<Gid, SocketError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(SocketError::NoGroup { group: name.to_owned() }),
        Err(error) => {
            Err(SocketError::Group { group: name.to_owned(), source: io::Error::from(error) })
        }
    }
}

/// A directory that was made for the socket: what is in /run is gone with each boot. Dropping it removes it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Makes that of the socket, if it is not there. Not the one that it would be in: then the path is wrong.
    fn make(socket: &Path, gid: Option<Gid>) -> io::Result<Option<Self>> {
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
        // Whatever the umask is.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
        Ok(Some(made))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Somebody else may use it.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The socket. Dropping it removes the file, and the directory if it was made for it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _folder: Option<Folder>,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Listens there. Only the owner and the group can open it: before its file has their permissions, nobody
    /// listens.
    ///
    /// # Errors
    /// The place is taken or forbidden, or there is no such group.
    pub fn listen(path: &Path, group_name: Option<&str>) -> Result<Self, SocketError> {
        let gid = group_name.map(group).transpose()?;
        let failed = |source| SocketError::Listen { path: path.to_owned(), source };
        // The doctor found that nobody answers: what is there was left by a switch that was killed.
        match std::fs::symlink_metadata(path) {
            Ok(file) if file.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            _ => {}
        }
        let folder = Folder::make(path, gid).map_err(failed)?;
        let socket = Self::bind(path, folder).map_err(|error| failed(error.into()))?;
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

    fn bind(path: &Path, folder: Option<Folder>) -> nix::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self { path: path.to_owned(), _folder: folder, listener: fd.into() })
    }

    /// For the server. Needs a tokio runtime.
    ///
    /// # Errors
    /// The process has no more file descriptors.
    pub fn listener(&self) -> Result<UnixListener, SocketError> {
        let failed = |source| SocketError::Listen { path: self.path.clone(), source };
        UnixListener::from_std(self.listener.try_clone().map_err(failed)?).map_err(failed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is as good.
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
    fn its_directory_is_made_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/s");
        let own = nix::unistd::getegid();
        let name = Group::from_gid(own).unwrap().unwrap().name;
        let socket = Socket::listen(&path, Some(&name)).unwrap();
        let made = std::fs::metadata(path.parent().unwrap()).unwrap();
        assert_eq!((made.mode() & 0o7777, made.gid()), (0o750, own.as_raw()));
        drop(socket);
        assert!(!path.parent().unwrap().exists());
        // One that was there stays, and so does one with something in it.
        for (before, within) in [(true, false), (false, true)] {
            let place = path.parent().unwrap();
            if before {
                std::fs::create_dir(place).unwrap();
            }
            let socket = Socket::listen(&path, None).unwrap();
            if within {
                std::fs::write(place.join("x"), "").unwrap();
            }
            drop(socket);
            assert!(place.exists());
            std::fs::remove_dir_all(place).unwrap();
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
