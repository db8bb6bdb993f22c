//! Serves HTTP on a listener, with bounds on the number of connections and on their time.
//!
//! The server shares its thread with the control loop, and its file descriptors with the whole
//! process; no client may use up either. So each listener has at most [`Limits::connections`].
//! More connections wait in the kernel's queue. Meanwhile the connections that have been idle
//! longest are closed, whether they have sent no request yet, part of a request that does not
//! continue, or complete requests before. A connection with a complete or arriving request is
//! never closed in favour of another, but each part of a request has a time limit in [`Limits`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::serve::Listener;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;
use tracing::debug;

use super::drain;

/// Bounds for the connections of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most connections at a time.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request to arrive up to its last header; also the longest time that a connection may
    /// be idle.
    pub header: Duration,
    /// From the last header to the beginning of the response.
    pub request: Duration,
    /// For the client to receive any part of a response.
    pub write: Duration,
    /// A connection idle for so long is closed if another one waits.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(15),
            request: Duration::from_secs(30),
            write: Duration::from_secs(30),
            idle: Duration::from_millis(250),
        }
    }
}

/// Turns an accepted connection into the byte stream that carries HTTP.
pub trait Handshake<Io>: Clone + Send + 'static {
    /// The byte stream.
    type Stream: AsyncRead + AsyncWrite + Send + 'static;

    /// Performs the handshake.
    fn perform(self, io: Io) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// HTTP without TLS: no handshake.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<Io: AsyncRead + AsyncWrite + Send + 'static> Handshake<Io> for Plain {
    type Stream = Io;

    async fn perform(self, io: Io) -> io::Result<Io> {
        Ok(io)
    }
}

/// Serves until dropped; this closes every connection.
pub async fn serve<L: Listener>(
    mut listener: L,
    handshake: impl Handshake<L::Io>,
    app: Router,
    limits: Limits,
) -> Infallible {
    let registry = Registry::new(limits.connections);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let permit = registry.permit(limits.idle).await;
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            // Free the tasks that have ended while no connection arrives.
            Some(_) = tasks.join_next() => continue,
        };
        while tasks.try_join_next().is_some() {}
        let registration = registry.register(permit);
        let (number, handshake) = (registration.number, handshake.clone());
        let (app, limits) = (app.clone(), limits.clone());
        let task = tasks.spawn(async move {
            if let Err(error) = connection(io, handshake, app, &registration, &limits).await {
                // The client went away, was too slow, or does not speak HTTP.
                debug!(%error, "a connection ended");
            }
        });
        registry.set_task(number, task);
    }
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

async fn connection<Io>(
    io: Io,
    handshake: impl Handshake<Io>,
    app: Router,
    registration: &Arc<Registration>,
    limits: &Limits,
) -> Result<(), ConnectionError> {
    let stream = tokio::time::timeout(limits.handshake, handshake.perform(io)).await??;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, request_guard) = (app.clone(), RequestGuard::new(registration));
        async move {
            let registration = Arc::clone(&request_guard.0);
            let (request, rest) =
                drain::split(request.map(|body| idle_while_pending(body, registration)));
            let response = app.oneshot(request).await?;
            rest.drain().await;
            request_guard.0.set_idle(None);
            // The connection is in use until the response body is sent and dropped.
            Ok::<_, Infallible>(
                response.map(|body| Observed { body, observe: move |_| _ = &request_guard }),
            )
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_header_size(32 * 1024)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await?;
    Ok(())
}

/// The connections of a listener.
#[derive(Clone)]
struct Registry {
    free: Arc<Semaphore>,
    entries: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    by_number: HashMap<u64, Entry>,
}

struct Entry {
    /// Since when no byte of a request arrives; `None` while a request is handled.
    idle_since: Option<Instant>,
    task: Option<AbortHandle>,
}

/// A connection's entry in the registry. Dropping it removes the entry.
struct Registration {
    number: u64,
    registry: Registry,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), entries: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit, and meanwhile closes connections that have been idle for so long.
    async fn permit(&self, idle: Duration) -> OwnedSemaphorePermit {
        loop {
            let free = Arc::clone(&self.free).acquire_owned();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = tokio::time::timeout(idle / 5, free).await {
                return permit;
            }
            self.close_idle(idle);
        }
    }

    /// Closes up to a quarter of the connections, those that have been idle longest. The number of
    /// connections in the kernel's queue is not known.
    fn close_idle(&self, idle: Duration) {
        let entries = self.entries();
        let mut candidates: Vec<_> = entries
            .by_number
            .values()
            .filter_map(|entry| Some((entry.idle_since?, entry.task.as_ref()?)))
            .filter(|(since, _)| since.elapsed() >= idle)
            .collect();
        candidates.sort_unstable_by_key(|(since, _)| *since);
        let most = entries.by_number.len().div_ceil(4);
        candidates.iter().take(most).for_each(|(_, task)| task.abort());
    }

    fn register(&self, permit: OwnedSemaphorePermit) -> Arc<Registration> {
        let mut entries = self.entries();
        let number = entries.next;
        entries.next += 1;
        entries.by_number.insert(number, Entry { idle_since: Some(Instant::now()), task: None });
        Arc::new(Registration { number, registry: self.clone(), _permit: permit })
    }

    fn set_task(&self, number: u64, task: AbortHandle) {
        if let Some(entry) = self.entries().by_number.get_mut(&number) {
            entry.task = Some(task);
        }
    }
}

impl Registration {
    fn set_idle(&self, since: Option<Instant>) {
        if let Some(entry) = self.registry.entries().by_number.get_mut(&self.number) {
            entry.idle_since = since;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.entries().by_number.remove(&self.number);
    }
}

/// Keeps a connection in use from the headers of a request to the end of the response.
struct RequestGuard(Arc<Registration>);

impl RequestGuard {
    fn new(registration: &Arc<Registration>) -> Self {
        registration.set_idle(None);
        Self(Arc::clone(registration))
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.set_idle(Some(Instant::now()));
    }
}

/// Marks a connection as idle while the next part of its request body does not arrive.
fn idle_while_pending(
    body: Incoming,
    registration: Arc<Registration>,
) -> Observed<Incoming, impl FnMut(bool)> {
    let mut was_pending = false;
    let observe = move |is_pending: bool| {
        if is_pending != was_pending {
            was_pending = is_pending;
            registration.set_idle(is_pending.then(Instant::now));
        }
    };
    Observed { body, observe }
}

/// A body that reports after each poll whether it is pending.
struct Observed<B, F> {
    body: B,
    observe: F,
}

impl<B: HttpBody + Unpin, F: FnMut(bool) + Unpin> HttpBody for Observed<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        (self.observe)(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
