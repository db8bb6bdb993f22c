//! The part of a snapshot that the page receives, bounded in size.
//!
//! A switch may have 10,000 networks, each with many ports and remote VTEPs. The page receives the
//! most active ones, in the order of the configuration, and the total numbers; a filter finds the
//! others. So a response stays below 500 KB, whatever the size of the switch.

use std::collections::HashSet;

use serde::Serialize;

use super::snapshot::{Activity, Snapshot, Traffic};
use crate::control::captures::KeptDrop;
use crate::control::rows::{
    DropRow, NetworkRow, NextHopState, PortRow, RemoteRow, Role, VtepRow, WorkerRow,
};
use crate::decode;

/// The most networks in a response.
pub const MAX_NETWORKS: usize = 200;
/// The most ports in a response: uplinks first, then ports of its networks, then others.
pub const MAX_PORTS: usize = 200;
/// The most remote VTEPs of a local VTEP in a response: unresolved ones first.
const MAX_REMOTES: usize = 200;
/// The most local VTEPs in a response: those of its networks first.
const MAX_VTEPS: usize = 32;
/// The most rows of drops in a response: those with the most frames.
const MAX_DROPS: usize = 200;
/// The most dropped frames in a response: the newest.
pub const MAX_FRAMES: usize = 50;
/// The most names in a list within a row.
const MAX_NAMES: usize = 16;

/// The response.
#[derive(Debug, Serialize)]
pub(super) struct View<'s> {
    version: &'s str,
    host: &'s str,
    generation: u64,
    /// The time for rates: [`Snapshot::micros`].
    micros: u64,
    unix_millis: u64,
    started_unix_millis: u64,
    /// Sums over all rows, including those that the response leaves out.
    totals: Totals,
    ports: List<&'s PortRow>,
    networks: List<NetworkView<'s>>,
    vteps: List<VtepView<'s>>,
    workers: &'s [WorkerRow],
    drops: List<&'s DropRow>,
    frames: Frames<'s>,
}

/// Part of a list.
#[derive(Debug, Serialize)]
struct List<T> {
    /// The number of all rows.
    count: usize,
    /// The number of rows that match the filter.
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

/// A network, with the first names of its lists.
#[derive(Debug, Serialize)]
struct NetworkView<'s> {
    /// The index in the configuration, which selects the colour.
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
    /// Frames of its ports, and drops.
    frames: u64,
}

/// The last dropped frames.
#[derive(Debug, Serialize)]
struct Frames<'s> {
    /// Why their contents are left out.
    withheld: Option<&'s str>,
    /// The number of frames that the switch keeps.
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
    /// The length of the whole frame in bytes.
    len: usize,
    /// The decoded frame in one line; `None` if contents are withheld.
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
    /// The number of unresolved ones among all its remote VTEPs.
    unresolved: usize,
}

#[derive(Debug, Serialize)]
struct RemoteView<'s> {
    address: &'s str,
    /// Networks of the response first, then others.
    networks: Vec<&'s str>,
    network_count: usize,
    next_hop: Option<&'s str>,
    next_hop_mac: Option<&'s str>,
    state: NextHopState,
    reason: Option<&'s str>,
}

impl<'s> FrameView<'s> {
    fn of(kept: &'s KeptDrop, with_contents: bool, udp_ports: &[u16]) -> Self {
        Self {
            unix_micros: kept.unix_nanos / 1000,
            reason: kept.frame.reason.label(),
            port: &kept.port,
            network: &kept.network,
            generation: kept.frame.generation,
            len: kept.frame.len,
            summary: with_contents.then(|| decode::line(kept.frame.bytes(), udp_ports)),
        }
    }
}

impl<'s> View<'s> {
    /// Selects the rows that match the filter. `withheld` is a reason to leave out the contents of
    /// frames.
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

/// Keeps the `limit` rows of the highest rank, in their order.
fn best<T, K: Ord>(
    rows: impl Iterator<Item = T>,
    limit: usize,
    rank: impl Fn(&T) -> K,
) -> (usize, Vec<T>) {
    let mut ranked: Vec<_> = rows.enumerate().collect();
    let matching = ranked.len();
    if matching > limit {
        ranked.sort_by_cached_key(|(index, row)| (std::cmp::Reverse(rank(row)), *index));
        ranked.truncate(limit);
        ranked.sort_unstable_by_key(|(index, _)| *index);
    }
    (matching, ranked.into_iter().map(|(_, row)| row).collect())
}

fn head(names: &[String]) -> &[String] {
    &names[..names.len().min(MAX_NAMES)]
}

/// Whether the filter is part of the name of the network or one of its ports, or equals the VNI or
/// the address of a remote VTEP.
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
    // Ranks are powers of two, so that small changes do not replace networks.
    let rank = |(_, (_, activity)): &(usize, (&NetworkRow, &Activity))| {
        u64::BITS - activity.increase.leading_zeros()
    };
    let (matching, rows) = best(wanted, MAX_NETWORKS, rank);
    let view = |(index, (row, activity)): (usize, (&'s NetworkRow, &Activity))| NetworkView {
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
        frames: activity.frames,
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
        assert_eq!(last, ["2001:db8::900", "2001:db8::950"], "in their order");
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
            frames: 0,
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
