//! The configuration in force, on disk: what a restart comes up with.
//!
//! [`StateStore`] writes it before a change is acknowledged, so that after a crash at any moment
//! the switch has the last configuration that it acknowledged, or the one that was in flight, and
//! never a mixture. [`choose()`] decides between it and the file of `--config`. `docs/state.md`
//! says both to operators.
//!
//! # What is in the directory
//!
//! | file | what |
//! |---|---|
//! | `state.toml` | the state: what a restart comes up with |
//! | `state.toml.previous` | the state before it, in case that `state.toml` is damaged |
//! | `state.toml.pending` | a configuration that is in force and waits to be confirmed |
//! | `state.toml.unconfirmed` | the last one that was not: for people |
//! | `state.toml.damaged-N`, `state.toml.replaced-N` | kept aside: for people |
//! | `state.toml.new`, `state.toml.previous.new` | being written; mean nothing after a crash |
//! | `lock` | locked while a switch uses the directory |
//!
//! A state never changes in place. It is written under another name, synced, and takes its name by
//! `rename`, which is one step for whoever looks, a crash included. So of the two files that a
//! start reads, each is whole or not there, and only damage of the disk makes it otherwise.
//!
//! # Step by step, and what a restart after each step does
//!
//! | operation | step | after a crash here, a restart comes up with |
//! |---|---|---|
//! | save N over F | write and sync `.new` | F |
//! | | link `state.toml` to `.previous.new`, rename that to `.previous` | F |
//! | | rename `.new` to `state.toml` | N, in flight |
//! | | sync the directory; acknowledge | N |
//! | save N as pending over F | write and sync `.new` | F |
//! | | rename `.new` to `.pending` | F: N was not confirmed |
//! | | sync the directory; acknowledge | F: N was not confirmed |
//! | confirm N | F to `.previous`, as above | F: N was not confirmed |
//! | | link `.pending` to `.new`, rename that to `state.toml` | N, whose confirmation was in flight |
//! | | sync the directory | N |
//! | | remove `.pending`; acknowledge | N |
//! | roll N back | write and sync F under a new generation as `.new`, rename to `state.toml` | F |
//! | | rename `.pending` to `.unconfirmed`, sync the directory; acknowledge | F |
//!
//! `state.toml` never holds what is not confirmed. A start that finds a `.pending` that is not what
//! `state.toml` holds rolls it back in the same way and says so; one that is the same was
//! confirmed.
//!
//! An error (a full disk) is not a crash: the switch goes on with F, and says that N was refused.
//! So an operation that fails after its `rename` puts F back.
//!
//! # Who calls it
//!
//! The control thread: each operation waits for the disk, for milliseconds on most and longer on a
//! slow one. The order for a change ([`apply`](crate::control::requests::LiveSwitch::apply)): put
//! it in force, save it, acknowledge it. If it cannot be saved, the former is put in force again,
//! and the change is refused.

mod choose;
mod disk;
mod file;
mod store;

pub use choose::{Origin, Start, choose, default_directory};
pub use file::{Checksum, State};
pub use store::{Loaded, StateError, StateStore, good_file, lock_file};
