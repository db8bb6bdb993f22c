//! The API over TCP: TLS by rustls, and a bearer token in every request.
//!
//! Certificate, key and token are read once, at the start. The token gives full access, so the
//! files of token and key must not be readable by everybody.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use nix::sys::socket::{setsockopt, sockopt};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::connections::Handshake;
use super::problem::{Kind, Problem, Source};

/// The least length of a token; shorter ones can be guessed.
const MIN_TOKEN_LEN: usize = 16;
/// The most bytes that are read from a file.
const MAX_FILE_LEN: u64 = 1024 * 1024;
/// The time without an acknowledgement after which the kernel closes a connection.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum TlsError {
    #[error(
        "[api] {key}: cannot read {path}: {source}\n  help: check the path, and that this user may \
         read it", path = path.display()
    )]
    Read { key: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "[api] {key}: everybody on this host can read {path}\n  help: `chmod o-rwx {path}`, and \
         replace it if others may have read it", path = path.display()
    )]
    Exposed { key: &'static str, path: PathBuf },
    #[error("[api] {key}: {path} holds no {what}: {why}\n  help: {help}", path = path.display())]
    Content {
        key: &'static str,
        path: PathBuf,
        what: &'static str,
        why: String,
        help: &'static str,
    },
    #[error(
        "[api] tls-certificate, tls-key: {0}\n  help: the key must belong to the first certificate \
         in the file"
    )]
    Pair(#[source] rustls::Error),
}

fn read(key: &'static str, path: &Path, is_secret: bool) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { key, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    if is_secret && about.permissions().mode() & 0o007 != 0 {
        return Err(TlsError::Exposed { key, path: path.to_owned() });
    }
    let mut content = Vec::new();
    file.take(MAX_FILE_LEN).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// Makes the TLS acceptor from PEM files.
///
/// # Errors
/// A file cannot be read, is readable by everybody, or has other contents.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let no_certificate = |why: String| TlsError::Content {
        key: "tls-certificate",
        path: certificate.to_owned(),
        what: "certificate",
        why,
        help: "use a PEM file: the server's certificate first, then those up to its root",
    };
    let pem = read("tls-certificate", certificate, false)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| no_certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(no_certificate("it has no `BEGIN CERTIFICATE`".to_owned()));
    }
    let pem = read("tls-key", key, true)?;
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| TlsError::Content {
        key: "tls-key",
        path: key.to_owned(),
        what: "private key",
        why: error.to_string(),
        help: "use a PEM file with an unencrypted key",
    })?;
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Handshake<TcpStream> for TlsAcceptor {
    type Stream = TlsStream<TcpStream>;

    async fn perform(self, io: TcpStream) -> io::Result<Self::Stream> {
        set_peer_timeout(&io);
        self.accept(io).await
    }
}

/// Makes the kernel close a connection whose peer has vanished.
fn set_peer_timeout(io: &TcpStream) {
    let millis = u32::try_from(PEER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let set = setsockopt(io, sockopt::TcpUserTimeout, &millis)
        .and_then(|()| setsockopt(io, sockopt::KeepAlive, &true))
        .and_then(|()| setsockopt(io, sockopt::TcpKeepIdle, &(millis / 2000)))
        .and_then(|()| setsockopt(io, sockopt::TcpKeepInterval, &10));
    if let Err(error) = set {
        debug!(%error, "cannot set the kernel's timeouts");
    }
    // Responses are one write each: Nagle's algorithm would only delay them.
    let _ = io.set_nodelay(true);
}

/// The bearer token.
#[derive(Clone)]
pub struct Token(Arc<[u8]>);

impl Token {
    /// Reads the token from a file, without surrounding white space.
    ///
    /// # Errors
    /// The file cannot be read, is readable by everybody, or has no valid token.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let content = read("token-file", path, true)?;
        let token = content.trim_ascii();
        let why = if token.len() < MIN_TOKEN_LEN {
            format!("{} characters are too few", token.len())
        } else if !token.iter().all(u8::is_ascii_graphic) {
            "it has characters other than visible ASCII".to_owned()
        } else {
            return Ok(Self(token.into()));
        };
        Err(TlsError::Content {
            key: "token-file",
            path: path.to_owned(),
            what: "token",
            why,
            help: "make one with `openssl rand -hex 32`",
        })
    }

    /// Checks that a request has the token, in constant time for tokens of the same length.
    fn check(&self, request: &Request) -> Result<(), &'static str> {
        let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Err("there is no bearer token") };
        if values.next().is_some() {
            return Err("there is more than one Authorization header");
        }
        let value = value.as_bytes();
        let (scheme, token) = value.split_at_checked(7).unwrap_or((value, b""));
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err("the Authorization header has no bearer token");
        }
        if bool::from(token.trim_ascii().ct_eq(&self.0)) {
            Ok(())
        } else {
            Err("the bearer token is wrong")
        }
    }
}

/// Middleware that refuses requests without the token.
pub async fn require_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    match token.check(&request) {
        Ok(()) => next.run(request).await,
        Err(why) => {
            let help = "send `Authorization: Bearer …` with the token in [api] token-file";
            Problem::of_value(Kind::Unauthorized, Source::Header, "/authorization", why, help)
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_is_read_without_the_space_around_it() {
        let token = Token::read(file(&format!("{GOOD}\n"), 0o640).path()).ok().unwrap();
        assert_eq!(&*token.0, GOOD.as_bytes());
    }

    #[test]
    fn an_exposed_or_weak_token_is_refused() {
        let said = |content: &str, mode| {
            Token::read(file(content, mode).path()).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(said(GOOD, 0o644).contains("everybody"), "{}", said(GOOD, 0o644));
        assert!(said("short\n", 0o600).contains("5 characters"), "{}", said("short\n", 0o600));
        let two = format!("{GOOD}\n{GOOD}\n");
        assert!(said(&two, 0o600).contains("ASCII"), "{}", said(&two, 0o600));
        let absent = Token::read(Path::new("/nonexistent/token")).err().unwrap().to_string();
        assert!(absent.contains("/nonexistent/token"), "{absent}");
    }

    #[test]
    fn only_the_exact_token_passes() {
        let token = Token(GOOD.as_bytes().into());
        let request = |value: &str| {
            Request::builder()
                .header(header::AUTHORIZATION, value)
                .body(axum::body::Body::empty())
                .unwrap()
        };
        assert!(token.check(&request(&format!("Bearer {GOOD}"))).is_ok());
        assert!(token.check(&request(&format!("bearer  {GOOD}"))).is_ok());
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0",
            GOOD,
            &format!("Bearer {GOOD}0"),
            &format!("Bearer {}", &GOOD[1..]),
            &format!("Basic {GOOD}"),
        ] {
            assert!(token.check(&request(wrong)).is_err(), "{wrong}");
        }
        let none = Request::builder().body(axum::body::Body::empty()).unwrap();
        assert!(token.check(&none).is_err());
    }

    #[test]
    fn a_file_without_certificate_is_named() {
        let junk = file("hello\n", 0o600);
        let error = acceptor(junk.path(), junk.path()).err().unwrap().to_string();
        assert!(error.contains("tls-certificate") && error.contains("BEGIN"), "{error}");
    }
}
