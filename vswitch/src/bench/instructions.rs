//! Turns to be counted by valgrind: a number that does not depend on time, machine or load.
//!
//! `benches/instructions.rs` runs this under callgrind, which collects in [`loop_turn`] only, or in
//! [`Device::pass_on`].

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::clock::Clock;
use super::device::{BUFFERS, Device};
use super::measure::loop_turn;
use super::scenario::{Options, Scenario};
use super::world::{World, WorldError};
use super::{arena, traffic};
use crate::control::learner::EVENT_QUEUE_LEN;
use crate::datapath::capture::Recorder;
use crate::datapath::now::Now;
use crate::datapath::vector::BURST;
use crate::datapath::worker::{Time, Worker};
use crate::metrics::counters;

/// Runs so many turns of a scenario to be counted; returns how many frames were in them. They pass
/// the pipeline, or only the devices in memory.
///
/// # Errors
/// See [`WorldError`].
pub fn run(options: &Options, devices_only: bool, turns: usize) -> Result<usize, WorldError> {
    let World { mut fdb, mut generations, .. } = World::new(options)?;
    let events = Arc::new(ArrayQueue::new(EVENT_QUEUE_LEN));
    let mut slots = arena::slots(BUFFERS);
    let device = Device::new(&mut slots, traffic::streams(options, 0), Arc::clone(&events));
    let (counters, _view) = counters::new();
    let (generations, fdb) = (generations.remove(0), fdb.remove(0));
    let ports = usize::from(options.ports());
    let (recorder, _drops) = Recorder::new(0);
    let mut worker = Worker::new(device, generations, fdb, counters, recorder, ports);
    // Always the same: the clock is read, but nothing depends on it.
    let (clock, time) = (Clock::calibrate(), Time { cycles: 0, now: Now::from_millis(1) });
    let mut frames = 0;
    for _ in 0..turns {
        if options.scenario == Scenario::Learn {
            // The control thread's part, whose cost is not the worker's.
            while events.pop().is_some() {}
            worker.io_mut().release(BURST / 2);
        }
        frames += if devices_only {
            worker.io_mut().pass_on()
        } else {
            loop_turn(&mut worker, &clock, time).0
        };
    }
    Ok(frames)
}
