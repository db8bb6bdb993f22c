//! Asks a running switch over its socket: the one HTTP client of the command line.
//!
//! A connection for each request, on a runtime of its own on the calling thread. A change always
//! says which configuration it was made for, so that nobody overwrites what somebody else did; or that it is for
//! whichever runs, if it is complete in itself.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_MATCH, LINK,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::percent_encoded;
use crate::api::problem::{Kind, Problem};

/// A switch answers from its own memory; one that takes longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);
/// A change may start devices. The switch itself gives up before.
const PATIENCE_FOR_CHANGES: Duration = Duration::from_secs(60);
/// A stream of events says something every 15 seconds.
const PATIENCE_FOR_EVENTS: Duration = Duration::from_secs(45);
/// For a request without a body.
pub(super) const NOTHING: Option<&serde_json::Value> = None;

/// Why a switch did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no such socket.
    #[error(
        "there is no such socket\nhelp: is the switch running? If its configuration has another \
         [api] socket, name it with --socket"
    )]
    Absent,
    /// There is a file, but nobody listens.
    #[error(
        "nobody listens there\nhelp: is the switch running? This is what it left when it was \
         killed, or no socket"
    )]
    Refused,
    /// The file's permissions forbid it.
    #[error(
        "permission denied\nhelp: ask as root, or as a member of the group that [api] group names"
    )]
    Denied,
    /// Another failure to connect.
    #[error("cannot connect: {0}\nhelp: check the path of the socket")]
    Connect(#[source] io::Error),
    /// Something else than HTTP came back.
    #[error(
        "this is not the socket of a vswitch: {0}\nhelp: check [api] socket in the configuration"
    )]
    NotHttp(#[source] hyper::Error),
    /// The connection ended before the answer.
    #[error(
        "the switch ended before it answered\nhelp: it stops, or was killed: see its log, and ask again when \
         it runs"
    )]
    Broken,
    /// The connection ended before the answer to a change.
    #[error(
        "the switch ended before it answered\nhelp: the change may have been made or not: `vswitch show \
         config` tells when it runs again; see also the log of the switch"
    )]
    BrokenInChange,
    /// HTTP, but neither success nor a problem.
    #[error(
        "the switch answered {status}: {body}\nhelp: is this the vswitch binary that is running?"
    )]
    Status {
        /// The status.
        status: StatusCode,
        /// What it says.
        body: String,
    },
    /// The switch says why not.
    #[error("{}", super::failure::Explained { problem, base: *base })]
    Problem {
        /// What it says.
        problem: Problem,
        /// The generation that the change was for.
        base: Option<u64>,
    },
    /// No answer.
    #[error(
        "no answer within {} seconds\nhelp: see the log of the switch; its management core may be \
         overloaded",
        .0.as_secs()
    )]
    Silent(Duration),
    /// No answer to a change.
    #[error(
        "no answer within {} seconds\nhelp: the change may have been made or not: `vswitch show \
         config` tells; see also the log of the switch",
        PATIENCE_FOR_CHANGES.as_secs()
    )]
    SilentAboutChange,
    /// An answer with another content than this version knows.
    #[error(
        "the answer is not what this version of vswitch understands: {0}\nhelp: use the vswitch \
         binary that is running, or --json"
    )]
    NotUnderstood(String),
    /// The stream of events ended.
    #[error("the switch has ended the stream\nhelp: it stops, or was restarted: ask again")]
    Ended,
    /// No runtime.
    #[error("cannot make a runtime: {0}\nhelp: check the limits of this process")]
    Runtime(#[source] io::Error),
}

/// Where a running switch is asked.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// What it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The generation of the configuration, if it belongs to one.
    pub generation: Option<u64>,
    /// The text.
    pub body: String,
    next: Option<String>,
}

impl Answer {
    /// The text as what it says.
    ///
    /// # Errors
    /// It says something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.body).map_err(|e| ClientError::NotUnderstood(e.to_string()))
    }
}

/// The configuration that a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Whichever is running.
    Any,
    /// The one of this generation.
    Generation(u64),
}

impl Base {
    /// As `If-Match` has it. Digits, quotes and the asterisk are always a value.
    fn tag(self) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Generation(generation) => HeaderValue::try_from(format!("\"{generation}\"")).ok(),
        }
    }
}

/// What to ask.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    accept: &'static str,
    base: Option<Base>,
    body: Option<String>,
}

impl Asked<'_> {
    fn get(path: &str) -> Asked<'_> {
        Asked { method: Method::GET, path, accept: "application/json", base: None, body: None }
    }

    fn request(self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::from(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::try_from(self.path).unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(tag) = self.base.and_then(Base::tag) {
            headers.insert(IF_MATCH, tag);
        }
        request
    }
}

impl Client {
    /// For the switch with this socket; asks nothing yet.
    ///
    /// # Errors
    /// No runtime can be made.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Self { socket: socket.to_path_buf(), runtime })
    }

    /// Gets one document.
    ///
    /// # Errors
    /// Nobody listens there, or not a switch, or it does not answer with success.
    pub fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Asked::get(path), PATIENCE)
    }

    /// Gets the running configuration as a file.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn configuration_file(&self) -> Result<Answer, ClientError> {
        self.ask(Asked { accept: "application/toml", ..Asked::get("/v1/config") }, PATIENCE)
    }

    /// Gets a list, all pages as one; `page` is called after each.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(&self, path: &str, mut page: impl FnMut()) -> Result<String, ClientError> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let answer = self.get(&path)?;
            next = answer.next;
            pages.push(answer.body);
            page();
        }
        Ok(join(pages))
    }

    /// Asks for something that changes nothing in the configuration.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, path: &str, body: Option<&impl Serialize>) -> Result<Answer, ClientError> {
        let body = body.map(written);
        self.ask(Asked { method: Method::POST, body, ..Asked::get(path) }, PATIENCE_FOR_CHANGES)
    }

    /// The generation of the running configuration.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn generation(&self) -> Result<u64, ClientError> {
        let answer = self.get("/v1/generation")?;
        answer.generation.ok_or_else(|| ClientError::NotUnderstood("it has no ETag".to_owned()))
    }

    /// Changes the configuration.
    ///
    /// # Errors
    /// As [`get`](Self::get), and it is not the one that the change is for.
    pub fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        base: Base,
    ) -> Result<Answer, ClientError> {
        let (base, body) = (Some(base), body.map(written));
        let asked =
            self.ask(Asked { method, base, body, ..Asked::get(path) }, PATIENCE_FOR_CHANGES);
        asked.map_err(|error| match error {
            ClientError::Silent(_) => ClientError::SilentAboutChange,
            ClientError::Broken => ClientError::BrokenInChange,
            other => other,
        })
    }

    /// Listens to the events until `each` has enough: of each its name and its data.
    ///
    /// # Errors
    /// As [`get`](Self::get), and the stream ended.
    pub fn follow<T>(
        &self,
        mut each: impl FnMut(&str, &str) -> ControlFlow<T>,
    ) -> Result<T, ClientError> {
        let asked = Asked { accept: "text/event-stream", ..Asked::get("/v1/events") };
        self.runtime.block_on(async {
            let silent = ClientError::Silent(PATIENCE);
            let response = timeout(PATIENCE, self.send(asked)).await.map_err(|_| silent)??;
            if response.status() != StatusCode::OK {
                return Err(whole(response, None).await.err().unwrap_or(ClientError::Ended));
            }
            let mut body = response.into_body();
            let mut lines = Lines::default();
            loop {
                let frame = timeout(PATIENCE_FOR_EVENTS, body.frame()).await;
                let frame = frame.map_err(|_| ClientError::Silent(PATIENCE_FOR_EVENTS))?;
                // The switch was killed: for whoever listens it is the same as that it ended.
                let Some(Ok(frame)) = frame else { return Err(ClientError::Ended) };
                let Ok(data) = frame.into_data() else { continue };
                if let ControlFlow::Break(enough) = lines.take(&data, &mut each) {
                    return Ok(enough);
                }
            }
        })
    }

    /// Reads a capture to its end, which Ctrl-C brings about. `each` is given the pieces, and says whether there is
    /// anybody to read more; then, too, the capture is ended, and what is left of it is read.
    ///
    /// # Errors
    /// As [`get`](Self::get), what `each` says, and the switch ended before the capture did.
    pub fn capture(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        let asked = Asked { accept: "application/x-pcapng", ..Asked::get(path) };
        self.runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(ClientError::Runtime)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(ClientError::Runtime)?;
            let silent = ClientError::Silent(PATIENCE);
            let response = timeout(PATIENCE, self.send(asked)).await.map_err(|_| silent)??;
            if response.status() != StatusCode::OK {
                return Err(whole(response, None).await.err().unwrap_or(ClientError::Ended));
            }
            let place = response.headers().get(CONTENT_LOCATION).and_then(|at| at.to_str().ok());
            let place = place.unwrap_or_default().to_owned();
            let mut body = response.into_body();
            let mut ends: Option<Instant> = None;
            loop {
                let frame = async {
                    match ends {
                        Some(ends) => timeout_at(ends, body.frame()).await,
                        None => Ok(body.frame().await),
                    }
                };
                let is_wanted = tokio::select! {
                    frame = frame => match frame {
                        Ok(Some(Ok(frame))) => match frame.into_data() {
                            Ok(piece) => each(&piece)?,
                            Err(_) => true,
                        },
                        Ok(None) => return Ok(()),
                        Ok(Some(Err(_))) | Err(_) => return Err(ClientError::Ended),
                    },
                    _ = interrupt.recv() => false,
                    _ = terminate.recv() => false,
                };
                if is_wanted || ends.is_some() {
                    continue;
                }
                ends = Some(Instant::now() + PATIENCE);
                let end = Asked { method: Method::DELETE, ..Asked::get(&place) };
                let ended = timeout(PATIENCE, async { whole(self.send(end).await?, None).await });
                match ended.await.unwrap_or(Err(ClientError::Silent(PATIENCE))) {
                    // It has just ended by itself.
                    Err(ClientError::Problem { problem, .. }) if problem.is(Kind::NotFound) => {}
                    other => drop(other?),
                }
            }
        })
    }

    fn ask(&self, asked: Asked<'_>, patience: Duration) -> Result<Answer, ClientError> {
        let base = match asked.base {
            Some(Base::Generation(generation)) => Some(generation),
            Some(Base::Any) | None => None,
        };
        self.runtime.block_on(async {
            let answer = timeout(patience, async { whole(self.send(asked).await?, base).await });
            answer.await.unwrap_or(Err(ClientError::Silent(patience)))
        })
    }

    async fn send(&self, asked: Asked<'_>) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ClientError::Absent,
            io::ErrorKind::ConnectionRefused => ClientError::Refused,
            io::ErrorKind::PermissionDenied => ClientError::Denied,
            _ => ClientError::Connect(e),
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        // Ends with the connection; its errors reach the request.
        tokio::spawn(connection);
        sender.send_request(asked.request()).await.map_err(no_answer)
    }
}

/// Why there is no answer, or not all of it: the connection ended, or what came is no HTTP.
fn no_answer(error: hyper::Error) -> ClientError {
    let is_io = error.source().is_some_and(<dyn Error>::is::<io::Error>);
    if is_io || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        ClientError::Broken
    } else {
        ClientError::NotHttp(error)
    }
}

/// Strings, numbers and lists: writing them cannot fail.
fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// An answer to the end.
async fn whole(response: Response<Incoming>, base: Option<u64>) -> Result<Answer, ClientError> {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let generation = header(ETAG).and_then(|tag| tag.trim_matches('"').parse().ok());
    let next = header(LINK).and_then(next_page);
    let body = response.into_body().collect().await.map_err(no_answer)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() {
        return Ok(Answer { generation, body, next });
    }
    Err(match serde_json::from_str(&body) {
        Ok(problem) => ClientError::Problem { problem, base },
        Err(_) => ClientError::Status { status, body },
    })
}

/// Several lists as one; a single page as it is.
fn join(mut pages: Vec<String>) -> String {
    if pages.len() == 1 {
        return pages.remove(0);
    }
    let inner = |page: &String| {
        let page = page.trim();
        let inner = page.strip_prefix('[').and_then(|page| page.strip_suffix(']'));
        inner.map(str::trim).filter(|rows| !rows.is_empty()).map(str::to_owned)
    };
    format!("[{}]", pages.iter().filter_map(inner).collect::<Vec<_>>().join(","))
}

/// The path of the next page in a header `Link` (RFC 8288), as this API writes it.
fn next_page(link: &str) -> Option<String> {
    let (path, parameters) = link.strip_prefix('<')?.split_once('>')?;
    parameters.contains("rel=\"next\"").then(|| path.to_owned())
}

/// A path below `/v1`: names may have any character in them.
#[must_use]
pub fn path(parts: &[&dyn fmt::Display]) -> String {
    let part = |part: &&dyn fmt::Display| format!("/{}", percent_encoded(&part.to_string()));
    format!("/v1{}", parts.iter().map(part).collect::<String>())
}

/// The same with a query of what is given.
#[must_use]
pub fn query(path: &str, given: &[(&str, Option<String>)]) -> String {
    let mut text = path.to_owned();
    for (name, value) in given {
        if let Some(value) = value {
            let separator = if text.contains('?') { '&' } else { '?' };
            text.push_str(&format!("{separator}{name}={}", percent_encoded(value)));
        }
    }
    text
}

/// Server-sent events, as they come in pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    event: String,
    data: String,
}

impl Lines {
    fn take<T>(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(&str, &str) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let (event, data) =
                    (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
                if !data.is_empty() {
                    each(&event, &data)?;
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event),
                "data" => self.data.push_str(value),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Asks a server that answers one request with these bytes.
    fn ask_one_that_says(answer: &'static str) -> Result<String, ClientError> {
        let (got, request) = of_one_that_says(answer, |client| client.get("/v1/ports"));
        assert!(request.starts_with("GET /v1/ports HTTP/1.1\r\n"), "{request}");
        got.map(|answer| answer.body)
    }

    /// What a client makes of an answer, and what it had asked.
    fn of_one_that_says<T>(
        answer: &'static str,
        ask: impl FnOnce(&Client) -> Result<T, ClientError>,
    ) -> (Result<T, ClientError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let got = ask(&Client::new(&path).unwrap());
        (got, server.join().unwrap())
    }

    #[test]
    fn the_body_is_passed_on() {
        let got = ask_one_that_says("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[]\n");
        assert_eq!(got.unwrap(), "[]\n");
    }

    #[test]
    fn pages_become_one_list() {
        assert_eq!(join(vec!["[]\n".to_owned()]), "[]\n");
        let pages = ["[{\"a\":1}]", "[ ]", "[{\"a\":2},{\"a\":3}]\n"];
        assert_eq!(join(pages.map(str::to_owned).into()), "[{\"a\":1},{\"a\":2},{\"a\":3}]");
        let link = "</v1/fdb?limit=1&cursor=00>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("/v1/fdb?limit=1&cursor=00"));
        assert_eq!(next_page("</v1/fdb>; rel=\"first\""), None);
    }

    #[test]
    fn failures_are_told_apart() {
        let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno";
        let error = ask_one_that_says(not_found).unwrap_err();
        assert!(matches!(&error, ClientError::Status { body, .. } if body == "no"), "{error}");
        assert!(matches!(ask_one_that_says("220 mail ready\r\n"), Err(ClientError::NotHttp(_))));
        for cut in ["", "HTTP/1.1 200 OK\r\ncont", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["]
        {
            assert!(matches!(ask_one_that_says(cut), Err(ClientError::Broken)), "{cut}");
            let change = |client: &Client| client.change(Method::POST, "/v1/x", NOTHING, Base::Any);
            let (got, request) = of_one_that_says(cut, change);
            assert!(request.contains("if-match: *\r\n"), "{request}");
            let error = got.unwrap_err();
            assert!(error.to_string().contains("may have been made or not"), "{cut}: {error}");
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let ask = || Client::new(&path).unwrap().get("/v1/ports");
        assert!(matches!(ask(), Err(ClientError::Absent)));
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(ask(), Err(ClientError::Refused)));
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(path(&[&"networks", &"a/b ü"]), "/v1/networks/a%2Fb%20%C3%BC");
        let given = [("mac", None), ("port", Some("a&b".to_owned())), ("n", Some("1".to_owned()))];
        assert_eq!(query("/v1/fdb", &given), "/v1/fdb?port=a%26b&n=1");
    }

    #[test]
    fn events_come_in_any_pieces() {
        let text =
            b": hello\n\nid: 1\nevent: port-up\ndata: {\"a\":1}\n\r\nevent: x\n\ndata: 2\n\n";
        for size in 1..text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                let taken = lines.take(piece, &mut |event: &str, data: &str| {
                    seen.push(format!("{event}={data}"));
                    ControlFlow::<()>::Continue(())
                });
                assert!(taken.is_continue());
            }
            assert_eq!(seen, ["port-up={\"a\":1}", "=2"]);
        }
    }
}
