//! The decisions of the stages in sentences, from what they left of the frame.
//!
//! Nothing is decided here: a sentence says what a stage has done, and with what.

use super::Entrance;
use super::answer::{
    Dropped, Explanation, FdbEntry, Frame, Learning, Learns, Lookup, NetworkName, Origin, Outcome,
    Reason, Station, Step, Tunnel,
};
use super::case::Case;
use super::cause;
use super::io::TracedIo;
use super::journey::Seen;
use super::names::listed;
use crate::control::rows::EntryKind;
use crate::datapath::flood;
use crate::datapath::generation::{Network, Role};
use crate::datapath::io::{LearnEvent, LearnKind};
use crate::datapath::verdict::Verdict;
use crate::datapath::worker::Stage;
use crate::ids::{NetworkId, PortId};
use crate::metrics::counters::{Place, Site};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, Found, Key};

/// The explanation, but for the copies.
pub(super) fn told(
    case: &Case<'_>,
    io: &TracedIo,
    from: Origin,
    was: Option<(DropReason, Option<PortId>)>,
) -> Explanation {
    let drops: Vec<_> = drops(case, io);
    let verdict = outcome(case, io);
    let leaving = (io.transmitted.len() + io.punted.len()) as u64 + io.transmitted_more;
    Explanation {
        summary: summary(case, io, verdict, leaving, &drops),
        verdict,
        from,
        frame: Frame {
            length: case.frame.len(),
            hex: crate::hex::text(case.frame),
            layers: case.layers.to_vec(),
        },
        network: case.journey.domain().map(|domain| network_name(case, domain)),
        tunnel: tunnel(case),
        steps: steps(case, io, &drops),
        lookups: lookups(case),
        learns: io.events.first().map(|event| learns(case, event)),
        copies: Vec::new(),
        copies_left_out: io.transmitted_more,
        drops,
        drops_left_out: io.dropped_more,
        was: was.map(|(reason, at)| was_dropped(case, reason, at)),
    }
}

fn network_name(case: &Case<'_>, domain: NetworkId) -> NetworkName {
    let vni = case.live.generation.networks.get(domain.index()).map_or(0, |d| d.vni.get());
    NetworkName { name: case.names.network(domain), vni }
}

fn tunnel(case: &Case<'_>) -> Option<Tunnel> {
    let tunnelled = case.journey.tunnelled()?;
    let Role::Uplink(vtep) = case.live.generation.ports[case.port().index()].role else {
        return None;
    };
    let remote_vtep = std::net::Ipv4Addr::from_bits(tunnelled.remote).to_string();
    Some(Tunnel { vtep: case.names.vtep(vtep), remote_vtep, vni: tunnelled.vni })
}

fn is_flooded(case: &Case<'_>) -> bool {
    case.journey.decided_by(Stage::Forward).is_some_and(|seen| seen.verdict == Verdict::Flood)
}

fn outcome(case: &Case<'_>, io: &TracedIo) -> Outcome {
    if io.transmitted.is_empty() && io.punted.is_empty() {
        return Outcome::Dropped;
    }
    if !io.punted.is_empty() {
        return Outcome::Punted;
    }
    match (case.entrance, case.journey.after(Stage::Forward).map(|seen| seen.verdict)) {
        (Entrance::Vtep(..), _) => Outcome::Relayed,
        (_, Some(Verdict::Flood)) => Outcome::Flooded,
        (_, Some(Verdict::Encapsulate(_))) => Outcome::Encapsulated,
        _ => Outcome::Forwarded,
    }
}

/// Where the frame was to go, in the order in which the stages come to it.
fn targets(case: &Case<'_>) -> Vec<Destination> {
    if let Entrance::Vtep(_, uplink) = case.entrance {
        return vec![Destination::Port(uplink)];
    }
    let Some(seen) = case.journey.decided_by(Stage::Forward) else { return Vec::new() };
    match seen.verdict {
        Verdict::Forward(port) => vec![Destination::Port(port)],
        Verdict::Encapsulate(tunnel) => vec![Destination::Tunnel(tunnel)],
        Verdict::Flood => {
            let Some(domain) = domain_of(case) else { return Vec::new() };
            let (ports, tunnels) = flood::targets(domain, seen.origin.into());
            let tunnels = tunnels.iter().map(|tunnel| Destination::Tunnel(*tunnel));
            ports.map(Destination::Port).chain(tunnels).collect()
        }
        _ => Vec::new(),
    }
}

fn domain_of<'a>(case: &Case<'a>) -> Option<&'a Network> {
    case.live.generation.networks.get(case.journey.domain()?.index())
}

/// Why a frame cannot go to a place, by the limits that the stages compare with: only to say of each drop
/// which of several copies it was.
fn refusal(case: &Case<'_>, to: Destination) -> Option<DropReason> {
    let len = case.inner_len();
    let exceeds =
        |port: PortId, len: usize| (len > case.longest(port)).then_some(DropReason::ExceedsPortMtu);
    match to {
        Destination::Port(port) => exceeds(port, len),
        Destination::Tunnel(tunnel) => {
            let tunnel = case.live.generation.tunnels.get(tunnel.index())?;
            let admitted = tunnel.admits(u32::try_from(len).unwrap_or(u32::MAX));
            admitted.err().or_else(|| exceeds(tunnel.port(), len))
        }
    }
}

fn drops(case: &Case<'_>, io: &TracedIo) -> Vec<Dropped> {
    let mut refused = targets(case)
        .into_iter()
        .filter_map(|to| refusal(case, to).map(|reason| (reason, to)))
        .peekable();
    let describe = |drop: &super::io::TracedDrop| {
        let to = refused.next_if(|(reason, _)| *reason == drop.reason).map(|(_, to)| to);
        let (at, port, network) = place(case, drop.site);
        Dropped {
            reason: cause::reason(case, drop.reason, at, to),
            port,
            network,
            to: to.map(|to| case.names.whereabouts(to)),
            length: drop.bytes.len(),
        }
    };
    io.dropped.iter().map(describe).collect()
}

/// The port that a site is at, and the names of port and network as `vswitch show drops` has them.
fn place(case: &Case<'_>, site: Site) -> (PortId, String, String) {
    match site.place() {
        Place::Port(port) => {
            let network = match case.live.topology.role(port) {
                Role::Tenant(domain) => case.names.network(domain),
                _ => String::new(),
            };
            (port, case.names.port(port), network)
        }
        Place::Network(domain) => {
            (case.port(), case.names.port(case.port()), case.names.network(domain))
        }
    }
}

fn was_dropped(case: &Case<'_>, reason: DropReason, at: Option<PortId>) -> Reason {
    let to = targets(case);
    // With one target it was that one. Of several nobody knows.
    let to = if let [one] = to[..] { Some(one) } else { None };
    let to = at.map(Destination::Port).or(to);
    let by_tunnel = targets(case).into_iter().find(|to| matches!(to, Destination::Tunnel(_)));
    let to = match reason {
        DropReason::NextHopUnresolved | DropReason::ExceedsUnderlayMtu => by_tunnel.or(to),
        _ => to,
    };
    cause::reason(case, reason, at.unwrap_or(case.port()), to)
}

fn found_entry(case: &Case<'_>, found: Found) -> Option<FdbEntry> {
    let entry = found.entry()?;
    let age = found.age_secs(case.live.now.secs());
    Some(FdbEntry {
        at: case.names.whereabouts(entry.destination),
        kind: if entry.is_static { EntryKind::Static } else { EntryKind::Learned },
        age_secs: (!entry.is_static).then_some(age),
    })
}

fn lookups(case: &Case<'_>) -> Vec<Lookup> {
    let Some(seen) = case.journey.looked_up() else { return Vec::new() };
    let lookup = |of, (key, found): (Key, Found)| Lookup {
        of,
        network: case.names.network(key.network()),
        mac: key.mac().to_string(),
        entry: found_entry(case, found),
    };
    vec![lookup(Station::Source, seen.source), lookup(Station::Destination, seen.destination)]
}

/// What the control thread would make of an event: see `Learner::handle`.
fn learns(case: &Case<'_>, event: &LearnEvent) -> Learns {
    let known = case.journey.looked_up().and_then(|seen| seen.source.1.destination());
    let (what, from) = match (event.kind, known) {
        (LearnKind::Refresh, _) => (Learning::Refreshed, None),
        (LearnKind::Heard, Some(from)) => (Learning::Moved, Some(case.names.whereabouts(from))),
        (LearnKind::Heard, None) if case.live.fdb_is_full => (Learning::Refused, None),
        (LearnKind::Heard, None) => (Learning::Learned, None),
    };
    Learns {
        what,
        network: case.names.network(event.key.network()),
        mac: event.key.mac().to_string(),
        at: case.names.whereabouts(event.origin),
        from,
    }
}

fn known_text(case: &Case<'_>, found: Found) -> String {
    let Some(entry) = found.entry() else { return "not known".to_owned() };
    let place = case.names.place(entry.destination);
    if entry.is_static {
        return format!("{place}, a static MAC");
    }
    format!("{place}, learned, heard {} s ago", found.age_secs(case.live.now.secs()))
}

/// Says the reason where a stage has dropped the frame.
fn step(stage: Stage, seen: &Seen, says: impl FnOnce() -> String) -> Step {
    match seen.dropped() {
        Some(reason) => {
            Step { drops: true, ..Step::new(stage, format!("dropped: {}", reason.label())) }
        }
        None => Step::new(stage, says()),
    }
}

fn steps(case: &Case<'_>, io: &TracedIo, drops: &[Dropped]) -> Vec<Step> {
    let (names, port) = (case.names, case.port());
    let mut steps = Vec::new();
    if let Entrance::Vtep(vtep, uplink) = case.entrance {
        let says = format!(
            "from the kernel, by host interface {}: to leave by port {}, as it is",
            names.host_interface(vtep),
            names.port(uplink)
        );
        steps.push(Step::new(Stage::Relay, says));
    }
    if let Some(seen) = case.journey.after(Stage::Rx) {
        steps.push(step(Stage::Rx, seen, || {
            format!(
                "{} bytes by port {}, which takes up to {}",
                seen.len,
                names.port(port),
                case.longest(port)
            )
        }));
    }
    if let Some(seen) = case.journey.decided_by(Stage::Parse) {
        steps.push(step(Stage::Parse, seen, || parsed(case, seen)));
    }
    if let Some(seen) = case.journey.decided_by(Stage::Decap)
        && let Some(tunnel) = tunnel(case)
    {
        steps.push(step(Stage::Decap, seen, || {
            let network = seen.domain().map(|domain| names.network(domain)).unwrap_or_default();
            format!(
                "VNI {} is network {network}, {} is one of its remote VTEPs: the outer headers come off",
                tunnel.vni, tunnel.remote_vtep
            )
        }));
    }
    if let Some(seen) = case.journey.looked_up() {
        steps.push(Step::new(Stage::Learn, learned(case, seen, io)));
    }
    if let Some(seen) = case.journey.decided_by(Stage::Forward) {
        let (key, found) = seen.destination;
        let known = known_text(case, found);
        let mut step = step(Stage::Forward, seen, || format!("receiver {} is {known}", key.mac()));
        if step.drops {
            step.says = format!("receiver {} is {known}: {}", key.mac(), step.says);
        } else if seen.verdict == Verdict::Flood {
            let everybody = if key.mac().is_multicast() { "for a group" } else { "not known" };
            step.says =
                format!("receiver {} is {everybody}: to everybody else in the network", key.mac());
        }
        steps.push(step);
    }
    if is_flooded(case) {
        let targets = targets(case);
        let places = targets.iter().map(|to| match to {
            Destination::Port(port) => format!("port {}", names.port(*port)),
            Destination::Tunnel(tunnel) => format!("remote VTEP {}", names.remote(*tunnel)),
        });
        let says = match case.journey.after(Stage::Flood).and_then(Seen::dropped) {
            Some(reason) => format!("dropped: {}", reason.label()),
            None => format!("a copy to each: {}", listed(places)),
        };
        steps.push(Step { drops: targets.is_empty(), ..Step::new(Stage::Flood, says) });
    }
    steps.extend(encapsulation(case, drops));
    steps.extend(end(case, io, drops));
    steps
}

fn parsed(case: &Case<'_>, seen: &Seen) -> String {
    let (names, port) = (case.names, case.port());
    if let Some(Tunnel { vtep, remote_vtep, vni }) = tunnel(case) {
        return format!("a VXLAN frame for VTEP {vtep}, with VNI {vni}, from {remote_vtep}");
    }
    match (seen.verdict, seen.domain()) {
        (Verdict::Punt(vtep), _) => {
            let (name, interface) = (names.vtep(vtep), names.host_interface(vtep));
            format!("no VXLAN for VTEP {name}: for the kernel, by host interface {interface}")
        }
        (_, Some(domain)) => {
            let NetworkName { name, vni } = network_name(case, domain);
            format!("port {} is in network {name} (VNI {vni})", names.port(port))
        }
        _ => format!("port {} is in no network", names.port(port)),
    }
}

fn learned(case: &Case<'_>, seen: &Seen, io: &TracedIo) -> String {
    let (key, found) = seen.source;
    let origin = case.names.place(seen.origin);
    let known = known_text(case, found);
    let then = match io.events.first().map(|event| learns(case, event)) {
        Some(Learns { what: Learning::Learned, .. }) => format!("would be learned {origin}"),
        Some(Learns { what: Learning::Moved, .. }) => format!("would move: it is {origin} now"),
        Some(Learns { what: Learning::Refreshed, .. }) => "would be refreshed".to_owned(),
        Some(Learns { what: Learning::Refused, .. }) => {
            "would not be learned: the table is full ([fdb] capacity)".to_owned()
        }
        None => "nothing to learn".to_owned(),
    };
    format!("sender {} is {known}: {then}", key.mac())
}

fn encapsulation(case: &Case<'_>, drops: &[Dropped]) -> Option<Step> {
    let tunnels: Vec<_> =
        targets(case).into_iter().filter(|to| matches!(to, Destination::Tunnel(_))).collect();
    if tunnels.is_empty() {
        return None;
    }
    let refused =
        drops.iter().filter(|drop| drop.to.as_ref().is_some_and(|to| to.remote_vtep.is_some()));
    let refused: Vec<_> = refused.collect();
    let vni = domain_of(case).map_or(0, |domain| domain.vni.get());
    let done = tunnels.len().saturating_sub(refused.len());
    let mut says = Vec::new();
    if done > 0 {
        let copies = if done == 1 { "the frame".to_owned() } else { format!("{done} copies") };
        says.push(format!("50 bytes of outer headers with VNI {vni} before {copies}"));
    }
    for drop in refused.iter().take(3) {
        let to = drop.to.as_ref().and_then(|to| to.remote_vtep.clone()).unwrap_or_default();
        says.push(format!("to {to} dropped: {}", drop.reason.reason));
    }
    Some(Step { drops: done == 0, ..Step::new(Stage::Encap, says.join("; ")) })
}

fn end(case: &Case<'_>, io: &TracedIo, drops: &[Dropped]) -> Option<Step> {
    let mut says = Vec::new();
    if let Some((vtep, _)) = io.punted.first() {
        says.push(format!("to the kernel, by host interface {}", case.names.host_interface(*vtep)));
    }
    let mut ports: Vec<_> = io.transmitted.iter().map(|(port, _)| case.names.port(*port)).collect();
    ports.sort();
    ports.dedup();
    if !ports.is_empty() {
        says.push(format!("out by port {}", listed(ports)));
    }
    let too_long = DropReason::ExceedsPortMtu.label();
    for drop in drops.iter().filter(|drop| drop.reason.reason == too_long).take(3) {
        let to = drop.to.as_ref().and_then(|to| to.port.clone().or(to.remote_vtep.clone()));
        says.push(format!("to {} dropped: {too_long}", to.unwrap_or_default()));
    }
    let drops = io.punted.is_empty() && io.transmitted.is_empty();
    (!says.is_empty()).then(|| Step { drops, ..Step::new(Stage::Tx, says.join("; ")) })
}

fn summary(
    case: &Case<'_>,
    io: &TracedIo,
    verdict: Outcome,
    leaving: u64,
    drops: &[Dropped],
) -> String {
    let port =
        || io.transmitted.first().map(|(port, _)| case.names.port(*port)).unwrap_or_default();
    let says = match verdict {
        Outcome::Forwarded if tunnel(case).is_some() => {
            format!("leaves by port {}, without its outer headers", port())
        }
        Outcome::Forwarded => format!("leaves by port {}, as it came", port()),
        Outcome::Encapsulated => {
            let to = targets(case).first().map(|to| match to {
                Destination::Tunnel(tunnel) => case.names.remote(*tunnel),
                Destination::Port(port) => case.names.port(*port),
            });
            format!("leaves by port {}, encapsulated for {}", port(), to.unwrap_or_default())
        }
        Outcome::Flooded => {
            let name = case.journey.domain().map(|d| case.names.network(d)).unwrap_or_default();
            let copies =
                if leaving == 1 { "1 copy leaves" } else { &format!("{leaving} copies leave") };
            format!("is flooded in network {name}: {copies}")
        }
        Outcome::Punted => "goes to the kernel".to_owned(),
        Outcome::Relayed => format!("leaves by port {}, as the kernel sent it", port()),
        Outcome::Dropped => {
            let mut reasons: Vec<_> = drops.iter().map(|drop| drop.reason.reason.clone()).collect();
            reasons.dedup();
            // Of one drop its cause fits into the sentence.
            let cause = match drops {
                [one] => format!(": {}", one.reason.cause.configured),
                _ => String::new(),
            };
            return format!("The frame is dropped, {}{cause}.", listed(reasons));
        }
    };
    let also = drops.len() as u64 + io.dropped_more;
    let also = if also > 0 { format!(", and {also} dropped") } else { String::new() };
    format!("The frame {says}{also}.")
}
