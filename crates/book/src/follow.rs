//! Following books: what each follower receives, in bounded memory.
//!
//! Theory of operation. A follower follows one or more markets. The thread that holds a market for a frame, a
//! snapshot or a condition notifies the market's follower slots before it releases the market; that never waits
//! for a consumer. Most modes conflate: they only mark the market (once, until the mark is taken), and the book is
//! read when the consumer takes the mark. Intermediate states are lost, memory never grows. The mode of every
//! update keeps items in a ring bounded by count and bytes; where the ring is full, a mark takes the place of what
//! does not fit, and its item is a fresh book with the count of what was lost.
//!
//! An item is fresh where a consumer must start over from it: the first one, after a loss of sync, after
//! a snapshot that changed held levels, after an overflow. Every update of a book is either brought by an
//! item that is not fresh, or counted as skipped by the next one: nothing is counted twice.
//!
//! Locks: a market, then the queue of a follower, a leaf. Not here: the follower that a consumer holds, and how
//! the event loop is woken (`router::followers`).

mod queue;
mod slot;

use std::sync::Arc;

use crate::frozen::Frozen;
use crate::query::LevelRun;

pub(crate) use queue::{Entry, Queue};
pub(crate) use slot::{ChangeSummary, FollowedBook, FollowerSlot};

/// When a follower gets an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every update, with the levels it changed.
    Every,
    /// The newest book, whenever a level changed.
    Latest,
    /// The newest book at fixed times, where a level changed since the last one.
    Interval,
    /// The newest book, when the best price or size changes.
    Best,
    /// The newest book, when any of the best levels changes.
    Levels,
    /// The newest book, when the status changes.
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
    /// What an item says of a book that is not synced.
    pub on_stale: OnStale,
    /// Items kept for a consumer that does not come; the mode of every update only.
    pub most_items: usize,
    /// Their bytes, at most.
    pub most_bytes: usize,
    /// Latest: also when an update changed no level.
    pub wants_unchanged: bool,
    /// Whether the router announces items (else the consumer waits with `wait`).
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
    /// Start over from this book.
    pub is_fresh: bool,
    /// What the one update changed; None where the item is not one update.
    pub changes: Option<Arc<Changes>>,
}
