//! Frames that leave by a port without passing the pipeline: the kernel's, from a host interface,
//! and those of workers that have no transmit queue on the port.

use super::context::Context;
use super::io::{Io, Relayed, RelayedFrom};
use super::observer::Observer;
use super::packet::Packet;
use super::tx;
use super::vector::BURST;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;

/// Puts at most a burst of them into the lines of their ports. Returns how many there were.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>) -> usize {
    for count in 0..BURST {
        let Some(relayed) = context.own.io.next_relayed() else { return count };
        match relayed.from {
            RelayedFrom::Host => context.own.counters.injected(1),
            RelayedFrom::Worker => context.own.counters.handed_in(1),
        }
        let Relayed { port, packet, .. } = relayed;
        #[allow(clippy::cast_possible_truncation, reason = "a frame is far below 4 GiB")]
        let len = packet.len() as u32;
        if tx::fits(context.shared, port, len) {
            tx::send(context, port, packet, len);
        } else {
            let (site, reason) = (Site::port(port), DropReason::ExceedsPortMtu);
            context.own.discard(context.shared, site, reason, packet);
        }
    }
    BURST
}
