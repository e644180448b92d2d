//! A market that many may use.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::Market;
use crate::prefetch;
use crate::recording::flight::{Flight, FlightLog};

/// A market and its lock, shared by the router and all readers.
///
/// The lock is held for one frame, one snapshot or one read at a time, never while waiting for
/// anything else: its holder sees both sides of one update id. Copy levels out and unlock it
/// before making objects of another language.
///
/// Whoever may change the market holds it by `lock`, whoever only reads it by `read`. What was read at a
/// `version` is what a read would find now, as long as the version is the same. That no change is forgotten is
/// the compiler's care: what is held to be read cannot be changed.
///
/// ```
/// # use depthcache_book::market::MarketCell;
/// fn changes(cell: &MarketCell) {
///     cell.lock().resync("a reason", 0);
/// }
/// ```
///
/// ```compile_fail,E0596
/// # use depthcache_book::market::MarketCell;
/// fn changes(cell: &MarketCell) {
///     cell.read().resync("a reason", 0);
/// }
/// ```
#[derive(Debug)]
pub struct MarketCell {
    market: Mutex<Market>,
    version: AtomicU64,
    flight: Mutex<Flight>,
}

/// A market that is held to be read.
#[derive(Debug)]
pub struct ReadGuard<'a> {
    market: MutexGuard<'a, Market>,
    version: u64,
}

/// A market that is held to be changed.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    market: MutexGuard<'a, Market>,
}

impl ReadGuard<'_> {
    /// The version of the market, which stays what it is while the market is held.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Deref for ReadGuard<'_> {
    type Target = Market;

    #[inline]
    fn deref(&self) -> &Market {
        &self.market
    }
}

impl Deref for WriteGuard<'_> {
    type Target = Market;

    #[inline]
    fn deref(&self) -> &Market {
        &self.market
    }
}

impl DerefMut for WriteGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Market {
        &mut self.market
    }
}

impl MarketCell {
    /// A market that can be shared, with so many bytes for its flight recorder.
    pub fn new(market: Market, flight_bytes: usize) -> MarketCell {
        MarketCell {
            market: Mutex::new(market),
            version: AtomicU64::new(1),
            flight: Mutex::new(Flight::new(flight_bytes)),
        }
    }

    /// Prefetch the market itself (`prefetch`).
    #[inline]
    pub(crate) fn fetch(&self) {
        prefetch::fetch_to_write(std::slice::from_ref(self));
    }

    /// The flight recorder; used only while the market is held, so that it shows the same moment.
    pub(crate) fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock()
    }

    /// What the flight recorder holds, and the book that came of it.
    pub fn flight_log(&self) -> FlightLog {
        let market = self.read();
        let log = self.flight().log(market.freeze(usize::MAX));
        drop(market);
        log
    }

    /// A number, never 0, that is another one each time the market was held to be changed.
    ///
    /// A read that finds the number of an earlier read comes before every change that it does not see: the number
    /// changes before the first change is made, and before anybody can be told of it.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The market to be read, where no other thread holds it.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        Some(self.reading(self.market.try_lock()?))
    }

    /// The market to be read, as soon as no other thread holds it.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_> {
        self.reading(self.market.lock())
    }

    /// The market to be changed, as soon as no other thread holds it.
    #[inline]
    pub fn lock(&self) -> WriteGuard<'_> {
        self.changing(self.market.lock())
    }

    /// The market to be changed; None where another thread holds it and `wait` is false.
    #[inline]
    pub(crate) fn hold(&self, wait: bool) -> Option<WriteGuard<'_>> {
        if wait {
            return Some(self.lock());
        }
        Some(self.changing(self.market.try_lock()?))
    }

    #[inline]
    fn reading<'a>(&'a self, market: MutexGuard<'a, Market>) -> ReadGuard<'a> {
        let version = self.version.load(Ordering::Relaxed);
        ReadGuard { market, version }
    }

    /// The one place where the version changes. Its lock is held, so nobody else writes it.
    #[inline]
    fn changing<'a>(&'a self, market: MutexGuard<'a, Market>) -> WriteGuard<'a> {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Release);
        WriteGuard { market }
    }
}
