//! Requests to the control loop: what can be asked of a running switch, and the queue in which
//! requests wait.
//!
//! Whoever serves requests (the API) owns no state of the switch. A request is a closure over
//! [`LiveSwitch`], which the control loop calls between two of its other duties. So a closure must
//! be short: below a millisecond, except for a change of the configuration.
//!
//! `Switch` implements [`LiveSwitch`]. The tests of the API implement it for a switch in memory.

use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};

use super::captures::Captures;
use super::events::Events;
use super::fdb_pages::{FdbFilter, FdbScan};
use super::live_state::LiveState;
use super::rows::{DropRow, NetworkRow, PortRow, Status, VtepRow, WorkerRow};
use crate::config::Config;
use crate::config::document::Document;
use crate::metrics::family::Family;
use crate::topology::plan::{Plan, Step};

/// Requests that wait for the control loop; further ones wait with their senders.
const QUEUE_LEN: usize = 16;

type Call = Box<dyn FnOnce(&mut dyn LiveSwitch) + Send>;

/// A request that waits for the control loop.
pub struct Request(Call);

impl Request {
    /// Runs the request and sends the answer.
    pub fn answer(self, switch: &mut dyn LiveSwitch) {
        (self.0)(switch);
    }
}

/// The sending end of the queue of requests. The control loop has the other end.
#[derive(Clone)]
pub struct Requests(mpsc::Sender<Request>);

/// The control loop has ended or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the switch stops")]
pub struct Stopping;

/// A queue of requests: the sending end, and the control loop's.
#[must_use]
pub fn channel() -> (Requests, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN);
    (Requests(sender), receiver)
}

impl Requests {
    /// Has the control loop call a closure, and returns what the closure returns.
    ///
    /// # Errors
    /// The switch stops.
    pub async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut dyn LiveSwitch) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let (answer, answered) = oneshot::channel();
        let request = Request(Box::new(move |switch| {
            // A client that has gone away does not want its change made either.
            if !answer.is_closed() {
                let _ = answer.send(call(switch));
            }
        }));
        self.0.send(request).await.map_err(|_| Stopping)?;
        answered.await.map_err(|_| Stopping)
    }
}

/// A running switch, as requests see it.
pub trait LiveSwitch {
    /// The generation of the configuration: one more with each change.
    fn generation(&self) -> u64;
    /// The running configuration.
    fn config(&self) -> &Config;
    /// Makes it the running configuration, whole or not at all. What it is compared with is the one
    /// that is running.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn apply(&mut self, new: Proposed, options: ApplyOptions) -> Result<Applied, ApplyError>;
    /// Keeps the configuration that waits for confirmation; returns its generation.
    ///
    /// # Errors
    /// None waits ([`ApplyError::NothingPending`]), or it cannot be stored, and waits on.
    fn confirm(&mut self) -> Result<u64, ApplyError>;
    /// Goes back to the configuration before the one that waits for confirmation; returns
    /// the generation that is then active.
    ///
    /// # Errors
    /// None waits ([`ApplyError::NothingPending`]), or why nothing was changed.
    fn roll_back(&mut self) -> Result<u64, ApplyError>;
    /// Forgets the learned MAC addresses that the filter selects; returns how many.
    fn flush(&mut self, filter: &FdbFilter) -> u64;

    /// `GET /v1/status`.
    fn status(&self) -> Status;
    /// `GET /v1/ports`.
    fn port_rows(&self) -> Vec<PortRow>;
    /// `GET /v1/networks`.
    fn network_rows(&self) -> Vec<NetworkRow>;
    /// `GET /v1/vteps`.
    fn vtep_rows(&self) -> Vec<VtepRow>;
    /// `GET /v1/workers`.
    fn worker_rows(&self) -> Vec<WorkerRow>;
    /// `GET /v1/drops`.
    fn drop_rows(&self) -> Vec<DropRow>;
    /// Goes on with a look through the FDB for `GET /v1/fdb`: a piece of it that takes well
    /// under a millisecond. Called again until the [scan](FdbScan) is complete.
    fn scan_fdb(&self, scan: &mut FdbScan);
    /// What workers forward by, borrowed.
    fn live_state(&self) -> LiveState<'_>;
    /// Where events are told.
    fn events(&self) -> Events;
    /// Captures, and the frames that were dropped last.
    fn captures(&mut self) -> &mut Captures;
    /// The longest frame that may come or leave, in bytes.
    fn longest_frame(&self) -> usize;
    /// What `GET /metrics` says.
    fn metrics(&self) -> Vec<Family>;
}

/// Another configuration, with all that can be known of it beforehand, and not on the control
/// thread.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// The configuration.
    pub config: Config,
    /// The same, as a file has it.
    pub document: Document,
    /// What is different in it from the running one.
    pub plan: Plan,
}

impl Proposed {
    /// Compares it with the running one.
    #[must_use]
    pub fn new(running: &Config, config: Config) -> Self {
        let document = Document::from(&config);
        let plan = Plan::between(running, &config);
        Self { config, document, plan }
    }
}

/// How to apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Goes back by itself unless confirmed in this time.
    pub confirm_within: Option<Duration>,
    /// It is a whole configuration, as a file has it: a restart with that file is to come up with
    /// what was changed since.
    pub is_whole_file: bool,
}

/// What was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The generation that is now active.
    pub generation: u64,
    /// What was changed.
    pub plan: Plan,
    /// When it goes back by itself, unless confirmed.
    pub confirm_before: Option<SystemTime>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApplyError {
    /// These steps need a restart.
    #[error("{} of the steps need a restart", .0.len())]
    NeedsRestart(Vec<Step>),
    /// Something that only the running switch can know forbids it: a device, a limit.
    #[error("{message}\nhelp: {help}")]
    Refused {
        /// JSON pointer into the new configuration, if one value is the cause.
        pointer: Option<String>,
        /// What is wrong.
        message: String,
        /// What would be right.
        help: String,
    },
    /// It cannot be stored.
    #[error("{message}\nhelp: {help}")]
    Storage {
        /// What went wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// An earlier change waits to be confirmed or rolled back.
    #[error("an earlier change waits to be confirmed or rolled back")]
    AwaitsConfirmation,
    /// No change waits to be confirmed.
    #[error("no change waits to be confirmed")]
    NothingPending,
}
