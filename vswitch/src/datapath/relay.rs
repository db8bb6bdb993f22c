//! Frames that leave by a port without passing the pipeline: the kernel's, from a host interface,
//! and those of workers that have no transmit queue on the port.

use super::context::Context;
use super::io::{Io, RelayedFrom};
use super::packet::Packet;
use super::tx;
use super::vector::BURST;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

/// Puts at most a burst of them into the lines of their ports. Returns how many there were.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>) -> usize {
    for count in 0..BURST {
        let Some(relayed) = context.io.next_relayed() else { return count };
        match relayed.from {
            RelayedFrom::Host => context.counters.injected(1),
            RelayedFrom::Worker => context.counters.handed_in(1),
        }
        let (port, len) = (relayed.port, relayed.packet.len());
        #[allow(clippy::cast_possible_truncation, reason = "a frame is far below 4 GiB")]
        let len = len as u32;
        if let Err(packet) = tx::send(context, port, relayed.packet, len) {
            context.discard(Site::port(port), DropReason::ExceedsPortMtu, packet);
        }
    }
    BURST
}
