//! The workers as the control thread sees them: their cores, the queues between them and the
//! control thread, and whether they still turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{error, warn};

use super::clock::Clock;
use super::counting::Counting;
use super::wiring::Wiring;
use super::worker_io::WorkerIo;
use crate::datapath::worker::Worker;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, LaunchError};

/// A worker.
pub struct WorkerSeat {
    /// Its core.
    pub core: u32,
    /// Its core's NUMA node.
    pub numa_node: u32,
    /// Turns of its loop, as of the last second.
    turns: u64,
    /// Whether it has not finished a turn within the last second.
    pub is_stuck: bool,
}

/// All workers. Dropping this stops them and waits until they have stopped.
pub struct Workers {
    /// By number.
    pub seats: Vec<WorkerSeat>,
    /// The queues between the workers and the control thread.
    pub wiring: Wiring,
    stop: Arc<AtomicBool>,
    handles: Vec<lcore::Handle>,
}

impl Workers {
    /// None runs yet.
    #[must_use]
    pub fn new(wiring: Wiring) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        Self { seats: Vec::new(), wiring, stop, handles: Vec::new() }
    }

    /// Launches the next worker on a core.
    ///
    /// # Errors
    /// EAL does not launch it.
    pub fn launch(
        &mut self,
        eal: &Eal,
        core: u32,
        mut worker: Worker<WorkerIo>,
        clock: Clock,
    ) -> Result<(), LaunchError> {
        let stop = Arc::clone(&self.stop);
        let run = move || worker.run(&stop, move || clock.time());
        self.handles.push(lcore::launch(eal, core, run)?);
        let numa_node = eal.numa_node(core);
        self.seats.push(WorkerSeat { core, numa_node, turns: 0, is_stuck: false });
        Ok(())
    }

    /// Every second: looks which workers turn. `lagging` still read an old generation.
    pub fn watch(&mut self, counting: &Counting, lagging: &[usize]) {
        for (number, worker) in self.seats.iter_mut().enumerate() {
            let turns = counting.worker(number).turns().turns;
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
                    warn!(worker = number, core = worker.core, "the worker turns again");
                }
                _ => {}
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for handle in self.handles.drain(..) {
            handle.join();
        }
    }
}
