//! What to start with: the state, or the file of `--config`.
//!
//! The rule: a file that the switch was given before is not news, and the state, which is that file
//! with what was changed since, is what the switch comes up with. A file with another content is
//! what its author wants now, and begins a new state.
//!
//! So a restart, planned or not, loses nothing that was acknowledged; an edit of the file and a
//! restart does what the file says; and neither depends on clocks or on how the switch ended.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::Checksum;
use super::store::Loaded;
use crate::config::{Config, Document};

/// Below this, each configuration file has a state directory of its own.
const STATES: &str = "/var/lib/vswitch";

/// What the switch starts with.
#[derive(Debug)]
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// Its generation.
    pub generation: u64,
    /// Where it comes from. If from the file, [`begin`](super::StateStore::begin) saves it once the
    /// switch runs, and not before: a file that cannot be started replaces no state.
    pub origin: Origin,
}

/// Where the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The state; the file says the same.
    State,
    /// The state; the file says something else, but is not news.
    StateAndNotFile,
    /// The file; there is no state, or it says the same.
    File,
    /// The file, which is news; the state says something else.
    FileAndNotState,
    /// The file, as it was asked for; the state says something else.
    FreshFile,
}

/// Decides. `fresh`: the user asks for the file, whatever the state says.
#[must_use]
pub fn choose(loaded: Loaded, file: Config, fresh: bool) -> Start {
    let Loaded { state, generation, .. } = loaded;
    // A state was valid when it was read: this loses none.
    let state = state.and_then(|state| state.document.check().ok().map(|config| (state, config)));
    let Some((state, of_state)) = state else {
        return Start { config: file, generation, origin: Origin::File };
    };
    let document = Document::from(&file);
    let known = state.files.contains(&Checksum::of(&document));
    let origin = match (state.says(&document), known) {
        (true, true) if !fresh => Origin::State,
        // Nothing changes but that the state is now known to have begun with this file.
        (true, _) => Origin::File,
        (false, _) if fresh => Origin::FreshFile,
        (false, true) => Origin::StateAndNotFile,
        (false, false) => Origin::FileAndNotState,
    };
    let (config, generation) = match origin {
        Origin::State | Origin::StateAndNotFile => (of_state, generation),
        Origin::File => (file, generation),
        Origin::FileAndNotState | Origin::FreshFile => (file, generation.saturating_add(1)),
    };
    Start { config, generation, origin }
}

impl Start {
    /// Whether a new state begins.
    #[must_use]
    pub fn begins(&self) -> bool {
        match self.origin {
            Origin::State | Origin::StateAndNotFile => false,
            Origin::File | Origin::FileAndNotState | Origin::FreshFile => true,
        }
    }

    /// One line that says what was used, and what was not.
    #[must_use]
    pub fn line(&self, directory: &Path, file: &Path) -> String {
        let (file, directory) = (file.display(), directory.display());
        let generation = self.generation;
        Line { origin: self.origin, generation, file: &file, directory: &directory }.to_string()
    }
}

struct Line<'l> {
    origin: Origin,
    generation: u64,
    file: &'l dyn fmt::Display,
    directory: &'l dyn fmt::Display,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, generation, file, directory } = self;
        match origin {
            Origin::State => {
                write!(f, "starting with the state in {directory}, generation {generation}")
            }
            Origin::StateAndNotFile => write!(
                f,
                "starting with the state in {directory}, generation {generation}, which was changed \
                 since it was given {file}: `vswitch plan {file}` shows how they differ, and \
                 --fresh would start with the file"
            ),
            Origin::File => write!(f, "starting with {file}"),
            Origin::FileAndNotState => write!(
                f,
                "starting with {file}, which is new to the state in {directory}: that is kept there \
                 as the newest state.toml.replaced-*"
            ),
            Origin::FreshFile => write!(
                f,
                "starting with {file}, as --fresh asks: the state in {directory} is kept there as \
                 the newest state.toml.replaced-*"
            ),
        }
    }
}

/// The state directory of a configuration file: `/var/lib/vswitch/etc-vswitch.toml` for
/// `/etc/vswitch.toml`. Two switches on one host have two files, and so two directories.
///
/// The path should be absolute and without links, so that one file has one directory.
#[must_use]
pub fn default_directory(file: &Path) -> PathBuf {
    const MAX_BYTES: usize = 200; // a name has 255 at most
    let path = file.to_string_lossy();
    let mut name = String::new();
    for c in path.trim_start_matches('/').chars() {
        match c {
            '/' => name.push('-'),
            c if c.is_ascii_alphanumeric() || c == '.' || c == '_' => name.push(c),
            // Also a hyphen, so that no two paths have one name.
            c => name.push_str(&format!("={:x}=", u32::from(c))),
        }
    }
    if name.len() > MAX_BYTES {
        let checksum = crc32fast::hash(path.as_bytes());
        name = format!("{checksum:08x}-{}", &name[name.len() - MAX_BYTES..]);
    }
    Path::new(STATES).join(name)
}
