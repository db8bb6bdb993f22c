//! The configuration in force: its number, how long it stays, and its copy on the disk.

use std::time::{Duration, Instant, SystemTime};

use tracing::error;

use super::start_error::Explain;
use super::state::{StateError, StateStore};
use crate::config::Config;

/// After a save or a roll-back that failed, the next attempt comes so much later.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// The configuration in force.
#[derive(Debug)]
pub struct InForce {
    /// Counts the changes.
    generation: u64,
    /// What waits to be confirmed.
    pub(super) pending: Option<Pending>,
    /// Where it survives.
    pub(super) store: StateStore,
    /// When to save again that generations have been given out which the state does not know of.
    behind: Option<Instant>,
    /// When the switch started.
    started: SystemTime,
    /// When a generation was taken up last.
    changed: SystemTime,
    saves: Saves,
    /// Words for the API's answer when a change fails.
    pub(super) explain: Explain,
}

/// How often the state was written since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saves {
    /// It is on the disk.
    pub done: u64,
    /// It is not.
    pub failed: u64,
}

/// The way back.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) former: Config,
    pub(super) expires: Instant,
}

impl InForce {
    /// As it was started, with the state that is kept of it.
    pub(super) fn new(generation: u64, store: StateStore, explain: Explain) -> Self {
        let (started, saves) = (SystemTime::now(), Saves::default());
        let (pending, behind) = (None, None);
        Self { generation, pending, store, behind, started, changed: started, saves, explain }
    }

    /// Another configuration has been taken up.
    pub(super) fn advance(&mut self) {
        self.generation += 1;
        self.changed = SystemTime::now();
    }

    /// Counts what became of a save. If it failed, the generation is not to be given out again by a
    /// restart all the same.
    pub(super) fn count<T>(&mut self, saved: Result<T, StateError>) -> Result<T, StateError> {
        match &saved {
            Ok(_) => {
                self.saves.done += 1;
                self.behind = None;
            }
            Err(_) => {
                self.saves.failed += 1;
                self.fall_behind();
            }
        }
        saved
    }

    /// What the state says is right, but not its generation.
    pub(super) fn fall_behind(&mut self) {
        self.behind = Some(Instant::now() + RETRY);
    }

    /// Every millisecond: tells the state of the generations that were given out.
    pub(super) fn catch_up_if_due(&mut self) {
        if self.behind.is_some_and(|due| Instant::now() >= due) {
            let saved = self.store.count_on(self.generation);
            if let Err(error) = self.count(saved) {
                error!(%error, "the state does not know how many changes there were");
            }
        }
    }

    /// The number of the configuration: one more with each change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// When the switch started.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// When the configuration in force was applied.
    pub(crate) fn changed(&self) -> SystemTime {
        self.changed
    }

    /// Whether the time to confirm the last change is over.
    pub(super) fn is_expired(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| Instant::now() >= pending.expires)
    }

    /// Whether a change waits to be confirmed.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// How often the state was written.
    pub(crate) fn saves(&self) -> Saves {
        self.saves
    }
}
