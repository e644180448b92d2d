//! What a market has to tell, until somebody asks.

use super::Market;
use crate::events::MarketChange;

impl Market {
    /// Whether there is something to tell that nobody was told of; true once per `take_change`.
    #[inline]
    pub fn is_to_be_listed(&mut self) -> bool {
        if self.causes.is_empty() || self.listed {
            return false;
        }
        self.listed = true;
        true
    }

    /// What happened since the last call.
    pub fn take_change(&mut self, market: u64) -> Option<MarketChange> {
        self.listed = false;
        let causes = std::mem::take(&mut self.causes);
        let (status, said) = self.native();
        let reason = said.reason.clone();
        (!causes.is_empty()).then_some(MarketChange {
            market,
            causes,
            status,
            reason,
            at_ns: self.caused_ns,
        })
    }
}
