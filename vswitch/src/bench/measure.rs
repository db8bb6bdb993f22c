//! The measurement: workers on their cores, the control thread beside them, and what they did.
//!
//! Each worker runs the very loop of [`Worker::run`]: the clock once per turn, counters and ledger
//! at the end of each. Time is cut into slots. In most of a slot the loop runs as it is; that is
//! the total. In the rest, turns are observed stage by stage, and then frames pass the device
//! alone. So all three see the same minutes of a machine that is never quite the same twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use nix::errno::Errno;

use super::arena;
use super::clock::{Clock, ticks};
use super::cores;
use super::device::{BUFFERS, Device};
use super::scenario::{Options, Scenario};
use super::stages::StageClock;
use super::traffic;
use super::world::World;
use crate::control::learner::{AGE_EVERY_MILLIS, EVENT_QUEUE_LEN, Learner};
use crate::datapath::capture::Recorder;
use crate::datapath::generation::Generation;
use crate::datapath::io::LearnEvent;
use crate::datapath::worker::{Time, Worker};
use crate::ids::NetworkId;
use crate::metrics::counters::{self, Counters, CountersView};
use crate::table::{FdbReader, Publisher, Reader};

/// Before the first slot, in seconds: caches fill, the core speeds up.
const WARM_UP_SECS: f64 = 0.5;
/// A slot is about so long, in seconds, and there are at least [`MIN_SLOTS`].
const SLOT_SECS: f64 = 0.1;
const MIN_SLOTS: f64 = 10.0;
/// Parts of a slot: until here the total, until here the stages, then the device.
const TOTAL_UNTIL: f64 = 0.8;
const STAGES_UNTIL: f64 = 0.92;
/// Turns that are not measured after a change from one to another: every buffer comes round once.
const SETTLING_TURNS: usize = 64;
/// How long new MACs of a storm take to come in, each once, in seconds.
const STORM_SECS: f64 = 1.0;
/// How long to measure known traffic alone after the storm, in seconds.
const AFTER_STORM_SECS: f64 = 0.5;
/// How long to wait for them to be learned.
const STORM_LIMIT_SECS: f64 = 20.0;

/// Frames, and the ticks that they took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Frames received.
    pub frames: u64,
    /// Ticks.
    pub ticks: u64,
}

/// What one worker did.
#[derive(Debug)]
pub struct WorkerOutcome {
    /// Its core.
    pub core: usize,
    /// The loop as it is, a sample for each slot.
    pub total: Vec<Sample>,
    /// The observed turns.
    pub observed: Sample,
    /// By stage.
    pub stages: StageClock,
    /// The device alone.
    pub device: Sample,
    /// The longest turn of the loop as it is, in ticks.
    pub longest_turn: u64,
    /// The loop with the storm: known traffic only.
    pub storm: Option<StormOutcome>,
}

/// What one worker did in a learning storm.
#[derive(Debug, Default)]
pub struct StormOutcome {
    /// Known traffic, a sample for each tenth of a second.
    pub known: Vec<Sample>,
    /// Known traffic after it, with the table as large as it has become.
    pub known_after: Sample,
    /// Frames of new MACs.
    pub new_frames: u64,
    /// The longest turn, in ticks.
    pub longest_turn: u64,
    /// The longest time between two readings of the clock in an empty loop of a second, in ticks:
    /// for so long the machine takes the core away.
    pub longest_pause: u64,
}

/// What everybody did.
pub struct Outcome {
    /// By worker.
    pub workers: Vec<WorkerOutcome>,
    /// The counters, by worker.
    pub views: Vec<CountersView>,
    /// The clock that ticks are of.
    pub clock: Clock,
    /// The learner as it is at the end.
    pub learner: Learner,
    /// When all that fit were learned, in ticks after the storm's begin, if they were.
    pub learned_after: Option<u64>,
    /// Whether the control thread had to share a core with a worker.
    pub is_core_shared: bool,
}

/// What workers and control thread share while they run.
struct Shared<'a> {
    options: &'a Options,
    clock: Clock,
    slots: usize,
    /// In ticks.
    slot: u64,
    start: Barrier,
    begin: AtomicU64,
    finished: AtomicUsize,
    all_learned: AtomicBool,
}

/// One worker's own.
struct Seat {
    core: usize,
    number: usize,
    generations: Reader<Generation>,
    fdb: FdbReader,
    counters: Counters,
    events: Arc<ArrayQueue<LearnEvent>>,
    ports: usize,
}

/// Measures. `progress` is told from time to time which part of the time is over.
///
/// # Errors
/// A thread could not be put on its core.
pub fn measure(
    options: &Options,
    world: World,
    cores: &[usize],
    progress: &dyn Fn(f64),
) -> Result<Outcome, Errno> {
    let World { mut learner, fdb, generations, mut publisher, .. } = world;
    let clock = Clock::calibrate();
    let slots = (options.seconds / SLOT_SECS).max(MIN_SLOTS).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    let shared = Shared {
        options,
        clock,
        slots: slots as usize,
        slot: clock.ticks_in(options.seconds / slots),
        start: Barrier::new(options.workers),
        begin: AtomicU64::new(0),
        finished: AtomicUsize::new(0),
        all_learned: AtomicBool::new(false),
    };
    // The last cores are the workers', as the first is usually the busiest; the control thread has
    // the first that is left.
    let of_workers = &cores[cores.len() - options.workers..];
    let free = &cores[..cores.len() - options.workers];
    let of_control = *free.first().unwrap_or(&cores[0]);

    let mut views = Vec::new();
    let mut events = Vec::new();
    let mut seats = Vec::new();
    let readers = generations.into_iter().zip(fdb);
    for (number, ((generations, fdb), core)) in readers.zip(of_workers).enumerate() {
        let (counters, view) = counters::new();
        let queue = Arc::new(ArrayQueue::new(EVENT_QUEUE_LEN));
        views.push(view);
        events.push(Arc::clone(&queue));
        let (core, ports) = (*core, usize::from(options.ports()));
        seats.push(Seat { core, number, generations, fdb, counters, events: queue, ports });
    }

    let (sender, results) = mpsc::channel();
    let (learner, learned_after) = std::thread::scope(|scope| {
        let shared = &shared;
        for seat in seats {
            let sender = sender.clone();
            scope.spawn(move || {
                // The result has a number, since threads end in any order.
                let _ = sender.send((seat.number, work(seat, shared)));
                shared.finished.fetch_add(1, Ordering::Release);
            });
        }
        let control = scope.spawn(move || {
            let pinned = cores::pin(of_control);
            let learned_after = control(&mut learner, &events, shared, &mut publisher);
            pinned.map(|()| (learner, learned_after))
        });
        while !control.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            progress(progress_of(shared));
        }
        match control.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    drop(sender);
    let mut workers: Vec<_> = results.iter().collect();
    workers.sort_by_key(|(number, _)| *number);
    let workers = workers.into_iter().map(|(_, result)| result).collect::<Result<_, _>>()?;
    Ok(Outcome { workers, views, clock, learner, learned_after, is_core_shared: free.is_empty() })
}

fn progress_of(shared: &Shared<'_>) -> f64 {
    let begin = shared.begin.load(Ordering::Acquire);
    if begin == 0 {
        return 0.0;
    }
    let all = shared.clock.ticks_in(WARM_UP_SECS + shared.options.seconds);
    (ticks().saturating_sub(begin) as f64 / all as f64).min(1.0)
}

/// The control thread: learns and ages as that of a running switch does, until the workers are
/// done. Returns how long a storm took.
fn control(
    learner: &mut Learner,
    events: &[Arc<ArrayQueue<LearnEvent>>],
    shared: &Shared<'_>,
    publisher: &mut Publisher<Generation>,
) -> Option<u64> {
    let clock = shared.clock;
    let mut next_ageing = AGE_EVERY_MILLIS;
    let mut learned_after = None;
    while shared.finished.load(Ordering::Acquire) < shared.options.workers {
        std::thread::sleep(Duration::from_millis(1));
        let now = clock.time().now;
        for queue in events {
            learner.drain(queue, publisher.current(), now.secs(), |_| ());
        }
        learner.upkeep();
        publisher.reclaim();
        if now.millis >= next_ageing {
            next_ageing = now.millis + AGE_EVERY_MILLIS;
            learner.age(now.secs(), |_| ());
        }
        if learned_after.is_none() && are_all_learned(learner, shared.options) {
            learned_after = Some(ticks().saturating_sub(storm_begin(shared)));
            shared.all_learned.store(true, Ordering::Release);
        }
    }
    learned_after
}

fn are_all_learned(learner: &Learner, options: &Options) -> bool {
    let stations = 2 * u64::from(options.pairs()) + u64::from(options.macs);
    let fit = stations.min(learner.capacity() as u64);
    options.scenario == Scenario::Learn && learner.network(NetworkId(0)).entries >= fit
}

/// When a storm begins, on the clock.
fn storm_begin(shared: &Shared<'_>) -> u64 {
    let before = WARM_UP_SECS + shared.options.seconds;
    shared.begin.load(Ordering::Acquire) + shared.clock.ticks_in(before)
}

/// One worker, from its pinning to its result.
fn work(seat: Seat, shared: &Shared<'_>) -> Result<WorkerOutcome, Errno> {
    let Seat { core, number, generations, fdb, counters, events, ports } = seat;
    let pinned = cores::pin(core);
    let mut slots = arena::slots(BUFFERS);
    let streams = traffic::streams(shared.options, number);
    let device = Device::new(&mut slots, streams, events);
    let (recorder, _drops) = Recorder::new(number);
    let mut worker = Worker::new(device, generations, fdb, counters, recorder, ports);
    if shared.start.wait().is_leader() {
        shared.begin.store(ticks(), Ordering::Release);
    }
    shared.start.wait();
    pinned?;
    let mut lap = Lap { worker: &mut worker, clock: shared.clock, longest_turn: 0 };

    let warm = shared.begin.load(Ordering::Acquire) + shared.clock.ticks_in(WARM_UP_SECS);
    lap.run(warm);
    lap.longest_turn = 0;
    let mut total = Vec::with_capacity(shared.slots);
    let (mut observed, mut device) = (Sample::default(), Sample::default());
    let mut stages = StageClock::new();
    for slot in 0..shared.slots as u64 {
        let begin = warm + slot * shared.slot;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks")]
        let at = |part: f64| begin + (part * shared.slot as f64) as u64;
        total.push(lap.run(at(TOTAL_UNTIL)));
        lap.observe(at(STAGES_UNTIL), &mut stages, &mut observed);
        lap.pass_on(at(1.0), &mut device);
        lap.settle();
    }
    let longest_turn = lap.longest_turn;
    let storm = match shared.options.scenario {
        Scenario::Learn => Some(lap.storm(shared)),
        _ => None,
    };
    worker.counters().publish();
    Ok(WorkerOutcome { core, total, observed, stages, device, longest_turn, storm })
}

/// One turn of the loop of [`Worker::run`]. Returns how many frames it had, and the time at its
/// end.
///
/// Never inlined: the call is nothing beside a turn, and callgrind looks for the name.
#[inline(never)]
pub fn loop_turn(worker: &mut Worker<Device<'_>>, clock: &Clock, time: Time) -> (usize, Time) {
    let frames = worker.turn(time.now);
    let end = clock.time();
    worker.counters().turn(end.cycles.wrapping_sub(time.cycles), frames != 0);
    (frames, end)
}

/// The longest time between two readings of the clock, in so many ticks of nothing else.
fn longest_pause(ticks_in_all: u64) -> u64 {
    let begin = ticks();
    let (mut last, mut longest) = (begin, 0);
    while last.saturating_sub(begin) < ticks_in_all {
        let now = ticks();
        longest = longest.max(now.saturating_sub(last));
        last = now;
    }
    longest
}

/// A worker on its way round.
struct Lap<'w, 'a> {
    worker: &'w mut Worker<Device<'a>>,
    clock: Clock,
    longest_turn: u64,
}

impl Lap<'_, '_> {
    /// The loop of [`Worker::run`], until then. One turn at least, here and below, however late it
    /// is: on a machine that is busy otherwise a slot may be over before it began.
    fn run(&mut self, until: u64) -> Sample {
        let mut time = self.clock.time();
        let begin = time.cycles;
        let mut frames = self.turn(&mut time);
        while time.cycles < until {
            frames += self.turn(&mut time);
        }
        Sample { frames, ticks: time.cycles.wrapping_sub(begin) }
    }

    fn turn(&mut self, time: &mut Time) -> u64 {
        let (frames, end) = loop_turn(self.worker, &self.clock, *time);
        self.longest_turn = self.longest_turn.max(end.cycles.wrapping_sub(time.cycles));
        *time = end;
        frames as u64
    }

    fn settle(&mut self) {
        let mut time = self.clock.time();
        for _ in 0..SETTLING_TURNS {
            self.turn(&mut time);
        }
    }

    /// Turns with a look at the clock after each stage.
    #[inline(never)]
    fn observe(&mut self, until: u64, stages: &mut StageClock, sum: &mut Sample) {
        let mut time = self.clock.time();
        let begin = time.cycles;
        loop {
            stages.start();
            sum.frames += self.worker.turn_observed(time.now, stages) as u64;
            let end = self.clock.time();
            self.worker.counters().turn(end.cycles.wrapping_sub(time.cycles), true);
            time = end;
            if time.cycles >= until {
                break;
            }
        }
        sum.ticks += time.cycles.wrapping_sub(begin);
    }

    /// The device without a pipeline.
    #[inline(never)]
    fn pass_on(&mut self, until: u64, sum: &mut Sample) {
        let device = self.worker.io_mut();
        for _ in 0..SETTLING_TURNS {
            device.pass_on();
        }
        let begin = ticks();
        let end = loop {
            sum.frames += device.pass_on() as u64;
            let now = ticks();
            if now >= until {
                break now;
            }
        };
        sum.ticks += end.wrapping_sub(begin);
    }

    /// New MACs between the known ones, at an even pace, over and over until all are learned.
    fn storm(&mut self, shared: &Shared<'_>) -> StormOutcome {
        let begin = storm_begin(shared);
        let limit = begin + self.clock.ticks_in(STORM_LIMIT_SECS);
        let own = f64::from(shared.options.macs) / shared.options.workers as f64;
        let per_tick = own / (STORM_SECS * self.clock.hz());
        let mut outcome = StormOutcome::default();
        let mut released = 0;
        self.run(begin);
        self.longest_turn = 0;
        let mut time = self.clock.time();
        let mut sample_from = (time.cycles, 0);
        let mut frames = 0;
        while !shared.all_learned.load(Ordering::Relaxed) && time.cycles < limit {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "frames")]
            let due = (time.cycles.saturating_sub(begin) as f64 * per_tick) as usize;
            self.worker.io_mut().release(due - released);
            released = due;
            frames += self.turn(&mut time);
            let ticks = time.cycles.wrapping_sub(sample_from.0);
            if ticks >= shared.slot {
                let known = frames - self.worker.io_mut().newcomers();
                outcome.known.push(Sample { frames: known - sample_from.1, ticks });
                sample_from = (time.cycles, known);
            }
        }
        outcome.new_frames = self.worker.io_mut().newcomers();
        outcome.longest_turn = self.longest_turn;
        self.settle();
        outcome.known_after = self.run(ticks() + self.clock.ticks_in(AFTER_STORM_SECS));
        outcome.longest_pause = longest_pause(self.clock.ticks_in(STORM_SECS));
        outcome
    }
}
