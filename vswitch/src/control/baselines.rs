//! What the counters of an index showed before it was given to what has it now.
//!
//! A counter of a worker only ever goes up, and only the worker writes it. When an index goes to another port, network
//! or VTEP, the control thread notes what its counters show (nobody counts there at that time) and takes it off
//! whatever it reads from then on.

use hashbrown::HashMap;

use crate::datapath::verdict::DropReason;
use crate::ids::{BridgeDomain, PortId, VtepId};
use crate::metrics::counters::{CountersView, PortTotals, Site};

/// By index; what has no entry began at zero.
#[derive(Debug, Default)]
pub struct Baselines {
    /// What each thread's counters showed, in the order of the views.
    ports: HashMap<PortId, (Vec<PortTotals>, Drops)>,
    networks: HashMap<BridgeDomain, (u64, Drops)>,
    vteps: HashMap<VtepId, u64>,
    /// One more than the highest index that a network has had.
    network_slots: usize,
}

/// Frames dropped, by the index of the reason.
pub type Drops = [u64; DropReason::COUNT];

fn drops<'a>(views: impl Iterator<Item = &'a CountersView>, site: Site) -> Drops {
    let mut sum = [0; DropReason::COUNT];
    for view in views {
        add(&mut sum, &view.drops_at(site));
    }
    sum
}

fn add(sum: &mut Drops, more: &Drops) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

fn since(now: Drops, then: Option<&Drops>) -> Drops {
    then.map_or(now, |then| std::array::from_fn(|reason| now[reason] - then[reason]))
}

fn add_totals(sum: PortTotals, one: PortTotals) -> PortTotals {
    PortTotals {
        receive_packets: sum.receive_packets + one.receive_packets,
        receive_bytes: sum.receive_bytes + one.receive_bytes,
        transmit_packets: sum.transmit_packets + one.transmit_packets,
        transmit_bytes: sum.transmit_bytes + one.transmit_bytes,
    }
}

impl Baselines {
    /// Nothing has been given away yet; so many indices of networks are in use.
    #[must_use]
    pub fn new(network_slots: usize) -> Self {
        Self { network_slots, ..Self::default() }
    }

    /// A port begins.
    pub fn begin_port<'a>(
        &mut self,
        port: PortId,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) {
        let totals = views.clone().map(|view| view.port(port)).collect();
        self.ports.insert(port, (totals, drops(views, Site::port(port))));
    }

    /// A network begins.
    pub fn begin_network<'a>(
        &mut self,
        domain: BridgeDomain,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) {
        let replicated = views.clone().map(|view| view.replicated(domain)).sum();
        self.networks.insert(domain, (replicated, drops(views, Site::network(domain))));
        self.network_slots = self.network_slots.max(domain.index() + 1);
    }

    /// A VTEP begins. `host` are the counters of the control thread, which alone gives frames to host interfaces:
    /// what a worker counts as punted has gone to a queue.
    pub fn begin_vtep(&mut self, vtep: VtepId, host: &CountersView) {
        self.vteps.insert(vtep, host.punted(vtep));
    }

    /// What a port has seen.
    pub fn port<'a>(
        &self,
        port: PortId,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> PortTotals {
        let each = views.enumerate().map(|(number, view)| self.port_by(port, number, view));
        each.fold(PortTotals::default(), add_totals)
    }

    /// What one thread has seen of a port, with its number among the views.
    #[must_use]
    pub fn port_by(&self, port: PortId, number: usize, view: &CountersView) -> PortTotals {
        let now = view.port(port);
        let then = self.ports.get(&port).and_then(|(totals, _)| totals.get(number));
        then.map_or(now, |then| PortTotals {
            receive_packets: now.receive_packets - then.receive_packets,
            receive_bytes: now.receive_bytes - then.receive_bytes,
            transmit_packets: now.transmit_packets - then.transmit_packets,
            transmit_bytes: now.transmit_bytes - then.transmit_bytes,
        })
    }

    /// What was dropped at a port.
    pub fn port_drops<'a>(
        &self,
        port: PortId,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> Drops {
        since(drops(views, Site::port(port)), self.ports.get(&port).map(|(_, drops)| drops))
    }

    /// What was dropped of a network on its uplink.
    pub fn network_drops<'a>(
        &self,
        domain: BridgeDomain,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> Drops {
        let then = self.networks.get(&domain).map(|(_, drops)| drops);
        since(drops(views, Site::network(domain)), then)
    }

    /// All that was dropped since start, also at what is gone by now. So it never goes back.
    pub fn all_drops<'a>(
        &self,
        ports: usize,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) -> Drops {
        let ports = (0..).map(|index| Site::port(PortId(index))).take(ports);
        let networks = (0..).map(|index| Site::network(BridgeDomain(index)));
        let mut sum = [0; DropReason::COUNT];
        for site in ports.chain(networks.take(self.network_slots)) {
            add(&mut sum, &drops(views.clone(), site));
        }
        sum
    }

    /// Copies made for a network by flooding.
    pub fn replicated<'a>(
        &self,
        domain: BridgeDomain,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> u64 {
        let then = self.networks.get(&domain).map_or(0, |(replicated, _)| *replicated);
        views.map(|view| view.replicated(domain)).sum::<u64>() - then
    }

    /// Frames that a VTEP's host interface took; `host` as in [`begin_vtep`](Self::begin_vtep).
    pub fn punted(&self, vtep: VtepId, host: &CountersView) -> u64 {
        host.punted(vtep) - self.vteps.get(&vtep).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::counters;

    #[test]
    fn what_is_new_begins_at_zero() {
        let (counters, view) = counters::new();
        let views = || std::iter::once(&view);
        let (port, domain, vtep) = (PortId(3), BridgeDomain(4), VtepId(5));
        let count = || {
            counters.received(port, 1, 60);
            counters.transmitted(port, 2, 120);
            counters.dropped(Site::port(port), DropReason::Runt);
            counters.dropped(Site::network(domain), DropReason::SplitHorizon);
            counters.replicated(domain, 7);
            counters.punted(vtep);
        };
        let mut baselines = Baselines::default();
        for round in 1..=2 {
            count();
            let seen = baselines.port(port, views());
            assert_eq!((seen.receive_packets, seen.transmit_bytes), (1, 120));
            assert_eq!(baselines.port_by(port, 0, &view), seen);
            assert_eq!(baselines.port_drops(port, views())[DropReason::Runt.index()], 1);
            let of_network = baselines.network_drops(domain, views());
            assert_eq!(of_network[DropReason::SplitHorizon.index()], 1);
            assert_eq!(of_network.iter().sum::<u64>(), 1);
            assert_eq!(baselines.replicated(domain, views()), 7);
            assert_eq!(baselines.punted(vtep, &view), 1);
            baselines.begin_port(port, views());
            baselines.begin_network(domain, views());
            baselines.begin_vtep(vtep, &view);
            let all = baselines.all_drops(8, views());
            assert_eq!(all[DropReason::Runt.index()], round, "it never goes back");
            assert_eq!(all[DropReason::SplitHorizon.index()], round);
        }
        assert_eq!(baselines.port(port, views()), PortTotals::default());
        assert_eq!(baselines.replicated(BridgeDomain(0), views()), 0);
    }
}
