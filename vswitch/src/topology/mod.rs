//! The model of the switch: what is configured, with dense indices. Pure: no thread, no device, no
//! kernel.
//!
//! The control thread makes a [`Topology`] of the [configuration](crate::config), the next one from
//! the one before when the configuration changes, and compiles it to a
//! [generation](crate::datapath::generation) whenever the configuration, a port or a next hop
//! changes.
//!
//! | file | what |
//! |---|---|
//! | `model` | ports, networks, local and remote VTEPs by index |
//! | `dense_map` | indices that stay the same while things come and go |
//! | `inheritance` | from one topology to the next: which indices and entries stay |
//! | `compile` | from a topology to a generation |
//! | `static_entries` | the FDB's static entries |
//! | [`plan`] | the difference between two configurations in words, and what traffic feels of it |

mod compile;
mod dense_map;
pub mod inheritance;
mod model;
pub mod plan;
mod static_entries;

pub(crate) use self::compile::refresh_after_secs;
pub use self::dense_map::{DenseMap, TooMany, narrow};
pub use self::model::{Home, Member, Network, PortFacts, StaticMac, Topology, Underlay, Vtep};
