//! Rates: what was counted between two samples, by second.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::client::{Client, ClientError};
use crate::control::rows::{DropRow, Link, NetworkRow, PortRow, Role, Status, WorkerRow};

/// Rows, and when they were said.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    pub at: Instant,
    pub rows: Vec<T>,
}

/// What the switch said, one thing after another.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub at: Instant,
    pub status: Status,
    pub ports: Rows<PortRow>,
    pub networks: Rows<NetworkRow>,
    pub workers: Rows<WorkerRow>,
    pub drops: Rows<DropRow>,
}

impl Sample {
    /// Asks.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn take(client: &Client) -> Result<Self, ClientError> {
        fn rows<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Rows<T>, ClientError> {
            let answer = client.get(path)?;
            Ok(Rows { at: Instant::now(), rows: answer.read()? })
        }
        let status = client.get("/v1/status")?;
        Ok(Self {
            at: Instant::now(),
            status: status.read()?,
            ports: rows(client, "/v1/ports")?,
            networks: rows(client, "/v1/networks")?,
            workers: rows(client, "/v1/workers")?,
            drops: rows(client, "/v1/drops")?,
        })
    }
}

/// So much a second; `None` if it is not known, as the counter has gone back.
pub(super) type Rate = Option<f64>;

/// Two rates together. One that is not known adds nothing.
fn sum(a: Rate, b: Rate) -> Rate {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// Makes rates of one list's counters.
struct Meter {
    secs: f64,
    is_same_run: bool,
}

impl Meter {
    /// From a counter before, if it was there, to the same after. What is new has counted from 0, and so has everything
    /// once the switch was started anew. A sum that goes back lost a part of it: a port that left its network, say.
    fn rate(&self, before: Option<u64>, after: u64) -> Rate {
        let before = before.filter(|_| self.is_same_run).unwrap_or(0);
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = |more: u64| more as f64 / self.secs;
        after.checked_sub(before).map(rate)
    }
}

/// Between two samples: everything a second, but what is said to be otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    /// The host that the switch runs on.
    pub host: String,
    /// The generation of the configuration, at the end.
    pub generation: u64,
    /// How long it was, in seconds.
    pub secs: f64,
    /// Frames that were in no count, at the end: always 0.
    pub unaccounted: i64,
    /// Everything that was dropped, also at what was removed meanwhile.
    pub dropped: Rate,
    pub workers: Vec<WorkerRates>,
    pub ports: Vec<PortRates>,
    /// The busiest first.
    pub networks: Vec<NetworkRates>,
    /// Of reasons that happened at any time, those that happen now first.
    pub drops: Vec<DropRates>,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WorkerRates {
    pub worker: u32,
    pub core: u32,
    /// Of its time, in turns that had frames.
    pub busy_percent: f64,
    pub turns: Rate,
    pub received: Rate,
    pub transmitted: Rate,
    pub dropped: Rate,
    /// The receive queues it polls.
    pub queues: Vec<String>,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PortRates {
    pub name: String,
    pub role: Role,
    /// Its network, or its VTEP.
    pub belongs_to: Option<String>,
    pub link: Link,
    pub receive: Flow,
    pub transmit: Flow,
    pub drops: Rate,
}

/// Frames, and bits of them without FCS, a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Flow {
    pub packets: Rate,
    pub bits: Rate,
}

impl Flow {
    /// Nothing.
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
    /// How many ports of this host are in it.
    pub ports: usize,
    /// How many remote VTEPs it floods to.
    pub remote_vteps: usize,
    /// Known MACs, at the end.
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
    /// All of them, at the end.
    pub packets: u64,
    pub rate: Rate,
    pub help: String,
}

/// The rows of the first sample by what names them.
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

    /// Into the switch and out of it, over all ports.
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
        let cycles = (of(|row| row.busy_cycles), of(|row| row.idle_cycles));
        let busy_percent = match cycles {
            (Some(busy), Some(idle)) if busy + idle > 0.0 => 100.0 * busy / (busy + idle),
            _ => 0.0,
        };
        WorkerRates {
            worker: row.worker,
            core: row.core,
            busy_percent,
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
            belongs_to: row.network.clone().or_else(|| row.vtep.clone()),
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
        let name = port.belongs_to.as_deref().unwrap_or_default();
        let flow = flows.entry(name).or_insert((Flow::NONE, Flow::NONE));
        flow.0 += port.receive;
        flow.1 += port.transmit;
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
    // By powers of two, so that they do not change places with every small change.
    networks.sort_by_cached_key(|network| {
        let packets = sum(network.from_ports.packets, network.to_ports.packets).unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, reason = "the exponent of a rate")]
        let busy = (1.0 + packets).log2().ceil() as i64;
        std::cmp::Reverse(busy)
    });
    networks
}

fn drops(before: &[DropRow], after: &[DropRow], meter: &Meter) -> Vec<DropRates> {
    let place = |row: &DropRow| (row.reason.clone(), row.port.clone(), row.network.clone());
    let known = by(before, place);
    let happened = after.iter().filter(|row| row.packets > 0);
    let mut drops: Vec<_> = happened
        .map(|row| DropRates {
            reason: row.reason.clone(),
            port: row.port.clone(),
            network: row.network.clone(),
            packets: row.packets,
            rate: meter.rate(known.get(&place(row)).map(|row| row.packets), row.packets),
            help: row.help.clone(),
        })
        .collect();
    // Not by their rates, which differ a little from one interval to the next.
    drops.sort_by_key(|drop| std::cmp::Reverse((drop.rate > Some(0.0), drop.packets)));
    drops
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A switch after so many steps of a second, in each of which port a received 1,000 frames of 100 bytes.
    pub fn sample(started: Instant, steps: u64) -> Sample {
        let port = |name: &str, role, network: Option<&str>, received: u64| PortRow {
            name: name.to_owned(),
            device: String::new(),
            driver: String::new(),
            mac: String::new(),
            numa_node: None,
            mtu: 1500,
            rx_queues: 1,
            tx_queues: 1,
            link: Link::Up,
            role,
            network: network.map(str::to_owned),
            vtep: None,
            receive_packets: received,
            receive_bytes: received * 100,
            transmit_packets: 0,
            transmit_bytes: 0,
            drops: 0,
        };
        let network = |name: &str, vni| NetworkRow {
            name: name.to_owned(),
            vni,
            vtep: None,
            ports: vec!["a".to_owned()],
            remote_vteps: Vec::new(),
            mac_ageing_secs: 300,
            fdb_entries: 2,
            fdb_moves: steps,
            fdb_refused: 0,
            drops: 0,
        };
        let drop = |reason: &str, packets| DropRow {
            reason: reason.to_owned(),
            help: format!("{reason} is explained."),
            port: "a".to_owned(),
            network: "blue".to_owned(),
            packets,
        };
        let at = started + Duration::from_secs(steps);
        Sample {
            at,
            status: Status {
                version: "1.2.3".to_owned(),
                host: "here".to_owned(),
                generation: 3,
                started_unix_millis: 1_000,
                dropped: 7 + 5 * steps,
                unaccounted: 0,
            },
            ports: rows(
                at,
                vec![
                    port("uplink", Role::Uplink, None, 0),
                    port("a", Role::Tenant, Some("blue"), 1000 * steps),
                ],
            ),
            networks: rows(at, vec![network("red", 200), network("blue", 100)]),
            workers: rows(
                at,
                vec![WorkerRow {
                    worker: 0,
                    core: 1,
                    numa_node: None,
                    queues: vec!["a/0".to_owned()],
                    loops: 10 * steps,
                    received: 1000 * steps,
                    transmitted: 0,
                    relayed: 0,
                    replicated: 0,
                    dropped: 1000 * steps,
                    punted: 0,
                    handed_over: 0,
                    busy_cycles: 250 * steps,
                    idle_cycles: 750 * steps,
                    busy_percent: 0.0,
                    unaccounted: 0,
                    learn_events_lost: 0,
                }],
            ),
            drops: rows(at, vec![drop("long_ago", 7), drop("runt", 5 * steps), drop("never", 0)]),
        }
    }

    fn rows<T>(at: Instant, rows: Vec<T>) -> Rows<T> {
        Rows { at, rows }
    }

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
