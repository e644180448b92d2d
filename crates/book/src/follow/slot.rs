//! One follower of one market: what its last item said, and what the next one has to say.

use std::sync::Arc;

use super::{Changes, Item, Mode, OnStale, Queue};
use crate::frozen::Frozen;
use crate::query::{LevelRun, NumberLevel, Reading, Side};
use crate::status::Status;

/// What happened to a market while it was held.
#[derive(Debug)]
pub(crate) struct ChangeSummary<'a> {
    pub status: Status,
    /// The status is not the one before.
    pub status_changed: bool,
    /// Updates were applied.
    pub updated: bool,
    /// Levels changed by them.
    pub levels_changed: bool,
    /// Levels changed by something else.
    pub altered: bool,
    pub at_ns: i64,
    pub changes: Option<&'a Arc<Changes>>,
}

impl ChangeSummary<'_> {
    /// The first summary for a new follower: the current status.
    pub fn first(status: Status) -> Self {
        ChangeSummary {
            status,
            status_changed: true,
            updated: false,
            levels_changed: false,
            altered: false,
            at_ns: 0,
            changes: None,
        }
    }
}

/// A book that can be followed.
pub(crate) trait FollowedBook: Reading {
    /// A constant copy of the best `levels` of both sides.
    fn freeze(&self, levels: usize) -> Frozen;
}

/// One follower of one market.
#[derive(Debug)]
pub(crate) struct FollowerSlot {
    pub queue: Arc<Queue>,
    market: u64,
    /// The consumer has a mark of this market, or will have one at a time of the interval.
    marked: bool,
    deferred: bool,
    /// Since the last item: sync was lost and regained, or updates that were to be items were lost …
    resumed: bool,
    /// … or levels changed by something else than updates.
    altered: bool,
    last_item: LastItem,
}

/// What the last item said.
#[derive(Debug, Default)]
struct LastItem {
    status: Option<Status>,
    applied: u64,
    levels_changed: u64,
    best: Option<[Option<NumberLevel>; 2]>,
    top: Option<[LevelRun; 2]>,
}

impl FollowerSlot {
    pub fn new(queue: Arc<Queue>, market: u64, followed: &impl FollowedBook) -> FollowerSlot {
        let last_item = LastItem {
            applied: followed.counters().applied,
            ..LastItem::default()
        };
        FollowerSlot {
            queue,
            market,
            marked: false,
            deferred: false,
            resumed: false,
            altered: false,
            last_item,
        }
    }

    /// Whether the consumer wants each update.
    pub fn wants_every(&self) -> bool {
        self.queue.spec.mode == Mode::Every
    }

    /// Something happened; true if the consumer must be woken.
    pub fn on_change(&mut self, market: &impl FollowedBook, summary: &ChangeSummary<'_>) -> bool {
        let synced = summary.status == Status::Synced;
        self.resumed |= summary.status_changed && synced;
        self.altered |= summary.altered;
        if self.marked {
            return false;
        }
        if self.wants_every() {
            return self.keep(market, summary);
        }
        if summary.status_changed && (synced || self.wants_loss(market, summary.status)) {
            self.marked = true;
            return self.queue.mark(self.market);
        }
        let unchanged = summary.updated && self.queue.spec.wants_unchanged;
        if self.deferred || !synced || !(summary.levels_changed || summary.altered || unchanged) {
            return false;
        }
        match self.queue.spec.mode {
            Mode::Latest => {}
            Mode::Best | Mode::Levels if self.differs(market) => {}
            Mode::Interval => {
                self.deferred = true;
                return self.queue.defer(self.market, summary.at_ns);
            }
            _ => return false,
        }
        self.marked = true;
        self.queue.mark(self.market)
    }

    /// The item of a mark; None where there is nothing new any more. `was_due`: it waited for a time.
    pub fn take(&mut self, market: &impl FollowedBook, was_due: bool) -> Option<Item> {
        let mark = if was_due {
            &mut self.deferred
        } else {
            &mut self.marked
        };
        *mark = false;
        let status = market.status_info().status;
        let status_changed = self.last_item.status != Some(status);
        if status == Status::Synced {
            let is_news = status_changed || self.resumed || self.is_news(market);
            return is_news.then(|| self.emit_book(market));
        }
        (status_changed && self.wants_loss(market, status)).then(|| self.emit_loss(market))
    }

    /// Whether a synced book is an item though nothing was lost.
    fn is_news(&self, market: &impl FollowedBook) -> bool {
        match self.queue.spec.mode {
            Mode::Every => true,
            Mode::Latest | Mode::Interval => {
                let counters = market.counters();
                let unchanged =
                    self.queue.spec.wants_unchanged && self.last_item.applied != counters.applied;
                self.altered
                    || unchanged
                    || self.last_item.levels_changed != counters.levels_changed
            }
            Mode::Best | Mode::Levels => self.differs(market),
            Mode::Status => false,
        }
    }

    /// Every update is an item of its own, as long as there is room.
    fn keep(&mut self, market: &impl FollowedBook, summary: &ChangeSummary<'_>) -> bool {
        self.altered |= summary.updated && summary.changes.is_none();
        let item = match (summary.status, summary.changes) {
            (Status::Synced, Some(changes)) if summary.updated && !self.is_fresh() => {
                let book = Arc::new(market.freeze(self.queue.spec.levels));
                Item {
                    book,
                    skipped: self.skipped(market, false),
                    is_fresh: false,
                    changes: Some(changes.clone()),
                }
            }
            (Status::Synced, _) if self.is_fresh() => self.book(market),
            (status, _) if summary.status_changed && self.wants_loss(market, status) => {
                self.loss(market)
            }
            _ => return false,
        };
        let changes = item.changes.as_ref();
        let changes = changes.map_or(0, |changes| {
            changes.0.memory_bytes() + changes.1.memory_bytes()
        });
        let bytes = size_of::<Item>() + item.book.memory_bytes() + changes;
        match self.queue.keep(self.market, item, bytes) {
            Some(announce) => {
                self.note_item(market);
                announce
            }
            None => {
                self.resumed |= summary.status == Status::Synced;
                self.marked = true;
                self.queue.mark(self.market)
            }
        }
    }

    fn is_fresh(&self) -> bool {
        self.resumed || self.altered || self.last_item.status.is_none()
    }

    /// Whether the consumer gets an item for this loss of sync.
    fn wants_loss(&self, market: &impl FollowedBook, status: Status) -> bool {
        let spec = &self.queue.spec;
        let begun = self.last_item.status.is_some();
        let is_known = spec.on_stale == OnStale::Serve && market.last_update_id().is_some();
        status == Status::Closed
            || spec.mode == Mode::Status
            || (spec.on_stale != OnStale::Wait && (begun || is_known))
    }

    fn differs(&self, market: &impl FollowedBook) -> bool {
        if self.queue.spec.mode == Mode::Best {
            let best = market.best();
            let same = |last_item: &[Option<NumberLevel>; 2]| {
                same_level(last_item[0], best.bid) && same_level(last_item[1], best.ask)
            };
            return !self.last_item.best.as_ref().is_some_and(same);
        }
        let levels = self.queue.spec.levels;
        let same = |last_item: &[LevelRun; 2]| {
            last_item[0].is_same(&market.levels(Side::Bids, 0, levels))
                && last_item[1].is_same(&market.levels(Side::Asks, 0, levels))
        };
        !self.last_item.top.as_ref().is_some_and(same)
    }

    fn emit_book(&mut self, market: &impl FollowedBook) -> Item {
        let item = self.book(market);
        self.note_item(market);
        item
    }

    fn emit_loss(&mut self, market: &impl FollowedBook) -> Item {
        let item = self.loss(market);
        self.note_item(market);
        item
    }

    /// The synced book as it is now.
    fn book(&self, market: &impl FollowedBook) -> Item {
        let is_fresh = self.is_fresh();
        let levels = match self.queue.spec.mode {
            Mode::Every => usize::MAX, // a consumer that applies changes to it needs all of it
            _ => self.queue.spec.levels,
        };
        Item {
            book: Arc::new(market.freeze(levels)),
            skipped: self.skipped(market, is_fresh),
            is_fresh,
            changes: None,
        }
    }

    /// The item of a book that is not synced.
    fn loss(&self, market: &impl FollowedBook) -> Item {
        let serves = self.queue.spec.on_stale == OnStale::Serve;
        let book: Frozen = match market.readable(serves) {
            Ok(()) => market.freeze(self.queue.spec.levels),
            Err(why) => market.freeze(0).refused(why),
        };
        Item {
            book: Arc::new(book),
            skipped: self.skipped(market, true),
            is_fresh: false,
            changes: None,
        }
    }

    fn skipped(&self, market: &impl FollowedBook, brings_no_update: bool) -> u64 {
        let since = market.counters().applied - self.last_item.applied;
        since.saturating_sub(u64::from(!brings_no_update))
    }

    fn note_item(&mut self, market: &impl FollowedBook) {
        let counters = market.counters();
        let status = market.status_info().status;
        self.last_item.status = Some(status);
        self.last_item.applied = counters.applied;
        self.last_item.levels_changed = counters.levels_changed;
        if status != Status::Synced {
            return;
        }
        (self.resumed, self.altered) = (false, false);
        match self.queue.spec.mode {
            Mode::Best => {
                let best = market.best();
                self.last_item.best = Some([best.bid, best.ask]);
            }
            Mode::Levels => {
                let levels = self.queue.spec.levels;
                self.last_item.top =
                    Some([Side::Bids, Side::Asks].map(|side| market.levels(side, 0, levels)));
            }
            _ => {}
        }
    }
}

fn same_level(one: Option<NumberLevel>, other: Option<NumberLevel>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}
