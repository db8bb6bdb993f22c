//! `If-Match`: the generation of the configuration that a change was made for (RFC 9110, section
//! 13.1.1).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::problem::{Kind, Problem, Source, ValueProblem};

/// The generations that a change was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `*`: any generation.
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
    /// Reads `If-Match`; `None` if the request has no such header.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let not_understood = || {
            let error = ValueProblem::new(
                Source::Header,
                "/if-match",
                "not a list of ETags",
                "send the ETag as it was received, with its quotation marks: `If-Match: \"7\"`",
            );
            Problem::new(Kind::BadRequest, "cannot parse If-Match").because(error)
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

    /// Checks that the change was made for the running generation.
    ///
    /// # Errors
    /// The change was made for another generation.
    pub fn check(&self, running: u64) -> Result<(), Problem> {
        match self {
            Self::OneOf(generations) if !generations.contains(&running) => Err(outdated(running)),
            _ => Ok(()),
        }
    }
}

/// The configuration has changed since the client read it.
#[must_use]
pub fn outdated(running: u64) -> Problem {
    let detail = format!(
        "the running configuration is generation {running}; the change was made for another one"
    );
    let help = "read the configuration again, repeat the change, and send the new ETag";
    let error = ValueProblem::new(Source::Header, "/if-match", "not the running generation", help);
    let mut problem = Problem::new(Kind::PreconditionFailed, detail).because(error);
    problem.generation = Some(running);
    problem
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers)?.ok_or_else(|| {
            let error = ValueProblem::new(
                Source::Header,
                "/if-match",
                "missing",
                "send the ETag of the configuration that was read, for example `If-Match: \"7\"`; \
                 `*` changes any running configuration",
            );
            let detail = "without If-Match, one client could overwrite another client's change";
            Problem::new(Kind::PreconditionRequired, detail).because(error)
        })
    }
}

/// A [`Precondition`], if the request has one.
pub struct OptionalPrecondition(pub Option<Precondition>);

impl<S: Sync> FromRequestParts<S> for OptionalPrecondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Precondition::read(&parts.headers).map(Self)
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
    fn if_match_follows_rfc_9110() {
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
    fn another_generation_is_refused_and_the_running_one_reported() {
        let precondition = Precondition::OneOf(vec![3, 5]);
        assert!(precondition.check(5).is_ok());
        let problem = precondition.check(6).unwrap_err();
        assert!(problem.is(Kind::PreconditionFailed));
        assert_eq!(problem.generation, Some(6));
        assert!(Precondition::Any.check(6).is_ok());
        assert!(Precondition::OneOf(vec![]).check(6).is_err());
    }
}
