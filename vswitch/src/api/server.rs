//! The HTTP servers: the API on the Unix socket and, if configured, over TCP; the metrics on TCP.
//!
//! Runs as a task on the control thread, beside the control loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::connections::{self, Limits, Plain};
use super::control::{Control, run_blocking};
use super::page;
use super::problem::Problem;
use super::routes;
use super::socket::{Socket, SocketError};
use super::tls::{self, TlsError, Token, require_token};
use crate::config;
use crate::control::requests::Requests;
use crate::metrics::family;

/// The content type of the metrics.
const METRICS_TYPE: &str = prometheus::TEXT_FORMAT;

/// The number of pool threads for [long computations](run_blocking): checking configurations and
/// serializing long responses.
pub const BLOCKING_THREADS: usize = 2;

/// A listener cannot be created.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text is its documentation")]
pub enum ListenError {
    #[error(
        "[api] metrics: cannot listen on {address}: {source}\n  help: see who does with `ss -ltnp`, \
         or choose another address"
    )]
    Metrics { address: SocketAddr, source: io::Error },
    #[error(
        "[api] listen: cannot listen on {address}: {source}\n  help: see who does with `ss -ltnp`, \
         or choose another address"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The listeners of the servers.
pub struct Listeners {
    /// The API, for users with access to the socket file.
    pub socket: UnixListener,
    /// The API over TCP, if configured.
    pub tcp: Option<Tcp>,
    /// `GET /metrics` and the [page], without authentication.
    pub metrics: TcpListener,
    /// Whether the page may show the contents of dropped frames.
    pub page_frames: bool,
}

/// The API over TCP.
pub struct Tcp {
    /// The listening socket.
    pub listener: TcpListener,
    /// TLS with certificate and key.
    pub tls: TlsAcceptor,
    /// The token that every request needs.
    pub token: Token,
}

impl Listeners {
    /// Creates the configured listeners. Dropping the [`Socket`] removes its file. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// An address is in use, or a file is missing or wrong.
    pub async fn bind(api: &config::Api) -> Result<(Self, Socket), ListenError> {
        let address = api.metrics;
        let metrics = TcpListener::bind(address).await;
        let metrics = metrics.map_err(|source| ListenError::Metrics { address, source })?;
        let tcp = match &api.tcp {
            Some(tcp) => Some(Tcp::bind(tcp).await?),
            None => None,
        };
        let socket = Socket::listen(&api.socket, api.group.as_deref())?;
        let page_frames = api.page_frames;
        Ok((Self { socket: socket.listener()?, tcp, metrics, page_frames }, socket))
    }
}

impl Tcp {
    async fn bind(tcp: &config::Tcp) -> Result<Self, ListenError> {
        let address = tcp.listen;
        let tls = tls::acceptor(&tcp.tls_certificate, &tcp.tls_key)?;
        let token = Token::read(&tcp.token_file)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ListenError::Listen { address, source })?;
        Ok(Self { listener, tls, token })
    }
}

/// Serves until dropped.
pub async fn serve(listeners: Listeners, requests: Requests, limits: Limits) {
    let control = Control::new(requests);
    let Listeners { socket, tcp, metrics, page_frames } = listeners;
    let api = routes::router(control.clone(), limits.request);
    let page = page::router(control.clone(), metrics.local_addr().ok(), page_frames);
    let scrape = Router::new().route("/metrics", get(scrape)).with_state(control).merge(page);
    let over_tcp = async {
        let Some(Tcp { listener, tls, token }) = tcp else {
            return std::future::pending().await;
        };
        let guarded = api.clone().layer(middleware::from_fn_with_state(token, require_token));
        connections::serve(listener, tls, guarded, limits.clone()).await
    };
    // None of them returns.
    let _: (Infallible, Infallible, Infallible) = tokio::join!(
        connections::serve(socket, Plain, api.clone(), limits.clone()),
        over_tcp,
        connections::serve(metrics, Plain, scrape, limits.clone()),
    );
}

async fn scrape(State(control): State<Control>) -> Result<Response, Problem> {
    let families = control.ask(|switch| switch.metrics()).await?;
    let text = run_blocking(|| family::text(families)).await?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}
