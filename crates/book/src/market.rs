//! One market: the state machine between frames and a book that can be trusted.

use parking_lot::{Mutex, MutexGuard};

use crate::condition::{Condition, NotReadable, Standing};
use crate::counters::Counters;
use crate::frozen::Frozen;
use crate::query::{BestPair, CompleteTo, LevelRun, Reading, Side};
use crate::sequence::Continuity;

/// What one frame did to a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The book moved to the frame's final update id.
    Applied,
    /// At or before the book's id: nothing changed, nothing is wrong.
    Stale,
    /// No snapshot yet: the frame is kept until one is loaded.
    Waiting,
    /// Updates are missing: the book stays as it is until a new snapshot.
    Gap,
    /// Not a diff of this kind of book.
    Ignored,
}

impl Outcome {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Stale => "stale",
            Outcome::Waiting => "waiting",
            Outcome::Gap => "gap",
            Outcome::Ignored => "ignored",
        }
    }
}

/// What one snapshot did to a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// Installed and current.
    Synced,
    /// Installed; the next diff decides.
    Bridging,
    /// Older than the first kept diff: not installed, the diffs are kept.
    TooOld,
    /// Installed, but the kept diffs have a hole: a newer snapshot is needed.
    Gap,
}

impl SnapshotOutcome {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            SnapshotOutcome::Synced => "synced",
            SnapshotOutcome::Bridging => "bridging",
            SnapshotOutcome::TooOld => "too_old",
            SnapshotOutcome::Gap => "gap",
        }
    }
}

/// One market of a router, or the one of an offline book. Read through `Reading`.
#[derive(Debug)]
pub struct Market {
    continuity: Continuity,
}

impl Market {
    /// How update ids follow each other.
    pub fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// A constant copy of the best `levels` of both sides (`usize::MAX` for all).
    ///
    /// Call it after `readable` said `Ok`; the copy is readable for good.
    pub fn freeze(&self, levels: usize) -> Frozen {
        todo!()
    }

    /// Lay a condition over the native state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        todo!()
    }
}

impl Reading for Market {
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
        todo!()
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

/// A market and its lock, shared by the router and all readers.
///
/// The lock is held for one frame, one snapshot or one read at a time, never while waiting for
/// anything else: whoever holds it sees both sides of one update id. Copy levels out and let it
/// go before making objects of another language.
#[derive(Debug)]
pub struct MarketCell {
    market: Mutex<Market>,
}

impl MarketCell {
    /// The market, when nobody else holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Market>> {
        self.market.try_lock()
    }

    /// The market, as soon as nobody else holds it.
    pub fn lock(&self) -> MutexGuard<'_, Market> {
        self.market.lock()
    }
}
