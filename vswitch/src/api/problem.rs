//! Error responses: problem details as defined in RFC 9457.
//!
//! Each [`Kind`] is declared once, below, with its status, the last part of its `type` and its
//! title; the error responses in the `OpenAPI` document come from the same table. A problem caused
//! by a field, a query parameter or a header names it and says what would be valid.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::topology::plan::Step;

/// The media type of every error.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The part of `type` before the slug.
const TYPE_PREFIX: &str = "urn:vswitch:problem:";

/// The detail of every problem with the query.
pub(super) const INVALID_QUERY: &str = "invalid query parameter";

macro_rules! kinds {
    ($($kind:ident $status:literal $slug:literal $title:literal;)*) => {
        /// The kinds of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $title] $kind,)*
        }

        impl Kind {
            /// All kinds, by status.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// The last part of `type`.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)* }
            }

            /// The title, which is the same for every problem of this kind.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

kinds! {
    BadRequest 400 "bad-request" "The request cannot be read.";
    Unauthorized 401 "unauthorized" "The bearer token is missing or wrong.";
    NotFound 404 "not-found" "The resource does not exist.";
    MethodNotAllowed 405 "method-not-allowed" "The resource does not support this method.";
    NotAcceptable 406 "not-acceptable" "The response is not available in an accepted format.";
    Timeout 408 "timeout" "The request did not arrive in time, or took too long to answer.";
    Conflict 409 "conflict" "The running configuration does not allow the change.";
    NeedsRestart 409 "needs-restart" "Part of the change needs a restart of the switch.";
    AwaitsConfirmation 409 "awaits-confirmation" "An earlier change is not confirmed yet.";
    NothingPending 409 "nothing-pending" "No change waits for confirmation.";
    TooManyCaptures 409 "too-many-captures" "The maximum number of captures is running.";
    PreconditionFailed 412 "precondition-failed" "The configuration has changed since it was read.";
    TooLarge 413 "too-large" "The body is too large.";
    UnsupportedMediaType 415 "unsupported-media-type" "The body has an unsupported media type.";
    Invalid 422 "invalid" "A value in the request is not valid.";
    BadFilter 422 "bad-filter" "The filter is not a valid pcap-filter(7) expression.";
    PreconditionRequired 428 "precondition-required" "The request needs an If-Match header.";
    Unavailable 503 "unavailable" "The switch cannot answer now.";
    Storage 507 "storage" "The configuration cannot be stored, so nothing was changed.";
}

/// An error response, `application/problem+json` (RFC 9457). Boxed, because many functions return
/// it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem(Box<Details>);

impl std::ops::Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl std::ops::DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

/// The members of a problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// The kind of the problem, for programs: `urn:vswitch:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of the problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened in this request.
    pub detail: String,
    /// The values that caused the problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ValueProblem>,
    /// For `precondition-failed`: the running generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation: Option<u64>,
    /// For `needs-restart`: the steps that need a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A value that caused a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueProblem {
    /// Where the value comes from.
    #[serde(rename = "in")]
    pub source: Source,
    /// A JSON pointer (RFC 6901) to the value. In a query, a path or a header: `/` and the name.
    pub pointer: String,
    /// What is wrong with the value.
    pub detail: String,
    /// What would be valid.
    pub help: String,
    /// In a TOML body: the line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<usize>,
    /// In a TOML body: the column, counted from 1 in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub column: Option<usize>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The body of the request.
    Body,
    /// The resulting configuration, outside of the part that the request sent.
    Configuration,
    /// A query parameter.
    Query,
    /// A path parameter.
    Path,
    /// A header.
    Header,
}

impl Problem {
    /// Makes a problem of a kind.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind: format!("{TYPE_PREFIX}{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
            generation: None,
            steps: Vec::new(),
        }))
    }

    /// Makes a problem that one value causes; both have the same detail.
    #[must_use]
    pub fn of_value(
        kind: Kind,
        source: Source,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let error = ValueProblem::new(source, pointer, detail, help);
        Self::new(kind, error.detail.clone()).because(error)
    }

    /// Makes a problem that values cause, `total` of them even if fewer are listed. Its detail is
    /// the first value's and the number of the others.
    #[must_use]
    pub fn of_values(kind: Kind, errors: Vec<ValueProblem>, total: usize) -> Self {
        let first = errors.first().map_or(kind.title(), |error| &error.detail);
        let detail = match total {
            0 | 1 => first.to_owned(),
            total => format!("{first}; and {} more", total - 1),
        };
        let mut problem = Self::new(kind, detail);
        problem.0.errors = errors;
        problem
    }

    /// Makes a problem with the query parameter of that name.
    #[must_use]
    pub fn of_query(name: &str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        let error = ValueProblem::new(Source::Query, format!("/{name}"), detail, help);
        Self::new(Kind::BadRequest, INVALID_QUERY).because(error)
    }

    /// Adds a value that caused the problem.
    #[must_use]
    pub fn because(mut self, error: ValueProblem) -> Self {
        self.errors.push(error);
        self
    }

    /// Whether the problem is of this kind.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind.strip_prefix(TYPE_PREFIX) == Some(kind.slug())
    }
}

impl ValueProblem {
    /// Makes a problem with a value of the request.
    #[must_use]
    pub fn new(
        source: Source,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (detail, help) = (detail.into(), help.into());
        Self { source, pointer: pointer.into(), detail, help, line: None, column: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        // Strings and numbers always serialize.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if self.is(Kind::Unauthorized) {
            let scheme = HeaderValue::from_static("Bearer realm=\"vswitch\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.is(Kind::Unavailable) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Joins segments to a JSON pointer (RFC 6901).
pub(super) fn pointer<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> String {
    let escaped = |part: T| format!("/{}", part.as_ref().replace('~', "~0").replace('/', "~1"));
    parts.into_iter().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_belongs_to_one_kind() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert!(!Kind::ALL[..i].iter().any(|other| other.slug() == kind.slug()), "{kind:?}");
            assert!((400..600).contains(&kind.status()), "{kind:?}");
        }
    }

    #[test]
    fn a_pointer_is_escaped() {
        assert_eq!(pointer(["network", "0", "a/b~c"]), "/network/0/a~1b~0c");
        assert_eq!(pointer::<&str>([]), "");
    }
}
