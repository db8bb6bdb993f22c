//! The switch: what the control thread owns while it runs, and the start of it.
//!
//! Each part has a file of its own, with what can be done with that part alone. What takes several
//! of them is here, in [`event_loop`](super::event_loop) and in
//! `reconfigure`.
//!
//! Whatever fails at the start undoes what was done before it: dropping stops workers, closes
//! ports, removes TAPs, and cleans up EAL.

use std::sync::Arc;

use super::captures::Captures;
use super::clock::Clock;
use super::counting::Counting;
use super::devices::{Devices, host_interface};
use super::drops::OwnFrames;
use super::events::Events;
use super::in_force::InForce;
use super::learner::Learner;
use super::loop_timing::LoopTiming;
use super::mac_events;
use super::next_hops::{MirrorTargets, NextHops};
use super::punt_path::{PuntPath, PuntPaths};
use super::start_error::StartError;
use super::supervisor::Supervisor;
use super::unfinished::Unfinished;
use super::wiring::Wiring;
use super::workers::Workers;
use crate::datapath::capture::Recorder;
use crate::datapath::generation::Generation;
use crate::datapath::worker::Worker;
use crate::kernel::underlay::Underlay;
use crate::metrics::counters;
use crate::table::{self, Publisher, fdb, snapshot};
use crate::topology::Topology;

/// What the control thread owns while the switch runs.
///
/// Fields are dropped in this order: the workers stop first, frames in queues are freed before the
/// pools, and ports are closed before EAL is cleaned up.
pub struct Switch {
    /// The workers, and the queues to them.
    pub workers: Workers,
    /// The frames between the workers and the host interfaces.
    pub punt_paths: PuntPaths,
    /// The FDB's writer.
    pub learner: Learner,
    /// Next hops by tunnel.
    pub next_hops: NextHops,
    /// What the threads have counted.
    pub counting: Counting,
    /// The control thread's own counters, and its part in captures.
    pub(super) own_frames: OwnFrames,
    /// Where it is told what happens.
    pub events: Events,
    /// The time.
    pub clock: Clock,
    /// How long the control thread is busy.
    pub timing: LoopTiming,
    /// What is captured, and the frames that were dropped last.
    pub captures: Captures,
    pub(super) publisher: Publisher<Generation>,
    /// The number of the configuration in force, and what waits to be confirmed.
    pub(super) in_force: InForce,
    /// What is left to do of the last change.
    pub(super) unfinished: Option<Unfinished>,
    /// What the underlay mirror is to follow from now on.
    pub(super) mirror_change: Option<MirrorTargets>,
    pub(super) supervisor: Supervisor,
    /// The configuration, with indices.
    pub topology: Topology,
    /// The ports, and what they stand on.
    pub devices: Devices,
}

impl Switch {
    pub(super) fn start(
        topology: Topology,
        in_force: InForce,
    ) -> Result<(Self, Underlay), StartError> {
        let config = topology.config();
        let (devices, queues) = Devices::start(&topology)?;
        let cores = config.dpdk.worker_cores.clone();
        let (mut wiring, ios) = Wiring::new(cores.len(), &devices.pools.first);
        wiring.post(&topology, queues, &[]);
        let mut punt_paths = PuntPaths::default();
        for (id, vtep) in topology.vteps() {
            let interface = host_interface(&topology, vtep, &devices.facts)?;
            if let Some(queues) = wiring.punts.get(&id) {
                punt_paths.add(PuntPath::new(id, interface, queues.clone()));
            }
        }

        let (writer, fdb) = fdb::new(config.fdb_capacity, table::random_seed(), ios.len());
        let learner = Learner::new(writer, &topology)?;
        let next_hops = NextHops::new(&topology);
        let generation = topology.generation(&devices.facts, &next_hops.macs(), wiring.number());
        let generation = generation.watched(in_force.generation(), Vec::new());
        let (publisher, readers) = snapshot::channel(Box::new(generation), ios.len());
        let clock = Clock::start(&devices.eal);

        let mut workers = Workers::new(wiring);
        let (mut views, mut drops) = (Vec::new(), Vec::new());
        let readers = readers.into_iter().zip(fdb);
        for (core, (io, (generations, fdb))) in cores.into_iter().zip(ios.into_iter().zip(readers))
        {
            let (counters, view) = counters::with_clock(clock.hz);
            let (recorder, queue) = Recorder::new(drops.len());
            drops.push(queue);
            views.push(view);
            let ports = Topology::MAX_PORTS;
            let worker = Worker::new(io, generations, fdb, counters, recorder, ports);
            workers.launch(&devices.eal, core, worker, clock)?;
        }
        let (counters, view) = counters::new();
        let (recorder, queue) = Recorder::new(drops.len());
        drops.push(queue);
        let since_start = Arc::new(move || clock.now().nanos);
        let captures = Captures::new(&topology, in_force.generation(), drops, since_start);
        let switch = Self {
            workers,
            punt_paths,
            learner,
            next_hops,
            counting: Counting::new(&topology, views, view),
            own_frames: OwnFrames::new(counters, recorder),
            events: Events::new(),
            clock,
            timing: LoopTiming::default(),
            captures,
            publisher,
            in_force,
            unfinished: Some(Unfinished::start(&topology)),
            mirror_change: None,
            supervisor: Supervisor::from_environment(),
            topology,
            devices,
        };
        let MirrorTargets { vteps, remotes } = switch.mirror_targets();
        let underlay = Underlay::new(vteps, remotes)?;
        Ok((switch, underlay))
    }

    /// What the underlay mirror is to follow.
    pub(super) fn mirror_targets(&self) -> MirrorTargets {
        MirrorTargets {
            vteps: self.punt_paths.local_vteps(&self.topology),
            remotes: self.topology.remotes().map(|(_, remote)| remote).collect(),
        }
    }

    /// Compiles the generation of the topology, the next hops and the captures as they are.
    pub(super) fn compile_generation(&self) -> Generation {
        let (facts, macs) = (&self.devices.facts, self.next_hops.macs());
        let generation = self.topology.generation(facts, &macs, self.workers.wiring.number());
        generation.watched(self.captures.number(), self.captures.watches(&self.topology))
    }

    /// The workers that have not taken up the newest generation.
    pub(super) fn lagging(&self) -> impl Iterator<Item = usize> + '_ {
        self.publisher.lagging()
    }

    /// Handles every event that is waiting. While a worker is late with the generation of a change,
    /// what others have heard at a place that came with it must wait until they hear it again: the
    /// late one would look the place up where its own generation has none.
    pub(super) fn drain_all(&mut self) {
        let now_secs = self.clock.now().secs();
        let late = self.unfinished.as_ref().map(|unfinished| &unfinished.before);
        for worker in &self.workers.wiring.workers {
            let waiting = worker.events.len();
            for _ in 0..waiting {
                let Some(event) = worker.events.pop() else { break };
                if late.is_some_and(|before| !before.has(event.origin)) {
                    continue;
                }
                let report = |news| mac_events::report(&self.topology, &self.events, news);
                self.learner.handle(event, self.publisher.current(), now_secs, report);
            }
        }
    }
}
