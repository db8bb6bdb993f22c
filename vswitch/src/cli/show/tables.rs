//! Rows of the API as tables.

use crate::cli::terminal::Look;
use crate::cli::text_table::TextTable;
use crate::config::document::MacDocument;
use crate::control::rows::{
    DropRow, EntryKind, FdbRow, Link, NetworkRow, NextHopState, PortRow, Role, VtepRow, WorkerRow,
};
use crate::text::count;

/// Stands for a missing value.
const NONE: &str = "-";

pub(super) fn ports(rows: &[PortRow], look: Look) -> String {
    let mut table = TextTable::new(
        &["PORT", "ROLE", "OF", "LINK", "DRIVER", "MAC", "NUMA", "MTU", "RXQ", "TXQ"],
        &["RECEIVED", "BYTES", "SENT", "BYTES", "DROPS"],
    );
    for row in rows {
        table.add(vec![
            row.name.clone(),
            match row.role {
                Role::Uplink => "uplink",
                Role::Tenant => "tenant",
                Role::Unused => "unused",
            }
            .to_owned(),
            list(&row.belongs_to()),
            match row.link {
                Link::Up => "up",
                Link::Down => "down",
                Link::Unknown => "unknown",
            }
            .to_owned(),
            row.driver.clone(),
            row.mac.clone(),
            or_none(row.numa_node.as_ref()),
            row.mtu.to_string(),
            row.rx_queues.to_string(),
            row.tx_queues.to_string(),
            row.receive_packets.to_string(),
            row.receive_bytes.to_string(),
            row.transmit_packets.to_string(),
            row.transmit_bytes.to_string(),
            row.drops.to_string(),
        ]);
    }
    table.text_or("no ports", look)
}

pub(super) fn networks(rows: &[NetworkRow], look: Look) -> String {
    let mut table = TextTable::new(
        &["NETWORK", "VNI", "VTEP", "PORTS", "REMOTE VTEPS"],
        &["AGEING", "MACS", "MOVES", "REFUSED", "DROPS"],
    )
    .folding(&["PORTS", "REMOTE VTEPS"]);
    for row in rows {
        table.add(vec![
            row.name.clone(),
            row.vni.to_string(),
            or_none(row.vtep.as_ref()),
            list(&row.ports),
            list(&row.remote_vteps),
            match row.mac_ageing_secs {
                0 => "never".to_owned(),
                secs => format!("{secs} s"),
            },
            row.fdb_entries.to_string(),
            row.fdb_moves.to_string(),
            row.fdb_refused.to_string(),
            row.drops.to_string(),
        ]);
    }
    table.text_or("no networks", look)
}

pub(super) fn fdb(rows: &[FdbRow], look: Look) -> String {
    let mut table = TextTable::new(&["NETWORK", "VNI", "MAC", "WHERE", "KIND"], &["AGE"]);
    for row in rows {
        table.add(vec![
            row.network.clone(),
            row.vni.to_string(),
            row.mac.clone(),
            location(row.port.as_ref(), row.remote_vtep.as_ref()),
            match row.kind {
                EntryKind::Static => "static",
                EntryKind::Learned => "learned",
            }
            .to_owned(),
            row.age_secs.map_or_else(|| NONE.to_owned(), |secs| format!("{secs} s")),
        ]);
    }
    table.text_or("no MAC addresses", look)
}

pub(super) fn vteps(rows: &[VtepRow], look: Look) -> String {
    let mut locals = TextTable::new(
        &["VTEP", "ADDRESS", "UDP", "PORT", "MAC", "HOST INTERFACE"],
        &["TO HOST", "FROM HOST"],
    );
    let mut remotes = TextTable::new(
        &["REMOTE VTEP", "OF", "STATE", "NEXT HOP", "ITS MAC", "NETWORKS", "REASON"],
        &[],
    )
    .folding(&["NETWORKS", "REASON"]);
    for row in rows {
        locals.add(vec![
            row.name.clone(),
            row.address.clone(),
            row.udp_port.to_string(),
            row.port.clone(),
            row.mac.clone(),
            row.host_interface.clone(),
            row.punted_packets.to_string(),
            row.host_packets.to_string(),
        ]);
        for remote in &row.remotes {
            remotes.add(vec![
                remote.address.clone(),
                row.name.clone(),
                match remote.state {
                    NextHopState::Resolved => "resolved",
                    NextHopState::Unresolved => "unresolved",
                }
                .to_owned(),
                or_none(remote.next_hop.as_ref()),
                or_none(remote.next_hop_mac.as_ref()),
                list(&remote.networks),
                or_none(remote.reason.as_ref()),
            ]);
        }
    }
    if rows.is_empty() {
        return "no VTEPs\n".to_owned();
    }
    format!("{}\n{}", locals.text_or("", look), remotes.text_or("no remote VTEPs", look))
}

pub(super) fn workers(rows: &[WorkerRow], look: Look) -> String {
    let mut table = TextTable::new(
        &["WORKER", "CORE", "NUMA", "QUEUES"],
        &[
            "BUSY",
            "LOOPS",
            "RECEIVED",
            "RELAYED",
            "REPLICATED",
            "SENT",
            "DROPPED",
            "PUNTED",
            "HANDED OVER",
            "UNACCOUNTED",
            "EVENTS LOST",
        ],
    )
    .folding(&["QUEUES"]);
    for row in rows {
        table.add(vec![
            row.worker.to_string(),
            row.core.to_string(),
            or_none(row.numa_node.as_ref()),
            list(&row.queues),
            format!("{:.1} %", row.busy_percent),
            row.loops.to_string(),
            row.received.to_string(),
            row.relayed.to_string(),
            row.replicated.to_string(),
            row.transmitted.to_string(),
            row.dropped.to_string(),
            row.punted.to_string(),
            row.handed_over.to_string(),
            row.unaccounted.to_string(),
            row.learn_events_lost.to_string(),
        ]);
    }
    table.text_or("no workers", look)
}

pub(super) fn drops(rows: &[DropRow], all: bool, look: Look) -> String {
    let mut table = TextTable::new(&["REASON", "PORT", "NETWORK"], &["PACKETS"])
        .with_last_text("MEANING")
        .folding(&["MEANING"]);
    let mut zeros = 0;
    for row in rows {
        if row.packets == 0 && !all {
            zeros += 1;
            continue;
        }
        let name = |name: &String| or_none(Some(name).filter(|name| !name.is_empty()));
        table.add(vec![
            row.reason.clone(),
            name(&row.port),
            name(&row.network),
            row.packets.to_string(),
            row.help.clone(),
        ]);
    }
    let mut text = table.text_or("no drops", look);
    if zeros > 0 {
        text.push_str(&format!("{} with zero packets (--all shows them)\n", count(zeros, "row")));
    }
    text
}

/// Where a station is.
fn location(port: Option<&String>, remote_vtep: Option<&String>) -> String {
    match (port, remote_vtep) {
        (Some(port), _) => format!("port {port}"),
        (None, Some(remote)) => format!("vtep {remote}"),
        (None, None) => NONE.to_owned(),
    }
}

fn or_none(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| NONE.to_owned(), ToString::to_string)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { NONE.to_owned() } else { names.join(",") }
}

/// One network with its static MACs.
pub(in crate::cli) fn network(row: &NetworkRow, macs: &[MacDocument], look: Look) -> String {
    let mut table = TextTable::new(&["MAC", "WHERE"], &[]);
    for mac in macs {
        let location = location(mac.port.as_ref(), mac.remote_vtep.as_ref());
        table.add(vec![mac.address.clone(), location]);
    }
    let network = networks(std::slice::from_ref(row), look);
    format!("{network}\n{}", table.text_or("no static MACs", look))
}
