//! How deep a book is, how deep readers want it, and whether that is enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Market;
use crate::ladder::Ladder;
use crate::query::CompleteTo;

/// How deep a book has to be: before `set_depth_target` no depth is enough.
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

impl Market {
    /// The most levels a side that a reader asked for; who asks for all asks for none in particular.
    pub fn depth_requested(&self) -> usize {
        self.depth_target.requested.load(Ordering::Relaxed)
    }

    /// So many complete levels a side are enough while readers ask for at most `requested`; without it no
    /// number is.
    pub fn set_depth_target(&mut self, levels: usize, requested: usize) {
        (self.depth_target.enough, self.depth_target.considered) = (levels, requested);
    }

    /// Whether a side has fewer complete levels than are enough, or that has to be thought over because
    /// readers ask for more.
    pub fn is_shallow(&self) -> bool {
        let enough = self.depth_target.enough;
        let is_enough = self.bids.is_complete(enough) && self.asks.is_complete(enough);
        !is_enough || self.depth_requested() > self.depth_target.considered
    }

    /// The fewest levels that a side has inside its complete range; None where both sides are whole.
    pub fn covered(&self) -> Option<usize> {
        [&self.bids, &self.asks]
            .into_iter()
            .filter(|ladder| ladder.complete_to() != CompleteTo::Whole)
            .map(Ladder::coverage)
            .min()
    }

    #[inline]
    pub(super) fn note_request(&self, levels: usize) {
        if levels != usize::MAX && levels > self.depth_requested() {
            self.depth_target.requested.store(levels, Ordering::Relaxed);
        }
    }
}
