//! Changes the configuration while workers run: the whole change is made, or nothing.
//!
//! Called by the control thread. The steps that can fail come first: opening devices and creating
//! host interfaces. If one fails, the ones before it are undone. After the new generation is
//! published, nothing can fail.
//!
//! # The order, and why it loses, misdirects and floods no frame
//!
//! 1. New ports are started and new host interfaces created. No worker knows them yet.
//! 2. The FDB is made correct for both generations
//!    ([`Learner::prepare`](super::learner::Learner::prepare)). MACs on a port that moves to another
//!    network are entered in the new network and stay in the old one. Static entries of new networks
//!    are entered. An entry that would let a station that leaves a network reach a station that joins
//!    it waits until step 5 or is removed; frames to its MAC are flooded until then. From here on,
//!    events that workers report for such ports are ignored
//!    (`Generation::has_stations_at`).
//! 3. The generation is published, together with the new queues
//!    ([`Io::rewire`](crate::datapath::io::Io::rewire)). Each worker takes up both between two turns.
//! 4. The control thread waits until every worker has done so, usually some microseconds.
//! 5. The FDB gets the entries that only the new generation understands, and loses those that only
//!    the old one does. An entry that moves between remote VTEPs is moved by one store, and its old
//!    tunnel exists until then. If the next hop to the new VTEP is not known yet, the store waits for
//!    it for at most 1.5 seconds ([`Learner::arrive`](super::learner::Learner::arrive)), even if the
//!    configuration changes again. Until the store, frames from the old VTEP are accepted too; one
//!    more generation ends that ([`Topology::arrived`]).
//! 6. Removed ports and host interfaces are closed. Frames that were queued for them are counted as
//!    dropped, for the reason `port_removed`.
//!
//! While a worker has not taken up the generation, steps 5 and 6 wait, and so does the next change;
//! the worker is named in the log. Only the entries that the old generation alone allows are removed
//! after a second.
//!
//! A device or host interface that keeps its name but gets other properties must be closed before it
//! can be opened again, and two devices cannot hold one kernel interface. In these cases two changes
//! are made: the first removes the device or interface, the second adds it. If the second fails, a
//! third restores the former configuration.

use std::time::{Duration, Instant};

use tracing::error;

use super::devices::host_interface;
use super::punt_path::PuntPath;
use super::start_error::StartError;
use super::switch::Switch;
use super::unfinished::Unfinished;
use crate::config::{Config, devices_conflict};
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::topology::{TooMany, Topology};

/// How long to wait for the workers to take a generation up before the rest is left for later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a configuration was not taken up. Nothing was changed, but for
/// [`NoWayBack`](Self::NoWayBack).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum ChangeError {
    #[error(
        "worker {0} has not taken up the change before this one\n  help: see `vswitch show workers`; \
         its core may be taken by something else"
    )]
    Unfinished(usize),
    #[error(transparent)]
    TooMany(#[from] TooMany),
    #[error("the FDB has no room for the static MACs\n  help: raise [fdb] capacity and restart")]
    NoRoom,
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}\n  what was there before could not be restored either: {1}")]
    NoWayBack(Box<ChangeError>, Box<ChangeError>),
}

impl ChangeError {
    /// Its text, with that of each [`StartError`] in it explained.
    pub(super) fn explained(&self, explain: &dyn Fn(&StartError) -> String) -> String {
        match self {
            Self::Start(error) => explain(error),
            Self::NoWayBack(first, second) => format!(
                "{}\n  what was there before could not be restored either: {}",
                first.explained(explain),
                second.explained(explain)
            ),
            other => other.to_string(),
        }
    }
}

impl Switch {
    /// Takes another configuration up, with the number that users know it by. On return every
    /// worker works by it, unless one is late by a second, which is logged; then no other change is
    /// made before it does. The configuration's settings are those that the switch was started
    /// with: whoever calls has [asked the plan](crate::topology::plan::Plan::needing_restart).
    ///
    /// # Errors
    /// See `ChangeError`.
    pub fn change(&mut self, config: Config, number: u64) -> Result<(), ChangeError> {
        let (before, before_number) = (self.topology.config().clone(), self.captures.number());
        self.finish()?;
        let next = self.topology.next(config.clone())?;
        let Some(without) = without_conflicts(&self.topology, &next) else {
            return self.transition(next, number);
        };
        self.transition(self.topology.next(without)?, number)?;
        let second = self
            .finish()
            .and_then(|()| Ok(self.topology.next(config)?))
            .and_then(|next| self.transition(next, number));
        second.map_err(|error| {
            // Not over what the first one has left to do: a late worker still uses it.
            let back = self.finish().and_then(|()| Ok(self.topology.next(before)?));
            match back.and_then(|next| self.transition(next, before_number)) {
                Ok(()) => error,
                Err(second) => ChangeError::NoWayBack(Box::new(error), Box::new(second)),
            }
        })
    }

    fn transition(&mut self, next: Topology, number: u64) -> Result<(), ChangeError> {
        if !self.learner.has_room_for(&next) {
            return Err(ChangeError::NoRoom);
        }
        let old = &self.topology;
        let ports: Vec<_> = old.ports_not_in(&next).map(|(id, _)| id).collect();
        let vteps: Vec<_> = old.vteps_not_in(&next).map(|(id, _)| id).collect();
        let new_ports = self.devices.open(&next, old)?;
        let facts = self.devices.facts_with(&next, &new_ports);
        let mut new_interfaces = Vec::new();
        for (id, vtep) in next.vteps_not_in(old) {
            let interface = host_interface(&next, vtep, &facts).map_err(StartError::from)?;
            new_interfaces.push((id, interface));
        }

        // Nothing fails from here on.
        self.counting.begin(old, &next);
        let queues = self.devices.add(&next, new_ports);
        let is_rewired = !(queues.is_empty() && ports.is_empty());
        let wiring = &mut self.workers.wiring;
        if is_rewired || !(vteps.is_empty() && new_interfaces.is_empty()) {
            wiring.post(&next, queues, &ports);
        }
        for (id, interface) in new_interfaces {
            if let Some(queues) = wiring.punts.get(&id) {
                self.punt_paths.add(PuntPath::new(id, interface, queues.clone()));
            }
        }
        self.next_hops.inherit(old, &next);
        let before = std::mem::replace(&mut self.topology, next);
        self.captures.configured(number, &self.topology);
        let generation = self.compile_generation();
        let moved = self.learner.prepare(&before, &self.topology, &generation);
        self.publisher.publish(Box::new(generation));
        self.unfinished = Some(Unfinished { before, moved, ports, vteps });
        self.mirror_change = Some(self.mirror_targets());

        if let Err(late) = self.finish() {
            // Not longer: the others would go on sending to ports that have left.
            self.learner.forget_strays(self.publisher.current());
            error!(error = %late, "the change is made, and what it removes is not released yet");
        }
        Ok(())
    }

    /// Waits a while until every worker works by the last change, and finishes it.
    fn finish(&mut self) -> Result<(), ChangeError> {
        let began = Instant::now();
        self.finish_if_possible();
        while self.unfinished.is_some() && began.elapsed() < PATIENCE {
            // Not a spin: a worker may share this core.
            std::thread::sleep(Duration::from_micros(20));
            self.finish_if_possible();
        }
        match self.unfinished {
            Some(_) => Err(ChangeError::Unfinished(self.lagging().next().unwrap_or(0))),
            None => Ok(()),
        }
    }

    /// Moves MACs to homes that can be reached by now.
    pub(super) fn arrive(&mut self) {
        if self.unfinished.is_none() && self.lagging().next().is_none() {
            self.learner.arrive(self.publisher.current(), self.clock.now());
            self.leave_old_homes();
        }
    }

    /// Accepts no more from where static MACs were that have arrived, unless it is a peer all the
    /// same.
    fn leave_old_homes(&mut self) {
        if self.topology.arrived(|key| self.learner.awaits(key)) {
            let generation = self.compile_generation();
            self.learner.forget_strays(&generation);
            self.publisher.publish(Box::new(generation));
        }
    }

    /// Finishes the last change as soon as every worker works by it.
    pub(super) fn finish_if_possible(&mut self) {
        let wiring = &self.workers.wiring;
        let is_everywhere = self.lagging().next().is_none() && wiring.is_taken_up();
        if self.unfinished.is_none() || !is_everywhere {
            return;
        }
        let Some(Unfinished { before, moved, ports, vteps }) = self.unfinished.take() else {
            return;
        };
        // All that was reported by the generation before, so that no index in it is taken for
        // another's.
        self.drain_all();
        let (generation, now) = (self.publisher.current(), self.clock.now());
        let mut drops = self.own_frames.drops(now, generation);
        if let Err(error) = self.learner.settle(&self.topology, generation, moved, now) {
            error!(%error, "a static MAC");
        }
        for id in vteps {
            self.punt_paths.close(id, &mut drops);
        }
        for (port, queue) in self.workers.wiring.release(&self.topology, &ports) {
            while let Some(packet) = queue.pop() {
                drops.counters.handed_in(1);
                drops.dropped(Site::port(port), DropReason::PortRemoved, &packet);
            }
        }
        drops.counters.publish();
        for id in ports {
            self.devices.close(&before, id);
        }
        self.leave_old_homes();
        self.publisher.reclaim();
    }
}

/// The configuration before without the ports and VTEPs that stand in the way of the next one's;
/// `None` if nothing does.
fn without_conflicts(old: &Topology, next: &Topology) -> Option<Config> {
    let ports: Vec<_> = old
        .ports_not_in(next)
        .filter(|(_, gone)| {
            next.ports_not_in(old).any(|(_, new)| devices_conflict(&gone.device, &new.device))
        })
        .map(|(_, port)| port.name.as_str())
        .collect();
    let vteps: Vec<_> = old
        .vteps_not_in(next)
        .filter(|(_, gone)| {
            next.vteps_not_in(old).any(|(_, new)| {
                let interface = |t: &Topology, vtep| t.underlay_of(vtep).host_interface.clone();
                interface(next, new) == interface(old, gone) || new.address == gone.address
            })
        })
        .map(|(_, vtep)| vtep.name.as_str())
        .collect();
    let nothing = ports.is_empty() && vteps.is_empty();
    (!nothing).then(|| old.config().without(&ports, &vteps))
}
