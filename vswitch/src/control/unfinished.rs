//! What is left to do of a change until every worker has taken it up.

use crate::ids::{PortId, VtepId};
use crate::table::{Entry, Key};
use crate::topology::Topology;

/// A change that workers may not all have taken up.
pub(super) struct Unfinished {
    /// What some worker may still work by.
    pub(super) before: Topology,
    /// What was learned of stations that are in another network now.
    pub(super) moved: Vec<(Key, Entry)>,
    /// The ports to close.
    pub(super) ports: Vec<PortId>,
    /// The VTEPs whose host interfaces are to be removed.
    pub(super) vteps: Vec<VtepId>,
}

impl Unfinished {
    /// The start of the switch is a change that removes nothing.
    pub(super) fn start(topology: &Topology) -> Self {
        let (moved, ports, vteps) = (Vec::new(), Vec::new(), Vec::new());
        Self { before: topology.clone(), moved, ports, vteps }
    }
}
