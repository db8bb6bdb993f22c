//! Turns to be counted by valgrind: a number that does not depend on time, machine or load.
//!
//! `benches/instructions.rs` runs this under callgrind, which collects in [`counted_turn`] only.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::device::{BUFFERS, Device};
use super::scenario::{Options, Scenario};
use super::world::{World, WorldError};
use super::{arena, traffic};
use crate::control::learner::EVENT_QUEUE_LEN;
use crate::datapath::context::Now;
use crate::datapath::vector::BURST;
use crate::datapath::worker::Worker;
use crate::metrics::counters;

/// Not counted: every buffer and every record of a thousand comes round.
const WARM_UP_TURNS: usize = 128;

/// One turn of a worker's loop, with the counters as [`Worker::run`] has them. Never inlined: its
/// name is what callgrind looks for.
#[inline(never)]
pub fn counted_turn(worker: &mut Worker<Device<'_>>, now: Now) -> usize {
    let frames = worker.turn(now);
    worker.counters().turn(1, frames != 0);
    frames
}

/// Runs so many counted turns of a scenario; returns how many frames were in them.
///
/// # Errors
/// See [`WorldError`].
pub fn run(options: &Options, turns: usize) -> Result<usize, WorldError> {
    let World { topology, fdb, mut generations, .. } = World::new(options)?;
    let events = Arc::new(ArrayQueue::new(EVENT_QUEUE_LEN));
    let mut slots = arena::slots(BUFFERS);
    let device = Device::new(&mut slots, traffic::streams(options, 0), Arc::clone(&events));
    let (counters, _view) = counters::new(topology.shape());
    let generations = generations.remove(0);
    let ports = usize::from(options.ports());
    let mut worker = Worker::new(device, generations, fdb, counters, ports);
    let now = Now { millis: 1 };
    let mut frames = 0;
    for turn in 0..WARM_UP_TURNS + turns {
        if options.scenario == Scenario::Learn {
            worker.io_mut().release(1, BURST);
            while events.pop().is_some() {}
        }
        if turn < WARM_UP_TURNS {
            worker.turn(now);
        } else {
            frames += counted_turn(&mut worker, now);
        }
    }
    Ok(frames)
}
