//! Captures: begun, listed, ended; and the frames that were dropped last.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, App, list};
use crate::api::control::aside;
use crate::api::extract::{Names, NoParams, Params};
use crate::api::problem::{Kind, Place, Problem, ValueProblem};
use crate::api::refusal::{absent, no_such_reason};
use crate::capture::filter;
use crate::capture::pcapng::CONTENT_TYPE;
use crate::capture::request::{CaptureRequest, Limits, MAX_SNAPLEN, records};
use crate::capture::stream::Stream;
use crate::config::Config;
use crate::control::captures::{CaptureError, KeptDrop};
use crate::control::rows::{CaptureRow, DroppedFrameRow};
use crate::datapath::capture::{Capture, CapturePoint, MAX_CAPTURES};
use crate::metrics::drop_reason::DropReason;

/// The longest time that can be asked for: a day.
const MAX_SECS: u64 = 86_400;

/// Which frames, how much of each, and until when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct CaptureQuery {
    /// Those of this port: received there, sent there, or dropped there.
    port: Option<String>,
    /// Those of this network.
    network: Option<String>,
    /// Those on the uplink of this local VTEP.
    vtep: Option<String>,
    /// Those that are dropped for this reason, as `/v1/drops` names it.
    #[param(example = "unknown_vni")]
    reason: Option<String>,
    /// Where they are looked at, separated by commas: received, decapsulated, transmitted, dropped. All if
    /// absent; with a reason, dropped.
    #[param(example = "received,dropped")]
    stage: Option<String>,
    /// A filter, as pcap-filter(7) has it.
    #[param(example = "arp or icmp")]
    filter: Option<String>,
    /// The most bytes of a frame to keep; if absent, all.
    #[param(minimum = 1, maximum = 16384)]
    snaplen: Option<usize>,
    /// Ends after so many frames.
    #[param(minimum = 1)]
    count: Option<u64>,
    /// Ends after so many seconds.
    #[param(minimum = 1, maximum = 86400)]
    secs: Option<u64>,
}

/// Which dropped frames.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct DroppedQuery {
    /// Those dropped for this reason.
    #[param(example = "unknown_vni")]
    reason: Option<String>,
    /// Those of this port.
    port: Option<String>,
    /// Those of this network.
    network: Option<String>,
}

fn wrong(name: &str, detail: String, help: String) -> Problem {
    Problem::new(Kind::BadRequest, "a query parameter is not understood")
        .because(ValueProblem::new(Place::Query, format!("/{name}"), detail, help))
}

fn reason_of(label: &str) -> Result<DropReason, Problem> {
    DropReason::of_label(label).ok_or_else(|| {
        let (detail, help) = no_such_reason(label);
        wrong("reason", detail, help.to_owned())
    })
}

fn points_of(stages: &str) -> Result<Vec<CapturePoint>, Problem> {
    let point = |name: &str| {
        CapturePoint::ALL.into_iter().find(|point| point.name() == name).ok_or_else(|| {
            let detail = format!("there is no stage `{}`", name.escape_debug());
            let names = CapturePoint::ALL.map(CapturePoint::name).join(", ");
            wrong("stage", detail, format!("known are: {names}; several are separated by commas"))
        })
    };
    let mut points = stages.split(',').map(point).collect::<Result<Vec<_>, _>>()?;
    points.sort_unstable();
    points.dedup();
    Ok(points)
}

fn in_range(name: &str, value: Option<u64>, most: u64) -> Result<(), Problem> {
    match value {
        Some(value) if !(1..=most).contains(&value) => {
            let detail = format!("{value} is not from 1 to {most}");
            Err(wrong(name, detail, format!("write a number from 1 to {most}")))
        }
        _ => Ok(()),
    }
}

impl CaptureQuery {
    fn read(self) -> Result<(CaptureRequest, Limits, Option<usize>), Problem> {
        in_range("snaplen", self.snaplen.map(|n| n as u64), MAX_SNAPLEN as u64)?;
        in_range("count", self.count, u64::MAX)?;
        in_range("secs", self.secs, MAX_SECS)?;
        let request = CaptureRequest {
            port: self.port,
            network: self.network,
            vtep: self.vtep,
            reason: self.reason.as_deref().map(reason_of).transpose()?,
            points: self.stage.as_deref().map(points_of).transpose()?.unwrap_or_default(),
            filter: self.filter.filter(|filter| !filter.trim().is_empty()),
        };
        if request.reason.is_some() && request.points.contains(&CapturePoint::Transmitted) {
            let help = "leave the reason or the stage out".to_owned();
            return Err(wrong("stage", "what was transmitted was not dropped".to_owned(), help));
        }
        let limits = Limits { count: self.count, time: self.secs.map(Duration::from_secs) };
        Ok((request, limits, self.snaplen))
    }
}

/// A name that nothing has is an error, and not an empty capture: it is a typing mistake.
fn known(
    config: &Config,
    port: Option<&String>,
    network: Option<&String>,
    vtep: Option<&String>,
) -> Result<(), Problem> {
    let check = |what: &str, name: Option<&String>, names: Vec<&str>| match name {
        Some(name) if !names.contains(&name.as_str()) => {
            Err(absent(what, name, names, Place::Query, &format!("/{}", what.to_lowercase())))
        }
        _ => Ok(()),
    };
    check("port", port, config.ports.iter().map(|port| port.name.as_str()).collect())?;
    check("network", network, config.networks.iter().map(|n| n.name.as_str()).collect())?;
    check("VTEP", vtep, config.vteps.iter().map(|vtep| vtep.name.as_str()).collect())
}

fn too_many() -> Problem {
    let detail = format!("{MAX_CAPTURES} captures run already");
    let error = ValueProblem::new(
        Place::Path,
        "",
        detail.clone(),
        "end one of them: GET /v1/captures lists them, DELETE /v1/captures/{id} ends one",
    );
    Problem::new(Kind::TooManyCaptures, detail).because(error)
}

/// Frames as they pass, as pcapng, until the client goes away, the capture is ended at `Content-Location`, or a limit
/// is reached. Each packet's comment says port, network, verdict and generation. Interface 0 has no packets: its
/// statistics at the end say how many frames were captured and missed. Who reads slowly misses frames.
#[utoipa::path(get, path = "/v1/capture", tag = "captures", params(CaptureQuery),
    responses((status = 200, description = "The frames", body = Vec<u8>,
        content_type = "application/x-pcapng",
        headers(("Content-Location" = String, description = "Where the capture can be ended")))))]
pub(super) async fn get_capture(
    State(app): State<App>,
    Params(query): Params<CaptureQuery>,
) -> Answer {
    let (request, limits, snaplen) = query.read()?;
    // However many ask at once: no more memory is made at a time than captures may run. Whoever goes away
    // meanwhile leaves his seat when his memory is gone, too.
    let Ok(seat) = Arc::clone(&app.seats).acquire_owned().await else { return Err(too_many()) };
    let (request, running, threads, longest) = app
        .control
        .ask(|switch| {
            let CaptureRequest { port, network, vtep, .. } = &request;
            known(switch.config(), port.as_ref(), network.as_ref(), vtep.as_ref())?;
            let longest = switch.longest_frame();
            let captures = switch.captures();
            Ok::<_, Problem>((request, captures.rows().len(), captures.threads(), longest))
        })
        .await??;
    if running >= MAX_CAPTURES {
        return Err(too_many());
    }
    let expression = request.filter.clone();
    let snaplen = snaplen.unwrap_or(longest.min(MAX_SNAPLEN));
    let capture = aside(move || {
        let filter = expression.as_deref().map(filter::compile).transpose()?;
        Ok((Arc::new(Capture::new(filter, snaplen, records(snaplen), threads)), seat))
    });
    let (capture, seat) = capture.await?.map_err(|error: filter::FilterError| {
        let help = "write it as for tcpdump: pcap-filter(7)";
        let value = ValueProblem::new(Place::Query, "/filter", error.to_string(), help);
        Problem::new(Kind::BadFilter, error.to_string()).because(value)
    })?;
    let its = Arc::clone(&capture);
    let begun = app.control.ask(move |switch| switch.captures().begin(request, limits, its)).await;
    // If it was refused, this is what is left of it. To free it takes milliseconds.
    aside(move || drop((capture, seat))).await?;
    match begun? {
        Ok(stream) => Ok(body_of(stream)),
        Err(CaptureError::TooMany) => Err(too_many()),
        Err(error) => Err(Problem::new(Kind::Unavailable, error.to_string())),
    }
}

fn body_of(stream: Stream) -> Response {
    let id = stream.id;
    let body = stream::unfold(stream, |mut stream| async {
        let piece = stream.pieces.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE.to_owned()),
        (header::CONTENT_LOCATION, format!("/v1/captures/{id}")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// The captures that run.
#[utoipa::path(get, path = "/v1/captures", tag = "captures",
    responses((status = 200, description = "The captures", body = Vec<CaptureRow>)))]
pub(super) async fn get_captures(State(app): State<App>, _: NoParams) -> Answer {
    let rows = app.control.ask(|switch| switch.captures().rows()).await?;
    list(rows.into_iter().map(CaptureRow::from).collect::<Vec<_>>()).await
}

/// Ends a capture. Its reader gets what was captured until now, and the statistics.
#[utoipa::path(delete, path = "/v1/captures/{id}", tag = "captures",
    params(("id" = u64, Path, description = "Number of the capture")),
    responses((status = 204, description = "It ends")))]
pub(super) async fn end_capture(
    State(app): State<App>,
    Names(id): Names<String>,
    _: NoParams,
) -> Answer {
    let number = id.parse().ok();
    let ended = match number {
        Some(number) => app.control.ask(move |switch| switch.captures().end(number)).await?,
        None => false,
    };
    if !ended {
        let rows = app.control.ask(|switch| switch.captures().rows()).await?;
        let known: Vec<_> = rows.iter().map(|row| row.id.to_string()).collect();
        let known = known.iter().map(String::as_str);
        return Err(absent("capture", &id, known, Place::Path, "/id"));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A sample of the frames that were dropped last: up to 16 for each reason, by time.
#[utoipa::path(get, path = "/v1/drops/frames", tag = "captures", params(DroppedQuery),
    responses((status = 200, description = "The frames", body = Vec<DroppedFrameRow>)))]
pub(super) async fn get_dropped_frames(
    State(app): State<App>,
    Params(query): Params<DroppedQuery>,
) -> Answer {
    let reason = query.reason.as_deref().map(reason_of).transpose()?;
    let DroppedQuery { port, network, .. } = query;
    let (kept, udp_ports) = app
        .control
        .ask(move |switch| {
            known(switch.config(), port.as_ref(), network.as_ref(), None)?;
            let is_asked_for = |kept: &&KeptDrop| {
                reason.is_none_or(|reason| reason == kept.frame.reason)
                    && port.as_ref().is_none_or(|port| *port == kept.port)
                    && network.as_ref().is_none_or(|network| *network == kept.network)
            };
            let captures = switch.captures();
            let kept = captures.dropped().into_iter().filter(is_asked_for);
            Ok::<_, Problem>((kept.cloned().collect::<Vec<_>>(), captures.udp_ports().to_vec()))
        })
        .await??;
    let rows = aside(move || {
        let row = |kept: &KeptDrop| DroppedFrameRow::of(kept, &udp_ports);
        kept.iter().map(row).collect::<Vec<_>>()
    });
    list(rows.await?).await
}
