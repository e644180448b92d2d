//! Following books: who is told of what, bounded whatever the consumer does.
//!
//! Theory of operation. A follower sits on one or more markets. Whoever holds a market for a frame, a
//! snapshot or a condition tells its seats before letting it go; that never waits for a consumer. Most
//! modes only mark the market (once, until the mark was taken) and the book is read when the consumer
//! takes the mark: intermediate states are lost, never memory. The mode of every update keeps items in a
//! ring bounded by count and bytes; where it is full, a mark takes the place of what does not fit, and the
//! item made of it is a fresh book with the count of what was lost.
//!
//! An item is fresh where the book is to be begun anew from it: the first one, after a loss of sync, after
//! a snapshot that changed held levels, after an overflow. Every update of a book is either brought by an
//! item that is not fresh, or counted as skipped by the next one: nothing is counted twice.
//!
//! Locks: a market, then the queue of a follower, a leaf. Not here: how the event loop is woken (`router`).

mod queue;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::frozen::Frozen;
use crate::market::MarketCell;
use crate::query::{LevelRun, Reading};
use crate::status::Status;

pub(crate) use queue::{Entry, Queue};
pub(crate) use slot::{ChangeSummary, FollowerSlot};

/// What a follower is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every update, with the levels it changed.
    Every,
    /// The newest book, whenever a level changed.
    Latest,
    /// The newest book at fixed times, where a level changed since the last one.
    Interval,
    /// The newest book, when a best price or its quantity is another than last told.
    Best,
    /// The same for any of the best levels.
    Levels,
    /// Another status only.
    Status,
}

impl Mode {
    /// The mode of that word, if there is one.
    pub fn parse(word: &str) -> Option<Mode> {
        Some(match word {
            "every" => Mode::Every,
            "latest" => Mode::Latest,
            "interval" => Mode::Interval,
            "best" => Mode::Best,
            "levels" => Mode::Levels,
            "status" => Mode::Status,
            _ => return None,
        })
    }
}

/// What an item says of a book that is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// That it is not; its levels may not be read.
    Raise,
    /// The same, with the last known levels.
    Serve,
    /// Nothing until it is synced again.
    Wait,
}

impl OnStale {
    /// The policy of that word, if there is one.
    pub fn parse(word: &str) -> Option<OnStale> {
        Some(match word {
            "raise" => OnStale::Raise,
            "serve" => OnStale::Serve,
            "wait" => OnStale::Wait,
            _ => return None,
        })
    }
}

/// What a follower wants.
#[derive(Clone, Copy, Debug)]
pub struct FollowSpec {
    /// When there is an item.
    pub mode: Mode,
    /// Levels a side in each item (`usize::MAX` for all).
    pub levels: usize,
    /// Between two times of `Interval`.
    pub interval_ns: i64,
    /// Where those times begin.
    pub start_ns: i64,
    /// What is told of a book that is not synced.
    pub on_stale: OnStale,
    /// Items kept for a consumer that does not come; the mode of every update only.
    pub most_items: usize,
    /// Their bytes, at most.
    pub most_bytes: usize,
    /// Whether the router tells when there is something (else somebody waits with `wait`).
    pub announces: bool,
}

/// Levels of both sides that one update changed, best first; quantity zero: gone.
pub type Changes = (LevelRun, LevelRun);

/// What a consumer gets: a book at one moment, and what lies between it and the item before.
#[derive(Clone, Debug)]
pub struct Item {
    /// The book.
    pub book: Arc<Frozen>,
    /// Updates of this book since the last item that no item brought.
    pub skipped: u64,
    /// The book is to be begun anew from this one.
    pub is_fresh: bool,
    /// What the one update changed; None where the item is not one update.
    pub changes: Option<Arc<Changes>>,
}

/// One consumer's view of some markets; letting it go leaves nothing in them.
#[derive(Debug)]
pub struct Follower {
    queue: Arc<Queue>,
    cells: Mutex<FxHashMap<u64, Arc<MarketCell>>>,
}

/// The market of the next item is held by another thread.
#[derive(Debug)]
pub struct Busy;

impl Follower {
    /// A follower of nothing yet, under a number of the caller's.
    pub fn new(number: u64, spec: FollowSpec) -> Follower {
        Follower {
            queue: Arc::new(Queue::new(number, spec)),
            cells: Mutex::default(),
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.queue.number
    }

    /// Follow a market; what is there already is not announced. Without effect for one that is followed.
    pub fn add(&self, market: u64, cell: Arc<MarketCell>) {
        if self.cells.lock().insert(market, cell.clone()).is_none() {
            cell.lock().follow(market, self.queue.clone());
        }
    }

    /// Follow a market no longer; what was kept of it is still given.
    pub fn remove(&self, market: u64) {
        let cell = self.cells.lock().remove(&market);
        if let Some(cell) = cell {
            cell.lock().unfollow(self.queue.number);
        }
    }

    /// The next item; None while there is none.
    pub fn take(&self, now_ns: i64) -> Option<Item> {
        self.take_or_leave(now_ns, true).unwrap_or(None)
    }

    /// The same without ever waiting for a market.
    pub fn try_take(&self, now_ns: i64) -> Result<Option<Item>, Busy> {
        self.take_or_leave(now_ns, false)
    }

    fn take_or_leave(&self, now_ns: i64, wait: bool) -> Result<Option<Item>, Busy> {
        while let Some(entry) = self.queue.pop(now_ns) {
            let (market, item) = match entry {
                Entry::Item(market, item) => (market, Some(item)),
                Entry::Marked(market) | Entry::Due(market) => {
                    let cell = self.cells.lock().get(&market).cloned();
                    let Some(cell) = cell else {
                        continue; // followed no longer
                    };
                    let Some(mut held) = cell.hold(wait) else {
                        self.queue.put_back(entry);
                        return Err(Busy);
                    };
                    let was_due = matches!(entry, Entry::Due(_));
                    (market, held.take_item(self.queue.number, was_due))
                }
            };
            if let Some(item) = item {
                if item.book.status_info().status == Status::Closed {
                    self.remove(market);
                }
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// Whether an item may hold all levels of a book.
    pub fn takes_whole_books(&self) -> bool {
        self.queue.spec.levels == usize::MAX || self.queue.spec.mode == Mode::Every
    }

    /// When `take` is to be called again though nothing else happens; None for never.
    pub fn due_ns(&self) -> Option<i64> {
        self.queue.due_ns()
    }

    /// Until there may be something new, or so long; whether there may be.
    pub fn wait(&self, most: Duration) -> bool {
        self.queue.wait(most)
    }

    /// Nothing comes after what is there.
    pub fn finish(&self) {
        self.queue.finish();
    }

    /// Whether everything was given and nothing comes any more.
    pub fn is_over(&self) -> bool {
        self.queue.is_over()
    }

    /// Leave all markets and forget what was kept.
    pub fn close(&self) {
        let cells = std::mem::take(&mut *self.cells.lock());
        for cell in cells.into_values() {
            cell.lock().unfollow(self.queue.number);
        }
        self.queue.clear();
    }

    /// How many markets are followed.
    pub fn markets(&self) -> usize {
        self.cells.lock().len()
    }

    /// Items and bytes that wait for the consumer.
    pub fn held(&self) -> (usize, usize) {
        self.queue.held()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.close();
    }
}
