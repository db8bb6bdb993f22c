//! The API as its clients see it: the real server on a Unix socket and over TLS, with a switch in
//! memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "api/captures.rs"]
mod captures;
#[path = "api/changes.rs"]
mod changes;
#[path = "api/clients.rs"]
mod clients;
#[path = "api/description.rs"]
mod description;
#[path = "api/errors.rs"]
mod errors;
#[path = "api/events.rs"]
mod events;
#[path = "api/explain.rs"]
mod explain;
#[path = "api/fake.rs"]
mod fake;
#[path = "api/fdb.rs"]
mod fdb;
#[path = "api/over_tcp.rs"]
mod over_tcp;
#[path = "api/page.rs"]
mod page;
#[path = "api/served.rs"]
mod served;
