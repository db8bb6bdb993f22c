//! The control loop: waits for signals, timers, the kernel and requests, and does what each asks
//! for.
//!
//! [`run`] does everything on the calling thread, the process's first, and returns when told to
//! stop by SIGINT or SIGTERM.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::events::RollBackReason;
use super::in_force::InForce;
use super::learner::AGE_EVERY_MILLIS;
use super::loop_timing::Work;
use super::mac_events;
use super::next_hops::MirrorTargets;
use super::requests::{self, Request, Requests};
use super::start_error::{Explain, StartError};
use super::state::{Start, StateStore};
use super::supervisor::ALIVE_EVERY;
use super::switch::Switch;
use crate::ids::RemoteId;
use crate::kernel::underlay::NextHop;
use crate::topology::Topology;

/// How long those who read a capture may take for the rest of it when the switch stops.
const CAPTURES_END: Duration = Duration::from_millis(300);

/// SIGINT and SIGTERM. They are caught from the time when this exists.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// To be called before anything is made that must not be left behind. Needs a tokio runtime.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn catch() -> Result<Self, StartError> {
        let catch = |kind| signal(kind).map_err(StartError::Signals);
        let interrupt = catch(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: catch(SignalKind::terminate())? })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Starts the switch and runs it until SIGINT or SIGTERM. What `serve` returns is spawned when the
/// switch has started; it is what serves requests, and is ended with the switch. The host has been
/// checked before.
///
/// # Errors
/// What is wrong and the way out; nothing is left behind.
pub async fn run<S>(
    start: Start,
    store: StateStore,
    explain: Explain,
    mut signals: StopSignals,
    serve: impl FnOnce(Requests) -> S,
) -> Result<(), StartError>
where
    S: Future<Output = ()> + Send + 'static,
{
    let begins = start.begins();
    let topology = Topology::new(start.config)?;
    let in_force = InForce::new(start.generation, store, explain);
    let (mut switch, mut underlay) = Switch::start(topology, in_force)?;
    if begins {
        switch.begin_state()?;
    }
    let (requests, mut queue) = requests::channel();
    let server = tokio::spawn(serve(requests));
    switch.print_start();
    let mut ticks = Ticks::new();

    let stopped_by = loop {
        let wake = tokio::select! {
            signal = signals.next() => break Ok(signal),
            due = ticks.frames.tick() => Wake::Frames { due },
            _ = ticks.ageing.tick() => Wake::Ageing,
            _ = ticks.watch.tick() => Wake::Watch,
            changes = underlay.next_change() => match changes {
                Ok(changes) => Wake::Underlay(changes),
                Err(error) => break Err(error),
            },
            Some(request) = queue.recv() => Wake::Request(request),
        };
        switch.wake(wake);
        if let Some(MirrorTargets { vteps, remotes }) = switch.mirror_change.take() {
            underlay.change(vteps, remotes);
        }
    };
    match &stopped_by {
        Ok(signal) => {
            info!(signal, "stopping");
            switch.supervisor.stopping(&format!("stopping after {signal}"));
        }
        Err(error) => switch.supervisor.stopping(&format!("stopping: {error}")),
    }
    switch.end_captures().await;
    server.abort();
    drop(switch);
    stopped_by?;
    info!("stopped");
    Ok(())
}

/// Timers of the control loop.
struct Ticks {
    frames: tokio::time::Interval,
    ageing: tokio::time::Interval,
    watch: tokio::time::Interval,
}

impl Ticks {
    fn new() -> Self {
        let every = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let millis = Duration::from_millis;
        Self {
            frames: every(millis(1)),
            ageing: every(millis(AGE_EVERY_MILLIS)),
            watch: every(ALIVE_EVERY),
        }
    }
}

/// What the control loop was waiting for.
enum Wake {
    /// The millisecond's tick, which was due at a moment.
    Frames {
        due: tokio::time::Instant,
    },
    Ageing,
    Watch,
    Underlay(Vec<(RemoteId, NextHop)>),
    Request(Request),
}

impl Switch {
    /// Does what the loop woke up for, and notes how long it took.
    fn wake(&mut self, wake: Wake) {
        let began = Instant::now();
        let work = match wake {
            Wake::Frames { due } => {
                self.timing.came(due.into_std(), began);
                self.carry_frames();
                Work::Frames
            }
            Wake::Ageing => {
                self.age();
                Work::Ageing
            }
            Wake::Watch => {
                self.watch();
                Work::Watch
            }
            Wake::Underlay(changes) => {
                self.next_hops.update(&self.topology, changes);
                let (current, facts) = (self.publisher.current(), &self.devices.facts);
                let macs = self.next_hops.macs();
                let generation = self.topology.with_next_hops(current, facts, &macs);
                self.publisher.publish(Box::new(generation));
                Work::Underlay
            }
            Wake::Request(request) => {
                request.answer(self);
                Work::Request
            }
        };
        self.timing.did(work, began);
    }

    /// Every millisecond: learns what workers heard, carries frames to and from the host
    /// interfaces, and frees generations and tables that no worker reads any more.
    fn carry_frames(&mut self) {
        if self.unfinished.is_some() {
            self.drain_all();
        } else {
            let now_secs = self.clock.now().secs();
            let (topology, events) = (&self.topology, &self.events);
            let generation = self.publisher.current();
            for worker in &self.workers.wiring.workers {
                let report = |news| mac_events::report(topology, events, news);
                self.learner.drain(&worker.events, generation, now_secs, report);
            }
        }
        let mut drops = self.own_frames.drops(self.clock.now(), self.publisher.current());
        self.punt_paths.carry(&self.devices.pools.first, &mut drops);
        self.learner.upkeep();
        self.publisher.reclaim();
        self.finish_if_possible();
        self.arrive();
        self.roll_back_if_expired();
        self.report_ready();
        self.look_after_captures();
    }

    /// Gives the readers of captures a moment to read the rest.
    async fn end_captures(&mut self) {
        self.captures.end_all();
        let ends = tokio::time::Instant::now() + CAPTURES_END;
        while self.captures.is_read() && tokio::time::Instant::now() < ends {
            self.look_after_captures();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn look_after_captures(&mut self) {
        let is_everywhere = self.lagging().next().is_none();
        if self.captures.look_after(is_everywhere) {
            let watches = self.captures.watches(&self.topology);
            let current = self.publisher.current();
            let generation = current.watched(self.captures.number(), watches);
            self.publisher.publish(Box::new(generation));
        }
        self.captures.keep_drops();
    }

    fn age(&mut self) {
        let (topology, events) = (&self.topology, &self.events);
        let report = |news| mac_events::report(topology, events, news);
        self.learner.age(self.clock.now().secs(), report);
    }

    /// Every second: the links, what drivers lost, and whether the workers turn.
    fn watch(&mut self) {
        self.devices.watch(&self.topology, &self.events);
        let lagging: Vec<_> = self.lagging().collect();
        self.workers.watch(&self.counting, &lagging);
        self.report_alive();
    }

    /// Goes back if nobody has confirmed in time, and tells the state of generations that were
    /// given out.
    fn roll_back_if_expired(&mut self) {
        self.in_force.catch_up_if_due();
        if self.in_force.is_expired()
            && let Err(error) = self.go_back(RollBackReason::Expired)
        {
            error!(%error, "the configuration that nobody confirmed could not be rolled back");
        }
    }

    /// Every millisecond until it is so: tells the service manager that the switch is ready. The
    /// sockets listen since before the workers were launched, and this runs in the loop that
    /// answers on them.
    fn report_ready(&mut self) {
        let turns = |number| self.counting.worker(number).turns().turns > 0;
        if !self.supervisor.is_ready() && (0..self.workers.seats.len()).all(turns) {
            let status = self.status_line();
            self.supervisor.ready(status);
        }
    }

    /// Every second, after the workers were looked after: tells the service manager how the switch
    /// is.
    fn report_alive(&mut self) {
        let status = self.status_line();
        let well = !self.workers.seats.iter().any(|worker| worker.is_stuck);
        self.supervisor.report(well, status);
    }
}
