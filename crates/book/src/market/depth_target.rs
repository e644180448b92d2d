//! How deep readers want a book, and whether it is that deep.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ladder::Ladder;
use crate::query::CompleteTo;

/// How deep a book has to be: before `set` no depth is enough.
#[derive(Debug)]
pub(super) struct DepthTarget {
    /// The most levels a side that a reader asked for.
    requested: AtomicUsize,
    /// So many complete levels a side are enough …
    enough: usize,
    /// … while readers ask for at most so many.
    considered: usize,
}

impl Default for DepthTarget {
    fn default() -> Self {
        DepthTarget {
            requested: AtomicUsize::new(0),
            enough: usize::MAX,
            considered: 0,
        }
    }
}

impl DepthTarget {
    /// The most levels a side that a reader asked for; a request for all levels sets no target.
    pub fn requested(&self) -> usize {
        self.requested.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn note_request(&self, levels: usize) {
        if levels != usize::MAX && levels > self.requested() {
            self.requested.store(levels, Ordering::Relaxed);
        }
    }

    pub fn set(&mut self, levels: usize, requested: usize) {
        (self.enough, self.considered) = (levels, requested);
    }

    /// Whether both sides have enough complete levels, and no reader asked for more since that was decided.
    pub fn is_met(&self, bids: &Ladder, asks: &Ladder) -> bool {
        let is_enough = bids.is_complete(self.enough) && asks.is_complete(self.enough);
        is_enough && self.requested() <= self.considered
    }
}

/// The fewest levels that a side has inside its complete range; None where both sides are whole.
pub(super) fn min_coverage(bids: &Ladder, asks: &Ladder) -> Option<usize> {
    [bids, asks]
        .into_iter()
        .filter(|ladder| ladder.complete_to() != CompleteTo::Whole)
        .map(Ladder::coverage)
        .min()
}
