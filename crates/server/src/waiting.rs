//! Wait for a book that cannot be read yet, as `on_stale=wait` asks: woken by the thread that feeds it, never polled.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use depthcache_book::follow::{FollowSpec, Mode, OnStale};
use depthcache_book::query::{ReadPolicy, Reading};
use depthcache_book::router::Follower;
use depthcache_book::status::Status;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::registry::Book;

/// The requests that wait for books.
#[derive(Debug, Default)]
pub struct Waiting {
    requests: AtomicUsize,
    end: Notify,
}

/// How a read treats books that it cannot read.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// What it may read.
    pub policy: ReadPolicy,
    /// How long it waits until that is so.
    pub most: Option<Duration>,
}

impl Waiting {
    /// Requests that wait now.
    pub fn count(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Let nobody wait any more.
    pub fn finish(&self) {
        self.end.notify_waiters();
    }

    /// Wait until books may be read or never will be, at most so long together. `is_over`: whether the server ends.
    pub async fn settle(&self, books: &[Book], patience: Patience, is_over: impl Fn() -> bool) {
        let Some(most) = patience.most else {
            return;
        };
        let until = Instant::now() + most;
        let mut end = pin!(self.end.notified());
        end.as_mut().enable(); // before `is_over` is looked at, so that no end is missed
        for book in books {
            let Some(follower) = pending(book, patience.policy) else {
                continue;
            };
            let _counted = Counted::new(&self.requests);
            loop {
                if is_settled(book, patience.policy) || is_over() {
                    break;
                }
                if Instant::now() >= until {
                    return; // even if updates that change nothing keep arriving
                }
                let news = std::future::poll_fn(|context| follower.poll_wait(context));
                let woken = async {
                    tokio::select! {
                        () = news => (),
                        () = end.as_mut() => (),
                    }
                };
                if timeout_at(until.into(), woken).await.is_err() {
                    return; // the read says why it cannot be
                }
                while follower.take(book.now_ns()).is_some() {}
            }
        }
    }
}

/// A request that counts as waiting until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn new(requests: &AtomicUsize) -> Counted<'_> {
        requests.fetch_add(1, Ordering::Relaxed);
        Counted(requests)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What tells of changes of a book that cannot be read; None for one that can, or that nothing feeds.
fn pending(book: &Book, policy: ReadPolicy) -> Option<Follower> {
    if is_settled(book, policy) {
        return None;
    }
    let mode = match policy.max_age_ns {
        None => Mode::Status,
        Some(_) => Mode::Latest,
    };
    book.follower(FollowSpec {
        mode,
        levels: 0,
        interval_ns: 0,
        start_ns: 0,
        on_stale: OnStale::Raise,
        most_items: 1,
        most_bytes: 1,
        wants_unchanged: true,
        announces: false,
    })
}

/// Whether a wait changes nothing any more.
fn is_settled(book: &Book, policy: ReadPolicy) -> bool {
    book.look(|market| {
        policy.check(market, || book.now_ns()).is_ok()
            || market.status_info().status == Status::Closed
    })
}
