//! A snapshot of the switch, the same for every browser.
//!
//! Snapshots are cached: however many browsers ask, the control loop makes at most one in the
//! period of a [`SnapshotCache`]. A snapshot takes six queries, so that a switch with 10,000
//! networks can do its other work in between. If the configuration changes meanwhile, the parts of
//! a snapshot belong to different generations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::Mutex;

use crate::api::control::Control;
use crate::api::problem::Problem;
use crate::control::captures::KeptDrop;
use crate::control::rows::{DropRow, NetworkRow, PortRow, Role, Status, VtepRow, WorkerRow};

/// The rows of the API at one time.
#[derive(Default)]
pub(super) struct Snapshot {
    /// The time in microseconds on a monotonic clock.
    pub(super) micros: u64,
    /// The time in milliseconds since 1970 (UTC).
    pub(super) unix_millis: u64,
    pub(super) status: Status,
    pub(super) ports: Vec<PortRow>,
    pub(super) networks: Vec<NetworkRow>,
    pub(super) vteps: Vec<VtepRow>,
    pub(super) workers: Vec<WorkerRow>,
    /// Only rows with drops.
    pub(super) drops: Vec<DropRow>,
    /// The last dropped frames, the oldest first.
    pub(super) frames: Vec<KeptDrop>,
    /// By network, in the order of `networks`.
    pub(super) activity: Vec<Activity>,
    /// Traffic of ports while they belonged to networks.
    pub(super) tenants: Traffic,
    /// Traffic of ports while they were uplinks.
    pub(super) uplinks: Traffic,
}

/// Frames of a network: those that its ports received and transmitted, and its drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// The frames so far.
    pub(super) frames: u64,
    /// The frames since the previous snapshot.
    pub(super) increase: u64,
}

/// Frames and bytes of several ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Traffic {
    receive_packets: u64,
    receive_bytes: u64,
    transmit_packets: u64,
    transmit_bytes: u64,
}

impl Traffic {
    fn of(port: &PortRow) -> Self {
        Self {
            receive_packets: port.receive_packets,
            receive_bytes: port.receive_bytes,
            transmit_packets: port.transmit_packets,
            transmit_bytes: port.transmit_bytes,
        }
    }

    fn combined(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            receive_packets: with(self.receive_packets, other.receive_packets),
            receive_bytes: with(self.receive_bytes, other.receive_bytes),
            transmit_packets: with(self.transmit_packets, other.transmit_packets),
            transmit_bytes: with(self.transmit_bytes, other.transmit_bytes),
        }
    }
}

/// Traffic by role of the ports. The sums never decrease, and do not jump when a port with high
/// counters changes its role: only the difference from the previous snapshot is added, to the sum
/// of the port's present role.
#[derive(Default)]
struct Sums {
    ports: HashMap<String, Traffic>,
    tenants: Traffic,
    uplinks: Traffic,
}

impl Sums {
    fn add(&mut self, ports: &[PortRow]) {
        let before = std::mem::take(&mut self.ports);
        for port in ports {
            let now = Traffic::of(port);
            // A lower counter belongs to a new port of the same name, which began at 0.
            let risen = |now: u64, then: u64| now.checked_sub(then).unwrap_or(now);
            let then = before.get(&port.name).copied().unwrap_or_default();
            let sum = match port.role {
                Role::Tenant => Some(&mut self.tenants),
                Role::Uplink => Some(&mut self.uplinks),
                Role::Unused => None,
            };
            if let Some(sum) = sum {
                *sum = sum.combined(now.combined(then, risen), |sum, more| sum + more);
            }
            self.ports.insert(port.name.clone(), now);
        }
    }
}

/// Makes snapshots, and keeps the last one for a period.
pub(super) struct SnapshotCache {
    control: Control,
    period: Duration,
    began: Instant,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    snapshot: Option<(Instant, Arc<Snapshot>)>,
    /// By name of a network, the frames of its ports and its drops.
    frames: HashMap<String, u64>,
    sums: Sums,
}

impl SnapshotCache {
    pub(super) fn new(control: Control, period: Duration) -> Self {
        Self { control, period, began: Instant::now(), last: Mutex::default() }
    }

    /// Returns the last snapshot, or a new one if that is too old. Concurrent callers wait for the
    /// same snapshot.
    ///
    /// # Errors
    /// The switch is stopping.
    pub(super) async fn recent(&self) -> Result<Arc<Snapshot>, Problem> {
        let mut last = self.last.lock().await;
        if let Some((at, snapshot)) = &last.snapshot
            && at.elapsed() < self.period
        {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(self.query(&mut last).await?);
        last.snapshot = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    async fn query(&self, last: &mut Last) -> Result<Snapshot, Problem> {
        let began = self.began;
        let status = self.control.ask(|switch| switch.status()).await?;
        let (micros, ports, workers) = self
            .control
            .ask(move |switch| {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                (micros, switch.port_rows(), switch.worker_rows())
            })
            .await?;
        let networks = self.control.ask(|switch| switch.network_rows()).await?;
        let vteps = self.control.ask(|switch| switch.vtep_rows()).await?;
        let mut drops = self.control.ask(|switch| switch.drop_rows()).await?;
        drops.retain(|row| row.packets > 0);
        let frames =
            self.control.ask(|switch| switch.captures().dropped().into_iter().cloned().collect());
        let frames = frames.await?;
        let activity = activity(&ports, &networks, &mut last.frames);
        last.sums.add(&ports);
        Ok(Snapshot {
            micros,
            unix_millis: unix_millis(),
            status,
            ports,
            networks,
            vteps,
            workers,
            drops,
            frames,
            activity,
            tenants: last.sums.tenants,
            uplinks: last.sums.uplinks,
        })
    }
}

/// Computes the activity of each network. `before` has the frames at the previous snapshot by name,
/// and receives those of this one.
fn activity(
    ports: &[PortRow],
    networks: &[NetworkRow],
    before: &mut HashMap<String, u64>,
) -> Vec<Activity> {
    let mut now: HashMap<String, u64> =
        networks.iter().map(|network| (network.name.clone(), network.drops)).collect();
    for port in ports {
        for member in &port.members {
            if let Some(frames) = now.get_mut(&member.network) {
                *frames += port.receive_packets + port.transmit_packets;
            }
        }
    }
    let of = |network: &NetworkRow| {
        let frames = now.get(&network.name).copied().unwrap_or(0);
        // A lower counter belongs to a new network of the same name, which began at 0.
        let then = before.get(&network.name).copied().filter(|then| *then <= frames);
        Activity { frames, increase: frames - then.unwrap_or(0) }
    };
    let activity = networks.iter().map(of).collect();
    *before = now;
    activity
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::rows::{Link, MemberRow};

    fn port() -> PortRow {
        PortRow {
            name: "a".to_owned(),
            device: "net_null0".to_owned(),
            driver: "net_null".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            numa_node: None,
            mtu: 1500,
            rx_queues: 1,
            tx_queues: 1,
            link: Link::Up,
            role: Role::Tenant,
            members: vec![MemberRow { network: "n".to_owned() }],
            vtep: None,
            receive_packets: 1,
            receive_bytes: 60,
            transmit_packets: 2,
            transmit_bytes: 120,
            drops: 0,
        }
    }

    fn network(name: &str, ports: &[&str]) -> NetworkRow {
        NetworkRow {
            name: name.to_owned(),
            vni: 1,
            vtep: None,
            ports: ports.iter().map(|&port| port.to_owned()).collect(),
            remote_vteps: Vec::new(),
            mac_ageing_secs: 300,
            fdb_entries: 0,
            fdb_moves: 0,
            fdb_refused: 0,
            drops: 0,
        }
    }

    #[test]
    fn traffic_counts_for_the_role_that_a_port_had() {
        let mut ports = vec![port()];
        let mut sums = Sums::default();
        ports[0].role = Role::Unused;
        ports[0].receive_packets = 1_000_000_000;
        sums.add(&ports);
        assert_eq!(sums.tenants, Traffic::default());
        ports[0].role = Role::Tenant;
        ports[0].receive_packets += 5;
        sums.add(&ports);
        assert_eq!(sums.tenants.receive_packets, 5, "not the total of the port");
        ports[0].role = Role::Uplink;
        ports[0].receive_packets += 2;
        sums.add(&ports);
        let received = (sums.tenants.receive_packets, sums.uplinks.receive_packets);
        assert_eq!(received, (5, 2), "sums never decrease");
        // A new port of the same name.
        ports[0].receive_packets = 1;
        sums.add(&ports);
        assert_eq!(sums.uplinks.receive_packets, 3);
        sums.add(&[]);
        assert_eq!(sums.uplinks.receive_packets, 3);
    }

    #[test]
    fn activity_is_the_increase_since_the_previous_snapshot() {
        let (mut ports, mut networks) = ([port()], [network("n", &["a"]), network("m", &[])]);
        let mut before = HashMap::new();
        let mut increases = |ports: &[PortRow], networks: &[NetworkRow]| {
            let activity = activity(ports, networks, &mut before);
            activity.iter().map(|activity| activity.increase).collect::<Vec<_>>()
        };
        (ports[0].receive_packets, ports[0].transmit_packets, networks[1].drops) = (5, 2, 1);
        assert_eq!(increases(&ports, &networks), [7, 1]);
        assert_eq!(increases(&ports, &networks), [0, 0]);
        ports[0].receive_packets += 4;
        networks[0].drops += 1;
        assert_eq!(increases(&ports, &networks), [5, 0]);
        // A new port of the same name.
        ports[0].receive_packets = 3;
        assert_eq!(increases(&ports, &networks), [6, 0]);
    }
}
