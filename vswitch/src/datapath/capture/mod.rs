//! What a worker copies of the frames that pass: for captures, and a sample of every kind of drop.
//!
//! | file | what it owns |
//! |---|---|
//! | [`selection`] | which frames a capture wants, and where it looks |
//! | [`queue`] | the queues between the threads that record and the thread that reads |
//! | [`recorder`] | what a thread does at each capture point |
//! | [`budget`] | how much of a worker's time captures may take |
//! | [`drops`] | the last dropped frames of each reason, on their way to the control thread |
//!
//! A generation carries the watches ([`Generation::watches`](super::generation::Generation::watches)), so
//! a capture begins and ends for a worker at its quiescent point. All memory is made beforehand: a worker
//! moves records from the queue `free` to the queue `filled`, and the
//! [capture's own thread](crate::capture::stream) moves them back. A worker that finds no free record
//! counts the frame as missed, and goes on.

pub mod budget;
pub mod drops;
pub mod queue;
pub mod recorder;
pub mod selection;

pub use drops::DroppedFrame;
pub use queue::{Capture, Filter, Missed, Phase, Record, Watch};
pub use recorder::Recorder;
pub use selection::{CapturePoint, CapturePoints, MAX_CAPTURES, Selection};
