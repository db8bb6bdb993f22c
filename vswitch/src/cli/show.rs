//! `vswitch show`: asks a running switch over its socket, and prints what it says.
//!
//! One `GET` for each page of the answer, on a runtime of its own on the calling thread. `--json` passes
//! the answer on as it is; otherwise `table` lays it out.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::header::{HOST, LINK};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Exit, Show, What, complain, print, table};

/// A switch answers from its own memory; one that takes longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, and prints the answer.
pub(super) fn show(options: &Show) -> Exit {
    let answer = match ask(&options.socket, options.what.path()) {
        Ok(answer) => answer,
        Err(error) => {
            return complain(format_args!("{}: error: {error}", options.socket.display()));
        }
    };
    if options.json {
        let end = if answer.ends_with('\n') { "" } else { "\n" };
        return print(&format!("{answer}{end}"));
    }
    match table::render(options.what, &answer, options.all) {
        Ok(text) => print(&text),
        Err(error) => complain(format_args!(
            "{}: error: the answer is not what this version of vswitch understands: {error}\n\
             help: use the vswitch binary that is running, or --json",
            options.socket.display()
        )),
    }
}

impl What {
    /// Where the API has it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Ports => "/v1/ports",
            Self::Networks => "/v1/networks",
            Self::Fdb => "/v1/fdb?limit=10000",
            Self::Vteps => "/v1/vteps",
            Self::Workers => "/v1/workers",
            Self::Drops => "/v1/drops",
        }
    }
}

/// Why a switch could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such socket.
    #[error(
        "there is no such socket\nhelp: is the switch running? If its configuration has another \
         [api] socket, name it with --socket"
    )]
    Absent,
    /// There is a file, but nobody listens.
    #[error(
        "nobody listens there\nhelp: is the switch running? This is what it left when it was killed, or no socket"
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
    /// HTTP, but no success.
    #[error(
        "the switch answered {status}: {body}\nhelp: is this the vswitch binary that is running?"
    )]
    Status {
        /// The status.
        status: StatusCode,
        /// What it says.
        body: String,
    },
    /// No answer.
    #[error(
        "no answer within {} seconds\nhelp: see the log of the switch; its management core may be \
         overloaded",
        PATIENCE.as_secs()
    )]
    Silent,
    /// No runtime.
    #[error("cannot make a runtime: {0}\nhelp: check the limits of this process")]
    Runtime(#[source] io::Error),
}

/// Gets a document from the API: of a list, all pages as one.
///
/// # Errors
/// Nobody listens there, or not a switch, or it does not answer with success.
pub fn ask(socket: &Path, path: &str) -> Result<String, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::Runtime)?;
    runtime.block_on(async {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = tokio::time::timeout(PATIENCE, get(socket, &path)).await;
            let body;
            (body, next) = page.unwrap_or(Err(AskError::Silent))?;
            pages.push(body);
        }
        Ok(join(pages))
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

/// One page, and the path of the next.
async fn get(socket: &Path, path: &str) -> Result<(String, Option<String>), AskError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => AskError::Absent,
        io::ErrorKind::ConnectionRefused => AskError::Refused,
        io::ErrorKind::PermissionDenied => AskError::Denied,
        _ => AskError::Connect(error),
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(AskError::NotHttp)?;
    // Ends with the runtime; its errors reach the request.
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::try_from(path).unwrap_or_default();
    request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await.map_err(AskError::NotHttp)?;
    let status = response.status();
    let link = response.headers().get(LINK).and_then(|link| next_page(link.to_str().ok()?));
    let body = response.into_body().collect().await.map_err(AskError::NotHttp)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    match status {
        StatusCode::OK => Ok((body, link)),
        status => Err(AskError::Status { status, body }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Asks a server that answers one request with these bytes.
    fn ask_one_that_says(answer: &'static str) -> Result<String, AskError> {
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
        let got = ask(&path, "/v1/ports");
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /v1/ports HTTP/1.1\r\n"), "{request}");
        got
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
        assert!(matches!(&error, AskError::Status { body, .. } if body == "no"), "{error}");
        assert!(matches!(ask_one_that_says("220 mail ready\r\n"), Err(AskError::NotHttp(_))));
        assert!(matches!(ask_one_that_says(""), Err(AskError::NotHttp(_))));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        assert!(matches!(ask(&path, "/v1/ports"), Err(AskError::Absent)));
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(ask(&path, "/v1/ports"), Err(AskError::Refused)));
    }
}
