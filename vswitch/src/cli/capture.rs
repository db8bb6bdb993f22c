//! `vswitch capture`: frames as they pass, into a file, a pipe or, in words, onto a terminal.
//!
//! The switch sends pcapng, which goes on as it is. It is read along the way for what is said at the end.

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
    /// Frames of this port: received there, sent there, or dropped there.
    #[arg(long, value_name = "NAME")]
    pub port: Option<String>,
    /// Frames of this network.
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Frames on the uplink of this VTEP of this host.
    #[arg(long, value_name = "NAME")]
    pub vtep: Option<String>,
    /// Frames that are dropped for this reason, as `vswitch show drops --all` names it.
    #[arg(long)]
    pub reason: Option<String>,
    /// Where to look; may be given more than once. Default: everywhere; with --reason, where they are dropped.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub stage: Vec<Stage>,
    /// A filter as tcpdump has them: pcap-filter(7). The same as EXPRESSION.
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "expression")]
    pub filter: Option<String>,
    /// End after so many frames.
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after this time, as in 10s.
    #[arg(long = "for", value_name = "TIME", value_parser = whole_seconds)]
    pub time: Option<Duration>,
    /// Keep so many bytes of each frame; default: all.
    #[arg(long, short = 's', value_name = "BYTES")]
    pub snaplen: Option<usize>,
    /// Write pcapng to a file; `-` is the standard output, the default unless that is a terminal.
    #[arg(long, short = 'w', value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// A filter as tcpdump has them: pcap-filter(7).
    #[arg(value_name = "EXPRESSION", trailing_var_arg = true)]
    pub expression: Vec<String>,
    /// Which switch.
    #[command(flatten)]
    pub target: Target,
}

/// Where on its way a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// As it came from a receive queue.
    Received,
    /// Without the outer headers that it came with.
    Decapsulated,
    /// As a transmit queue took it.
    Transmitted,
    /// As it was when it was dropped.
    Dropped,
}

/// Where the frames go.
enum Sink {
    /// Into a file as they come. It is opened when there are any: a capture that is refused takes nothing away from
    /// one of yesterday.
    File(PathBuf),
    /// As they come.
    Binary(Box<dyn Write>),
    /// A line for each, where VXLAN is looked for on these UDP ports, too.
    Words(io::Stdout, Vec<u16>),
}

/// Captures until a limit is reached, Ctrl-C, or nobody reads any more.
pub(super) fn capture(options: &Capture, client: &Client) -> Result<Exit, ClientError> {
    if options.target.json {
        note(
            "vswitch: error: a capture is pcapng\nhelp: `vswitch capture … | tshark -T json -r -`",
        );
        return Ok(Exit::Usage);
    }
    let Some(mut sink) = sink(options.write.as_deref(), client)? else { return Ok(Exit::Usage) };
    let mut reading = Reading::default();
    let mut failure = None;
    client.capture(&path(options), |piece| {
        let mut words = String::new();
        reading.read(piece, |packet| {
            if let (Sink::Words(_, udp_ports), None) = (&sink, &failure) {
                words.push_str(&line(packet, udp_ports));
            }
        })?;
        if failure.is_none() {
            failure = sink.write(piece, &words).err();
        }
        Ok(failure.is_none())
    })?;
    if let Some(summary) = reading.summary {
        note(plain(&summary));
    }
    Ok(match failure {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let whither = options.write.as_ref().filter(|file| *file != Path::new("-"));
            let whither = whither.map_or("the frames".into(), |file| file.to_string_lossy());
            complain(format_args!("vswitch: error: cannot write {whither}: {error}"))
        }
        _ => Exit::Success,
    })
}

fn path(options: &Capture) -> String {
    let stages: Vec<_> =
        options.stage.iter().filter_map(|stage| stage.to_possible_value()).collect();
    let stages: Vec<_> = stages.iter().map(|stage| stage.get_name()).collect();
    let words = (!options.expression.is_empty()).then(|| options.expression.join(" "));
    let given = [
        ("port", options.port.clone()),
        ("network", options.network.clone()),
        ("vtep", options.vtep.clone()),
        ("reason", options.reason.clone()),
        ("stage", (!stages.is_empty()).then(|| stages.join(","))),
        ("filter", options.filter.clone().or(words)),
        ("snaplen", options.snaplen.map(|n| n.to_string())),
        ("count", options.count.map(|n| n.to_string())),
        ("secs", options.time.map(|time| time.as_secs().to_string())),
    ];
    query("/v1/capture", &given)
}

impl Sink {
    fn write(&mut self, piece: &[u8], words: &str) -> io::Result<()> {
        if let Self::File(path) = self {
            *self = Self::Binary(Box::new(File::create(path)?));
        }
        match self {
            Self::File(_) => Ok(()),
            Self::Binary(out) => out.write_all(piece).and_then(|()| out.flush()),
            Self::Words(out, _) => out.write_all(words.as_bytes()).and_then(|()| out.flush()),
        }
    }
}

/// `None`: there is none, and it was said why.
fn sink(file: Option<&Path>, client: &Client) -> Result<Option<Sink>, ClientError> {
    let out = io::stdout();
    match file {
        None if out.is_terminal() => {
            let vteps: Vec<VtepRow> = client.get("/v1/vteps")?.read()?;
            let udp_ports = vteps.iter().map(|vtep| vtep.udp_port).collect();
            Ok(Some(Sink::Words(out, udp_ports)))
        }
        Some(file) if file != Path::new("-") => Ok(Some(Sink::File(file.to_owned()))),
        Some(_) if out.is_terminal() => {
            note(
                "vswitch: error: the standard output is a terminal, and a capture is not text\nhelp: \
                 -w FILE, or a pipe: `vswitch capture … | tshark -r -`; without -w the frames are \
                 shown in words",
            );
            Ok(None)
        }
        _ => Ok(Some(Sink::Binary(Box::new(out)))),
    }
}

/// A frame in a line: when, what, how long, and what became of it.
fn line(packet: &EnhancedPacketBlock<'_>, udp_ports: &[u16]) -> String {
    let when = humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + packet.timestamp);
    let comment = packet.options.iter().find_map(|option| match option {
        EnhancedPacketOption::Comment(text) => Some(plain(text)),
        _ => None,
    });
    let (what, len) = (decode::line(&packet.data, udp_ports), packet.original_len);
    format!("{when}  {what}, {len} bytes; {}\n", comment.unwrap_or_default())
}

/// What was read of a file that comes in pieces.
#[derive(Default)]
struct Reading {
    parser: Option<PcapNgParser>,
    rest: Vec<u8>,
    /// What the statistics at the end say.
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
        let strange = |error: PcapError| ClientError::NotUnderstood(error.to_string());
        loop {
            let parser = match &mut self.parser {
                Some(parser) => parser,
                None => match PcapNgParser::new(left) {
                    Ok((rest, parser)) => {
                        left = rest;
                        self.parser.insert(parser)
                    }
                    Err(PcapError::IncompleteBuffer) => break,
                    Err(error) => return Err(strange(error)),
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
                Err(error) => return Err(strange(error)),
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
    fn a_file_in_any_pieces_is_read() {
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
