//! The API over TCP: TLS and a token, or nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto,
};
use vswitch::api::connections::Limits;

use crate::served::{Files, Said, Served, ask, fake};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Secure {
    served: Served,
    client: Arc<ClientConfig>,
    _folder: tempfile::TempDir,
}

impl Secure {
    fn new(limits: Limits) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let files = Files {
            certificate: file("certificate.pem", &made.cert.pem()),
            key: file("key.pem", &made.signing_key.serialize_pem()),
            token: file("token", &format!("{TOKEN}\n")),
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client =
            ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let served = Served::with(fake(), limits, Some(files));
        Self { served, client: Arc::new(client), _folder: folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.served.tcp.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Said {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        ask(&mut StreamOwned::new(tls, self.connect()), method, path, headers, "")
    }
}

#[test]
fn the_token_opens_everything() {
    let secure = Secure::new(Limits::default());
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str())];
    let ports = secure.ask("GET", "/v1/ports", &headers).ok();
    assert_eq!(ports.json(), secure.served.get("/v1/ports").json());
    let headers = [("authorization", token.as_str()), ("if-match", "*")];
    secure.ask("DELETE", "/v1/networks/red", &headers).ok();
    secure.served.get("/v1/networks/red").problem(404, "not-found");
}

#[test]
fn without_it_nothing_is_told_not_even_what_there_is() {
    let secure = Secure::new(Limits::default());
    let other = format!("Bearer {}", TOKEN.replace('0', "1"));
    for headers in [&[][..], &[("authorization", other.as_str())], &[("authorization", TOKEN)]] {
        for (method, path) in [
            ("GET", "/v1/ports"),
            ("GET", "/v1/openapi.json"),
            ("GET", "/v1/nothing"),
            ("PUT", "/v1/ports"),
            ("DELETE", "/v1/networks/red"),
        ] {
            let said = secure.ask(method, path, headers);
            assert_eq!(said.header("www-authenticate"), Some("Bearer realm=\"vswitch\""));
            let problem = said.problem(401, "unauthorized");
            assert_eq!(problem["errors"][0]["pointer"], "/authorization");
            assert!(!problem.to_string().contains(TOKEN));
        }
    }
    secure.served.get("/v1/networks/red").ok();
}

#[test]
fn who_does_not_know_the_certificate_says_so_and_plain_http_gets_no_answer() {
    let secure = Secure::new(Limits::default());
    let stranger = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(stranger), name).unwrap();
    let mut stream = StreamOwned::new(tls, secure.connect());
    let error = stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    let inner = error.get_ref().unwrap().downcast_ref::<rustls::Error>();
    assert!(matches!(inner, Some(rustls::Error::InvalidCertificate(_))), "{error}");

    let mut plain = secure.connect();
    plain.write_all(b"GET /v1/ports HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn a_handshake_that_does_not_go_on_ends() {
    let handshake = Duration::from_millis(200);
    let secure = Secure::new(Limits { handshake, ..Limits::default() });
    let mut silent = secure.connect();
    let began = Instant::now();
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
    assert!(began.elapsed() >= handshake, "{:?}", began.elapsed());
}

#[test]
fn the_metrics_stay_as_they_are() {
    let served = Served::default();
    let said = ask(&mut TcpStream::connect(served.metrics).unwrap(), "GET", "/metrics", &[], "");
    assert_eq!(said.header("content-type"), Some("text/plain; version=0.0.4"));
    let scraped = said.ok().body;
    assert!(scraped.ends_with("\nvswitch_generation 1\n"), "{scraped}");
}
