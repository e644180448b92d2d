//! A second book beside a live one: a snapshot that is rolled to the live book's id and compared.
//!
//! Theory of operation. From the moment a refresh begins, the diffs applied to the live book are kept,
//! too. The snapshot that was asked for then becomes a book of its own; the kept diffs bring it to the
//! id of the live one. A snapshot that is ahead waits for the live book. At one and the same id both are
//! compared and merged, and the live book never leaves sync.
//!
//! Not here: how two sides are compared and merged (`ladder`), when to refresh (whoever calls).

use crate::ladder::Ladder;
use crate::market::buffer::Buffer;
use crate::market::sequence::{Continuity, Ids, SequenceCheck, check_sequence};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::query::Side;

/// How two books agreed inside the range that both prove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Prices compared: those that at least one of both holds.
    pub checked: u64,
    /// Prices that both hold with different quantities.
    pub differing: u64,
    /// Prices that the exchange holds and the book does not.
    pub missing: u64,
    /// Prices that the book holds and the exchange does not.
    pub extra: u64,
}

impl Tally {
    /// How many prices were wrong.
    pub fn wrong(&self) -> u64 {
        self.differing + self.missing + self.extra
    }
}

impl std::ops::Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            checked: self.checked + other.checked,
            differing: self.differing + other.differing,
            missing: self.missing + other.missing,
            extra: self.extra + other.extra,
        }
    }
}

/// What the last refresh of a book found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The id at which both were compared.
    pub update_id: i64,
    /// Both sides together.
    pub tally: Tally,
}

/// What became of a snapshot that was to refresh a live book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Compared and merged.
    Merged,
    /// Ahead of the live book: merged as soon as that reaches it.
    Waiting,
    /// Older than the diffs kept since the refresh began: nothing was done.
    TooOld,
    /// The book is not live, or no refresh was begun: nothing was done.
    NotLive,
}

impl RefreshOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RefreshOutcome::Merged => "merged",
            RefreshOutcome::Waiting => "waiting",
            RefreshOutcome::TooOld => "too_old",
            RefreshOutcome::NotLive => "not_live",
        }
    }
}

/// The book of a snapshot on its way to the live book's id.
#[derive(Debug)]
pub struct RolledSnapshot {
    /// Its bids.
    pub bids: Ladder,
    /// Its asks.
    pub asks: Ladder,
    /// The id it stands at.
    pub update_id: i64,
    confirmed: bool,
}

impl RolledSnapshot {
    /// The book of a snapshot that was asked with `limit`.
    pub fn new(snapshot: &DepthSnapshot, limit: Option<usize>) -> RolledSnapshot {
        RolledSnapshot {
            bids: Ladder::from_snapshot(Side::Bids, &snapshot.bids, limit),
            asks: Ladder::from_snapshot(Side::Asks, &snapshot.asks, limit),
            update_id: snapshot.last_update_id,
            confirmed: false,
        }
    }

    /// Whether a diff is old to it, continues it, or leaves a hole.
    pub fn check(&self, continuity: Continuity, ids: Ids) -> SequenceCheck {
        check_sequence(continuity, self.update_id, ids, self.confirmed)
    }

    /// Apply a diff that continues.
    pub fn apply(&mut self, update: &DepthUpdate) {
        self.bids.apply(&update.bids);
        self.asks.apply(&update.asks);
        (self.update_id, self.confirmed) = (update.final_update_id, true);
    }
}

/// A refresh on its way.
#[derive(Debug, Default)]
pub struct Refresh {
    /// What was applied to the live book since it began, while no snapshot is there.
    pub buffer: Buffer,
    /// The snapshot's book, once it is there and still ahead.
    pub rolled: Option<RolledSnapshot>,
}
