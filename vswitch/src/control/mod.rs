//! The control thread: everything slow.
//!
//! | file | what it owns |
//! |---|---|
//! | `switch` | start-up, the control loop, the end |
//! | `devices` | started ports, the pool, host interfaces |
//! | `wiring` | which worker polls and sends by which queues |
//! | `worker_io` | a worker's surroundings, from DPDK |
//! | [`generations`] | from configuration and next hops to what workers read |
//! | `change` | from one configuration to the next while workers run |
//! | `clock` | time since start |
//! | [`memory`] | how much of it a configuration needs |
//! | `pools` | packet buffers |
//! | [`captures`] | captures, and the frames that were dropped last |
//! | `baselines` | what the counters of an index showed before it was given away |
//! | `slots` | indices that stay while the configuration changes |
//! | `succession` | what one configuration takes over from the one before |
//! | [`learner`] | the FDB's one writer: learning and ageing |
//! | [`plan`] | the difference between two configurations, and what traffic feels of it |
//! | [`state`] | the configuration in force, on disk: what a restart comes up with |
//! | [`underlay`] | the kernel's routes and neighbours, mirrored by netlink |
//! | [`drops`] | frames that it drops itself |
//! | [`host_interface`], `host` | a TAP per VTEP, and the frames to and from it |
//! | `quiet` | the kernel's stack, silenced on interfaces that the switch reads |
//! | [`supervisor`] | what the service manager is told |
//! | [`pulse`] | how long the control thread is busy with what |
//! | `running` | the switch as the API sees it |
//! | `status` | the state in words: rows of the API, of `vswitch show` and of the metrics |
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
pub mod generations;
#[cfg(feature = "dpdk")]
pub mod host;
pub mod host_interface;
pub mod learner;
pub mod memory;
pub mod netdev;
mod netlink;
pub mod plan;
#[cfg(feature = "dpdk")]
pub mod pools;
pub mod pulse;
#[cfg(feature = "dpdk")]
pub mod quiet;
#[cfg(feature = "dpdk")]
mod running;
pub mod slots;
pub mod state;
#[cfg(feature = "dpdk")]
pub mod status;
mod succession;
pub mod supervisor;
#[cfg(feature = "dpdk")]
pub mod switch;
pub mod underlay;
#[cfg(feature = "dpdk")]
pub mod wiring;
#[cfg(feature = "dpdk")]
pub mod worker_io;
