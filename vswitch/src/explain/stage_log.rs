//! The state of the frame after each stage, recorded while the stages run.

use super::io::MAX_KEPT;
use crate::datapath::observer::{Observer, Stage};
use crate::datapath::packet::Packet;
use crate::datapath::tunnel::recognition::Tunnelled;
use crate::datapath::vector::Vector;
use crate::datapath::verdict::Verdict;
use crate::ids::NetworkId;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, Found, Key};

/// What the vector holds about the frame when a stage ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameState {
    pub verdict: Verdict,
    domain: NetworkId,
    pub origin: Destination,
    tunnelled: Tunnelled,
    pub source: (Key, Found),
    pub destination: (Key, Found),
    pub len: u32,
}

impl FrameState {
    /// The network, if it is decided.
    pub fn domain(&self) -> Option<NetworkId> {
        (self.domain != NetworkId::NONE).then_some(self.domain)
    }

    /// The reason for which the frame is dropped.
    pub fn dropped(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Drop(reason) => Some(reason),
            _ => None,
        }
    }
}

/// A frame that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedDrop {
    /// Where it would be counted.
    pub site: Site,
    /// Why.
    pub reason: DropReason,
    /// The frame as it was then.
    pub bytes: Vec<u8>,
}

/// The state after every stage, in their order, and the drops.
#[derive(Debug, Default)]
pub(super) struct StageLog {
    states: Vec<(Stage, FrameState)>,
    /// The dropped frames.
    pub dropped: Vec<TracedDrop>,
    /// The number of further dropped frames.
    pub dropped_more: u64,
}

impl Observer for StageLog {
    fn ended<P: Packet>(&mut self, stage: Stage, _frames: usize, vector: &Vector<P>) {
        // Before `rx` and after `encap` the vector has no frame.
        if vector.is_empty() {
            return;
        }
        let seen = FrameState {
            verdict: vector.verdicts[0].unpack(),
            domain: vector.networks[0],
            origin: vector.origins[0].into(),
            tunnelled: vector.tunnelled[0],
            source: (vector.sources[0], vector.sources_found[0]),
            destination: (vector.destinations[0], vector.destinations_found[0]),
            len: vector.lens[0],
        };
        self.states.push((stage, seen));
    }

    fn dropped<P: Packet>(&mut self, site: Site, reason: DropReason, packet: &P) {
        if self.dropped.len() < MAX_KEPT {
            self.dropped.push(TracedDrop { site, reason, bytes: packet.bytes().to_vec() });
        } else {
            self.dropped_more += 1;
        }
    }
}

impl StageLog {
    /// The state after a stage. `None`: the frame did not pass it.
    pub fn after(&self, stage: Stage) -> Option<&FrameState> {
        self.states.iter().find(|(at, _)| *at == stage).map(|(_, seen)| seen)
    }

    /// The state after a stage, if the frame was still undecided before it.
    pub fn decided_by(&self, stage: Stage) -> Option<&FrameState> {
        let index = self.states.iter().position(|(at, _)| *at == stage)?;
        let was_pending = match index.checked_sub(1) {
            Some(before) => self.states[before].1.verdict == Verdict::Pending,
            None => true,
        };
        was_pending.then_some(&self.states[index].1)
    }

    /// The outer headers, if `parse` took the frame for a tunnel frame.
    pub fn tunnelled(&self) -> Option<Tunnelled> {
        let seen = self.decided_by(Stage::Parse)?;
        // On a tenant's port no stage writes it, so it is the default.
        let is_one = seen.verdict == Verdict::Pending && seen.tunnelled.outer_len > 0;
        is_one.then_some(seen.tunnelled)
    }

    /// The state with the results of the FDB lookups, if there were any.
    pub fn looked_up(&self) -> Option<&FrameState> {
        self.after(Stage::Learn).filter(|seen| seen.verdict == Verdict::Pending)
    }

    /// The network, from the first stage that decides it.
    pub fn domain(&self) -> Option<NetworkId> {
        self.states.iter().find_map(|(_, seen)| seen.domain())
    }
}
