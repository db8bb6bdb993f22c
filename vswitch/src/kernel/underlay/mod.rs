//! The mirror of the kernel's routes and neighbours: where each tunnel's next hop is.
//!
//! The switch has no IP stack of its own. For each remote VTEP this module asks the kernel which
//! way it would send (`RTM_GETROUTE`, with the VTEP's address as source, so that policy rules
//! count) and which MAC address the next hop has, and says what changed. Frames of tenants never
//! pass through the kernel's neighbour code, so nothing there would notice that they need a next
//! hop: this module also asks the kernel to resolve it, and to verify it again and again.
//!
//! Owned by the control thread, which awaits [`Underlay::next_change`]. No task, no thread and no
//! lock of its own. Cost: a pass over all remotes holds the thread for about 13 µs per remote
//! (13 ms for 1,010 remotes with 251 next hops, on a 2-core virtual machine), and runs after a
//! change of routes and every five seconds. Verification sends at most 150 requests per second, and
//! each costs three questions to the kernel.
//!
//! # Notifications are hints
//!
//! What is believed is always the kernel's answer to a question, never a notification: those only
//! say what to ask again. So a notification that is lost, late, doubled or unreadable costs time,
//! never truth; and the order between two sockets does not matter. If the kernel says that it lost
//! some (`ENOBUFS`), and every five seconds anyway, everything is asked again.
//!
//! # How fast
//!
//! A changed route or a neighbour that announces its new MAC: a few milliseconds, the debounce
//! (`DEBOUNCE`) and a pass. A neighbour whose MAC changes silently: each next hop is verified every
//! 500 ms (`pace.rs`); it does not answer at its old MAC, is asked by broadcast 200 ms later
//! ([`NEIGHBOUR_PARAMETERS`](super::host_interface::NEIGHBOUR_PARAMETERS)), and answers: 0.7 s at
//! the most. At most 150 are verified per second: with N next hops (gateways, and remotes on the
//! link), N > 75, it takes N / 150 + 0.2 s, a second with 120.
//!
//! Verification sets the neighbour's state to PROBE, which is the kernel's own way from "perhaps
//! stale" to "asking". `NTF_MANAGED` (Linux 5.16) would let the kernel do it, at a rate that grows
//! with the neighbours and without a bound.

mod monitor;
mod next_hop;
mod pace;
mod queries;

pub use self::next_hop::{LocalVtep, NextHop, UnresolvedReason};

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use self::monitor::{Hint, Monitor};
use self::pace::{Pace, Wish};
use self::queries::{Hop, KernelQueries, Neighbour, Path};
use crate::ids::RemoteId;

/// From the first hint to the pass: what belongs to one change mostly arrives together.
const DEBOUNCE: Duration = Duration::from_millis(3);

/// A second pass so long after a hint: the kernel announces that an interface goes down before it
/// has removed the routes over it, and announces those not at all.
const SETTLE: Duration = Duration::from_millis(100);

/// Everything is asked again this often, should a notification ever be missing.
const RESYNC: Duration = Duration::from_secs(5);

/// A pass rests four times as long as the last one took: a storm of route changes gets at most a
/// fifth of the control thread.
const REST_FACTOR: u32 = 4;

/// Why the mirror cannot work.
#[derive(Debug, thiserror::Error)]
pub enum UnderlayError {
    /// No netlink socket.
    #[error("cannot open a netlink socket for the underlay's routes and neighbours: {0}")]
    Open(#[source] io::Error),
    /// The socket for notifications stopped working.
    #[error("cannot read the kernel's notifications of routes and neighbours: {0}")]
    Monitor(#[source] io::Error),
}

/// One remote VTEP and what is known of the way to it.
#[derive(Debug)]
struct Remote {
    id: RemoteId,
    /// `None` until the kernel was asked.
    path: Option<Path>,
    told: Option<NextHop>,
}

/// The mirror. See the module's header.
pub struct Underlay {
    queries: KernelQueries,
    monitor: Monitor,
    vteps: Vec<LocalVtep>,
    remotes: Vec<Remote>,
    /// The next hops that paths lead to, and nothing else.
    hops: HashMap<Hop, Watched>,
    /// Next hops to ask the kernel about.
    doubted: HashSet<Hop>,
    pace: Pace,
    routes_at: Instant,
    settle_at: Option<Instant>,
    neighbours_at: Option<Instant>,
    asks_at: Instant,
    not_before: Instant,
    /// Whether the last pass failed, so that a failure is logged once.
    failing: bool,
    refused_asks: bool,
}

/// A next hop that a path leads to.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    neighbour: Neighbour,
    asked: Option<Instant>,
    /// It failed to answer and has not answered since.
    in_vain: bool,
}

impl Underlay {
    /// A mirror for the given remotes, in the calling thread's network namespace.
    ///
    /// A remote whose VTEP is not among `vteps` is never resolved.
    ///
    /// # Errors
    /// If the kernel gives no netlink socket.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn new(vteps: Vec<LocalVtep>, remotes: Vec<RemoteId>) -> Result<Self, UnderlayError> {
        let now = Instant::now();
        let monitor = Monitor::open().map_err(UnderlayError::Open)?;
        let queries = KernelQueries::open().map_err(UnderlayError::Open)?;
        let remotes = remotes.into_iter().map(|id| Remote { id, path: None, told: None }).collect();
        Ok(Self {
            queries,
            monitor,
            vteps,
            remotes,
            hops: HashMap::new(),
            doubted: HashSet::new(),
            pace: Pace::new(now),
            routes_at: now,
            settle_at: None,
            neighbours_at: None,
            asks_at: now,
            not_before: now,
            failing: false,
            refused_asks: false,
        })
    }

    /// Mirrors other remotes from now on. What is known of those that stay is kept.
    pub fn change(&mut self, vteps: Vec<LocalVtep>, remotes: Vec<RemoteId>) {
        if vteps == self.vteps
            && self.remotes.iter().map(|remote| remote.id).eq(remotes.iter().copied())
        {
            // Most changes are of networks: they are no reason for a pass over all remotes.
            return;
        }
        let local =
            |vteps: &[LocalVtep], id: RemoteId| vteps.iter().find(|v| v.vtep == id.vtep).copied();
        let mut known: HashMap<RemoteId, Remote> = std::mem::take(&mut self.remotes)
            .into_iter()
            .filter(|remote| local(&self.vteps, remote.id) == local(&vteps, remote.id))
            .map(|remote| (remote.id, remote))
            .collect();
        let remote = |id| known.remove(&id).unwrap_or(Remote { id, path: None, told: None });
        self.remotes = remotes.into_iter().map(remote).collect();
        self.vteps = vteps;
        self.routes_at = Instant::now();
    }

    /// Waits until something differs from what was last returned, and returns that. The first call
    /// returns every remote.
    ///
    /// Cancel-safe: what a dropped call had found, the next one returns.
    ///
    /// # Errors
    /// If the socket for notifications fails for good. A refused question is not an error: it is
    /// logged and asked again.
    pub async fn next_change(&mut self) -> Result<Vec<(RemoteId, NextHop)>, UnderlayError> {
        loop {
            self.work(Instant::now());
            let changes = self.take_changes();
            if !changes.is_empty() {
                return Ok(changes);
            }
            let deadline = self.deadline();
            tokio::select! {
                hints = self.monitor.hints() => self.note(hints.map_err(UnderlayError::Monitor)?),
                () = sleep_until(deadline) => {}
            }
        }
    }

    /// When there is work to do without a hint.
    fn deadline(&self) -> Instant {
        let mut deadline = self.routes_at.min(self.asks_at);
        for at in [self.settle_at, self.neighbours_at].into_iter().flatten() {
            deadline = deadline.min(at);
        }
        deadline
    }

    fn note(&mut self, hints: Vec<Hint>) {
        let now = Instant::now();
        for hint in hints {
            let concerned = match hint {
                Hint::Neighbour(hop) => {
                    if self.hops.contains_key(&hop) {
                        self.doubted.insert(hop);
                        self.neighbours_at.get_or_insert(now);
                    }
                    false
                }
                Hint::Route(prefix) => self.remotes.iter().any(|r| prefix.contains(&r.id.address)),
                Hint::Anything => true,
                Hint::Lost => {
                    debug!("netlink notifications were lost; asking for everything again");
                    true
                }
            };
            if concerned {
                self.routes_at = self.routes_at.min((now + DEBOUNCE).max(self.not_before));
                self.settle_at = Some((now + SETTLE).max(self.not_before));
            }
        }
    }

    /// Does what is due.
    fn work(&mut self, now: Instant) {
        if now >= self.routes_at || self.settle_at.is_some_and(|at| now >= at) {
            self.settle_at = self.settle_at.filter(|at| now < *at);
            self.routes_at = now + RESYNC;
            self.neighbours_at = None;
            let result = self.pass();
            self.report(result);
            let took = now.elapsed();
            self.not_before = now + took + took * REST_FACTOR;
            self.asks_at = now;
        } else if self.neighbours_at.is_some_and(|at| now >= at) {
            self.neighbours_at = None;
            let result = self.ask_about_doubted();
            self.report(result);
            self.asks_at = now;
        }
        if now >= self.asks_at {
            self.ask_next_hops(now);
        }
    }

    fn report(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !self.failing {
                    warn!(%error, "cannot ask the kernel for routes and neighbours; trying again");
                }
                self.failing = true;
                self.routes_at = Instant::now() + RESYNC / 10;
            }
        }
    }

    /// Asks for every remote's path, and for every next hop.
    fn pass(&mut self) -> io::Result<()> {
        let paths = self.queries.paths(&self.vteps, self.remotes.iter().map(|r| r.id))?;
        for (remote, path) in self.remotes.iter_mut().zip(paths) {
            remote.path = Some(path);
        }
        let wanted: HashSet<Hop> =
            self.remotes.iter().filter_map(|r| r.path.as_ref()?.hop()).collect();
        self.hops.retain(|hop, _| wanted.contains(hop));
        for hop in &wanted {
            self.hops.entry(*hop).or_default();
        }
        self.doubted = wanted;
        self.ask_about_doubted()
    }

    fn ask_about_doubted(&mut self) -> io::Result<()> {
        let doubted: Vec<Hop> = self.doubted.drain().collect();
        let neighbours = match self.queries.neighbours(&doubted) {
            Ok(neighbours) => neighbours,
            Err(error) => {
                self.doubted.extend(doubted);
                return Err(error);
            }
        };
        for (hop, neighbour) in doubted.into_iter().zip(neighbours) {
            if let Some(watched) = self.hops.get_mut(&hop) {
                let before = std::mem::replace(&mut watched.neighbour, neighbour);
                match neighbour {
                    // Somebody removed it: ask at once.
                    Neighbour::Absent if matches!(before, Neighbour::Known { .. }) => {
                        watched.asked = None;
                    }
                    Neighbour::Failed => watched.in_vain = true,
                    Neighbour::Known { .. } => watched.in_vain = false,
                    Neighbour::Absent | Neighbour::Pending => {}
                }
            }
        }
        Ok(())
    }

    /// Asks the kernel to resolve or to verify the next hops whose turn it is.
    fn ask_next_hops(&mut self, now: Instant) {
        let wishes = self.hops.iter().filter_map(|(hop, watched)| {
            let wish = match watched.neighbour {
                Neighbour::Known { verify: true, .. } => Wish::Verify { asked: watched.asked },
                Neighbour::Absent | Neighbour::Failed => Wish::Resolve { asked: watched.asked },
                Neighbour::Known { .. } | Neighbour::Pending => return None,
            };
            Some((*hop, wish))
        });
        let turn = self.pace.turn(now, wishes);
        self.asks_at = turn.next;
        for (hop, _) in &turn.now {
            if let Some(watched) = self.hops.get_mut(hop) {
                watched.asked = Some(now);
            }
        }
        if turn.now.is_empty() {
            return;
        }
        match self.queries.ask_next_hops(&turn.now) {
            Ok(()) => self.refused_asks = false,
            Err(error) => {
                if !self.refused_asks {
                    warn!(
                        %error,
                        "the kernel refuses to ask for a next hop (more neighbours than \
                         net.ipv4.neigh.default.gc_thresh3?)"
                    );
                }
                self.refused_asks = true;
            }
        }
    }

    /// What differs from what was last told. From here to the caller nothing can be cancelled.
    fn take_changes(&mut self) -> Vec<(RemoteId, NextHop)> {
        let mut changes = Vec::new();
        for remote in &mut self.remotes {
            let Some(path) = &remote.path else { continue };
            let next_hop = next_hop(path, &self.hops);
            if remote.told.as_ref() != Some(&next_hop) {
                remote.told = Some(next_hop.clone());
                changes.push((remote.id, next_hop));
            }
        }
        changes
    }
}

fn next_hop(path: &Path, hops: &HashMap<Hop, Watched>) -> NextHop {
    let (hop, gateway) = match path {
        Path::Nowhere(reason) => {
            return NextHop::Unresolved { gateway: None, reason: reason.clone() };
        }
        Path::Hop { hop, gateway } => (hop, *gateway),
    };
    let watched = hops.get(hop).copied().unwrap_or_default();
    match watched.neighbour {
        Neighbour::Known { mac, .. } => NextHop::Resolved { mac, gateway },
        // A next hop that does not answer is asked for again and again; that is no news.
        _ if watched.in_vain => {
            NextHop::Unresolved { gateway, reason: UnresolvedReason::NeighbourFailed }
        }
        _ => NextHop::Unresolved { gateway, reason: UnresolvedReason::NeighbourPending },
    }
}
