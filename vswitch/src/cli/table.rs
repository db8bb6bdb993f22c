//! The API's answers as tables for a terminal.
//!
//! Columns with two spaces between them, one line for each row, and no lines drawn. Numbers stand to
//! the right. A pipe gets just that. On a terminal that is too narrow lists are folded, and if
//! that is not enough each row becomes a block with a line for each value: the same values, and
//! none is cut.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use serde::de::DeserializeOwned;

use super::What;
use super::terminal::Look;
use crate::config::document::MacDocument;
use crate::control::rows::{
    DropRow, EntryKind, FdbRow, Link, NetworkRow, NextHopState, PortRow, Role, VtepRow, WorkerRow,
};
use crate::words::count;

/// What stands where there is nothing to say.
const NONE: &str = "-";

/// Lays out an answer.
///
/// # Errors
/// The answer does not have the rows that belong to `what`.
pub(super) fn render(what: What, json: &str, all: bool, look: Look) -> serde_json::Result<String> {
    fn rows<T: DeserializeOwned>(json: &str) -> serde_json::Result<Vec<T>> {
        serde_json::from_str(json)
    }
    Ok(match what {
        What::Ports => ports(&rows(json)?, look),
        What::Networks => networks(&rows(json)?, look),
        What::Fdb => fdb(&rows(json)?, look),
        What::Vteps => vteps(&rows(json)?, look),
        What::Workers => workers(&rows(json)?, look),
        What::Drops => drops(&rows(json)?, all, look),
        // Text already, and a line for each.
        What::Config | What::DroppedFrames => json.to_owned(),
    })
}

fn ports(rows: &[PortRow], look: Look) -> String {
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
    lines.or("no ports", look)
}

fn networks(rows: &[NetworkRow], look: Look) -> String {
    let mut lines = Lines::new(
        &["NETWORK", "VNI", "VTEP", "PORTS", "REMOTE VTEPS"],
        &["AGEING", "MACS", "MOVES", "REFUSED", "DROPS"],
    )
    .folding(&["PORTS", "REMOTE VTEPS"]);
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
    lines.or("no networks", look)
}

fn fdb(rows: &[FdbRow], look: Look) -> String {
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
    lines.or("no MAC addresses", look)
}

fn vteps(rows: &[VtepRow], look: Look) -> String {
    let mut locals = Lines::new(
        &["VTEP", "ADDRESS", "UDP", "PORT", "MAC", "HOST INTERFACE"],
        &["TO HOST", "FROM HOST"],
    );
    let mut remotes = Lines::new(
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
    format!("{}\n{}", locals.or("", look), remotes.or("no remote VTEPs", look))
}

fn workers(rows: &[WorkerRow], look: Look) -> String {
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
    )
    .folding(&["QUEUES"]);
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
    lines.or("no workers", look)
}

fn drops(rows: &[DropRow], all: bool, look: Look) -> String {
    let mut lines = Lines::new(&["REASON", "PORT", "NETWORK"], &["PACKETS"]).folding(&["MEANING"]);
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
    let mut text = lines.or("no drops", look);
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

/// One network with its static MACs.
pub(super) fn network(row: &NetworkRow, macs: &[MacDocument], look: Look) -> String {
    let mut lines = Lines::new(&["MAC", "WHERE"], &[]);
    for mac in macs {
        let place = match (&mac.port, &mac.remote_vtep) {
            (Some(port), _) => format!("port {port}"),
            (None, Some(remote)) => format!("vtep {remote}"),
            (None, None) => NONE.to_owned(),
        };
        lines.add(vec![mac.address.clone(), place]);
    }
    let network = networks(std::slice::from_ref(row), look);
    format!("{network}\n{}", lines.or("no static MACs", look))
}

/// A table in the making.
pub(super) struct Lines {
    header: Vec<String>,
    numbers: std::ops::Range<usize>,
    folding: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: usize = 2;

impl Lines {
    /// A table with columns of text, then of numbers.
    pub fn new(texts: &[&str], numbers: &[&str]) -> Self {
        let header = texts.iter().chain(numbers).map(|&title| title.to_owned()).collect();
        let numbers = texts.len()..texts.len() + numbers.len();
        Self { header, numbers, folding: Vec::new(), rows: Vec::new() }
    }

    /// The same; cells of these columns may be folded where there is a comma or a space.
    pub fn folding(mut self, titles: &[&str]) -> Self {
        self.folding = titles.iter().map(|&title| title.to_owned()).collect();
        self
    }

    pub fn add(&mut self, row: Vec<String>) {
        // A terminal must not obey what comes over the socket, and a row is one line.
        let plain = |cell: String| cell.replace(char::is_control, "\u{fffd}");
        self.rows.push(row.into_iter().map(plain).collect());
    }

    /// The text, or another if there are no rows.
    pub fn or(mut self, empty: &str, look: Look) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let widths: Vec<_> = self.laid_out(look).column_max_content_widths();
        let widths: Vec<_> = widths.into_iter().map(usize::from).collect();
        if let Some(width) = look.width.map(usize::from)
            && total(&widths) > width
        {
            match self.folded_widths(&widths, width) {
                Some(folded) => self.fold(&folded),
                None => return self.blocks(look),
            }
        }
        self.laid_out(look).trim_fmt() + "\n"
    }

    fn laid_out(&self, look: Look) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
        if look.colour {
            table.enforce_styling();
        }
        let titles =
            self.header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold));
        table.set_header(titles);
        for row in &self.rows {
            let cells = self.header.iter().zip(row).map(|(title, text)| {
                let cell = Cell::new(text);
                colour(title, text).map_or(cell.clone(), |colour| cell.fg(colour))
            });
            table.add_row(cells);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.numbers.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    /// Widths that fit, if cells are folded; `None`: there are none.
    fn folded_widths(&self, natural: &[usize], width: usize) -> Option<Vec<usize>> {
        let narrowest = |i: usize| {
            let cells = self.rows.iter().map(|row| row[i].as_str());
            let pieces =
                cells.flat_map(|cell| pieces(cell).map(|piece| piece.trim_end().chars().count()));
            pieces.chain([self.header[i].chars().count()]).max().unwrap_or(0)
        };
        let folds: Vec<_> = self.header.iter().map(|title| self.folding.contains(title)).collect();
        let mut widths: Vec<_> =
            (0..natural.len()).map(|i| if folds[i] { narrowest(i) } else { natural[i] }).collect();
        let mut left = width.checked_sub(total(&widths))?;
        for (i, _) in folds.iter().enumerate().filter(|(_, folds)| **folds) {
            let more = left.min(natural[i].saturating_sub(widths[i]));
            widths[i] += more;
            left -= more;
        }
        Some(widths)
    }

    fn fold(&mut self, widths: &[usize]) {
        for row in &mut self.rows {
            for ((cell, title), &width) in row.iter_mut().zip(&self.header).zip(widths) {
                if self.folding.contains(title) {
                    *cell = folded(cell, width);
                }
            }
        }
    }

    /// A block for each row, a line for each value.
    fn blocks(&self, look: Look) -> String {
        let longest = self.header.iter().map(String::len).max().unwrap_or(0);
        let block = |row: &Vec<String>| -> String {
            let lines = self.header.iter().zip(row);
            lines
                .map(|(title, text)| {
                    let space = " ".repeat(longest - title.len() + GAP);
                    let title = look.paint(anstyle::Style::new().bold(), title);
                    format!("{title}{space}{text}\n")
                })
                .collect()
        };
        self.rows.iter().map(block).collect::<Vec<_>>().join("\n")
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// A text, cut after each comma and space.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive([',', ' '])
}

/// A text in lines that are not longer, if its pieces are not.
fn folded(text: &str, width: usize) -> String {
    let (mut all, mut used) = (String::new(), 0);
    for piece in pieces(text) {
        let long = piece.chars().count();
        if used > 0 && used + piece.trim_end().chars().count() > width {
            all.truncate(all.trim_end().len());
            all.push('\n');
            used = 0;
        }
        all.push_str(piece);
        used += long;
    }
    all
}

/// What deserves a look.
fn colour(title: &str, text: &str) -> Option<Color> {
    match (title, text) {
        ("LINK", "up") | ("STATE", "resolved") | ("RESULT", "ok") => Some(Color::Green),
        ("LINK", "down") | ("STATE", "unresolved") | ("RESULT", "problem") => Some(Color::Red),
        ("RESULT", "warning") => Some(Color::Yellow),
        ("UNACCOUNTED", number) if number != "0" => Some(Color::Red),
        ("DROPS" | "DROPPED" | "REFUSED" | "EVENTS LOST", number) if number != "0" => {
            Some(Color::Yellow)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Look = Look { width: None, colour: false };

    const DROPS: &str = r#"[
        {"reason":"no_tunnel","help":"no next hop","port":"","network":"blue","packets":12},
        {"reason":"runt","help":"too short","port":"uplink","network":"","packets":0,"new":1}
    ]"#;

    #[test]
    fn drops_leave_zeros_out_and_say_so() {
        let text = render(What::Drops, DROPS, false, PIPE).unwrap();
        assert_eq!(
            text,
            "REASON     PORT  NETWORK  PACKETS  MEANING\n\
             no_tunnel  -     blue          12  no next hop\n\
             1 row with zero packets (--all shows them)\n"
        );
        let text = render(What::Drops, DROPS, true, PIPE).unwrap();
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
            assert_eq!(render(what, "[]", false, PIPE).unwrap(), expected);
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
            let text = render(what, json, false, PIPE).unwrap();
            assert!(text.contains(words), "{text}");
            assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        }
        assert!(render(What::Ports, fdb, false, PIPE).is_err());
    }

    const NETWORKS: &str = r#"[{"name":"blue","vni":100,"vtep":"fabric",
        "ports":["tenant-a","tenant-b","tenant-c"],"remote_vteps":["198.51.100.2"],
        "mac_ageing_secs":0,"fdb_entries":1,"fdb_moves":0,"fdb_refused":0,"drops":3}]"#;

    fn networks_at(width: u16) -> String {
        let look = Look { width: Some(width), colour: false };
        render(What::Networks, NETWORKS, false, look).unwrap()
    }

    #[test]
    fn a_narrow_terminal_gets_the_same_values_and_none_is_cut() {
        let piped = render(What::Networks, NETWORKS, false, PIPE).unwrap();
        assert_eq!(networks_at(200), piped);
        assert_eq!(piped.lines().count(), 2);

        let folded = networks_at(95);
        assert!(folded.lines().all(|line| line.len() <= 95), "{folded}");
        assert_eq!(folded.lines().count(), 3, "{folded}");
        assert!(folded.contains("tenant-a,tenant-b,  198"), "{folded}");

        let blocks = networks_at(40);
        assert!(blocks.lines().all(|line| line.len() <= 40), "{blocks}");
        assert!(blocks.contains("PORTS         tenant-a,tenant-b,tenant-c\n"), "{blocks}");
        assert_eq!(blocks.lines().count(), 10);
    }

    #[test]
    fn a_text_is_folded_between_its_pieces_only() {
        assert_eq!(folded("a,bb,c", 4), "a,\nbb,c");
        assert_eq!(folded("not for us", 7), "not for\nus");
        assert_eq!(folded("unbreakable", 4), "unbreakable");
    }

    #[test]
    fn colours_are_added_and_change_nothing_else() {
        let look = Look { width: None, colour: true };
        let text = render(What::Networks, NETWORKS, false, look).unwrap();
        assert!(text.contains("\u{1b}["), "{text:?}");
        let mut plain = String::new();
        let mut parts = text.split('\u{1b}');
        plain.push_str(parts.next().unwrap());
        parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
        let trimmed: Vec<_> = plain.lines().map(str::trim_end).collect();
        let piped = render(What::Networks, NETWORKS, false, PIPE).unwrap();
        assert_eq!(trimmed, piped.lines().collect::<Vec<_>>());
    }
}
