//! The contents of the panels.

use ratatui::style::{Color, Style};

use super::amount::amount;
use super::listing::{Column, Listing, alarm};
use super::rates::{DropRates, NetworkRates, PortRates, Rates, WorkerRates};
use crate::control::rows::{Link, Role};
use crate::text::count;

/// A worker that is busier than this may lose frames.
const BUSY_PERCENT: f64 = 90.0;
/// The width of the bar that shows how busy a worker is.
const BAR: usize = 20;

pub(super) fn workers(rates: &Rates) -> Listing {
    let row = |worker: &WorkerRates| {
        let is_full = worker.busy_percent >= BUSY_PERCENT;
        let cells = vec![
            format!("{} on core {}", worker.worker, worker.core),
            bar(worker.busy_percent),
            amount(worker.received),
            amount(worker.transmitted),
            amount(worker.dropped),
            amount(worker.turns),
            worker.queues.join(" "),
        ];
        (cells, if is_full { Style::new().fg(Color::Yellow) } else { Style::new() })
    };
    Listing {
        heads: &[
            ("WORKER", Column::Text(20)),
            ("BUSY", Column::Text(26)),
            ("IN/S", Column::Number(8)),
            ("OUT/S", Column::Number(8)),
            ("DROPS/S", Column::Number(8)),
            ("TURNS/S", Column::Number(8)),
            ("QUEUES", Column::Rest),
        ],
        rows: rates.workers.iter().map(row).collect(),
        nothing: "none",
    }
}

/// As in "██████····  58 %".
fn bar(percent: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 100, and a width"
    )]
    let full = ((percent / 100.0 * BAR as f64).round() as usize).min(BAR);
    format!("{}{} {percent:>3.0} %", "█".repeat(full), "·".repeat(BAR - full))
}

pub(super) fn ports(rates: &Rates) -> Listing {
    let row = |port: &PortRates| {
        let (link, style) = match port.link {
            Link::Up => ("up", Style::new()),
            Link::Down => ("DOWN", alarm()),
            Link::Unknown => ("?", Style::new()),
        };
        let role = match port.role {
            Role::Uplink => "uplink of",
            Role::Tenant => "in",
            Role::Unused => "unused",
        };
        let cells = vec![
            port.name.clone(),
            link.to_owned(),
            amount(port.receive.packets),
            amount(port.receive.bits),
            amount(port.transmit.packets),
            amount(port.transmit.bits),
            amount(port.drops),
            format!("{role} {}", port.belongs_to.join(",")),
        ];
        (cells, style)
    };
    Listing {
        heads: &[
            ("PORT", Column::Text(24)),
            ("LINK", Column::Text(4)),
            ("IN/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("OUT/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("DROPS/S", Column::Number(8)),
            ("ROLE", Column::Rest),
        ],
        rows: rates.ports.iter().map(row).collect(),
        nothing: "none",
    }
}

pub(super) fn networks(rates: &Rates) -> Listing {
    let row = |network: &NetworkRates| {
        let cells = vec![
            network.name.clone(),
            network.vni.to_string(),
            amount(network.from_ports.packets),
            amount(network.from_ports.bits),
            amount(network.to_ports.packets),
            amount(network.to_ports.bits),
            amount(network.drops),
            network.fdb_entries.to_string(),
            amount(network.moves),
            format!(
                "{}, {}",
                count(network.ports, "port"),
                count(network.remote_vteps, "remote VTEP")
            ),
        ];
        (cells, Style::new())
    };
    Listing {
        heads: &[
            ("NETWORK", Column::Text(24)),
            ("VNI", Column::Number(8)),
            ("FROM/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("TO/S", Column::Number(8)),
            ("BIT/S", Column::Number(8)),
            ("DROPS/S", Column::Number(8)),
            ("MACS", Column::Number(7)),
            ("MOVES/S", Column::Number(7)),
            ("WHO", Column::Rest),
        ],
        rows: rates.networks.iter().map(row).collect(),
        nothing: "none",
    }
}

pub(super) fn drops(rates: &Rates) -> Listing {
    let row = |drop: &DropRates| {
        let cells = vec![
            drop.reason.clone(),
            amount(drop.rate),
            drop.packets.to_string(),
            format!("{} {}", drop.port, drop.network).trim().to_owned(),
            drop.help.clone(),
        ];
        let style =
            if drop.rate > Some(0.0) { Style::new().fg(Color::Yellow) } else { Style::new() };
        (cells, style)
    };
    Listing {
        heads: &[
            ("REASON", Column::Text(24)),
            ("NOW/S", Column::Number(8)),
            ("ALL", Column::Number(12)),
            ("PORT, NETWORK", Column::Text(30)),
            ("MEANING", Column::Rest),
        ],
        rows: rates.drops.iter().map(row).collect(),
        nothing: "none since the start",
    }
}
