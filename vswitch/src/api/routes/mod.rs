//! The routes under `/v1`, each with its description for the `OpenAPI` document.
//!
//! A handler reads the request with the [extractors](super::extract), asks the
//! [control loop](super::control), and responds.

pub mod capture;
mod configuration;
pub mod events;
pub mod explain;
pub mod fdb;
mod networks;
mod ports_and_vteps;
mod response;
mod state;

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::control::Control;
use super::extract::NoQuery;
use super::openapi;
use super::problem::{Kind, Problem, Source};

/// Makes the router of the API.
pub fn router(control: Control, request_timeout: Duration) -> Router {
    let (router, document) = described();
    // Strings, numbers and lists always serialize.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let app = App::new(control, request_timeout, document);
    router
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), with_timeout))
        .with_state(app)
}

/// The routes and their description.
pub(super) fn described() -> (Router<App>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(state::get_ports, ports_and_vteps::create_port))
        .routes(routes!(state::get_port, ports_and_vteps::delete_port))
        .routes(routes!(state::get_vteps, ports_and_vteps::create_vtep))
        .routes(routes!(state::get_vtep, ports_and_vteps::delete_vtep))
        .routes(routes!(state::get_networks, networks::create_network))
        .routes(routes!(state::get_network, networks::patch_network, networks::delete_network))
        .routes(routes!(networks::get_members, networks::add_member))
        .routes(routes!(networks::remove_member))
        .routes(routes!(networks::get_macs, networks::add_mac))
        .routes(routes!(networks::remove_mac))
        .routes(routes!(networks::get_remote_vteps, networks::add_remote_vtep))
        .routes(routes!(networks::remove_remote_vtep))
        .routes(routes!(networks::migrate))
        .routes(routes!(fdb::get_fdb))
        .routes(routes!(fdb::flush_fdb))
        .routes(routes!(state::get_status))
        .routes(routes!(state::get_workers))
        .routes(routes!(state::get_drops))
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

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn get_openapi(State(app): State<App>, _: NoQuery) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi).into_response()
}

async fn no_such_route(uri: Uri) -> Problem {
    let detail = format!("there is no `{}`", uri.path().escape_debug());
    let help = "GET /v1/openapi.json lists all routes";
    Problem::of_value(Kind::NotFound, Source::Path, "", detail, help)
}

async fn no_such_method(request: Request) -> Problem {
    let path = request.uri().path().escape_debug();
    let detail = format!(
        "`{path}` does not support {}; the Allow header lists the supported methods",
        request.method()
    );
    Problem::new(Kind::MethodNotAllowed, detail)
}

/// Ends a request that takes too long, whatever it waits for.
async fn with_timeout(State(app): State<App>, request: Request, next: Next) -> Response {
    let result = tokio::time::timeout(app.request_timeout, next.run(request)).await;
    let mut response = result.unwrap_or_else(|_| {
        let secs = app.request_timeout.as_secs();
        let detail = format!("the request took longer than {secs} seconds");
        Problem::new(Kind::Timeout, detail).into_response()
    });
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
