//! Followers: what a consumer holds, and how the event loop learns of its items. Theory: `follow`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Router, RouterError};
use crate::follow::{Entry, FollowSpec, Item, Mode, Queue};
use crate::market::{Market, MarketCell};
use crate::query::Reading;
use crate::status::Status;

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

    /// The same for a task of an asynchronous runtime, which is woken from the thread that feeds the market. It
    /// takes the place of the one before: a follower has one consumer.
    pub fn poll_wait(&self, context: &mut Context<'_>) -> Poll<()> {
        self.queue.poll_wait(context)
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

impl Router {
    /// A follower of nothing yet.
    pub fn follower(&self, spec: FollowSpec) -> Follower {
        let number = self.followers.fetch_add(1, Ordering::Relaxed) + 1;
        Follower::new(number, spec)
    }

    /// Follow a market from now on.
    pub fn follow(&self, follower: &Follower, market: u64) -> Result<(), RouterError> {
        follower.add(market, self.market(market)?);
        Ok(())
    }

    #[cold]
    pub(super) fn notify_followers(&self, held: &mut Market) {
        held.notify_followers(|follower| {
            self.outbox.push(|events| events.ready(follower));
        });
    }
}
