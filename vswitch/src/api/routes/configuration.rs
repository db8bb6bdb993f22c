//! The whole configuration: show, plan, apply, confirm, roll back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::response::{Answer, changed, json, object, to_json, with_etag};
use crate::api::app::App;
use crate::api::apply::{Change, Proposal, apply as apply_proposal, invalid, refused};
use crate::api::control::{Control, run_blocking};
use crate::api::extract::{ConfigurationBody, NoQuery, QueryParams, check_range};
use crate::api::json::object_from_json;
use crate::api::precondition::{OptionalPrecondition, Precondition};
use crate::api::problem::{Kind, Problem, Source, ValueProblem};
use crate::config::document::Document;
use crate::config::{self, Config};
use crate::control::requests::{ApplyError, ApplyOptions, LiveSwitch};
use crate::topology::plan::Plan;

/// The longest time for confirmation: a day.
const MAX_CONFIRM_SECS: u64 = 24 * 60 * 60;

/// The running configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Active {
    /// The generation, also the `ETag`.
    generation: u64,
}

/// The options of `/v1/apply`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct ApplyQuery {
    /// Roll back after so many seconds unless the change is confirmed.
    #[param(minimum = 1, maximum = 86400)]
    confirm_within_secs: Option<u64>,
}

/// The generation of the running configuration.
#[utoipa::path(get, path = "/v1/generation", tag = "configuration",
    responses((status = 200, description = "The generation", body = Active)))]
pub(super) async fn get_generation(State(app): State<App>, _: NoQuery) -> Answer {
    let generation = app.control.ask(|switch| switch.generation()).await?;
    Ok(with_etag(object(&Active { generation }), generation))
}

/// The running configuration: as JSON, or with `Accept: application/toml` as TOML.
#[utoipa::path(get, path = "/v1/config", tag = "configuration",
    responses((status = 200, description = "The running configuration",
        content((Document = "application/json"), (String = "application/toml")))))]
pub(super) async fn get_config(State(app): State<App>, _: NoQuery, headers: HeaderMap) -> Answer {
    let is_toml = accepts_toml(&headers)?;
    let (generation, config) =
        app.control.ask(|switch| (switch.generation(), switch.config().clone())).await?;
    let response = run_blocking(move || {
        let document = Document::from(&config);
        if is_toml {
            ([(header::CONTENT_TYPE, "application/toml")], document.to_toml()).into_response()
        } else {
            json(StatusCode::OK, to_json(&document))
        }
    });
    Ok(with_etag(response.await?, generation))
}

/// Whether TOML is preferred to JSON (RFC 9110, section 12.5.1).
fn accepts_toml(headers: &HeaderMap) -> Result<bool, Problem> {
    let values: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges = || values.iter().flat_map(|value| value.split(','));
    if ranges().all(|range| range.trim().is_empty()) {
        return Ok(false);
    }
    // The most specific matching range counts.
    let quality = |subtype: &str| {
        let matching = ranges().filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next()?.to_ascii_lowercase();
            let precedence = match media.strip_prefix("application/") {
                Some(given) if given == subtype => 2,
                Some("*") => 1,
                None if media == "*/*" => 0,
                _ => return None,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = quality.map_or(Some(1.0), |q| q.parse().ok())?;
            Some((precedence, quality))
        });
        matching.max_by_key(|(precedence, _)| *precedence).map_or(0.0, |(_, quality)| quality)
    };
    let (json, toml) = (quality("json"), quality("toml"));
    if json <= 0.0 && toml <= 0.0 {
        let help = "accept `application/json` or `application/toml`";
        let error = ValueProblem::new(Source::Header, "/accept", "neither is accepted", help);
        return Err(Problem::new(Kind::NotAcceptable, help).because(error));
    }
    Ok(toml > json)
}

/// Parses and validates a configuration.
async fn read(control: &Control, body: ConfigurationBody) -> Result<Config, Problem> {
    let read = control.check(move || {
        if !body.is_toml {
            let document: Document = object_from_json(body.bytes())?;
            return document.check().map_err(|errors| invalid(errors, Some("")));
        }
        let text = std::str::from_utf8(body.bytes()).map_err(|error| {
            let valid = &body.bytes()[..error.valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let detail = "the body is not UTF-8";
            let mut value = ValueProblem::new(Source::Body, "", detail, "send it as UTF-8");
            value.line = Some(line);
            Problem::new(Kind::BadRequest, detail).because(value)
        })?;
        config::parse("configuration", text).map_err(|errors| {
            let errors = errors.iter().map(|error| {
                let (message, help) = (error.message.clone(), error.help.clone());
                let mut value = ValueProblem::new(Source::Body, "", message, help);
                (value.line, value.column) = (Some(error.line), Some(error.column));
                value
            });
            let errors: Vec<_> = errors.collect();
            let total = errors.len();
            Problem::of_values(Kind::Invalid, errors, total)
        })
    });
    read.await?
}

/// What a configuration would change, and what each step would do to traffic. Changes nothing.
#[utoipa::path(post, path = "/v1/plan", tag = "configuration",
    request_body(content((Document = "application/json"), (String = "application/toml"))),
    responses((status = 200, description = "The difference", body = Plan)))]
pub(super) async fn plan(State(app): State<App>, _: NoQuery, body: ConfigurationBody) -> Answer {
    let new = read(&app.control, body).await?;
    let (generation, running) =
        app.control.ask(|switch| (switch.generation(), switch.config().clone())).await?;
    let plan = app.control.check(move || to_json(&Plan::between(&running, &new)));
    Ok(with_etag(json(StatusCode::OK, plan.await?), generation))
}

/// Applies a configuration, all of it or nothing.
#[utoipa::path(post, path = "/v1/apply", tag = "configuration", params(ApplyQuery),
    request_body(content((Document = "application/json"), (String = "application/toml"))),
    responses((status = 200, description = "Applied", body = Change)))]
pub(super) async fn apply(
    State(app): State<App>,
    QueryParams(query): QueryParams<ApplyQuery>,
    precondition: Precondition,
    body: ConfigurationBody,
) -> Answer {
    let secs = query.confirm_within_secs;
    check_range("confirm-within-secs", secs, MAX_CONFIRM_SECS)?;
    let confirm_within = secs.map(Duration::from_secs);
    let options = ApplyOptions { confirm_within, is_whole_file: true };
    let new = Arc::new(read(&app.control, body).await?);
    let propose =
        move |_: &Config| Ok(Proposal { config: (*new).clone(), sent: Some(String::new()) });
    changed(apply_proposal(&app.control, precondition, options, propose).await?).await
}

/// Keeps the configuration that waits for confirmation.
#[utoipa::path(post, path = "/v1/confirm", tag = "configuration",
    responses((status = 200, description = "Confirmed", body = Active)))]
pub(super) async fn confirm(
    State(app): State<App>,
    _: NoQuery,
    OptionalPrecondition(precondition): OptionalPrecondition,
) -> Answer {
    end_pending(&app, precondition, |switch| switch.confirm()).await
}

/// Returns to the configuration before the one that waits for confirmation.
#[utoipa::path(post, path = "/v1/roll-back", tag = "configuration",
    responses((status = 200, description = "Rolled back", body = Active)))]
pub(super) async fn roll_back(
    State(app): State<App>,
    _: NoQuery,
    OptionalPrecondition(precondition): OptionalPrecondition,
) -> Answer {
    end_pending(&app, precondition, |switch| switch.roll_back()).await
}

async fn end_pending(
    app: &App,
    precondition: Option<Precondition>,
    end: fn(&mut dyn LiveSwitch) -> Result<u64, ApplyError>,
) -> Answer {
    let ended = app.control.ask(move |switch| {
        precondition.map_or(Ok(()), |precondition| precondition.check(switch.generation()))?;
        end(switch).map_err(|error| refused(error, None))
    });
    let generation = ended.await??;
    Ok(with_etag(object(&Active { generation }), generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_chosen() {
        let chosen = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            accepts_toml(&headers).ok()
        };
        assert_eq!(accepts_toml(&HeaderMap::new()).ok(), Some(false));
        for (accept, is_toml) in [
            ("", Some(false)),
            ("*/*", Some(false)),
            ("application/*", Some(false)),
            ("application/json", Some(false)),
            ("application/toml", Some(true)),
            ("application/TOML; q=0.5, application/json;q=0.4", Some(true)),
            ("application/toml, application/json", Some(false)),
            ("application/json;q=0, */*", Some(true)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(chosen(accept), is_toml, "{accept}");
        }
    }
}
