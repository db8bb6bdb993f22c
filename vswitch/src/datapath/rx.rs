//! Stage `rx`: takes a burst from a receive queue and counts it.

use super::context::Context;
use super::io::Io;
use super::packet::Packet;
use super::vector::{BURST, Meta, Vector};
use crate::metrics::counters::Shape;
use crate::table::Destination;

/// Fills the empty vector from a queue.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, queue: usize, vector: &mut Vector<I::Packet>) {
    let (port, len) = context.io.receive(queue, &mut vector.packets[..BURST]);
    vector.port = port;
    vector.len = len;
    if len == 0 {
        return;
    }
    let fresh =
        Meta { site: Shape::port_site(port), origin: Destination::Port(port), ..Meta::default() };
    vector.meta[..len].fill(fresh);
    let mut bytes = 0;
    for (packet, _) in vector.iter_mut() {
        packet.prefetch();
        bytes += packet.len() as u64;
    }
    context.counters.received(port, len as u64, bytes);
}
