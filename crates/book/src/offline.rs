//! A book without any network: snapshots and frames in, a correct book out.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::far;
use crate::foreign;
use crate::market::{Market, MarketCell, Terms};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::outcome::{Outcome, SnapshotOutcome};
use crate::query::Reading;
use crate::scan::{self, Body, Malformed};
use crate::sequence::{Continuity, Ids};

/// Why a frame was refused; nothing is changed then.
#[derive(Debug)]
pub enum ApplyError {
    /// Not what the protocol says.
    Malformed(Malformed),
    /// A frame of another symbol than the book's.
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
        continuity: Continuity,
        buffer_bytes: usize,
    ) -> OfflineBook {
        let terms = Terms {
            continuity,
            buffer_bytes,
            offline: true,
        };
        let cell = Arc::new(MarketCell::new(Market::new(exchange, symbol, terms), 0));
        OfflineBook {
            cell,
            scratch: Mutex::default(),
        }
    }

    /// What readers read.
    pub fn cell(&self) -> &Arc<MarketCell> {
        &self.cell
    }

    /// Install the bytes of a depth snapshot asked with `limit` (None: unknown), kept diffs after it.
    pub fn load_snapshot(
        &self,
        body: &[u8],
        limit: Option<usize>,
    ) -> Result<SnapshotOutcome, Malformed> {
        let mut snapshot = DepthSnapshot::default();
        scan::snapshot(body, &mut snapshot)?;
        Ok(self.cell.lock().install(&snapshot, limit, true, 0))
    }

    /// Apply one frame, raw or wrapped.
    pub fn apply(&self, frame: &[u8]) -> Result<Outcome, ApplyError> {
        let done = self.apply_or_leave(frame, true);
        done.expect("whoever waits gets the book")
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
        let scanned = match scan::frame(frame, &mut update) {
            Ok(scanned) => scanned,
            Err(why) => return Some(Err(ApplyError::Malformed(why))),
        };
        let Body::Update { symbol } = &scanned.body else {
            return Some(Ok(Outcome::Ignored));
        };
        let mut market = self.cell.hold(wait)?;
        if far::is_far() {
            market.fetch(&update);
        }
        if let Some(expected) = market.symbol().filter(|own| own != symbol) {
            let (expected, received) = (expected.to_owned(), symbol.to_string());
            return Some(Err(ApplyError::SymbolMismatch { expected, received }));
        }
        if market.symbol().is_none() && !foreign::can_be_symbol(symbol) {
            return Some(Err(ApplyError::Malformed(scan::unnameable(&scanned))));
        }
        let Some(ids) = Ids::of(&update, market.continuity()) else {
            return Some(Err(ApplyError::Malformed(scan::unchained(&scanned))));
        };
        market.accepts(symbol);
        Some(Ok(market.on_diff(&update, ids, frame, 0, 0)))
    }
}
