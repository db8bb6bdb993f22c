//! What happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sent, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream;

use super::{Answer, App};
use crate::api::extract::NoParams;
use crate::api::problem::{Kind, Problem};
use crate::control::events::{Event, News, Watch};

/// Streams at a time: each holds a connection.
pub const MAX_STREAMS: usize = 64;
/// A stream in which nothing happens says so this often: a client that is gone is then noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Where a client that comes back says what it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

/// What happens from now on, as server-sent events: `event` is the kind, `id` the number, `data` the
/// event as JSON. A client that was too slow, or was away and sends `Last-Event-ID`, gets an event
/// `missed` with the number of events that it did not get: `{"count": 3}`.
#[utoipa::path(get, path = "/v1/events", tag = "state",
    responses((status = 200, description = "The events", body = Event,
        content_type = "text/event-stream")))]
pub(super) async fn get_events(State(app): State<App>, _: NoParams, headers: HeaderMap) -> Answer {
    let events = app.control.ask(|switch| switch.events()).await?;
    if events.clients() >= MAX_STREAMS {
        let detail = format!("{MAX_STREAMS} clients listen already: close one of them");
        return Err(Problem::new(Kind::Unavailable, detail));
    }
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    Ok(stream_of(events.watch(last)))
}

fn stream_of(watch: Watch) -> Response {
    let hello = Sent::default().comment("what happens from now on");
    let sent = stream::unfold((watch, Some(hello)), |(mut watch, hello)| async {
        let sent = match hello {
            Some(hello) => hello,
            None => sent(&watch.next(HEARTBEAT).await),
        };
        Some((Ok::<_, Infallible>(sent), (watch, None)))
    });
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(sent)).into_response()
}

fn sent(news: &News) -> Sent {
    match news {
        News::Event(event) => Sent::default()
            .id(event.sequence.to_string())
            .event(event.what.name())
            .data(serde_json::to_string(&**event).unwrap_or_default()),
        News::Missed { count, last } => Sent::default()
            .id(last.to_string())
            .event("missed")
            .data(format!("{{\"count\":{count}}}")),
        News::Quiet => Sent::default().comment("nothing happened"),
    }
}
