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

/// Asks the kernel to back the memory with huge pages. It must be asked before the first touch.
///
/// A table of a million entries is 45 MB: 11,000 small pages, more than any TLB holds.
#[cfg(all(target_os = "linux", not(miri), not(vswitch_loom)))]
pub fn advise_huge_pages<T>(memory: &mut Vec<T>) {
    const HUGE_PAGE: usize = 2 << 20;
    let spare = memory.spare_capacity_mut();
    let bytes = size_of_val(spare);
    if bytes < HUGE_PAGE {
        return;
    }
    // Whole pages only: the first and the last may hold memory of others.
    let start = spare.as_mut_ptr().cast::<u8>();
    let skip = start.align_offset(4096);
    let len = (bytes - skip) & !4095;
    // SAFETY: `skip` is below 4096 and so within the allocation of `bytes`.
    let page = unsafe { start.add(skip) };
    // SAFETY: the pages lie within an allocation that we own, and MADV_HUGEPAGE changes no byte of them.
    // A refusal (no transparent huge pages) costs speed only.
    let _ = unsafe { libc::madvise(page.cast(), len, libc::MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri), not(vswitch_loom))))]
pub fn advise_huge_pages<T>(_memory: &mut Vec<T>) {}
