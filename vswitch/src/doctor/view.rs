//! What a check sees: the host, the configuration, the state, and whether a switch is to start now.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::host::{Host, Listener};
use crate::config::Config;
use crate::control::state::{self, Origin, Start, StateError};
use crate::text::shell_quoted;

/// What the checks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To report. What a running switch holds is not missing.
    Report,
    /// To start a switch now.
    Start,
}

/// What a check sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The host.
    pub host: &'a Host,
    /// The configuration, if there is one.
    pub config: Option<&'a Config>,
    /// The state, if it was looked at.
    pub state: Option<&'a StateSeen>,
    /// What the checks are made for.
    pub purpose: Purpose,
}

/// A check: what it sees, and what it finds.
pub(super) type CheckFn = fn(&View<'_>) -> Vec<Finding>;

impl<'a> View<'a> {
    /// A host by itself, to report on.
    #[must_use]
    pub fn of_host(host: &'a Host) -> Self {
        Self { host, config: None, state: None, purpose: Purpose::Report }
    }

    /// A name for the switch that is running. `None` if there is none, or if one is to start.
    pub(super) fn running_switch(&self) -> Option<String> {
        match (self.purpose, self.host.api_listener) {
            (Purpose::Start, _) | (_, Listener::None | Listener::Other(_)) => None,
            (_, Listener::Switch(pid)) => Some(format!("the running switch (process {pid})")),
            (_, Listener::Unknown) => Some("the running switch".to_owned()),
        }
    }
}

/// The state directory, and which configuration a start uses because of it.
#[derive(Debug)]
pub struct StateSeen {
    /// The directory.
    pub directory: PathBuf,
    /// A line that says which configuration a start uses, or why the directory cannot be used.
    pub start: Result<String, StateError>,
    /// Damage in the directory that was not reported yet.
    pub reports: Vec<String>,
    /// The command that copies the state over the configuration file, if a start uses the state and
    /// the file differs. A changed file would replace the state; after the copy nothing is lost.
    pub copy_to_file: Option<String>,
}

impl StateSeen {
    /// The directory of a start from `file`.
    #[must_use]
    pub fn of_start(directory: PathBuf, start: &Start, file: &Path) -> Self {
        let line = start.line(&directory, file);
        let state_file = state::good_file(&directory);
        let is_newer = start.origin == Origin::StateAndNotFile;
        let copy_to_file = state_file.filter(|_| is_newer).map(|state_file| {
            let [from, to] = [&state_file, file].map(|path| shell_quoted(path.display()));
            format!("cp --backup=numbered {from} {to}")
        });
        Self { directory, start: Ok(line), reports: Vec::new(), copy_to_file }
    }

    /// A directory that cannot be used.
    #[must_use]
    pub fn unusable(directory: PathBuf, error: StateError) -> Self {
        Self { directory, start: Err(error), reports: Vec::new(), copy_to_file: None }
    }
}
