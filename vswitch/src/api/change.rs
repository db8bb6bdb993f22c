//! How every change is made: take the running configuration, change it, check it, apply it.
//!
//! Check and comparison run on a thread of their own, as they may take some milliseconds. If the configuration was
//! changed by somebody else meanwhile, that is a conflict like any other.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::Control;
use super::edit::Edited;
use super::extract::{Precondition, changed};
use super::problem::{Kind, Place, Problem, ValueProblem};
use crate::config::Config;
use crate::config::document::{Document, FieldError};
use crate::control::requests::{Applied, ApplyError, ApplyOptions, Proposed};
use crate::topology::plan::Plan;

/// Times that a change for whatever configuration is running is made anew, as that has changed.
const ATTEMPTS: u32 = 5;

/// What was changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The generation that is now active, also the `ETag`.
    pub generation: u64,
    /// What was changed.
    pub plan: Plan,
    /// When it goes back by itself unless confirmed, in milliseconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confirm_before_unix_millis: Option<u64>,
    /// What was sent and is allowed, but probably not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FieldError>,
}

/// A valid configuration, and where in it is what the request sent.
pub struct Proposal {
    /// The configuration.
    pub config: Config,
    /// The JSON pointer of what was sent, `""` if that is all of it; `None`: nothing was sent.
    pub sent: Option<String>,
}

/// Changes the running configuration.
///
/// # Errors
/// It is not the one that the change is for, the change is wrong, or it cannot be applied.
pub async fn change(
    control: &Control,
    precondition: Precondition,
    options: ApplyOptions,
    edit: impl Fn(&mut Document) -> Edited + Clone + Send + 'static,
) -> Result<Change, Problem> {
    let propose = move |running: &Config| {
        let mut document = Document::from(running);
        let sent = edit(&mut document)?;
        match document.check() {
            Ok(config) => Ok(Proposal { config, sent }),
            Err(errors) => Err(invalid(errors, sent.as_deref())),
        }
    };
    apply(control, precondition, options, propose).await
}

/// Applies what is proposed in place of the running configuration.
///
/// # Errors
/// The running one is not the one that it is for, or it cannot be applied.
pub async fn apply(
    control: &Control,
    precondition: Precondition,
    options: ApplyOptions,
    propose: impl Fn(&Config) -> Result<Proposal, Problem> + Clone + Send + 'static,
) -> Result<Change, Problem> {
    let mut running = 0;
    for _ in 0..ATTEMPTS {
        let (generation, config) =
            control.ask(|switch| (switch.generation(), switch.config().clone())).await?;
        precondition.check(generation)?;
        let propose = propose.clone();
        let checked = control.check(move || {
            let proposal = propose(&config)?;
            let warnings = warnings(&proposal);
            let Proposal { config: new, sent } = proposal;
            Ok::<_, Problem>((Proposed::new(&config, new), sent, warnings))
        });
        let (proposed, sent, warnings) = checked.await??;
        let base = Precondition::OneOf(vec![generation]);
        let applied = control.ask(move |switch| {
            base.check(switch.generation())?;
            switch.apply(proposed, options).map_err(|error| refused(error, sent.as_deref()))
        });
        match applied.await? {
            Ok(Applied { generation, plan, confirm_before }) => {
                let confirm_before_unix_millis = confirm_before.map(unix_millis);
                return Ok(Change { generation, plan, confirm_before_unix_millis, warnings });
            }
            // Somebody was faster, and whoever asked said that he does not mind.
            Err(problem)
                if precondition == Precondition::Any && problem.is(Kind::PreconditionFailed) =>
            {
                running = problem.generation.unwrap_or(running);
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(changed(running))
}

/// What is probably not meant, of what was sent.
fn warnings(proposal: &Proposal) -> Vec<FieldError> {
    let warnings = proposal.config.warnings.iter().map(FieldError::from);
    let sent = |warning: FieldError| {
        let pointer = within(&warning.pointer, proposal.sent.as_deref())?.to_owned();
        Some(FieldError { pointer, ..warning })
    };
    warnings.filter_map(sent).collect()
}

fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A pointer into the configuration as one into what was sent, if it points there.
fn within<'p>(pointer: &'p str, sent: Option<&str>) -> Option<&'p str> {
    let rest = pointer.strip_prefix(sent?)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn value_problem(pointer: &str, sent: Option<&str>, message: String, help: String) -> ValueProblem {
    match within(pointer, sent) {
        Some(pointer) => ValueProblem::new(Place::Body, pointer, message, help),
        None => ValueProblem::new(Place::Configuration, pointer, message, help),
    }
}

/// A configuration that is not valid.
#[must_use]
pub fn invalid(errors: Vec<FieldError>, sent: Option<&str>) -> Problem {
    let errors: Vec<_> = errors
        .into_iter()
        .map(|error| value_problem(&error.pointer, sent, error.message, error.help))
        .collect();
    // If all that was sent is right in itself, what runs does not allow it.
    let is_sent = errors.is_empty() || errors.iter().any(|error| error.place == Place::Body);
    let kind = if is_sent { Kind::Invalid } else { Kind::Conflict };
    let first = errors.first().map_or("the configuration is not valid", |error| &error.detail);
    let detail = match errors.len() {
        0 | 1 => first.to_owned(),
        more => format!("{first}; and {} more", more - 1),
    };
    Problem::new(kind, detail).because_of(errors)
}

/// A change that the switch did not make.
#[must_use]
pub fn refused(error: ApplyError, sent: Option<&str>) -> Problem {
    let what = error.to_string();
    let what = what.lines().next().unwrap_or_default();
    match error {
        ApplyError::NeedsRestart(steps) => {
            let detail = "restart the switch with this configuration, or leave these steps out";
            let mut problem = Problem::new(Kind::NeedsRestart, detail);
            problem.steps = steps;
            problem
        }
        ApplyError::Refused { pointer, message, help } => {
            let error = value_problem(pointer.as_deref().unwrap_or_default(), sent, message, help);
            let is_sent = pointer.is_some() && error.place == Place::Body;
            let kind = if is_sent { Kind::Invalid } else { Kind::Conflict };
            Problem::new(kind, what).because(error)
        }
        ApplyError::Storage { message, help } => {
            Problem::new(Kind::Storage, format!("{message}; {help}"))
        }
        ApplyError::AwaitsConfirmation => Problem::new(
            Kind::AwaitsConfirmation,
            format!("{what}: POST /v1/confirm or /v1/roll-back first"),
        ),
        ApplyError::NothingPending => Problem::new(Kind::NothingPending, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_the_requests_where_it_can_be() {
        assert_eq!(within("/network/3/vni", Some("/network/3")), Some("/vni"));
        assert_eq!(within("/network/3", Some("/network/3")), Some(""));
        assert_eq!(within("/network/31/vni", Some("/network/3")), None);
        assert_eq!(within("/network/3/vni", Some("")), Some("/network/3/vni"));
        assert_eq!(within("/network/3/vni", None), None);
    }
}
