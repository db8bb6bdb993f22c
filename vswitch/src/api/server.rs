//! The HTTP servers: `GET /v1/…` on the Unix socket, `GET /metrics` on TCP.
//!
//! Runs as a task beside the control loop, on the same thread. It owns no state: a request becomes a
//! [`Query`], which the control loop answers between two of its other duties.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::control::switch::Switch;
use crate::metrics::exposition;

type Answer = Box<dyn FnOnce(&mut Switch) + Send>;

/// A question to the control loop.
pub struct Query(Answer);

impl Query {
    /// Answers it.
    pub fn answer(self, switch: &mut Switch) {
        (self.0)(switch);
    }
}

#[derive(Clone)]
struct Control(mpsc::Sender<Query>);

impl Control {
    /// What the control loop makes of its state, or `None` while the switch stops.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Switch) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let ask = Query(Box::new(move |switch| {
            // Whoever asked may have gone away.
            let _ = answer.send(question(switch));
        }));
        self.0.send(ask).await.ok()?;
        answered.await.ok()
    }

    async fn rows<T: Serialize + Send + 'static>(
        self,
        question: impl FnOnce(&Switch) -> T + Send + 'static,
    ) -> Response {
        match self.ask(question).await {
            Some(rows) => axum::Json(rows).into_response(),
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    async fn metrics(self) -> Response {
        match self.ask(exposition::encode).await {
            Some(text) => {
                ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response()
            }
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }
}

/// Serves until aborted.
pub async fn serve(socket: UnixListener, metrics: TcpListener, queries: mpsc::Sender<Query>) {
    let control = Control(queries);
    macro_rules! rows {
        ($rows:ident) => {{
            let control = control.clone();
            get(move || control.rows(Switch::$rows))
        }};
    }
    let api = Router::new()
        .route("/v1/ports", rows!(port_rows))
        .route("/v1/networks", rows!(network_rows))
        .route("/v1/fdb", rows!(fdb_rows))
        .route("/v1/vteps", rows!(vtep_rows))
        .route("/v1/workers", rows!(worker_rows))
        .route("/v1/drops", rows!(drop_rows));
    let scrape = Router::new().route("/metrics", get(move || control.metrics()));
    let (api, scrape) = tokio::join!(
        axum::serve(socket, api).into_future(),
        axum::serve(metrics, scrape).into_future()
    );
    for result in [api, scrape] {
        if let Err(error) = result {
            error!(%error, "the API stopped");
        }
    }
}
