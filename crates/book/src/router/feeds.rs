//! The connections of markets: which there are, what came on them, and what follows when one breaks.

use std::borrow::Cow;

use super::{Route, Router, RouterError};
use crate::market::arbitration::Feed;
use crate::status::Condition;

/// What came on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames of any kind.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one was received that carried data: a diff for a market, a frame of a stream that is
    /// listened to; None before one. Nothing else shows that the connection is of use.
    pub heard_ns: Option<i64>,
    /// When the last diff for a market was received; None before one.
    pub data_ns: Option<i64>,
}

impl Traffic {
    #[inline]
    pub(super) fn count(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
    }
}

impl Router {
    /// The connections that bring diffs of a market.
    pub fn feeds(&self, market: u64) -> Result<Vec<Feed>, RouterError> {
        Ok(self.market(market)?.read().feeds().to_vec())
    }

    /// A connection broke: books without another feed are disconnected at once, before the core decides anything.
    /// Without effect for numbers that are not open.
    pub fn on_lost(&self, connection: u64, reason: &str, now_ns: i64) {
        let (server, routes): (Box<str>, Vec<Route>) = {
            let connections = self.connections.read();
            let Some(state) = connections.entries.get(&connection) else {
                return;
            };
            let state = state.lock();
            (
                state.server.clone(),
                state.routes.values().cloned().collect(),
            )
        };
        let named = match &*server {
            "" => Cow::Borrowed(reason),
            server => Cow::Owned(format!("{server}: {reason}")),
        };
        for route in routes {
            self.remove_feed(&route, connection);
            self.change(route.market, route.cell.lock(), |market| {
                if market.feeds().iter().all(|feed| feed.heard_ns.is_none()) {
                    market.set_condition(Some(Condition::Disconnected), &named, now_ns);
                }
            });
        }
    }

    pub(super) fn remove_feed(&self, route: &Route, connection: u64) {
        self.change(route.market, route.cell.lock(), |held| {
            held.remove_feed(connection)
        });
    }

    /// What came on a connection.
    pub fn traffic(&self, connection: u64) -> Result<Traffic, RouterError> {
        let connections = self.connections.read();
        let state = connections.entries.get(&connection);
        Ok(state
            .ok_or(RouterError::UnknownConnection(connection))?
            .lock()
            .traffic)
    }

    /// The frame thread stalled: every book is stale until it goes on (None).
    pub fn set_stalled(&self, reason: Option<&str>, now_ns: i64) {
        for (market, cell) in &self.markets.read().entries {
            self.change(*market, cell.lock(), |held| {
                held.set_stalled(reason, now_ns)
            });
        }
    }
}
