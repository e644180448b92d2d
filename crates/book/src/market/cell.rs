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
/// `lock` gives access to change the market and counts its version, `read` only to read it. As long as the
/// version is the same, a fresh read would return what an earlier one did. The compiler ensures that no change
/// goes uncounted: a `ReadGuard` does not allow any.
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

/// A locked market that can only be read.
#[derive(Debug)]
pub struct ReadGuard<'a> {
    market: MutexGuard<'a, Market>,
    version: u64,
}

/// A locked market that can be changed.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    market: MutexGuard<'a, Market>,
}

impl ReadGuard<'_> {
    /// The version of the market, which does not change while the market is locked.
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

    /// A number, never 0, that grows each time the market is locked for a change.
    ///
    /// It grows before the change is made, and so before any follower can be notified of it. A reader that still
    /// finds the number of an earlier read therefore reads before the change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The market for reading; None if another thread holds it.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        Some(self.reading(self.market.try_lock()?))
    }

    /// The market for reading, as soon as no other thread holds it.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_> {
        self.reading(self.market.lock())
    }

    /// The market for a change, as soon as no other thread holds it.
    #[inline]
    pub fn lock(&self) -> WriteGuard<'_> {
        self.changing(self.market.lock())
    }

    /// The market for a change; None if another thread holds it and `wait` is false.
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

    /// The only place where the version changes. The lock is held, so no other thread writes it.
    #[inline]
    fn changing<'a>(&'a self, market: MutexGuard<'a, Market>) -> WriteGuard<'a> {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Release);
        WriteGuard { market }
    }
}
