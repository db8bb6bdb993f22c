//! The switch as it was a moment ago, the same for everybody who looks.
//!
//! However many browsers ask, and for whatever, the control loop answers at most once in the time that [`Seen`] is made
//! with. It is asked in five questions, so that with 10,000 networks it has its other duties between them; a
//! configuration that changes meanwhile is seen half by one and half by the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use crate::api::control::Control;
use crate::api::dto::{DropRow, NetworkRow, PortRow, VtepRow, WorkerRow};
use crate::api::problem::Problem;
use crate::control::captures::KeptDrop;

/// What was seen at one time. Rows are the API's own.
pub(super) struct State {
    /// When, in microseconds since the switch began to be looked at; never goes back.
    pub(super) micros: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub(super) unix_millis: u64,
    /// When it began to be looked at, in milliseconds since 1970 (UTC): another one is another run of the switch.
    pub(super) started_unix_millis: u64,
    pub(super) generation: u64,
    pub(super) ports: Vec<PortRow>,
    pub(super) networks: Vec<NetworkRow>,
    pub(super) vteps: Vec<VtepRow>,
    pub(super) workers: Vec<WorkerRow>,
    /// Without those that never happened.
    pub(super) drops: Vec<DropRow>,
    /// The frames that were dropped last, the oldest first.
    pub(super) frames: Vec<KeptDrop>,
    /// By network, what its ports received, sent and dropped since it was seen last.
    pub(super) activity: Vec<u64>,
}

/// Asks the switch, and remembers for a moment.
pub(super) struct Seen {
    control: Control,
    fresh: Duration,
    began: Instant,
    began_unix_millis: u64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    state: Option<(Instant, Arc<State>)>,
    /// By name of a network, the frames of its ports so far.
    frames: HashMap<String, u64>,
}

impl Seen {
    pub(super) fn new(control: Control, fresh: Duration) -> Self {
        let (began, began_unix_millis) = (Instant::now(), unix_millis());
        Self { control, fresh, began, began_unix_millis, last: Mutex::default() }
    }

    /// What was seen in the last moment, or is seen now. Whoever asks meanwhile waits for the same.
    ///
    /// # Errors
    /// The switch stops.
    pub(super) async fn recent(&self) -> Result<Arc<State>, Problem> {
        let mut last = self.last.lock().await;
        if let Some((at, state)) = &last.state
            && at.elapsed() < self.fresh
        {
            return Ok(Arc::clone(state));
        }
        let state = Arc::new(self.look(&mut last.frames).await?);
        last.state = Some((Instant::now(), Arc::clone(&state)));
        Ok(state)
    }

    async fn look(&self, before: &mut HashMap<String, u64>) -> Result<State, Problem> {
        let began = self.began;
        let (micros, generation, ports, workers) = self
            .control
            .ask(move |switch| {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                (micros, switch.generation(), switch.port_rows(), switch.worker_rows())
            })
            .await?;
        let networks = self.control.ask(|switch| switch.network_rows()).await?;
        let vteps = self.control.ask(|switch| switch.vtep_rows()).await?;
        let mut drops = self.control.ask(|switch| switch.drop_rows()).await?;
        drops.retain(|row| row.packets > 0);
        let frames =
            self.control.ask(|switch| switch.captures().dropped().into_iter().cloned().collect());
        let frames = frames.await?;
        let activity = activity(&ports, &networks, before);
        Ok(State {
            micros,
            unix_millis: unix_millis(),
            started_unix_millis: self.began_unix_millis,
            generation,
            ports,
            networks,
            vteps,
            workers,
            drops,
            frames,
            activity,
        })
    }
}

/// By network, how much its ports' counters and its drops went up; of one that is new, all of it.
fn activity(
    ports: &[PortRow],
    networks: &[NetworkRow],
    before: &mut HashMap<String, u64>,
) -> Vec<u64> {
    let mut now: HashMap<String, u64> =
        networks.iter().map(|network| (network.name.clone(), network.drops)).collect();
    for port in ports {
        if let Some(frames) = port.network.as_ref().and_then(|name| now.get_mut(name)) {
            *frames += port.receive_packets + port.transmit_packets;
        }
    }
    let risen = |network: &NetworkRow| {
        let frames = now.get(&network.name).copied().unwrap_or(0);
        // Less than before: another network of the same name.
        let then = before.get(&network.name).copied().filter(|then| *then <= frames);
        frames - then.unwrap_or(0)
    };
    let risen = networks.iter().map(risen).collect();
    *before = now;
    risen
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake::Fake;
    use crate::api::running::Running as _;
    use crate::config;

    #[test]
    fn activity_is_what_came_since_then() {
        let text = "[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n[[network]]\nname = \"n\"\nvni = 1\n\
                    [[network.port]]\nport = \"a\"\n[[network]]\nname = \"m\"\nvni = 2\n";
        let switch =
            Fake::new(config::parse("test.toml", text).unwrap_or_else(|e| panic!("{e:?}")));
        let (mut ports, mut networks) = (switch.port_rows(), switch.network_rows());
        let mut before = HashMap::new();
        (ports[0].receive_packets, ports[0].transmit_packets, networks[1].drops) = (5, 2, 1);
        assert_eq!(activity(&ports, &networks, &mut before), [7, 1]);
        assert_eq!(activity(&ports, &networks, &mut before), [0, 0]);
        ports[0].receive_packets += 4;
        networks[0].drops += 1;
        assert_eq!(activity(&ports, &networks, &mut before), [5, 0]);
        // Another network of this name.
        ports[0].receive_packets = 3;
        assert_eq!(activity(&ports, &networks, &mut before), [6, 0]);
    }
}
