//! A market that many may use.

use parking_lot::{Mutex, MutexGuard};

use super::Market;

/// A market and its lock, shared by the router and all readers.
///
/// The lock is held for one frame, one snapshot or one read at a time, never while waiting for
/// anything else: whoever holds it sees both sides of one update id. Copy levels out and let it
/// go before making objects of another language.
#[derive(Debug)]
pub struct MarketCell {
    market: Mutex<Market>,
}

impl MarketCell {
    /// A market that can be shared.
    pub fn new(market: Market) -> MarketCell {
        MarketCell {
            market: Mutex::new(market),
        }
    }

    /// The market, when nobody else holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Market>> {
        self.market.try_lock()
    }

    /// The market, as soon as nobody else holds it.
    pub fn lock(&self) -> MutexGuard<'_, Market> {
        self.market.lock()
    }

    /// The market; None when somebody else holds it and nobody wants to wait.
    #[inline]
    pub(crate) fn hold(&self, wait: bool) -> Option<MutexGuard<'_, Market>> {
        if wait {
            Some(self.lock())
        } else {
            self.try_lock()
        }
    }
}
