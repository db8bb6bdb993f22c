//! The routes under `/v1`, each with its description for the `OpenAPI` document.
//!
//! A handler reads the request with the [extractors](super::extract), asks the
//! [control loop](super::control), and answers; there is nothing else in it.

mod attachments;
mod capture;
mod configuration;
mod events;
mod explain;
mod fdb;
mod networks;
mod rows;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change::Change;
use super::control::{Control, aside};
use super::extract::{LARGE_BODIES, NoParams, etag};
use super::openapi;
use super::problem::{Kind, Place, Problem, ValueProblem};
use crate::datapath::capture::MAX_CAPTURES;
use crate::explain::Explainer;

pub use events::MAX_STREAMS;
pub use explain::{ExplainRequest, MAX_FRAME, Was};
pub use fdb::{DEFAULT_LIMIT, MAX_LIMIT};

/// Longer lists become JSON on a thread of their own.
const SHORT_LIST: usize = 200;

/// What every handler has.
#[derive(Clone)]
pub struct App {
    /// Where the control loop is asked.
    pub(super) control: Control,
    /// Explains frames. Locked on the control thread only.
    explainer: Arc<Mutex<Explainer>>,
    /// For large bodies.
    pub(super) room: Arc<Semaphore>,
    /// For the memory of captures that do not run yet.
    seats: Arc<Semaphore>,
    /// How long a request may take.
    patience: Duration,
    document: Bytes,
}

/// The routes, with everything that is the same for all of them.
pub fn router(control: Control, patience: Duration) -> Router {
    let (router, document) = described();
    // Strings, numbers and lists: this cannot fail.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let room = Arc::new(Semaphore::new(LARGE_BODIES));
    let seats = Arc::new(Semaphore::new(MAX_CAPTURES));
    let explainer = Arc::default();
    let app = App { control, explainer, room, seats, patience, document };
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), in_time))
        .with_state(app)
}

/// The routes and their description.
pub(super) fn described() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(rows::get_ports, attachments::create_port))
        .routes(routes!(rows::get_port, attachments::delete_port))
        .routes(routes!(rows::get_vteps, attachments::create_vtep))
        .routes(routes!(rows::get_vtep, attachments::delete_vtep))
        .routes(routes!(rows::get_networks, networks::create_network))
        .routes(routes!(rows::get_network, networks::patch_network, networks::delete_network))
        .routes(routes!(networks::get_members, networks::add_member))
        .routes(routes!(networks::remove_member))
        .routes(routes!(networks::get_macs, networks::add_mac))
        .routes(routes!(networks::remove_mac))
        .routes(routes!(networks::get_remote_vteps, networks::add_remote_vtep))
        .routes(routes!(networks::remove_remote_vtep))
        .routes(routes!(networks::migrate))
        .routes(routes!(fdb::get_fdb))
        .routes(routes!(fdb::flush_fdb))
        .routes(routes!(rows::get_status))
        .routes(routes!(rows::get_workers))
        .routes(routes!(rows::get_drops))
        .routes(routes!(explain::explain))
        .routes(routes!(capture::get_dropped_frames))
        .routes(routes!(capture::get_capture))
        .routes(routes!(capture::get_captures))
        .routes(routes!(capture::end_capture))
        .routes(routes!(configuration::get_generation))
        .routes(routes!(configuration::get_config))
        .routes(routes!(configuration::plan))
        .routes(routes!(configuration::apply))
        .routes(routes!(configuration::confirm))
        .routes(routes!(configuration::roll_back))
        .routes(routes!(events::get_events))
        .routes(routes!(get_openapi))
        .split_for_parts();
    openapi::complete(&mut document);
    (router, document)
}

/// This document: every route, with all that it takes and answers.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn get_openapi(State(app): State<App>, _: NoParams) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.document).into_response()
}

async fn no_such_route(uri: Uri) -> Problem {
    let detail = format!("there is no `{}`", uri.path().escape_debug());
    let help = "GET /v1/openapi.json lists what there is";
    Problem::new(Kind::NotFound, detail.clone()).because(ValueProblem::new(
        Place::Path,
        "",
        detail,
        help,
    ))
}

async fn no_such_method(request: Request) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{} is not for `{}`; the header Allow lists what is",
            request.method(),
            request.uri().path().escape_debug()
        ),
    )
}

/// Ends a request that takes too long, in whatever it waits.
async fn in_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(app.patience, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| {
        let secs = app.patience.as_secs();
        let detail = format!("the request was not complete, or not done, after {secs} seconds");
        Problem::new(Kind::Timeout, detail).into_response()
    });
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

type Answer = Result<Response, Problem>;

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Rows, numbers and strings: writing them cannot fail.
fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Adds the generation that an answer belongs to.
fn with_etag(mut response: Response, generation: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&etag(generation)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Answers with one thing.
fn one(value: &impl Serialize) -> Response {
    json(StatusCode::OK, written(value))
}

/// Answers with a list.
async fn list<T: Serialize + Send + 'static>(rows: Vec<T>) -> Answer {
    let body =
        if rows.len() > SHORT_LIST { aside(move || written(&rows)).await? } else { written(&rows) };
    Ok(json(StatusCode::OK, body))
}

/// Answers that a change was made.
async fn done(change: Change) -> Answer {
    answered(StatusCode::OK, change).await
}

/// Answers that a thing was made, and where it is.
async fn created(change: Change, path: &[&str]) -> Answer {
    let encoded = path.iter().map(|part| format!("/{}", percent_encoded(part)));
    let place = format!("/v1{}", encoded.collect::<String>());
    let mut response = answered(StatusCode::CREATED, change).await?;
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn answered(status: StatusCode, change: Change) -> Answer {
    let generation = change.generation;
    let is_long = change.plan.steps.len() > SHORT_LIST;
    let body = if is_long { aside(move || written(&change)).await? } else { written(&change) };
    Ok(with_etag(json(status, body), generation))
}

/// A part of a path, with everything but RFC 3986's unreserved characters and `:` encoded.
pub(crate) fn percent_encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    let encode = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    part.bytes().map(encode).collect()
}
