//! Rates: what was counted between two samples, by second.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use serde::Serialize;

use crate::api::dto::{DropRow, Link, NetworkRow, PortRow, Role, WorkerRow};
use crate::cli::client::{Client, ClientError};

/// What the switch said at one time.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub at: Instant,
    pub generation: Option<u64>,
    pub ports: Vec<PortRow>,
    pub networks: Vec<NetworkRow>,
    pub workers: Vec<WorkerRow>,
    pub drops: Vec<DropRow>,
}

impl Sample {
    /// Asks.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn take(client: &Client) -> Result<Self, ClientError> {
        let ports = client.get("/v1/ports")?;
        Ok(Self {
            at: Instant::now(),
            generation: ports.generation,
            ports: ports.read()?,
            networks: client.get("/v1/networks")?.read()?,
            workers: client.get("/v1/workers")?.read()?,
            drops: client.get("/v1/drops")?.read()?,
        })
    }
}

/// Between two samples: everything a second, but what is said to be otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    /// The generation of the configuration, at the end.
    pub generation: Option<u64>,
    /// How long it was, in seconds.
    pub secs: f64,
    /// Frames that were in no count, at the end: always 0.
    pub unaccounted: i64,
    pub workers: Vec<WorkerRates>,
    pub ports: Vec<PortRates>,
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
    pub turns: f64,
    pub received: f64,
    pub transmitted: f64,
    pub dropped: f64,
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
    pub drops: f64,
}

/// Frames, and bits of them without FCS, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Flow {
    pub packets: f64,
    pub bits: f64,
}

impl std::ops::AddAssign for Flow {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bits += other.bits;
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
    pub moves: f64,
    /// From its ports on this host.
    pub from_ports: Flow,
    /// To its ports on this host.
    pub to_ports: Flow,
    pub drops: f64,
}

/// See [`Rates`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DropRates {
    pub reason: String,
    pub port: String,
    pub network: String,
    /// All of them, at the end.
    pub packets: u64,
    pub rate: f64,
    pub help: String,
}

/// The rows of the first sample by what names them.
fn by<'a, T, K: Hash + Eq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, &'a T> {
    rows.iter().map(|row| (key(row), row)).collect()
}

impl Rates {
    /// From one sample to the next. What is new, or counts from 0 again since the switch was started anew, has
    /// counted from 0.
    pub fn between(before: &Sample, after: &Sample) -> Self {
        let secs = after.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = |before: Option<u64>, after: u64| {
            let before = before.filter(|before| *before <= after).unwrap_or(0);
            (after - before) as f64 / secs
        };
        let ports = ports(before, after, &rate);
        Self {
            generation: after.generation,
            secs,
            unaccounted: after.workers.iter().map(|worker| worker.unaccounted).sum(),
            workers: workers(before, after, &rate),
            networks: networks(before, after, &ports, &rate),
            ports,
            drops: drops(before, after, &rate),
        }
    }

    /// Into the switch and out of it, over all ports.
    pub fn totals(&self) -> (Flow, Flow) {
        let mut totals = (Flow::default(), Flow::default());
        for port in &self.ports {
            totals.0 += port.receive;
            totals.1 += port.transmit;
        }
        totals
    }

    /// All drops.
    pub fn dropped(&self) -> f64 {
        self.drops.iter().map(|drop| drop.rate).sum()
    }
}

fn workers(
    before: &Sample,
    after: &Sample,
    rate: &impl Fn(Option<u64>, u64) -> f64,
) -> Vec<WorkerRates> {
    let known = by(&before.workers, |row| row.worker);
    let row = |row: &WorkerRow| {
        let known = known.get(&row.worker).copied();
        let of = |field: fn(&WorkerRow) -> u64| rate(known.map(field), field(row));
        let (busy, idle) = (of(|row| row.busy_cycles), of(|row| row.idle_cycles));
        let all = busy + idle;
        WorkerRates {
            worker: row.worker,
            core: row.core,
            busy_percent: if all > 0.0 { 100.0 * busy / all } else { 0.0 },
            turns: of(|row| row.loops),
            received: of(|row| row.received),
            transmitted: of(|row| row.transmitted),
            dropped: of(|row| row.dropped),
            queues: row.queues.clone(),
        }
    };
    after.workers.iter().map(row).collect()
}

fn ports(
    before: &Sample,
    after: &Sample,
    rate: &impl Fn(Option<u64>, u64) -> f64,
) -> Vec<PortRates> {
    let known = by(&before.ports, |row| row.name.as_str());
    let row = |row: &PortRow| {
        let known = known.get(row.name.as_str()).copied();
        let of = |field: fn(&PortRow) -> u64| rate(known.map(field), field(row));
        PortRates {
            name: row.name.clone(),
            role: row.role,
            belongs_to: row.network.clone().or_else(|| row.vtep.clone()),
            link: row.link,
            receive: Flow {
                packets: of(|row| row.receive_packets),
                bits: 8.0 * of(|row| row.receive_bytes),
            },
            transmit: Flow {
                packets: of(|row| row.transmit_packets),
                bits: 8.0 * of(|row| row.transmit_bytes),
            },
            drops: of(|row| row.drops),
        }
    };
    after.ports.iter().map(row).collect()
}

fn networks(
    before: &Sample,
    after: &Sample,
    ports: &[PortRates],
    rate: &impl Fn(Option<u64>, u64) -> f64,
) -> Vec<NetworkRates> {
    let known = by(&before.networks, |row| row.name.as_str());
    let mut flows: HashMap<&str, (Flow, Flow)> = HashMap::new();
    for port in ports.iter().filter(|port| port.role == Role::Tenant) {
        let flow = flows.entry(port.belongs_to.as_deref().unwrap_or_default()).or_default();
        flow.0 += port.receive;
        flow.1 += port.transmit;
    }
    let row = |row: &NetworkRow| {
        let known = known.get(row.name.as_str()).copied();
        let of = |field: fn(&NetworkRow) -> u64| rate(known.map(field), field(row));
        let (from_ports, to_ports) = flows.get(row.name.as_str()).copied().unwrap_or_default();
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
    let mut networks: Vec<_> = after.networks.iter().map(row).collect();
    let packets = |network: &NetworkRates| network.from_ports.packets + network.to_ports.packets;
    networks.sort_by(|a, b| packets(b).total_cmp(&packets(a)));
    networks
}

fn drops(
    before: &Sample,
    after: &Sample,
    rate: &impl Fn(Option<u64>, u64) -> f64,
) -> Vec<DropRates> {
    let place = |row: &DropRow| (row.reason.clone(), row.port.clone(), row.network.clone());
    let known = by(&before.drops, place);
    let happened = after.drops.iter().filter(|row| row.packets > 0);
    let mut drops: Vec<_> = happened
        .map(|row| DropRates {
            reason: row.reason.clone(),
            port: row.port.clone(),
            network: row.network.clone(),
            packets: row.packets,
            rate: rate(known.get(&place(row)).map(|row| row.packets), row.packets),
            help: row.help.clone(),
        })
        .collect();
    drops.sort_by(|a, b| b.rate.total_cmp(&a.rate).then(b.packets.cmp(&a.packets)));
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
        Sample {
            at: started + Duration::from_secs(steps),
            generation: Some(3),
            ports: vec![
                port("uplink", Role::Uplink, None, 0),
                port("a", Role::Tenant, Some("blue"), 1000 * steps),
            ],
            networks: vec![network("red", 200), network("blue", 100)],
            workers: vec![WorkerRow {
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
            drops: vec![drop("long_ago", 7), drop("runt", 5 * steps), drop("never", 0)],
        }
    }

    #[test]
    fn rates_are_differences_by_second() {
        let started = Instant::now();
        let rates = Rates::between(&sample(started, 1), &sample(started, 3));
        assert_eq!((rates.secs, rates.generation), (2.0, Some(3)));
        let flow = Flow { packets: 1000.0, bits: 800_000.0 };
        assert_eq!(rates.ports[1].receive, flow);
        assert_eq!(rates.totals(), (flow, Flow::default()));
        let worker = &rates.workers[0];
        assert_eq!((worker.busy_percent, worker.turns, worker.dropped), (25.0, 10.0, 1000.0));
        // The network with traffic comes first, and has that of its ports.
        assert_eq!((&*rates.networks[0].name, rates.networks[0].from_ports), ("blue", flow));
        assert_eq!(rates.networks[0].moves, 1.0);
        let drops: Vec<_> = rates.drops.iter().map(|d| (&*d.reason, d.rate, d.packets)).collect();
        assert_eq!(drops, [("runt", 5.0, 15), ("long_ago", 0.0, 7)]);
        assert_eq!(rates.dropped(), 5.0);
    }

    #[test]
    fn a_switch_that_was_started_anew_counts_from_nothing() {
        let started = Instant::now();
        let mut anew = sample(started, 2);
        anew.at = started + Duration::from_secs(10);
        let rates = Rates::between(&sample(started, 8), &anew);
        assert_eq!(rates.ports[1].receive.packets, 1000.0);
        let mut without = sample(started, 1);
        without.ports.clear();
        let rates = Rates::between(&without, &sample(started, 2));
        assert_eq!(rates.ports[1].receive.packets, 2000.0, "a port that is new");
    }
}
