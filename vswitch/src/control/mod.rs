//! The control thread: everything slow.
//!
//! | file | what it owns |
//! |---|---|
//! | `event_loop` | the control loop: what is done when |
//! | `switch` | everything that the control thread owns, as parts, and the start |
//! | `reconfigure` | from one configuration to the next while workers run |
//! | `unfinished` | what is left of that until every worker has taken it up |
//! | `in_force` | the number of the configuration in force, and what waits to be confirmed |
//! | [`state`] | the configuration in force, on disk: what a restart comes up with |
//! | `devices`, `pools` | ports, packet buffers, EAL |
//! | [`memory`] | how much memory a configuration needs |
//! | `workers`, `wiring` | the workers; which of them polls and sends by which queues |
//! | `worker_io` | a worker's surroundings, from DPDK |
//! | `punt_path` | frames between workers and host interfaces |
//! | [`drops`] | frames that the control thread drops itself |
//! | [`learner`], `mac_events` | the FDB's one writer: learning and ageing; its events |
//! | `next_hops` | what the underlay mirror said last |
//! | `counting`, `offsets` | the counters of all threads; their values when an index was reused |
//! | [`captures`] | captures, and the frames that were dropped last |
//! | [`loop_timing`], `clock` | how long the control thread is busy with what; time since start |
//! | [`supervisor`] | what the service manager is told |
//! | `start_error` | why the switch does not start |
//! | [`requests`] | what can be asked of a running switch, and the queue of requests |
//! | `answers` | the answers |
//! | [`live_state`] | what workers forward by, borrowed for one question |
//! | [`rows`], `row_builder` | rows of the API, of `vswitch show` and of the metrics |
//! | [`fdb_pages`] | pages of the FDB |
//! | [`events`] | what happens, for those who listen |
//! | `exposition` | what Prometheus reads: every metric, from the switch's state |
//!
//! # Thread safety
//! One thread, the process's first, pinned to the main core by EAL, runs all of it in one
//! single-threaded tokio runtime. It alone writes the FDB and publishes generations. It shares with
//! the workers only the FDB, the generations, the counters (read-only) and bounded queues.

#[cfg(feature = "dpdk")]
mod answers;
pub mod captures;
#[cfg(feature = "dpdk")]
pub mod clock;
#[cfg(feature = "dpdk")]
pub mod counting;
#[cfg(feature = "dpdk")]
pub mod devices;
pub mod drops;
#[cfg(feature = "dpdk")]
pub mod event_loop;
pub mod events;
#[cfg(feature = "dpdk")]
pub mod exposition;
pub mod fdb_pages;
#[cfg(feature = "dpdk")]
pub mod in_force;
pub mod learner;
pub mod live_state;
pub mod loop_timing;
#[cfg(feature = "dpdk")]
mod mac_events;
pub mod memory;
#[cfg(feature = "dpdk")]
pub mod next_hops;
pub mod offsets;
#[cfg(feature = "dpdk")]
pub mod pools;
#[cfg(feature = "dpdk")]
pub mod punt_path;
#[cfg(feature = "dpdk")]
mod reconfigure;
pub mod requests;
#[cfg(feature = "dpdk")]
pub mod row_builder;
pub mod rows;
#[cfg(feature = "dpdk")]
pub mod start_error;
pub mod state;
pub mod supervisor;
#[cfg(feature = "dpdk")]
pub mod switch;
#[cfg(feature = "dpdk")]
mod unfinished;
#[cfg(feature = "dpdk")]
pub mod wiring;
#[cfg(feature = "dpdk")]
pub mod worker_io;
#[cfg(feature = "dpdk")]
pub mod workers;
