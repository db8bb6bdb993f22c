//! A worker: the loop, and the one place where the order of the stages can be read.
//!
//! Runs on an EAL lcore, pinned to its core, or in a [simulation](crate::sim). Owns its queues, its
//! counters and its buffers; shares the FDB and the generations with the control thread, read-only.

use std::sync::atomic::{AtomicBool, Ordering};

use super::capture::recorder::Recorder;
use super::context::Context;
use super::generation::Generation;
use super::io::Io;
use super::now::Now;
use super::outputs::Outputs;
use super::packet::Packet;
use super::reports::RecentReports;
use super::vector::Vector;
use super::{decap, encap, flood, forward, learn, parse, relay, rx, tx};
use crate::metrics::counters::Counters;
use crate::table::{FdbReader, Reader};

/// A worker.
pub struct Worker<I: Io> {
    io: I,
    generations: Reader<Generation>,
    fdb: FdbReader,
    counters: Counters,
    vector: Box<Vector<I::Packet>>,
    outputs: Outputs<I::Packet>,
    recent_reports: RecentReports,
    recorder: Recorder,
    wiring: u64,
}

/// A part of a turn, in the order of the journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the module of its name")]
pub enum Stage {
    Relay,
    Rx,
    Parse,
    Decap,
    Learn,
    Forward,
    Flood,
    Encap,
    Tx,
    /// [`tx::flush`], once per turn.
    Flush,
}

/// Who wants to know what each stage does. `()` does not, and costs nothing.
pub trait Observer {
    /// A stage has ended, with so many frames in hand. The vector is as the stage left it: empty before
    /// [`Stage::Rx`], and without its frames from [`Stage::Tx`] on.
    fn ended<P: Packet>(&mut self, stage: Stage, frames: usize, vector: &Vector<P>);
}

impl Observer for () {
    #[inline(always)]
    fn ended<P: Packet>(&mut self, _stage: Stage, _frames: usize, _vector: &Vector<P>) {}
}

/// What a clock says.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Cycles of the time-stamp counter.
    pub cycles: u64,
    /// The same, as the pipeline wants it.
    pub now: Now,
}

impl<I: Io> Worker<I> {
    /// A worker on its queues. `ports` is the most ports of any generation it will see. Its queues are those of wiring 0.
    #[must_use]
    pub fn new(
        io: I,
        generations: Reader<Generation>,
        fdb: FdbReader,
        counters: Counters,
        recorder: Recorder,
        ports: usize,
    ) -> Self {
        Self {
            io,
            generations,
            fdb,
            counters,
            vector: Vector::new(),
            outputs: Outputs::new(ports),
            recent_reports: RecentReports::new(),
            recorder,
            wiring: 0,
        }
    }

    /// Polls until told to stop. `clock` is read once per turn.
    pub fn run(&mut self, stop: &AtomicBool, mut clock: impl FnMut() -> Time) {
        let mut time = clock();
        while !stop.load(Ordering::Relaxed) {
            let frames = self.turn(time.now);
            let end = clock();
            self.counters.turn(end.cycles.wrapping_sub(time.cycles), frames != 0);
            time = end;
        }
    }

    /// One turn: a burst from each queue, through every stage. Returns how many frames there were.
    #[inline]
    pub fn turn(&mut self, now: Now) -> usize {
        self.turn_observed(now, &mut ())
    }

    /// A [turn](Self::turn) that tells the observer when each stage ends.
    ///
    /// Borrowing generation and FDB is the quiescent point: nothing of the former ones is held any more.
    #[inline(always)]
    pub fn turn_observed(&mut self, now: Now, observer: &mut impl Observer) -> usize {
        let Self {
            io,
            generations,
            fdb,
            counters,
            vector,
            outputs,
            recent_reports,
            recorder,
            wiring,
        } = self;
        // In this order: what the control thread has forgotten before it published the generation is not in the
        // table that is newest after that.
        let (generation, fdb) = (generations.current(), fdb.current());
        if generation.wiring != *wiring {
            io.rewire(generation.wiring);
            *wiring = generation.wiring;
        }
        recorder.begin(now, generation);
        let mut context =
            Context { generation, fdb, now, io, counters, outputs, recent_reports, recorder };
        stages(&mut context, vector, observer)
    }

    /// The worker's queues and buffers.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.io
    }

    /// The worker's counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The stages of a turn, in their order: what the control thread sent, then a burst from each queue, then what
/// has gathered. Returns how many frames there were.
///
/// `vector` is empty before and after. Besides workers, [`explain`](crate::explain) calls it, with queues of its own.
#[inline(always)]
pub fn stages<I: Io>(
    context: &mut Context<'_, I>,
    vector: &mut Vector<I::Packet>,
    observer: &mut impl Observer,
) -> usize {
    let mut frames = relay::run(context);
    observer.ended(Stage::Relay, frames, vector);
    for queue in 0..context.io.queues() {
        rx::run(context, queue, vector);
        let len = vector.len();
        observer.ended(Stage::Rx, len, vector);
        if len == 0 {
            continue;
        }
        frames += len;
        context.recorder.received(context.generation, vector);
        parse::run(context, vector);
        observer.ended(Stage::Parse, len, vector);
        decap::run(context, vector);
        context.recorder.decapsulated(context.generation, vector);
        observer.ended(Stage::Decap, len, vector);
        learn::run(context, vector);
        observer.ended(Stage::Learn, len, vector);
        let needs = forward::run(context, vector);
        context.recorder.decided(vector);
        observer.ended(Stage::Forward, len, vector);
        if needs.flood {
            flood::run(context, vector);
        }
        observer.ended(Stage::Flood, len, vector);
        if needs.flood | needs.encap {
            encap::run(context, vector);
        }
        observer.ended(Stage::Encap, len, vector);
        tx::run(context, vector);
        context.recorder.settled(context.generation, vector);
        observer.ended(Stage::Tx, len, vector);
    }
    tx::flush(context);
    context.recorder.release(context.generation);
    observer.ended(Stage::Flush, frames, vector);
    frames
}
