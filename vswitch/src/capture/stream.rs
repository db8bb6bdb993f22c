//! The thread of a capture: takes frames from the capture's queue, and sends them to the reader as
//! pcapng.
//!
//! It is a thread, and not a task of the control thread, because writing the comments of a million
//! frames must not keep the control thread from learning. It runs on the control thread's core,
//! never on a worker's. At most `WAITING` pieces wait for the reader. Then the thread waits, its
//! queue fills up, and workers count the frames that they cannot queue. So a slow reader costs only
//! memory that was allocated at the beginning.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pcap_file::PcapError;
use tokio::sync::mpsc;

use super::comment::comment;
use super::generation_names::NameHistory;
use super::pcapng::{Packet, Writer};
use super::request::{CaptureRequest, Limits};
use crate::datapath::capture::{Capture, Phase, Record};

/// The most pieces that wait for the reader.
const WAITING: usize = 4;
/// A piece is sent when it has so many bytes, or when the queue is empty.
const PIECE: usize = 64 * 1024;
/// The time between two looks at an empty queue.
const PAUSE: Duration = Duration::from_millis(1);

/// Nanoseconds since the start of the switch.
pub type SinceStart = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What turns the indices and the time of a record into names and a date.
pub struct RecordContext {
    /// The names of the last generations.
    pub names: NameHistory,
    /// The clock of the records.
    pub since_start: SinceStart,
}

/// A capture for its reader: pieces of a file.
#[derive(Debug)]
pub struct Stream {
    /// The number of the capture.
    pub id: u64,
    /// The pieces. Dropping this ends the capture.
    pub pieces: mpsc::Receiver<Vec<u8>>,
    _reader: Arc<()>,
}

/// The state of the thread.
struct Writing {
    capture: Arc<Capture>,
    context: RecordContext,
    limits: Limits,
    pieces: mpsc::Sender<Vec<u8>>,
}

/// Starts the thread of a capture that workers will fill. `reader` is held until the stream is
/// dropped.
///
/// # Errors
/// The thread cannot be created.
pub fn begin(
    id: u64,
    capture: Arc<Capture>,
    request: &CaptureRequest,
    limits: Limits,
    context: RecordContext,
    reader: Arc<()>,
) -> io::Result<Stream> {
    let (sender, pieces) = mpsc::channel(WAITING);
    let what = request.description();
    let thread = std::thread::Builder::new().name(format!("capture-{id}"));
    thread.spawn(move || {
        let writing = Writing { capture, context, limits, pieces: sender };
        // Writing to memory does not fail.
        let _ = writing.run(&what);
        let Writing { capture, pieces, .. } = writing;
        capture.advance(Phase::Ending);
        // Ends the stream for the reader.
        drop(pieces);
        // Freeing the memory takes milliseconds. Dropping the last reference here spares the
        // control thread that time.
        while Arc::strong_count(&capture) > 1 {
            std::thread::sleep(PAUSE);
        }
    })?;
    Ok(Stream { id, pieces, _reader: reader })
}

/// The time in nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Writing {
    fn run(&self, what: &str) -> Result<(), PcapError> {
        let mut writer = Writer::new(what, self.capture.snaplen(), unix_nanos())?;
        let ends = self.limits.time.map(|time| Instant::now() + time);
        loop {
            // Read before the queue: once it is `Drained`, no worker adds to the queue.
            let phase = self.capture.phase();
            let is_empty = self.take_piece(&mut writer)?;
            if self.is_enough(&writer) || ends.is_some_and(|ends| Instant::now() >= ends) {
                self.capture.advance(Phase::Ending);
            }
            let is_over = is_empty && phase == Phase::Drained;
            if is_over {
                writer.end(self.capture.missed(), unix_nanos())?;
            }
            if !writer.is_empty() && self.pieces.blocking_send(writer.take()).is_err() {
                return Ok(());
            }
            if is_over || self.pieces.is_closed() {
                return Ok(());
            }
            if is_empty {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn is_enough(&self, writer: &Writer) -> bool {
        self.limits.count.is_some_and(|count| writer.packets() >= count)
    }

    /// Writes the queued records, up to one piece. Returns whether the queue is empty.
    fn take_piece(&self, writer: &mut Writer) -> Result<bool, PcapError> {
        // The clocks drift, so their difference is read again for each piece.
        let began = unix_nanos().saturating_sub((self.context.since_start)());
        while writer.len() < PIECE {
            let Some(record) = self.capture.next() else { return Ok(true) };
            let written = match self.is_enough(writer) {
                true => Ok(()),
                false => self.write(writer, &record, began),
            };
            self.capture.give_back(record);
            written?;
        }
        Ok(false)
    }

    fn write(&self, writer: &mut Writer, record: &Record, began: u64) -> Result<(), PcapError> {
        let names = self.context.names.get(record.generation);
        writer.packet(Packet {
            interface: (&names.port(record.port), record.point.name()),
            unix_nanos: began.saturating_add(record.nanos),
            len: record.len,
            bytes: &record.bytes,
            comment: &comment(record, &names),
        })
    }
}
