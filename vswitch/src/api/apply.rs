//! Every change of the configuration: copy the running one, edit the copy, check it, apply it.
//!
//! The check and the comparison with the running configuration may take some milliseconds, so they
//! run on a thread of the pool. If another client has changed the configuration meanwhile, the
//! precondition fails.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::control::Control;
use super::edit::Edited;
use super::precondition::{Precondition, outdated};
use super::problem::{Kind, Problem, Source, ValueProblem};
use crate::config::Config;
use crate::config::document::{Document, FieldError};
use crate::control::requests::{Applied, ApplyError, ApplyOptions, Proposed};
use crate::topology::plan::Plan;

/// Attempts at a change with `If-Match: *` while other clients change the configuration.
const ATTEMPTS: u32 = 5;

/// A change that was applied.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The generation that is now active, also the `ETag`.
    pub generation: u64,
    /// The steps of the change.
    pub plan: Plan,
    /// When the switch rolls back unless the change is confirmed, in milliseconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confirm_before_unix_millis: Option<u64>,
    /// Values in the request that are valid, but probably not intended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FieldError>,
}

/// A valid configuration, and which part of it the request sent.
pub struct Proposal {
    /// The configuration.
    pub config: Config,
    /// The JSON pointer to what the request sent: `""` for all of it, `None` if it sent nothing.
    pub sent: Option<String>,
}

/// Edits the running configuration and applies the result.
///
/// # Errors
/// The precondition fails, the result is not valid, or it cannot be applied.
pub async fn edit_and_apply(
    control: &Control,
    precondition: Precondition,
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
    apply(control, precondition, ApplyOptions::default(), propose).await
}

/// Applies the configuration that `propose` makes of the running one.
///
/// # Errors
/// The precondition fails, the proposal fails, or it cannot be applied.
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
            // Another client was faster, and this one accepts any generation.
            Err(problem)
                if precondition == Precondition::Any && problem.is(Kind::PreconditionFailed) =>
            {
                running = problem.generation.unwrap_or(running);
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(outdated(running))
}

/// The warnings about what the request sent.
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

/// Converts a pointer into the configuration to one into what the request sent, if it points
/// there.
fn within<'p>(pointer: &'p str, sent: Option<&str>) -> Option<&'p str> {
    let rest = pointer.strip_prefix(sent?)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn value_problem(pointer: &str, sent: Option<&str>, message: String, help: String) -> ValueProblem {
    match within(pointer, sent) {
        Some(pointer) => ValueProblem::new(Source::Body, pointer, message, help),
        None => ValueProblem::new(Source::Configuration, pointer, message, help),
    }
}

/// The configuration is not valid.
#[must_use]
pub fn invalid(errors: Vec<FieldError>, sent: Option<&str>) -> Problem {
    let errors: Vec<_> = errors
        .into_iter()
        .map(|error| value_problem(&error.pointer, sent, error.message, error.help))
        .collect();
    // If no value in the request is wrong, the request contradicts the running configuration.
    let is_sent = errors.is_empty() || errors.iter().any(|error| error.source == Source::Body);
    let kind = if is_sent { Kind::Invalid } else { Kind::Conflict };
    let total = errors.len();
    Problem::of_values(kind, errors, total)
}

/// The switch did not apply the change.
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
            let is_sent = pointer.is_some() && error.source == Source::Body;
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
    fn a_pointer_is_relative_to_what_the_request_sent() {
        assert_eq!(within("/network/3/vni", Some("/network/3")), Some("/vni"));
        assert_eq!(within("/network/3", Some("/network/3")), Some(""));
        assert_eq!(within("/network/31/vni", Some("/network/3")), None);
        assert_eq!(within("/network/3/vni", Some("")), Some("/network/3/vni"));
        assert_eq!(within("/network/3/vni", None), None);
    }
}
