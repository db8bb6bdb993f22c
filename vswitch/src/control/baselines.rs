//! What the counters of an index showed before it was given to what has it now.
//!
//! A counter of a worker only ever goes up, and only the worker writes it. When an index goes to another port, network
//! or VTEP, the control thread notes what its counters show (nobody counts there at that time) and takes it off
//! whatever it reads from then on.

use hashbrown::HashMap;

use crate::datapath::verdict::DropReason;
use crate::ids::{BridgeDomain, PortId, VtepId};
use crate::metrics::counters::{CountersView, PortTotals};

/// By index; what has no entry began at zero.
#[derive(Debug, Default)]
pub struct Baselines {
    ports: HashMap<PortId, (PortTotals, Drops)>,
    networks: HashMap<BridgeDomain, (u64, Drops)>,
    vteps: HashMap<VtepId, u64>,
}

type Drops = [u64; DropReason::COUNT];

fn drops(count: impl Fn(DropReason) -> u64) -> Drops {
    let mut drops = [0; DropReason::COUNT];
    for reason in DropReason::ALL {
        drops[reason.index()] = count(*reason);
    }
    drops
}

fn totals<'a>(views: impl Iterator<Item = &'a CountersView>, port: PortId) -> PortTotals {
    views.map(|view| view.port(port)).fold(PortTotals::default(), |sum, one| PortTotals {
        receive_packets: sum.receive_packets + one.receive_packets,
        receive_bytes: sum.receive_bytes + one.receive_bytes,
        transmit_packets: sum.transmit_packets + one.transmit_packets,
        transmit_bytes: sum.transmit_bytes + one.transmit_bytes,
    })
}

impl Baselines {
    /// A port begins.
    pub fn begin_port<'a>(
        &mut self,
        port: PortId,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) {
        let of_reason = |reason| views.clone().map(|view| view.port_drops(port, reason)).sum();
        self.ports.insert(port, (totals(views.clone(), port), drops(of_reason)));
    }

    /// A network begins.
    pub fn begin_network<'a>(
        &mut self,
        domain: BridgeDomain,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) {
        let of_reason = |reason| views.clone().map(|view| view.network_drops(domain, reason)).sum();
        let replicated = views.clone().map(|view| view.replicated(domain)).sum();
        self.networks.insert(domain, (replicated, drops(of_reason)));
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
        let (now, then) = (totals(views, port), self.ports.get(&port));
        then.map_or(now, |(then, _)| PortTotals {
            receive_packets: now.receive_packets - then.receive_packets,
            receive_bytes: now.receive_bytes - then.receive_bytes,
            transmit_packets: now.transmit_packets - then.transmit_packets,
            transmit_bytes: now.transmit_bytes - then.transmit_bytes,
        })
    }

    /// What was dropped at a port for a reason.
    pub fn port_drops<'a>(
        &self,
        port: PortId,
        reason: DropReason,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> u64 {
        let then = self.ports.get(&port).map_or(0, |(_, drops)| drops[reason.index()]);
        views.map(|view| view.port_drops(port, reason)).sum::<u64>() - then
    }

    /// What was dropped of a network on its uplink for a reason.
    pub fn network_drops<'a>(
        &self,
        domain: BridgeDomain,
        reason: DropReason,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> u64 {
        let then = self.networks.get(&domain).map_or(0, |(_, drops)| drops[reason.index()]);
        views.map(|view| view.network_drops(domain, reason)).sum::<u64>() - then
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
    use crate::metrics::counters::{self, Site};

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
        for _ in 0..2 {
            count();
            let seen = baselines.port(port, views());
            assert_eq!((seen.receive_packets, seen.transmit_bytes), (1, 120));
            assert_eq!(baselines.port_drops(port, DropReason::Runt, views()), 1);
            assert_eq!(baselines.network_drops(domain, DropReason::SplitHorizon, views()), 1);
            assert_eq!(baselines.replicated(domain, views()), 7);
            assert_eq!(baselines.punted(vtep, &view), 1);
            baselines.begin_port(port, views());
            baselines.begin_network(domain, views());
            baselines.begin_vtep(vtep, &view);
        }
        assert_eq!(baselines.port(port, views()), PortTotals::default());
        assert_eq!(baselines.replicated(BridgeDomain(0), views()), 0);
    }
}
