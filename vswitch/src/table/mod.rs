//! Tables that the control thread writes and the workers read, without a lock.
//!
//! | file | what it is |
//! |---|---|
//! | [`key`] | what is looked up: a network and a MAC address, one `u64` |
//! | [`entry`] | what is found: where to send, and when the address was last heard |
//! | [`fdb`] | the forwarding table as its two halves, a writer and readers |
//! | [`writer`] | its one writer: insertion, removal, the ageing sweep |
//! | [`snapshot`] | generations: a whole immutable value published to every worker |
//!
//! Beneath them, `bucket` holds the protocol between the FDB's writer and its readers with the
//! argument for its memory orderings, `hash` places keys in buckets, `lookup` is a table of buckets and its
//! lock-free lookup, `change` moves keys about to make room, `growth` makes the next, larger table, and
//! `primitive` provides atomics that loom can replace.
//!
//! # Thread safety
//!
//! The control thread owns the [`FdbWriter`] and the [`Publisher`]; neither is `Sync` nor `Clone`, so
//! "one writer" is what the types say. Each worker owns an [`FdbReader`] and a [`Reader`]. Nothing here
//! knows about DPDK, and nothing here allocates, locks or makes a system call on the reader's side.
//!
//! # Checking it
//!
//! ```sh
//! cargo test -p vswitch --no-default-features --lib table::       # model and stress tests
//! cargo test -p table-loom --release                              # every interleaving of small scenes
//! MIRIFLAGS="-Zmiri-disable-isolation" \
//!     cargo +nightly miri test -p vswitch --no-default-features --lib table::  # undefined behaviour
//! VSWITCH_STRESS_SECS=600 \
//!     cargo test -p vswitch --no-default-features --release --lib readers_see  # ten minutes of races
//! ```
//!
//! The package `table-loom` (`vswitch/tests/loom`) is these very files under `cfg(vswitch_loom)`, and nothing else of
//! the switch: it compiles in seconds.

mod bucket;
mod change;
pub mod entry;
pub mod fdb;
mod growth;
mod hash;
pub mod key;
mod lookup;
mod primitive;
pub mod snapshot;
pub mod writer;

#[cfg(test)]
#[cfg(not(vswitch_loom))]
mod tests;
#[cfg(test)]
#[cfg(not(vswitch_loom))]
mod tests_growth;
#[cfg(test)]
#[cfg(vswitch_loom)]
mod tests_loom;

pub use entry::{Destination, Entry, Found, PackedDestination};
pub use fdb::FdbReader;
pub use hash::random_seed;
pub use key::Key;
pub use lookup::Table;
pub(crate) use primitive::{advise_huge_pages, prefetch};
pub use snapshot::{Publisher, Reader};
pub use writer::{FdbWriter, TableFull};
