//! The thread of a capture: takes frames from its queue, writes them as pcapng, and hands that to whoever reads.
//!
//! A thread, and not a task of the control thread: writing a million frames in words must not keep it
//! from learning. It runs on the control thread's core and never on a worker's. Between it and the reader are
//! `WAITING` pieces; when these are full it waits, its queue fills, and workers count what they cannot
//! take. So a reader that is slow, or stops, costs memory that was there from the start and nothing else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pcap_file::PcapError;
use tokio::sync::mpsc;

use super::names::Shelf;
use super::pcapng::{Packet, Writer};
use super::wanted::{Limits, Wanted};
use super::words::comment;
use crate::datapath::capture::{Capture, Phase, Record};

/// Pieces that wait for the reader.
const WAITING: usize = 4;
/// A piece is sent when it has so many bytes, or nothing more is there.
const PIECE: usize = 64 * 1024;
/// How often the queue is looked at when it is empty.
const PAUSE: Duration = Duration::from_millis(1);

/// Nanoseconds since the start of the switch.
pub type SinceStart = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is read of a capture: pieces of a file.
#[derive(Debug)]
pub struct Stream {
    /// The number of the capture.
    pub id: u64,
    /// The pieces. Dropping this ends the capture.
    pub pieces: mpsc::Receiver<Vec<u8>>,
    _reader: Arc<()>,
}

/// What the thread has.
struct Writing {
    capture: Arc<Capture>,
    shelf: Shelf,
    since_start: SinceStart,
    limits: Limits,
    pieces: mpsc::Sender<Vec<u8>>,
}

/// Begins to write a capture that workers will fill. `reader` is held for as long as somebody reads.
///
/// # Errors
/// No thread can be made.
pub fn begin(
    id: u64,
    capture: Arc<Capture>,
    wanted: &Wanted,
    limits: Limits,
    (shelf, since_start): (Shelf, SinceStart),
    reader: Arc<()>,
) -> io::Result<Stream> {
    let (sender, pieces) = mpsc::channel(WAITING);
    let what = wanted.words();
    let thread = std::thread::Builder::new().name(format!("capture-{id}"));
    thread.spawn(move || {
        let writing = Writing { capture, shelf, since_start, limits, pieces: sender };
        // It is memory that is written to: nothing fails.
        let _ = writing.run(&what);
        let Writing { capture, pieces, .. } = writing;
        capture.advance(Phase::Ending);
        // Nothing more comes: that is the end for whoever reads.
        drop(pieces);
        // The last to let go of the memory: to free it takes milliseconds that the control thread has not.
        while Arc::strong_count(&capture) > 1 {
            std::thread::sleep(PAUSE);
        }
    })?;
    Ok(Stream { id, pieces, _reader: reader })
}

/// Nanoseconds since 1970, of now.
pub(crate) fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

impl Writing {
    fn run(&self, what: &str) -> Result<(), PcapError> {
        let mut writer = Writer::new(what, self.capture.snaplen(), unix_nanos())?;
        let ends = self.limits.time.map(|time| Instant::now() + time);
        loop {
            // Before the queue: what is there when it was drained is all there is.
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

    /// Writes what is in the queue, up to a piece; says whether it is empty then.
    fn take_piece(&self, writer: &mut Writer) -> Result<bool, PcapError> {
        // The clocks may drift: how far they are apart is asked for each piece.
        let began = unix_nanos().saturating_sub((self.since_start)());
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
        let names = self.shelf.get(record.generation);
        writer.packet(Packet {
            interface: (&names.port(record.port), record.point.name()),
            unix_nanos: began.saturating_add(record.nanos),
            len: record.len,
            bytes: &record.bytes,
            comment: &comment(record, &names),
        })
    }
}
