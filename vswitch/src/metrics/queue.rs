//! What one receive queue gave.
//!
//! A counter for each queue, made with it and gone with it, so that it begins at zero and needs no
//! [offset](crate::control::offsets). Its worker writes it, once a poll, in a cache line that nobody else
//! writes; whoever holds the [`QueueView`] reads it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::counter::Line;

/// The writing end: neither `Sync` nor `Clone`.
#[derive(Debug)]
pub struct QueueCounter {
    packets: Arc<Line>,
    _one_writer: PhantomData<Cell<()>>,
}

/// The reading end.
#[derive(Clone, Debug)]
pub struct QueueView(Arc<Line>);

/// A counter at zero.
#[must_use]
pub fn new() -> (QueueCounter, QueueView) {
    let packets = Arc::new(Line::default());
    (QueueCounter { packets: Arc::clone(&packets), _one_writer: PhantomData }, QueueView(packets))
}

impl QueueCounter {
    /// Counts a burst.
    #[inline(always)]
    pub fn received(&self, packets: usize) {
        self.packets.add(packets as u64);
    }
}

impl QueueView {
    /// Frames received.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_one_end_counts_the_other_shows() {
        let (counter, view) = super::new();
        counter.received(3);
        counter.received(0);
        counter.received(64);
        assert_eq!(view.packets(), 67);
    }
}
