//! `vswitch show`: asks a running switch over its socket, and prints what it says.
//!
//! One `GET` on a fresh connection, on a runtime of its own on the calling thread. `--json` passes
//! the answer on as it is; otherwise `table` lays it out.

use std::io;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::header::HOST;
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
            Self::Fdb => "/v1/fdb",
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
    #[error("permission denied\nhelp: ask as root, or as the user that runs the switch")]
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

/// Gets a document from the API.
///
/// # Errors
/// Nobody listens there, or not a switch, or it does not answer with success.
pub fn ask(socket: &Path, path: &str) -> Result<String, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::Runtime)?;
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, get(socket, path)).await.unwrap_or(Err(AskError::Silent))
    })
}

async fn get(socket: &Path, path: &str) -> Result<String, AskError> {
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
    let body = response.into_body().collect().await.map_err(AskError::NotHttp)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    match status {
        StatusCode::OK => Ok(body),
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
