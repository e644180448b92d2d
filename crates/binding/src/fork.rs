//! Forks: live books stay with the process whose thread feeds them.
//!
//! A forked child has the memory of its parent, but neither its threads nor anybody to let go of the
//! locks they held. So a live book of the parent is closed in the child, which is told without
//! touching a lock.

use std::sync::atomic::{AtomicU32, Ordering};

use depthcache_book::condition::Condition;
use depthcache_book::market::{Market, Terms};
use depthcache_book::sequence::Continuity;
use pyo3::prelude::*;

static FORKS: AtomicU32 = AtomicU32::new(0);

const REASON: &str =
    "this process was forked from the one whose client keeps the book; connect again";

/// Where a live book belongs: the forks that lay behind its process, and its names.
#[derive(Clone)]
pub struct Home {
    forks: u32,
    exchange: String,
    symbol: String,
}

impl Home {
    /// This process.
    pub fn here(exchange: String, symbol: String) -> Home {
        Home {
            forks: FORKS.load(Ordering::Relaxed),
            exchange,
            symbol,
        }
    }

    /// Whether this is the process in which the book lives.
    #[inline]
    pub fn is_here(&self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// What there is to read of the book elsewhere.
    #[cold]
    pub fn closed(&self) -> Market {
        let terms = Terms {
            continuity: Continuity::Contiguous,
            buffer_bytes: 0,
        };
        let mut market = Market::new(&self.exchange, Some(&self.symbol), terms);
        market.set_condition(Some(Condition::Closed), REASON, 0);
        market
    }
}

/// To be called in the child after every fork.
#[pyfunction]
pub fn _on_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
