//! Why does this frame go where it goes, or nowhere? Answered from the live state, without side
//! effects.
//!
//! This is no second switch. [`Explainer::explain`] runs the frame through the same
//! [stages](crate::datapath::worker::stages) that workers run, in the same order, over the
//! generation and the FDB that workers see, and records what each stage decides. Only the packet
//! buffer, the queues and the counters are its own, so that nothing is sent, learned, counted or
//! reported.
//!
//! | file | what it owns |
//! |---|---|
//! | [`question`] | the frame to explain, and where it enters |
//! | `explainer` | the pass through the stages, and the result |
//! | [`io`] | the queues and the packet buffer |
//! | `stage_log` | the state of the frame after each stage |
//! | `analysis` | all that is known about one frame, and the settings that concern it |
//! | `describe` | the decisions of the stages in sentences |
//! | `drop_causes` | the setting behind each drop reason, and what would make the frame pass |
//! | [`difference`] | what leaves, compared byte for byte with what came |
//! | [`answer`] | the explanation as data |
//! | `config_names` | names and JSON pointers in the configuration |
//!
//! # Callers, thread and cost
//! The control thread calls it for `POST /v1/explain`, between its other duties; tests call it on
//! the [simulation](crate::sim). A frame takes some tens of microseconds. A flooded frame takes one
//! microsecond more per copy, and a few for each copy that is dropped; at most [`io::MAX_KEPT`]
//! copies and drops are kept. Decoding and comparing need no switch, so [`Trace::explanation`]
//! does both, on any thread.

mod analysis;
pub mod answer;
mod config_names;
mod describe;
pub mod difference;
mod drop_causes;
mod explainer;
pub mod io;
pub mod question;
mod stage_log;

pub use explainer::{Explainer, Trace};
pub use question::{Question, Unknown};
