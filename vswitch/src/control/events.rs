//! What happens while the switch runs, for whoever listens: `GET /v1/events`.
//!
//! The control thread [tells](Events::tell), and never waits: events go to one bounded ring, from
//! which each client reads at its own speed. A client that is slower than the ring is told how many
//! events it missed. News of MAC addresses can come by the million; beyond
//! [`MAC_EVENTS_PER_SECOND`] they are only counted, so that neither the switch nor the other
//! news suffers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use utoipa::ToSchema;

/// Events that wait for the slowest client.
pub const RING_LEN: usize = 4096;
/// The most events about MAC addresses in a second.
pub const MAC_EVENTS_PER_SECOND: u32 = 2000;

/// One event. Its number is the `id` of the server-sent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Counts the events since the start of the switch; a gap in it is what was missed.
    pub sequence: u64,
    /// When it happened, in milliseconds since 1970 (UTC).
    pub unix_millis: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened; `kind` is the `event` of the server-sent event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Happening {
    /// A MAC address was heard for the first time.
    MacLearned {
        /// Name of the network.
        network: String,
        /// The MAC address.
        mac: String,
        /// Where it is.
        #[serde(flatten)]
        at: Whereabouts,
    },
    /// A MAC address was heard at another place.
    MacMoved {
        /// Name of the network.
        network: String,
        /// The MAC address.
        mac: String,
        /// Where it is now.
        #[serde(flatten)]
        at: Whereabouts,
        /// Where it was.
        from: Whereabouts,
    },
    /// A MAC address was not heard for so long that it was forgotten.
    MacAged {
        /// Name of the network.
        network: String,
        /// The MAC address.
        mac: String,
        /// Where it was.
        #[serde(flatten)]
        at: Whereabouts,
    },
    /// A MAC address was heard and not learned, as the table is full.
    MacRefused {
        /// Name of the network.
        network: String,
        /// The MAC address.
        mac: String,
        /// Where it is.
        #[serde(flatten)]
        at: Whereabouts,
    },
    /// A port has a carrier.
    PortUp {
        /// Name of the port.
        port: String,
    },
    /// A port has lost its carrier.
    PortDown {
        /// Name of the port.
        port: String,
    },
    /// Another configuration is active.
    ConfigurationApplied {
        /// Its generation.
        generation: u64,
        /// How long it may wait for its confirmation, if it needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        confirm_within_secs: Option<u64>,
    },
    /// The active configuration stays.
    ConfigurationConfirmed {
        /// Its generation.
        generation: u64,
    },
    /// The former configuration is active again.
    ConfigurationRolledBack {
        /// The generation that is active now.
        generation: u64,
        /// Why.
        reason: RollBackReason,
    },
}

/// Where a station is: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whereabouts {
    /// Name of the port, if it is on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub port: Option<String>,
    /// Address of the remote VTEP, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub remote_vtep: Option<String>,
}

/// Why a configuration was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollBackReason {
    /// Nobody confirmed it in time.
    Expired,
    /// Somebody asked for it.
    Asked,
    /// It could not be saved.
    NotSaved,
}

impl Happening {
    /// Its name, the `event` of the server-sent event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MacLearned { .. } => "mac-learned",
            Self::MacMoved { .. } => "mac-moved",
            Self::MacAged { .. } => "mac-aged",
            Self::MacRefused { .. } => "mac-refused",
            Self::PortUp { .. } => "port-up",
            Self::PortDown { .. } => "port-down",
            Self::ConfigurationApplied { .. } => "configuration-applied",
            Self::ConfigurationConfirmed { .. } => "configuration-confirmed",
            Self::ConfigurationRolledBack { .. } => "configuration-rolled-back",
        }
    }
}

/// Where the control thread tells what happens. Clones tell the same clients.
#[derive(Clone)]
pub struct Events(Arc<Hub>);

struct Hub {
    ring: broadcast::Sender<Arc<Event>>,
    clients: AtomicUsize,
    sequence: AtomicU64,
    budget: Mutex<Budget>,
}

/// What is left of this second's events about MAC addresses.
struct Budget {
    since: Instant,
    left: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// Nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Hub {
            ring: broadcast::channel(RING_LEN).0,
            clients: AtomicUsize::new(0),
            sequence: AtomicU64::new(0),
            budget: Mutex::new(Budget { since: Instant::now(), left: MAC_EVENTS_PER_SECOND }),
        }))
    }

    /// Tells what is rare: ports and configurations.
    pub fn tell(&self, what: Happening) {
        let sequence = self.0.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_watched() {
            self.send(sequence, what);
        }
    }

    /// Tells about a MAC address, which can happen a million times a second: `what` is asked
    /// only if somebody listens and the second's budget is not used up.
    pub fn tell_mac(&self, what: impl FnOnce() -> Happening) {
        let sequence = self.0.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_watched() && self.may_spend() {
            self.send(sequence, what());
        }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.clients.load(Ordering::Relaxed) > 0
    }

    /// How many listen.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.0.clients.load(Ordering::Relaxed)
    }

    fn may_spend(&self) -> bool {
        let mut budget = self.0.budget.lock().unwrap_or_else(PoisonError::into_inner);
        if budget.since.elapsed() >= Duration::from_secs(1) {
            *budget = Budget { since: Instant::now(), left: MAC_EVENTS_PER_SECOND };
        }
        let may = budget.left > 0;
        budget.left = budget.left.saturating_sub(1);
        may
    }

    fn send(&self, sequence: u64, what: Happening) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // The last client may just have left.
        let _ = self.0.ring.send(Arc::new(Event { sequence, unix_millis, what }));
    }

    /// Listens from now on; `last` is the last event that the client saw before, if it saw one.
    #[must_use]
    pub fn watch(&self, last: Option<u64>) -> Watch {
        self.0.clients.fetch_add(1, Ordering::Relaxed);
        let ring = self.0.ring.subscribe();
        let now = self.0.sequence.load(Ordering::Relaxed);
        // One from before a restart of the switch says nothing about this run.
        let seen = last.filter(|last| *last <= now).unwrap_or(now);
        Watch { events: self.clone(), ring, seen, waiting: None }
    }
}

/// One client's view of the events.
pub struct Watch {
    events: Events,
    ring: broadcast::Receiver<Arc<Event>>,
    /// The number of the last event that was passed on or reported as missed.
    seen: u64,
    /// Read, and to be passed on after what was missed before it is reported.
    waiting: Option<Arc<Event>>,
}

/// What a client is to be told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An event.
    Event(Arc<Event>),
    /// So many events came that were not passed on; `last` is the number of the last of them.
    Missed {
        /// How many.
        count: u64,
        /// The number of the last one.
        last: u64,
    },
    /// Nothing happened for a while.
    Quiet,
}

impl Watch {
    /// What is next, or [`News::Quiet`] after so long.
    pub async fn next(&mut self, patience: Duration) -> News {
        let event = match self.waiting.take() {
            Some(event) => event,
            None => loop {
                match tokio::time::timeout(patience, self.ring.recv()).await {
                    Ok(Ok(event)) if event.sequence > self.seen => break event,
                    // Counted already, or overrun: the next event's number tells how many.
                    Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                    // The ring cannot close while this watch holds it.
                    Ok(Err(RecvError::Closed)) | Err(_) => return self.quiet(),
                }
            },
        };
        let missed = event.sequence - self.seen - 1;
        if missed > 0 {
            let last = event.sequence - 1;
            self.seen = last;
            self.waiting = Some(event);
            return News::Missed { count: missed, last };
        }
        self.seen = event.sequence;
        News::Event(event)
    }

    fn quiet(&mut self) -> News {
        // The number first: what is told in between has a larger one, and is in the ring.
        let last = self.events.0.sequence.load(Ordering::Relaxed);
        match self.ring.try_recv() {
            Ok(event) if event.sequence > self.seen => {
                self.waiting = Some(event);
                News::Quiet
            }
            Err(TryRecvError::Empty) if last > self.seen => {
                let count = last - self.seen;
                self.seen = last;
                News::Missed { count, last }
            }
            _ => News::Quiet,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.events.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn up(port: &str) -> Happening {
        Happening::PortUp { port: port.to_owned() }
    }

    async fn event(watch: &mut Watch) -> Event {
        match watch.next(SOON).await {
            News::Event(event) => (*event).clone(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn everybody_hears_what_is_told_after_he_came() {
        let events = Events::new();
        events.tell(up("nobody hears it"));
        assert!(!events.is_watched());
        let (mut one, mut two) = (events.watch(None), events.watch(None));
        events.tell(up("a"));
        events.tell(up("b"));
        for watch in [&mut one, &mut two] {
            assert_eq!(event(watch).await.what, up("a"));
            let second = event(watch).await;
            assert_eq!((second.sequence, second.what), (3, up("b")));
            assert_eq!(watch.next(SOON).await, News::Quiet);
        }
        drop((one, two));
        assert!(!events.is_watched());
    }

    #[tokio::test]
    async fn a_slow_client_is_told_how_many_it_missed() {
        let events = Events::new();
        let mut watch = events.watch(None);
        let told = RING_LEN as u64 + 100;
        for n in 0..told {
            events.tell(up(&n.to_string()));
        }
        assert_eq!(watch.next(SOON).await, News::Missed { count: 100, last: 100 });
        for n in 100..told {
            assert_eq!(event(&mut watch).await.what, up(&n.to_string()));
        }
        assert_eq!(watch.next(SOON).await, News::Quiet);
    }

    #[tokio::test]
    async fn a_storm_of_addresses_is_counted_and_hides_nothing_else() {
        let events = Events::new();
        let mut watch = events.watch(None);
        let learned = |n: u64| Happening::MacLearned {
            network: "blue".to_owned(),
            mac: n.to_string(),
            at: Whereabouts::default(),
        };
        let (budget, storm) = (u64::from(MAC_EVENTS_PER_SECOND), 1_000_000);
        let mut asked = 0;
        for n in 0..storm {
            events.tell_mac(|| {
                asked += 1;
                learned(n)
            });
        }
        // A slow machine may spend a second's budget more than once.
        assert!((budget..storm / 10).contains(&asked), "{asked}");
        events.tell(up("a"));
        let (mut seen, mut missed) = (0, 0);
        loop {
            match watch.next(SOON).await {
                News::Event(event) if event.what == up("a") => break,
                News::Event(_) => seen += 1,
                News::Missed { count, .. } => missed += count,
                News::Quiet => panic!("the port's event is lost"),
            }
        }
        assert_eq!(seen + missed, storm);
        // The end of a storm is told without an event after it.
        for n in 0..=budget {
            events.tell_mac(|| learned(n));
        }
        let mut missed = 0;
        while missed == 0 {
            if let News::Missed { count, .. } = watch.next(SOON).await {
                missed = count;
            }
        }
    }

    #[tokio::test]
    async fn who_comes_back_is_told_what_happened_meanwhile() {
        let events = Events::new();
        for _ in 0..5 {
            events.tell(up("a"));
        }
        let mut back = events.watch(Some(2));
        assert_eq!(back.next(SOON).await, News::Missed { count: 3, last: 5 });
        let mut from_another_run = events.watch(Some(1000));
        assert_eq!(from_another_run.next(SOON).await, News::Quiet);
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let what = Happening::MacMoved {
            network: "blue".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            at: Whereabouts { port: Some("a".to_owned()), remote_vtep: None },
            from: Whereabouts { port: None, remote_vtep: Some("198.51.100.2".to_owned()) },
        };
        let event = Event { sequence: 7, unix_millis: 8, what };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "sequence": 7, "unix_millis": 8, "kind": "mac-moved", "network": "blue",
                "mac": "02:00:00:00:00:01", "port": "a", "from": {"remote_vtep": "198.51.100.2"},
            })
        );
        assert_eq!(json["kind"], event.what.name());
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}
