//! The tables of vswitch, from the same files, on loom's atomics: `cargo test -p table-loom
//! --release` goes through every interleaving of small scenes. They are in
//! `vswitch/src/table/tests_loom.rs`.

#![allow(dead_code, unused_imports, reason = "the scenes do not need all of it")]
#![allow(rustdoc::broken_intra_doc_links, reason = "the rest of vswitch is not here")]

#[path = "../../src/ids.rs"]
pub mod ids;
#[path = "../../src/table/mod.rs"]
pub mod table;
