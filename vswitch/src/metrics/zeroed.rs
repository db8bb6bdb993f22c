//! Large slices of zeros whose pages take memory only once they are written to.
//!
//! The allocator hands out large zeroed blocks as fresh pages of the kernel (`calloc`). The standard
//! library asks for such a block only where the alignment is 16 bytes or less. For the 64 bytes of a
//! cache line, `Box::new_zeroed_slice` writes the zeros itself, and every page takes memory at once.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// The largest alignment for which the standard library asks for a zeroed block.
const BLOCK_ALIGN: usize = 16;

/// A type of which zero bytes are a value.
///
/// # Safety
/// All bytes zero are a valid value of the type, and dropping a value has no effect.
pub(super) unsafe trait Zeroed: Sized {}

/// A slice of zeros, aligned for its elements.
#[derive(Debug)]
pub(super) struct ZeroedSlice<T> {
    first: NonNull<T>,
    len: usize,
    block: NonNull<u8>,
    owns: PhantomData<T>,
}

// SAFETY: the slice owns its elements, as a `Box<[T]>` does.
unsafe impl<T: Send> Send for ZeroedSlice<T> {}
// SAFETY: shared access to the slice is shared access to its elements.
unsafe impl<T: Sync> Sync for ZeroedSlice<T> {}

impl<T: Zeroed> ZeroedSlice<T> {
    /// A slice of `len` elements, more than zero.
    ///
    /// # Panics
    /// The slice would be larger than the address space.
    pub(super) fn new(len: usize) -> Self {
        let layout = layout::<T>(len);
        assert!(layout.size() > 0, "a slice of no bytes needs no memory");
        // SAFETY: the size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        let offset = block.align_offset(align_of::<T>());
        // SAFETY: `layout` has room for the offset, which is less than the alignment, and `len` elements.
        let first = unsafe { block.add(offset) }.cast();
        Self { first, len, block, owns: PhantomData }
    }
}

/// The block for `len` elements at any offset that aligns them.
fn layout<T>(len: usize) -> Layout {
    let size = len.checked_mul(size_of::<T>()).and_then(|size| size.checked_add(align_of::<T>()));
    let layout = size.and_then(|size| Layout::from_size_align(size, BLOCK_ALIGN).ok());
    let Some(layout) = layout else { panic!("{len} elements do not fit the address space") };
    layout
}

impl<T> Deref for ZeroedSlice<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `new` made the elements, by its bound on `Zeroed` valid, aligned and in one block,
        // which lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T> Drop for ZeroedSlice<T> {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the block with this layout. Elements need no drop, by `Zeroed`.
        unsafe { dealloc(self.block.as_ptr(), layout::<T>(self.len)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[repr(align(64))]
    struct Line(AtomicU64);

    // SAFETY: an atomic number, of which zero is a value.
    unsafe impl Zeroed for Line {}

    /// The pages of this process that are in memory, in bytes.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn only_written_pages_take_memory() {
        let len = 1 << 20;
        let before = resident();
        let lines = ZeroedSlice::<Line>::new(len);
        assert_eq!(lines.as_ptr().align_offset(64), 0);
        assert_eq!(lines.len(), len);
        lines[len - 1].0.store(1, Ordering::Relaxed);
        assert_eq!(lines[0].0.load(Ordering::Relaxed), 0);
        // Other tests allocate in the meantime: half of the 64 MiB is the bound.
        assert!(resident() < before + (len * size_of::<Line>()) / 2);
    }
}
