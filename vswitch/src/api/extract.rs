//! What a request says, read strictly: whatever is not understood is an error that names it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Place, Problem, ValueProblem, pointer};
use super::routes::App;

/// The largest body that is about a single thing, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// The largest body that is a whole configuration, in bytes.
pub const MAX_CONFIGURATION: usize = 16 * 1024 * 1024;
/// Bodies of more than [`MAX_BODY`] that are in memory at a time.
pub const LARGE_BODIES: usize = 4;

/// JSON, but not what belongs there.
const SHAPE: &str = "the body has not the shape that belongs here";

/// The query parameters.
pub struct Params<T>(pub T);

/// No query parameters.
pub type NoParams = Params<Nothing>;

/// A query without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_pairs(query));
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = segments(error.path());
            let said = Said::of(&error.inner().to_string(), path);
            Problem::new(Kind::BadRequest, "a query parameter is not understood")
                .because(said.about(Place::Query))
        })
    }
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// Parts of the path.
pub struct Names<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) => {
                let key = match &rejection {
                    PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
                        ErrorKind::InvalidUtf8InPathParam { key }
                        | ErrorKind::ParseErrorAtKey { key, .. } => key.clone(),
                        _ => String::new(),
                    },
                    _ => String::new(),
                };
                let error = ValueProblem::new(
                    Place::Path,
                    pointer([key]),
                    rejection.body_text(),
                    "names are UTF-8; other characters than letters and digits are percent-encoded",
                );
                let what = "a part of the path is not understood";
                Err(Problem::new(Kind::BadRequest, what).because(error))
            }
        }
    }
}

/// Which configuration a change is for: `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `*`: whichever is running.
    Any,
    /// One of these generations.
    OneOf(Vec<u64>),
}

/// The `ETag` of a generation.
#[must_use]
pub fn etag(generation: u64) -> String {
    format!("\"{generation}\"")
}

impl Precondition {
    /// What the request says, if it says so.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let not_understood = || {
            let error = ValueProblem::new(
                Place::Header,
                "/if-match",
                "it is no list of ETags",
                "send what came as ETag, with its quotation marks: `If-Match: \"7\"`",
            );
            Problem::new(Kind::BadRequest, "If-Match is not understood").because(error)
        };
        let mut generations = Vec::new();
        let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        for value in values {
            for tag in value.to_str().map_err(|_| not_understood())?.split(',') {
                let tag = tag.trim();
                if tag == "*" {
                    return Ok(Some(Self::Any));
                }
                // A weak tag never matches (RFC 9110, section 13.1.1).
                let (is_weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |t| (true, t));
                let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                let inner = inner.filter(|tag| !tag.contains('"')).ok_or_else(not_understood)?;
                if let (false, Ok(generation)) = (is_weak, inner.parse()) {
                    generations.push(generation);
                }
            }
        }
        Ok(Some(Self::OneOf(generations)))
    }

    /// Whether the change is for the running configuration.
    ///
    /// # Errors
    /// It is for another one.
    pub fn check(&self, running: u64) -> Result<(), Problem> {
        match self {
            Self::OneOf(generations) if !generations.contains(&running) => Err(changed(running)),
            _ => Ok(()),
        }
    }
}

/// Somebody else was faster.
#[must_use]
pub fn changed(running: u64) -> Problem {
    let detail = format!(
        "the running configuration is generation {running} now, and the change was made for another one"
    );
    let help = "read what you want to change again, make the change on that, and send its ETag";
    let error = ValueProblem::new(Place::Header, "/if-match", "it is another generation's", help);
    let mut problem = Problem::new(Kind::PreconditionFailed, detail).because(error);
    problem.generation = Some(running);
    problem
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers)?.ok_or_else(|| {
            let error = ValueProblem::new(
                Place::Header,
                "/if-match",
                "it is missing",
                "send the ETag that came with what you read, for example `If-Match: \"7\"`; `*` \
                 changes whatever is running",
            );
            let detail =
                "without If-Match, two who change the configuration would not notice each other";
            Problem::new(Kind::PreconditionRequired, detail).because(error)
        })
    }
}

/// [`Precondition`], if there is one.
pub struct MaybePrecondition(pub Option<Precondition>);

impl<S: Sync> FromRequestParts<S> for MaybePrecondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Precondition::read(&parts.headers).map(Self)
    }
}

/// A JSON body.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        media_type(request.headers(), &["application/json"])?;
        let (body, _room) = read(request, MAX_BODY, &app.room).await?;
        object_from_json(&body).map(Self)
    }
}

/// A JSON merge patch (RFC 7396).
pub struct MergePatch(pub serde_json::Value);

impl FromRequest<App> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        media_type(request.headers(), &["application/merge-patch+json", "application/json"])?;
        let (body, _room) = read(request, MAX_BODY, &app.room).await?;
        from_json(&body).map(Self)
    }
}

/// A whole configuration, as it came.
pub struct ConfigurationBody {
    /// Its text.
    pub text: Bytes,
    /// TOML, not JSON.
    pub is_toml: bool,
    _room: Option<OwnedSemaphorePermit>,
}

impl FromRequest<App> for ConfigurationBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let known = ["application/json", "application/toml"];
        let is_toml = media_type(request.headers(), &known)? == 1;
        let (text, room) = read(request, MAX_CONFIGURATION, &app.room).await?;
        Ok(Self { text, is_toml, _room: room })
    }
}

/// Which of the known media types a body has.
fn media_type(headers: &HeaderMap, known: &[&str]) -> Result<usize, Problem> {
    let typed = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let essence = typed.and_then(|typed| typed.split(';').next()).map(str::trim);
    let found = known
        .iter()
        .position(|known| essence.is_some_and(|essence| essence.eq_ignore_ascii_case(known)));
    found.ok_or_else(|| {
        let detail = match typed {
            Some(typed) => format!("`{}` is not understood here", typed.escape_debug()),
            None => "the request does not say what its body is".to_owned(),
        };
        let help = format!("send `Content-Type: {}`", known.join("` or `"));
        let error = ValueProblem::new(Place::Header, "/content-type", detail.clone(), help);
        Problem::new(Kind::UnsupportedMediaType, detail).because(error)
    })
}

type Room = Option<OwnedSemaphorePermit>;

/// The body, and the right to have it in memory if it is large.
async fn read(
    request: Request,
    limit: usize,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, Room), Problem> {
    let too_large = || {
        let help = format!("at most {limit} bytes are taken here");
        let error = ValueProblem::new(Place::Body, "", "it is too large", help);
        let detail = format!("the body has more than {limit} bytes");
        Problem::new(Kind::TooLarge, detail).because(error)
    };
    let said = request.headers().get(header::CONTENT_LENGTH);
    let said: usize = said.and_then(|n| n.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = request.into_body();
    let (mut all, mut has_room) = (Vec::new(), None);
    while said <= limit
        && let Some(frame) = body.frame().await
    {
        let failed = |error| {
            Problem::new(Kind::BadRequest, format!("the body did not arrive whole: {error}"))
        };
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        let len = all.len() + data.len();
        if len > limit {
            return Err(too_large());
        }
        if len > MAX_BODY && has_room.is_none() {
            // Never closed.
            has_room = Arc::clone(room).acquire_owned().await.ok();
        }
        all.extend_from_slice(&data);
    }
    if said > limit { Err(too_large()) } else { Ok((all.into(), has_room)) }
}

/// Reads JSON.
///
/// # Errors
/// It is no JSON, or has another shape.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = segments(error.path());
        not_json(error.inner(), path)
    })?;
    json.end().map_err(|error| not_json(&error, Vec::new()))?;
    Ok(value)
}

/// Reads a JSON object. In its place, serde would also take a list of the values of its fields, and an
/// empty one where every field has a default.
///
/// # Errors
/// It is no JSON, or has another shape.
pub fn object_from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text.trim_ascii_start().first() == Some(&b'[') {
        let error = ValueProblem::new(Place::Body, "", "invalid type: list", "expected an object");
        return Err(Problem::new(Kind::Invalid, SHAPE).because(error));
    }
    from_json(text)
}

/// Makes a value of a type from JSON that is there already.
///
/// # Errors
/// It has another shape.
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = segments(error.path());
        not_json(error.inner(), path)
    })
}

fn not_json(error: &serde_json::Error, path: Vec<String>) -> Problem {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    if error.is_data() {
        let said = Said::of(what, path);
        return Problem::new(Kind::Invalid, SHAPE).because(said.about(Place::Body));
    }
    let help = "write one JSON value: texts in double quotes, no comma after the last";
    let mut at = ValueProblem::new(Place::Body, "", what, help);
    (at.line, at.column) = (Some(error.line()), Some(error.column()));
    Problem::new(Kind::BadRequest, format!("the body is not JSON: {what}")).because(at)
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

/// What serde says, taken apart.
struct Said {
    path: Vec<String>,
    detail: String,
    help: String,
}

impl Said {
    fn of(what: &str, mut path: Vec<String>) -> Self {
        let named = what.split('`').nth(1).map(str::to_owned);
        let (detail, expected) = match what.split_once(", expected ") {
            Some((detail, expected)) => (detail.to_owned(), Some(expected)),
            None => (what.to_owned(), None),
        };
        // Of a field that is unknown or missing, serde knows the path of its surroundings.
        let is_field = ["unknown field", "missing field", "duplicate field"];
        if let Some(named) = named.filter(|_| is_field.iter().any(|word| what.starts_with(word)))
            && path.last() != Some(&named)
        {
            path.push(named);
        }
        let help = match expected {
            Some(expected) if what.starts_with("unknown field") => {
                format!("known here: {}", expected.trim_start_matches("one of "))
            }
            Some(expected) => format!("expected {expected}"),
            None if what.starts_with("missing field") => "add it".to_owned(),
            None if what.starts_with("duplicate field") => "give it once".to_owned(),
            None if what.starts_with("unknown field") => "nothing is known here".to_owned(),
            None => "GET /v1/openapi.json says what belongs here".to_owned(),
        };
        Self { path, detail, help }
    }

    fn about(self, place: Place) -> ValueProblem {
        ValueProblem::new(place, pointer(self.path), self.detail, self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn precondition(values: &[&str]) -> Result<Option<Precondition>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        Precondition::read(&headers)
    }

    #[test]
    fn if_match_is_read_as_rfc_9110_has_it() {
        let one_of = |list: &[u64]| Some(Precondition::OneOf(list.to_vec()));
        assert_eq!(precondition(&[]).unwrap(), None);
        assert_eq!(precondition(&["\"7\""]).unwrap(), one_of(&[7]));
        assert_eq!(precondition(&["\"7\", \"8\"", "\"9\""]).unwrap(), one_of(&[7, 8, 9]));
        assert_eq!(precondition(&["W/\"7\""]).unwrap(), one_of(&[]));
        assert_eq!(precondition(&["\"not ours\""]).unwrap(), one_of(&[]));
        assert_eq!(precondition(&["*"]).unwrap(), Some(Precondition::Any));
        for wrong in ["7", "\"7", "", "\"7\",", "W/7"] {
            assert!(precondition(&[wrong]).unwrap_err().is(Kind::BadRequest), "{wrong}");
        }
    }

    #[test]
    fn a_generation_that_is_not_running_is_refused_with_the_one_that_is() {
        let precondition = Precondition::OneOf(vec![3, 5]);
        assert!(precondition.check(5).is_ok());
        let problem = precondition.check(6).unwrap_err();
        assert!(problem.is(Kind::PreconditionFailed));
        assert_eq!(problem.generation, Some(6));
        assert!(Precondition::Any.check(6).is_ok());
        assert!(Precondition::OneOf(vec![]).check(6).is_err());
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only what is wrong with it matters")]
    struct Outer {
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only what is wrong with it matters")]
    struct Inner {
        number: i64,
    }

    #[test]
    fn a_wrong_body_is_explained_where_it_is_wrong() {
        let said = |text: &str| from_json::<Outer>(text.as_bytes()).unwrap_err();
        for (text, at, detail, help) in [
            (r#"{"list": [{"number": "x"}]}"#, "/list/0/number", "string", "i64"),
            (r#"{"list": [{"number": 1, "nmber": 2}]}"#, "/list/0/nmber", "unknown", "number"),
            (r#"{"list": [{}]}"#, "/list/0/number", "missing", "add"),
            (r#"{"list": [{"number": 1, "number": 2}]}"#, "/list/0/number", "duplicate", "once"),
            (r#"{}"#, "/list", "missing", "add"),
            (r#"[1]"#, "/0", "", ""),
            (r#"{"list": {"a": 1}}"#, "/list", "map", "sequence"),
        ] {
            let problem = said(text);
            assert!(problem.is(Kind::Invalid), "{text}: {problem:?}");
            let error = &problem.errors[0];
            if text != "[1]" {
                assert_eq!(error.pointer, at, "{text}: {error:?}");
            }
            assert!(error.detail.contains(detail), "{text}: {error:?}");
            assert!(error.help.contains(help), "{text}: {error:?}");
        }
        for text in ["", "{", "{}x", r#"{"list": [],}"#, "\u{0}"] {
            let problem = said(text);
            let is_shape = text == "{}x";
            assert!(problem.is(Kind::BadRequest) || is_shape, "{text}: {problem:?}");
        }
    }
}
