//! The state that workers forward by, borrowed from its owner for one question.

use crate::datapath::generation::Generation;
use crate::datapath::now::Now;
use crate::ids::TunnelId;
use crate::table::Table;
use crate::topology::{PortFacts, Topology};

/// What decides about a frame now. `Switch` and the simulation both offer it.
#[derive(Clone, Copy)]
pub struct LiveState<'a> {
    /// Names and configuration.
    pub topology: &'a Topology,
    /// The newest generation.
    pub generation: &'a Generation,
    /// The FDB as workers see it.
    pub fdb: &'a Table,
    /// Whether the FDB has no room for another address.
    pub fdb_is_full: bool,
    /// MACs and MTUs of the ports.
    pub facts: &'a [PortFacts],
    /// The source of the reasons why next hops are not known.
    pub next_hops: &'a dyn WhyUnresolved,
    /// The time.
    pub now: Now,
}

/// Knows why next hops are not known.
pub trait WhyUnresolved {
    /// Why the next hop of a tunnel is not known, for people; `None` if it is known.
    fn why_unresolved(&self, tunnel: TunnelId) -> Option<String>;
}
