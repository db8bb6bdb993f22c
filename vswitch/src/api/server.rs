//! The HTTP servers: the API on the Unix socket and, if configured, over TCP; the metrics on TCP.
//!
//! Runs as a task beside the control loop, on the same thread.

use std::convert::Infallible;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::connections::{self, Limits, Plain};
use super::control::{Control, aside};
use super::page;
use super::problem::Problem;
use super::routes;
use super::tls::{Token, require_token};
use crate::metrics::family;

pub use super::routes::{DEFAULT_LIMIT, MAX_LIMIT, MAX_STREAMS};

/// The metrics' content type.
const METRICS_TYPE: &str = prometheus::TEXT_FORMAT;

/// Where the API is served.
pub struct Listeners {
    /// For whoever may open it.
    pub socket: UnixListener,
    /// For whoever has the token.
    pub tcp: Option<Tcp>,
    /// For everybody: `GET /metrics`, and the [page].
    pub metrics: TcpListener,
    /// Whether the page may tell what dropped frames say.
    pub page_frames: bool,
}

/// The API over TCP.
pub struct Tcp {
    /// Where.
    pub listener: TcpListener,
    /// Its certificate and key.
    pub tls: TlsAcceptor,
    /// What every request must carry.
    pub token: Token,
}

/// Serves until dropped.
pub async fn serve(listeners: Listeners, control: Control, limits: Limits) {
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
    // None of them ends.
    let _: (Infallible, Infallible, Infallible) = tokio::join!(
        connections::serve(socket, Plain, api.clone(), limits.clone()),
        over_tcp,
        connections::serve(metrics, Plain, scrape, limits.clone()),
    );
}

async fn scrape(State(control): State<Control>) -> Result<Response, Problem> {
    let families = control.ask(|switch| switch.metrics()).await?;
    let text = aside(|| family::text(families)).await?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response())
}
