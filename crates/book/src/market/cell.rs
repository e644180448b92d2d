//! A market that many may use.

use parking_lot::{Mutex, MutexGuard};

use super::Market;
use crate::prefetch;
use crate::recording::flight::{Flight, FlightLog};

/// A market and its lock, shared by the router and all readers.
///
/// The lock is held for one frame, one snapshot or one read at a time, never while waiting for
/// anything else: its holder sees both sides of one update id. Copy levels out and unlock it
/// before making objects of another language.
#[derive(Debug)]
pub struct MarketCell {
    market: Mutex<Market>,
    flight: Mutex<Flight>,
}

impl MarketCell {
    /// A market that can be shared, with so many bytes for its flight recorder.
    pub fn new(market: Market, flight_bytes: usize) -> MarketCell {
        MarketCell {
            market: Mutex::new(market),
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
        let market = self.lock();
        let log = self.flight().log(market.freeze(usize::MAX));
        drop(market);
        log
    }

    /// The market, where no other thread holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Market>> {
        self.market.try_lock()
    }

    /// The market, as soon as no other thread holds it.
    pub fn lock(&self) -> MutexGuard<'_, Market> {
        self.market.lock()
    }

    /// The market; None where another thread holds it and `wait` is false.
    #[inline]
    pub(crate) fn hold(&self, wait: bool) -> Option<MutexGuard<'_, Market>> {
        if wait {
            Some(self.lock())
        } else {
            self.try_lock()
        }
    }
}
