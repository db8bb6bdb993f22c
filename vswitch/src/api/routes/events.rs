//! Events of the switch, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sent, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;

use super::response::Answer;
use crate::api::app::App;
use crate::api::extract::NoQuery;
use crate::api::problem::{Kind, Problem};
use crate::control::events::{Event, News, Watch};

/// The most streams at a time; each holds a connection.
pub const MAX_STREAMS: usize = 64;
/// The interval of comments in a stream without events, so that a lost client is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The header in which a client that reconnects sends the last number that it received.
const LAST_EVENT_ID: &str = "last-event-id";

/// Events from now on, as server-sent events: `event` is the kind, `id` the number, `data` the
/// event as JSON. A client that was too slow, or reconnects with `Last-Event-ID`, receives an event
/// `missed` with the number of events that it lost: `{"count": 3}`.
#[utoipa::path(get, path = "/v1/events", tag = "state",
    responses((status = 200, description = "The events", body = Event,
        content_type = "text/event-stream")))]
pub(super) async fn get_events(State(app): State<App>, _: NoQuery, headers: HeaderMap) -> Answer {
    let events = app.control.ask(|switch| switch.events()).await?;
    if events.clients() >= MAX_STREAMS {
        let detail = format!("{MAX_STREAMS} clients are listening already: close one of them");
        return Err(Problem::new(Kind::Unavailable, detail));
    }
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    Ok(stream_of(events.watch(last)))
}

fn stream_of(watch: Watch) -> Response {
    let hello = Sent::default().comment("events from now on");
    let sent = stream::unfold((watch, Some(hello)), |(mut watch, hello)| async {
        let sent = match hello {
            Some(hello) => hello,
            None => message(&watch.next(HEARTBEAT).await),
        };
        Some((Ok::<_, Infallible>(sent), (watch, None)))
    });
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(sent)).into_response()
}

fn message(news: &News) -> Sent {
    match news {
        News::Event(event) => Sent::default()
            .id(event.sequence.to_string())
            .event(event.what.name())
            .data(serde_json::to_string(&**event).unwrap_or_default()),
        News::Missed { count, last } => Sent::default()
            .id(last.to_string())
            .event("missed")
            .data(format!("{{\"count\":{count}}}")),
        News::Quiet => Sent::default().comment("no events"),
    }
}
