//! Why does this frame go where it goes, or nowhere? Asked of the live state, without a side effect.
//!
//! There is no second switch in here. [`Explainer::explain`] runs the frame through the very
//! [stages](crate::datapath::worker::stages) that workers run, in their one order, over the generation and the
//! FDB that workers see, and reads off what each decides. What differs are the surroundings: a
//! packet buffer, queues and counters of its own. So nothing is sent, learned, counted or told.
//!
//! | file | what it owns |
//! |---|---|
//! | [`io`] | the queues and the packet buffer |
//! | `journey` | what each stage left of the frame |
//! | `story` | that in sentences |
//! | `cause` | for each drop reason the piece of configuration, and what would make the frame pass |
//! | `case` | what these two know of the frame |
//! | [`layers`] | frames decoded |
//! | [`difference`] | what leaves, compared with what came, byte for byte |
//! | [`answer`] | all of it as data |
//! | `names` | names and places in the configuration |
//!
//! # Who calls it, on which thread, at what cost
//! The control thread for `POST /v1/explain`, between two of its other duties; the [simulation](crate::sim) for
//! tests. A frame takes some tens of microseconds there, and a flooded one a microsecond more for each copy, and a few
//! for each that is dropped with its cause, of which
//! at most [`io::MAX_KEPT`] are kept. Decoding and comparing, which need no switch, are left to
//! [`Trace::explanation`], on whichever thread.

pub mod answer;
mod case;
mod cause;
pub mod difference;
pub mod io;
mod journey;
pub mod layers;
mod names;
mod story;

use std::ops::Range;

use crate::control::live_state::LiveState;
use crate::datapath::capture::Recorder;
use crate::datapath::context::Context;
use crate::datapath::io::LearnEvent;
use crate::datapath::outputs::Outputs;
use crate::datapath::packet::Packet as _;
use crate::datapath::reports::RecentReports;
use crate::datapath::vector::Vector;
use crate::datapath::worker;
use crate::ids::{PortId, VtepId};
use crate::metrics::counters::{self, Counters};
use crate::metrics::drop_reason::DropReason;

use answer::{Copy, Encapsulated, Exit, Explanation, Frame, Origin};
use case::Case;
use io::{Marks, TracedDrop, TracedIo};
use journey::Journey;
use names::Names;

/// A frame, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where it comes from.
    pub from: Origin,
    /// Its bytes, without FCS.
    pub frame: Vec<u8>,
    /// What the device says of it.
    pub marks: Marks,
    /// What it was dropped for some time ago, and at which port, to be explained beside what would happen now.
    pub was: Option<(DropReason, Option<String>)>,
}

/// A name in a question that nothing has, with those that there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// No such port, where the frame is to come from.
    #[error("there is no port `{0}`")]
    Port(String, Vec<String>),
    /// No such VTEP.
    #[error("there is no VTEP `{0}`")]
    Vtep(String, Vec<String>),
    /// No such port, where it was dropped.
    #[error("there is no port `{0}`")]
    WasPort(String, Vec<String>),
}

/// Explains frames. Owns the counters that the stages want to add to, which nobody reads.
///
/// Made once: counters reserve room for every index there can be.
#[derive(Debug)]
pub struct Explainer {
    counters: Counters,
}

impl Default for Explainer {
    fn default() -> Self {
        Self { counters: counters::new().0 }
    }
}

/// A copy on its way out.
#[derive(Debug)]
struct TracedCopy {
    to: Exit,
    bytes: Vec<u8>,
    kept: Range<usize>,
    put: usize,
}

/// What became of a frame: the decisions explained, the bytes as they are.
#[derive(Debug)]
pub struct Trace {
    head: Explanation,
    input: Vec<u8>,
    udp_ports: Vec<u16>,
    copies: Vec<TracedCopy>,
    /// What is dropped, in order.
    pub dropped: Vec<TracedDrop>,
    /// What the control thread would be told.
    pub events: Vec<LearnEvent>,
}

/// Where a frame comes from, by index.
#[derive(Clone, Copy, Debug)]
enum Entrance {
    Port(PortId),
    Vtep(VtepId, PortId),
}

impl Explainer {
    /// What would become of a frame now.
    ///
    /// # Errors
    /// The question names something that is not there.
    pub fn explain(&self, live: LiveState<'_>, question: Question) -> Result<Trace, Unknown> {
        let names = Names(live.topology);
        let entrance = entrance(live, &question.from)?;
        let was = question.was.map(|(reason, port)| Ok((reason, was_at(live, port)?)));
        let was: Option<(DropReason, Option<PortId>)> = was.transpose()?;
        let frame = question.frame;
        let mut io = match entrance {
            Entrance::Port(port) => TracedIo::receiving(port, &frame, question.marks),
            Entrance::Vtep(_, uplink) => TracedIo::relaying(uplink, &frame),
        };
        let mut journey = Journey::default();
        self.pass(live, &mut io, &mut journey);

        let udp_ports: Vec<_> = live.topology.vteps().map(|(_, vtep)| vtep.udp_port).collect();
        let layers = layers::decode(&frame, &udp_ports);
        let case =
            Case { live, names, entrance, journey: &journey, frame: &frame, layers: &layers };
        let head = story::told(&case, &io, question.from, was);
        let by_port = io.transmitted.into_iter().map(|(id, p)| (Exit::Port(names.port(id)), p));
        let by_host = io.punted.into_iter().map(|(id, p)| (Exit::Vtep(names.vtep(id)), p));
        let copy = |(to, packet): (Exit, io::Traced)| TracedCopy {
            to,
            bytes: packet.bytes().to_vec(),
            kept: packet.kept.clone(),
            put: packet.put,
        };
        let copies = by_port.chain(by_host).map(copy).collect();
        let (dropped, events) = (io.dropped, io.events);
        Ok(Trace { head, input: frame, udp_ports, copies, dropped, events })
    }

    /// One turn of a worker that has this frame alone.
    fn pass(&self, live: LiveState<'_>, io: &mut TracedIo, journey: &mut Journey) {
        let LiveState { generation, fdb, now, .. } = live;
        let (mut outputs, mut recent_reports) =
            (Outputs::new(generation.ports.len()), RecentReports::new());
        // It does not begin, so that no capture sees the frame, and its queue of drops is nobody's.
        let (mut recorder, _) = Recorder::new(0);
        let mut context = Context {
            generation,
            fdb,
            now,
            io,
            counters: &self.counters,
            outputs: &mut outputs,
            recent_reports: &mut recent_reports,
            recorder: &mut recorder,
        };
        worker::stages(&mut context, &mut Vector::new(), journey);
    }
}

fn entrance(live: LiveState<'_>, from: &Origin) -> Result<Entrance, Unknown> {
    // A port that the workers do not know of yet would have no place in their generation.
    let is_known = |port: PortId| port.index() < live.generation.ports.len();
    match from {
        Origin::Port(name) => {
            let mut ports = live.topology.ports();
            let found = ports.find(|(id, port)| port.name == *name && is_known(*id));
            let (id, _) = found.ok_or_else(|| Unknown::Port(name.clone(), ports_of(live)))?;
            Ok(Entrance::Port(id))
        }
        Origin::Vtep(name) => {
            let mut vteps = live.topology.vteps();
            let found = vteps.find(|(_, vtep)| vtep.name == *name && is_known(vtep.port));
            let (id, vtep) = found.ok_or_else(|| {
                let known = live.topology.vteps().map(|(_, vtep)| vtep.name.clone());
                Unknown::Vtep(name.clone(), known.collect())
            })?;
            Ok(Entrance::Vtep(id, vtep.port))
        }
    }
}

fn ports_of(live: LiveState<'_>) -> Vec<String> {
    live.topology.ports().map(|(_, port)| port.name.clone()).collect()
}

fn was_at(live: LiveState<'_>, port: Option<String>) -> Result<Option<PortId>, Unknown> {
    let Some(name) = port else { return Ok(None) };
    let found = live.topology.ports().find(|(_, port)| port.name == name);
    found.map(|(id, _)| Some(id)).ok_or_else(|| Unknown::WasPort(name, ports_of(live)))
}

impl Trace {
    /// The whole answer. Decodes every copy, and compares it with the frame that came.
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
    let layers = layers::decode(bytes, udp_ports);
    Frame { length: bytes.len(), hex: crate::hex::text(bytes), layers }
}

/// Whom a frame that this switch encapsulated is for, as it says itself.
fn encapsulated(bytes: &[u8]) -> Option<Encapsulated> {
    use crate::wire::{ethernet, ipv4, udp, vxlan};
    let ip = ipv4::Ipv4::new(bytes.get(ethernet::HEADER_LEN..)?)?;
    let vxlan_at = ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN;
    let vxlan = vxlan::Vxlan::new(bytes.get(vxlan_at..)?)?;
    let remote_vtep = std::net::Ipv4Addr::from_bits(ip.destination()).to_string();
    Some(Encapsulated { remote_vtep, vni: vxlan.vni() })
}
