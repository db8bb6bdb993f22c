//! Connections: how many at a time, and how long each may take.
//!
//! The server shares its thread with the control loop, and its file descriptors with the whole
//! process; nobody outside may use up either. So there are [`Limits::connections`] at a time
//! on each listener. More wait in the kernel's queue; while they do, the connection that has been
//! idle longest makes room, whether it sent a request before, half of one (be it a head or a body that does not go
//! on), or nothing at all. A connection whose request is there, or still comes, is never closed for another one, but
//! every part of a request has its time: [`Limits`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
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

/// How many connections, and how long they may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// From the first byte that TLS needs to the last.
    pub handshake: Duration,
    /// From the moment that a request may come to its last header: also the longest that
    /// a connection may be idle.
    pub header: Duration,
    /// From the last header to the beginning of the response.
    pub request: Duration,
    /// For a client to take any part of a response.
    pub write: Duration,
    /// After so long a connection that says nothing, and has no whole request, makes room for one that waits.
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

/// What makes a byte stream out of what the listener accepted.
pub trait Opening<Io>: Clone + Send + 'static {
    /// The stream that HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Send + 'static;

    /// Opens it.
    fn open(self, io: Io) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// What was accepted is the stream.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<Io: AsyncRead + AsyncWrite + Send + 'static> Opening<Io> for Plain {
    type Stream = Io;

    async fn open(self, io: Io) -> io::Result<Io> {
        Ok(io)
    }
}

/// Serves until dropped; then every connection is closed.
pub async fn serve<L: Listener>(
    mut listener: L,
    opening: impl Opening<L::Io>,
    app: Router,
    limits: Limits,
) -> Infallible {
    let seats = Seats::new(limits.connections);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let permit = seats.permit(limits.idle).await;
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended tasks are let go of while nobody comes.
            Some(_) = tasks.join_next() => continue,
        };
        while tasks.try_join_next().is_some() {}
        let seat = seats.take(permit);
        let (number, opening) = (seat.number, opening.clone());
        let (app, limits) = (app.clone(), limits.clone());
        let task = tasks.spawn(async move {
            if let Err(error) = connection(io, opening, app, &seat, &limits).await {
                // A client's matter: it went away, was too slow, or does not speak HTTP.
                debug!(%error, "a connection ended");
            }
        });
        seats.can_abort(number, task);
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection<Io>(
    io: Io,
    opening: impl Opening<Io>,
    app: Router,
    seat: &Arc<Seat>,
    limits: &Limits,
) -> Result<(), Failure> {
    let stream = tokio::time::timeout(limits.handshake, opening.open(io)).await??;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, busy) = (app.clone(), Busy::new(seat));
        async move {
            let seat = Arc::clone(&busy.0);
            let arriving = request.map(|body| Arriving { body, seat, is_awaited: false });
            let (request, rest) = drain::keep(arriving);
            let response = app.oneshot(request).await?;
            rest.forget().await;
            busy.0.set_idle(None);
            // The seat is in use until the response is sent.
            Ok::<_, Infallible>(response.map(|body| Kept { body, _busy: busy }))
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
struct Seats {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Guest>,
}

/// Who has a seat.
struct Guest {
    /// Since when its next request, or the rest of it, does not come; `None`: it has one.
    idle_since: Option<Instant>,
    task: Option<AbortHandle>,
}

/// A connection's right to be there.
struct Seat {
    number: u64,
    seats: Seats,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), taken: Arc::default() }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a free seat; meanwhile those make room that are idle for so long.
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

    /// Nobody knows how many wait: a quarter of the seats at a time, the longest idle first.
    fn close_idle(&self, idle: Duration) {
        let taken = self.taken();
        let mut guests: Vec<_> = taken
            .seats
            .values()
            .filter_map(|guest| Some((guest.idle_since?, guest.task.as_ref()?)))
            .filter(|(since, _)| since.elapsed() >= idle)
            .collect();
        guests.sort_unstable_by_key(|(since, _)| *since);
        guests.iter().take(taken.seats.len().div_ceil(4)).for_each(|(_, task)| task.abort());
    }

    fn take(&self, permit: OwnedSemaphorePermit) -> Arc<Seat> {
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.seats.insert(number, Guest { idle_since: Some(Instant::now()), task: None });
        Arc::new(Seat { number, seats: self.clone(), _permit: permit })
    }

    fn can_abort(&self, number: u64, task: AbortHandle) {
        if let Some(guest) = self.taken().seats.get_mut(&number) {
            guest.task = Some(task);
        }
    }
}

impl Seat {
    fn set_idle(&self, since: Option<Instant>) {
        if let Some(guest) = self.seats.taken().seats.get_mut(&self.number) {
            guest.idle_since = since;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.number);
    }
}

/// From a request's headers to the end of its response.
struct Busy(Arc<Seat>);

impl Busy {
    fn new(seat: &Arc<Seat>) -> Self {
        seat.set_idle(None);
        Self(Arc::clone(seat))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_idle(Some(Instant::now()));
    }
}

/// A request's body. While nothing more of it comes, its connection is idle.
pub struct Arriving {
    body: Incoming,
    seat: Arc<Seat>,
    is_awaited: bool,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending() != self.is_awaited {
            self.is_awaited = frame.is_pending();
            self.seat.set_idle(self.is_awaited.then(Instant::now));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body whose connection is in use as long as it is there.
struct Kept {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
