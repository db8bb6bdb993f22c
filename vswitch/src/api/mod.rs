//! JSON over HTTP: on the Unix socket for the command line and programs, over TCP with TLS and a token
//! if that is configured, and the metrics on TCP.
//!
//! | file | what it owns |
//! |---|---|
//! | `server` | which routes are served where |
//! | [`connections`] | how many at a time, and how long each may take |
//! | [`drain`] | what is left of a body that nobody wanted |
//! | [`socket`], [`tls`] | who may ask |
//! | `routes` | one handler for each route |
//! | [`extract`] | what a request says, read strictly |
//! | [`problem`] | every error, as RFC 9457 has them |
//! | [`control`] | questions to the control loop |
//! | [`fake`] | a switch in memory |
//! | [`edit`], [`change`] | from a request to another configuration, checked and applied |
//! | [`refusal`] | what is not there, there already, or in use |
//! | [`page`] | what people see of it in a browser, on the metrics' address |
//! | `openapi` | the description of it all |
//!
//! # Thread safety
//! The server is a task on the control thread, beside the control loop, and owns no state of the switch. What
//! takes long is done on threads of the runtime's pool.

pub mod change;
pub mod connections;
pub mod control;
pub mod drain;
pub mod edit;
pub mod extract;
#[doc(hidden)]
pub mod fake;
mod openapi;
pub mod page;
pub mod problem;
pub mod refusal;
mod routes;
pub mod server;
pub mod socket;
pub mod tls;

pub(crate) use routes::percent_encoded;
pub use routes::{ExplainRequest, MAX_FRAME, Was};
