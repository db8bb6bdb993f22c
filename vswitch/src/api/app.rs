//! What every request handler shares: the way to the control loop, and bounds on memory and time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::Semaphore;

use super::control::Control;
use crate::datapath::capture::MAX_CAPTURES;
use crate::explain::Explainer;

/// Bodies of more than [`MAX_BODY`](super::extract::MAX_BODY) that are in memory at a time.
const LARGE_BODIES: usize = 4;

/// The state of the API's routes.
#[derive(Clone)]
pub struct App {
    /// Sends requests to the control loop.
    pub(super) control: Control,
    /// Explains frames. Locked on the control thread only.
    pub(super) explainer: Arc<Mutex<Explainer>>,
    /// A permit for each large body in memory.
    pub(super) large_bodies: Arc<Semaphore>,
    /// A permit for each capture whose buffers are allocated and which does not run yet.
    pub(super) starting_captures: Arc<Semaphore>,
    /// The longest time that a request may take.
    pub(super) request_timeout: Duration,
    /// The `OpenAPI` document as JSON.
    pub(super) openapi: Bytes,
}

impl App {
    pub(super) fn new(control: Control, request_timeout: Duration, openapi: Bytes) -> Self {
        Self {
            control,
            explainer: Arc::default(),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            starting_captures: Arc::new(Semaphore::new(MAX_CAPTURES)),
            request_timeout,
            openapi,
        }
    }
}
