//! Stage `tx`: every frame's end in this turn. Sorts the burst to ports, punts the kernel's frames, counts and
//! frees what is dropped; [`flush`] sends what was sorted.
//!
//! A burst that leaves whole by one port, as most do, is handed over as it is.

use super::context::{Context, Own, Shared};
use super::generation::Generation;
use super::io::{Io, Sent};
use super::observer::Observer;
use super::packet::Packet;
use super::vector::{BURST, Burst, Vector};
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::PortId;
use crate::metrics::counters::Site;
use crate::metrics::drop_reason::DropReason;
use crate::table::prefetch;

/// Takes every frame out of the vector.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    if let Some(port) = only_port(vector, context.shared.generation)
        && context.outputs.ports[port.index()].packets.is_empty()
    {
        let bytes = vector.lens[..vector.len()].iter().map(|len| u64::from(*len)).sum();
        transmit(&mut context.own, context.shared, port, &mut vector.packets, bytes);
    } else {
        sort(context, vector);
    }
}

/// The port that all frames of the burst leave by.
#[inline]
fn only_port<P>(vector: &Vector<P>, generation: &Generation) -> Option<PortId> {
    let len = vector.len();
    let first = vector.verdicts[0];
    let Verdict::Forward(port) = first.unpack() else { return None };
    // Without early ends, so that the loops become wide comparisons.
    let others = vector.verdicts[..len].iter().filter(|verdict| **verdict != first).count();
    let longest = vector.lens[..len].iter().fold(0, |longest, len| longest.max(*len));
    (others == 0 && longest <= generation.ports[port.index()].max_frame_len).then_some(port)
}

/// Takes frame after frame where it goes.
#[inline(never)]
fn sort<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    for verdict in &vector.verdicts[..vector.len()] {
        if let Verdict::Forward(port) = verdict.unpack() {
            prefetch(&context.outputs.ports[port.index()]);
        }
    }
    // Out of the vector while frames are taken from it; the others stay as they are.
    let mut packets = std::mem::take(&mut vector.packets);
    for (i, packet) in packets.drain(..).enumerate() {
        let ended = match vector.verdicts[i].unpack() {
            Verdict::Forward(port) if fits(context.shared, port, vector.lens[i]) => {
                send(context, port, packet, vector.lens[i]);
                Ok(())
            }
            Verdict::Forward(_) => Err((packet, DropReason::ExceedsPortMtu)),
            Verdict::Punt(vtep) => match context.own.io.punt(vtep, packet) {
                Ok(()) => {
                    context.own.counters.punted(vtep);
                    Ok(())
                }
                Err(packet) => Err((packet, DropReason::PuntQueueFull)),
            },
            Verdict::Drop(reason) => Err((packet, reason)),
            Verdict::Pending | Verdict::Flood | Verdict::Encapsulate(_) => {
                unreachable!("a stage left a frame undecided: {:?}", vector.verdicts[i])
            }
        };
        if let Err((packet, reason)) = ended {
            vector.verdicts[i] = PackedVerdict::drop(reason);
            context.own.dropped(context.shared, vector.site(i), reason, &packet);
            context.outputs.dropped.push(packet);
        }
    }
    context.own.io.discard(&mut context.outputs.dropped);
}

/// Whether a frame of `len` bytes may leave by a port.
#[inline(always)]
pub(super) fn fits(shared: Shared<'_>, port: PortId, len: u32) -> bool {
    len <= shared.generation.ports[port.index()].max_frame_len
}

/// Puts a frame of `len` bytes, which [`fits`] the port, into the line of the port.
#[inline(always)]
pub(super) fn send<I: Io, O: Observer>(
    context: &mut Context<'_, I, O>,
    port: PortId,
    packet: I::Packet,
    len: u32,
) {
    debug_assert_eq!(len as usize, packet.len());
    debug_assert!(fits(context.shared, port, len));
    let output = &mut context.outputs.ports[port.index()];
    if !output.is_waiting {
        output.is_waiting = true;
        context.outputs.waiting.push(port);
    }
    output.packets.push(packet);
    output.bytes += u64::from(len);
    if output.packets.len() == BURST {
        send_line(context, port);
    }
}

/// Sends the line of a port. Not inlined: it is once for a burst, and its callers are loops over frames.
#[inline(never)]
fn send_line<I: Io, O: Observer>(context: &mut Context<'_, I, O>, port: PortId) {
    let output = &mut context.outputs.ports[port.index()];
    let bytes = std::mem::take(&mut output.bytes);
    transmit(&mut context.own, context.shared, port, &mut output.packets, bytes);
}

/// Sends everything that waits.
#[inline]
pub fn flush<I: Io, O: Observer>(context: &mut Context<'_, I, O>) {
    while let Some(port) = context.outputs.waiting.pop() {
        let output = &mut context.outputs.ports[port.index()];
        output.is_waiting = false;
        if !output.packets.is_empty() {
            send_line(context, port);
        }
    }
}

/// Sends frames of so many bytes in all, and drops what does not go.
#[inline]
fn transmit<I: Io, O: Observer>(
    own: &mut Own<'_, I, O>,
    shared: Shared<'_>,
    port: PortId,
    packets: &mut Burst<I::Packet>,
    bytes: u64,
) {
    let mark = own.recorder.transmitting(shared.generation, port, packets);
    let reason = match own.io.transmit(port, packets) {
        Sent::Transmitted(sent) => {
            own.recorder.transmitted(shared.generation, mark, sent);
            let left = packets.iter().map(|packet| packet.len() as u64);
            own.counters.transmitted(port, sent as u64, bytes - left.sum::<u64>());
            DropReason::TransmitQueueFull
        }
        Sent::HandedOver(sent) => {
            // The worker that transmits them records them.
            own.recorder.transmitted(shared.generation, mark, 0);
            own.counters.handed_out(sent as u64);
            DropReason::HandoverQueueFull
        }
    };
    if !packets.is_empty() {
        drop_rest(own, shared, Site::port(port), reason, packets);
    }
}

/// Drops what a full queue has left. Not inlined: bursts that leave whole would save its registers, and where every
/// frame leaves by another port a burst is one frame.
#[cold]
#[inline(never)]
fn drop_rest<I: Io, O: Observer>(
    own: &mut Own<'_, I, O>,
    shared: Shared<'_>,
    site: Site,
    reason: DropReason,
    packets: &mut Burst<I::Packet>,
) {
    for packet in &*packets {
        own.dropped(shared, site, reason, packet);
    }
    own.io.discard(packets);
}
