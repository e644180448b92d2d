//! A book whose best prices touch or cross after a whole event: kept up, but not served.

use super::{Market, Reason};
use crate::events::Cause;
use crate::ladder::Ladder;

impl Market {
    #[inline]
    pub(super) fn check_crossed(&mut self, now_ns: i64) {
        let crossed = match (self.bids.best(), self.asks.best()) {
            (Some(bid), Some(ask)) => bid.price.is_at_least(ask.price),
            _ => false,
        };
        if crossed != self.crossed.is_some() {
            self.turn_crossed(crossed, now_ns);
        }
    }

    #[cold]
    fn turn_crossed(&mut self, crossed: bool, now_ns: i64) {
        if crossed {
            let best = |ladder: &Ladder| {
                ladder
                    .best()
                    .map_or(String::new(), |level| level.price.to_string())
            };
            let reason = format!(
                "best bid {} at or above best ask {}",
                best(&self.bids),
                best(&self.asks)
            );
            self.crossed = Some(Reason {
                text: reason,
                since_ns: now_ns,
            });
            self.counters.crossed += 1;
            self.cause(Cause::Crossed, now_ns);
        } else {
            self.crossed = None;
            self.state.reason.since_ns = now_ns;
            self.cause(Cause::Uncrossed, now_ns);
        }
    }
}
