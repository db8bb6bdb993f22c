//! The API's answers as tables for a terminal.
//!
//! Columns with two spaces between them, one line for each row, no colours and no lines drawn: what
//! is on a terminal is what a pipe gets. Numbers stand to the right.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::de::DeserializeOwned;

use super::What;
use super::check::count;
use crate::api::dto::{
    DropRow, EntryKind, FdbRow, Link, NetworkRow, NextHopState, PortRow, Role, VtepRow, WorkerRow,
};

/// What stands where there is nothing to say.
const NONE: &str = "-";

/// Lays out an answer.
///
/// # Errors
/// The answer does not have the rows that belong to `what`.
pub(super) fn render(what: What, json: &str, all: bool) -> serde_json::Result<String> {
    fn rows<T: DeserializeOwned>(json: &str) -> serde_json::Result<Vec<T>> {
        serde_json::from_str(json)
    }
    Ok(match what {
        What::Ports => ports(&rows(json)?),
        What::Networks => networks(&rows(json)?),
        What::Fdb => fdb(&rows(json)?),
        What::Vteps => vteps(&rows(json)?),
        What::Workers => workers(&rows(json)?),
        What::Drops => drops(&rows(json)?, all),
    })
}

fn ports(rows: &[PortRow]) -> String {
    let mut lines = Lines::new(
        &["PORT", "ROLE", "OF", "LINK", "DRIVER", "MAC", "NUMA", "MTU", "RXQ", "TXQ"],
        &["RECEIVED", "BYTES", "SENT", "BYTES", "DROPS"],
    );
    for row in rows {
        lines.add(vec![
            row.name.clone(),
            match row.role {
                Role::Uplink => "uplink",
                Role::Tenant => "tenant",
                Role::Unused => "unused",
            }
            .to_owned(),
            or_none(row.network.as_ref().or(row.vtep.as_ref())),
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
    lines.or("no ports")
}

fn networks(rows: &[NetworkRow]) -> String {
    let mut lines = Lines::new(
        &["NETWORK", "VNI", "VTEP", "PORTS", "REMOTE VTEPS"],
        &["AGEING", "MACS", "MOVES", "REFUSED", "DROPS"],
    );
    for row in rows {
        lines.add(vec![
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
    lines.or("no networks")
}

fn fdb(rows: &[FdbRow]) -> String {
    let mut lines = Lines::new(&["NETWORK", "VNI", "MAC", "WHERE", "KIND"], &["AGE"]);
    for row in rows {
        lines.add(vec![
            row.network.clone(),
            row.vni.to_string(),
            row.mac.clone(),
            match (&row.port, &row.remote_vtep) {
                (Some(port), _) => format!("port {port}"),
                (None, Some(remote)) => format!("vtep {remote}"),
                (None, None) => NONE.to_owned(),
            },
            match row.kind {
                EntryKind::Static => "static",
                EntryKind::Learned => "learned",
            }
            .to_owned(),
            row.age_secs.map_or_else(|| NONE.to_owned(), |secs| format!("{secs} s")),
        ]);
    }
    lines.or("no MAC addresses")
}

fn vteps(rows: &[VtepRow]) -> String {
    let mut locals = Lines::new(
        &["VTEP", "ADDRESS", "UDP", "PORT", "MAC", "HOST INTERFACE"],
        &["TO HOST", "FROM HOST"],
    );
    let mut remotes = Lines::new(
        &["REMOTE VTEP", "OF", "STATE", "NEXT HOP", "ITS MAC", "NETWORKS", "REASON"],
        &[],
    );
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
    format!("{}\n{}", locals.or(""), remotes.or("no remote VTEPs"))
}

fn workers(rows: &[WorkerRow]) -> String {
    let mut lines = Lines::new(
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
    );
    for row in rows {
        lines.add(vec![
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
    lines.or("no workers")
}

fn drops(rows: &[DropRow], all: bool) -> String {
    let mut lines = Lines::new(&["REASON", "PORT", "NETWORK"], &["PACKETS"]);
    lines.header.push("MEANING".to_owned());
    let mut zeros = 0;
    for row in rows {
        if row.packets == 0 && !all {
            zeros += 1;
            continue;
        }
        let name = |name: &String| or_none(Some(name).filter(|name| !name.is_empty()));
        lines.add(vec![
            row.reason.clone(),
            name(&row.port),
            name(&row.network),
            row.packets.to_string(),
            row.help.clone(),
        ]);
    }
    let mut text = lines.or("no drops");
    if zeros > 0 {
        text.push_str(&format!("{} with zero packets (--all shows them)\n", count(zeros, "row")));
    }
    text
}

fn or_none(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| NONE.to_owned(), ToString::to_string)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { NONE.to_owned() } else { names.join(",") }
}

/// A table in the making.
struct Lines {
    header: Vec<String>,
    numbers: std::ops::Range<usize>,
    rows: Vec<Vec<String>>,
}

impl Lines {
    /// A table with columns of text, then of numbers.
    fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let header = texts.iter().chain(numbers).map(|&title| title.to_owned()).collect();
        Self { header, numbers: texts.len()..texts.len() + numbers.len(), rows: Vec::new() }
    }

    fn add(&mut self, row: Vec<String>) {
        // A terminal must not obey what comes over the socket, and a row is one line.
        let plain = |cell: String| cell.replace(char::is_control, "\u{fffd}");
        self.rows.push(row.into_iter().map(plain).collect());
    }

    /// The text, or another if there are no rows.
    fn or(self, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        table.set_header(self.header);
        table.add_rows(self.rows);
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.numbers.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPS: &str = r#"[
        {"reason":"no_tunnel","help":"no next hop","port":"","network":"blue","packets":12},
        {"reason":"runt","help":"too short","port":"uplink","network":"","packets":0,"new":1}
    ]"#;

    #[test]
    fn drops_leave_zeros_out_and_say_so() {
        let text = render(What::Drops, DROPS, false).unwrap();
        assert_eq!(
            text,
            "REASON     PORT  NETWORK  PACKETS  MEANING\n\
             no_tunnel  -     blue          12  no next hop\n\
             1 row with zero packets (--all shows them)\n"
        );
        let text = render(What::Drops, DROPS, true).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("too short\n"), "{text}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        for (what, expected) in [
            (What::Ports, "no ports\n"),
            (What::Networks, "no networks\n"),
            (What::Fdb, "no MAC addresses\n"),
            (What::Vteps, "no VTEPs\n"),
            (What::Workers, "no workers\n"),
            (What::Drops, "no drops\n"),
        ] {
            assert_eq!(render(what, "[]", false).unwrap(), expected);
        }
    }

    #[test]
    fn each_kind_of_row_has_its_table() {
        let port = r#"[{"name":"uplink","device":"net_tap0","driver":"net_tap",
            "mac":"02:00:00:00:00:01","numa_node":null,"mtu":1500,"rx_queues":1,"tx_queues":2,
            "link":"up","role":"uplink","network":null,"vtep":"fabric","receive_packets":1,
            "receive_bytes":60,"transmit_packets":0,"transmit_bytes":0,"drops":0}]"#;
        let network = r#"[{"name":"blue","vni":100,"vtep":"fabric","ports":["a","b"],
            "remote_vteps":[],"mac_ageing_secs":0,"fdb_entries":1,"fdb_moves":0,"fdb_refused":0,
            "drops":0}]"#;
        let fdb = r#"[{"network":"blue","vni":100,"mac":"02:00:00:00:00:09","port":null,
            "remote_vtep":"198.51.100.2","kind":"static","age_secs":null}]"#;
        let vtep = r#"[{"name":"fabric","address":"198.51.100.1/24","udp_port":4789,
            "port":"uplink","mac":"02:00:00:00:00:01","host_interface":"vtep0","punted_packets":1,
            "host_packets":2,"remotes":[{"address":"198.51.100.2","networks":["blue"],
            "next_hop":null,"next_hop_mac":null,"state":"unresolved","reason":"no route"}]}]"#;
        let worker = r#"[{"worker":0,"core":1,"numa_node":0,"queues":["uplink/0","a/0"],"loops":9,
            "received":8,"transmitted":7,"relayed":0,"replicated":0,"dropped":1,"punted":0,"handed_over":0,
            "busy_cycles":1,"idle_cycles":3,"busy_percent":25.0,"unaccounted":0,
            "learn_events_lost":0}]"#;
        for (what, json, words) in [
            (What::Ports, port, "uplink  uplink  fabric  up    net_tap"),
            (What::Networks, network, "blue     100  fabric  a,b    -              never"),
            (What::Fdb, fdb, "vtep 198.51.100.2  static    -"),
            (What::Vteps, vtep, "unresolved  -         -        blue      no route"),
            (What::Workers, worker, "uplink/0,a/0  25.0 %"),
        ] {
            let text = render(what, json, false).unwrap();
            assert!(text.contains(words), "{text}");
            assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        }
        assert!(render(What::Ports, fdb, false).is_err());
    }
}
