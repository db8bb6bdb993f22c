//! `vswitch show dropped-frames`: the last dropped frames, as lines or as a pcapng file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::capture::pcapng::{Packet, Writer};
use crate::cli::client::{Client, ClientError};
use crate::cli::options::Target;
use crate::cli::output::{Exit, complain, plain, print, print_json};
use crate::control::rows::DroppedFrameRow;
use crate::datapath::capture::Missed;
use crate::datapath::capture::drops::KEPT_BYTES;
use crate::hex;
use crate::text::count;

/// Asks for the frames, and prints them or writes them to a file.
pub(super) fn show(
    path: &str,
    file: Option<&Path>,
    client: &Client,
    target: &Target,
) -> Result<Exit, ClientError> {
    let answer = client.get(path)?;
    if target.json {
        return Ok(print_json(&answer.body));
    }
    let rows: Vec<DroppedFrameRow> = answer.read()?;
    match file {
        Some(file) => Ok(write(file, &rows)),
        None => Ok(print(&text(&rows))),
    }
}

fn text(rows: &[DroppedFrameRow]) -> String {
    if rows.is_empty() {
        return "no frames were dropped\n".to_owned();
    }
    let mut text = String::new();
    for row in rows {
        let when = SystemTime::UNIX_EPOCH + Duration::from_micros(row.unix_micros);
        let when = humantime::format_rfc3339_micros(when);
        let _ = writeln!(text, "{when}  {}", plain(&format!("{}: {}", comment(row), row.summary)));
    }
    text
}

/// The same form as the comment of a captured dropped frame.
fn comment(row: &DroppedFrameRow) -> String {
    let DroppedFrameRow { reason, port, network, generation, len, .. } = row;
    let network = if network.is_empty() { String::new() } else { format!(", network {network}") };
    format!("{reason} at port {port}{network}, generation {generation}, {len} bytes")
}

fn write(file: &Path, rows: &[DroppedFrameRow]) -> Exit {
    let made = section(rows).map_err(|error| error.to_string());
    match made.and_then(|bytes| fs::write(file, bytes).map_err(|error| error.to_string())) {
        Ok(()) => print(&format!("{}: {}\n", file.display(), count(rows.len(), "frame"))),
        Err(error) => {
            complain(format_args!("vswitch: error: cannot write {}: {error}", file.display()))
        }
    }
}

fn section(rows: &[DroppedFrameRow]) -> Result<Vec<u8>, pcap_file::PcapError> {
    let nanos = |row: Option<&DroppedFrameRow>| row.map_or(0, |row| row.unix_micros * 1000);
    let what = "the frames that were dropped last";
    let mut writer = Writer::new(what, KEPT_BYTES, nanos(rows.first()))?;
    for row in rows {
        writer.packet(Packet {
            interface: (&row.port, "dropped"),
            unix_nanos: nanos(Some(row)),
            len: usize::try_from(row.len).unwrap_or(usize::MAX),
            bytes: &hex::bytes(&row.bytes).unwrap_or_default(),
            comment: &comment(row),
        })?;
    }
    writer.end(Missed::default(), nanos(rows.last()))?;
    Ok(writer.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_frame_is_one_line() {
        let row = DroppedFrameRow {
            unix_micros: 1_000_001,
            reason: "unknown_vni".to_owned(),
            port: "uplink".to_owned(),
            network: String::new(),
            generation: 7,
            len: 110,
            summary: "a → b\u{1b}".to_owned(),
            bytes: "00ff".to_owned(),
        };
        assert_eq!(
            text(std::slice::from_ref(&row)),
            "1970-01-01T00:00:01.000001Z  unknown_vni at port uplink, generation 7, 110 bytes: a → b\u{fffd}\n"
        );
        assert_eq!(text(&[]), "no frames were dropped\n");
        assert!(!section(&[row]).unwrap().is_empty());
    }
}
