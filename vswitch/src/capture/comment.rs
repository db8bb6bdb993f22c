//! The comment of a captured packet: what is known about its frame.

use std::fmt::Write as _;

use super::generation_names::GenerationNames;
use crate::datapath::capture::{CapturePoint, Record};
use crate::datapath::verdict::Verdict;
use crate::ids::NetworkId;
use crate::table::Destination;

/// As in `received on port tenant-a, network blue (VNI 100), forwarded to port tenant-b,
/// generation 7`. Numbers stand for names that are gone.
#[must_use]
pub fn comment(record: &Record, names: &GenerationNames) -> String {
    let mut text = String::with_capacity(96);
    let at = if record.point == CapturePoint::Dropped { "at" } else { "on" };
    let port = names.port(record.port);
    let _ = write!(text, "{} {at} port {port}", record.point.name());
    if let Some(Destination::Tunnel(tunnel)) = record.origin.map(Destination::from)
        && let Some(remote) = names.remote(tunnel)
    {
        let _ = write!(text, " from remote VTEP {remote}");
    }
    match names.network(record.network) {
        Some((name, vni)) => {
            let _ = write!(text, ", network {name} (VNI {vni})");
        }
        None if record.network == NetworkId::NONE => text.push_str(", no network"),
        None => {
            let _ = write!(text, ", network #{}", record.network.index());
        }
    }
    text.push_str(", ");
    if record.point == CapturePoint::Transmitted {
        text.push_str("sent");
    } else {
        verdict(record.verdict, names, &mut text);
    }
    let _ = write!(text, ", generation {}", record.generation);
    if names.are_gone() {
        text.push_str(" (whose names are gone)");
    }
    text
}

fn verdict(verdict: Verdict, names: &GenerationNames, text: &mut String) {
    let _ = match verdict {
        Verdict::Forward(port) => write!(text, "forwarded to port {}", names.port(port)),
        Verdict::Encapsulate(tunnel) => match names.remote(tunnel) {
            Some(remote) => write!(text, "encapsulated to remote VTEP {remote}"),
            None => write!(text, "encapsulated to a remote VTEP that is gone"),
        },
        Verdict::Flood => write!(text, "flooded"),
        Verdict::Punt(vtep) => write!(text, "given to the host by VTEP {}", names.vtep(vtep)),
        Verdict::Drop(reason) => write!(text, "dropped: {}", reason.label()),
        Verdict::Pending => write!(text, "pending"),
    };
}
