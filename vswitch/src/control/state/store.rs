//! The store: the steps by which the state directory changes, in an order that a crash at any of
//! them leaves a whole state.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Folder, Untouched};
use super::file::{self, Checksum, State};

use crate::config::Document;

const STATE: &str = "state.toml";
const NEW: &str = "state.toml.new";
const PREVIOUS: &str = "state.toml.previous";
const PREVIOUS_NEW: &str = "state.toml.previous.new";
const PENDING: &str = "state.toml.pending";
const UNCONFIRMED: &str = "state.toml.unconfirmed";
const DAMAGED: &str = "state.toml.damaged-";
const REPLACED: &str = "state.toml.replaced-";
/// More states that a file has replaced than these are not kept.
const REPLACED_KEPT: usize = 10;
/// A damaged state may have been this much further than the one before it.
const GENERATIONS_LOST: u64 = 1000;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum StateError {
    #[error(
        "cannot use the state directory {}: {source}\n  help: let this user write there, or choose \
         another with --state", path.display()
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "another switch uses the state directory {}\n  help: stop it, or give each its own with \
         --state", path.display()
    )]
    InUse { path: PathBuf },
    #[error("cannot read the state {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "cannot save the state in {}: {source}\n  help: see its file system with `df` and `mount`; \
         what was in force before still is", path.display()
    )]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "a configuration waits to be confirmed\n  help: `vswitch confirm` it, or let it expire"
    )]
    AwaitsConfirmation,
    #[error("no configuration waits to be confirmed")]
    NothingPending,
}

/// What a start finds.
#[derive(Debug)]
pub struct Loaded {
    /// The state, if there is one.
    pub state: Option<State>,
    /// The first generation to use: that of the state if it is what was last in force, else one
    /// that was never given out.
    pub generation: u64,
    /// What people should know: damage, a roll-back, what was kept aside.
    pub reports: Vec<String>,
}

/// The file of the state, which is a configuration file; `None` if there is no good one.
#[must_use]
pub fn good_file(directory: &Path) -> Option<PathBuf> {
    let path = directory.join(STATE);
    let bytes = std::fs::read(&path).ok()?;
    State::decode(&bytes).is_ok().then_some(path)
}

/// The file that a switch locks while it uses the directory.
#[must_use]
pub fn lock_file(directory: &Path) -> PathBuf {
    directory.join(disk::LOCK)
}

/// The directory of the state, locked until it is dropped.
///
/// # Thread safety
/// One owner, which may change: the store is `Send`, and every write takes it mutably.
#[derive(Debug)]
pub struct StateStore {
    path: PathBuf,
    disk: Box<dyn Disk>,
    current: Option<State>,
    /// Whether `state.toml` holds `current`. Not if it was found damaged or missing and could not
    /// be written again: `.previous` is then the one that is good.
    is_stored: bool,
    pending: Option<State>,
    /// Files of `--config` whose content has been in force: see [`State::files`].
    files: Vec<Checksum>,
}

impl StateStore {
    /// Makes the directory if there is none, locks it and reads what it holds.
    ///
    /// A state that is damaged is kept aside, and the one before it restored. A configuration that
    /// was not confirmed is undone. Both are told in [`Loaded::reports`].
    ///
    /// # Errors
    /// The directory cannot be used, another switch uses it, or the operating system does not let
    /// us read what is there; the directory is then as it was.
    pub fn open(path: &Path) -> Result<(Self, Loaded), StateError> {
        let failed = |source| StateError::Directory { path: path.to_owned(), source };
        let folder = Folder::open(path).map_err(failed)?;
        let folder = folder.ok_or_else(|| StateError::InUse { path: path.to_owned() })?;
        Self::on(path, Box::new(folder))
    }

    /// What [`open`](Self::open) would find. Makes, locks and changes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open), but that another switch may use the directory.
    pub fn look(path: &Path) -> Result<Loaded, StateError> {
        let failed = |source| StateError::Directory { path: path.to_owned(), source };
        let disk = Untouched::open(path).map_err(failed)?;
        Ok(Self::on(path, Box::new(disk))?.1)
    }

    fn on(path: &Path, disk: Box<dyn Disk>) -> Result<(Self, Loaded), StateError> {
        let path = path.to_owned();
        let mut store =
            Self { path, disk, current: None, is_stored: false, pending: None, files: Vec::new() };
        let loaded = store.load()?;
        Ok((store, loaded))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.path
    }

    /// Saves what the switch has started with, as a file said it. A former state is kept aside.
    ///
    /// # Errors
    /// See [`save`](Self::save).
    pub fn begin(&mut self, document: &Document, generation: u64) -> Result<(), StateError> {
        self.nothing_pending()?;
        if self.current.as_ref().is_some_and(|state| !state.says(document)) {
            let aside = self.aside(REPLACED).map_err(|error| self.failed(error))?;
            let kept = if self.is_stored { STATE } else { PREVIOUS };
            self.disk.link(kept, &aside).map_err(|error| self.failed(error))?;
            self.forget_replaced();
        }
        let files = std::mem::take(&mut self.files);
        self.save_file(document, generation).inspect_err(|_| self.files = files)
    }

    /// Saves what a configuration file said as a whole. A start with that file then comes up with
    /// the state, which is that file and what was changed since.
    ///
    /// # Errors
    /// See [`save`](Self::save); the file is then no more known than before.
    pub fn save_file(&mut self, document: &Document, generation: u64) -> Result<(), StateError> {
        let files = self.files.clone();
        self.note_file(document);
        self.save(document, generation).inspect_err(|_| self.files = files)
    }

    /// Saves a configuration. When this returns it survives whatever happens to the process and the
    /// machine.
    ///
    /// # Errors
    /// It could not be written, and a restart comes up with what was saved before; or another
    /// configuration waits to be confirmed.
    pub fn save(&mut self, document: &Document, generation: u64) -> Result<(), StateError> {
        self.nothing_pending()?;
        let state = self.state(document, generation);
        self.write_new(&state)?;
        self.replace_state().map_err(|error| self.failed(error))?;
        (self.current, self.is_stored) = (Some(state), true);
        Ok(())
    }

    /// Saves the state as it is under a later generation: others were in force meanwhile, and could
    /// not be saved.
    ///
    /// # Errors
    /// See [`save`](Self::save).
    pub fn count_on(&mut self, generation: u64) -> Result<(), StateError> {
        match &self.current {
            // What waits to be confirmed is later, and a restart counts on from there.
            Some(current) if self.pending.is_none() && current.generation < generation => {
                let document = current.document.clone();
                self.save(&document, generation)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Saves a configuration that is undone unless [`confirm`](Self::confirm) follows, also by a
    /// restart.
    ///
    /// # Errors
    /// See [`save`](Self::save).
    pub fn save_pending(&mut self, document: &Document, generation: u64) -> Result<(), StateError> {
        self.nothing_pending()?;
        // A restart must not take it from its file either.
        let files = self.files.clone();
        self.note_file(document);
        let state = self.state(document, generation);
        let saved = self.write_new(&state).and_then(|()| {
            let renamed = self.disk.rename(NEW, PENDING).and_then(|()| self.disk.sync());
            renamed.map_err(|error| {
                let _ = self.disk.remove(PENDING); // as it means the same with it: nothing confirmed
                self.failed(error)
            })
        });
        match saved {
            Ok(()) => self.pending = Some(state),
            Err(_) => self.files = files,
        }
        saved
    }

    /// Makes what waits to be confirmed the state.
    ///
    /// # Errors
    /// Nothing waits; or it could not be written, and still waits.
    pub fn confirm(&mut self) -> Result<(), StateError> {
        let pending = self.pending.clone().ok_or(StateError::NothingPending)?;
        self.disk
            .link(PENDING, NEW)
            .and_then(|()| self.replace_state())
            .map_err(|error| self.failed(error))?;
        // If it cannot be removed, the next start sees that it was confirmed.
        let _ = self.disk.remove(PENDING);
        (self.current, self.is_stored) = (Some(pending), true);
        self.pending = None;
        Ok(())
    }

    /// Undoes what waits to be confirmed. The former configuration is in force again, as a
    /// generation of its own.
    ///
    /// # Errors
    /// Nothing waits; or the disk could not be written: a restart comes up with the former
    /// configuration all the same, and nothing waits any more.
    pub fn roll_back(&mut self, generation: u64) -> Result<(), StateError> {
        self.pending.take().ok_or(StateError::NothingPending)?;
        self.discard_pending(generation).map_err(|error| self.failed(error))
    }

    /// Whether a configuration waits to be confirmed.
    #[must_use]
    pub fn awaits_confirmation(&self) -> bool {
        self.pending.is_some()
    }

    /// Remembers a configuration file.
    fn note_file(&mut self, document: &Document) {
        let file = Checksum::of(document);
        self.files.retain(|known| *known != file);
        self.files.push(file);
        if self.files.len() > file::MAX_FILES {
            self.files.remove(1); // the first is what the state began with
        }
    }

    fn state(&self, document: &Document, generation: u64) -> State {
        State { document: document.clone(), generation, files: self.files.clone() }
    }

    fn nothing_pending(&self) -> Result<(), StateError> {
        if self.pending.is_some() { Err(StateError::AwaitsConfirmation) } else { Ok(()) }
    }

    fn failed(&self, source: io::Error) -> StateError {
        StateError::Write { path: self.path.clone(), source }
    }

    fn write_new(&self, state: &State) -> Result<(), StateError> {
        self.disk.write(NEW, state.encode().as_bytes()).map_err(|error| self.failed(error))
    }

    /// Makes `.new` the state, and the state the previous one. If that fails, the state is as it
    /// was.
    fn replace_state(&self) -> io::Result<()> {
        if self.is_stored {
            self.disk.link(STATE, PREVIOUS_NEW)?;
            self.disk.rename(PREVIOUS_NEW, PREVIOUS)?;
        }
        self.disk.rename(NEW, STATE).and_then(|()| self.disk.sync()).inspect_err(|_| {
            // Not known to last, so not acknowledged, so not to be seen by a restart.
            let _ = match self.current {
                Some(_) => {
                    self.disk.link(PREVIOUS, NEW).and_then(|()| self.disk.rename(NEW, STATE))
                }
                None => self.disk.remove(STATE),
            };
        })
    }

    /// Writes the state again as another generation, and keeps the pending one for people.
    fn discard_pending(&mut self, generation: u64) -> io::Result<()> {
        if let Some(current) = &self.current {
            let state = State { generation, files: self.files.clone(), ..current.clone() };
            self.disk.write(NEW, state.encode().as_bytes())?;
            self.disk.rename(NEW, STATE)?;
            (self.current, self.is_stored) = (Some(state), true);
        }
        self.disk.rename(PENDING, UNCONFIRMED)?;
        self.disk.sync()
    }

    /// A name of this kind that no file has.
    fn aside(&self, kind: &str) -> io::Result<String> {
        let last = self.numbers(kind)?.last().copied().unwrap_or(0);
        Ok(format!("{kind}{}", last + 1))
    }

    /// The numbers of the files of one kind, in order.
    fn numbers(&self, kind: &str) -> io::Result<Vec<u64>> {
        let names = self.disk.names()?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| name.strip_prefix(kind))
            .filter_map(|number| number.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes the oldest that were replaced. They are for people: a failure changes nothing.
    fn forget_replaced(&self) {
        let numbers = self.numbers(REPLACED).unwrap_or_default();
        for number in numbers.iter().rev().skip(REPLACED_KEPT) {
            let _ = self.disk.remove(&format!("{REPLACED}{number}"));
        }
    }
}

/// What a file of the directory turned out to be.
#[allow(clippy::large_enum_variant, reason = "one at a time, and at the start alone")]
enum Found {
    Absent,
    Good(State),
    Damaged { bytes: Vec<u8>, why: String },
}

/// The start.
impl StateStore {
    fn load(&mut self) -> Result<Loaded, StateError> {
        let state = self.read(STATE)?;
        let pending = self.read(PENDING)?;
        let mut reports = Vec::new();
        let mut generation = 1;
        match state {
            Found::Good(state) => {
                generation = state.generation;
                (self.current, self.is_stored) = (Some(state), true);
            }
            Found::Absent => {
                if let Found::Good(previous) = self.read(PREVIOUS)? {
                    reports.push(format!(
                        "{} is missing: the state before it is used, generation {}",
                        self.path.join(STATE).display(),
                        previous.generation
                    ));
                    generation = self.restore(previous, &mut reports);
                }
            }
            Found::Damaged { bytes, why } => {
                generation = self.recover(&bytes, &why, &mut reports)?;
            }
        }
        if let Some(current) = &self.current {
            self.files.clone_from(&current.files);
        }
        match pending {
            Found::Absent => {}
            // Its confirmation was acknowledged, or in flight.
            Found::Good(pending) if self.current.as_ref() == Some(&pending) => {
                self.try_to(&mut reports, |disk| disk.remove(PENDING));
            }
            // It was decided about, and only the file could not be removed then.
            Found::Good(pending)
                if self.current.as_ref().is_some_and(|c| c.generation > pending.generation) =>
            {
                self.try_to(&mut reports, |disk| disk.rename(PENDING, UNCONFIRMED));
            }
            Found::Good(pending) => {
                generation = generation.max(pending.generation).saturating_add(1);
                reports.push(format!(
                    "generation {} was not confirmed before the switch ended: it is undone, and \
                     kept in {}",
                    pending.generation,
                    self.path.join(UNCONFIRMED).display()
                ));
                self.files = pending.files; // those of the state, and its own
                if let Err(error) = self.discard_pending(generation) {
                    reports.push(self.failed(error).to_string());
                }
            }
            Found::Damaged { why, .. } => {
                reports.push(format!("{} {why}", self.path.join(PENDING).display()));
                generation = generation.saturating_add(GENERATIONS_LOST);
                self.keep_aside(PENDING, &mut reports);
            }
        }
        self.try_to(&mut reports, |disk| disk.remove(NEW));
        self.try_to(&mut reports, |disk| disk.remove(PREVIOUS_NEW));
        self.try_to(&mut reports, |disk| disk.sync());
        let state = self.current.clone();
        Ok(Loaded { state, generation, reports })
    }

    fn read(&self, name: &str) -> Result<Found, StateError> {
        let bytes = self.disk.read(name).map_err(|source| {
            let path = self.path.join(name);
            StateError::Read { path, source }
        })?;
        Ok(match bytes {
            None => Found::Absent,
            Some(bytes) => match State::decode(&bytes) {
                Ok(state) => Found::Good(state),
                Err(damage) => Found::Damaged { bytes, why: damage.to_string() },
            },
        })
    }

    /// Keeps a damaged state aside and restores the one before it. Returns the generation to go on
    /// with.
    fn recover(
        &mut self,
        bytes: &[u8],
        why: &str,
        reports: &mut Vec<String>,
    ) -> Result<u64, StateError> {
        reports.push(format!("{} {why}", self.path.join(STATE).display()));
        let previous = self.read(PREVIOUS)?;
        if let Found::Good(previous) = previous {
            // A copy, so that there is a `state.toml` at any moment.
            match self.aside(DAMAGED).and_then(|aside| {
                self.disk.write(&aside, bytes)?;
                Ok(aside)
            }) {
                Ok(aside) => reports.push(self.kept(&aside)),
                Err(error) => reports.push(self.failed(error).to_string()),
            }
            reports.push(format!(
                "the state before it is used, generation {}; what was changed after that is lost",
                previous.generation
            ));
            return Ok(self.restore(previous, reports));
        }
        self.keep_aside(STATE, reports);
        if let Found::Damaged { why, .. } = previous {
            reports.push(format!("{} {why}", self.path.join(PREVIOUS).display()));
            self.keep_aside(PREVIOUS, reports);
        }
        reports.push("there is no good state".to_owned());
        Ok(GENERATIONS_LOST)
    }

    /// Makes the previous state the state, as a generation that was never given out.
    fn restore(&mut self, previous: State, reports: &mut Vec<String>) -> u64 {
        let generation = previous.generation.saturating_add(GENERATIONS_LOST);
        let state = State { generation, ..previous };
        let text = state.encode();
        self.is_stored = self.try_to(reports, |disk| {
            disk.write(NEW, text.as_bytes())?;
            disk.rename(NEW, STATE)
        });
        self.current = Some(state);
        generation
    }

    fn keep_aside(&self, name: &str, reports: &mut Vec<String>) {
        let kept = self.aside(DAMAGED).and_then(|aside| {
            self.disk.rename(name, &aside)?;
            Ok(aside)
        });
        reports.push(match kept {
            Ok(aside) => self.kept(&aside),
            Err(error) => self.failed(error).to_string(),
        });
    }

    fn kept(&self, aside: &str) -> String {
        format!("it is kept as {}", self.path.join(aside).display())
    }

    /// Does what the start can go on without, and tells if it could not. Whether it could.
    fn try_to(
        &self,
        reports: &mut Vec<String>,
        work: impl FnOnce(&dyn Disk) -> io::Result<()>,
    ) -> bool {
        let done = work(self.disk.as_ref()).map_err(|error| self.failed(error));
        reports.extend(done.as_ref().err().map(ToString::to_string));
        done.is_ok()
    }
}

#[cfg(test)]
mod tests;
