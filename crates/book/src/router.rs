//! All markets of one client and the way of each frame to its market.

use std::sync::Arc;

use crate::condition::Condition;
use crate::events::Event;
use crate::market::{MarketCell, SnapshotOutcome};
use crate::scan::Malformed;
use crate::sequence::Continuity;

/// Control messages kept between two `take_events`.
pub const CONTROL_CAPACITY: usize = 1024;

/// Bytes of diffs kept per market while a snapshot is on its way.
pub const BUFFER_BYTES: usize = 64 << 20;

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
}

/// All markets of one client. Every method may be called from any thread.
///
/// Order of calls: `add_market`, `open_connection`, `route`, then `feed` for every frame; when
/// `feed` says so, `take_events`.
#[derive(Debug)]
pub struct Router {
    control_capacity: usize,
}

impl Router {
    /// A router without markets.
    pub fn new(control_capacity: usize, buffer_bytes: usize) -> Router {
        todo!()
    }

    /// Take up a market; it is empty.
    pub fn add_market(
        &self,
        market: u64,
        exchange: &str,
        symbol: &str,
        continuity: Continuity,
    ) -> Result<(), RouterError> {
        todo!()
    }

    /// Forget a market and its routes; its readers say closed from now on.
    pub fn remove_market(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        todo!()
    }

    /// What readers of a market read.
    pub fn market(&self, market: u64) -> Result<Arc<MarketCell>, RouterError> {
        todo!()
    }

    /// Frames of this number are wrapped from now on.
    pub fn open_connection(&self, connection: u64) -> Result<(), RouterError> {
        todo!()
    }

    /// Forget a connection and its routes; frames of it are ignored from now on.
    pub fn close_connection(&self, connection: u64) -> Result<(), RouterError> {
        todo!()
    }

    /// Frames of this stream on this connection go to this market.
    pub fn route(&self, connection: u64, stream: &str, market: u64) -> Result<(), RouterError> {
        todo!()
    }

    /// No longer so.
    pub fn unroute(&self, connection: u64, stream: &str) -> Result<(), RouterError> {
        todo!()
    }

    /// Take one frame to its book; true when `take_events` has something to tell.
    pub fn feed(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool {
        todo!()
    }

    /// What happened since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        todo!()
    }

    /// Install a snapshot asked with `limit` (None: unknown). `live`: the subscription was
    /// acknowledged, or data had arrived, before the snapshot was requested.
    pub fn install_snapshot(
        &self,
        market: u64,
        body: &[u8],
        limit: Option<usize>,
        live: bool,
        now_ns: i64,
    ) -> Result<SnapshotOutcome, RouterError> {
        todo!()
    }

    /// Back to buffering; kept diffs and old levels stay.
    pub fn resync(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        todo!()
    }

    /// Back to buffering with an empty buffer: the diffs will come from a new connection.
    pub fn restart(&self, market: u64, reason: &str, now_ns: i64) -> Result<(), RouterError> {
        todo!()
    }

    /// Lay a condition over the native state, or take it away (None).
    pub fn set_condition(
        &self,
        market: u64,
        condition: Option<Condition>,
        reason: &str,
        now_ns: i64,
    ) -> Result<(), RouterError> {
        todo!()
    }
}
