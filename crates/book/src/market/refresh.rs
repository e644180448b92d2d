//! A second book beside a live one: a snapshot that is rolled to the live book's id and compared.
//!
//! Theory of operation. From the moment a refresh begins, the diffs applied to the live book are buffered,
//! too. The snapshot that was requested then becomes a book of its own; the buffered diffs bring it to the
//! id of the live one. A snapshot that is ahead waits for the live book. At one and the same id both are
//! compared and merged, and the live book never leaves sync.
//!
//! Not here: how two sides are compared and merged (`ladder`), when to refresh (the client's core).

use super::MarketConfig;
use super::buffer::Buffer;
use super::sequence::{Continuity, Ids, SequenceCheck, check_sequence};
use crate::codec::json;
use crate::events::Comparison;
use crate::ladder::Ladder;
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::query::Side;

/// So many levels of a side must agree to show that nothing has changed; all, where a snapshot has fewer.
const TELLING_LEVELS: usize = 5;

/// What became of a snapshot that was to refresh a live book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// Compared and merged; what it found.
    Merged(Comparison),
    /// Ahead of the live book: merged as soon as that reaches it.
    Waiting,
    /// Older than the diffs kept since the refresh began: nothing was done.
    TooOld,
    /// The book is not live, or no refresh was begun: nothing was done.
    NotLive,
    /// `settle_refresh`: the snapshot that waited shows another book and was dropped.
    OtherBook,
    /// `settle_refresh`: no snapshot waited; it was merged or dropped before.
    NoneWaiting,
}

impl RefreshOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            RefreshOutcome::Merged(_) => "merged",
            RefreshOutcome::Waiting => "waiting",
            RefreshOutcome::TooOld => "too_old",
            RefreshOutcome::NotLive => "not_live",
            RefreshOutcome::OtherBook => "other_book",
            RefreshOutcome::NoneWaiting => "none_waiting",
        }
    }

    /// What was found, where the snapshot was merged.
    pub fn comparison(self) -> Option<Comparison> {
        match self {
            RefreshOutcome::Merged(comparison) => Some(comparison),
            _ => None,
        }
    }
}

/// The book of a snapshot on its way to the live book's id.
#[derive(Debug)]
pub(super) struct RolledSnapshot {
    /// Its bids.
    pub bids: Ladder,
    /// Its asks.
    pub asks: Ladder,
    /// The id it holds.
    pub update_id: i64,
    has_diff: bool,
}

impl RolledSnapshot {
    /// The book of a snapshot that was requested with `limit`.
    fn new(snapshot: &DepthSnapshot, limit: Option<usize>) -> RolledSnapshot {
        RolledSnapshot {
            bids: Ladder::from_snapshot(Side::Bids, &snapshot.bids, limit),
            asks: Ladder::from_snapshot(Side::Asks, &snapshot.asks, limit),
            update_id: snapshot.last_update_id,
            has_diff: false,
        }
    }

    /// Whether enough levels agree: both sides are those of the live book.
    pub fn agrees_with(&self, bids: &Ladder, asks: &Ladder) -> bool {
        let agree = |own: &Ladder, rolled: &Ladder| {
            let tally = own.compare(rolled);
            tally.wrong() == 0 && tally.checked >= rolled.len().min(TELLING_LEVELS) as u64
        };
        agree(bids, &self.bids) && agree(asks, &self.asks)
    }

    /// Whether a diff is old to it, continues it, or leaves a hole.
    fn check(&self, continuity: Continuity, ids: Ids) -> SequenceCheck {
        check_sequence(continuity, self.update_id, ids, self.has_diff)
    }

    /// Apply a diff that continues.
    fn apply(&mut self, update: &DepthUpdate) {
        self.bids.apply(&update.bids);
        self.asks.apply(&update.asks);
        (self.update_id, self.has_diff) = (update.final_update_id, true);
    }
}

/// A refresh on its way.
#[derive(Debug, Default)]
struct Refresh {
    /// What was applied to the live book since it began, while no snapshot is there.
    buffer: Buffer,
    /// The snapshot's book, once it is there and still ahead.
    rolled: Option<RolledSnapshot>,
}

/// The refresh of a market: the one on its way, and what a snapshot that waited has found.
#[derive(Debug, Default)]
pub(super) struct Refresher {
    running: Option<Box<Refresh>>,
    /// Until it is taken.
    comparison: Option<Comparison>,
}

/// What a snapshot is to a live book after rolling.
pub(super) enum Rolled {
    /// At the book's id: to be merged.
    Merge(Box<RolledSnapshot>),
    /// Ahead: `on_applied` gives it back once the book reaches it.
    Waits,
    /// A diff is missing between it and the buffered ones.
    Gap,
    /// Behind the book, to which nothing was applied since the refresh began.
    Behind,
    /// No refresh was begun, or the book is not live.
    NotLive,
}

impl Refresher {
    #[inline]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Buffer what is applied from now on, for a snapshot that is about to be requested.
    pub fn begin(&mut self) {
        self.running = Some(Box::default());
    }

    pub fn end(&mut self) {
        self.running = None;
    }

    /// What a snapshot found that was merged when the book reached it.
    pub fn take_comparison(&mut self) -> Option<Comparison> {
        self.comparison.take()
    }

    pub fn note(&mut self, comparison: Comparison) {
        self.comparison = Some(comparison);
    }

    /// The snapshot is there: roll it towards the id `book_id` of the live book.
    pub fn on_snapshot(
        &mut self,
        snapshot: &DepthSnapshot,
        limit: Option<usize>,
        continuity: Continuity,
        book_id: Option<i64>,
    ) -> Rolled {
        let (Some(refresh), Some(book_id)) = (self.running.take(), book_id) else {
            return Rolled::NotLive;
        };
        let mut rolled = RolledSnapshot::new(snapshot, limit);
        let mut update = DepthUpdate::default();
        for (diff, frame) in refresh.buffer.iter() {
            match rolled.check(continuity, diff.ids) {
                SequenceCheck::Old => {}
                // It was read before it was buffered: the same bytes are read the same way.
                SequenceCheck::Next if json::frame(frame, &mut update).is_ok() => {
                    rolled.apply(&update)
                }
                _ => return Rolled::Gap,
            }
        }
        if rolled.update_id < book_id {
            // Diffs in the buffer would have rolled it to the book's id.
            return Rolled::Behind;
        }
        if rolled.update_id > book_id {
            self.running = Some(Box::new(Refresh {
                rolled: Some(rolled),
                ..Refresh::default()
            }));
            return Rolled::Waits;
        }
        Rolled::Merge(Box::new(rolled))
    }

    /// A diff was applied to the live book, which holds `book_id` now: a waiting snapshot at the same id is
    /// to be merged.
    #[cold]
    pub fn on_applied(
        &mut self,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        received_ns: i64,
        config: MarketConfig,
    ) -> Option<RolledSnapshot> {
        let mut refresh = self.running.take()?;
        let Some(rolled) = &mut refresh.rolled else {
            if !refresh.buffer.is_full(frame.len(), config.buffer_bytes) {
                refresh
                    .buffer
                    .push(ids, update.event_time_us, frame, received_ns);
                self.running = Some(refresh);
            }
            return None;
        };
        match rolled.check(config.continuity, ids) {
            SequenceCheck::Old => {}
            SequenceCheck::Next => rolled.apply(update),
            SequenceCheck::Gap => return None,
        }
        if rolled.update_id == ids.last {
            return refresh.rolled;
        }
        self.running = Some(refresh);
        None
    }

    /// The snapshot that waits for a diff, if there is one; the refresh is over.
    pub fn take_waiting(&mut self) -> Option<RolledSnapshot> {
        self.running.take().and_then(|refresh| refresh.rolled)
    }
}
