//! The switch as the API sees it.
//!
//! Runs on the control thread, for one request at a time.

use std::time::{Duration, Instant, SystemTime};

use tracing::{error, info};

use crate::config::{Config, Document};
use crate::control::events::{Events, Happening, RollBackReason};
use crate::control::exposition;
use crate::control::fdb_pages::{FdbFilter, FdbScan};
use crate::control::rows::{DropRow, EntryKind, NetworkRow, PortRow, Status, VtepRow, WorkerRow};
use crate::ids::TunnelId;
use crate::metrics::family::Family;
use crate::table::{Destination, Entry, Key};

use super::captures::Captures;
use super::change::ChangeError;
use super::live_state::{LiveState, UnresolvedReason};
use super::requests::{Applied, ApplyError, ApplyOptions, LiveSwitch, Proposed};
use super::start_error::{Explain, StartError};
use super::state::{StateError, StateStore};
use super::switch::Switch;
use crate::kernel::underlay::NextHop;
use crate::topology::Topology;

/// Buckets of the FDB that are looked at in one piece: some 100 microseconds.
const PIECE: usize = 2048;

/// Which configuration is running, and until when.
#[derive(Debug)]
pub struct Configured {
    /// Counts the changes.
    generation: u64,
    /// What waits to be confirmed.
    pending: Option<Pending>,
    /// Where it survives.
    store: StateStore,
    /// When to save again that generations have been given out which the state does not know of.
    behind: Option<Instant>,
    /// When the switch started.
    started: SystemTime,
    /// When a generation was taken up last.
    changed: SystemTime,
    saves: Saves,
    /// Words for the API's answer when a change fails.
    explain: Explain,
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
struct Pending {
    former: Config,
    expires: Instant,
}

impl Configured {
    /// As it was started, with the state that is kept of it.
    pub(super) fn new(generation: u64, store: StateStore, explain: Explain) -> Self {
        let (started, saves) = (SystemTime::now(), Saves::default());
        let (pending, behind) = (None, None);
        Self { generation, pending, store, behind, started, changed: started, saves, explain }
    }

    /// Another configuration has been taken up.
    fn advance(&mut self) {
        self.generation += 1;
        self.changed = SystemTime::now();
    }

    /// Counts what became of a save. If it failed, the generation is not to be given out again by a restart all the same.
    fn count<T>(&mut self, saved: Result<T, StateError>) -> Result<T, StateError> {
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
    fn fall_behind(&mut self) {
        self.behind = Some(Instant::now() + RETRY);
    }

    /// Every millisecond: tells the state of the generations that were given out.
    fn catch_up_if_due(&mut self) {
        if self.behind.is_some_and(|due| Instant::now() >= due) {
            let saved = self.store.count_on(self.generation);
            if let Err(error) = self.count(saved) {
                error!(%error, "the state does not know how many changes there were");
            }
        }
    }

    /// Counts the changes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// When the switch started.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// When a configuration was taken up last, that of the start included.
    pub(crate) fn changed(&self) -> SystemTime {
        self.changed
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

impl Switch {
    /// Which configuration is running, and since when.
    pub(crate) fn configured(&self) -> &Configured {
        &self.configured
    }

    /// Every millisecond: goes back if nobody has confirmed in time.
    pub(super) fn roll_back_if_expired(&mut self) {
        self.configured.catch_up_if_due();
        let expires = self.configured.pending.as_ref().map(|pending| pending.expires);
        if expires.is_some_and(|expires| Instant::now() >= expires)
            && let Err(error) = self.go_back(RollBackReason::Expired)
        {
            error!(%error, "the configuration that nobody confirmed could not be rolled back");
        }
    }

    /// Saves what the switch was started with as the beginning of a state.
    pub(super) fn begin_state(&mut self) -> Result<(), StateError> {
        let document = Document::from(self.topology.config());
        let begun = self.configured.store.begin(&document, self.configured.generation);
        self.configured.count(begun)
    }

    /// Takes a configuration up and counts it; one that was not taken up counts if what was in force before is not
    /// there any more either, and is told of.
    fn put_in_force(&mut self, config: Config) -> Result<(), ChangeError> {
        let before = self.topology.config().clone();
        let done = self.change(config, self.configured.generation + 1);
        let is_another = *self.topology.config() != before;
        if done.is_ok() || is_another {
            self.configured.advance();
        }
        if done.is_err() && is_another {
            // A restart comes up with what was acknowledged last.
            self.configured.fall_behind();
            self.tell_applied(None);
        }
        done
    }

    /// Puts in force again what was before a change that could not be saved.
    fn undo(&mut self, former: Config) {
        self.tell_applied(None);
        match self.put_in_force(former) {
            Ok(()) => {
                let (generation, reason) = (self.configured.generation, RollBackReason::NotSaved);
                self.events.tell(Happening::ConfigurationRolledBack { generation, reason });
            }
            Err(error) => error!(%error, "a change that could not be saved could not be undone"),
        }
    }

    fn tell_applied(&self, within: Option<Duration>) {
        let confirm_within_secs = within.map(|within| within.as_secs());
        let generation = self.configured.generation;
        self.events.tell(Happening::ConfigurationApplied { generation, confirm_within_secs });
    }

    fn go_back(&mut self, reason: RollBackReason) -> Result<u64, ApplyError> {
        let pending = self.configured.pending.take().ok_or(ApplyError::NothingPending)?;
        if let Err(error) = self.put_in_force(pending.former.clone()) {
            // It waits on, and is tried again.
            let expires = Instant::now() + RETRY;
            self.configured.pending = Some(Pending { expires, ..pending });
            return Err(self.refusal(&error));
        }
        let generation = self.configured.generation;
        let saved = self.configured.store.roll_back(generation);
        if let Err(error) = self.configured.count(saved) {
            // A restart comes up with the former state all the same.
            error!(%error, "the roll-back could not be saved");
        }
        self.events.tell(Happening::ConfigurationRolledBack { generation, reason });
        info!(generation, ?reason, "configuration rolled back");
        Ok(generation)
    }

    /// A change that failed, in the words of the API.
    fn refusal(&self, error: &ChangeError) -> ApplyError {
        let explain = |error: &StartError| (self.configured.explain)(error, self.config());
        let (message, help) = message_and_help(&error.explained(&explain));
        ApplyError::Refused { pointer: None, message, help }
    }
}

/// After a roll-back, or a save, that failed, the next attempt.
const RETRY: Duration = Duration::from_secs(5);

/// What the text of an error says is wrong, and, in the lines after that, what would be right.
fn message_and_help(text: &str) -> (String, String) {
    let (message, help) = text.split_once('\n').unwrap_or((text, ""));
    let help = help.trim_start();
    (message.to_owned(), help.strip_prefix("help: ").unwrap_or(help).to_owned())
}

/// What could not be saved, in the words of the API.
fn storage(error: &StateError) -> ApplyError {
    let (message, help) = message_and_help(&error.to_string());
    ApplyError::Storage { message, help }
}

impl LiveSwitch for Switch {
    fn generation(&self) -> u64 {
        self.configured.generation
    }

    fn config(&self) -> &Config {
        self.topology.config()
    }

    fn apply(&mut self, new: Proposed, options: ApplyOptions) -> Result<Applied, ApplyError> {
        let Proposed { config: new, document, plan } = new;
        if self.configured.pending.is_some() {
            return Err(ApplyError::AwaitsConfirmation);
        }
        let restarts: Vec<_> = plan.needing_restart().cloned().collect();
        if !restarts.is_empty() {
            return Err(ApplyError::NeedsRestart(restarts));
        }
        // Nothing changes, so there is nothing to go back from.
        let within = options.confirm_within.filter(|_| !plan.is_empty());
        let former = self.topology.config().clone();
        if !plan.is_empty() {
            self.put_in_force(new).map_err(|error| self.refusal(&error))?;
        }
        let generation = self.configured.generation;
        // Before it is acknowledged, and after all else that can fail.
        let store = &mut self.configured.store;
        let saved = match within {
            Some(_) => store.save_pending(&document, generation),
            None if options.is_whole_file => store.save_file(&document, generation),
            None => store.save(&document, generation),
        };
        if let Err(error) = self.configured.count(saved) {
            if !plan.is_empty() {
                self.undo(former);
            }
            return Err(storage(&error));
        }
        self.configured.pending =
            within.map(|within| Pending { former, expires: Instant::now() + within });
        if !plan.is_empty() {
            self.tell_applied(within);
            info!(generation, steps = plan.steps.len(), "configuration applied");
        }
        Ok(Applied { generation, plan, confirm_before: within.map(|w| SystemTime::now() + w) })
    }

    fn confirm(&mut self) -> Result<u64, ApplyError> {
        if self.configured.pending.is_none() {
            return Err(ApplyError::NothingPending);
        }
        let saved = self.configured.store.confirm();
        self.configured.count(saved).map_err(|error| storage(&error))?;
        self.configured.pending = None;
        let generation = self.configured.generation;
        self.events.tell(Happening::ConfigurationConfirmed { generation });
        info!(generation, "configuration confirmed");
        Ok(generation)
    }

    fn roll_back(&mut self) -> Result<u64, ApplyError> {
        self.go_back(RollBackReason::Asked)
    }

    fn flush(&mut self, filter: &FdbFilter) -> u64 {
        let selection = Selection::new(&self.topology, filter);
        let Self { topology, learner, .. } = self;
        learner.flush(|key, entry| selection.has(topology, key, entry)) as u64
    }

    fn status(&self) -> Status {
        self.status()
    }

    fn port_rows(&self) -> Vec<PortRow> {
        self.port_rows()
    }

    fn network_rows(&self) -> Vec<NetworkRow> {
        self.network_rows()
    }

    fn vtep_rows(&self) -> Vec<VtepRow> {
        self.vtep_rows()
    }

    fn worker_rows(&self) -> Vec<WorkerRow> {
        self.worker_rows()
    }

    fn drop_rows(&self) -> Vec<DropRow> {
        self.drop_rows()
    }

    fn scan_fdb(&self, scan: &mut FdbScan) {
        let from = scan.position(self.learner.layout());
        let count = if scan.is_impatient() { usize::MAX } else { PIECE };
        let filter = scan.filter().clone();
        let selection = Selection::new(&self.topology, &filter);
        for (key, entry) in self.learner.entries_from(from, count) {
            if selection.has(&self.topology, key, entry) {
                scan.offer(key.to_u64());
            }
        }
        let reached = from.saturating_add(count);
        scan.go_on_at(reached);
        if reached >= self.learner.buckets() {
            scan.complete(|key| {
                let key = Key::from_u64(key);
                self.fdb_row(key, self.learner.entry(key)?)
            });
        }
    }

    fn live_state(&self) -> LiveState<'_> {
        LiveState {
            topology: &self.topology,
            generation: self.publisher.current(),
            fdb: self.learner.table(),
            fdb_is_full: self.learner.is_full(),
            facts: &self.facts,
            next_hops: self,
            now: self.clock.now(),
        }
    }

    fn events(&self) -> Events {
        self.events.clone()
    }

    fn captures(&mut self) -> &mut Captures {
        &mut self.captures
    }

    fn longest_frame(&self) -> usize {
        let ports = self.publisher.current().ports.iter();
        ports.map(|port| port.max_frame_len as usize).max().unwrap_or(0)
    }

    fn metrics(&self) -> Vec<Family> {
        exposition::families(self)
    }
}

impl UnresolvedReason for Switch {
    fn unresolved_reason(&self, tunnel: TunnelId) -> Option<String> {
        match self.next_hops.get(tunnel.index())? {
            Some(NextHop::Resolved { .. }) => None,
            Some(NextHop::Unresolved { reason, .. }) => Some(reason.to_string()),
            None => Some("the kernel has not been asked yet".to_owned()),
        }
    }
}

/// A filter with its names as indices; a name that nothing has selects nothing.
struct Selection<'f> {
    filter: &'f FdbFilter,
    network: Option<Option<crate::ids::NetworkId>>,
    port: Option<Option<crate::ids::PortId>>,
}

impl<'f> Selection<'f> {
    fn new(topology: &Topology, filter: &'f FdbFilter) -> Self {
        let network = filter.network.as_ref().map(|name| {
            let mut networks = topology.networks();
            networks.find(|(_, network)| network.name == *name).map(|(domain, _)| domain)
        });
        let port = filter
            .port
            .as_ref()
            .map(|name| topology.ports().find(|(_, port)| port.name == *name).map(|(id, _)| id));
        Self { filter, network, port }
    }

    fn has(&self, topology: &Topology, key: Key, entry: Entry) -> bool {
        let (port, remote) = match entry.destination {
            Destination::Port(port) => (Some(port), None),
            Destination::Tunnel(tunnel) => {
                (None, topology.remote(tunnel).map(|remote| remote.address))
            }
        };
        let kind = if entry.is_static { EntryKind::Static } else { EntryKind::Learned };
        let FdbFilter { mac, remote_vtep, kind: wanted, .. } = self.filter;
        self.network.is_none_or(|wanted| wanted == Some(key.network()))
            && mac.is_none_or(|mac| mac == key.mac())
            && self.port.is_none_or(|wanted| wanted.is_some() && wanted == port)
            && remote_vtep.is_none_or(|wanted| remote == Some(wanted))
            && wanted.is_none_or(|wanted| wanted == kind)
    }
}
