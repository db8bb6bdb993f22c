//! The model of the switch: what is configured, with dense indices. Pure: no thread, no device, no
//! kernel.
//!
//! The control thread makes the first [`Topology`] from the [configuration](crate::config), and the
//! next one from a new configuration and the topology before it. It compiles a topology to a
//! [generation](crate::datapath::generation), which workers read, and again the parts that a next
//! hop changes.
//!
//! | file | what |
//! |---|---|
//! | `model` | ports, members, underlays, VTEPs, networks and tunnels by index |
//! | `dense_map` | indices that stay the same while things come and go |
//! | `inheritance` | from one topology to the next: which indices, tunnels and learned MACs stay |
//! | `compile` | from a topology to a generation |
//! | `static_entries` | the FDB's static entries |
//! | [`plan`] | the difference between two configurations, and its impact on traffic |

mod compile;
mod dense_map;
pub mod inheritance;
mod model;
pub mod plan;
mod static_entries;

pub(crate) use self::compile::refresh_after_secs;
pub use self::dense_map::{DenseMap, TooMany, narrow};
pub use self::model::{
    Home, Member, Network, PortFacts, Role, StaticMac, Topology, Underlay, Vtep,
};
