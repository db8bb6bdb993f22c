//! Counter offsets: the value that a counter had when its index was given to a new thing.
//!
//! A worker's counter only goes up, and only the worker writes it. When an index goes to another
//! port, network or VTEP, the control thread notes the counter's value, which no thread changes at
//! that time, and subtracts it from every later reading.
//!
//! Drops are reported by port and network. They start at zero, too, when a port moves to another
//! network or a network to another uplink, because earlier drops belong to the former pair. Drops
//! between the note and the moment when workers take up the change, some microseconds later, count
//! for the new pair.

use hashbrown::HashMap;

use crate::ids::{NetworkId, PortId, VtepId};
use crate::metrics::counters::{CountersView, PortTotals, Site};
use crate::metrics::drop_reason::DropReason;
use crate::topology::{Role, Topology};

/// By index; what has no entry began at zero.
#[derive(Debug, Default)]
pub struct CounterOffsets {
    /// What each thread's counters showed, in the order of the views.
    ports: HashMap<PortId, (Vec<PortTotals>, Drops)>,
    /// What the counters of each site showed when it got the port and network that it has now.
    sites: HashMap<Site, Drops>,
    replicated: HashMap<NetworkId, u64>,
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

impl CounterOffsets {
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
        self.ports.insert(port, (totals, drops(views.clone(), Site::port(port))));
        self.begin_site(Site::port(port), views);
    }

    /// A network begins.
    pub fn begin_network<'a>(
        &mut self,
        domain: NetworkId,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) {
        let replicated = views.clone().map(|view| view.replicated(domain)).sum();
        self.replicated.insert(domain, replicated);
        self.begin_site(Site::network(domain), views);
        self.network_slots = self.network_slots.max(domain.index() + 1);
    }

    /// Drops at a site begin: it is a new one, or one of those that [have moved](moved_sites).
    pub fn begin_site<'a>(&mut self, site: Site, views: impl Iterator<Item = &'a CountersView>) {
        self.sites.insert(site, drops(views, site));
    }

    /// A VTEP begins. `host` are the counters of the control thread, which alone gives frames to
    /// host interfaces: what a worker counts as punted has gone to a queue.
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

    /// What was dropped at a port, in whatever network it was.
    pub fn port_drops<'a>(
        &self,
        port: PortId,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> Drops {
        since(drops(views, Site::port(port)), self.ports.get(&port).map(|(_, drops)| drops))
    }

    /// What was dropped at a site since it has the port and network that it has.
    pub fn site_drops<'a>(
        &self,
        site: Site,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> Drops {
        since(drops(views, site), self.sites.get(&site))
    }

    /// All that was dropped since start, also at what is gone by now. So it never goes back.
    pub fn all_drops<'a>(
        &self,
        ports: usize,
        views: impl Iterator<Item = &'a CountersView> + Clone,
    ) -> Drops {
        let ports = (0..).map(|index| Site::port(PortId(index))).take(ports);
        let networks = (0..).map(|index| Site::network(NetworkId(index)));
        let mut sum = [0; DropReason::COUNT];
        for site in ports.chain(networks.take(self.network_slots)) {
            add(&mut sum, &drops(views.clone(), site));
        }
        sum
    }

    /// Copies made for a network by flooding.
    pub fn replicated<'a>(
        &self,
        domain: NetworkId,
        views: impl Iterator<Item = &'a CountersView>,
    ) -> u64 {
        let then = self.replicated.get(&domain).copied().unwrap_or(0);
        views.map(|view| view.replicated(domain)).sum::<u64>() - then
    }

    /// Frames that a VTEP's host interface took; `host` as in [`begin_vtep`](Self::begin_vtep).
    pub fn tap_took(&self, vtep: VtepId, host: &CountersView) -> u64 {
        host.punted(vtep) - self.vteps.get(&vtep).copied().unwrap_or(0)
    }
}

/// The sites whose drops are told of under another port or network after a change. Those that are
/// new are not among them.
pub fn moved_sites<'t>(
    before: &'t Topology,
    after: &'t Topology,
) -> impl Iterator<Item = Site> + 't {
    let network_of = |topology: &Topology, port| match topology.role(port) {
        Role::Tenant(domain) => Some(domain),
        Role::Uplink(_) | Role::Unused => None,
    };
    let ports = after.ports().map(|(id, _)| id).filter(move |id| {
        before.port(*id).is_some() && network_of(before, *id) != network_of(after, *id)
    });
    let uplink_of = |topology: &Topology, domain| {
        Some(topology.uplink_of(topology.vtep(topology.network(domain)?.vtep?)?))
    };
    let networks = after.networks().map(|(id, _)| id).filter(move |id| {
        before.network(*id).is_some() && uplink_of(before, *id) != uplink_of(after, *id)
    });
    ports.map(Site::port).chain(networks.map(Site::network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, sample};
    use crate::metrics::counters;

    #[test]
    fn what_is_new_begins_at_zero() {
        let (counters, view) = counters::new();
        let views = || std::iter::once(&view);
        let (port, domain, vtep) = (PortId(3), NetworkId(4), VtepId(5));
        let count = || {
            counters.received(port, 1, 60);
            counters.transmitted(port, 2, 120);
            counters.dropped(Site::port(port), DropReason::Runt);
            counters.dropped(Site::network(domain), DropReason::SplitHorizon);
            counters.replicated(domain, 7);
            counters.punted(vtep);
        };
        let mut offsets = CounterOffsets::default();
        for round in 1..=2 {
            count();
            let seen = offsets.port(port, views());
            assert_eq!((seen.receive_packets, seen.transmit_bytes), (1, 120));
            assert_eq!(offsets.port_by(port, 0, &view), seen);
            assert_eq!(offsets.port_drops(port, views())[DropReason::Runt.index()], 1);
            assert_eq!(offsets.site_drops(Site::port(port), views())[DropReason::Runt.index()], 1);
            let of_network = offsets.site_drops(Site::network(domain), views());
            assert_eq!(of_network[DropReason::SplitHorizon.index()], 1);
            assert_eq!(of_network.iter().sum::<u64>(), 1);
            assert_eq!(offsets.replicated(domain, views()), 7);
            assert_eq!(offsets.tap_took(vtep, &view), 1);
            offsets.begin_port(port, views());
            offsets.begin_network(domain, views());
            offsets.begin_vtep(vtep, &view);
            let all = offsets.all_drops(8, views());
            assert_eq!(all[DropReason::Runt.index()], round, "it never goes back");
            assert_eq!(all[DropReason::SplitHorizon.index()], round);
        }
        assert_eq!(offsets.port(port, views()), PortTotals::default());
        assert_eq!(offsets.replicated(NetworkId(0), views()), 0);
    }
    fn topology(network_of_a: &str, vtep_of_blue: &str) -> config::Config {
        let mut text = sample::ports(&["up-1", "up-2", "a", "b"])
            + &sample::vtep("v-1", "up-1", 1)
            + &sample::vtep("v-2", "up-2", 2);
        for (vni, network, vtep) in [(1, "blue", vtep_of_blue), (2, "red", "v-2")] {
            let mut ports = vec![("a", network_of_a), ("b", "red")];
            ports.retain(|(_, of)| *of == network);
            let ports: Vec<_> = ports.into_iter().map(|(port, _)| port).collect();
            text += &sample::network(network, vni, &format!("vtep = \"{vtep}\""), &ports);
        }
        config::parse("test.toml", &text).unwrap_or_else(|e| panic!("{e:?}"))
    }

    #[test]
    fn drops_do_not_follow_a_port_into_another_network() {
        let (counters, view) = counters::new();
        let views = || std::iter::once(&view);
        let a = Site::port(PortId(2));
        counters.dropped(a, DropReason::Runt);
        let mut offsets = CounterOffsets::new(2);
        let before = Topology::new(topology("blue", "v-1")).unwrap();
        let after = before.next(topology("red", "v-1")).unwrap();
        let moved: Vec<_> = moved_sites(&before, &after).collect();
        assert_eq!(moved, [a]);
        moved.into_iter().for_each(|site| offsets.begin_site(site, views()));
        assert_eq!(offsets.site_drops(a, views()).iter().sum::<u64>(), 0, "none in red");
        counters.dropped(a, DropReason::Oversize);
        assert_eq!(offsets.site_drops(a, views())[DropReason::Oversize.index()], 1);
        assert_eq!(offsets.port_drops(PortId(2), views()).iter().sum::<u64>(), 2, "of the port");
    }

    #[test]
    fn what_has_another_port_or_network_has_moved_and_nothing_else() {
        let moved = |before, after| {
            let before = Topology::new(before).unwrap();
            let after = before.next(after).unwrap();
            moved_sites(&before, &after).collect::<Vec<_>>()
        };
        let whole = || topology("blue", "v-1");
        assert_eq!(moved(whole(), whole()), []);
        let blue = Site::network(NetworkId(0));
        assert_eq!(moved(whole(), topology("blue", "v-2")), [blue], "another uplink");
        let a = Site::port(PortId(2));
        assert_eq!(moved(whole(), topology("nobody's", "v-1")), [a], "it is unused now");
        assert_eq!(moved(topology("nobody's", "v-1"), whole()), [a], "it was unused");
        let mut without = whole();
        without.networks.remove(0);
        assert_eq!(moved(without, topology("", "v-1")), [], "what is new has not moved");
    }
}
