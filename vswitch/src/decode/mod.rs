//! Frames decoded for people and programs, header by header from the outside in.
//!
//! There is one decoder and two ways to present its result: [`line()`] for captures and dropped
//! frames, [`layers()`] for explanations. etherparse reads the headers, not the data path's own
//! [`wire`](crate::wire): a user who asks why a frame vanished wants to see the frame itself, not
//! what the switch takes it for. Only the VXLAN header, which etherparse lacks, is read by `wire`.
//!
//! | file | what it owns |
//! |---|---|
//! | `headers` | the decoder |
//! | `line` | a frame as one line of text |
//! | `layers` | a frame as data, one layer for each header |
//!
//! All functions are pure, and take any bytes. Decoding costs about a microsecond per frame.

mod headers;
mod layers;
mod line;

pub use layers::{Fields, Layer, layers};
pub use line::line;
