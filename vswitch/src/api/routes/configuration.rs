//! The configuration as a whole: shown, planned, applied, confirmed, rolled back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, App, done, json, one, with_etag, written};
use crate::api::change::{Change, Proposal, apply as apply_proposal, invalid, refused};
use crate::api::control::{Control, aside};
use crate::api::extract::{
    ConfigurationBody, MaybePrecondition, NoParams, Params, Precondition, object_from_json,
};
use crate::api::problem::{Kind, Place, Problem, ValueProblem};
use crate::config::document::Document;
use crate::config::{self, Config};
use crate::control::requests::ApplyOptions;
use crate::topology::plan::Plan;

/// The longest time to confirm: a day.
const MAX_CONFIRM_SECS: u64 = 24 * 60 * 60;

/// A generation that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Active {
    /// The generation, also the `ETag`.
    generation: u64,
}

/// How to apply.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct ApplyQuery {
    /// Go back to the former configuration after so many seconds, unless confirmed.
    #[param(minimum = 1, maximum = 86400)]
    confirm_within_secs: Option<u64>,
}

/// The generation of the running configuration: what a change is for.
#[utoipa::path(get, path = "/v1/generation", tag = "configuration",
    responses((status = 200, description = "The generation", body = Active)))]
pub(super) async fn get_generation(State(app): State<App>, _: NoParams) -> Answer {
    let generation = app.control.ask(|switch| switch.generation()).await?;
    Ok(with_etag(one(&Active { generation }), generation))
}

/// The running configuration: as JSON, or with `Accept: application/toml` as a file.
#[utoipa::path(get, path = "/v1/config", tag = "configuration",
    responses((status = 200, description = "The running configuration",
        content((Document = "application/json"), (String = "application/toml")))))]
pub(super) async fn get_config(State(app): State<App>, _: NoParams, headers: HeaderMap) -> Answer {
    let is_toml = accepts_toml(&headers)?;
    let (generation, config) =
        app.control.ask(|switch| (switch.generation(), switch.config().clone())).await?;
    let response = aside(move || {
        let document = Document::from(&config);
        if is_toml {
            ([(header::CONTENT_TYPE, "application/toml")], document.to_toml()).into_response()
        } else {
            json(StatusCode::OK, written(&document))
        }
    });
    Ok(with_etag(response.await?, generation))
}

/// Which of the two is wanted more (RFC 9110, section 12.5.1).
fn accepts_toml(headers: &HeaderMap) -> Result<bool, Problem> {
    let values: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges = || values.iter().flat_map(|value| value.split(','));
    if ranges().all(|range| range.trim().is_empty()) {
        return Ok(false);
    }
    // Of the ranges that match, the most specific one counts.
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
        let error = ValueProblem::new(Place::Header, "/accept", "neither is accepted", help);
        return Err(Problem::new(Kind::NotAcceptable, help).because(error));
    }
    Ok(toml > json)
}

/// What a body means.
async fn read(control: &Control, body: ConfigurationBody) -> Result<Config, Problem> {
    let read = control.check(move || {
        if !body.is_toml {
            let document: Document = object_from_json(&body.text)?;
            return document.check().map_err(|errors| invalid(errors, Some("")));
        }
        let text = std::str::from_utf8(&body.text).map_err(|error| {
            let before = &body.text[..error.valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            let detail = "it is not UTF-8 text";
            let mut at = ValueProblem::new(Place::Body, "", detail, "send it as UTF-8");
            at.line = Some(line);
            Problem::new(Kind::BadRequest, detail).because(at)
        })?;
        config::parse("configuration", text).map_err(|errors| {
            let is_one = errors.len() == 1;
            let errors = errors.iter().map(|error| {
                let (message, help) = (error.message.clone(), error.help.clone());
                let mut at = ValueProblem::new(Place::Body, "", message, help);
                (at.line, at.column) = (Some(error.line), Some(error.column));
                at
            });
            let errors: Vec<_> = errors.collect();
            let first = errors.first().map(|e| e.detail.clone()).unwrap_or_default();
            let more =
                if is_one { String::new() } else { format!("; and {} more", errors.len() - 1) };
            Problem::new(Kind::Invalid, format!("{first}{more}")).because_of(errors)
        })
    });
    read.await?
}

/// What a configuration would change, and what each step does to traffic. Nothing is changed.
#[utoipa::path(post, path = "/v1/plan", tag = "configuration",
    request_body(content((Document = "application/json"), (String = "application/toml"))),
    responses((status = 200, description = "The difference", body = Plan)))]
pub(super) async fn plan(State(app): State<App>, _: NoParams, body: ConfigurationBody) -> Answer {
    let new = read(&app.control, body).await?;
    let (generation, running) =
        app.control.ask(|switch| (switch.generation(), switch.config().clone())).await?;
    let plan = app.control.check(move || written(&Plan::between(&running, &new)));
    Ok(with_etag(json(StatusCode::OK, plan.await?), generation))
}

/// Makes a configuration the running one: whole or not at all.
#[utoipa::path(post, path = "/v1/apply", tag = "configuration", params(ApplyQuery),
    request_body(content((Document = "application/json"), (String = "application/toml"))),
    responses((status = 200, description = "Applied", body = Change)))]
pub(super) async fn apply(
    State(app): State<App>,
    Params(query): Params<ApplyQuery>,
    precondition: Precondition,
    body: ConfigurationBody,
) -> Answer {
    let secs = query.confirm_within_secs;
    if let Some(secs) = secs.filter(|secs| !(1..=MAX_CONFIRM_SECS).contains(secs)) {
        let detail = format!("{secs} seconds are not from 1 to {MAX_CONFIRM_SECS}");
        let help = format!("write a number from 1 to {MAX_CONFIRM_SECS}");
        let error = ValueProblem::new(Place::Query, "/confirm-within-secs", detail, help);
        let what = "a query parameter is not understood";
        return Err(Problem::new(Kind::BadRequest, what).because(error));
    }
    let confirm_within = secs.map(Duration::from_secs);
    let options = ApplyOptions { confirm_within, is_whole_file: true };
    let new = Arc::new(read(&app.control, body).await?);
    let propose =
        move |_: &Config| Ok(Proposal { config: (*new).clone(), sent: Some(String::new()) });
    done(apply_proposal(&app.control, precondition, options, propose).await?).await
}

/// Keeps the configuration that waits for confirmation.
#[utoipa::path(post, path = "/v1/confirm", tag = "configuration",
    responses((status = 200, description = "It stays", body = Active)))]
pub(super) async fn confirm(
    State(app): State<App>,
    _: NoParams,
    MaybePrecondition(precondition): MaybePrecondition,
) -> Answer {
    let confirmed = app.control.ask(move |switch| {
        precondition.map_or(Ok(()), |precondition| precondition.check(switch.generation()))?;
        switch.confirm().map_err(|error| refused(error, None))
    });
    let generation = confirmed.await??;
    Ok(with_etag(one(&Active { generation }), generation))
}

/// Goes back to the configuration before the one that waits for confirmation.
#[utoipa::path(post, path = "/v1/roll-back", tag = "configuration",
    responses((status = 200, description = "The former configuration is active", body = Active)))]
pub(super) async fn roll_back(
    State(app): State<App>,
    _: NoParams,
    MaybePrecondition(precondition): MaybePrecondition,
) -> Answer {
    let rolled_back = app.control.ask(move |switch| {
        precondition.map_or(Ok(()), |precondition| precondition.check(switch.generation()))?;
        switch.roll_back().map_err(|error| refused(error, None))
    });
    let generation = rolled_back.await??;
    Ok(with_etag(one(&Active { generation }), generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_that_is_wanted_more_is_chosen() {
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
