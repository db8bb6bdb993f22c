//! A server with a switch in memory on a thread of its own, and a client that hides nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use vswitch::api::connections::Limits;
use vswitch::api::server::{self, Listeners, Tcp};
use vswitch::api::socket::Socket;
use vswitch::api::tls::{Token, acceptor};
use vswitch::config;
use vswitch::control::events::Events;
use vswitch::control::requests::{self, LiveSwitch as _};

use crate::fake::Fake;

/// Two networks, a VTEP, and a port that nothing uses.
pub const CONFIG: &str = r#"
[[port]]
name = "uplink"
device = "net_null0"
[[port]]
name = "a"
device = "net_null1"
[[port]]
name = "b"
device = "net_null2"
[[port]]
name = "spare"
device = "net_null3"
[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"
[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
  [[network.port]]
  port = "a"
  [[network.mac]]
  address = "02:00:00:00:00:09"
  remote-vtep = "198.51.100.2"
[[network]]
name = "red"
vni = 200
vtep = "fabric"
  [[network.port]]
  port = "b"
"#;

/// Where the files for TCP are.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub token: PathBuf,
}

/// A running server.
pub struct Served {
    pub path: PathBuf,
    pub tcp: Option<SocketAddr>,
    pub metrics: SocketAddr,
    pub events: Events,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

pub fn fake() -> Fake {
    Fake::new(config::parse("test.toml", CONFIG).unwrap())
}

impl Default for Served {
    fn default() -> Self {
        Self::new(fake())
    }
}

impl Served {
    pub fn new(fake: Fake) -> Self {
        Self::with(fake, Limits::default(), None)
    }

    pub fn with(fake: Fake, limits: Limits, files: Option<Files>) -> Self {
        Self::at("127.0.0.1:0", fake, limits, files)
    }

    /// With the metrics at an address.
    pub fn at(address_of_metrics: &str, fake: Fake, limits: Limits, files: Option<Files>) -> Self {
        let address_of_metrics = address_of_metrics.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket_path = path.clone();
        let events = fake.events();
        let page_frames = fake.config().api.page_frames;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        // One thread for everything, as in the switch.
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let socket = Socket::listen(&socket_path, None).unwrap();
                let metrics = TcpListener::bind(address_of_metrics).await.unwrap();
                let mut address = None;
                let mut tcp = None;
                if let Some(files) = files {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    address = Some(listener.local_addr().unwrap());
                    let tls = acceptor(&files.certificate, &files.key).unwrap();
                    let token = Token::read(&files.token).unwrap();
                    tcp = Some(Tcp { listener, tls, token });
                }
                ready.send((address, metrics.local_addr().unwrap())).unwrap();
                let (requests, asked) = requests::channel();
                let socket = socket.listener().unwrap();
                let listeners = Listeners { socket, tcp, metrics, page_frames };
                tokio::select! {
                    () = async { drop(fake.run(asked).await) } => {}
                    _ = server::serve(listeners, requests, limits) => {}
                    _ = stopped => {}
                }
            });
        });
        let (tcp, metrics) = is_ready.recv().unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self { path, tcp, metrics, events, stop, thread, _folder: folder }
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// From the metrics' address; a browser's `Host`.
    pub fn page(&self, method: &str, path: &str, host: &str) -> Said {
        self.page_with(method, path, host, "")
    }

    /// With further headers, each with its end of line.
    pub fn page_with(&self, method: &str, path: &str, host: &str, headers: &str) -> Said {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Said::of(&answer)
    }

    pub fn get(&self, path: &str) -> Said {
        self.ask("GET", path, &[], "")
    }

    /// A change of whatever is running.
    pub fn change(&self, method: &str, path: &str, body: &Value) -> Said {
        let json = ("content-type", "application/json");
        self.ask(method, path, &[json, ("if-match", "*")], &body.to_string())
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Said {
        ask(&mut self.connect(), method, path, headers, body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server has panicked");
        }
    }
}

/// One request on a connection of its own.
pub fn ask(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Said {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    // In one piece: the answer may come before the last byte.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Said::of(&String::from_utf8(answer).unwrap())
}

/// An answer.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Said {
    pub fn of(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: headers.collect(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Its body, and that it is what was asked for.
    pub fn ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    pub fn etag(&self) -> &str {
        self.header("etag").unwrap_or_else(|| panic!("{self:?}"))
    }

    /// That it is a problem of this kind; its body.
    pub fn problem(self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:vswitch:problem:{slug}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for word in ["title", "detail"] {
            assert!(!problem[word].as_str().unwrap().is_empty(), "{problem}");
        }
        problem
    }
}
