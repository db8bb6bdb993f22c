//! Server-sent events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vswitch::api::routes::events::MAX_STREAMS;
use vswitch::control::events::{Happening, Whereabouts};

use crate::served::Served;

/// A client that has the head of its answer already.
struct Listener(BufReader<UnixStream>);

/// What came: `id`, `event`, `data`.
type Came = (u64, String, Value);

impl Listener {
    fn new(served: &Served, headers: &str) -> Self {
        let mut stream = served.connect();
        write!(stream, "GET /v1/events HTTP/1.1\r\nhost: h\r\n{headers}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let head = Self::head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        let mut listener = Self(reader);
        // The greeting: from now on nothing is missed.
        listener.block();
        listener
    }

    fn head(reader: &mut BufReader<UnixStream>) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        head
    }

    /// One block of the stream, without the chunks it came in.
    fn block(&mut self) -> Vec<String> {
        let mut size = String::new();
        self.0.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("{size:?}"));
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).unwrap();
        let text = String::from_utf8(chunk).unwrap();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn next(&mut self) -> Came {
        loop {
            let block = self.block();
            let field = |name: &str| {
                block.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let (Some(id), Some(event), Some(data)) =
                (field("id"), field("event"), field("data"))
            {
                let data = serde_json::from_str(data).unwrap();
                return (id.parse().unwrap(), event.to_owned(), data);
            }
        }
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_happens_is_told_to_everybody() {
    let served = Served::default();
    let mut listeners = [Listener::new(&served, ""), Listener::new(&served, "")];
    served.events.tell(Happening::PortDown { port: "a".to_owned() });
    served.events.tell_mac(|| Happening::MacLearned {
        network: "blue".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        at: Whereabouts { port: Some("a".to_owned()), remote_vtep: None },
    });
    served.change("POST", "/v1/networks", &json!({"name": "green", "vni": 3})).ok();
    for listener in &mut listeners {
        let (id, kind, data) = listener.next();
        assert_eq!((id, kind.as_str(), &data["port"]), (1, "port-down", &json!("a")));
        assert!(data["unix_millis"].as_u64().unwrap() > 1_700_000_000_000);
        let (_, kind, data) = listener.next();
        assert_eq!((kind.as_str(), &data["mac"]), ("mac-learned", &json!("02:00:00:00:00:01")));
        let (id, kind, data) = listener.next();
        assert_eq!((id, kind.as_str()), (3, "configuration-applied"));
        assert_eq!((&data["sequence"], &data["generation"]), (&json!(3), &json!(2)));
    }
}

#[test]
fn a_client_that_does_not_read_is_told_what_it_missed_and_holds_nobody() {
    let served = Served::default();
    let mut slow = Listener::new(&served, "");
    let mut quick = Listener::new(&served, "");
    let told = 50_000_u64;
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let (mut events, mut missed) = (0, 0);
            while events + missed < told {
                match quick.next() {
                    (_, kind, data) if kind == "missed" => {
                        missed += data["count"].as_u64().unwrap()
                    }
                    _ => events += 1,
                }
            }
            (events, missed)
        });
        let mut longest = Duration::ZERO;
        for n in 0..told {
            let began = Instant::now();
            served.events.tell(Happening::PortUp { port: format!("p{n}") });
            longest = longest.max(began.elapsed());
            if n % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(longest < Duration::from_secs(1), "telling took {longest:?}");
        let began = Instant::now();
        served.get("/v1/ports").ok();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let (events, missed) = seen.join().unwrap();
        assert_eq!(events + missed, told);
        // The one that did not read gets what fits in its buffers, the number that it missed, and
        // the rest.
        let (mut last, mut missed, mut events) = (0, 0, 0);
        while last < told {
            let (id, kind, data) = slow.next();
            if kind == "missed" {
                let count = data["count"].as_u64().unwrap();
                assert_eq!(id, last + count);
                missed += count;
            } else {
                assert_eq!((id, &data["port"]), (last + 1, &json!(format!("p{last}"))));
                events += 1;
            }
            last = id;
        }
        assert_eq!(events + missed, told);
        assert!(missed > told / 4, "{missed} of {told} missed");
    });
}

#[test]
fn who_comes_back_hears_what_he_missed() {
    let served = Served::default();
    for n in 0..5 {
        served.events.tell(Happening::PortUp { port: format!("p{n}") });
    }
    let mut back = Listener::new(&served, "last-event-id: 2\r\n");
    assert_eq!(back.next(), (5, "missed".to_owned(), json!({"count": 3})));
}

#[test]
fn streams_are_bounded_and_those_that_left_make_room() {
    let served = Served::default();
    let listeners: Vec<_> = (0..MAX_STREAMS).map(|_| Listener::new(&served, "")).collect();
    let said = served.get("/v1/events");
    assert_eq!(said.header("retry-after"), Some("1"));
    said.problem(503, "unavailable");
    served.get("/v1/ports").ok();
    drop(listeners);
    until("noticed", || served.events.clients() == 0);
    Listener::new(&served, "");
}
