//! The answers to [requests](super::requests).
//!
//! Runs on the control thread, for one request at a time.

use std::time::{Duration, Instant, SystemTime};

use tracing::{error, info};

use super::captures::Captures;
use super::events::{Events, Happening, RollBackReason};
use super::exposition;
use super::fdb_pages::{FdbFilter, FdbScan};
use super::in_force::{InForce, Pending, RETRY};
use super::live_state::LiveState;
use super::reconfigure::ChangeError;
use super::requests::{Applied, ApplyError, ApplyOptions, LiveSwitch, Proposed};
use super::rows::{DropRow, EntryKind, NetworkRow, PortRow, Status, VtepRow, WorkerRow};
use super::start_error::StartError;
use super::state::StateError;
use super::switch::Switch;
use crate::config::{Config, Document};
use crate::ids::{NetworkId, PortId};
use crate::metrics::family::Family;
use crate::table::{Destination, Entry, Key};
use crate::topology::Topology;

/// Buckets of the FDB that are looked at in one piece: some 100 microseconds.
const PIECE: usize = 2048;

impl Switch {
    /// Which configuration is running, and since when.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// Saves what the switch was started with as the beginning of a state.
    pub(super) fn begin_state(&mut self) -> Result<(), StateError> {
        let document = Document::from(self.topology.config());
        let begun = self.in_force.store.begin(&document, self.in_force.generation());
        self.in_force.count(begun)
    }

    /// Takes a configuration up and counts it; one that was not taken up counts if what was in
    /// force before is not there any more either, and is told of.
    fn put_in_force(&mut self, config: Config) -> Result<(), ChangeError> {
        let before = self.topology.config().clone();
        let done = self.change(config, self.in_force.generation() + 1);
        let is_another = *self.topology.config() != before;
        if done.is_ok() || is_another {
            self.in_force.advance();
        }
        if done.is_err() && is_another {
            // A restart comes up with what was acknowledged last.
            self.in_force.fall_behind();
            self.tell_applied(None);
        }
        done
    }

    /// Puts in force again what was before a change that could not be saved.
    fn undo(&mut self, former: Config) {
        self.tell_applied(None);
        match self.put_in_force(former) {
            Ok(()) => {
                let (generation, reason) = (self.in_force.generation(), RollBackReason::NotSaved);
                self.events.tell(Happening::ConfigurationRolledBack { generation, reason });
            }
            Err(error) => error!(%error, "a change that could not be saved could not be undone"),
        }
    }

    fn tell_applied(&self, within: Option<Duration>) {
        let confirm_within_secs = within.map(|within| within.as_secs());
        let generation = self.in_force.generation();
        self.events.tell(Happening::ConfigurationApplied { generation, confirm_within_secs });
    }

    /// A change that failed, in the words of the API.
    fn refusal(&self, error: &ChangeError) -> ApplyError {
        let explain = |error: &StartError| (self.in_force.explain)(error, self.config());
        let (message, help) = message_and_help(&error.explained(&explain));
        ApplyError::Refused { pointer: None, message, help }
    }

    pub(super) fn go_back(&mut self, reason: RollBackReason) -> Result<u64, ApplyError> {
        let pending = self.in_force.pending.take().ok_or(ApplyError::NothingPending)?;
        if let Err(error) = self.put_in_force(pending.former.clone()) {
            // It waits on, and is tried again.
            let expires = Instant::now() + RETRY;
            self.in_force.pending = Some(Pending { expires, ..pending });
            return Err(self.refusal(&error));
        }
        let generation = self.in_force.generation();
        let saved = self.in_force.store.roll_back(generation);
        if let Err(error) = self.in_force.count(saved) {
            // A restart comes up with the former state all the same.
            error!(%error, "the roll-back could not be saved");
        }
        self.events.tell(Happening::ConfigurationRolledBack { generation, reason });
        info!(generation, ?reason, "configuration rolled back");
        Ok(generation)
    }
}

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
        self.in_force.generation()
    }

    fn config(&self) -> &Config {
        self.topology.config()
    }

    fn apply(&mut self, new: Proposed, options: ApplyOptions) -> Result<Applied, ApplyError> {
        let Proposed { config: new, document, plan } = new;
        if self.in_force.pending.is_some() {
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
        let generation = self.in_force.generation();
        // Before it is acknowledged, and after all else that can fail.
        let store = &mut self.in_force.store;
        let saved = match within {
            Some(_) => store.save_pending(&document, generation),
            None if options.is_whole_file => store.save_file(&document, generation),
            None => store.save(&document, generation),
        };
        if let Err(error) = self.in_force.count(saved) {
            if !plan.is_empty() {
                self.undo(former);
            }
            return Err(storage(&error));
        }
        self.in_force.pending =
            within.map(|within| Pending { former, expires: Instant::now() + within });
        if !plan.is_empty() {
            self.tell_applied(within);
            info!(generation, steps = plan.steps.len(), "configuration applied");
        }
        Ok(Applied { generation, plan, confirm_before: within.map(|w| SystemTime::now() + w) })
    }

    fn confirm(&mut self) -> Result<u64, ApplyError> {
        if self.in_force.pending.is_none() {
            return Err(ApplyError::NothingPending);
        }
        let saved = self.in_force.store.confirm();
        self.in_force.count(saved).map_err(|error| storage(&error))?;
        self.in_force.pending = None;
        let generation = self.in_force.generation();
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
            facts: &self.devices.facts,
            next_hops: &self.next_hops,
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

/// A filter with its names as indices; a name that nothing has selects nothing.
struct Selection<'f> {
    filter: &'f FdbFilter,
    network: Option<Option<NetworkId>>,
    port: Option<Option<PortId>>,
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
