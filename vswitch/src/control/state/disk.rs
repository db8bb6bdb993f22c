//! What the store does to its directory: a handful of operations, each one step for a crash.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};

/// The file that is locked.
pub(super) const LOCK: &str = "lock";

/// A directory, by the names of its files. Tests have one that fails at a chosen step.
pub(super) trait Disk: Debug + Send {
    /// All of a file; `None` if there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Makes or overwrites a file; its content is on the disk when this returns.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file a second name, in place of what has that name.
    fn link(&self, name: &str, second: &str) -> io::Result<()>;
    /// Gives a file another name, in place of what has that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file, if there is one.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// All names are on the disk when this returns.
    fn sync(&self) -> io::Result<()>;
    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
}

/// A directory of the file system, locked against other switches.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    directory: File,
    _lock: Flock<File>,
}

impl Folder {
    /// Makes it if there is none; `None` if another process has locked it.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let missing: Vec<_> = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        if !missing.is_empty() {
            DirBuilder::new().recursive(true).mode(0o750).create(path)?;
        }
        for made in missing {
            // The name of a directory is on the disk when the directory that holds it is.
            if let Some(parent) = made.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        let lock = Self::options().open(path.join(LOCK))?;
        let lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, error)) => return Err(error.into()),
        };
        let directory = File::open(path)?;
        Ok(Some(Self { path: path.to_owned(), directory, _lock: lock }))
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        options
    }

    /// The path of a file.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// A directory that is looked at: all that would be written is left out.
#[derive(Debug)]
pub(super) struct Untouched(PathBuf);

impl Untouched {
    /// There need be none, if it could be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        // `ancestors` ends with an empty path, if the first is relative.
        let there = path.ancestors().map(|p| if p == Path::new("") { Path::new(".") } else { p });
        let there = there.into_iter().find(|path| path.exists()).unwrap_or(path);
        if !there.is_dir() {
            return Err(nix::errno::Errno::ENOTDIR.into());
        }
        access(there, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)?;
        Ok(Self(path.to_owned()))
    }
}

impl Disk for Untouched {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.0.join(name))
    }

    fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        names(&self.0)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

impl Disk for Folder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        read(&self.at(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Another file than before: the former content may have a second name.
        self.remove(name)?;
        let mut file = Self::options().open(self.at(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        self.remove(second)?;
        match fs::hard_link(self.at(name), self.at(second)) {
            // A file system without links (vfat).
            Err(error)
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) =>
            {
                let bytes = fs::read(self.at(name))?;
                self.write(second, &bytes)
            }
            done => done,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))?;
        // rename(2) leaves both names if they are of one file already.
        self.remove(from)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.at(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        names(&self.path)
    }
}
