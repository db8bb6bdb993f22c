//! Captures on the side of the control thread: from the workers' queues to a pcapng file.
//!
//! | file | what it owns |
//! |---|---|
//! | [`request`] | which frames a user asks for, by names |
//! | [`filter`] | BPF filters, compiled and run by libpcap |
//! | [`generation_names`] | the names of ports, networks and VTEPs in the last generations |
//! | [`comment`] | the comment of a captured packet |
//! | [`pcapng`] | the file |
//! | [`stream`] | the thread of a capture, from its queue to its reader |
//!
//! The workers' side is [`datapath::capture`](crate::datapath::capture).

pub mod comment;
pub mod filter;
pub mod generation_names;
pub mod pcapng;
pub mod request;
pub mod stream;
