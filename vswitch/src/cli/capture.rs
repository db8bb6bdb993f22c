//! `vswitch capture`: frames as they pass, to a file or a pipe, or as text to a terminal.
//!
//! The switch sends pcapng, which is passed on unchanged. It is parsed on the way for the lines on
//! a terminal and for the summary at the end.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use pcap_file::PcapError;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgParser};

use super::client::{Client, ClientError, query};
use super::options::{Target, whole_seconds};
use super::output::{Exit, complain, note, plain};
use crate::control::rows::VtepRow;
use crate::decode;

/// Options of `vswitch capture`.
#[derive(Debug, Args)]
pub struct Capture {
    /// Only frames that are received, sent or dropped at this port.
    #[arg(long, value_name = "NAME")]
    pub port: Option<String>,
    /// Only frames of this network.
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Only frames on the uplink of this local VTEP.
    #[arg(long, value_name = "NAME")]
    pub vtep: Option<String>,
    /// Only frames that are dropped for this reason; `vswitch show drops --all` lists the reasons.
    #[arg(long)]
    pub reason: Option<String>,
    /// Where to capture; can be repeated. Default: everywhere, or with --reason where frames are
    /// dropped.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub stage: Vec<Stage>,
    /// A filter in tcpdump's language, pcap-filter(7). The same as EXPRESSION.
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "expression")]
    pub filter: Option<String>,
    /// End after this number of frames.
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this time, such as 10s.
    #[arg(long = "for", value_name = "TIME", value_parser = whole_seconds)]
    pub time: Option<Duration>,
    /// Keep only this many bytes of each frame; default: all.
    #[arg(long, short = 's', value_name = "BYTES")]
    pub snaplen: Option<usize>,
    /// Write pcapng to a file; `-` is the standard output, which is the default unless it is a
    /// terminal.
    #[arg(long, short = 'w', value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// A filter in tcpdump's language, pcap-filter(7).
    #[arg(value_name = "EXPRESSION", trailing_var_arg = true)]
    pub expression: Vec<String>,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// Where a frame is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The frame as it came from a receive queue.
    Received,
    /// The frame without the outer headers that it came with.
    Decapsulated,
    /// The frame as a transmit queue took it.
    Transmitted,
    /// The frame as it was when it was dropped.
    Dropped,
}

/// Where the frames go.
enum Sink {
    /// To a file as pcapng. The file is created with the first piece, so that a capture that is
    /// refused does not overwrite an earlier one.
    File(PathBuf),
    /// To an open file or pipe as pcapng.
    Binary(Box<dyn Write>),
    /// To a terminal, one line for each. VXLAN is also looked for on these UDP ports.
    Text(io::Stdout, Vec<u16>),
}

/// Captures until a limit is reached, until Ctrl-C, or until the output is closed.
pub(super) fn capture(options: &Capture, client: &Client) -> Result<Exit, ClientError> {
    if options.target.json {
        note(
            "vswitch: error: a capture is pcapng, not JSON\nhelp: `vswitch capture … | tshark -T \
             json -r -`",
        );
        return Ok(Exit::Usage);
    }
    let Some(mut sink) = sink(options.write.as_deref(), client)? else { return Ok(Exit::Usage) };
    let mut reading = Reading::default();
    let mut failure = None;
    client.capture(&path(options), |piece| {
        let mut lines = String::new();
        reading.read(piece, |packet| {
            if let (Sink::Text(_, udp_ports), None) = (&sink, &failure) {
                lines.push_str(&line(packet, udp_ports));
            }
        })?;
        if failure.is_none() {
            failure = sink.write(piece, &lines).err();
        }
        Ok(failure.is_none())
    })?;
    if let Some(summary) = reading.summary {
        note(plain(&summary));
    }
    Ok(match failure {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let output = options.write.as_ref().filter(|file| *file != Path::new("-"));
            let output = output.map_or("the frames".into(), |file| file.to_string_lossy());
            complain(format_args!("vswitch: error: cannot write {output}: {error}"))
        }
        _ => Exit::Success,
    })
}

fn path(options: &Capture) -> String {
    let stages: Vec<_> =
        options.stage.iter().filter_map(|stage| stage.to_possible_value()).collect();
    let stages: Vec<_> = stages.iter().map(|stage| stage.get_name()).collect();
    let expression = (!options.expression.is_empty()).then(|| options.expression.join(" "));
    let given = [
        ("port", options.port.clone()),
        ("network", options.network.clone()),
        ("vtep", options.vtep.clone()),
        ("reason", options.reason.clone()),
        ("stage", (!stages.is_empty()).then(|| stages.join(","))),
        ("filter", options.filter.clone().or(expression)),
        ("snaplen", options.snaplen.map(|n| n.to_string())),
        ("count", options.count.map(|n| n.to_string())),
        ("secs", options.time.map(|time| time.as_secs().to_string())),
    ];
    query("/v1/capture", &given)
}

impl Sink {
    fn write(&mut self, piece: &[u8], lines: &str) -> io::Result<()> {
        if let Self::File(path) = self {
            *self = Self::Binary(Box::new(File::create(path)?));
        }
        match self {
            Self::File(_) => Ok(()),
            Self::Binary(out) => out.write_all(piece).and_then(|()| out.flush()),
            Self::Text(out, _) => out.write_all(lines.as_bytes()).and_then(|()| out.flush()),
        }
    }
}

/// `None`: the output is not possible; the error was printed.
fn sink(file: Option<&Path>, client: &Client) -> Result<Option<Sink>, ClientError> {
    let out = io::stdout();
    match file {
        None if out.is_terminal() => {
            let vteps: Vec<VtepRow> = client.get("/v1/vteps")?.read()?;
            let udp_ports = vteps.iter().map(|vtep| vtep.udp_port).collect();
            Ok(Some(Sink::Text(out, udp_ports)))
        }
        Some(file) if file != Path::new("-") => Ok(Some(Sink::File(file.to_owned()))),
        Some(_) if out.is_terminal() => {
            note(
                "vswitch: error: the standard output is a terminal, and pcapng is not text\nhelp: \
                 -w FILE, or a pipe: `vswitch capture … | tshark -r -`; without -w the frames are \
                 shown as text",
            );
            Ok(None)
        }
        _ => Ok(Some(Sink::Binary(Box::new(out)))),
    }
}

/// One line: time, frame, length and comment.
fn line(packet: &EnhancedPacketBlock<'_>, udp_ports: &[u16]) -> String {
    let when = humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + packet.timestamp);
    let comment = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Comment(text) => Some(plain(text)),
        _ => None,
    });
    let (what, len) = (decode::line(&packet.data, udp_ports), packet.original_len);
    format!("{when}  {what}, {len} bytes; {}\n", comment.unwrap_or_default())
}

/// Parses a pcapng file that comes in pieces.
#[derive(Default)]
struct Reading {
    parser: Option<PcapNgParser>,
    rest: Vec<u8>,
    /// The comment of the statistics at the end.
    summary: Option<String>,
}

impl Reading {
    fn read(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&EnhancedPacketBlock<'_>),
    ) -> Result<(), ClientError> {
        self.rest.extend_from_slice(piece);
        let mut left = &self.rest[..];
        let unexpected = |error: PcapError| ClientError::NotUnderstood(error.to_string());
        loop {
            let parser = match &mut self.parser {
                Some(parser) => parser,
                None => match PcapNgParser::new(left) {
                    Ok((rest, parser)) => {
                        left = rest;
                        self.parser.insert(parser)
                    }
                    Err(PcapError::IncompleteBuffer) => break,
                    Err(error) => return Err(unexpected(error)),
                },
            };
            match parser.next_block(left) {
                Ok((rest, block)) => {
                    left = rest;
                    match block {
                        Block::EnhancedPacket(packet) => each(&packet),
                        Block::InterfaceStatistics(statistics) => {
                            for option in statistics.options {
                                if let InterfaceStatisticsOption::Comment(text) = option {
                                    self.summary = Some(text.into_owned());
                                }
                            }
                        }
                        _ => {}
                    }
                }
                Err(PcapError::IncompleteBuffer) => break,
                Err(error) => return Err(unexpected(error)),
            }
        }
        let done = self.rest.len() - left.len();
        self.rest.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::pcapng::{Packet, Writer};
    use crate::datapath::capture::Missed;

    #[test]
    fn a_file_is_read_in_pieces_of_any_size() {
        let mut writer = Writer::new("everything", 64, 7).unwrap();
        for n in 0..3 {
            let frame = vec![n; 13 + usize::from(n)];
            let (bytes, comment) = (&frame[..], "received on port a, pending");
            let interface = ("a", "received");
            let packet = Packet { interface, unix_nanos: 1_000_000, len: 99, bytes, comment };
            writer.packet(packet).unwrap();
        }
        writer.end(Missed { no_room: 1, over_budget: 2 }, 2_000_000).unwrap();
        let file = writer.take();
        for size in 1..file.len() {
            let (mut reading, mut lines) = (Reading::default(), Vec::new());
            for piece in file.chunks(size) {
                reading.read(piece, |packet| lines.push(line(packet, &[]))).unwrap();
            }
            assert_eq!(lines.len(), 3, "{size}");
            let end = ", 99 bytes; received on port a, pending\n";
            assert!(
                lines[0].starts_with("1970-01-01T00:00:00.001000Z  ") && lines[0].ends_with(end)
            );
            let summary = "3 frames captured, 3 missed (no room: 1, over budget: 2)";
            assert_eq!(reading.summary.as_deref(), Some(summary));
        }
        let strange = Reading::default().read(&[0; 64], |_| ());
        assert!(matches!(strange, Err(ClientError::NotUnderstood(_))), "{strange:?}");
    }
}
