//! The HTTP client of the command line: asks a running switch over its socket.
//!
//! Each request has its own connection. All run on the calling thread, on the client's own runtime.
//! A change always names the generation that it is based on, so that it does not overwrite the
//! change of another client, or says that any generation will do.
//!
//! | file | what it owns |
//! |---|---|
//! | `error` | why a request failed |
//! | `problem` | problems of the API as text |
//! | `events` | server-sent events |
//! | `url` | paths and queries |

mod error;
mod events;
mod problem;
mod url;

use std::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

pub use error::ClientError;
use events::EventParser;
pub use url::{path, query};

use crate::api::problem::Kind;

/// The time limit of an answer. The switch answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of a change, which may start devices. The switch itself gives up earlier.
const PATIENCE_FOR_CHANGES: Duration = Duration::from_secs(60);
/// The longest silence of a stream of events, which has a message every 15 seconds.
const PATIENCE_FOR_EVENTS: Duration = Duration::from_secs(45);
/// For a request without a body.
pub(super) const NOTHING: Option<&serde_json::Value> = None;

/// A client of one switch.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// An answer of the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The generation of the configuration, if it belongs to one.
    pub generation: Option<u64>,
    /// The body.
    pub body: String,
    next: Option<String>,
}

impl Answer {
    /// Parses the body.
    ///
    /// # Errors
    /// The body has another form.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.body).map_err(|e| ClientError::NotUnderstood(e.to_string()))
    }
}

/// The configuration that a change is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The one that runs.
    Any,
    /// The one of this generation.
    Generation(u64),
}

impl Base {
    /// The value of `If-Match`.
    fn tag(self) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Generation(generation) => HeaderValue::try_from(format!("\"{generation}\"")).ok(),
        }
    }
}

/// A request.
struct Call<'a> {
    method: Method,
    path: &'a str,
    accept: &'static str,
    base: Option<Base>,
    body: Option<String>,
}

impl Call<'_> {
    fn get(path: &str) -> Call<'_> {
        Call { method: Method::GET, path, accept: "application/json", base: None, body: None }
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
    /// A client of the switch with this socket. It does not connect yet.
    ///
    /// # Errors
    /// The runtime cannot be created.
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
    /// No switch listens there, or it does not answer with success.
    pub fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Call::get(path), PATIENCE)
    }

    /// Gets the running configuration as a file.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn configuration_file(&self) -> Result<Answer, ClientError> {
        self.ask(Call { accept: "application/toml", ..Call::get("/v1/config") }, PATIENCE)
    }

    /// Gets a list with all its pages. `page` is called after each.
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

    /// Posts a request that does not change the configuration.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post(&self, path: &str, body: Option<&impl Serialize>) -> Result<Answer, ClientError> {
        let body = body.map(to_json);
        self.ask(Call { method: Method::POST, body, ..Call::get(path) }, PATIENCE_FOR_CHANGES)
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
    /// As [`get`](Self::get), or the running configuration is not the base of the change.
    pub fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        base: Base,
    ) -> Result<Answer, ClientError> {
        let (base, body) = (Some(base), body.map(to_json));
        let call = self.ask(Call { method, base, body, ..Call::get(path) }, PATIENCE_FOR_CHANGES);
        call.map_err(|error| match error {
            ClientError::Silent(patience) => ClientError::SilentAboutChange(patience),
            ClientError::Broken => ClientError::BrokenInChange,
            other => other,
        })
    }

    /// Follows the events until `each` breaks. `each` gets the name and the data of an event.
    ///
    /// # Errors
    /// As [`get`](Self::get), or the stream ended.
    pub fn follow<T>(
        &self,
        mut each: impl FnMut(&str, &str) -> ControlFlow<T>,
    ) -> Result<T, ClientError> {
        let call = Call { accept: "text/event-stream", ..Call::get("/v1/events") };
        self.runtime.block_on(async {
            let silent = ClientError::Silent(PATIENCE);
            let response = timeout(PATIENCE, self.send(call)).await.map_err(|_| silent)??;
            if response.status() != StatusCode::OK {
                return Err(read_answer(response, None).await.err().unwrap_or(ClientError::Ended));
            }
            let mut body = response.into_body();
            let mut parser = EventParser::default();
            loop {
                let frame = timeout(PATIENCE_FOR_EVENTS, body.frame()).await;
                let frame = frame.map_err(|_| ClientError::Silent(PATIENCE_FOR_EVENTS))?;
                // A switch that was killed ends the stream in the same way.
                let Some(Ok(frame)) = frame else { return Err(ClientError::Ended) };
                let Ok(data) = frame.into_data() else { continue };
                if let ControlFlow::Break(enough) = parser.take(&data, &mut each) {
                    return Ok(enough);
                }
            }
        })
    }

    /// Reads a capture to its end. `each` gets the pieces, and returns whether it wants more.
    /// Ctrl-C, or `each` that wants no more, ends the capture; the rest of it is still read.
    ///
    /// # Errors
    /// As [`get`](Self::get), or `each` failed, or the switch ended before the capture.
    pub fn capture(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        let call = Call { accept: "application/x-pcapng", ..Call::get(path) };
        self.runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(ClientError::Runtime)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(ClientError::Runtime)?;
            let silent = ClientError::Silent(PATIENCE);
            let response = timeout(PATIENCE, self.send(call)).await.map_err(|_| silent)??;
            if response.status() != StatusCode::OK {
                return Err(read_answer(response, None).await.err().unwrap_or(ClientError::Ended));
            }
            let location = response.headers().get(CONTENT_LOCATION).and_then(|at| at.to_str().ok());
            let location = location.unwrap_or_default().to_owned();
            let mut body = response.into_body();
            let mut ends: Option<Instant> = None;
            loop {
                let frame = async {
                    match ends {
                        Some(ends) => timeout_at(ends, body.frame()).await,
                        None => Ok(body.frame().await),
                    }
                };
                let wants_more = tokio::select! {
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
                if wants_more || ends.is_some() {
                    continue;
                }
                ends = Some(Instant::now() + PATIENCE);
                let end = Call { method: Method::DELETE, ..Call::get(&location) };
                let ended =
                    timeout(PATIENCE, async { read_answer(self.send(end).await?, None).await });
                match ended.await.unwrap_or(Err(ClientError::Silent(PATIENCE))) {
                    // The capture has just ended by itself.
                    Err(ClientError::Problem { problem, .. }) if problem.is(Kind::NotFound) => {}
                    other => drop(other?),
                }
            }
        })
    }

    fn ask(&self, call: Call<'_>, patience: Duration) -> Result<Answer, ClientError> {
        let base = match call.base {
            Some(Base::Generation(generation)) => Some(generation),
            Some(Base::Any) | None => None,
        };
        self.runtime.block_on(async {
            let answer =
                timeout(patience, async { read_answer(self.send(call).await?, base).await });
            answer.await.unwrap_or(Err(ClientError::Silent(patience)))
        })
    }

    async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ClientError::Absent,
            io::ErrorKind::ConnectionRefused => ClientError::Refused,
            io::ErrorKind::PermissionDenied => ClientError::Denied,
            _ => ClientError::Connect(e),
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        // The task ends with the connection. The request gets its errors.
        tokio::spawn(connection);
        sender.send_request(call.request()).await.map_err(no_answer)
    }
}

/// Why an answer is missing or incomplete: the connection ended, or the answer is not HTTP.
fn no_answer(error: hyper::Error) -> ClientError {
    let is_io = error.source().is_some_and(<dyn Error>::is::<io::Error>);
    if is_io || error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        ClientError::Broken
    } else {
        ClientError::NotHttp(error)
    }
}

/// The JSON of strings, numbers and lists, which cannot fail.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a whole answer.
async fn read_answer(
    response: Response<Incoming>,
    base: Option<u64>,
) -> Result<Answer, ClientError> {
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

/// Joins the pages of a list. A single page stays as it is.
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Asks a server that gives this answer.
    fn body_of(answer: &'static str) -> Result<String, ClientError> {
        let (got, request) = exchange(answer, |client| client.get("/v1/ports"));
        assert!(request.starts_with("GET /v1/ports HTTP/1.1\r\n"), "{request}");
        got.map(|answer| answer.body)
    }

    /// The result of a request to a server that gives this answer, and the request.
    fn exchange<T>(
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
        let got = body_of("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[]\n");
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
        let error = body_of(not_found).unwrap_err();
        assert!(matches!(&error, ClientError::Status { body, .. } if body == "no"), "{error}");
        assert!(matches!(body_of("220 mail ready\r\n"), Err(ClientError::NotHttp(_))));
        for cut in ["", "HTTP/1.1 200 OK\r\ncont", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n["]
        {
            assert!(matches!(body_of(cut), Err(ClientError::Broken)), "{cut}");
            let change = |client: &Client| client.change(Method::POST, "/v1/x", NOTHING, Base::Any);
            let (got, request) = exchange(cut, change);
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
}
