//! Events that are made of the book: partial depth and bookTicker, in the exchange's format.
//!
//! Keys and their order: spot docs 2026-07-21; USD-M captured 2026-10-07; COIN-M and options docs 2026-05-28.

use depthcache_book::market::{Market, TappedDiff};
use depthcache_book::query::{LevelRun, NumberLevel, Reading, Side};
use depthcache_wire::Family;
use depthcache_wire::writer::{Numbers, Object, levels, number};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a diff says beside its levels.
#[derive(Debug, Default, Deserialize)]
pub struct Head<'a> {
    /// In milliseconds.
    #[serde(rename = "T", default)]
    pub transaction_time: Option<i64>,
    #[serde(rename = "U", default)]
    pub first: Option<i64>,
    #[serde(rename = "pu", default)]
    pub previous: Option<i64>,
    /// Kind of future; sent since 2026-06-30.
    #[serde(rename = "st", default, borrow)]
    pub kind: Option<&'a RawValue>,
    /// Pair; likewise.
    #[serde(rename = "ps", default)]
    pub pair: Option<String>,
}

impl Head<'_> {
    /// Of an event, where it is as the exchange writes it.
    pub fn of(event: &[u8]) -> Head<'_> {
        serde_json::from_slice(event).unwrap_or_default()
    }
}

/// The best levels of a book at one update id.
#[derive(Clone, Debug)]
pub struct Top {
    pub update_id: i64,
    pub bids: LevelRun,
    pub asks: LevelRun,
    /// In milliseconds.
    pub event_time: i64,
    /// The diff that led to it.
    pub diff: Option<TappedDiff>,
}

/// Levels that a partial depth stream shows at most.
pub const MOST_LEVELS: usize = 20;

impl Top {
    /// The best levels; None where the book cannot be read.
    pub fn of(market: &Market) -> Option<Top> {
        market.readable(false).ok()?;
        Some(Top {
            update_id: market.last_update_id()?,
            bids: market.levels(Side::Bids, 0, MOST_LEVELS),
            asks: market.levels(Side::Asks, 0, MOST_LEVELS),
            event_time: market.event_time_us().unwrap_or_default() / 1_000,
            diff: market.newest_diff().cloned(),
        })
    }

    /// `@depth5` and its like.
    pub fn partial(&self, family: Family, symbol: &str, count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut event = Object::begin(&mut out);
        let best = |run: &LevelRun| run.iter().take(count).collect::<Vec<NumberLevel>>();
        let (bids, asks) = (best(&self.bids), best(&self.asks));
        if family == Family::Spot {
            event.integer("lastUpdateId", self.update_id);
            levels(event.key("bids"), bids.into_iter(), Numbers::Text);
            levels(event.key("asks"), asks.into_iter(), Numbers::Text);
            event.end();
            return out;
        }
        let head = self.head();
        event.text("e", "depthUpdate");
        self.times(&mut event, &head);
        event.text("s", symbol);
        pair(&mut event, &head);
        event.integer("U", head.first.unwrap_or(self.update_id));
        event.integer("u", self.update_id);
        event.integer("pu", head.previous.unwrap_or(self.update_id - 1));
        levels(event.key("b"), bids.into_iter(), Numbers::Text);
        levels(event.key("a"), asks.into_iter(), Numbers::Text);
        kind(&mut event, &head);
        event.end();
        out
    }

    /// `@bookTicker`; None while a side is empty.
    pub fn ticker(&self, family: Family, symbol: &str) -> Option<Vec<u8>> {
        let (bid, ask) = (self.bids.iter().next()?, self.asks.iter().next()?);
        let mut out = Vec::new();
        let mut event = Object::begin(&mut out);
        let head = self.head();
        if family != Family::Spot {
            event.text("e", "bookTicker");
        }
        event.integer("u", self.update_id);
        event.text("s", symbol);
        if family != Family::Spot {
            pair(&mut event, &head);
        }
        for (key, value) in [
            ("b", bid.price),
            ("B", bid.quantity),
            ("a", ask.price),
            ("A", ask.quantity),
        ] {
            number(event.key(key), value, Numbers::Text);
        }
        if family != Family::Spot {
            event.integer("T", self.transaction_time(&head));
            event.integer("E", self.event_time);
            kind(&mut event, &head);
        }
        event.end();
        Some(out)
    }

    /// Whether the best level of both sides is the same.
    pub fn has_same_best(&self, other: &Top) -> bool {
        let same =
            |own: &LevelRun, others: &LevelRun| match (own.iter().next(), others.iter().next()) {
                (Some(own), Some(other)) => own.is_same(other),
                (None, None) => true,
                _ => false,
            };
        same(&self.bids, &other.bids) && same(&self.asks, &other.asks)
    }

    fn head(&self) -> Head<'_> {
        self.diff
            .as_ref()
            .map_or_else(Head::default, |diff| Head::of(&diff.event))
    }

    fn transaction_time(&self, head: &Head<'_>) -> i64 {
        head.transaction_time.unwrap_or(self.event_time)
    }

    fn times(&self, event: &mut Object<'_>, head: &Head<'_>) {
        event.integer("E", self.event_time);
        event.integer("T", self.transaction_time(head));
    }
}

fn pair(event: &mut Object<'_>, head: &Head<'_>) {
    if let Some(pair) = &head.pair {
        event.text("ps", pair);
    }
}

fn kind(event: &mut Object<'_>, head: &Head<'_>) {
    if let Some(kind) = head.kind {
        event.key("st").extend_from_slice(kind.get().as_bytes());
    }
}
