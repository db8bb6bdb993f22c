//! What the page is sent: `GET /page.json`, the API's rows, and of each list as many as a browser can show.
//!
//! A switch can have 10,000 networks, each with many ports and remote VTEPs. The page gets those with the most going on,
//! in the order of the configuration, and how many there are; a filter finds the others. So an answer stays
//! below 500 KB, whatever the switch has.

use std::collections::HashSet;

use serde::Serialize;

use super::snapshot::{Snapshot, Traffic};
use crate::control::captures::KeptDrop;
use crate::control::rows::{
    DropRow, NetworkRow, NextHopState, PortRow, RemoteRow, Role, VtepRow, WorkerRow,
};
use crate::decode;

/// Networks in an answer.
pub const MAX_NETWORKS: usize = 200;
/// Ports in an answer: uplinks, those of the networks, and others if there is room.
pub const MAX_PORTS: usize = 200;
/// Remote VTEPs in an answer, of each local VTEP: the unresolved ones first.
const MAX_REMOTES: usize = 200;
/// Local VTEPs in an answer: those of the networks first.
const MAX_VTEPS: usize = 32;
/// Rows of drops in an answer: those with the most frames.
const MAX_DROPS: usize = 200;
/// Frames in an answer: the newest.
pub const MAX_FRAMES: usize = 50;
/// Names in a list within a row.
const MAX_NAMES: usize = 16;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct View<'s> {
    version: &'s str,
    host: &'s str,
    generation: u64,
    /// See [`Snapshot::micros`]: what rates are made with.
    micros: u64,
    unix_millis: u64,
    started_unix_millis: u64,
    /// Sums over all, shown or not.
    totals: Totals,
    ports: List<&'s PortRow>,
    networks: List<NetworkView<'s>>,
    vteps: List<VtepView<'s>>,
    workers: &'s [WorkerRow],
    drops: List<&'s DropRow>,
    frames: Frames<'s>,
}

/// Some of a list.
#[derive(Debug, Serialize)]
struct List<T> {
    /// How many there are.
    count: usize,
    /// How many the filter selects.
    matching: usize,
    rows: Vec<T>,
}

#[derive(Debug, Serialize)]
struct Totals {
    tenants: Traffic,
    uplinks: Traffic,
    dropped: u64,
    fdb_entries: u64,
    unaccounted: i64,
}

/// A network, with the beginnings of its lists.
#[derive(Debug, Serialize)]
struct NetworkView<'s> {
    /// Its place in the configuration, for a colour that stays.
    index: usize,
    name: &'s str,
    vni: u32,
    vtep: Option<&'s str>,
    ports: &'s [String],
    port_count: usize,
    remote_vteps: &'s [String],
    remote_vtep_count: usize,
    mac_ageing_secs: u32,
    fdb_entries: u64,
    fdb_moves: u64,
    fdb_refused: u64,
    drops: u64,
}

/// The frames that were dropped last.
#[derive(Debug, Serialize)]
struct Frames<'s> {
    /// Why what they say is left out.
    withheld: Option<&'s str>,
    /// How many are kept.
    count: usize,
    /// The newest first.
    rows: Vec<FrameView<'s>>,
}

#[derive(Debug, Serialize)]
struct FrameView<'s> {
    unix_micros: u64,
    reason: &'static str,
    port: &'s str,
    network: &'s str,
    generation: u64,
    /// Of the whole frame, in bytes.
    len: usize,
    /// Who sends to whom, and what; nothing of it if it is withheld.
    summary: Option<String>,
}

#[derive(Debug, Serialize)]
struct VtepView<'s> {
    name: &'s str,
    address: &'s str,
    udp_port: u16,
    port: &'s str,
    mac: &'s str,
    host_interface: &'s str,
    punted_packets: u64,
    host_packets: u64,
    remotes: List<RemoteView<'s>>,
    /// Of all its remote VTEPs.
    unresolved: usize,
}

#[derive(Debug, Serialize)]
struct RemoteView<'s> {
    address: &'s str,
    /// Those in the answer, then others.
    networks: Vec<&'s str>,
    network_count: usize,
    next_hop: Option<&'s str>,
    next_hop_mac: Option<&'s str>,
    state: NextHopState,
    reason: Option<&'s str>,
}

impl<'s> FrameView<'s> {
    fn of(kept: &'s KeptDrop, says: bool, udp_ports: &[u16]) -> Self {
        Self {
            unix_micros: kept.unix_nanos / 1000,
            reason: kept.frame.reason.label(),
            port: &kept.port,
            network: &kept.network,
            generation: kept.frame.generation,
            len: kept.frame.len,
            summary: says.then(|| decode::line(kept.frame.bytes(), udp_ports)),
        }
    }
}

impl<'s> View<'s> {
    /// With the networks that the filter selects. What frames say is left out if there is a reason for it.
    pub(super) fn of(snapshot: &'s Snapshot, filter: &str, withheld: Option<&'s str>) -> Self {
        let networks = networks(snapshot, filter);
        let shown: HashSet<&str> = networks.rows.iter().map(|network| network.name).collect();
        Self {
            version: &snapshot.status.version,
            host: &snapshot.status.host,
            generation: snapshot.status.generation,
            micros: snapshot.micros,
            unix_millis: snapshot.unix_millis,
            started_unix_millis: snapshot.status.started_unix_millis,
            totals: totals(snapshot),
            ports: ports(&snapshot.ports, &shown, !filter.is_empty()),
            vteps: vteps(snapshot, &networks.rows, &shown, !filter.is_empty()),
            networks,
            workers: &snapshot.workers,
            drops: drops(&snapshot.drops),
            frames: frames(snapshot, withheld),
        }
    }
}

/// The `limit` best of those that are wanted, in the order that they had.
fn best<T, K: Ord>(
    rows: impl Iterator<Item = T>,
    limit: usize,
    rank: impl Fn(&T) -> K,
) -> (usize, Vec<T>) {
    let mut ranked: Vec<_> = rows.enumerate().collect();
    let matching = ranked.len();
    if matching > limit {
        ranked.sort_by_cached_key(|(place, row)| (std::cmp::Reverse(rank(row)), *place));
        ranked.truncate(limit);
        ranked.sort_unstable_by_key(|(place, _)| *place);
    }
    (matching, ranked.into_iter().map(|(_, row)| row).collect())
}

fn head(names: &[String]) -> &[String] {
    &names[..names.len().min(MAX_NAMES)]
}

/// Whether the filter is part of its name or a port's, a remote VTEP's address, or its VNI.
fn selects(filter: &str, network: &NetworkRow) -> bool {
    let filter = filter.to_lowercase();
    let within = |name: &String| name.to_lowercase().contains(&filter);
    within(&network.name)
        || network.vni.to_string() == filter
        || network.ports.iter().any(within)
        || network.remote_vteps.contains(&filter)
}

fn networks<'s>(snapshot: &'s Snapshot, filter: &str) -> List<NetworkView<'s>> {
    let all = snapshot.networks.iter().zip(&snapshot.activity).enumerate();
    let wanted = all.filter(|(_, (network, _))| filter.is_empty() || selects(filter, network));
    // Powers of two, so that not every small change brings others.
    let rank = |(_, (_, active)): &(usize, (&NetworkRow, &u64))| u64::BITS - active.leading_zeros();
    let (matching, rows) = best(wanted, MAX_NETWORKS, rank);
    let view = |(index, (row, _)): (usize, (&'s NetworkRow, &u64))| NetworkView {
        index,
        name: &row.name,
        vni: row.vni,
        vtep: row.vtep.as_deref(),
        ports: head(&row.ports),
        port_count: row.ports.len(),
        remote_vteps: head(&row.remote_vteps),
        remote_vtep_count: row.remote_vteps.len(),
        mac_ageing_secs: row.mac_ageing_secs,
        fdb_entries: row.fdb_entries,
        fdb_moves: row.fdb_moves,
        fdb_refused: row.fdb_refused,
        drops: row.drops,
    };
    List { count: snapshot.networks.len(), matching, rows: rows.into_iter().map(view).collect() }
}

fn ports<'s>(all: &'s [PortRow], shown: &HashSet<&str>, filtered: bool) -> List<&'s PortRow> {
    let is_shown =
        |port: &PortRow| port.members.iter().any(|member| shown.contains(&*member.network));
    let wanted = all.iter().filter(|port| !filtered || port.role == Role::Uplink || is_shown(port));
    let rank = |port: &&PortRow| (port.role == Role::Uplink, is_shown(port));
    let (matching, rows) = best(wanted, MAX_PORTS, rank);
    List { count: all.len(), matching, rows }
}

fn vteps<'s>(
    snapshot: &'s Snapshot,
    networks: &[NetworkView<'s>],
    shown: &HashSet<&str>,
    filtered: bool,
) -> List<VtepView<'s>> {
    let carrying: HashSet<&str> = networks.iter().filter_map(|network| network.vtep).collect();
    let carries = |row: &VtepRow| carrying.contains(row.name.as_str());
    let wanted = snapshot.vteps.iter().filter(|row| !filtered || carries(row));
    let (matching, rows) = best(wanted, MAX_VTEPS, |row| carries(row));
    let rows = rows.into_iter().map(|row| vtep(row, shown, filtered)).collect();
    List { count: snapshot.vteps.len(), matching, rows }
}

fn vtep<'s>(row: &'s VtepRow, shown: &HashSet<&str>, filtered: bool) -> VtepView<'s> {
    let is_shown =
        |remote: &RemoteRow| remote.networks.iter().any(|name| shown.contains(name.as_str()));
    let is_unresolved = |remote: &RemoteRow| remote.state == NextHopState::Unresolved;
    let wanted = row.remotes.iter().filter(|remote| !filtered || is_shown(remote));
    let rank = |remote: &&RemoteRow| (is_unresolved(remote), is_shown(remote));
    let (matching, rows) = best(wanted, MAX_REMOTES, rank);
    let view = |remote: &'s RemoteRow| {
        let names = remote.networks.iter().map(String::as_str);
        let (_, networks) = best(names, MAX_NAMES, |name| shown.contains(name));
        RemoteView {
            address: &remote.address,
            networks,
            network_count: remote.networks.len(),
            next_hop: remote.next_hop.as_deref(),
            next_hop_mac: remote.next_hop_mac.as_deref(),
            state: remote.state,
            reason: remote.reason.as_deref(),
        }
    };
    VtepView {
        name: &row.name,
        address: &row.address,
        udp_port: row.udp_port,
        port: &row.port,
        mac: &row.mac,
        host_interface: &row.host_interface,
        punted_packets: row.punted_packets,
        host_packets: row.host_packets,
        remotes: List {
            count: row.remotes.len(),
            matching,
            rows: rows.into_iter().map(view).collect(),
        },
        unresolved: row.remotes.iter().filter(|remote| is_unresolved(remote)).count(),
    }
}

fn drops(all: &[DropRow]) -> List<&DropRow> {
    let (matching, rows) = best(all.iter(), MAX_DROPS, |row| row.packets);
    List { count: all.len(), matching, rows }
}

fn frames<'s>(snapshot: &'s Snapshot, withheld: Option<&'s str>) -> Frames<'s> {
    let all = &snapshot.frames;
    let udp_ports: Vec<_> = snapshot.vteps.iter().map(|vtep| vtep.udp_port).collect();
    let newest = all.iter().rev().take(MAX_FRAMES);
    let rows = newest.map(|kept| FrameView::of(kept, withheld.is_none(), &udp_ports)).collect();
    Frames { withheld, count: all.len(), rows }
}

fn totals(snapshot: &Snapshot) -> Totals {
    Totals {
        tenants: snapshot.tenants,
        uplinks: snapshot.uplinks,
        dropped: snapshot.status.dropped,
        fdb_entries: snapshot.networks.iter().map(|network| network.fdb_entries).sum(),
        unaccounted: snapshot.status.unaccounted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(n: usize, state: NextHopState, networks: &[&str]) -> RemoteRow {
        RemoteRow {
            address: format!("2001:db8::{n}"),
            networks: networks.iter().map(|&name| name.to_owned()).collect(),
            next_hop: None,
            next_hop_mac: None,
            state,
            reason: None,
        }
    }

    fn row(remotes: Vec<RemoteRow>) -> VtepRow {
        VtepRow {
            name: "fabric".to_owned(),
            address: "198.51.100.1/24".to_owned(),
            udp_port: 4789,
            port: "uplink".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            host_interface: "vtep0".to_owned(),
            punted_packets: 0,
            host_packets: 0,
            remotes,
        }
    }

    #[test]
    fn of_many_remote_vteps_the_unresolved_are_not_left_out() {
        let state = |n| match n {
            900 | 950 => NextHopState::Unresolved,
            _ => NextHopState::Resolved,
        };
        let row = row((0..1_000).map(|n| remote(n, state(n), &["blue"])).collect());
        let shown = HashSet::from(["blue"]);
        let view = vtep(&row, &shown, false);
        assert_eq!(
            (view.remotes.count, view.remotes.rows.len(), view.unresolved),
            (1_000, MAX_REMOTES, 2)
        );
        let last: Vec<_> = view.remotes.rows[MAX_REMOTES - 2..].iter().map(|r| r.address).collect();
        assert_eq!(last, ["2001:db8::900", "2001:db8::950"], "in the order that they had");
    }

    #[test]
    fn a_filter_leaves_the_remote_vteps_of_what_it_selects() {
        let resolved = NextHopState::Resolved;
        let row = row(vec![remote(1, resolved, &["red"]), remote(2, resolved, &["red", "blue"])]);
        let shown = HashSet::from(["blue"]);
        assert_eq!(vtep(&row, &shown, false).remotes.rows.len(), 2);
        let filtered = vtep(&row, &shown, true);
        assert_eq!((filtered.remotes.count, filtered.remotes.matching), (2, 1));
        assert_eq!(filtered.remotes.rows[0].address, "2001:db8::2");
    }

    #[test]
    fn of_many_vteps_those_of_the_networks_are_not_left_out() {
        let names = || (0..2 * MAX_VTEPS).map(|n| format!("vtep-{n}"));
        let vteps = names().map(|name| VtepRow { name, ..row(Vec::new()) }).collect();
        let snapshot = Snapshot { vteps, ..Snapshot::default() };
        let last = names().next_back().unwrap();
        let network = NetworkView {
            index: 0,
            name: "blue",
            vni: 1,
            vtep: Some(&last),
            ports: &[],
            port_count: 0,
            remote_vteps: &[],
            remote_vtep_count: 0,
            mac_ageing_secs: 0,
            fdb_entries: 0,
            fdb_moves: 0,
            fdb_refused: 0,
            drops: 0,
        };
        let shown = HashSet::from(["blue"]);
        let all = super::vteps(&snapshot, std::slice::from_ref(&network), &shown, false);
        assert_eq!((all.count, all.matching, all.rows.len()), (64, 64, MAX_VTEPS));
        assert_eq!(all.rows[MAX_VTEPS - 1].name, last);
        let filtered = super::vteps(&snapshot, &[network], &shown, true);
        assert_eq!((filtered.count, filtered.matching, filtered.rows.len()), (64, 1, 1));
        assert_eq!(filtered.rows[0].name, last);
    }

    #[test]
    fn of_many_names_those_that_are_shown_come_in() {
        let names: Vec<_> = (0..100).map(|n| format!("n{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let row = row(vec![remote(1, NextHopState::Resolved, &names)]);
        let shown = HashSet::from(["n99"]);
        let view = vtep(&row, &shown, false);
        let remote = &view.remotes.rows[0];
        assert_eq!((remote.networks.len(), remote.network_count), (MAX_NAMES, 100));
        assert!(remote.networks.contains(&"n99") && remote.networks.contains(&"n0"));
    }

    #[test]
    fn the_best_keep_their_order() {
        let (matching, kept) = best([3, 9, 1, 7, 9].into_iter(), 3, |n| *n);
        assert_eq!((matching, kept), (5, vec![9, 7, 9]));
        let (matching, kept) = best([5, 5, 5].into_iter(), 2, |n| *n);
        assert_eq!((matching, kept), (3, vec![5, 5]));
    }
}
