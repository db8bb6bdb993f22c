//! Watching the stages from outside, at compile time.
//!
//! A switch runs with the observer `()`, of which nothing is left in the program. `explain` follows one
//! frame from stage to stage, `bench` reads the clock after each stage, and the simulation collects
//! dropped frames.
//!
//! The [`Recorder`](super::capture::Recorder) is no observer: it is part of a running switch, where captures
//! come and go with a generation, and it has a budget. An observer sees everything, whatever that costs.

use super::packet::Packet;
use super::vector::Vector;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

/// A part of a turn, in the order of the journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the module of its name")]
pub enum Stage {
    Relay,
    Rx,
    Parse,
    Decap,
    Learn,
    Forward,
    Flood,
    Encap,
    Tx,
    /// [`tx::flush`](super::tx::flush), once per turn.
    Flush,
}

/// Is told what happens in a turn.
pub trait Observer {
    /// A stage has ended, with so many frames in hand. The vector is as the stage left it: empty before
    /// [`Stage::Rx`], and without its frames from [`Stage::Tx`] on.
    #[inline(always)]
    fn ended<P: Packet>(&mut self, stage: Stage, frames: usize, vector: &Vector<P>) {
        let _ = (stage, frames, vector);
    }

    /// A frame was dropped and counted at a site. Its bytes are still there. A replica that could not be
    /// made is shown as the frame that it was to be a copy of.
    #[inline(always)]
    fn dropped<P: Packet>(&mut self, site: Site, reason: DropReason, packet: &P) {
        let _ = (site, reason, packet);
    }
}

impl Observer for () {}
