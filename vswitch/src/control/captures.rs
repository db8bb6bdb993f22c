//! The captures of a switch, and the frames that were dropped last.
//!
//! Owned by the control thread. The caller allocates a capture's memory before it adds the capture
//! here, and publishes the generation that includes or no longer includes it.

use std::io;
use std::sync::Arc;

use crate::capture::generation_names::{GenerationNames, NameHistory};
use crate::capture::request::{CaptureRequest, Limits};
use crate::capture::stream::{self, RecordContext, SinceStart, Stream, unix_nanos};
use crate::datapath::capture::drops::DropQueue;
use crate::datapath::capture::{Capture, DroppedFrame, MAX_CAPTURES, Missed, Phase, Watch};
use crate::metrics::drop_reason::DropReason;
use crate::topology::Topology;

/// Dropped frames that are kept of each reason: the last of the
/// [sample](crate::datapath::capture::drops).
pub const KEPT_DROPS: usize = 16;

/// Everything that is set aside of frames.
pub struct Captures {
    running: Vec<Running>,
    names: NameHistory,
    since_start: SinceStart,
    next_id: u64,
    /// Those of the VTEPs.
    udp_ports: Vec<u16>,
    /// The generation of the configuration in force.
    number: u64,
    /// Generations to be published: a capture came or went.
    is_changed: bool,
    /// Held by everybody who reads a capture.
    readers: Arc<()>,
    drops: Vec<DropQueue>,
    /// By reason, and of each by time.
    kept: Vec<Vec<KeptDrop>>,
}

/// A capture.
struct Running {
    id: u64,
    request: CaptureRequest,
    capture: Arc<Capture>,
    /// The generation without it was published: when every worker has that one, nothing more comes.
    is_unpublished: bool,
}

/// A dropped frame that is kept.
#[derive(Clone, Debug)]
pub struct KeptDrop {
    /// The frame, and why it was dropped.
    pub frame: DroppedFrame,
    /// When, in nanoseconds since 1970 (UTC).
    pub unix_nanos: u64,
    /// Name of the port; empty if the drop belongs to none.
    pub port: String,
    /// Name of the network; empty if the drop belongs to none.
    pub network: String,
}

/// A running capture, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningCapture {
    /// Its number.
    pub id: u64,
    /// What is captured, in words.
    pub what: String,
    /// What it missed so far.
    pub missed: Missed,
}

/// Why a capture did not begin.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// As many as there can be.
    #[error("{MAX_CAPTURES} captures run already")]
    TooMany,
    /// No thread.
    #[error("cannot make a thread: {0}")]
    Thread(#[from] io::Error),
}

fn udp_ports(topology: &Topology) -> Vec<u16> {
    topology.vteps().map(|(_, vtep)| vtep.udp_port).collect()
}

impl Captures {
    /// None yet. `drops` are the queues of all threads that drop frames; `number` is that of the
    /// generation.
    #[must_use]
    pub fn new(
        topology: &Topology,
        number: u64,
        drops: Vec<DropQueue>,
        since_start: SinceStart,
    ) -> Self {
        let names = NameHistory::default();
        names.put(number, GenerationNames::of(topology));
        let kept = vec![Vec::new(); DropReason::COUNT];
        Self {
            running: Vec::new(),
            names,
            since_start,
            next_id: 1,
            udp_ports: udp_ports(topology),
            number,
            is_changed: false,
            readers: Arc::default(),
            drops,
            kept,
        }
    }

    /// How many threads record.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.drops.len()
    }

    /// The generation of the configuration in force.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Another configuration is in force, or is about to be.
    pub fn configured(&mut self, number: u64, topology: &Topology) {
        self.number = number;
        self.udp_ports = udp_ports(topology);
        self.names.put(number, GenerationNames::of(topology));
    }

    /// The UDP ports of the VTEPs, on which VXLAN is to be looked for in what was dropped.
    #[must_use]
    pub fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// What a generation of this topology has of captures.
    #[must_use]
    pub fn watches(&self, topology: &Topology) -> Vec<Watch> {
        let live = self.running.iter().filter(|running| !running.is_unpublished);
        let watch = |running: &Running| {
            let selection = running.request.selection(topology)?;
            Some(Watch { selection, capture: Arc::clone(&running.capture) })
        };
        live.filter_map(watch).collect()
    }

    /// Has workers fill the queues of a capture, from the next generation on; returns its number.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn watch(
        &mut self,
        request: CaptureRequest,
        capture: Arc<Capture>,
    ) -> Result<u64, CaptureError> {
        if self.running.len() >= MAX_CAPTURES {
            return Err(CaptureError::TooMany);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.running.push(Running { id, request, capture, is_unpublished: false });
        self.is_changed = true;
        Ok(id)
    }

    /// Begins a capture with its memory, and a thread that writes what comes.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn begin(
        &mut self,
        request: CaptureRequest,
        limits: Limits,
        capture: Arc<Capture>,
    ) -> Result<Stream, CaptureError> {
        let id = self.watch(request.clone(), Arc::clone(&capture))?;
        let context =
            RecordContext { names: self.names.clone(), since_start: Arc::clone(&self.since_start) };
        let reader = Arc::clone(&self.readers);
        let stream = stream::begin(id, capture, &request, limits, context, reader);
        if stream.is_err() {
            self.running.retain(|running| running.id != id);
        }
        Ok(stream?)
    }

    /// Ends a capture; its reader gets what was captured. False if there is none with this number.
    pub fn end(&mut self, id: u64) -> bool {
        let found = self.running.iter().find(|running| running.id == id);
        found.inspect(|running| running.capture.advance(Phase::Ending)).is_some()
    }

    /// Ends all.
    pub fn end_all(&mut self) {
        self.running.iter().for_each(|running| running.capture.advance(Phase::Ending));
    }

    /// Those that run, or are not read to their end.
    #[must_use]
    pub fn rows(&self) -> Vec<RunningCapture> {
        let row = |running: &Running| RunningCapture {
            id: running.id,
            what: running.request.description(),
            missed: running.capture.missed(),
        };
        self.running.iter().map(row).collect()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether somebody reads one, if only the rest of it.
    #[must_use]
    pub fn is_read(&self) -> bool {
        Arc::strong_count(&self.readers) > 1
    }

    /// Every millisecond. `is_everywhere`: every worker has the newest generation. True: a
    /// generation is to be published, with what [`watches`](Self::watches) says then.
    #[must_use]
    pub fn look_after(&mut self, is_everywhere: bool) -> bool {
        if is_everywhere {
            self.running.retain(|running| {
                if running.is_unpublished {
                    running.capture.advance(Phase::Drained);
                }
                !running.is_unpublished
            });
        }
        for running in &mut self.running {
            if !running.is_unpublished && running.capture.phase() != Phase::Running {
                running.is_unpublished = true;
                self.is_changed = true;
            }
        }
        std::mem::take(&mut self.is_changed)
    }

    /// Every millisecond: keeps what was dropped last, by whichever thread.
    pub fn keep_drops(&mut self) {
        if self.drops.iter().all(|queue| queue.is_empty()) {
            return;
        }
        let began = unix_nanos().saturating_sub((self.since_start)());
        for queue in &self.drops {
            // No more than were there: whoever drops faster does not keep us.
            for _ in 0..queue.len() {
                let Some(frame) = queue.pop() else { break };
                let unix_nanos = began.saturating_add(frame.nanos);
                let kept = &mut self.kept[frame.reason.index()];
                // The queues of other workers have later ones, or had.
                let place = kept.partition_point(|other| other.unix_nanos <= unix_nanos);
                if kept.len() == KEPT_DROPS && place == 0 {
                    continue;
                }
                let names = self.names.get(frame.generation);
                let (port, network) = names.site(frame.site);
                let (port, network) = (port.into_owned(), network.into_owned());
                kept.insert(place, KeptDrop { frame, unix_nanos, port, network });
                if kept.len() > KEPT_DROPS {
                    kept.remove(0);
                }
            }
        }
    }

    /// The frames that were dropped last, of each reason, by time.
    #[must_use]
    pub fn dropped(&self) -> Vec<&KeptDrop> {
        let mut all: Vec<_> = self.kept.iter().flatten().collect();
        all.sort_by_key(|kept| kept.unix_nanos);
        all
    }
}
