//! Captures, from their queues to a file: the side of the control thread, and what a client reads.
//!
//! | file | what it owns |
//! |---|---|
//! | [`wanted`] | what somebody asked for, by names |
//! | [`filter`] | BPF, by libpcap |
//! | [`names`] | what indices were called in each of the last generations |
//! | [`words`] | a record as a comment |
//! | [`pcapng`] | the file |
//! | [`stream`] | the thread of a capture, from its queue to whoever reads |
//!
//! The workers' side is [`datapath::capture`](crate::datapath::capture).

pub mod filter;
pub mod names;
pub mod pcapng;
pub mod stream;
pub mod wanted;
pub mod words;
