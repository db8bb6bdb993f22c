//! The atomics of the tables: std's, or loom's when loom explores the interleavings.
//!
//! Algorithms name these and so carry no `cfg` of their own.

#[cfg(not(vswitch_loom))]
pub(super) use std::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};

#[cfg(vswitch_loom)]
pub(super) use loom::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicU64, Ordering, fence},
};

/// Asks the processor to bring the cache line at `place` close, for reading.
///
/// It pays in bursts over tables larger than the L2 cache: see `benches/fdb.rs`.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(vswitch_loom)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no architectural effect and cannot fault; every x86-64 has SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri), not(vswitch_loom))))]
    let _ = place;
}
