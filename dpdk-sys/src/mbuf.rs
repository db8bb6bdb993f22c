//! The fields of an mbuf, by their offsets (DPDK Programmer's Guide, "Mbuf Library").
//!
//! Inline and without a call into C, for the data path. The widths are asserted in `shim.c`.
//!
//! # Safety
//!
//! Every function needs a valid `mbuf`, and for writing one that nobody else reads at that time.

use std::ffi::c_void;

use crate::rte_mbuf;

macro_rules! field {
    ($(#[$doc:meta])* $offset:ident, $get:ident -> $type:ty $(, $set:ident)?) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// See the module.
        #[inline(always)]
        #[must_use]
        pub unsafe fn $get(mbuf: *const rte_mbuf) -> $type {
            // SAFETY: the caller says that the mbuf is valid; the header says that the field is
            // at this offset, and C aligns it.
            unsafe { mbuf.byte_add(crate::$offset as usize).cast::<$type>().read() }
        }

        $(
            /// Writes the field.
            ///
            /// # Safety
            /// See the module.
            #[inline(always)]
            pub unsafe fn $set(mbuf: *mut rte_mbuf, value: $type) {
                // SAFETY: as for reading; the caller says that nobody else uses the mbuf.
                unsafe { mbuf.byte_add(crate::$offset as usize).cast::<$type>().write(value) }
            }
        )?
    };
}

field! {
    /// Where the buffer starts: headroom first.
    VSW_MBUF_BUF_ADDR, buf_addr -> *mut c_void
}
field! {
    /// Where the frame starts, in bytes from [`buf_addr`].
    VSW_MBUF_DATA_OFF, data_off -> u16, set_data_off
}
field! {
    /// How many mbufs make the frame.
    VSW_MBUF_NB_SEGS, nb_segs -> u16
}
field! {
    /// Offload flags, `RTE_MBUF_F_*`.
    VSW_MBUF_OL_FLAGS, ol_flags -> u64, set_ol_flags
}
field! {
    /// Length of the whole frame in bytes.
    VSW_MBUF_PKT_LEN, pkt_len -> u32, set_pkt_len
}
field! {
    /// Length of this segment of the frame in bytes.
    VSW_MBUF_DATA_LEN, data_len -> u16, set_data_len
}
field! {
    /// Size of the buffer in bytes, headroom included.
    VSW_MBUF_BUF_LEN, buf_len -> u16
}
