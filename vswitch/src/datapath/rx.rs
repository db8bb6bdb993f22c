//! Stage `rx`: takes a burst from a receive queue, counts it, and ends what no stage could read.

use super::context::Context;
use super::io::Io;
use super::observer::Observer;
use super::packet::{Packet, Received};
use super::vector::Vector;
use super::verdict::PackedVerdict;
use crate::metrics::drop_reason::DropReason;

/// Fills the empty vector from a queue. A frame that is dropped here is not parsed.
#[inline]
pub fn run<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    queue: usize,
    vector: &mut Vector<I::Packet>,
) {
    vector.port = context.own.io.receive(queue, &mut vector.packets);
    let len = vector.len();
    if len == 0 {
        return;
    }
    let port = &context.shared.generation.ports[vector.port.index()];
    (vector.entrance, vector.passes) = (port.entrance, 0);
    vector.begin();
    let longest = port.max_frame_len;
    let Vector { packets, lens, verdicts, .. } = vector;
    let mut bytes = 0;
    for (i, packet) in packets[..len].iter_mut().enumerate() {
        let received = packet.accept();
        packet.prefetch();
        lens[i] = received.len;
        bytes += u64::from(received.len);
        if let Some(reason) = defect(received, longest) {
            verdicts[i] = PackedVerdict::drop(reason);
        }
    }
    context.own.counters.received(vector.port, len as u64, bytes);
}

/// What a frame must be before its bytes are looked at.
#[inline(always)]
fn defect(received: Received, longest: u32) -> Option<DropReason> {
    if !received.is_contiguous {
        Some(DropReason::NotContiguous)
    } else if received.len > longest {
        // Also what tells a frame that a driver cut to the size of its ring's slots (net_af_packet).
        Some(DropReason::Oversize)
    } else if received.has_stripped_vlan {
        Some(DropReason::VlanNotConfigured)
    } else {
        None
    }
}
