//! Rates per second, from the counters of two samples.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use serde::Serialize;

use super::sample::Sample;
use crate::control::rows::{DropRow, Link, NetworkRow, PortRow, Role, WorkerRow};
use crate::metrics::rate::{busy_percent, per_second};

/// Events per second. `None`: unknown, because the counter went back.
pub(super) type Rate = Option<f64>;

/// The sum of two rates. An unknown rate adds nothing.
fn sum(a: Rate, b: Rate) -> Rate {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// Computes the rates of one list.
struct Meter {
    secs: f64,
    is_same_run: bool,
}

impl Meter {
    /// The rate of a counter. A new counter began at 0, and so did all counters if the switch was
    /// restarted. A sum goes back when it loses a part, such as a port that leaves its network.
    fn rate(&self, before: Option<u64>, after: u64) -> Rate {
        self.increase(before, after).map(|more| per_second(more, self.secs))
    }

    fn increase(&self, before: Option<u64>, after: u64) -> Option<u64> {
        after.checked_sub(before.filter(|_| self.is_same_run).unwrap_or(0))
    }
}

/// What happened between two samples, per second unless stated otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    /// The host that the switch runs on.
    pub host: String,
    /// The generation of the configuration at the end.
    pub generation: u64,
    /// The time between the samples, in seconds.
    pub secs: f64,
    /// Unaccounted frames at the end; always 0.
    pub unaccounted: i64,
    /// All drops, also at ports and networks that were removed meanwhile.
    pub dropped: Rate,
    pub workers: Vec<WorkerRates>,
    pub ports: Vec<PortRates>,
    /// The busiest first.
    pub networks: Vec<NetworkRates>,
    /// Reasons with drops, those that have drops now first.
    pub drops: Vec<DropRates>,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WorkerRates {
    pub worker: u32,
    pub core: u32,
    /// The share of time in turns that had frames.
    pub busy_percent: f64,
    pub turns: Rate,
    pub received: Rate,
    pub transmitted: Rate,
    pub dropped: Rate,
    /// The receive queues that it polls.
    pub queues: Vec<String>,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PortRates {
    pub name: String,
    pub role: Role,
    /// Names of its networks, or of its VTEP.
    pub belongs_to: Vec<String>,
    pub link: Link,
    pub receive: Flow,
    pub transmit: Flow,
    pub drops: Rate,
}

/// Frames, and their bits without FCS, per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Flow {
    pub packets: Rate,
    pub bits: Rate,
}

impl Flow {
    /// No traffic.
    pub const NONE: Self = Self { packets: Some(0.0), bits: Some(0.0) };
}

impl std::ops::AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.packets = sum(self.packets, other.packets);
        self.bits = sum(self.bits, other.bits);
    }
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct NetworkRates {
    pub name: String,
    pub vni: u32,
    /// The number of its ports on this host.
    pub ports: usize,
    /// The number of remote VTEPs that it floods to.
    pub remote_vteps: usize,
    /// Its MACs at the end.
    pub fdb_entries: u64,
    pub moves: Rate,
    /// From its ports on this host.
    pub from_ports: Flow,
    /// To its ports on this host.
    pub to_ports: Flow,
    pub drops: Rate,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DropRates {
    pub reason: String,
    pub port: String,
    pub network: String,
    /// All drops until the end.
    pub packets: u64,
    pub rate: Rate,
    pub help: String,
}

/// The rows of the first sample by their key.
fn by<'a, T, K: Hash + Eq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, &'a T> {
    rows.iter().map(|row| (key(row), row)).collect()
}

impl Rates {
    /// From one sample to the next.
    pub fn between(before: &Sample, after: &Sample) -> Self {
        let is_same_run = before.status.started_unix_millis == after.status.started_unix_millis;
        let meter = |before: Instant, after: Instant| {
            let secs = after.saturating_duration_since(before).as_secs_f64().max(1e-3);
            Meter { secs, is_same_run }
        };
        let whole = meter(before.at, after.at);
        let ports =
            ports(&before.ports.rows, &after.ports.rows, &meter(before.ports.at, after.ports.at));
        Self {
            host: after.status.host.clone(),
            generation: after.status.generation,
            secs: whole.secs,
            unaccounted: after.status.unaccounted,
            dropped: whole.rate(Some(before.status.dropped), after.status.dropped),
            workers: workers(
                &before.workers.rows,
                &after.workers.rows,
                &meter(before.workers.at, after.workers.at),
            ),
            networks: networks(
                &before.networks.rows,
                &after.networks.rows,
                &ports,
                &meter(before.networks.at, after.networks.at),
            ),
            ports,
            drops: drops(
                &before.drops.rows,
                &after.drops.rows,
                &meter(before.drops.at, after.drops.at),
            ),
        }
    }

    /// Received and sent, over all ports.
    pub fn totals(&self) -> (Flow, Flow) {
        let mut totals = (Flow::NONE, Flow::NONE);
        for port in &self.ports {
            totals.0 += port.receive;
            totals.1 += port.transmit;
        }
        totals
    }
}

fn workers(before: &[WorkerRow], after: &[WorkerRow], meter: &Meter) -> Vec<WorkerRates> {
    let known = by(before, |row| row.worker);
    let row = |row: &WorkerRow| {
        let known = known.get(&row.worker).copied();
        let of = |field: fn(&WorkerRow) -> u64| meter.rate(known.map(field), field(row));
        let more = |field: fn(&WorkerRow) -> u64| {
            meter.increase(known.map(field), field(row)).unwrap_or(0)
        };
        WorkerRates {
            worker: row.worker,
            core: row.core,
            busy_percent: busy_percent(more(|row| row.busy_cycles), more(|row| row.idle_cycles)),
            turns: of(|row| row.loops),
            received: of(|row| row.received),
            transmitted: of(|row| row.transmitted),
            dropped: of(|row| row.dropped),
            queues: row.queues.clone(),
        }
    };
    after.iter().map(row).collect()
}

fn ports(before: &[PortRow], after: &[PortRow], meter: &Meter) -> Vec<PortRates> {
    let known = by(before, |row| row.name.as_str());
    let row = |row: &PortRow| {
        let known = known.get(row.name.as_str()).copied();
        let of = |field: fn(&PortRow) -> u64| meter.rate(known.map(field), field(row));
        let bits = |bytes: Rate| bytes.map(|bytes| 8.0 * bytes);
        PortRates {
            name: row.name.clone(),
            role: row.role,
            belongs_to: row.belongs_to(),
            link: row.link,
            receive: Flow {
                packets: of(|row| row.receive_packets),
                bits: bits(of(|row| row.receive_bytes)),
            },
            transmit: Flow {
                packets: of(|row| row.transmit_packets),
                bits: bits(of(|row| row.transmit_bytes)),
            },
            drops: of(|row| row.drops),
        }
    };
    after.iter().map(row).collect()
}

fn networks(
    before: &[NetworkRow],
    after: &[NetworkRow],
    ports: &[PortRates],
    meter: &Meter,
) -> Vec<NetworkRates> {
    let known = by(before, |row| row.name.as_str());
    let mut flows: HashMap<&str, (Flow, Flow)> = HashMap::new();
    for port in ports.iter().filter(|port| port.role == Role::Tenant) {
        for name in &port.belongs_to {
            let flow = flows.entry(name).or_insert((Flow::NONE, Flow::NONE));
            flow.0 += port.receive;
            flow.1 += port.transmit;
        }
    }
    let row = |row: &NetworkRow| {
        let known = known.get(row.name.as_str()).copied();
        let of = |field: fn(&NetworkRow) -> u64| meter.rate(known.map(field), field(row));
        let (from_ports, to_ports) =
            flows.get(row.name.as_str()).copied().unwrap_or((Flow::NONE, Flow::NONE));
        NetworkRates {
            name: row.name.clone(),
            vni: row.vni,
            ports: row.ports.len(),
            remote_vteps: row.remote_vteps.len(),
            fdb_entries: row.fdb_entries,
            moves: of(|row| row.fdb_moves),
            from_ports,
            to_ports,
            drops: of(|row| row.drops),
        }
    };
    let mut networks: Vec<_> = after.iter().map(row).collect();
    // By powers of two, so that small changes do not reorder them.
    networks.sort_by_cached_key(|network| {
        let packets = sum(network.from_ports.packets, network.to_ports.packets).unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, reason = "the exponent of a rate")]
        let busy = (1.0 + packets).log2().ceil() as i64;
        std::cmp::Reverse(busy)
    });
    networks
}

fn drops(before: &[DropRow], after: &[DropRow], meter: &Meter) -> Vec<DropRates> {
    let key = |row: &DropRow| (row.reason.clone(), row.port.clone(), row.network.clone());
    let known = by(before, key);
    let happened = after.iter().filter(|row| row.packets > 0);
    let mut drops: Vec<_> = happened
        .map(|row| DropRates {
            reason: row.reason.clone(),
            port: row.port.clone(),
            network: row.network.clone(),
            packets: row.packets,
            rate: meter.rate(known.get(&key(row)).map(|row| row.packets), row.packets),
            help: row.help.clone(),
        })
        .collect();
    // Not by rate: small changes would reorder them.
    drops.sort_by_key(|drop| std::cmp::Reverse((drop.rate > Some(0.0), drop.packets)));
    drops
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::top::sample::tests::sample;

    #[test]
    fn rates_are_differences_by_second() {
        let started = Instant::now();
        let rates = Rates::between(&sample(started, 1), &sample(started, 3));
        assert_eq!((rates.secs, rates.generation), (2.0, 3));
        let flow = Flow { packets: Some(1000.0), bits: Some(800_000.0) };
        assert_eq!(rates.ports[1].receive, flow);
        assert_eq!(rates.totals(), (flow, Flow::NONE));
        let worker = &rates.workers[0];
        assert_eq!((worker.busy_percent, worker.turns), (25.0, Some(10.0)));
        assert_eq!(worker.dropped, Some(1000.0));
        // The network with traffic comes first, and has that of its ports.
        assert_eq!((&*rates.networks[0].name, rates.networks[0].from_ports), ("blue", flow));
        assert_eq!(rates.networks[0].moves, Some(1.0));
        let drops: Vec<_> = rates.drops.iter().map(|d| (&*d.reason, d.rate, d.packets)).collect();
        assert_eq!(drops, [("runt", Some(5.0), 15), ("long_ago", Some(0.0), 7)]);
        assert_eq!(rates.dropped, Some(5.0));
    }

    #[test]
    fn a_switch_that_was_started_anew_counts_from_nothing() {
        let started = Instant::now();
        let mut anew = sample(started, 2);
        anew.ports.at = started + Duration::from_secs(10);
        anew.status.started_unix_millis += 1;
        let rates = Rates::between(&sample(started, 8), &anew);
        assert_eq!(rates.ports[1].receive.packets, Some(1000.0));
        let mut without = sample(started, 1);
        without.ports.rows.clear();
        let rates = Rates::between(&without, &sample(started, 2));
        assert_eq!(rates.ports[1].receive.packets, Some(2000.0), "a port that is new");
    }

    #[test]
    fn a_count_that_lost_a_part_says_nothing_of_now() {
        let started = Instant::now();
        let mut before = sample(started, 1);
        // A port that had a million drops then leaves the network; another had them on its uplink.
        before.networks.rows[1].drops = 1_000_000;
        before.ports.rows[0].drops = 1_000_000;
        let mut after = sample(started, 2);
        after.networks.rows[1].drops = 10;
        after.ports.rows[0].drops = 10;
        let rates = Rates::between(&before, &after);
        let blue = rates.networks.iter().find(|network| network.name == "blue");
        assert_eq!(blue.map(|blue| blue.drops), Some(None));
        assert_eq!((rates.ports[0].drops, rates.ports[1].drops), (None, Some(0.0)));
        let json = serde_json::to_value(&rates).unwrap();
        assert!(json["ports"][0]["drops"].is_null(), "{json}");
    }

    #[test]
    fn what_is_unaccounted_for_is_the_whole_switchs() {
        let started = Instant::now();
        let (before, mut after) = (sample(started, 1), sample(started, 2));
        after.status.unaccounted = 2;
        assert_eq!(after.workers.rows[0].unaccounted, 0);
        assert_eq!(Rates::between(&before, &after).unaccounted, 2);
    }

    #[test]
    fn each_list_has_its_own_time() {
        let started = Instant::now();
        let (before, mut after) = (sample(started, 1), sample(started, 3));
        after.drops.at = started + Duration::from_secs(6);
        let rates = Rates::between(&before, &after);
        assert_eq!(rates.drops[0].rate, Some(2.0), "ten in five seconds");
        assert_eq!(rates.ports[1].receive.packets, Some(1000.0), "two thousand in two");
    }
}
