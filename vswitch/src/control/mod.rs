//! The control thread: everything slow.
//!
//! | file | what it owns |
//! |---|---|
//! | `switch` | start-up, the control loop, the end |
//! | `devices` | started ports, the pool, host interfaces |
//! | `wiring` | which worker polls and sends by which queues |
//! | `worker_io` | a worker's surroundings, from DPDK |
//! | `change` | from one configuration to the next while workers run |
//! | `clock` | time since start |
//! | [`memory`] | how much of it a configuration needs |
//! | `pools` | packet buffers |
//! | [`captures`] | captures, and the frames that were dropped last |
//! | `baselines` | what the counters of an index showed before it was given away |
//! | [`learner`] | the FDB's one writer: learning and ageing |
//! | [`state`] | the configuration in force, on disk: what a restart comes up with |
//! | [`drops`] | frames that it drops itself |
//! | `host` | the frames to and from each host interface |
//! | [`supervisor`] | what the service manager is told |
//! | [`pulse`] | how long the control thread is busy with what |
//! | [`requests`] | what can be asked of a running switch, and the queue of requests |
//! | `running` | its answers |
//! | [`live_state`] | what workers forward by, borrowed for one question |
//! | `start_error` | why the switch does not start |
//! | `status` | the state in words: rows of the API, of `vswitch show` and of the metrics |
//! | [`rows`] | the rows themselves |
//! | [`fdb_pages`] | pages of the FDB |
//! | [`events`] | what happens, for those who listen |
//! | `exposition` | what Prometheus reads: every metric, from the switch's state |
//!
//! # Thread safety
//! One thread, the process's first, pinned to the main core by EAL, runs all of it in one
//! single-threaded tokio runtime. It alone writes the FDB and publishes generations. It shares with
//! the workers only the FDB, the generations, the counters (read-only) and bounded queues.

pub mod baselines;
pub mod captures;
#[cfg(feature = "dpdk")]
pub mod change;
#[cfg(feature = "dpdk")]
pub mod clock;
#[cfg(feature = "dpdk")]
mod devices;
pub mod drops;
pub mod events;
#[cfg(feature = "dpdk")]
pub mod exposition;
pub mod fdb_pages;
#[cfg(feature = "dpdk")]
pub mod host;
pub mod learner;
pub mod live_state;
pub mod memory;
#[cfg(feature = "dpdk")]
pub mod pools;
pub mod pulse;
pub mod requests;
pub mod rows;
#[cfg(feature = "dpdk")]
mod running;
#[cfg(feature = "dpdk")]
pub mod start_error;
pub mod state;
#[cfg(feature = "dpdk")]
pub mod status;
pub mod supervisor;
#[cfg(feature = "dpdk")]
pub mod switch;
#[cfg(feature = "dpdk")]
pub mod wiring;
#[cfg(feature = "dpdk")]
pub mod worker_io;
