//! A book without any network: snapshots and frames in, a correct book out.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::codec::json::{self, Body, Malformed};
use crate::foreign_text;
use crate::market::outcome::{Outcome, SnapshotOutcome};
use crate::market::sequence::{Ids, SnapshotTime};
use crate::market::{Market, MarketCell, MarketConfig, Rules, SnapshotRefusal};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::prefetch;
use crate::query::Reading;

/// Why a frame or a snapshot was refused; nothing is changed then.
#[derive(Debug)]
pub enum ApplyError {
    /// Not what the protocol says.
    Malformed(Malformed),
    /// Of another symbol than the book's.
    SymbolMismatch {
        /// The symbol of the book.
        expected: String,
        /// The symbol in the frame.
        received: String,
    },
}

/// A market machine that is fed by hand, usable from several threads.
#[derive(Debug)]
pub struct OfflineBook {
    cell: Arc<MarketCell>,
    scratch: Mutex<DepthUpdate>,
}

impl OfflineBook {
    /// A book of `symbol`, or of the symbol of the first depth frame; kept diffs take at most
    /// `buffer_bytes`.
    pub fn new(
        exchange: &str,
        symbol: Option<&str>,
        rules: impl Into<Rules>,
        buffer_bytes: usize,
    ) -> OfflineBook {
        let rules = rules.into();
        let config = MarketConfig {
            continuity: rules.continuity,
            inverse: rules.inverse,
            buffer_bytes,
        };
        let cell = Arc::new(MarketCell::new(Market::new(exchange, symbol, config, 0), 0));
        OfflineBook {
            cell,
            scratch: Mutex::default(),
        }
    }

    /// What readers read.
    pub fn cell(&self) -> &Arc<MarketCell> {
        &self.cell
    }

    /// Install the bytes of a depth snapshot requested with `limit` (None: unknown), kept diffs after it.
    /// `latest_us`: when it was made at the latest, on the exchange's clock; None for the time in its body.
    pub fn load_snapshot(
        &self,
        body: &[u8],
        limit: Option<usize>,
        latest_us: Option<i64>,
    ) -> Result<SnapshotOutcome, ApplyError> {
        let mut snapshot = DepthSnapshot::default();
        json::snapshot(body, &mut snapshot).map_err(ApplyError::Malformed)?;
        let made = latest_us.map(|latest_us| SnapshotTime {
            earliest_us: 0,
            latest_us,
        });
        let mut market = self.cell.lock();
        match market.install(&snapshot, limit, true, 0, made) {
            Ok(outcome) => {
                market.take_symbol(&snapshot);
                notify_followers(&mut market);
                Ok(outcome)
            }
            Err(SnapshotRefusal::Id) => Err(ApplyError::Malformed(json::implausible_id())),
            Err(SnapshotRefusal::Symbol(received)) => Err(ApplyError::SymbolMismatch {
                expected: market.symbol().unwrap_or_default().to_owned(),
                received: received.into(),
            }),
        }
    }

    /// Apply one frame, raw or wrapped.
    pub fn apply(&self, frame: &[u8]) -> Result<Outcome, ApplyError> {
        let done = self.apply_or_leave(frame, true);
        done.expect("a caller that waits gets the book")
    }

    /// The same without ever waiting: None, and nothing done, while another thread holds the book.
    #[inline]
    pub fn try_apply(&self, frame: &[u8]) -> Option<Result<Outcome, ApplyError>> {
        self.apply_or_leave(frame, false)
    }

    #[inline]
    fn apply_or_leave(&self, frame: &[u8], wait: bool) -> Option<Result<Outcome, ApplyError>> {
        let mut update = if wait {
            self.scratch.lock()
        } else {
            self.scratch.try_lock()?
        };
        let scanned = match json::frame(frame, &mut update) {
            Ok(scanned) => scanned,
            Err(why) => return Some(Err(ApplyError::Malformed(why))),
        };
        let Body::Update { symbol } = &scanned.body else {
            return Some(Ok(Outcome::Ignored));
        };
        let mut market = self.cell.hold(wait)?;
        if prefetch::is_worthwhile() {
            market.fetch(&update);
        }
        let is_named = match market.symbol() {
            Some(own) if own != symbol => {
                let (expected, received) = (own.to_owned(), symbol.to_string());
                return Some(Err(ApplyError::SymbolMismatch { expected, received }));
            }
            Some(_) => true,
            None if foreign_text::can_be_symbol(symbol) => false,
            None => return Some(Err(ApplyError::Malformed(json::unnameable(&scanned)))),
        };
        let Some(ids) = Ids::of(&update, market.continuity()) else {
            return Some(Err(ApplyError::Malformed(json::unchained(&scanned))));
        };
        if !is_named {
            market.accepts(symbol);
        }
        let outcome = market.on_diff(&update, ids, frame, 0, 0);
        notify_followers(&mut market);
        Some(Ok(outcome))
    }
}

/// Consumers of a book that is fed by hand wait for it themselves: nothing is announced.
#[inline]
fn notify_followers(market: &mut Market) {
    if market.is_followed() {
        market.notify_followers(|_| {});
    }
}
