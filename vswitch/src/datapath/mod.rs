//! The data path: what a worker does to a burst of frames, one stage per file, in this order:
//!
//! | stage | what it decides |
//! |---|---|
//! | [`rx`] | takes a burst from a queue |
//! | [`parse`] | a tenant's frame, a tunnel frame for us, the host's, or none of these |
//! | [`decap`] | which network and remote VTEP; takes the outer headers off |
//! | [`learn`] | looks source and destination up; tells of new, moved and ageing sources |
//! | [`forward`] | to a port, to a tunnel, to everybody, or nowhere |
//! | [`flood`] | copies for everybody else in the network |
//! | [`encap`] | puts the outer headers on |
//! | [`tx`] | sends, punts, or counts the drop |
//!
//! [`worker`] runs them. What they read is in [`generation`] and the [FDB](crate::table); what they
//! write is the frame, a [`verdict::Verdict`] per frame, and the worker's own counters.
//!
//! The pipeline is generic over the packet buffer ([`packet`]) and its surroundings ([`io`]): the
//! same stages run on mbufs and, in memory, without DPDK. It has no clock, no log, no lock, and
//! allocates nothing.

pub mod again;
pub mod capture;
pub mod context;
pub mod decap;
pub mod directory;
pub mod encap;
pub mod flood;
pub mod forward;
pub mod generation;
pub mod io;
pub mod learn;
pub mod now;
pub mod observer;
pub mod outputs;
pub mod packet;
pub mod parse;
pub mod relay;
pub mod reports;
pub mod rx;
pub mod tunnel;
pub mod tx;
pub mod vector;
pub mod verdict;
pub mod worker;
