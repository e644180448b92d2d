//! A book without any network: snapshots and frames in, a correct book out.

use std::sync::Arc;

use crate::market::{MarketCell, Outcome, SnapshotOutcome};
use crate::scan::Malformed;
use crate::sequence::Continuity;

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
        todo!()
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
        todo!()
    }

    /// Apply one frame, raw or wrapped.
    pub fn apply(&self, frame: &[u8]) -> Result<Outcome, ApplyError> {
        todo!()
    }
}
