//! Stage `tx`: every frame's end in this turn. Sorts the burst to ports, gives the host's frames to
//! the host, counts and frees what is dropped; [`flush`] sends what was sorted.

use super::context::Context;
use super::io::{Io, Sent};
use super::packet::Packet;
use super::vector::{BURST, Vector};
use super::verdict::{DropReason, Verdict};
use crate::ids::PortId;
use crate::metrics::counters::Shape;

/// Frames on their way out, by port.
#[derive(Debug)]
pub struct Outputs<P> {
    ports: Box<[Output<P>]>,
    /// Ports that have frames waiting. Never grows beyond its capacity: the number of ports.
    waiting: Vec<PortId>,
}

#[derive(Debug)]
struct Output<P> {
    len: usize,
    bytes: u64,
    packets: [Option<P>; BURST],
}

impl<P> Outputs<P> {
    /// Nothing waiting at any of so many ports.
    #[must_use]
    pub fn new(ports: usize) -> Self {
        let empty = || Output { len: 0, bytes: 0, packets: [const { None }; BURST] };
        Self {
            ports: std::iter::repeat_with(empty).take(ports).collect(),
            waiting: Vec::with_capacity(ports),
        }
    }
}

/// Takes every frame out of the vector.
#[inline]
pub fn run<I: Io>(context: &mut Context<'_, I>, vector: &mut Vector<I::Packet>) {
    let mut dropped = 0;
    for i in 0..vector.len {
        let meta = vector.meta[i];
        let reason = match meta.verdict {
            Verdict::Forward(port) => {
                let Some(packet) = vector.packets[i].take() else { continue };
                match send(context, port, packet) {
                    Ok(()) => continue,
                    Err(packet) => vector.packets[i] = Some(packet),
                }
                DropReason::ExceedsPortMtu
            }
            Verdict::Punt(vtep) => {
                let Some(packet) = vector.packets[i].take() else { continue };
                match context.io.punt(vtep, packet) {
                    Ok(()) => {
                        context.counters.punted(vtep);
                        continue;
                    }
                    Err(packet) => vector.packets[i] = Some(packet),
                }
                DropReason::PuntQueueFull
            }
            Verdict::Drop(reason) => reason,
            Verdict::Pending | Verdict::Flood | Verdict::Encapsulate(_) => {
                unreachable!("a stage left a frame undecided: {:?}", meta.verdict)
            }
        };
        context.counters.dropped(meta.site, reason);
        vector.packets.swap(dropped, i);
        dropped += 1;
    }
    context.io.discard(&mut vector.packets[..dropped]);
    vector.len = 0;
}

/// Puts a frame into the line of a port, or gives it back if it is longer than the port's MTU
/// allows.
#[inline(always)]
pub(super) fn send<I: Io>(
    context: &mut Context<'_, I>,
    port: PortId,
    packet: I::Packet,
) -> Result<(), I::Packet> {
    let len = packet.len();
    if len > context.generation.ports[port.index()].max_frame_len {
        return Err(packet);
    }
    let output = &mut context.outputs.ports[port.index()];
    if output.len == 0 {
        context.outputs.waiting.push(port);
    }
    output.packets[output.len] = Some(packet);
    output.len += 1;
    output.bytes += len as u64;
    if output.len == BURST {
        flush_port(context, port);
        context.outputs.waiting.retain(|waiting| *waiting != port);
    }
    Ok(())
}

/// Sends everything that waits.
#[inline]
pub fn flush<I: Io>(context: &mut Context<'_, I>) {
    while let Some(port) = context.outputs.waiting.pop() {
        flush_port(context, port);
    }
}

fn flush_port<I: Io>(context: &mut Context<'_, I>, port: PortId) {
    let output = &mut context.outputs.ports[port.index()];
    let packets = &mut output.packets[..std::mem::take(&mut output.len)];
    let bytes = std::mem::take(&mut output.bytes);
    let (sent, reason) = match context.io.transmit(port, packets) {
        Sent::Transmitted(sent) => {
            let left = packets[sent..].iter().flatten().map(|packet| packet.len() as u64);
            context.counters.transmitted(port, sent as u64, bytes - left.sum::<u64>());
            (sent, DropReason::TransmitQueueFull)
        }
        Sent::HandedOver(sent) => {
            context.counters.handed_out(sent as u64);
            (sent, DropReason::HandoverQueueFull)
        }
    };
    let left = &mut packets[sent..];
    for _ in &*left {
        context.counters.dropped(Shape::port_site(port), reason);
    }
    context.io.discard(left);
}
