//! Stage `tx`: every frame's end in this turn. Sorts the burst to ports, gives the host's frames to
//! the host, counts and frees what is dropped; [`flush`] sends what was sorted.
//!
//! A burst that leaves whole by one port, as most do, is handed over as it is.

use super::capture::recorder::Recorder;
use super::context::{self, Context};
use super::generation::Generation;
use super::io::{Io, Sent};
use super::packet::Packet;
use super::vector::{BURST, Burst, Vector};
use super::verdict::{PackedVerdict, Verdict};
use crate::ids::PortId;
use crate::metrics::counters::{Counters, Site};
use crate::metrics::drop_reason::DropReason;
use crate::table::prefetch;

/// Takes every frame out of the vector.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    if let Some(port) = only_port(vector, context.generation)
        && context.outputs.ports[port.index()].packets.is_empty()
    {
        let bytes = vector.lens[..vector.len()].iter().map(|len| u64::from(*len)).sum();
        let Context { generation, io, counters, recorder, .. } = context;
        transmit(*io, counters, (*recorder, *generation), port, &mut vector.packets, bytes);
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
fn sort<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    for verdict in &vector.verdicts[..vector.len()] {
        if let Verdict::Forward(port) = verdict.unpack() {
            prefetch(&context.outputs.ports[port.index()]);
        }
    }
    // Out of the vector while frames are taken from it; the others stay as they are.
    let mut packets = std::mem::take(&mut vector.packets);
    for (i, packet) in packets.drain(..).enumerate() {
        let ended = match vector.verdicts[i].unpack() {
            Verdict::Forward(port) => send(context, port, packet, vector.lens[i])
                .map_err(|packet| (packet, DropReason::ExceedsPortMtu)),
            Verdict::Punt(vtep) => match context.io.punt(vtep, packet) {
                Ok(()) => {
                    context.counters.punted(vtep);
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
            context.dropped(vector.site(context.generation, i), reason, &packet);
            context.outputs.dropped.push(packet);
        }
    }
    context.io.discard(&mut context.outputs.dropped);
}

/// Puts a frame of `len` bytes into the line of a port.
///
/// # Errors
/// The frame: it exceeds the port's MTU ([`DropReason::ExceedsPortMtu`]).
#[inline(always)]
pub(super) fn send<I: Io>(
    context: &mut Context<'_, I>,
    port: PortId,
    packet: I::Packet,
    len: u32,
) -> Result<(), I::Packet> {
    debug_assert_eq!(len as usize, packet.len());
    if len > context.generation.ports[port.index()].max_frame_len {
        return Err(packet);
    }
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
    Ok(())
}

/// Sends the line of a port. Not inlined: it is once for a burst, and its callers are loops over frames.
#[inline(never)]
fn send_line<I: Io>(context: &mut Context<'_, I>, port: PortId) {
    let Context { generation, io, counters, outputs, recorder, .. } = context;
    let output = &mut outputs.ports[port.index()];
    let bytes = std::mem::take(&mut output.bytes);
    transmit(*io, counters, (recorder, generation), port, &mut output.packets, bytes);
}

/// Sends everything that waits.
#[inline]
pub fn flush<I: Io>(context: &mut Context<'_, I>) {
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
fn transmit<I: Io>(
    io: &mut I,
    counters: &Counters,
    (recorder, generation): (&mut Recorder, &Generation),
    port: PortId,
    packets: &mut Burst<I::Packet>,
    bytes: u64,
) {
    let mark = recorder.transmitting(generation, port, packets);
    let reason = match io.transmit(port, packets) {
        Sent::Transmitted(sent) => {
            recorder.transmitted(generation, mark, sent);
            let left = packets.iter().map(|packet| packet.len() as u64);
            counters.transmitted(port, sent as u64, bytes - left.sum::<u64>());
            DropReason::TransmitQueueFull
        }
        Sent::HandedOver(sent) => {
            // The worker that transmits them takes them.
            recorder.transmitted(generation, mark, 0);
            counters.handed_out(sent as u64);
            DropReason::HandoverQueueFull
        }
    };
    if !packets.is_empty() {
        drop_rest(io, counters, (recorder, generation), Site::port(port), reason, packets);
    }
}

/// Drops what a full queue has left. Not inlined: bursts that leave whole would save its registers, and where every
/// frame leaves by another port a burst is one frame.
#[cold]
#[inline(never)]
fn drop_rest<I: Io>(
    io: &mut I,
    counters: &Counters,
    (recorder, generation): (&mut Recorder, &Generation),
    site: Site,
    reason: DropReason,
    packets: &mut Burst<I::Packet>,
) {
    for packet in &*packets {
        context::dropped(io, counters, (recorder, generation), site, reason, packet);
    }
    io.discard(packets);
}
