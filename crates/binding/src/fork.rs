//! Forks: live books stay with the process whose thread feeds them.
//!
//! A forked child has the memory of its parent, but not its threads, so locks they held
//! are never released. A live book of the parent is closed in the child, which is found out without
//! touching a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use depthcache_book::market::sequence::Continuity;
use depthcache_book::market::{Market, MarketConfig};
use depthcache_book::router::Router as Books;
use depthcache_book::status::Condition;
use depthcache_transport::{Moment, clock};
use pyo3::prelude::*;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// What is said in a forked child, of books and by every call.
pub const FORKED: &str = "this process is a fork of the client's process; create a new client with connect() after a fork";

/// The process that feeds a live book: its router, the forks before it, and the names of the book.
#[derive(Clone)]
pub struct OwnerProcess {
    books: Arc<Books>,
    forks: u32,
    exchange: String,
    symbol: String,
}

impl OwnerProcess {
    /// This process.
    pub fn current(books: Arc<Books>, exchange: String, symbol: String) -> OwnerProcess {
        OwnerProcess {
            books,
            forks: FORKS.load(Ordering::Relaxed),
            exchange,
            symbol,
        }
    }

    /// Whether this is the process in which the book lives.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// The router that feeds the book.
    pub fn books(&self) -> Arc<Books> {
        self.books.clone()
    }

    /// Call this before a read: after a pause of the machine or the process, the first reader marks the books
    /// stale. Costs one clock reading.
    #[inline]
    pub fn look(&self) {
        if self.books.is_overdue(clock::now_ns) {
            self.tick();
        }
    }

    #[cold]
    fn tick(&self) {
        let moment = Moment::now();
        self.books.tick(moment.now_ns, moment.awake_ns);
        read_wall(&self.books);
    }

    /// Now, on the clock that stamps the book.
    #[inline]
    pub fn now_ns(&self) -> i64 {
        self.books.timebase().now_ns(clock::now_ns)
    }

    /// What there is to read of the book elsewhere.
    #[cold]
    pub fn closed(&self) -> Market {
        let config = MarketConfig {
            continuity: Continuity::Contiguous,
            inverse: false,
            buffer_bytes: 0,
        };
        let mut market = Market::new(&self.exchange, Some(&self.symbol), config, 0);
        market.set_condition(Some(Condition::Closed), FORKED, 0);
        market
    }
}

/// Tell books what the system's clock shows.
pub fn read_wall(books: &Books) {
    books.timebase().on_wall(clock::now_ns(), clock::wall_ns());
}

/// To be called in the child after every fork.
#[pyfunction]
pub fn _on_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
