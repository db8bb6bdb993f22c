//! A worker: the loop, and the one place where the order of the stages can be read.
//!
//! Runs on an EAL lcore, pinned to its core, or in a [simulation](crate::sim). Owns its queues, its
//! counters and its buffers; shares the FDB and the generations with the control thread, read-only.

use std::sync::atomic::{AtomicBool, Ordering};

use super::context::{Context, Now};
use super::generation::Generation;
use super::io::Io;
use super::learn::RecentlyTold;
use super::tx::Outputs;
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
    copies: Box<Vector<I::Packet>>,
    outputs: Outputs<I::Packet>,
    recently_told: RecentlyTold,
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
    /// A worker on its queues. `ports` is the number of ports of every generation it will see.
    #[must_use]
    pub fn new(
        io: I,
        generations: Reader<Generation>,
        fdb: FdbReader,
        counters: Counters,
        ports: usize,
    ) -> Self {
        Self {
            io,
            generations,
            fdb,
            counters,
            vector: Vector::new(),
            copies: Vector::new(),
            outputs: Outputs::new(ports),
            recently_told: RecentlyTold::new(),
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
    ///
    /// Reading the generation is the quiescent point: nothing of the former one is held any more.
    #[inline]
    pub fn turn(&mut self, now: Now) -> usize {
        let Self { io, generations, fdb, counters, vector, copies, outputs, recently_told } = self;
        let generation = generations.current();
        let mut context = Context { generation, fdb, now, io, counters, outputs, recently_told };
        let context = &mut context;

        let mut frames = relay::run(context);
        for queue in 0..context.io.queues() {
            rx::run(context, queue, vector);
            if vector.len == 0 {
                continue;
            }
            frames += vector.len;
            parse::run(context, vector);
            decap::run(context, vector);
            learn::run(context, vector);
            forward::run(context, vector);
            flood::run(context, vector, copies);
            encap::run(context, vector);
            tx::run(context, vector);
        }
        tx::flush(context);
        frames
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
