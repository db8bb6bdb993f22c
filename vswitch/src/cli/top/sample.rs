//! Samples: the counters of a running switch at one time.

use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::cli::client::{Client, ClientError};
use crate::control::rows::{DropRow, NetworkRow, PortRow, Status, WorkerRow};

/// Rows of the API, and when the answer came.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    pub at: Instant,
    pub rows: Vec<T>,
}

/// Answers of the switch, one after another.
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
    /// Asks the switch.
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

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::rows::{Link, MemberRow, Role};

    /// A switch after `steps` seconds, in each of which port a received 1,000 frames of 100 bytes.
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
            members: network
                .map(|name| MemberRow { network: name.to_owned() })
                .into_iter()
                .collect(),
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
}
