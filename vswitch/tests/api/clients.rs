//! Clients that are many, large, slow or silent, and what the others notice of them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use vswitch::api::connections::Limits;
use vswitch::api::extract::{MAX_BODY, MAX_CONFIGURATION};

use crate::served::{CONFIG, Said, Served, fake};

/// Whoever is well-behaved waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

fn quickly(served: &Served, meanwhile: &str) {
    let began = Instant::now();
    served.get("/v1/ports").ok();
    assert!(began.elapsed() < PATIENCE, "{:?} with {meanwhile}", began.elapsed());
}

fn with(limits: Limits) -> Served {
    Served::with(fake(), limits, None)
}

fn rest(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    // A reset is as good as an end.
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn a_thousand_at_once_are_answered_or_make_room() {
    let served = Served::default();
    let began = Instant::now();
    let mut streams: Vec<_> = (0..1000).map(|_| served.connect()).collect();
    for stream in &mut streams {
        // Some have been closed, as others waited and they had said nothing.
        let _ = stream.write_all(b"GET /v1/ports HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    }
    let answers: Vec<_> = streams.iter_mut().map(rest).collect();
    let answered = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    let closed = answers.iter().filter(|answer| answer.is_empty()).count();
    assert_eq!(answered + closed, 1000, "{answers:?}");
    assert!(answered > 700, "{answered} of 1000 in {:?}", began.elapsed());
    quickly(&served, "nobody");
}

#[test]
fn a_thousand_with_requests_at_once_are_all_answered() {
    let served = Served::default();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                for _ in 0..20 {
                    served.get("/v1/networks").ok();
                }
            });
        }
    });
}

#[test]
fn a_thousand_that_say_nothing_keep_nobody_waiting() {
    let served = Served::default();
    let silent: Vec<_> = (0..1000).map(|_| served.connect()).collect();
    quickly(&served, "1000 silent ones");
    let halves: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = served.connect();
            let _ = stream.write_all(b"GET /v1/ports HTTP/1.1\r\nho");
            stream
        })
        .collect();
    quickly(&served, "500 half requests more");
    drop((silent, halves));
}

#[test]
fn who_begins_and_does_not_go_on_is_closed() {
    let header = Duration::from_millis(300);
    let served = with(Limits { header, ..Limits::default() });
    for begin in ["", "GET /v1/ports HT", "GET /v1/ports HTTP/1.1\r\nhost: h\r\n"] {
        let mut stream = served.connect();
        stream.write_all(begin.as_bytes()).unwrap();
        let began = Instant::now();
        rest(&mut stream);
        assert!(began.elapsed() >= header / 2, "{begin:?} {:?}", began.elapsed());
        assert!(began.elapsed() < PATIENCE, "{begin:?} {:?}", began.elapsed());
    }
    // Nor is who was answered, and then stays silent.
    let mut stream = served.connect();
    stream.write_all(b"GET /v1/workers HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let began = Instant::now();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn a_connection_serves_many_requests() {
    let served = Served::default();
    let mut stream = served.connect();
    for path in ["/v1/workers", "/v1/nothing", "/v1/ports"] {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = stream.read(&mut buffer).unwrap();
            assert_ne!(len, 0, "{path}: closed");
            answer.extend_from_slice(&buffer[..len]);
            let text = String::from_utf8_lossy(&answer);
            let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize = Said::of(&text).header("content-length").unwrap().parse().unwrap();
            if body.len() == length {
                break;
            }
        }
    }
}

/// The head of a request whose body begins, and does not go on.
const HALF: &[u8] = b"POST /v1/networks HTTP/1.1\r\nhost: h\r\nif-match: *\r\n\
    content-type: application/json\r\ncontent-length: 100\r\n\r\n{";

#[test]
fn a_body_that_comes_slowly_is_waited_for_and_not_for_ever() {
    let request = Duration::from_millis(500);
    let served = with(Limits { request, ..Limits::default() });
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = served.connect();
            stream.write_all(HALF).unwrap();
            stream
        })
        .collect();
    for stream in &mut slow {
        Said::of(&rest(stream)).problem(408, "timeout");
    }
}

#[test]
fn a_thousand_bodies_that_do_not_go_on_keep_nobody_waiting() {
    let served = Served::default();
    let halves: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = served.connect();
            // It may be closed while we still write.
            let _ = stream.write_all(HALF);
            stream
        })
        .collect();
    quickly(&served, "1000 half bodies");
    drop(halves);
}

/// Whoever sends on, however slowly, is not closed for others.
#[test]
fn a_body_that_goes_on_keeps_its_place() {
    let idle = Duration::from_secs(1);
    let served = with(Limits { connections: 4, idle, ..Limits::default() });
    let mut slow = served.connect();
    let body = r#"{"name": "slow", "vni": 77}"#;
    write!(
        slow,
        "POST /v1/networks HTTP/1.1\r\nhost: h\r\nif-match: *\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    let mut halves = Vec::new();
    for byte in body.bytes() {
        slow.write_all(&[byte]).unwrap();
        let mut stream = served.connect();
        let _ = stream.write_all(HALF);
        halves.push(stream);
        std::thread::sleep(idle / 12);
    }
    assert!(rest(&mut slow).starts_with("HTTP/1.1 201 "));
}

#[test]
fn too_large_bodies_are_refused_and_say_how_large_they_may_be() {
    let served = Served::default();
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    let large = " ".repeat(MAX_BODY + 1);
    let said = served.ask("POST", "/v1/networks", &headers, &large).problem(413, "too-large");
    assert!(said["errors"][0]["help"].as_str().unwrap().contains("1048576"), "{said}");
    // A configuration may be larger.
    let toml = [("content-type", "application/toml"), ("if-match", "*")];
    let padded = format!("{CONFIG}{}", "# 7890\n".repeat(MAX_BODY / 4));
    served.ask("POST", "/v1/plan", &toml, &padded).ok();
    let padded = format!("{CONFIG}{}", "#".repeat(MAX_CONFIGURATION));
    served.ask("POST", "/v1/plan", &toml, &padded).problem(413, "too-large");
    // One without a length, that is told when it is too much.
    let mut stream = served.connect();
    stream
        .write_all(
            b"POST /v1/networks HTTP/1.1\r\nhost: h\r\nif-match: *\r\nconnection: close\r\n\
              content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .unwrap();
    for _ in 0..MAX_BODY / 0x10000 + 1 {
        write!(stream, "10000\r\n{}\r\n", " ".repeat(0x10000)).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    Said::of(&rest(&mut stream)).problem(413, "too-large");
    // One that says it is enormous, and is not waited for.
    let mut stream = served.connect();
    stream
        .write_all(
            b"POST /v1/networks HTTP/1.1\r\nhost: h\r\nif-match: *\r\n\
              content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{",
        )
        .unwrap();
    let began = Instant::now();
    Said::of(&rest(&mut stream)).problem(413, "too-large");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn who_does_not_take_his_answers_is_closed_and_holds_nobody() {
    let write = Duration::from_millis(500);
    let served = with(Limits { write, ..Limits::default() });
    let mut greedy: Vec<_> = (0..100).map(|_| served.connect()).collect();
    for stream in &mut greedy {
        stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        for _ in 0..200 {
            if stream.write_all(b"GET /v1/drops HTTP/1.1\r\nhost: h\r\n\r\n").is_err() {
                break;
            }
        }
    }
    quickly(&served, "100 that do not read");
    std::thread::sleep(write * 3);
    for mut stream in greedy {
        // What was sent before is still there, and then it ends.
        rest(&mut stream);
    }
    quickly(&served, "nobody");
}

#[test]
fn what_is_no_http_harms_nobody() {
    let served = Served::default();
    for junk in [&b"\0\0\0\0"[..], b"220 mail ready\r\n\r\n", &[b'A'; 100_000], b"\x16\x03\x01"] {
        let mut stream = served.connect();
        // It may be closed while we still write.
        let _ = stream.write_all(junk);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = rest(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let long = format!("GET /v1/ports HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(40_000));
    let mut stream = served.connect();
    let _ = stream.write_all(long.as_bytes());
    assert!(rest(&mut stream).starts_with("HTTP/1.1 431 "));
    quickly(&served, "junk");
}
