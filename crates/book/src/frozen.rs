//! A constant copy of a book: both sides of one update id.

use crate::condition::{NotReadable, Standing};
use crate::counters::Counters;
use crate::query::{BestPair, CompleteTo, LevelRun, Reading, Side};

/// A constant copy of the best levels of a book, made by `Market::freeze`.
///
/// It is as honest as the book about what it does not hold: where levels were left out, its
/// complete range ends at the last level it has.
#[derive(Clone, Debug)]
pub struct Frozen {
    complete: bool,
}

impl Frozen {
    /// Whether every level asked of `freeze` is proven on both sides.
    pub fn complete(&self) -> bool {
        self.complete
    }
}

impl Reading for Frozen {
    fn exchange(&self) -> &str {
        todo!()
    }
    fn symbol(&self) -> Option<&str> {
        todo!()
    }
    fn standing(&self) -> Standing<'_> {
        todo!()
    }
    fn readable(&self, serve_stale: bool) -> Result<(), NotReadable> {
        Ok(())
    }
    fn unconfirmed(&self) -> bool {
        todo!()
    }
    fn last_update_id(&self) -> Option<i64> {
        todo!()
    }
    fn event_time_us(&self) -> Option<i64> {
        todo!()
    }
    fn updated_ns(&self) -> Option<i64> {
        todo!()
    }
    fn best(&self) -> BestPair {
        todo!()
    }
    fn len(&self, side: Side) -> usize {
        todo!()
    }
    fn levels(&self, side: Side, start: usize, stop: usize) -> LevelRun {
        todo!()
    }
    fn complete_to(&self, side: Side) -> CompleteTo {
        todo!()
    }
    fn coverage(&self, side: Side) -> usize {
        todo!()
    }
    fn counters(&self) -> Counters {
        todo!()
    }
}
