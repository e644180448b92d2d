//! What a market has to tell, until somebody asks.

use super::Market;
use crate::events::MarketChange;

impl Market {
    /// Whether there is something to tell that nobody was told of; true once per `take_change`.
    #[inline]
    pub fn mark_pending(&mut self) -> bool {
        if self.causes.is_empty() || self.is_pending {
            return false;
        }
        self.is_pending = true;
        true
    }

    /// What happened since the last call.
    pub fn take_change(&mut self, market: u64) -> Option<MarketChange> {
        self.is_pending = false;
        let causes = std::mem::take(&mut self.causes);
        let (status, reason) = self.native();
        let reason = reason.text.clone();
        (!causes.is_empty()).then_some(MarketChange {
            market,
            causes,
            status,
            reason,
            at_ns: self.caused_ns,
        })
    }
}
