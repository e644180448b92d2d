//! How deep readers want a book, and whether it is that deep.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ladder::Ladder;
use crate::query::CompleteTo;

/// With so many levels more than are enough, a book is looked at again only after as many have changed: a look reads
/// every chunk on the way, which are seldom in the processor's caches.
const SPARE: usize = 256;

/// How deep a book has to be: before `set` no depth is enough.
#[derive(Debug)]
pub(super) struct DepthTarget {
    /// The most levels a side that a reader asked for.
    requested: AtomicUsize,
    /// So many complete levels a side are enough …
    enough: usize,
    /// … while readers ask for at most so many.
    considered: usize,
    /// The book is deep enough until so many levels have changed since it was made.
    met_until: AtomicU64,
}

impl Default for DepthTarget {
    fn default() -> Self {
        DepthTarget {
            requested: AtomicUsize::new(0),
            enough: usize::MAX,
            considered: 0,
            met_until: AtomicU64::new(0),
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
        self.look_again();
    }

    /// The sides are others than before, or proven differently.
    pub fn look_again(&mut self) {
        *self.met_until.get_mut() = 0;
    }

    /// Whether both sides have enough complete levels, and no reader asked for more since that was decided. `changed`:
    /// how many levels have changed since the book was made.
    pub fn is_met(&self, bids: &Ladder, asks: &Ladder, changed: u64) -> bool {
        if self.requested() > self.considered {
            return false;
        }
        if changed < self.met_until.load(Ordering::Relaxed) {
            return true; // a change takes away one level at most
        }
        let have = |levels: usize| bids.is_complete(levels) && asks.is_complete(levels);
        let has_spare = have(self.enough.saturating_add(SPARE));
        if has_spare {
            let until = changed + SPARE as u64;
            self.met_until.store(until, Ordering::Relaxed);
        }
        has_spare || have(self.enough)
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
