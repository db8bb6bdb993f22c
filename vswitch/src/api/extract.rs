//! Extractors: the parts of a request as typed values. Anything unknown is an error that names it.

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::json::{field_problem, from_json, object_from_json};
use super::problem::{INVALID_QUERY, Kind, Problem, Source, ValueProblem, pointer};

/// The largest body of a request about one object, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// The largest body that holds a whole configuration, in bytes.
pub const MAX_CONFIGURATION: usize = 16 * 1024 * 1024;

/// The query parameters.
pub struct QueryParams<T>(pub T);

/// Accepts no query parameters.
pub type NoQuery = QueryParams<Empty>;

/// A query without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let message = error.inner().to_string();
            Problem::new(Kind::BadRequest, INVALID_QUERY).because(field_problem(
                Source::Query,
                error.path(),
                &message,
            ))
        })
    }
}

/// Checks that a query parameter is from 1 to a maximum.
///
/// # Errors
/// The value is out of range.
pub fn check_range(name: &str, value: Option<u64>, max: u64) -> Result<(), Problem> {
    let Some(value) = value.filter(|value| !(1..=max).contains(value)) else { return Ok(()) };
    let detail = format!("{value} is not in the range from 1 to {max}");
    Err(Problem::of_query(name, detail, format!("send a number from 1 to {max}")))
}

/// The parameters in the path.
pub struct PathParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rejection = match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => return Ok(Self(params)),
            Err(rejection) => rejection,
        };
        let name = match &rejection {
            PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
                ErrorKind::InvalidUtf8InPathParam { key }
                | ErrorKind::ParseErrorAtKey { key, .. } => key.clone(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        let error = ValueProblem::new(
            Source::Path,
            pointer([name]),
            rejection.body_text(),
            "names are UTF-8; percent-encode all characters but letters and digits",
        );
        Err(Problem::new(Kind::BadRequest, "invalid path parameter").because(error))
    }
}

/// A JSON object.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        media_type(request.headers(), &["application/json"])?;
        let body = read_body(request, MAX_BODY, app).await?;
        object_from_json(&body.bytes).map(Self)
    }
}

/// A JSON merge patch (RFC 7396).
pub struct MergePatch(pub serde_json::Value);

impl FromRequest<App> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        media_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        let body = read_body(request, MAX_BODY, app).await?;
        from_json(&body.bytes).map(Self)
    }
}

/// A whole configuration, not parsed yet.
pub struct ConfigurationBody {
    body: ReadBody,
    /// TOML; otherwise JSON.
    pub is_toml: bool,
}

impl ConfigurationBody {
    /// The bytes of the body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body.bytes
    }
}

impl FromRequest<App> for ConfigurationBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let known = ["application/json", "application/toml"];
        let is_toml = media_type(request.headers(), &known)? == 1;
        Ok(Self { body: read_body(request, MAX_CONFIGURATION, app).await?, is_toml })
    }
}

/// Returns the index of the body's media type in `known`.
fn media_type(headers: &HeaderMap, known: &[&str]) -> Result<usize, Problem> {
    let sent = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let essence = sent.and_then(|sent| sent.split(';').next()).map(str::trim);
    let found = known
        .iter()
        .position(|known| essence.is_some_and(|essence| essence.eq_ignore_ascii_case(known)));
    found.ok_or_else(|| {
        let detail = match sent {
            Some(sent) => format!("`{}` is not supported here", sent.escape_debug()),
            None => "the request has no Content-Type".to_owned(),
        };
        let help = format!("send `Content-Type: {}`", known.join("` or `"));
        Problem::of_value(Kind::UnsupportedMediaType, Source::Header, "/content-type", detail, help)
    })
}

struct ReadBody {
    bytes: Bytes,
    /// Held while a large body is in memory.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads the body. A body of more than [`MAX_BODY`] waits until few enough are in memory.
async fn read_body(request: Request, limit: usize, app: &App) -> Result<ReadBody, Problem> {
    let too_large = || {
        let help = format!("send at most {limit} bytes");
        let error = ValueProblem::new(Source::Body, "", "too large", help);
        let detail = format!("the body has more than {limit} bytes");
        Problem::new(Kind::TooLarge, detail).because(error)
    };
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length: usize = length.and_then(|n| n.to_str().ok()?.parse().ok()).unwrap_or(0);
    if length > limit {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let (mut bytes, mut permit) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let failed =
            |error| Problem::new(Kind::BadRequest, format!("cannot read the body: {error}"));
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        let len = bytes.len() + data.len();
        if len > limit {
            return Err(too_large());
        }
        if len > MAX_BODY && permit.is_none() {
            // The semaphore is never closed.
            permit = app.large_bodies.clone().acquire_owned().await.ok();
        }
        bytes.extend_from_slice(&data);
    }
    Ok(ReadBody { bytes: bytes.into(), _permit: permit })
}
