//! Where a book comes from: its market, and what feeds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use depthcache_book::follow::FollowSpec;
use depthcache_book::market::{Market, MarketCell};
use depthcache_book::router::{Follower, Router};
use depthcache_transport::{Moment, clock};

/// A version of a book, whatever its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub source: u64,
    pub market: u64,
}

/// Where a book comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Tells it from all others.
    number: u64,
    cell: Arc<MarketCell>,
    /// What feeds it and knows the time; None for a book that is fed by hand.
    router: Option<Arc<Router>>,
}

impl Source {
    pub fn new(cell: Arc<MarketCell>, router: Option<Arc<Router>>) -> Source {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Source {
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            cell,
            router,
        }
    }

    /// Look at the book while no frame changes it: copy out, and no more.
    pub fn look<T>(&self, copy: impl FnOnce(&Market) -> T) -> T {
        self.look_at_clock();
        copy(&self.cell.read())
    }

    /// The same, with the version that is seen.
    pub fn look_at_version<T>(&self, copy: impl FnOnce(&Market, Version) -> T) -> T {
        self.look_at_clock();
        let market = self.cell.read();
        let version = Version {
            source: self.number,
            market: market.version(),
        };
        copy(&market, version)
    }

    /// The version of the book now.
    pub fn version(&self) -> Version {
        self.look_at_clock();
        Version {
            source: self.number,
            market: self.cell.version(),
        }
    }

    /// After a pause of the machine the first reader marks the books stale.
    fn look_at_clock(&self) {
        if let Some(router) = &self.router
            && router.is_overdue(clock::now_ns)
        {
            let moment = Moment::now();
            router.tick(moment.now_ns, moment.awake_ns);
        }
    }

    /// Now, on the clock that stamps the book; 0 where none does.
    pub fn now_ns(&self) -> i64 {
        self.router
            .as_ref()
            .map_or(0, |router| router.timebase().now_ns(clock::now_ns))
    }

    /// Change what the book keeps for its readers; its levels are the router's business.
    pub fn change<T>(&self, change: impl FnOnce(&mut Market) -> T) -> T {
        change(&mut self.cell.lock())
    }

    /// By how much the wall clock is ahead of the clock that stamps the book.
    pub fn wall_offset_ns(&self) -> Option<i64> {
        let router = self.router.as_ref()?;
        router.timebase().wall_offset_ns()
    }

    /// Whether something feeds it, and not a hand.
    pub fn is_fed(&self) -> bool {
        self.router.is_some()
    }

    /// A follower of this book alone.
    pub fn follower(&self, spec: FollowSpec) -> Follower {
        /// Apart from the numbers that routers give.
        const FIRST: u64 = 1 << 62;
        static COUNT: AtomicU64 = AtomicU64::new(FIRST);
        let follower = Follower::new(COUNT.fetch_add(1, Ordering::Relaxed), spec);
        follower.add(0, self.cell.clone());
        follower
    }

    /// The time for what waits for one: without a clock all of it is due.
    pub fn due_now_ns(&self) -> i64 {
        match &self.router {
            Some(_) => self.now_ns(),
            None => i64::MAX,
        }
    }

    /// How long it is until a time of the book's clock; None without a clock.
    pub fn until(&self, at_ns: i64) -> Option<Duration> {
        let left_ns = at_ns.saturating_sub(self.router.as_ref().map(|_| self.now_ns())?);
        Some(Duration::from_nanos(u64::try_from(left_ns).unwrap_or(0)))
    }
}
