//! Stage `encap`: puts the outer headers before frames for remote VTEPs, from the tunnel's
//! [template](super::tunnel::template).

use super::context::Context;
use super::generation::Entrance;
use super::io::Io;
use super::observer::Observer;
use super::packet::Packet;
use super::tunnel::template::{ADDED_LEN, Entropy};
use super::vector::Vector;
use super::verdict::PackedVerdict;

/// Encapsulates what is to be encapsulated; each such frame then leaves by the tunnel's exit. Does nothing to
/// frames of an underlay: what came from the overlay does not go back there.
#[inline]
pub fn run<I: Io, O: Observer>(context: &mut Context<'_, I, O>, vector: &mut Vector<I::Packet>) {
    let generation = context.shared.generation;
    let Entrance::Network(network) = vector.entrance else { return };
    let vni = generation.networks[network.index()].vni;
    let len = vector.len();
    let Vector { packets, lens, verdicts, .. } = vector;
    for (i, packet) in packets[..len].iter_mut().enumerate() {
        let Some(tunnel) = verdicts[i].tunnel() else { continue };
        let tunnel = &generation.tunnels[tunnel.index()];
        let done = tunnel.check(lens[i]).and_then(|()| {
            let entropy = Entropy::of(packet.bytes());
            tunnel.template.put(packet, lens[i], vni, entropy)
        });
        verdicts[i] = match done {
            Ok(()) => {
                lens[i] += ADDED_LEN;
                PackedVerdict::to(tunnel.exit)
            }
            Err(reason) => PackedVerdict::drop(reason),
        };
    }
}
