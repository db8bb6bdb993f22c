//! From one configuration to the next while workers run: whole, or not at all.
//!
//! Called by the control thread. Everything that can fail comes first: devices are opened, host interfaces made,
//! and given up again if a later one fails. From the publication of the new generation on nothing can fail.
//!
//! # The order, and why no frame is lost, misled or flooded for it
//!
//! 1. New ports are started, new host interfaces made. Nobody knows of them.
//! 2. The FDB becomes right for both generations ([`Learner::prepare`](super::learner::Learner::prepare)). What is
//!    learned on a port that goes to another network is known there, too, and stays known in the old one; static entries
//!    of new networks are in their places. Where that would let somebody who leaves a network reach somebody who comes, it
//!    waits until step 5, or is forgotten, and frames to such addresses are flooded from here to there. What workers still
//!    report of such places is ignored from here on ([`Generation::admits`]).
//! 3. The generation is published, and with it, by post, the queues that are new
//!    ([`Io::rewire`](crate::datapath::io::Io::rewire)). Each worker takes both up between two turns.
//! 4. All workers have done so; usually after some microseconds.
//! 5. The FDB gets the entries that only the new generation understands, and loses those of the old. An entry that moves
//!    from one remote VTEP to another does so by a single store, and the tunnel it came from is there until then.
//!    If the kernel does not know the way to the new one yet, the store waits for it, 1.5 seconds at most
//!    ([`Learner::arrive`](super::learner::Learner::arrive)), whatever is changed meanwhile. Until the store, frames from
//!    the old home are accepted, too; then one more generation ends that ([`Topology::arrived`]).
//! 6. What was removed is closed. Frames that were on their way there from one thread to another are counted as
//!    dropped, for the reason `port_removed`.
//!
//! A worker that does not take the generation up keeps steps 5 and 6 waiting, and with them the next
//! change; it is reported by name. Only what the old generation alone allows in the FDB is forgotten after a second.
//!
//! A device or a host interface that is to have other properties under the same name cannot be opened before it was
//! closed, nor may two devices set up the same interface of the kernel. Then there are two changes, the first without
//! it; if the second fails, a third leads back.

use std::time::{Duration, Instant};

use tracing::{error, info};

use super::baselines::moved_sites;
use super::devices::{facts as port_facts, host_interface, pool_for, start_port};
use super::drops::Drops;
use super::host::HostPath;
use super::pools::Pools;
use super::start_error::StartError;
use super::switch::{PortSeat, Switch, views};
use crate::config::{Config, devices_conflict};
use crate::datapath::generation::Generation;
use crate::dpdk::eal::Eal;
use crate::dpdk::port::{Port, Queues};
use crate::ids::{PortId, RemoteId, VtepId};
use crate::kernel::underlay::LocalVtep;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::table::{Entry, Key};
use crate::topology::{DenseMap, PortFacts, TooMany, Topology, narrow};

/// How long to wait for the workers to take a generation up before the rest is left for later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a configuration was not taken up. Nothing was changed, but for [`NoWayBack`](Self::NoWayBack).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum ChangeError {
    #[error(
        "worker {0} has not taken up the change before this one\n  help: see `vswitch show workers`; \
         its core may be taken by something else"
    )]
    Unsettled(usize),
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

/// What is left to be done when all workers have taken a generation up.
pub(super) struct Unsettled {
    /// What some worker may still work by.
    pub(super) before: Topology,
    moved: Vec<(Key, Entry)>,
    ports: Vec<PortId>,
    vteps: Vec<VtepId>,
}

impl Unsettled {
    /// At the start of the switch.
    pub(super) fn start(topology: &Topology) -> Self {
        let (moved, ports, vteps) = (Vec::new(), Vec::new(), Vec::new());
        Self { before: topology.clone(), moved, ports, vteps }
    }
}

/// A port that is started and not yet known to anybody.
struct NewPort {
    id: PortId,
    seat: PortSeat,
    queues: Queues,
}

/// The underlay is to mirror these.
pub struct UnderlayChange {
    /// Local VTEPs.
    pub vteps: Vec<LocalVtep>,
    /// Remote VTEPs.
    pub remotes: Vec<RemoteId>,
}

impl Switch {
    /// Takes another configuration up, with the number that users know it by. On return every worker works by it, unless one is late by a second, which is
    /// logged; then no other change is made before it does. The configuration's settings are those that the switch was
    /// started with: whoever calls has [asked the plan](crate::topology::plan::Plan::needing_restart).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub fn change(&mut self, config: Config, number: u64) -> Result<(), ChangeError> {
        let (before, before_number) = (self.topology.config().clone(), self.captures.number());
        self.settle()?;
        let next = self.topology.next(config.clone())?;
        let Some(without) = without_conflicts(&self.topology, &next) else {
            return self.transition(next, number);
        };
        self.transition(self.topology.next(without)?, number)?;
        let second = self
            .settle()
            .and_then(|()| Ok(self.topology.next(config)?))
            .and_then(|next| self.transition(next, number));
        second.map_err(|error| {
            // Not over what the first one has left to do: a late worker still uses it.
            let back = self.settle().and_then(|()| Ok(self.topology.next(before)?));
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

        let mut new_ports = Vec::new();
        for (id, _) in next.ports_not_in(old) {
            let port = open_port(&self.eal, &mut self.pools, &self.ports, &next, id, &new_ports)?;
            new_ports.push(port);
        }
        let mut facts = self.facts.clone();
        facts.resize(next.port_slots().max(facts.len()), PortFacts::NONE);
        for NewPort { id, seat, .. } in &new_ports {
            facts[id.index()] = port_facts(&seat.port);
        }
        let mut new_hosts = Vec::new();
        for (id, vtep) in next.vteps_not_in(old) {
            let interface = host_interface(&next, vtep, &facts).map_err(StartError::from)?;
            new_hosts.push((id, interface));
        }

        // Nothing fails from here on.
        for NewPort { id, .. } in &new_ports {
            self.baselines.begin_port(*id, views(&self.workers, &self.host_view));
        }
        for (id, _) in next.networks().filter(|(id, _)| old.network(*id).is_none()) {
            self.baselines.begin_network(id, views(&self.workers, &self.host_view));
        }
        for site in moved_sites(old, &next) {
            self.baselines.begin_site(site, views(&self.workers, &self.host_view));
        }
        for (id, _) in &new_hosts {
            self.baselines.begin_vtep(*id, &self.host_view);
        }
        let mut queues = Vec::new();
        for NewPort { id, seat, queues: of_port } in new_ports {
            if let Some(port) = next.port(id) {
                info!(port = port.name, device = port.device, "port added");
            }
            self.ports.set(id.index(), seat);
            queues.push((id, of_port));
        }
        if !(queues.is_empty() && ports.is_empty() && vteps.is_empty() && new_hosts.is_empty()) {
            self.wiring.post(&next, queues, &ports);
        }
        for (id, interface) in new_hosts {
            if let Some(queues) = self.wiring.hosts.get(&id) {
                self.hosts.set(id.index(), HostPath::new(id, interface, queues.clone()));
            }
        }
        let next_hops = std::mem::take(&mut self.next_hops);
        let same =
            |tunnel| self.topology.remote(tunnel).is_some_and(|r| next.remote(tunnel) == Some(r));
        let kept = next_hops.into_iter().enumerate().map(|(index, next_hop)| {
            next_hop.filter(|_| same(crate::ids::TunnelId(narrow(index))))
        });
        self.next_hops = kept.collect();
        self.next_hops.resize(next.tunnel_slots(), None);
        self.facts = facts;
        let before = std::mem::replace(&mut self.topology, next);
        self.captures.configured(number, &self.topology);
        let generation = self.generation();
        let moved = self.learner.prepare(&before, &self.topology, &generation);
        self.publisher.publish(Box::new(generation));
        self.unsettled = Some(Unsettled { before, moved, ports, vteps });
        self.underlay_change = Some(self.mirrored());

        if let Err(late) = self.settle() {
            // Not longer: the others would go on sending to ports that have left.
            self.learner.forget_strays(self.publisher.current());
            error!(error = %late, "the change is made, and what it removes is not released yet");
        }
        Ok(())
    }

    /// Waits a while until every worker works by the last change, and finishes it.
    fn settle(&mut self) -> Result<(), ChangeError> {
        let began = Instant::now();
        self.settle_if_possible();
        while self.unsettled.is_some() && began.elapsed() < PATIENCE {
            // Not a spin: a worker may share this core.
            std::thread::sleep(Duration::from_micros(20));
            self.settle_if_possible();
        }
        match self.unsettled {
            Some(_) => Err(ChangeError::Unsettled(self.lagging().next().unwrap_or(0))),
            None => Ok(()),
        }
    }

    /// What the underlay is to mirror.
    pub(super) fn mirrored(&self) -> UnderlayChange {
        let local = |(id, vtep): (VtepId, &crate::topology::Vtep)| {
            let if_index = self.hosts.get(id.index())?.interface.ifindex();
            Some(LocalVtep { vtep: id, if_index, address: vtep.address })
        };
        UnderlayChange {
            vteps: self.topology.vteps().filter_map(local).collect(),
            remotes: self.topology.remotes().map(|(_, remote)| remote).collect(),
        }
    }

    /// The generation of the topology and the next hops as they are.
    pub(super) fn generation(&self) -> Generation {
        let macs: Vec<_> = self.next_hops.iter().map(super::switch::mac_of).collect();
        let generation = self.topology.generation(&self.facts, &macs, self.wiring.number());
        generation.watched(self.captures.number(), self.captures.watches(&self.topology))
    }

    /// Moves MACs to homes that can be reached by now.
    pub(super) fn arrive(&mut self) {
        if self.unsettled.is_none() && self.lagging().next().is_none() {
            self.learner.arrive(self.publisher.current(), self.clock.now());
            self.leave_old_homes();
        }
    }

    /// Accepts no more from where static MACs were that have arrived, unless it is a peer all the same.
    fn leave_old_homes(&mut self) {
        if self.topology.arrived(|key| self.learner.awaits(key)) {
            let generation = self.generation();
            self.learner.forget_strays(&generation);
            self.publisher.publish(Box::new(generation));
        }
    }

    /// The workers that have not taken up the newest generation.
    pub(super) fn lagging(&self) -> impl Iterator<Item = usize> + '_ {
        self.publisher.lagging()
    }

    /// Finishes the last change as soon as every worker works by it.
    pub(super) fn settle_if_possible(&mut self) {
        let is_everywhere = self.lagging().next().is_none() && self.wiring.is_taken_up();
        if self.unsettled.is_none() || !is_everywhere {
            return;
        }
        let Some(Unsettled { before, moved, ports, vteps }) = self.unsettled.take() else { return };
        // All that was reported by the generation before, so that no index in it is taken for another's.
        self.drain_all();
        let generation = self.publisher.current();
        self.recorder.begin(self.clock.now(), generation);
        let (counters, recorder) = (&self.host_counters, &mut self.recorder);
        let mut drops = Drops { counters, recorder, generation };
        if let Err(error) = self.learner.settle(&self.topology, generation, moved, self.clock.now())
        {
            error!(%error, "a static MAC");
        }
        for id in vteps {
            if let Some(mut host) = self.hosts.take(id.index()) {
                host.deliver_last(&mut drops);
            }
        }
        for (port, queue) in self.wiring.release(&self.topology, &ports) {
            while let Some(packet) = queue.pop() {
                self.host_counters.handed_in(1);
                drops.dropped(Site::port(port), DropReason::PortRemoved, &packet);
            }
        }
        self.host_counters.publish();
        for id in ports {
            drop(self.ports.take(id.index()));
            if let Some(port) = before.port(id) {
                info!(port = port.name, device = port.device, "port removed");
            }
        }
        self.leave_old_homes();
        self.publisher.reclaim();
    }
}

/// Opens a port, after others of the same change.
fn open_port(
    eal: &Eal,
    pools: &mut Pools,
    ports: &DenseMap<PortSeat>,
    next: &Topology,
    id: PortId,
    opened: &[NewPort],
) -> Result<NewPort, ChangeError> {
    let Some(wanted) = next.port(id) else { return Err(ChangeError::NoRoom) };
    let config = next.config();
    let failed = |source| StartError::Port { name: wanted.name.clone(), source };
    let mut port = Port::probe(eal, &wanted.device).map_err(failed)?;
    let first = pools.first.clone();
    let share = ports.iter().map(|(_, seat)| seat).chain(opened.iter().map(|new| &new.seat));
    let share = share.filter(|seat| seat.pool.is(&first)).map(|seat| &seat.port);
    let pool = pool_for(eal, pools, config, wanted, &port, share)?;
    let queues = start_port(config.dpdk.worker_cores.len(), wanted, &mut port, &pool)?;
    let seat = PortSeat::new(port, pool);
    Ok(NewPort { id, seat, queues })
}

/// The configuration before without the ports and VTEPs that stand in the way of the next one's; `None` if nothing does.
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
