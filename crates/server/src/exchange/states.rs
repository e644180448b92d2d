//! What the book itself is, for depthcache's own clients: in the stream of its diffs, and in order with them.
//!
//! The stream `btcusdt@depth@100ms@state1` brings the diffs of `btcusdt@depth@100ms` and, among them, states of the
//! book: one at the begin, one at each change, and one every five seconds in which nothing else came, so that silent
//! differs from dead. The number is the version of this protocol. `crates/book/src/market/relay.rs` reads the states.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use depthcache_book::market::{Market, TappedDiff};
use depthcache_book::status::Status;
use depthcache_wire::writer::Object;

use crate::views::Moment;

/// What the name of a stream with states ends with.
pub const SUFFIX: &str = "@state1";

/// The code of the refusal of such a stream where its book is not held.
pub const NOT_HELD: u8 = 100;

/// After so long without a message a state is sent.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long the state for a reader waits that knows the book beyond the newest diff of this server.
pub const BEHIND: Duration = Duration::from_secs(5);

/// How long diffs are kept for readers that come again, how many bytes of them, and how long a book without readers
/// keeps them.
const KEPT: Duration = Duration::from_secs(15);
const KEPT_BYTES: usize = 256 << 10;

/// What the book is, as far as diffs were sent.
#[derive(Debug)]
pub struct State {
    pub status: Status,
    pub reason: String,
    since_us: Option<i64>,
    pub generation: u64,
    pub server: Arc<str>,
}

impl State {
    /// What a book is now. `server`: the name of this one.
    pub fn of(market: &Market, server: Arc<str>) -> State {
        let Moment {
            status,
            reason,
            since_time_us,
            ..
        } = Moment::of(market);
        State {
            status,
            reason: reason.as_ref().to_owned(),
            since_us: since_time_us,
            generation: market.diff_generation(),
            server,
        }
    }

    /// The book is something else now.
    pub fn change(&mut self, status: Status, reason: String) {
        if status != self.status {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            self.since_us = now.ok().and_then(|now| i64::try_from(now.as_micros()).ok());
        }
        (self.status, self.reason) = (status, reason);
    }

    /// The event. `reached`: up to which id diffs were sent before it.
    pub fn event(&self, symbol: &str, reached: Option<i64>) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        let mut event = Object::begin(&mut out);
        event.text("e", "bookState");
        event.text("s", symbol);
        event.text("status", self.status.as_str());
        event.text("reason", &self.reason);
        event.optional("since", self.since_us);
        event.optional("u", reached);
        event.integer("generation", self.generation.cast_signed());
        event.text("server", &self.server);
        event.end();
        out
    }
}

/// The newest diffs of a book, for readers that come again.
#[derive(Debug, Default)]
pub struct Ring {
    diffs: VecDeque<(Instant, TappedDiff)>,
    bytes: usize,
}

impl Ring {
    pub fn push(&mut self, diff: &TappedDiff, now: Instant) {
        let before = self.diffs.back().map(|(_, before)| before.ids.last);
        if before.is_some_and(|before| diff.ids.follows > before) {
            self.clear();
        }
        self.bytes += diff.event.len();
        self.diffs.push_back((now, diff.clone()));
        while let Some((at, oldest)) = self.diffs.front()
            && (now.duration_since(*at) > KEPT || self.bytes > KEPT_BYTES)
        {
            self.bytes -= oldest.event.len();
            self.diffs.pop_front();
        }
    }

    pub fn clear(&mut self) {
        *self = Ring::default();
    }

    /// Those that lead on from an id; None where some of them are not kept.
    pub fn after(&self, update_id: i64) -> Option<impl Iterator<Item = &TappedDiff>> {
        let is_later = move |(_, diff): &&(Instant, TappedDiff)| diff.ids.last > update_id;
        let (_, first) = self.diffs.iter().find(is_later)?;
        let later = self.diffs.iter().filter(is_later).map(|(_, diff)| diff);
        (first.ids.follows <= update_id).then_some(later)
    }
}

/// Whether a book that lost its last reader then keeps nothing for it any more.
pub fn is_forgotten(since: Instant, now: Instant) -> bool {
    now.duration_since(since) > KEPT
}
