//! What the API says when it cannot do what was asked: RFC 9457 problem details.
//!
//! Each [`Kind`] is declared once, below, with its status, the last part of its `type` and its title;
//! the responses of the `OpenAPI` document come from the same table. A problem that a field, a query
//! parameter or a header causes names it, and says what would be right.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::topology::plan::Step;

/// The media type of every error.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What stands before a kind's name in `type`.
const TYPE_PREFIX: &str = "urn:vswitch:problem:";

macro_rules! kinds {
    ($($kind:ident $status:literal $slug:literal $title:literal;)*) => {
        /// What sort of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $title] $kind,)*
        }

        impl Kind {
            /// All of them, by status.
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

            /// What it is, in a few words that are always the same.
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
    NotFound 404 "not-found" "There is no such thing here.";
    MethodNotAllowed 405 "method-not-allowed" "This can be read or changed in other ways only.";
    NotAcceptable 406 "not-acceptable" "The answer does not exist in a format that was asked for.";
    Timeout 408 "timeout" "The request did not arrive in time, or took too long.";
    Conflict 409 "conflict" "The running configuration does not allow it.";
    NeedsRestart 409 "needs-restart" "A part of the change needs a restart of the switch.";
    AwaitsConfirmation 409 "awaits-confirmation" "An earlier change waits to be confirmed.";
    NothingPending 409 "nothing-pending" "No change waits to be confirmed.";
    TooManyCaptures 409 "too-many-captures" "As many captures run as can run at a time.";
    PreconditionFailed 412 "precondition-failed" "The configuration has changed since it was read.";
    TooLarge 413 "too-large" "The body is too large.";
    UnsupportedMediaType 415 "unsupported-media-type" "The body is in a format that is not understood.";
    Invalid 422 "invalid" "The configuration would not be valid.";
    BadFilter 422 "bad-filter" "The filter is no expression of pcap-filter(7).";
    PreconditionRequired 428 "precondition-required" "The request does not say which configuration it changes.";
    Unavailable 503 "unavailable" "The switch cannot answer now.";
    Storage 507 "storage" "The configuration cannot be stored, and so nothing was changed.";
}

/// What went wrong, as `application/problem+json` (RFC 9457). One pointer: it is the error of many functions.
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

/// What a problem says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Details {
    /// What sort of problem it is, for programs: `urn:vswitch:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The values that caused it, each with what would be right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ValueProblem>,
    /// For `precondition-failed`: the generation that is running now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation: Option<u64>,
    /// For `needs-restart`: the steps that do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// What is wrong with one value of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValueProblem {
    /// Where the value is.
    #[serde(rename = "in")]
    pub place: Place,
    /// A JSON pointer (RFC 6901) to it. In a query, a path or a header: `/` and the name.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
    /// What would be right.
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

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the body of the request.
    Body,
    /// In the configuration as the change would have made it, outside of what was sent.
    Configuration,
    /// A query parameter.
    Query,
    /// A part of the path.
    Path,
    /// A header.
    Header,
}

impl Problem {
    /// A problem, and what happened this time.
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

    /// The same, because of a value.
    #[must_use]
    pub fn because(mut self, error: ValueProblem) -> Self {
        self.errors.push(error);
        self
    }

    /// The same, because of these values.
    #[must_use]
    pub fn because_of(mut self, errors: Vec<ValueProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind.strip_prefix(TYPE_PREFIX) == Some(kind.slug())
    }
}

impl ValueProblem {
    /// What is wrong with a value, and what would be right.
    #[must_use]
    pub fn new(
        place: Place,
        pointer: impl Into<String>,
        detail: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (detail, help) = (detail.into(), help.into());
        Self { place, pointer: pointer.into(), detail, help, line: None, column: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        // Strings and numbers alone: this cannot fail.
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

/// A JSON pointer (RFC 6901) from its parts.
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
