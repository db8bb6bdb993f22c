//! Raw bindings to the part of DPDK that the switch uses: 22.11 or newer, the same source for all.
//!
//! | what | where |
//! |---|---|
//! | non-inline functions, about 25 of them | bindgen, named one by one in `build.rs` |
//! | inline functions; structs whose fields move between versions | `shim.c`, one function each |
//! | the fields of an mbuf | [`mbuf`], by offsets that the header exports |
//!
//! DPDK's types are opaque here. `vswitch::dpdk` is the only caller, and gives them owners.

use std::marker::{PhantomData, PhantomPinned};

#[allow(missing_docs, non_camel_case_types, reason = "written by bindgen, in the words of C")]
#[allow(clippy::all, clippy::pedantic, clippy::allow_attributes_without_reason)]
#[allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
pub mod mbuf;

pub use bindings::*;

macro_rules! closed {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            /// Closed: its size and its fields are not known to Rust.
            #[repr(C)]
            #[allow(non_camel_case_types, reason = "the name in C")]
            pub struct $name {
                _closed: [u8; 0],
                // Neither Send nor Sync nor Unpin, as the Rustonomicon asks of a foreign type.
                _marker: PhantomData<(*mut u8, PhantomPinned)>,
            }
        )*
    };
}

closed! {
    /// A packet buffer.
    rte_mbuf
    /// A pool of packet buffers.
    rte_mempool
    /// Settings of a receive queue; null stands for the driver's defaults.
    rte_eth_rxconf
    /// Settings of a transmit queue; null stands for the driver's defaults.
    rte_eth_txconf
}
