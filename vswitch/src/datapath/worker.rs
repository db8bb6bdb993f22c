//! A worker: the loop, and the one place where the order of the stages can be read.
//!
//! Runs on an EAL lcore, pinned to its core, or in a [simulation](crate::sim). Owns its queues, its
//! counters and its buffers; shares the FDB and the generations with the control thread, read-only.

use std::sync::atomic::{AtomicBool, Ordering};

use super::again::Again;
use super::capture::recorder::Recorder;
use super::context::{Context, Own, Shared};
use super::generation::Generation;
use super::io::Io;
use super::now::Now;
use super::observer::{Observer, Stage};
use super::outputs::Outputs;
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
    again: Box<Again<I::Packet>>,
    outputs: Outputs<I::Packet>,
    recent_reports: RecentReports,
    recorder: Recorder,
    wiring: u64,
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
            again: Box::default(),
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

    /// A [turn](Self::turn) that an observer watches.
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
            again,
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
        let shared = Shared { generation, fdb, now };
        let own = Own { io, counters, recorder, observer, recent_reports };
        stages(&mut Context { shared, own, outputs, again }, vector)
    }

    /// The worker's queues and buffers.
    pub fn io_mut(&mut self) -> &mut I {
        &mut self.io
    }

    /// The frames that are to pass again.
    #[cfg(test)]
    pub(crate) fn again_mut(&mut self) -> &mut Again<I::Packet> {
        &mut self.again
    }

    /// The worker's counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The stages of a turn, in their order: what the control thread sent, then a burst from each queue, then what
/// has gathered. Frames that pass again follow the burst that they come from. Returns how many frames there were.
///
/// `vector` is empty before and after. Besides workers, [`explain`](crate::explain) calls it, with queues of its own.
#[inline(always)]
pub fn stages<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    vector: &mut Vector<I::Packet>,
) -> usize {
    let mut frames = relay::run(context);
    context.own.observer.ended(Stage::Relay, frames, vector);
    let (mut queue, queues) = (0, context.own.io.queues());
    loop {
        if !context.again.is_empty() {
            context.again.take(vector);
        } else if queue < queues {
            rx::run(context, queue, vector);
            queue += 1;
            frames += vector.len();
            context.own.observer.ended(Stage::Rx, vector.len(), vector);
            if vector.is_empty() {
                continue;
            }
            context.own.recorder.received(context.shared.generation, vector);
        } else {
            break;
        }
        let len = vector.len();
        parse::run(context, vector);
        context.own.observer.ended(Stage::Parse, len, vector);
        decap::run(context, vector);
        context.own.recorder.decapsulated(context.shared.generation, vector);
        context.own.observer.ended(Stage::Decap, len, vector);
        learn::run(context, vector);
        context.own.observer.ended(Stage::Learn, len, vector);
        let needs = forward::run(context, vector);
        context.own.recorder.decided(vector);
        context.own.observer.ended(Stage::Forward, len, vector);
        if needs.flood {
            flood::run(context, vector);
        }
        context.own.observer.ended(Stage::Flood, len, vector);
        if needs.flood | needs.encap {
            encap::run(context, vector);
        }
        context.own.observer.ended(Stage::Encap, len, vector);
        tx::run(context, vector);
        context.own.recorder.ended(context.shared.generation, vector);
        context.own.observer.ended(Stage::Tx, len, vector);
    }
    tx::flush(context);
    context.own.recorder.release(context.shared.generation);
    context.own.observer.ended(Stage::Flush, frames, vector);
    frames
}
