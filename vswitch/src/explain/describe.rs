//! The decisions of the stages in sentences, from the state of the frame after each stage.
//!
//! Nothing is decided here.

use super::analysis::Analysis;
use super::answer::{
    Dropped, Explanation, FdbEntry, Frame, Learning, Learns, Lookup, NetworkName, Origin, Outcome,
    Reason, Station, Step, Tunnel,
};
use super::config_names::listed;
use super::drop_causes;
use super::io::TracedIo;
use super::question::{EarlierDrop, Entrance};
use super::stage_log::{FrameState, TracedDrop};
use crate::control::rows::EntryKind;
use crate::datapath::flood;
use crate::datapath::generation::{Entrance as EntersAt, Network};
use crate::datapath::io::{LearnEvent, LearnKind};
use crate::datapath::observer::Stage;
use crate::datapath::tunnel::OUTER_LEN;
use crate::datapath::verdict::Verdict;
use crate::ids::{NetworkId, PortId};
use crate::metrics::counters::{Place, Site};
use crate::metrics::drop_reason::DropReason;
use crate::table::{Destination, Found, Key};
use crate::topology::Role;

/// The explanation without the copies.
pub(super) fn explanation(
    analysis: &Analysis<'_>,
    io: &TracedIo,
    from: Origin,
    was: Option<EarlierDrop>,
) -> Explanation {
    let drops: Vec<_> = drops(analysis);
    let verdict = outcome(analysis, io);
    let leaving = (io.transmitted.len() + io.punted.len()) as u64 + io.transmitted_more;
    Explanation {
        summary: summary(analysis, io, verdict, leaving, &drops),
        verdict,
        from,
        frame: Frame {
            length: analysis.frame.len(),
            hex: crate::hex::text(analysis.frame),
            layers: analysis.layers.to_vec(),
        },
        network: analysis.stage_log.domain().map(|domain| network_name(analysis, domain)),
        tunnel: tunnel(analysis),
        steps: steps(analysis, io, &drops),
        lookups: lookups(analysis),
        learns: io.events.first().map(|event| learns(analysis, event)),
        copies: Vec::new(),
        copies_left_out: io.transmitted_more,
        drops,
        drops_left_out: analysis.stage_log.dropped_more,
        was: was.map(|(reason, at)| was_dropped(analysis, reason, at)),
    }
}

fn network_name(analysis: &Analysis<'_>, domain: NetworkId) -> NetworkName {
    let vni = analysis.live.generation.networks.get(domain.index()).map_or(0, |d| d.vni.get());
    NetworkName { name: analysis.names.network(domain), vni }
}

fn tunnel(analysis: &Analysis<'_>) -> Option<Tunnel> {
    let tunnelled = analysis.stage_log.tunnelled()?;
    let generation = analysis.live.generation;
    let EntersAt::Underlay(underlay) = generation.entrance(analysis.port()) else { return None };
    let vtep = generation.underlays[underlay.index()].vtep;
    let remote_vtep = std::net::Ipv4Addr::from_bits(tunnelled.remote).to_string();
    Some(Tunnel { vtep: analysis.names.vtep(vtep), remote_vtep, vni: tunnelled.vni })
}

fn is_flooded(analysis: &Analysis<'_>) -> bool {
    analysis.stage_log.decided_by(Stage::Forward).is_some_and(|seen| seen.verdict == Verdict::Flood)
}

fn outcome(analysis: &Analysis<'_>, io: &TracedIo) -> Outcome {
    if io.transmitted.is_empty() && io.punted.is_empty() {
        return Outcome::Dropped;
    }
    if !io.punted.is_empty() {
        return Outcome::Punted;
    }
    match (analysis.entrance, analysis.stage_log.after(Stage::Forward).map(|seen| seen.verdict)) {
        (Entrance::Vtep(..), _) => Outcome::Relayed,
        (_, Some(Verdict::Flood)) => Outcome::Flooded,
        (_, Some(Verdict::Encapsulate(_))) => Outcome::Encapsulated,
        _ => Outcome::Forwarded,
    }
}

/// Where the frame was to go, in the order of the stages.
fn targets(analysis: &Analysis<'_>) -> Vec<Destination> {
    if let Entrance::Vtep(_, uplink) = analysis.entrance {
        return vec![Destination::Port(uplink)];
    }
    let Some(seen) = analysis.stage_log.decided_by(Stage::Forward) else { return Vec::new() };
    match seen.verdict {
        Verdict::Forward(port) => vec![Destination::Port(port)],
        Verdict::Encapsulate(tunnel) => vec![Destination::Tunnel(tunnel)],
        Verdict::Flood => {
            let Some(domain) = domain_of(analysis) else { return Vec::new() };
            let (ports, tunnels) = flood::targets(domain, seen.origin.into());
            let tunnels = tunnels.iter().map(|tunnel| Destination::Tunnel(*tunnel));
            ports.map(Destination::Port).chain(tunnels).collect()
        }
        _ => Vec::new(),
    }
}

fn domain_of<'a>(analysis: &Analysis<'a>) -> Option<&'a Network> {
    analysis.live.generation.networks.get(analysis.stage_log.domain()?.index())
}

/// Why a copy cannot go to a destination, by the limits that the stages check. It only serves to
/// tell which of several copies a drop was.
fn refusal(analysis: &Analysis<'_>, to: Destination) -> Option<DropReason> {
    let len = analysis.inner_len();
    match to {
        Destination::Port(port) => {
            (len > analysis.longest(port)).then_some(DropReason::ExceedsPortMtu)
        }
        Destination::Tunnel(tunnel) => {
            let tunnel = analysis.live.generation.tunnels.get(tunnel.index())?;
            tunnel.check(u32::try_from(len).unwrap_or(u32::MAX)).err()
        }
    }
}

fn drops(analysis: &Analysis<'_>) -> Vec<Dropped> {
    let mut refused = targets(analysis)
        .into_iter()
        .filter_map(|to| refusal(analysis, to).map(|reason| (reason, to)))
        .peekable();
    let describe = |drop: &TracedDrop| {
        let to = refused.next_if(|(reason, _)| *reason == drop.reason).map(|(_, to)| to);
        let (at, port, network) = site_names(analysis, drop.site);
        Dropped {
            reason: drop_causes::reason(analysis, drop.reason, at, to),
            port,
            network,
            to: to.map(|to| analysis.names.whereabouts(to)),
            length: drop.bytes.len(),
        }
    };
    analysis.stage_log.dropped.iter().map(describe).collect()
}

/// The port of a site, and the names of port and network as in `vswitch show drops`.
fn site_names(analysis: &Analysis<'_>, site: Site) -> (PortId, String, String) {
    match site.place() {
        Place::Port(port) => {
            let network = match analysis.live.topology.role(port) {
                Role::Tenant(domain) => analysis.names.network(domain),
                _ => String::new(),
            };
            (port, analysis.names.port(port), network)
        }
        Place::Network(domain) => {
            (analysis.port(), analysis.names.port(analysis.port()), analysis.names.network(domain))
        }
    }
}

fn was_dropped(analysis: &Analysis<'_>, reason: DropReason, at: Option<PortId>) -> Reason {
    let to = targets(analysis);
    // Of several targets nobody knows which it was.
    let to = if let [one] = to[..] { Some(one) } else { None };
    let to = at.map(Destination::Port).or(to);
    let by_tunnel = targets(analysis).into_iter().find(|to| matches!(to, Destination::Tunnel(_)));
    let to = match reason {
        DropReason::NextHopUnresolved | DropReason::ExceedsUnderlayMtu => by_tunnel.or(to),
        _ => to,
    };
    drop_causes::reason(analysis, reason, at.unwrap_or(analysis.port()), to)
}

fn found_entry(analysis: &Analysis<'_>, found: Found) -> Option<FdbEntry> {
    let entry = found.entry()?;
    let age = found.age_secs(analysis.live.now.secs());
    Some(FdbEntry {
        at: analysis.names.whereabouts(entry.destination),
        kind: if entry.is_static { EntryKind::Static } else { EntryKind::Learned },
        age_secs: (!entry.is_static).then_some(age),
    })
}

fn lookups(analysis: &Analysis<'_>) -> Vec<Lookup> {
    let Some(seen) = analysis.stage_log.looked_up() else { return Vec::new() };
    let lookup = |of, (key, found): (Key, Found)| Lookup {
        of,
        network: analysis.names.network(key.network()),
        mac: key.mac().to_string(),
        entry: found_entry(analysis, found),
    };
    vec![lookup(Station::Source, seen.source), lookup(Station::Destination, seen.destination)]
}

/// What the control thread would do with an event: see `Learner::handle`.
fn learns(analysis: &Analysis<'_>, event: &LearnEvent) -> Learns {
    let known = analysis.stage_log.looked_up().and_then(|seen| seen.source.1.destination());
    let (what, from) = match (event.kind, known) {
        (LearnKind::Refresh, _) => (Learning::Refreshed, None),
        (LearnKind::Heard, Some(from)) => (Learning::Moved, Some(analysis.names.whereabouts(from))),
        (LearnKind::Heard, None) if analysis.live.fdb_is_full => (Learning::Refused, None),
        (LearnKind::Heard, None) => (Learning::Learned, None),
    };
    Learns {
        what,
        network: analysis.names.network(event.key.network()),
        mac: event.key.mac().to_string(),
        at: analysis.names.whereabouts(event.origin),
        from,
    }
}

fn known_text(analysis: &Analysis<'_>, found: Found) -> String {
    let Some(entry) = found.entry() else { return "unknown".to_owned() };
    let location = analysis.names.location(entry.destination);
    if entry.is_static {
        return format!("{location} (static)");
    }
    format!("{location} (learned, heard {} s ago)", found.age_secs(analysis.live.now.secs()))
}

/// What a stage did: the drop reason if it dropped the frame, otherwise `says`.
fn step(stage: Stage, seen: &FrameState, says: impl FnOnce() -> String) -> Step {
    match seen.dropped() {
        Some(reason) => {
            Step { drops: true, ..Step::new(stage, format!("dropped: {}", reason.label())) }
        }
        None => Step::new(stage, says()),
    }
}

fn steps(analysis: &Analysis<'_>, io: &TracedIo, drops: &[Dropped]) -> Vec<Step> {
    let (names, port) = (analysis.names, analysis.port());
    let mut steps = Vec::new();
    if let Entrance::Vtep(vtep, uplink) = analysis.entrance {
        let says = format!(
            "from the kernel, through host interface {}: leaves by port {} unchanged",
            names.host_interface(vtep),
            names.port(uplink)
        );
        steps.push(Step::new(Stage::Relay, says));
    }
    if let Some(seen) = analysis.stage_log.after(Stage::Rx) {
        steps.push(step(Stage::Rx, seen, || {
            format!(
                "{} bytes on port {}, which accepts up to {}",
                seen.len,
                names.port(port),
                analysis.longest(port)
            )
        }));
    }
    if let Some(seen) = analysis.stage_log.decided_by(Stage::Parse) {
        steps.push(step(Stage::Parse, seen, || parsed(analysis, seen)));
    }
    if let Some(seen) = analysis.stage_log.decided_by(Stage::Decap)
        && let Some(tunnel) = tunnel(analysis)
    {
        steps.push(step(Stage::Decap, seen, || {
            let network = seen.domain().map(|domain| names.network(domain)).unwrap_or_default();
            format!(
                "VNI {} is network {network}, {} is one of its remote VTEPs: outer headers removed",
                tunnel.vni, tunnel.remote_vtep
            )
        }));
    }
    if let Some(seen) = analysis.stage_log.looked_up() {
        steps.push(Step::new(Stage::Learn, learned(analysis, seen, io)));
    }
    if let Some(seen) = analysis.stage_log.decided_by(Stage::Forward) {
        let (key, found) = seen.destination;
        let known = known_text(analysis, found);
        let mut step = step(Stage::Forward, seen, || format!("receiver {} is {known}", key.mac()));
        if step.drops {
            step.says = format!("receiver {} is {known}: {}", key.mac(), step.says);
        } else if seen.verdict == Verdict::Flood {
            let kind = if key.mac().is_multicast() { "a group address" } else { "unknown" };
            step.says = format!("receiver {} is {kind}: flooded", key.mac());
        }
        steps.push(step);
    }
    if is_flooded(analysis) {
        let targets = targets(analysis);
        let destinations = targets.iter().map(|to| match to {
            Destination::Port(port) => format!("port {}", names.port(*port)),
            Destination::Tunnel(tunnel) => format!("remote VTEP {}", names.remote(*tunnel)),
        });
        let says = match analysis.stage_log.after(Stage::Flood).and_then(FrameState::dropped) {
            Some(reason) => format!("dropped: {}", reason.label()),
            None => format!("one copy each to {}", listed(destinations)),
        };
        steps.push(Step { drops: targets.is_empty(), ..Step::new(Stage::Flood, says) });
    }
    steps.extend(encapsulation(analysis, drops));
    steps.extend(end(analysis, io, drops));
    steps
}

fn parsed(analysis: &Analysis<'_>, seen: &FrameState) -> String {
    let (names, port) = (analysis.names, analysis.port());
    if let Some(Tunnel { vtep, remote_vtep, vni }) = tunnel(analysis) {
        return format!("a VXLAN frame for VTEP {vtep}, with VNI {vni}, from {remote_vtep}");
    }
    match (seen.verdict, seen.domain()) {
        (Verdict::Punt(vtep), _) => {
            let (name, interface) = (names.vtep(vtep), names.host_interface(vtep));
            format!("not VXLAN for VTEP {name}: to the kernel, through host interface {interface}")
        }
        (_, Some(domain)) => {
            let NetworkName { name, vni } = network_name(analysis, domain);
            format!("port {} is in network {name} (VNI {vni})", names.port(port))
        }
        _ => format!("port {} is in no network", names.port(port)),
    }
}

fn learned(analysis: &Analysis<'_>, seen: &FrameState, io: &TracedIo) -> String {
    let (key, found) = seen.source;
    let origin = analysis.names.location(seen.origin);
    let known = known_text(analysis, found);
    let then = match io.events.first().map(|event| learns(analysis, event)) {
        Some(Learns { what: Learning::Learned, .. }) => format!("would be learned {origin}"),
        Some(Learns { what: Learning::Moved, .. }) => format!("would move to {origin}"),
        Some(Learns { what: Learning::Refreshed, .. }) => "would be refreshed".to_owned(),
        Some(Learns { what: Learning::Refused, .. }) => {
            "would not be learned: the table is full ([fdb] capacity)".to_owned()
        }
        None => "nothing to learn".to_owned(),
    };
    format!("sender {} is {known}: {then}", key.mac())
}

fn encapsulation(analysis: &Analysis<'_>, drops: &[Dropped]) -> Option<Step> {
    let tunnels: Vec<_> =
        targets(analysis).into_iter().filter(|to| matches!(to, Destination::Tunnel(_))).collect();
    if tunnels.is_empty() {
        return None;
    }
    let refused =
        drops.iter().filter(|drop| drop.to.as_ref().is_some_and(|to| to.remote_vtep.is_some()));
    let refused: Vec<_> = refused.collect();
    let vni = domain_of(analysis).map_or(0, |domain| domain.vni.get());
    let done = tunnels.len().saturating_sub(refused.len());
    let mut says = Vec::new();
    if done > 0 {
        let copies = if done == 1 { String::new() } else { format!(" to {done} copies") };
        says.push(format!("adds {OUTER_LEN} bytes of outer headers with VNI {vni}{copies}"));
    }
    for drop in refused.iter().take(3) {
        let to = drop.to.as_ref().and_then(|to| to.remote_vtep.clone()).unwrap_or_default();
        says.push(format!("to {to} dropped: {}", drop.reason.reason));
    }
    Some(Step { drops: done == 0, ..Step::new(Stage::Encap, says.join("; ")) })
}

fn end(analysis: &Analysis<'_>, io: &TracedIo, drops: &[Dropped]) -> Option<Step> {
    let mut says = Vec::new();
    if let Some((vtep, _)) = io.punted.first() {
        says.push(format!(
            "to the kernel, through host interface {}",
            analysis.names.host_interface(*vtep)
        ));
    }
    let mut ports: Vec<_> =
        io.transmitted.iter().map(|(port, _)| analysis.names.port(*port)).collect();
    ports.sort();
    ports.dedup();
    if !ports.is_empty() {
        says.push(format!("leaves by port {}", listed(ports)));
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
    analysis: &Analysis<'_>,
    io: &TracedIo,
    verdict: Outcome,
    leaving: u64,
    drops: &[Dropped],
) -> String {
    let port =
        || io.transmitted.first().map(|(port, _)| analysis.names.port(*port)).unwrap_or_default();
    let says = match verdict {
        Outcome::Forwarded if tunnel(analysis).is_some() => {
            format!("leaves by port {}, without its outer headers", port())
        }
        Outcome::Forwarded => format!("leaves by port {} unchanged", port()),
        Outcome::Encapsulated => {
            let to = targets(analysis).first().map(|to| match to {
                Destination::Tunnel(tunnel) => analysis.names.remote(*tunnel),
                Destination::Port(port) => analysis.names.port(*port),
            });
            format!("leaves by port {}, encapsulated for {}", port(), to.unwrap_or_default())
        }
        Outcome::Flooded => {
            let name =
                analysis.stage_log.domain().map(|d| analysis.names.network(d)).unwrap_or_default();
            let copies =
                if leaving == 1 { "1 copy leaves" } else { &format!("{leaving} copies leave") };
            format!("is flooded in network {name}: {copies}")
        }
        Outcome::Punted => "goes to the kernel".to_owned(),
        Outcome::Relayed => format!("leaves by port {}, as the kernel sent it", port()),
        Outcome::Dropped => {
            let mut reasons: Vec<_> = drops.iter().map(|drop| drop.reason.reason.clone()).collect();
            reasons.dedup();
            // The sentence has room for the cause of a single drop.
            let cause = match drops {
                [one] => format!(": {}", one.reason.cause.configured),
                _ => String::new(),
            };
            return format!("The frame is dropped, {}{cause}.", listed(reasons));
        }
    };
    let also = drops.len() as u64 + analysis.stage_log.dropped_more;
    let also = if also > 0 { format!(", and {also} dropped") } else { String::new() };
    format!("The frame {says}{also}.")
}
