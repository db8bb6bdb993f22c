//! Captures, and the frames that were dropped last. The switch in memory drops a frame for every
//! reason each millisecond.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pcap_file::PcapError;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgParser};
use serde_json::Value;
use vswitch::metrics::drop_reason::DropReason;

use crate::served::Served;

/// A capture whose answer has begun.
struct Captured {
    stream: UnixStream,
    head: String,
    body: Vec<u8>,
}

/// What was in a file.
#[derive(Debug, Default)]
struct File {
    comments: Vec<String>,
    interfaces: Vec<String>,
    received: u64,
    dropped: u64,
    summary: String,
}

impl Captured {
    fn begin(served: &Served, query: &str) -> Self {
        let mut stream = served.connect();
        write!(stream, "GET /v1/capture{query} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            .unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Self { stream, head, body: Vec::new() }
    }

    fn place(&self) -> &str {
        let place = self.head.lines().find_map(|line| line.strip_prefix("content-location: "));
        place.unwrap_or_else(|| panic!("{}", self.head))
    }

    /// Reads to the end, which must be one.
    fn end(mut self) -> File {
        self.stream.read_to_end(&mut self.body).unwrap();
        assert!(self.body.ends_with(b"0\r\n\r\n"), "it was cut off");
        let (mut rest, mut bytes) = (&self.body[..], Vec::new());
        loop {
            let end = rest.windows(2).position(|w| w == b"\r\n").unwrap();
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return File::of(&bytes);
            }
            bytes.extend_from_slice(&rest[end + 2..][..size]);
            rest = &rest[end + 2 + size + 2..];
        }
    }
}

impl File {
    fn of(bytes: &[u8]) -> Self {
        let (mut rest, mut parser) = PcapNgParser::new(bytes).unwrap();
        let mut file = Self::default();
        loop {
            let block = match parser.next_block(rest) {
                Ok((left, block)) => {
                    rest = left;
                    block
                }
                Err(PcapError::IncompleteBuffer) if rest.is_empty() => return file,
                Err(error) => panic!("{error}"),
            };
            match block {
                Block::EnhancedPacket(packet) => {
                    assert_eq!((packet.original_len, packet.data[12]), (60, 0x88));
                    assert!(packet.timestamp > Duration::from_secs(1_700_000_000));
                    let EnhancedPacketOption::Comment(text) = &packet.options[0] else { panic!() };
                    file.comments.push(text.to_string());
                }
                Block::InterfaceDescription(interface) => {
                    file.interfaces.push(format!("{:?}", interface.options[0]));
                }
                Block::InterfaceStatistics(statistics) => {
                    for option in statistics.options {
                        match option {
                            InterfaceStatisticsOption::Comment(text) => {
                                file.summary = text.into_owned();
                            }
                            InterfaceStatisticsOption::IsbIfRecv(n) => file.received = n,
                            InterfaceStatisticsOption::IsbIfDrop(n) => file.dropped = n,
                            _ => {}
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn captures(served: &Served) -> Vec<Value> {
    served.get("/v1/captures").ok().json().as_array().unwrap().clone()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_capture_is_a_file_that_ends_at_its_limit() {
    let served = Served::default();
    let capture = Captured::begin(&served, "?count=5&reason=same_port&snaplen=32");
    assert!(capture.head.contains("content-type: application/x-pcapng\r\n"), "{}", capture.head);
    let file = capture.end();
    assert_eq!(file.comments.len(), 5);
    let said = "dropped at port uplink, no network, dropped: same_port, generation 1";
    assert!(file.comments.iter().all(|comment| comment == said), "{:?}", file.comments);
    assert_eq!(file.interfaces, ["IfName(\"vswitch\")", "IfName(\"uplink/dropped\")"]);
    assert!(file.summary.starts_with("5 frames captured, "), "{}", file.summary);
    assert_eq!(file.received, 5 + file.dropped);
    until("ended", || captures(&served).is_empty());
    let began = Instant::now();
    let file = Captured::begin(&served, "?secs=1").end();
    assert!(began.elapsed() >= Duration::from_secs(1) && !file.comments.is_empty());
}

#[test]
fn every_reason_can_be_asked_for_by_its_name() {
    let served = Served::default();
    for reason in DropReason::ALL {
        let label = reason.label();
        let file = Captured::begin(&served, &format!("?count=1&reason={label}")).end();
        assert!(file.comments[0].contains(&format!(", dropped: {label}, ")), "{file:?}");
        let kept = served.get(&format!("/v1/drops/frames?reason={label}")).ok().json();
        let row = &kept.as_array().unwrap()[0];
        assert_eq!((&row["reason"], &row["port"]), (&label.into(), &"uplink".into()), "{row}");
        assert_eq!(row["summary"], "02:00:00:00:00:01 → 02:00:00:00:00:02 EtherType 0x88b5");
        assert_eq!(row["bytes"].as_str().unwrap().len(), 120);
    }
    let kept = served.get("/v1/drops/frames").ok().json();
    assert!(kept.as_array().unwrap().len() > DropReason::COUNT);
    assert_eq!(served.get("/v1/drops/frames?port=a").ok().json(), Value::Array(Vec::new()));
}

#[test]
fn a_capture_is_ended_by_its_place_and_its_reader_gets_the_rest() {
    let served = Served::default();
    let capture = Captured::begin(&served, "?stage=received,dropped&port=uplink");
    let [row] = &captures(&served)[..] else { panic!() };
    assert_eq!(row["what"], "port uplink, received+dropped");
    assert_eq!(capture.place(), format!("/v1/captures/{}", row["id"]));
    let ended = served.ask("DELETE", capture.place(), &[], "");
    assert_eq!((ended.status, ended.body.as_str()), (204, ""));
    let place = capture.place().to_owned();
    let file = capture.end();
    assert!(file.summary.contains(" captured, "), "{file:?}");
    until("ended", || captures(&served).is_empty());
    served.ask("DELETE", &place, &[], "").problem(404, "not-found");
    served.ask("DELETE", "/v1/captures/x", &[], "").problem(404, "not-found");
}

#[test]
fn whoever_goes_away_ends_his_capture_and_makes_room() {
    let served = Served::default();
    let four: Vec<_> = (0..4).map(|_| Captured::begin(&served, "")).collect();
    let refused = served.get("/v1/capture").problem(409, "too-many-captures");
    assert!(refused["errors"][0]["help"].as_str().unwrap().contains("DELETE"), "{refused}");
    drop(four);
    until("noticed", || captures(&served).is_empty());
    // Also where no frame ever comes.
    let silent = Captured::begin(&served, "?network=red&stage=received");
    drop(silent);
    until("noticed", || captures(&served).is_empty());
    Captured::begin(&served, "?count=1").end();
}

#[test]
fn a_slow_reader_misses_frames_and_is_told_how_many() {
    let served = Served::default();
    let capture = Captured::begin(&served, "");
    until("missed", || captures(&served)[0]["missed_no_room"].as_u64().unwrap() > 0);
    let began = Instant::now();
    served.get("/v1/ports").ok();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    served.ask("DELETE", capture.place(), &[], "");
    let file = capture.end();
    assert!(file.dropped > 0 && file.received == file.comments.len() as u64 + file.dropped);
}

#[test]
fn what_is_wrong_is_said() {
    let served = Served::default();
    for (query, status, slug, at) in [
        ("port=nobody", 404, "not-found", "/port"),
        ("network=nobody", 404, "not-found", "/network"),
        ("vtep=nobody", 404, "not-found", "/vtep"),
        ("reason=nothing", 400, "bad-request", "/reason"),
        ("stage=sent", 400, "bad-request", "/stage"),
        ("stage=transmitted&reason=runt", 400, "bad-request", "/stage"),
        ("snaplen=0", 400, "bad-request", "/snaplen"),
        ("snaplen=16385", 400, "bad-request", "/snaplen"),
        ("count=0", 400, "bad-request", "/count"),
        ("secs=86401", 400, "bad-request", "/secs"),
        ("filter=port+(", 422, "bad-filter", "/filter"),
        ("filter=ip6+protochain+6", 422, "bad-filter", "/filter"),
    ] {
        let problem = served.get(&format!("/v1/capture?{query}")).problem(status, slug);
        assert_eq!(problem["errors"][0]["pointer"], at, "{problem}");
        assert!(!problem["errors"][0]["help"].as_str().unwrap().is_empty(), "{problem}");
    }
    served.get("/v1/drops/frames?reason=nothing").problem(400, "bad-request");
    served.get("/v1/drops/frames?network=nobody").problem(404, "not-found");
    assert_eq!(captures(&served), [] as [Value; 0]);
}
