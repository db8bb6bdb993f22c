//! The HTTP servers: the API on a Unix socket and, if configured, over TCP with TLS and a token;
//! and the metrics with the status page on TCP.
//!
//! | file | contents |
//! |---|---|
//! | [`server`] | the routes that each listener serves |
//! | [`connections`], [`drain`] | bounds on the number and time of connections |
//! | [`socket`], [`tls`] | access control |
//! | [`routes`], [`app`] | the handlers, and the state that they share |
//! | [`extract`], [`precondition`], [`json`] | parsing of requests |
//! | [`problem`], [`conflict`] | error responses (RFC 9457) |
//! | [`control`] | queries to the control loop |
//! | [`edit`], [`apply`] | changes of the configuration |
//! | [`page`] | the status page |
//! | `openapi`, `uri` | the `OpenAPI` document; percent-encoding |
//!
//! # Thread safety
//! The servers are tasks on the control thread, beside the control loop, and own no state of the
//! switch. Long computations run on threads of the runtime's pool.

pub mod app;
pub mod apply;
pub mod conflict;
pub mod connections;
pub mod control;
pub mod drain;
pub mod edit;
pub mod extract;
pub mod json;
mod openapi;
pub mod page;
pub mod precondition;
pub mod problem;
pub mod routes;
pub mod server;
pub mod socket;
pub mod tls;
pub(crate) mod uri;
