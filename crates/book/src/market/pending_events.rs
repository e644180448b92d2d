//! What happened to a market and was not taken yet, as causes.

use crate::events::{Cause, Causes};

/// Causes since the last `take`, and whether the market waits in the router's list of changed markets.
#[derive(Debug, Default)]
pub(super) struct PendingEvents {
    causes: Causes,
    at_ns: i64,
    is_pending: bool,
    data_seen: bool,
}

impl PendingEvents {
    pub fn add(&mut self, cause: Cause, now_ns: i64) {
        self.causes.insert(cause);
        self.at_ns = now_ns;
    }

    /// Data came; only the first since the start, or since `expect_first_data`, is an event.
    #[inline]
    pub fn on_data(&mut self, received_ns: i64) {
        if !self.data_seen {
            self.data_seen = true;
            self.add(Cause::FirstData, received_ns);
        }
    }

    pub fn expect_first_data(&mut self) {
        self.data_seen = false;
    }

    /// When the newest cause came.
    pub fn at_ns(&self) -> i64 {
        self.at_ns
    }

    /// Whether there are causes and the market is in no list yet; true once per `take`.
    #[inline]
    pub fn mark_pending(&mut self) -> bool {
        if self.causes.is_empty() || self.is_pending {
            return false;
        }
        self.is_pending = true;
        true
    }

    /// The causes since the last call.
    pub fn take(&mut self) -> Causes {
        self.is_pending = false;
        std::mem::take(&mut self.causes)
    }
}
