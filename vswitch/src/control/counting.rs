//! The counters of all threads, as the control thread reads them: together, and since the index
//! that they belong to was given to what has it now.

use super::offsets::{CounterOffsets, Drops, moved_sites};
use crate::ids::{NetworkId, PortId, VtepId};
use crate::metrics::counters::{CountersView, PortTotals, Site};
use crate::topology::Topology;

/// The counters of every worker and of the control thread.
pub struct Counting {
    /// The workers' by number, then the control thread's.
    views: Vec<CountersView>,
    offsets: CounterOffsets,
}

impl Counting {
    /// `workers` are the workers' counters by number, `control` those of the control thread.
    #[must_use]
    pub fn new(topology: &Topology, workers: Vec<CountersView>, control: CountersView) -> Self {
        let networks = topology.networks().last().map_or(0, |(last, _)| last.index() + 1);
        let mut views = workers;
        views.push(control);
        Self { views, offsets: CounterOffsets::new(networks) }
    }

    fn views(&self) -> impl Iterator<Item = &CountersView> + Clone {
        self.views.iter()
    }

    fn control(&self) -> &CountersView {
        &self.views[self.views.len() - 1]
    }

    /// The counters of one worker since the start.
    #[must_use]
    pub fn worker(&self, number: usize) -> &CountersView {
        &self.views[number]
    }

    /// Begins to count for what a change adds or moves.
    pub fn begin(&mut self, before: &Topology, next: &Topology) {
        let Self { views, offsets } = self;
        for (port, _) in next.ports_not_in(before) {
            offsets.begin_port(port, views.iter());
        }
        for (domain, _) in next.networks().filter(|(id, _)| before.network(*id).is_none()) {
            offsets.begin_network(domain, views.iter());
        }
        for site in moved_sites(before, next) {
            offsets.begin_site(site, views.iter());
        }
        for (vtep, _) in next.vteps_not_in(before) {
            offsets.begin_vtep(vtep, &views[views.len() - 1]);
        }
    }

    /// What all workers together have seen at a port.
    #[must_use]
    pub fn port(&self, port: PortId) -> PortTotals {
        self.offsets.port(port, self.views())
    }

    /// What one worker has seen at a port.
    #[must_use]
    pub fn port_by(&self, port: PortId, worker: usize) -> PortTotals {
        self.offsets.port_by(port, worker, self.worker(worker))
    }

    /// Frames that came and left no trace, over all threads: 0.
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        self.views().map(|view| view.ledger().unaccounted()).sum()
    }

    /// Copies made for a network by flooding.
    #[must_use]
    pub fn replicated(&self, domain: NetworkId) -> u64 {
        self.offsets.replicated(domain, self.views())
    }

    /// Frames that the TAP of a VTEP took.
    #[must_use]
    pub fn tap_took(&self, vtep: VtepId) -> u64 {
        self.offsets.tap_took(vtep, self.control())
    }

    /// Frames dropped at a site since it has the port and network that it has now.
    #[must_use]
    pub fn site_drops(&self, site: Site) -> Drops {
        self.offsets.site_drops(site, self.views())
    }

    /// Frames dropped at a port, in whatever network it was.
    #[must_use]
    pub fn port_drops(&self, port: PortId) -> Drops {
        self.offsets.port_drops(port, self.views())
    }

    /// Frames dropped since the start, also at what has been removed since.
    #[must_use]
    pub fn all_drops(&self) -> Drops {
        self.offsets.all_drops(Topology::MAX_PORTS, self.views())
    }
}
