//! Captures: start, list, end; and the last dropped frames.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::response::{Answer, list};
use crate::api::app::App;
use crate::api::conflict::{check_names, no_such_reason, not_found};
use crate::api::control::run_blocking;
use crate::api::extract::{NoQuery, PathParams, QueryParams, check_range};
use crate::api::problem::{Kind, Problem, Source};
use crate::capture::filter;
use crate::capture::pcapng::CONTENT_TYPE;
use crate::capture::request::{CaptureRequest, Limits, MAX_SNAPLEN, records};
use crate::capture::stream::Stream;
use crate::control::captures::{CaptureError, KeptDrop};
use crate::control::rows::{CaptureRow, DroppedFrameRow};
use crate::datapath::capture::{Capture, CapturePoint, MAX_CAPTURES};
use crate::metrics::drop_reason::DropReason;

/// The longest time of a capture: a day.
const MAX_SECS: u64 = 86_400;

/// The frames to capture, how much of each to keep, and when to end.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct CaptureQuery {
    /// Frames of this port: received, transmitted or dropped there.
    port: Option<String>,
    /// Frames of this network.
    network: Option<String>,
    /// Frames on the uplink of this local VTEP.
    vtep: Option<String>,
    /// Frames that are dropped for this reason, as in `/v1/drops`.
    #[param(example = "unknown_vni")]
    reason: Option<String>,
    /// Capture points, separated by commas: received, decapsulated, transmitted, dropped. By
    /// default all of them; with a reason, dropped.
    #[param(example = "received,dropped")]
    stage: Option<String>,
    /// A filter in the syntax of pcap-filter(7).
    #[param(example = "arp or icmp")]
    filter: Option<String>,
    /// The most bytes of a frame to keep; by default all.
    #[param(minimum = 1, maximum = 16384)]
    snaplen: Option<usize>,
    /// End after so many frames.
    #[param(minimum = 1)]
    count: Option<u64>,
    /// End after so many seconds.
    #[param(minimum = 1, maximum = 86400)]
    secs: Option<u64>,
}

/// A filter for dropped frames.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "kebab-case")]
pub(super) struct DroppedQuery {
    /// Frames that were dropped for this reason.
    #[param(example = "unknown_vni")]
    reason: Option<String>,
    /// Frames of this port.
    port: Option<String>,
    /// Frames of this network.
    network: Option<String>,
}

fn reason_of(label: &str) -> Result<DropReason, Problem> {
    DropReason::of_label(label).ok_or_else(|| {
        let (detail, help) = no_such_reason(label);
        Problem::of_query("reason", detail, help)
    })
}

fn points_of(stages: &str) -> Result<Vec<CapturePoint>, Problem> {
    let point = |name: &str| {
        CapturePoint::ALL.into_iter().find(|point| point.name() == name).ok_or_else(|| {
            let detail = format!("there is no stage `{}`", name.escape_debug());
            let names = CapturePoint::ALL.map(CapturePoint::name).join(", ");
            Problem::of_query(
                "stage",
                detail,
                format!("send one or more of {names}, separated by commas"),
            )
        })
    };
    let mut points = stages.split(',').map(point).collect::<Result<Vec<_>, _>>()?;
    points.sort_unstable();
    points.dedup();
    Ok(points)
}

impl CaptureQuery {
    fn read(self) -> Result<(CaptureRequest, Limits, Option<usize>), Problem> {
        check_range("snaplen", self.snaplen.map(|n| n as u64), MAX_SNAPLEN as u64)?;
        check_range("count", self.count, u64::MAX)?;
        check_range("secs", self.secs, MAX_SECS)?;
        let request = CaptureRequest {
            port: self.port,
            network: self.network,
            vtep: self.vtep,
            reason: self.reason.as_deref().map(reason_of).transpose()?,
            points: self.stage.as_deref().map(points_of).transpose()?.unwrap_or_default(),
            filter: self.filter.filter(|filter| !filter.trim().is_empty()),
        };
        if request.reason.is_some() && request.points.contains(&CapturePoint::Transmitted) {
            let detail = "no transmitted frame has a drop reason";
            return Err(Problem::of_query("stage", detail, "leave out the reason or the stage"));
        }
        let limits = Limits { count: self.count, time: self.secs.map(Duration::from_secs) };
        Ok((request, limits, self.snaplen))
    }
}

fn too_many() -> Problem {
    let detail = format!("{MAX_CAPTURES} captures are already running");
    let help =
        "end one of them: GET /v1/captures lists them, DELETE /v1/captures/{id} ends one of them";
    Problem::of_value(Kind::TooManyCaptures, Source::Path, "", detail, help)
}

/// Frames as pcapng, until the client disconnects, the capture at `Content-Location` is deleted, or
/// a limit is reached. The comment of each packet has port, network, verdict and generation.
/// Interface 0 has no packets; its statistics at the end have the numbers of captured and missed
/// frames. A client that reads too slowly misses frames.
#[utoipa::path(get, path = "/v1/capture", tag = "captures", params(CaptureQuery),
    responses((status = 200, description = "The frames", body = Vec<u8>,
        content_type = "application/x-pcapng",
        headers(("Content-Location" = String, description = "The path for ending the capture")))))]
pub(super) async fn get_capture(
    State(app): State<App>,
    QueryParams(query): QueryParams<CaptureQuery>,
) -> Answer {
    let (request, limits, snaplen) = query.read()?;
    // Bounds the buffers that many concurrent requests allocate. The permit is dropped together
    // with the buffers, even if the client disconnects meanwhile.
    let permit = Arc::clone(&app.starting_captures).acquire_owned().await;
    let Ok(permit) = permit else { return Err(too_many()) };
    let (request, running, threads, longest) = app
        .control
        .ask(|switch| {
            let CaptureRequest { port, network, vtep, .. } = &request;
            check_names(switch.config(), port.as_deref(), network.as_deref(), vtep.as_deref())?;
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
    let capture = run_blocking(move || {
        let filter = expression.as_deref().map(filter::compile).transpose()?;
        Ok((Arc::new(Capture::new(filter, snaplen, records(snaplen), threads)), permit))
    });
    let (capture, permit) = capture.await?.map_err(|error: filter::FilterError| {
        let help = "send a pcap-filter(7) expression, as for tcpdump";
        Problem::of_value(Kind::BadFilter, Source::Query, "/filter", error.to_string(), help)
    })?;
    let shared = Arc::clone(&capture);
    let begun =
        app.control.ask(move |switch| switch.captures().begin(request, limits, shared)).await;
    // If the capture was refused, this is the last reference, and freeing the buffers takes
    // milliseconds.
    run_blocking(move || drop((capture, permit))).await?;
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

/// The running captures.
#[utoipa::path(get, path = "/v1/captures", tag = "captures",
    responses((status = 200, description = "The captures", body = Vec<CaptureRow>)))]
pub(super) async fn get_captures(State(app): State<App>, _: NoQuery) -> Answer {
    let rows = app.control.ask(|switch| switch.captures().rows()).await?;
    list(rows.into_iter().map(CaptureRow::from).collect::<Vec<_>>()).await
}

/// Ends a capture. Its client receives the frames captured so far, and the statistics.
#[utoipa::path(delete, path = "/v1/captures/{id}", tag = "captures",
    params(("id" = u64, Path, description = "Number of the capture")),
    responses((status = 204, description = "Ended")))]
pub(super) async fn end_capture(
    State(app): State<App>,
    PathParams(id): PathParams<String>,
    _: NoQuery,
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
        return Err(not_found("capture", &id, known, Source::Path, "/id"));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A sample of the last dropped frames: up to 16 for each reason, sorted by time.
#[utoipa::path(get, path = "/v1/drops/frames", tag = "captures", params(DroppedQuery),
    responses((status = 200, description = "The frames", body = Vec<DroppedFrameRow>)))]
pub(super) async fn get_dropped_frames(
    State(app): State<App>,
    QueryParams(query): QueryParams<DroppedQuery>,
) -> Answer {
    let reason = query.reason.as_deref().map(reason_of).transpose()?;
    let DroppedQuery { port, network, .. } = query;
    let (kept, udp_ports) = app
        .control
        .ask(move |switch| {
            check_names(switch.config(), port.as_deref(), network.as_deref(), None)?;
            let matches = |kept: &&KeptDrop| {
                reason.is_none_or(|reason| reason == kept.frame.reason)
                    && port.as_ref().is_none_or(|port| *port == kept.port)
                    && network.as_ref().is_none_or(|network| *network == kept.network)
            };
            let captures = switch.captures();
            let kept = captures.dropped().into_iter().filter(matches);
            Ok::<_, Problem>((kept.cloned().collect::<Vec<_>>(), captures.udp_ports().to_vec()))
        })
        .await??;
    let rows = run_blocking(move || {
        let row = |kept: &KeptDrop| DroppedFrameRow::of(kept, &udp_ports);
        kept.iter().map(row).collect::<Vec<_>>()
    });
    list(rows.await?).await
}
