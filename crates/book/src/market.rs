//! One market: the state machine between frames and a book that can be trusted.
//!
//! `src/depthcache/reference/market.py` is the same, readable, and opens with the theory: empty,
//! buffering, bridging, synced, and back to buffering after a gap, a reset or a malformed frame.
//! Differential tests drive the two against each other.
//!
//! Not here: which id may follow which (`sequence`), how a frame finds its market (`router`), how
//! levels are kept (`ladder`), when to fetch which snapshot (whoever calls).

pub mod arbitration;
mod buffer;
mod cell;
mod crossing;
pub mod delays;
mod depth_target;
mod doubt;
mod feeds;
mod following;
mod installing;
pub mod outcome;
mod pending_events;
mod read;
pub mod refresh;
mod refreshing;
pub mod sequence;
mod timeline;

use std::sync::Arc;

use compact_str::CompactString;

use crate::counters::Counters;
use crate::events::{Cause, Causes};
use crate::ladder::Ladder;
use crate::market::arbitration::Feeds;
use crate::market::buffer::Buffer;
use crate::market::delays::Delays;
use crate::market::outcome::Outcome;
use crate::market::refresh::{Comparison, Refresh};
use crate::market::sequence::{
    Continuity, DatedId, Ids, SequenceCheck, check_sequence, looks_reset,
};
use crate::message::DepthUpdate;
use crate::prefetch;
use crate::query::Side;
use crate::status::{Condition, Status};
use depth_target::DepthTarget;

pub use cell::MarketCell;

/// What a market is made of.
#[derive(Clone, Copy, Debug)]
pub struct MarketConfig {
    /// How update ids follow each other.
    pub continuity: Continuity,
    /// Bytes of diffs kept while a snapshot is on its way.
    pub buffer_bytes: usize,
}

/// Why a snapshot was not looked at; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotRefusal {
    /// It names another symbol, this one.
    Symbol(CompactString),
    /// Its id is no exchange's.
    Id,
}

/// One market of a router, or the one of an offline book. Read through `Reading`.
#[derive(Debug)]
pub struct Market {
    exchange: Arc<str>,
    symbol: Option<CompactString>,
    config: MarketConfig,
    bids: Ladder,
    asks: Ladder,
    state: State,
    condition: Option<(Condition, Reason)>,
    /// Whoever brings the frames stands still.
    stalled: Option<Reason>,
    /// It was right and may not be any more.
    doubt: Option<Box<doubt::Doubt>>,
    detect_ns: Option<i64>,
    crossed: Option<Reason>,
    /// A diff was applied since the snapshot.
    confirmed: bool,
    data_seen: bool,
    last_update_id: Option<i64>,
    event_time_us: Option<i64>,
    updated_ns: Option<i64>,
    /// What the book held when: the snapshot, then the last applied diff that told its time.
    base: Option<DatedId>,
    /// Stale diffs came of which nothing tells whether they are backlog; they are kept.
    in_doubt: bool,
    /// When the newest diff that was kept, or is backlog, was received, and its event time.
    unapplied: Option<(i64, i64)>,
    buffer: Buffer,
    feeds: Feeds,
    refresh: Option<Box<Refresh>>,
    compared: Option<Comparison>,
    /// From the clock of the frames to the exchange's, in nanoseconds; None while it is not known.
    clock_offset_ns: Option<i64>,
    delays: Delays,
    depth_target: DepthTarget,
    counters: Counters,
    causes: Causes,
    caused_ns: i64,
    is_pending: bool,
    /// None while nobody follows, so that a book without followers pays one look.
    following: Option<Box<following::Following>>,
    /// When a snapshot last proved the book.
    confirmed_ns: Option<i64>,
    _counted: prefetch::CountedMarket,
}

/// The state of the machine, why, and since when.
#[derive(Clone, Debug)]
struct State {
    status: Status,
    reason: Reason,
}

/// A reason and since when it holds.
#[derive(Clone, Debug)]
struct Reason {
    text: String,
    since_ns: i64,
}

impl Market {
    /// A market of which nothing is known. `symbol`: None where the first diff names it.
    pub fn new(exchange: &str, symbol: Option<&str>, config: MarketConfig) -> Market {
        let reason = Reason {
            text: "nothing has arrived yet".to_owned(),
            since_ns: 0,
        };
        Market {
            exchange: exchange.into(),
            symbol: symbol.map(CompactString::from),
            config,
            bids: Ladder::new(Side::Bids),
            asks: Ladder::new(Side::Asks),
            state: State {
                status: Status::Empty,
                reason,
            },
            condition: None,
            stalled: None,
            doubt: None,
            detect_ns: None,
            crossed: None,
            confirmed: false,
            data_seen: false,
            last_update_id: None,
            event_time_us: None,
            updated_ns: None,
            base: None,
            in_doubt: false,
            unapplied: None,
            buffer: Buffer::default(),
            feeds: Feeds::default(),
            refresh: None,
            compared: None,
            clock_offset_ns: None,
            delays: Delays::default(),
            depth_target: DepthTarget::default(),
            counters: Counters::default(),
            causes: Causes::default(),
            caused_ns: 0,
            is_pending: false,
            following: None,
            confirmed_ns: None,
            _counted: prefetch::CountedMarket::default(),
        }
    }

    /// Whether a diff names this market; the first one gives its name to a market without one.
    pub fn accepts(&mut self, symbol: &str) -> bool {
        match &self.symbol {
            Some(own) => *own == *symbol,
            None => {
                self.symbol = Some(symbol.into());
                true
            }
        }
    }

    /// How update ids follow each other.
    pub fn continuity(&self) -> Continuity {
        self.config.continuity
    }

    /// A diff of this market arrived on a connection; `frame` is what it was read from.
    #[inline]
    pub fn on_diff(
        &mut self,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        connection: u64,
        received_ns: i64,
    ) -> Outcome {
        if let (Status::Bridging | Status::Synced, Some(held)) =
            (self.state.status, self.last_update_id)
        {
            match check_sequence(self.config.continuity, held, ids, self.confirmed) {
                SequenceCheck::Next => {
                    self.apply(update, received_ns);
                    self.settle(received_ns);
                    if self.doubt.is_some() {
                        self.prove_by(update, received_ns);
                    }
                    if self.feeds.are_many() {
                        self.feeds.on_joined(connection, received_ns);
                    }
                    if self.refresh.is_some() {
                        self.on_refreshing(update, ids, frame, received_ns);
                    }
                    return Outcome::Applied;
                }
                SequenceCheck::Gap
                    if self.feeds.are_many()
                        && self
                            .feeds
                            .on_ahead(connection, received_ns, self.updated_ns) =>
                {
                    self.note_data(received_ns);
                    return Outcome::Stale;
                }
                check => {
                    let outcome = self.on_broken(check, held, update, ids, frame, received_ns);
                    if outcome == Outcome::Stale && self.feeds.are_many() {
                        self.feeds.on_joined(connection, received_ns);
                    }
                    return outcome;
                }
            }
        }
        self.feeds.on_buffered(connection, received_ns);
        if update.event_time_us != 0 {
            self.unapplied = Some((received_ns, update.event_time_us));
        }
        self.note_data(received_ns);
        if self.state.status == Status::Empty {
            self.enter(Status::Buffering, "waiting for a snapshot", received_ns);
        }
        if self.buffer.is_of_before(ids, update.event_time_us) {
            self.buffer.clear();
            self.counters.resets += 1;
            self.cause(Cause::Reset, received_ns);
        }
        self.keep(ids, update.event_time_us, frame, received_ns);
        if self.last_update_id.is_none() {
            Outcome::Waiting
        } else {
            Outcome::Gap
        }
    }

    #[cold]
    fn on_broken(
        &mut self,
        check: SequenceCheck,
        held: i64,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        received_ns: i64,
    ) -> Outcome {
        self.note_data(received_ns);
        if check == SequenceCheck::Stale {
            self.counters.stale += 1;
            let base_us = self.base_us_of(ids, update.event_time_us, received_ns);
            if !looks_reset(update.event_time_us, base_us) {
                if update.event_time_us != 0 && base_us.is_some() {
                    self.unapplied = Some((received_ns, update.event_time_us));
                } else if !self.confirmed {
                    self.doubt(ids, update.event_time_us, frame, received_ns);
                }
                return Outcome::Stale;
            }
            self.buffer.clear();
            self.begin_anew(received_ns);
        } else {
            self.buffer.clear();
            self.lose_chain(held, ids, received_ns);
        }
        self.keep(ids, update.event_time_us, frame, received_ns);
        Outcome::Gap
    }

    /// A frame of this market could not be read: an update is missing.
    pub fn on_malformed(&mut self, what: &str, received_ns: i64) {
        self.counters.malformed += 1;
        self.cause(Cause::Malformed, received_ns);
        if matches!(self.state.status, Status::Bridging | Status::Synced) {
            self.enter(
                Status::Buffering,
                &format!("a malformed frame: {what}"),
                received_ns,
            );
        }
    }

    /// A new snapshot is needed; kept diffs and old levels stay.
    pub fn resync(&mut self, reason: &str, now_ns: i64) {
        self.enter(Status::Buffering, reason, now_ns);
    }

    /// The diffs will come from a new connection: kept ones are of no use.
    pub fn restart(&mut self, reason: &str, now_ns: i64) {
        self.buffer.clear();
        self.data_seen = false;
        self.enter(Status::Buffering, reason, now_ns);
    }

    // --- inside -------------------------------------------------------------------------------

    #[inline]
    fn apply(&mut self, update: &DepthUpdate, received_ns: i64) {
        if self.is_followed() {
            self.note_changes(update);
        }
        let changed = self.bids.apply(&update.bids) + self.asks.apply(&update.asks);
        self.counters.levels_changed += changed as u64;
        self.counters.applied += 1;
        self.last_update_id = Some(update.final_update_id);
        self.updated_ns = Some(received_ns);
        if update.event_time_us == 0 {
            self.event_time_us = None;
        } else {
            self.event_time_us = Some(update.event_time_us);
            self.base = Some(DatedId {
                update_id: update.final_update_id,
                latest_us: update.event_time_us,
            });
            if let Some(offset_ns) = self.clock_offset_ns {
                let arrived_us = (received_ns + offset_ns) / 1_000;
                self.delays.record(arrived_us - update.event_time_us);
            }
        }
    }

    /// After a diff was applied to a live book: it confirms the snapshot, and may cross the book.
    #[inline]
    fn settle(&mut self, received_ns: i64) {
        if !self.confirmed {
            self.note_data(received_ns);
            self.confirm(received_ns);
        }
        self.check_crossed(received_ns);
    }

    #[cold]
    fn confirm(&mut self, received_ns: i64) {
        (self.confirmed, self.in_doubt) = (true, false);
        self.buffer.clear();
        if self.state.status == Status::Bridging {
            self.sync(received_ns);
        } else {
            self.cause(Cause::Confirmed, received_ns);
            self.state.reason.text.clear();
        }
    }

    #[inline]
    fn note_data(&mut self, received_ns: i64) {
        if !self.data_seen {
            self.data_seen = true;
            self.cause(Cause::FirstData, received_ns);
        }
    }

    fn sync(&mut self, now_ns: i64) {
        let reason = if self.confirmed {
            ""
        } else {
            "from a snapshot, not confirmed by a diff yet"
        };
        self.confirmed_ns = Some(now_ns);
        self.prove(now_ns);
        self.enter(Status::Synced, reason, now_ns);
        self.cause(Cause::Synced, now_ns);
        if self.confirmed {
            self.cause(Cause::Confirmed, now_ns);
        }
    }

    fn lose_chain(&mut self, held: i64, ids: Ids, now_ns: i64) {
        self.counters.gaps += 1;
        self.cause(Cause::Gap, now_ns);
        let reason = format!(
            "a gap: the book holds {held}, the next diff follows {}",
            ids.follows
        );
        self.enter(Status::Buffering, &reason, now_ns);
    }

    fn enter(&mut self, status: Status, reason: &str, now_ns: i64) {
        if status != Status::Synced {
            self.refresh = None;
            self.doubt = None;
        }
        let since_ns = if status == self.state.status {
            self.state.reason.since_ns
        } else {
            now_ns
        };
        self.state = State {
            status,
            reason: Reason {
                text: reason.to_owned(),
                since_ns,
            },
        };
    }

    /// The state of the machine as users call it, conditions aside.
    fn native(&self) -> (Status, &Reason) {
        match &self.crossed {
            Some(reason) if self.state.status == Status::Synced => (Status::Crossed, reason),
            _ => (self.state.status, &self.state.reason),
        }
    }

    fn keep(&mut self, ids: Ids, event_time_us: i64, frame: &[u8], now_ns: i64) {
        if self.buffer.is_full(frame.len(), self.config.buffer_bytes) {
            self.buffer.clear();
            self.counters.dropped_buffers += 1;
            self.cause(Cause::BufferDropped, now_ns);
        }
        self.buffer.push(ids, event_time_us, frame, now_ns);
    }

    fn cause(&mut self, cause: Cause, now_ns: i64) {
        self.causes.insert(cause);
        self.caused_ns = now_ns;
    }
}
