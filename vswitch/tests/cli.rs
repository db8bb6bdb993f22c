//! The command line as people and scripts see it: the real binary and the real server, with a
//! switch in memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/captures.rs"]
mod captures;
#[path = "cli/conflicts.rs"]
mod conflicts;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/shown.rs"]
mod shown;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/typed.rs"]
mod typed;
#[path = "cli/verbs.rs"]
mod verbs;

#[allow(dead_code, reason = "the tests of the API use more of it")]
#[path = "api/fake.rs"]
mod fake;
#[allow(dead_code, reason = "the tests of the API use more of it")]
#[path = "api/served.rs"]
mod served;
