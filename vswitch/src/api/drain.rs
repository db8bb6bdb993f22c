//! The rest of a body that nobody wanted.
//!
//! A request can be answered before its body has arrived: it is too large, say, or the token is wrong. If the
//! connection were closed there and then, a client that still writes would see a broken pipe and not
//! the answer. So what is left is read and forgotten, within bounds.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::connections::Arriving;
use super::extract::MAX_CONFIGURATION;

/// More is not read, and the connection closed.
const MAX_REST: usize = 4 * MAX_CONFIGURATION;
/// Nor is longer waited.
const PATIENCE: Duration = Duration::from_secs(1);

type Shared = Arc<Mutex<Arriving>>;

/// A body of which something may be left.
pub struct Rest(Option<Shared>);

struct Read(Shared);

/// The same request, and what will be left of its body.
#[must_use]
pub fn keep(request: Request<Arriving>) -> (Request<Body>, Rest) {
    let has = |name| request.headers().contains_key(name);
    // Whoever asks whether to send the body sends none unless it is read.
    if request.body().is_end_stream() || has(header::EXPECT) {
        return (request.map(Body::new), Rest(None));
    }
    let (parts, body) = request.into_parts();
    let shared = Arc::new(Mutex::new(body));
    let request = Request::from_parts(parts, Body::new(Read(Arc::clone(&shared))));
    (request, Rest(Some(shared)))
}

impl Rest {
    /// Reads it and forgets it. To be called when nobody else reads any more.
    pub async fn forget(self) {
        let Some(mut rest) = self.0.map(Read) else { return };
        let is_bounded = rest.size_hint().lower() <= MAX_REST as u64;
        if rest.is_end_stream() || !is_bounded {
            return;
        }
        let forget = async {
            let mut len = 0;
            while let Some(Ok(frame)) = rest.frame().await {
                len += frame.data_ref().map_or(0, Bytes::len);
                if len > MAX_REST {
                    break;
                }
            }
        };
        // What has not come by now does not matter.
        let _ = tokio::time::timeout(PATIENCE, forget).await;
    }
}

impl HttpBody for Read {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
