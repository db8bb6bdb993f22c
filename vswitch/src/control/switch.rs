//! The switch: start-up, the control loop, the end.
//!
//! [`run`] does everything on the calling thread, the process's first, and returns when told to stop
//! by SIGINT or SIGTERM. Whatever fails at start-up undoes what was done before it: dropping closes
//! ports, removes TAPs and the socket, and cleans up EAL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::baselines::Baselines;
use super::captures::Captures;
use super::change::{UnderlayChange, Unsettled};
use super::clock::Clock;
use super::devices::{eal_args, facts as port_facts, host_interface, make_pool, probe, start_port};
use super::drops::Drops;
use super::host::HostPath;
use super::learner::{AGE_EVERY_MILLIS, Fate, Learner, News};
use super::pools::Pools;
use super::pulse::{Pulse, Work};
use super::requests::{self, Request, Requests};
use super::running::Configured;
use super::start_error::{Explain, StartError};
use super::state::{Start, StateStore};
use super::supervisor::{ALIVE_EVERY, Supervisor};
use super::wiring::Wiring;
use crate::control::events::{Events, Happening, Whereabouts};
use crate::datapath::capture::Recorder;
use crate::datapath::generation::Generation;
use crate::datapath::worker::Worker;
use crate::dpdk::eal::{self, Eal};
use crate::dpdk::lcore;
use crate::dpdk::pool::Pool;
use crate::dpdk::port::{Link, Losses, Port};
use crate::ids::{MacAddr, PortId, RemoteId};
use crate::kernel::netdev;
use crate::kernel::quiet::QuietInterface;
use crate::kernel::underlay::{NextHop, Underlay};
use crate::metrics::counters::{self, Counters, CountersView};
use crate::table::{self, Destination, Publisher, fdb, snapshot};
use crate::topology::{DenseMap, PortFacts, Topology, narrow};

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
    let configured = Configured::new(start.generation, store, explain);
    let (mut switch, mut underlay, workers) = Switch::start(topology, configured)?;
    if begins && let Err(error) = switch.begin_state() {
        workers.stop();
        return Err(error.into());
    }
    let (requests, mut queue) = requests::channel();
    let server = tokio::spawn(serve(requests));
    switch.print_start();

    let stopped_by = loop {
        let wake = tokio::select! {
            signal = signals.next() => break Ok(signal),
            due = switch.ticks.frames.tick() => Wake::Frames { due },
            _ = switch.ticks.ageing.tick() => Wake::Ageing,
            _ = switch.ticks.watch.tick() => Wake::Watch,
            changes = underlay.next_change() => match changes {
                Ok(changes) => Wake::Underlay(changes),
                Err(error) => break Err(error),
            },
            Some(request) = queue.recv() => Wake::Request(request),
        };
        switch.wake(wake);
        if let Some(UnderlayChange { vteps, remotes }) = switch.underlay_change.take() {
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
    workers.stop();
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

/// A worker as the control thread sees it.
pub struct WorkerSeat {
    /// Its core.
    pub core: u32,
    /// Its core's NUMA node.
    pub numa_node: u32,
    /// Its counters.
    pub view: CountersView,
    turns: u64,
    pub(super) is_stuck: bool,
}

/// A port as the control thread sees it.
pub struct PortSeat {
    /// The device.
    pub port: Port,
    /// Its link, as of the last second.
    pub link: Option<Link>,
    /// What its driver lost, as of the last second.
    pub losses: Losses,
    /// Where its frames lie.
    pub pool: Pool,
    _quiet: Option<QuietInterface>,
}

impl PortSeat {
    /// A started port.
    pub(super) fn new(port: Port, pool: Pool) -> Self {
        let link = port.link();
        let quiet = quiet_interface(&port);
        Self { port, link, losses: Losses::default(), pool, _quiet: quiet }
    }
}

/// What the control thread owns while the switch runs.
///
/// Fields are dropped in this order: frames in queues before the pool, ports before EAL.
pub struct Switch {
    /// The configuration, with indices.
    pub topology: Topology,
    /// Workers by number.
    pub workers: Vec<WorkerSeat>,
    /// Host interfaces by VTEP.
    pub hosts: DenseMap<HostPath>,
    /// The FDB's writer.
    pub learner: Learner,
    /// Next hops by tunnel; `None` before the kernel was asked.
    pub next_hops: Vec<Option<NextHop>>,
    /// The counters of the frames that the control thread carries.
    pub host_view: CountersView,
    /// Where it is told what happens.
    pub events: Events,
    /// The time.
    pub clock: Clock,
    /// How long the control thread is busy.
    pub pulse: Pulse,
    /// The MACs and MTUs of the ports.
    pub facts: Vec<PortFacts>,
    /// What the counters of an index showed before it was given to what has it now.
    pub baselines: Baselines,
    /// The queues between everybody.
    pub wiring: Wiring,
    /// What is captured, and the frames that were dropped last.
    pub captures: Captures,
    pub(super) recorder: Recorder,
    pub(super) host_counters: Counters,
    pub(super) publisher: Publisher<Generation>,
    /// The configuration's generation, and what waits to be confirmed.
    pub(super) configured: Configured,
    /// What is left to do of the last change.
    pub(super) unsettled: Option<Unsettled>,
    pub(super) underlay_change: Option<UnderlayChange>,
    pub(super) supervisor: Supervisor,
    ticks: Ticks,
    frame: Box<[u8]>,
    /// Ports by id.
    pub ports: DenseMap<PortSeat>,
    /// The packet buffers.
    pub pools: Pools,
    /// The environment of it all.
    pub eal: Eal,
}

/// The running workers.
struct Workers {
    stop: Arc<AtomicBool>,
    handles: Vec<lcore::Handle>,
}

impl Workers {
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for handle in self.handles {
            handle.join();
        }
    }
}

impl Switch {
    fn start(
        topology: Topology,
        configured: Configured,
    ) -> Result<(Self, Underlay, Workers), StartError> {
        let config = topology.config();
        let eal = eal::init(&eal_args(config))?;
        let ports = probe(&eal, config)?;
        let pool = make_pool(&eal, config, &ports)?;
        let mut seats = DenseMap::default();
        let mut queues = Vec::new();
        let mut facts = Vec::new();
        let workers = config.dpdk.worker_cores.len();
        for ((id, wanted), mut port) in topology.ports().zip(ports) {
            queues.push((id, start_port(workers, wanted, &mut port, &pool)?));
            facts.push(port_facts(&port));
            seats.set(id.index(), PortSeat::new(port, pool.clone()));
        }

        let (mut wiring, ios) = Wiring::new(workers, &pool);
        wiring.post(&topology, queues, &[]);
        let mut hosts = DenseMap::default();
        for (id, vtep) in topology.vteps() {
            let interface = host_interface(&topology, vtep, &facts)?;
            if let Some(queues) = wiring.hosts.get(&id) {
                hosts.set(id.index(), HostPath::new(id, interface, queues.clone()));
            }
        }

        let (writer, fdb) = fdb::new(config.fdb_capacity, table::random_seed(), ios.len());
        let learner = Learner::new(writer, &topology)?;
        let next_hops = vec![None; topology.tunnel_slots()];
        let none = vec![None; next_hops.len()];
        let generation = topology.generation(&facts, &none, wiring.number());
        let generation = generation.watched(configured.generation(), Vec::new());
        let (publisher, readers) = snapshot::channel(Box::new(generation), ios.len());
        let (host_counters, host_view) = counters::new();
        let clock = Clock::start(&eal);

        let mut workers = Workers { stop: Arc::new(AtomicBool::new(false)), handles: Vec::new() };
        let mut worker_seats = Vec::new();
        let mut drops = Vec::new();
        let cores = config.dpdk.worker_cores.clone();
        let readers = readers.into_iter().zip(fdb);
        for (core, (io, (generations, fdb))) in cores.into_iter().zip(ios.into_iter().zip(readers))
        {
            let (counters, view) = counters::with_clock(clock.hz);
            let (recorder, queue) = Recorder::new(drops.len());
            drops.push(queue);
            let ports = Topology::MAX_PORTS;
            let mut worker = Worker::new(io, generations, fdb, counters, recorder, ports);
            let stop = Arc::clone(&workers.stop);
            let launched =
                lcore::launch(&eal, core, move || worker.run(&stop, move || clock.time()));
            match launched {
                Ok(handle) => workers.handles.push(handle),
                Err(error) => {
                    workers.stop();
                    return Err(error.into());
                }
            }
            let numa_node = eal.numa_node(core);
            worker_seats.push(WorkerSeat { core, numa_node, view, turns: 0, is_stuck: false });
        }
        let networks = topology.networks().last().map_or(0, |(last, _)| last.index() + 1);
        let baselines = Baselines::new(networks);
        let (recorder, queue) = Recorder::new(drops.len());
        drops.push(queue);
        let since_start = Arc::new(move || clock.now().nanos);
        let captures = Captures::new(&topology, configured.generation(), drops, since_start);
        let mut switch = Self {
            workers: worker_seats,
            hosts,
            learner,
            next_hops,
            host_view,
            events: Events::new(),
            clock,
            pulse: Pulse::default(),
            facts,
            baselines,
            wiring,
            captures,
            recorder,
            host_counters,
            publisher,
            configured,
            unsettled: None,
            underlay_change: None,
            supervisor: Supervisor::from_environment(),
            ticks: Ticks::new(),
            frame: vec![0; usize::from(u16::MAX)].into(),
            ports: seats,
            pools: Pools::new(pool),
            topology,
            eal,
        };
        let UnderlayChange { vteps, remotes } = switch.mirrored();
        let underlay = match Underlay::new(vteps, remotes) {
            Ok(underlay) => underlay,
            Err(error) => {
                workers.stop();
                return Err(error.into());
            }
        };
        switch.unsettled = Some(Unsettled::start(&switch.topology));
        Ok((switch, underlay, workers))
    }

    /// Does what the loop woke up for, and notes how long it took.
    fn wake(&mut self, wake: Wake) {
        let began = Instant::now();
        let work = match wake {
            Wake::Frames { due } => {
                self.pulse.came(due.into_std(), began);
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
                self.resolve(changes);
                Work::Underlay
            }
            Wake::Request(request) => {
                request.answer(self);
                Work::Request
            }
        };
        self.pulse.did(work, began);
    }

    /// Every millisecond: learns what workers heard, carries frames to and from the host, and frees
    /// generations and tables that no worker reads any more.
    fn carry_frames(&mut self) {
        if self.unsettled.is_some() {
            self.drain_all();
        } else {
            let now_secs = self.clock.now().secs();
            let (topology, events) = (&self.topology, &self.events);
            for worker in &self.wiring.workers {
                let generation = self.publisher.current();
                let tell = |news| tell(topology, events, news);
                self.learner.drain(&worker.events, generation, now_secs, tell);
            }
        }
        let generation = self.publisher.current();
        self.recorder.begin(self.clock.now(), generation);
        let (counters, recorder) = (&self.host_counters, &mut self.recorder);
        let mut drops = Drops { counters, recorder, generation };
        for (_, host) in self.hosts.iter_mut() {
            host.carry(&self.pools.first, &mut drops, &mut self.frame);
        }
        self.learner.upkeep();
        self.publisher.reclaim();
        self.settle_if_possible();
        self.arrive();
        self.roll_back_if_expired();
        self.report_ready();
        self.look_after_captures();
    }

    /// Lets whoever reads a capture have the end of it, for a moment.
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
        self.learner.age(self.clock.now().secs(), |news| tell(topology, events, news));
    }

    /// Handles every event that is waiting. While a worker is late with the generation of a change, what others have
    /// heard at a place that came with it must wait until they hear it again: the late one would look the place up
    /// where its own generation has none.
    pub(super) fn drain_all(&mut self) {
        let now_secs = self.clock.now().secs();
        let late = self.unsettled.as_ref().map(|unsettled| &unsettled.before);
        for worker in &self.wiring.workers {
            let waiting = worker.events.len();
            for _ in 0..waiting {
                let Some(event) = worker.events.pop() else { break };
                if late.is_some_and(|before| !before.has(event.origin)) {
                    continue;
                }
                let tell = |news| tell(&self.topology, &self.events, news);
                self.learner.handle(event, self.publisher.current(), now_secs, tell);
            }
        }
    }

    /// Every second: the links, what drivers lost, and whether the workers turn.
    fn watch(&mut self) {
        self.pools.tidy();
        for (id, seat) in self.ports.iter_mut() {
            let link = seat.port.link();
            let is_up = |link: Option<Link>| link.is_some_and(|link| link.up);
            if is_up(link) != is_up(seat.link)
                && let Some(port) =
                    self.topology.port(PortId(narrow(id))).map(|port| port.name.clone())
            {
                let up = is_up(link);
                info!(port, up, "link");
                self.events.tell(match up {
                    true => Happening::PortUp { port },
                    false => Happening::PortDown { port },
                });
            }
            seat.link = link;
            seat.losses = seat.port.losses().unwrap_or(seat.losses);
        }
        let lagging: Vec<_> = self.publisher.lagging().collect();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let turns = worker.view.turns().turns;
            let was_stuck = std::mem::replace(&mut worker.is_stuck, turns == worker.turns);
            worker.turns = turns;
            match (was_stuck, worker.is_stuck) {
                (false, true) => error!(
                    worker = number,
                    core = worker.core,
                    reads_an_old_generation = lagging.contains(&number),
                    "a worker has not finished a turn of its loop for a second"
                ),
                (true, false) => {
                    warn!(worker = number, core = worker.core, "the worker turns again")
                }
                _ => {}
            }
        }
        self.report_alive();
    }

    /// Publishes a generation with the next hops that changed.
    fn resolve(&mut self, changes: Vec<(RemoteId, NextHop)>) {
        for (remote, next_hop) in changes {
            let Some(tunnel) = self.topology.tunnel(remote) else { continue };
            let Some(vtep) = self.topology.vtep(remote.vtep).map(|vtep| &*vtep.name) else {
                continue;
            };
            let address = remote.address;
            match &next_hop {
                NextHop::Resolved { mac, gateway: Some(gateway) } => {
                    info!(vtep, remote = %address, %mac, %gateway, "next hop");
                }
                NextHop::Resolved { mac, gateway: None } => {
                    info!(vtep, remote = %address, %mac, "next hop");
                }
                NextHop::Unresolved { reason, .. } => {
                    info!(vtep, remote = %address, %reason, "no next hop");
                }
            }
            self.next_hops[tunnel.index()] = Some(next_hop);
        }
        let macs: Vec<_> = self.next_hops.iter().map(mac_of).collect();
        let current = self.publisher.current();
        let generation = self.topology.with_next_hops(current, &self.facts, &macs);
        self.publisher.publish(Box::new(generation));
    }
}

pub(super) fn mac_of(next_hop: &Option<NextHop>) -> Option<MacAddr> {
    match next_hop {
        Some(NextHop::Resolved { mac, .. }) => Some(*mac),
        _ => None,
    }
}

/// The counters of every worker and of the control thread.
pub(super) fn views<'a>(
    workers: &'a [WorkerSeat],
    host_view: &'a CountersView,
) -> impl Iterator<Item = &'a CountersView> + Clone {
    workers.iter().map(|worker| &worker.view).chain([host_view])
}

/// Tells of a MAC address in words.
fn tell(topology: &Topology, events: &Events, News { key, place, fate }: News) {
    let at = |place| match place {
        Destination::Port(port) => Whereabouts {
            port: topology.port(port).map(|port| port.name.clone()),
            remote_vtep: None,
        },
        Destination::Tunnel(tunnel) => Whereabouts {
            port: None,
            remote_vtep: topology.remote(tunnel).map(|remote| remote.address.to_string()),
        },
    };
    events.tell_mac(|| {
        let network = topology.network(key.network()).map(|n| n.name.clone()).unwrap_or_default();
        let (mac, at, from) = (key.mac().to_string(), at(place), at);
        match fate {
            Fate::Learned => Happening::MacLearned { network, mac, at },
            Fate::Moved { from: before } => {
                Happening::MacMoved { network, mac, at, from: from(before) }
            }
            Fate::Aged => Happening::MacAged { network, mac, at },
            Fate::Refused => Happening::MacRefused { network, mac, at },
        }
    });
}

/// Keeps the kernel quiet on the interface that a packet socket reads.
fn quiet_interface(port: &Port) -> Option<QuietInterface> {
    let info = port.info();
    let name = (info.driver == "net_af_packet").then(|| netdev::name_of(info.if_index?))??;
    Some(QuietInterface::new(&name))
}
