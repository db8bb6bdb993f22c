//! Runs a frame through the stages, and puts the explanation together.

use std::ops::Range;

use super::analysis::Analysis;
use super::answer::{Copy, Encapsulated, Exit, Explanation, Frame};
use super::config_names::ConfigNames;
use super::io::{TracedFrame, TracedIo};
use super::question::{self, Entrance, Question, Unknown};
use super::stage_log::{StageLog, TracedDrop};
use super::{describe, difference};
use crate::control::live_state::LiveState;
use crate::datapath::again::Again;
use crate::datapath::capture::Recorder;
use crate::datapath::context::{Context, Own, Shared};
use crate::datapath::io::LearnEvent;
use crate::datapath::outputs::Outputs;
use crate::datapath::packet::Packet as _;
use crate::datapath::reports::RecentReports;
use crate::datapath::tunnel::template::Written;
use crate::datapath::vector::Vector;
use crate::datapath::worker;
use crate::decode::layers;
use crate::metrics::counters::{self, Counters};

/// Explains frames. Owns the counters that the stages add to, which nobody reads.
///
/// Create it once: counters reserve memory for every possible index.
#[derive(Debug)]
pub struct Explainer {
    counters: Counters,
}

impl Default for Explainer {
    fn default() -> Self {
        Self { counters: counters::new().0 }
    }
}

/// A copy that leaves.
#[derive(Debug)]
struct TracedCopy {
    to: Exit,
    bytes: Vec<u8>,
    kept: Range<usize>,
    put: usize,
}

/// What became of a frame: decisions are explained already, bytes are not yet decoded.
#[derive(Debug)]
pub struct Trace {
    head: Explanation,
    input: Vec<u8>,
    udp_ports: Vec<u16>,
    copies: Vec<TracedCopy>,
    /// The drops, in order.
    pub dropped: Vec<TracedDrop>,
    /// The events that the control thread would get.
    pub events: Vec<LearnEvent>,
}

impl Explainer {
    /// What would become of a frame now.
    ///
    /// # Errors
    /// The question has a name that does not exist.
    pub fn explain(&self, live: LiveState<'_>, question: Question) -> Result<Trace, Unknown> {
        let names = ConfigNames(live.topology);
        let (entrance, was) = question::resolve(live, &question)?;
        let frame = question.frame;
        let mut io = match entrance {
            Entrance::Port(port) => TracedIo::receiving(port, &frame, question.rx_flags),
            Entrance::Vtep(_, uplink) => TracedIo::relaying(uplink, &frame),
        };
        let mut stage_log = StageLog::default();
        self.pass(live, &mut io, &mut stage_log);

        let udp_ports: Vec<_> = live.topology.vteps().map(|(_, vtep)| vtep.udp_port).collect();
        let layers = layers(&frame, &udp_ports);
        let analysis = Analysis {
            live,
            names,
            entrance,
            stage_log: &stage_log,
            frame: &frame,
            layers: &layers,
        };
        let head = describe::explanation(&analysis, &io, question.from, was);
        let by_port = io.transmitted.into_iter().map(|(id, p)| (Exit::Port(names.port(id)), p));
        let to_kernel = io.punted.into_iter().map(|(id, p)| (Exit::Vtep(names.vtep(id)), p));
        let copy = |(to, packet): (Exit, TracedFrame)| TracedCopy {
            to,
            bytes: packet.bytes().to_vec(),
            kept: packet.kept.clone(),
            put: packet.put,
        };
        let copies = by_port.chain(to_kernel).map(copy).collect();
        let (dropped, events) = (stage_log.dropped, io.events);
        Ok(Trace { head, input: frame, udp_ports, copies, dropped, events })
    }

    /// Runs one turn of a worker that has only this frame.
    fn pass(&self, live: LiveState<'_>, io: &mut TracedIo, stage_log: &mut StageLog) {
        let LiveState { generation, fdb, now, .. } = live;
        let (mut outputs, mut recent_reports) =
            (Outputs::new(generation.ports.len()), RecentReports::new());
        // The recorder is never begun, so no capture sees the frame; nobody reads its drops.
        let (mut recorder, _) = Recorder::new(0);
        let own = Own {
            io,
            counters: &self.counters,
            recorder: &mut recorder,
            observer: stage_log,
            recent_reports: &mut recent_reports,
        };
        let shared = Shared { generation, fdb, now };
        let (outputs, again) = (&mut outputs, &mut Again::new());
        worker::stages(&mut Context { shared, own, outputs, again }, &mut Vector::new());
    }
}

impl Trace {
    /// The whole explanation. Decodes every copy, and compares it with the frame that came.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        let Self { head, input, udp_ports, copies, .. } = self;
        let copy = |TracedCopy { to, bytes, kept, put }: TracedCopy| Copy {
            encapsulated: (put > 0).then(|| encapsulated(&bytes)).flatten(),
            differences: difference::between(&input, &bytes, &kept, put),
            frame: framed(&bytes, &udp_ports),
            to,
        };
        Explanation { copies: copies.into_iter().map(copy).collect(), ..head }
    }
}

/// A frame, decoded.
fn framed(bytes: &[u8], udp_ports: &[u16]) -> Frame {
    let layers = layers(bytes, udp_ports);
    Frame { length: bytes.len(), hex: crate::hex::text(bytes), layers }
}

/// The receiver of a frame that this switch encapsulated, from its outer headers.
fn encapsulated(bytes: &[u8]) -> Option<Encapsulated> {
    let Written { remote, vni, .. } = Written::read(bytes)?;
    let remote_vtep = std::net::Ipv4Addr::from_bits(remote).to_string();
    Some(Encapsulated { remote_vtep, vni })
}
