//! Reads the rest of a request body after the response is known.
//!
//! A request can be answered before its body has arrived: the body is too large, or the token is
//! wrong. If the server closed the connection at once, a client that is still sending would get a
//! broken pipe instead of the response. So the rest of the body is read and discarded, within
//! bounds.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::extract::MAX_CONFIGURATION;

/// The most bytes that are discarded. The connection of a longer body is closed.
const MAX_REST: usize = 4 * MAX_CONFIGURATION;
/// The longest time that the rest of a body may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The part of a request body that the handler has not read.
pub struct Rest<B>(Option<SharedBody<B>>);

/// Splits a request into the one for the handler, and the rest of its body.
#[must_use]
pub fn split<B>(request: Request<B>) -> (Request<Body>, Rest<B>)
where
    B: HttpBody<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    // A client that sent `Expect` sends the body only once the handler reads it.
    let waits = request.headers().contains_key(header::EXPECT);
    if request.body().is_end_stream() || waits {
        return (request.map(Body::new), Rest(None));
    }
    let (parts, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(body)));
    let rest = SharedBody(Arc::clone(&shared.0));
    (Request::from_parts(parts, Body::new(shared)), Rest(Some(rest)))
}

impl<B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin> Rest<B> {
    /// Reads and discards the rest. Call it once the handler has returned.
    pub async fn drain(self) {
        let Some(mut rest) = self.0 else { return };
        if rest.is_end_stream() || rest.size_hint().lower() > MAX_REST as u64 {
            return;
        }
        let discard = async {
            let mut len = 0;
            while let Some(Ok(frame)) = rest.frame().await {
                len += frame.data_ref().map_or(0, Bytes::len);
                if len > MAX_REST {
                    break;
                }
            }
        };
        // After the timeout the connection is closed.
        let _ = tokio::time::timeout(TIMEOUT, discard).await;
    }
}

/// A body that the handler reads first and [`Rest::drain`] afterwards.
struct SharedBody<B>(Arc<Mutex<B>>);

impl<B> SharedBody<B> {
    fn lock(&self) -> MutexGuard<'_, B> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: HttpBody + Unpin> HttpBody for SharedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
