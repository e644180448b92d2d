//! What a call of a router may be wrong about.

use crate::codec::json::{self, Malformed};
use crate::market::{Market, SnapshotRefusal};
use crate::query::Reading;

/// A call that names something which is not there, or is there already.
#[derive(Debug)]
pub enum RouterError {
    /// No market of that number.
    UnknownMarket(u64),
    /// The number of the market was used before.
    UsedMarket(u64),
    /// No open connection of that number.
    UnknownConnection(u64),
    /// The number of the connection was used before.
    UsedConnection(u64),
    /// The snapshot is not what the protocol says; nothing was changed.
    MalformedSnapshot(Malformed),
    /// The snapshot is of another symbol; nothing was changed.
    SymbolMismatch {
        /// The market's.
        expected: String,
        /// The snapshot's.
        received: String,
    },
}

impl RouterError {
    /// Why a market refused a snapshot.
    pub(crate) fn of_refusal(refused: SnapshotRefusal, market: &Market) -> RouterError {
        match refused {
            SnapshotRefusal::Id => RouterError::MalformedSnapshot(json::implausible_id()),
            SnapshotRefusal::Symbol(received) => RouterError::SymbolMismatch {
                expected: market.symbol().unwrap_or_default().to_owned(),
                received: received.into(),
            },
        }
    }
}
