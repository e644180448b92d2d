//! The states of a book, for depthcache's own clients: in the stream of its diffs, and in order with them.
//!
//! The stream `btcusdt@depth@100ms@state1` brings the diffs of `btcusdt@depth@100ms` and, among them, states of the
//! book: one at the start, one at each change, and one after every five seconds without a message, so that a client can
//! tell silent from dead. The number is the version of this protocol. `crates/book/src/market/relay.rs` reads the states.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use depthcache_book::market::{Market, TappedDiff};
use depthcache_book::status::Status;
use depthcache_wire::writer::Object;

use crate::views::Moment;

/// The suffix of a stream with states.
pub const SUFFIX: &str = "@state1";

/// The code of the error for such a stream if its book is not held.
pub const NOT_HELD: u8 = 100;

/// The code of the error for such a stream if other nodes hold its book, for clients that can move.
pub const HELD_ELSEWHERE: u8 = 101;

/// A state is sent after so long without a message.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a reader whose book is beyond this server's newest diff waits for its state.
pub const BEHIND: Duration = Duration::from_secs(5);

/// How long diffs are kept for readers that resume, also after the last reader has left; and how many bytes of them.
const KEPT: Duration = Duration::from_secs(15);
const KEPT_BYTES: usize = 256 << 10;

/// The same of a node's books without readers: for those that move here from another node.
const SPARE: Duration = Duration::from_secs(5);
const SPARE_BYTES: usize = 64 << 10;

/// The state of the book, as of the last diff that was sent.
#[derive(Debug)]
pub struct State {
    pub status: Status,
    pub reason: String,
    since_us: Option<i64>,
    pub generation: u64,
    pub server: Arc<str>,
}

impl State {
    /// The state of a book now. `server`: identifies this server.
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

    /// The status, or its reason, changed.
    pub fn change(&mut self, status: Status, reason: String) {
        if status != self.status {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            self.since_us = now.ok().and_then(|now| i64::try_from(now.as_micros()).ok());
        }
        (self.status, self.reason) = (status, reason);
    }

    /// The event. `reached`: the last id that was sent before it.
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

/// The newest diffs of a book, for readers that resume.
#[derive(Debug, Default)]
pub struct Ring {
    pub(super) diffs: VecDeque<(Instant, TappedDiff)>,
    bytes: usize,
}

impl Ring {
    /// `has_readers`: whether there are any, or were a short time ago.
    pub fn push(&mut self, diff: &TappedDiff, now: Instant, has_readers: bool) {
        let (kept, kept_bytes) = match has_readers {
            true => (KEPT, KEPT_BYTES),
            false => (SPARE, SPARE_BYTES),
        };
        let before = self.diffs.back().map(|(_, before)| before.ids.last);
        if before.is_some_and(|before| diff.ids.follows > before) {
            self.clear();
        }
        self.bytes += diff.event.len();
        self.diffs.push_back((now, diff.clone()));
        while let Some((at, oldest)) = self.diffs.front()
            && (now.duration_since(*at) > kept || self.bytes > kept_bytes)
        {
            self.bytes -= oldest.event.len();
            self.diffs.pop_front();
        }
    }

    pub fn clear(&mut self) {
        *self = Ring::default();
    }

    /// Those that continue from an id; None if some of them are not kept.
    pub fn after(&self, update_id: i64) -> Option<impl Iterator<Item = &TappedDiff>> {
        let is_later = move |(_, diff): &&(Instant, TappedDiff)| diff.ids.last > update_id;
        let (_, first) = self.diffs.iter().find(is_later)?;
        let later = self.diffs.iter().filter(is_later).map(|(_, diff)| diff);
        (first.ids.follows <= update_id).then_some(later)
    }
}

/// Whether a book keeps no more diffs now, or fewer; `since`: when its last reader left.
pub fn is_forgotten(since: Instant, now: Instant) -> bool {
    now.duration_since(since) > KEPT
}
