//! Responses: JSON bodies, and the headers `ETag` and `Location`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::api::apply::Change;
use crate::api::control::run_blocking;
use crate::api::precondition::etag;
use crate::api::problem::Problem;
use crate::api::uri::percent_encoded;

/// The longest list that is serialized on the control thread.
const SHORT_LIST: usize = 200;

/// What a handler returns.
pub(super) type Answer = Result<Response, Problem>;

/// A JSON response.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Serializes rows, numbers and strings, which cannot fail.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Adds the generation that a response belongs to.
pub(super) fn with_etag(mut response: Response, generation: u64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&etag(generation)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Responds with one object.
pub(super) fn object(value: &impl Serialize) -> Response {
    json(StatusCode::OK, to_json(value))
}

/// Responds with a list.
pub(super) async fn list<T: Serialize + Send + 'static>(rows: Vec<T>) -> Answer {
    let is_long = rows.len() > SHORT_LIST;
    Ok(json(StatusCode::OK, serialize(rows, is_long).await?))
}

/// Responds with a change that was applied.
pub(super) async fn changed(change: Change) -> Answer {
    change_response(StatusCode::OK, change).await
}

/// Responds with a change that created the object at a path below `/v1`.
pub(super) async fn created(change: Change, path: &[&str]) -> Answer {
    let path: String = path.iter().map(|part| format!("/{}", percent_encoded(part))).collect();
    let mut response = change_response(StatusCode::CREATED, change).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1{path}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn change_response(status: StatusCode, change: Change) -> Answer {
    let generation = change.generation;
    let is_long = change.plan.steps.len() > SHORT_LIST;
    Ok(with_etag(json(status, serialize(change, is_long).await?), generation))
}

async fn serialize<T: Serialize + Send + 'static>(
    value: T,
    is_long: bool,
) -> Result<Vec<u8>, Problem> {
    if is_long { run_blocking(move || to_json(&value)).await } else { Ok(to_json(&value)) }
}
