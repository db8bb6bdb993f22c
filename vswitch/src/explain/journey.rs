//! What each stage left of the one frame: taken down while the stages run.

use crate::datapath::packet::Packet;
use crate::datapath::vector::{Tunnelled, Vector};
use crate::datapath::verdict::Verdict;
use crate::datapath::worker::{Observer, Stage};
use crate::ids::NetworkId;
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, Found, Key};

/// What stood beside the frame when a stage ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub verdict: Verdict,
    domain: NetworkId,
    pub origin: Destination,
    tunnelled: Tunnelled,
    pub source: (Key, Found),
    pub destination: (Key, Found),
    pub len: u32,
}

impl Seen {
    /// The network, if it has one by now.
    pub fn domain(&self) -> Option<NetworkId> {
        (self.domain != NetworkId::NONE).then_some(self.domain)
    }

    /// The reason it is dropped for.
    pub fn dropped(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Drop(reason) => Some(reason),
            _ => None,
        }
    }
}

/// What every stage left, in their order.
#[derive(Debug, Default)]
pub(super) struct Journey(Vec<(Stage, Seen)>);

impl Observer for Journey {
    fn ended<P: Packet>(&mut self, stage: Stage, _frames: usize, vector: &Vector<P>) {
        // Before `rx` and after `encap` the vector has no frame.
        if vector.is_empty() {
            return;
        }
        let seen = Seen {
            verdict: vector.verdicts[0].unpack(),
            domain: vector.networks[0],
            origin: vector.origins[0].into(),
            tunnelled: vector.tunnelled[0],
            source: (vector.sources[0], vector.sources_found[0]),
            destination: (vector.destinations[0], vector.destinations_found[0]),
            len: vector.lens[0],
        };
        self.0.push((stage, seen));
    }
}

impl Journey {
    /// What a stage left; `None` for a frame that only leaves.
    pub fn after(&self, stage: Stage) -> Option<&Seen> {
        self.0.iter().find(|(at, _)| *at == stage).map(|(_, seen)| seen)
    }

    /// What a stage left of a frame that was still to be decided before it.
    pub fn decided_by(&self, stage: Stage) -> Option<&Seen> {
        let index = self.0.iter().position(|(at, _)| *at == stage)?;
        let was_pending = match index.checked_sub(1) {
            Some(before) => self.0[before].1.verdict == Verdict::Pending,
            None => true,
        };
        was_pending.then_some(&self.0[index].1)
    }

    /// The outer headers, if `parse` took the frame for a tunnel frame.
    pub fn tunnelled(&self) -> Option<Tunnelled> {
        let seen = self.decided_by(Stage::Parse)?;
        // A default where nobody wrote to it: on a tenant's port.
        let is_one = seen.verdict == Verdict::Pending && seen.tunnelled.outer_len > 0;
        is_one.then_some(seen.tunnelled)
    }

    /// The FDB was asked, and this is what it said.
    pub fn looked_up(&self) -> Option<&Seen> {
        self.after(Stage::Learn).filter(|seen| seen.verdict == Verdict::Pending)
    }

    /// The network, as soon as there is one.
    pub fn domain(&self) -> Option<NetworkId> {
        self.0.iter().find_map(|(_, seen)| seen.domain())
    }
}
