//! Frames on their way out, sorted by port: [`tx`](super::tx) fills and sends them.

use super::vector::Burst;
use crate::ids::PortId;

/// Frames on their way out.
#[derive(Debug)]
pub struct Outputs<P> {
    pub(super) ports: Box<[Output<P>]>,
    /// Ports that are to be flushed, each once. Never grows beyond its capacity: the number of ports.
    pub(super) waiting: Vec<PortId>,
    /// Frames that were dropped, to be freed together. Empty between bursts.
    pub(super) dropped: Burst<P>,
}

/// The line of one port. Its first cache line holds all that a short line needs.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Output<P> {
    pub bytes: u64,
    pub is_waiting: bool,
    pub packets: Burst<P>,
}

impl<P> Outputs<P> {
    /// Nothing waiting at any of so many ports.
    #[must_use]
    pub fn new(ports: usize) -> Self {
        let empty = || Output { bytes: 0, is_waiting: false, packets: Burst::new() };
        Self {
            ports: std::iter::repeat_with(empty).take(ports).collect(),
            waiting: Vec::with_capacity(ports),
            dropped: Burst::new(),
        }
    }
}
