//! Messages of the schema read back: a frozen book that equals the one that was written, or an error.
//!
//! What a message says is checked as a whole (`Frozen::from_parts`). Prices and quantities must be text: a book
//! made of floats could be another one, and two of its prices the same.

use std::borrow::Cow;
use std::sync::Arc;

use depthcache_book::codec::json;
use depthcache_book::counters::Counters;
use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::frozen::parts::{Head, Parts, SideParts, changed};
use depthcache_book::frozen::portable::BadState;
use depthcache_book::query::{BestPair, CompleteTo, Number, NumberLevel, Side};
use depthcache_book::status::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::SCHEMA;

/// What a message was.
#[derive(Clone, Debug)]
pub enum Decoded {
    /// `book`.
    Book(Frozen),
    /// `update`.
    Update(Item),
    /// `best`; None where the book could not be read.
    Best(Head, Option<BestPair>),
    /// `status`.
    Status(Head),
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// Another schema than `SCHEMA`.
    Schema(u64),
    /// Anything else, in words.
    Malformed(String),
}

impl From<BadState> for BadMessage {
    fn from(why: BadState) -> BadMessage {
        malformed(why.0)
    }
}

fn malformed(what: impl Into<String>) -> BadMessage {
    BadMessage::Malformed(what.into())
}

type Read<T> = Result<T, BadMessage>;

/// Read one message.
pub fn decode(bytes: &[u8]) -> Read<Decoded> {
    let message: Message<'_> = serde_json::from_slice(bytes).map_err(|why| {
        // A message of another schema may be written in any way: tell of that first.
        match serde_json::from_slice::<Envelope>(bytes) {
            Ok(Envelope { schema }) if schema != u64::from(SCHEMA) => BadMessage::Schema(schema),
            _ => malformed(why.to_string()),
        }
    })?;
    if message.schema != u64::from(SCHEMA) {
        return Err(BadMessage::Schema(message.schema));
    }
    match &*message.kind {
        "book" => Ok(Decoded::Book(Frozen::from_parts(message.parts()?)?)),
        "update" => message.update().map(Decoded::Update),
        "best" => Ok(Decoded::Best(message.head()?, message.best()?)),
        "status" => message.head().map(Decoded::Status),
        other => Err(malformed(format!("its type is {other:?}"))),
    }
}

#[derive(Deserialize)]
struct Envelope {
    schema: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    schema: u64,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    exchange: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    inverse: bool,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    since_ns: i64,
    since_time_us: Option<i64>,
    unconfirmed: bool,
    last_update_id: Option<i64>,
    event_time_us: Option<i64>,
    updated_ns: Option<i64>,
    confirmed_ns: Option<i64>,
    complete: Option<bool>,
    #[serde(borrow)]
    complete_to: Option<Both<Option<&'a RawValue>>>,
    coverage: Option<Both<usize>>,
    #[serde(borrow)]
    bids: Option<Vec<Level<'a>>>,
    #[serde(borrow)]
    asks: Option<Vec<Level<'a>>>,
    #[serde(borrow)]
    counters: Option<std::collections::HashMap<Cow<'a, str>, u64>>,
    skipped: Option<u64>,
    is_fresh: Option<bool>,
    #[serde(borrow)]
    changes: Option<Both<Vec<Level<'a>>>>,
    #[serde(borrow)]
    best: Option<Best<'a>>,
}

#[derive(Deserialize)]
struct Both<T> {
    bids: T,
    asks: T,
}

type Level<'a> = [&'a RawValue; 2];

#[derive(Deserialize)]
struct Best<'a> {
    #[serde(borrow)]
    bid: Option<Level<'a>>,
    #[serde(borrow)]
    ask: Option<Level<'a>>,
    update_id: i64,
}

impl Message<'_> {
    fn head(&self) -> Read<Head> {
        let status = Status::parse(&self.status)
            .ok_or_else(|| malformed(format!("its status is {:?}", self.status)))?;
        let offset_ns = self.since_time_us.and_then(|time_us| {
            let whole_us = self.since_ns.div_euclid(1_000);
            time_us.checked_sub(whole_us)?.checked_mul(1_000)
        });
        Ok(Head {
            exchange: self.exchange.to_string(),
            symbol: (!self.symbol.is_empty()).then(|| self.symbol.to_string()),
            inverse: self.inverse,
            status,
            reason: self.reason.to_string(),
            since_ns: self.since_ns,
            unconfirmed: self.unconfirmed,
            last_update_id: self.last_update_id,
            event_time_us: self.event_time_us,
            updated_ns: self.updated_ns,
            confirmed_ns: self.confirmed_ns,
            wall_offset_ns: offset_ns,
        })
    }

    fn parts(&self) -> Read<Parts> {
        let readable = match (&self.bids, &self.asks) {
            (Some(_), Some(_)) => true,
            (None, None) => false,
            _ => return Err(malformed("one side is null, the other is not")),
        };
        let edges = wanted("complete_to", self.complete_to.as_ref())?;
        let coverage = wanted("coverage", self.coverage.as_ref())?;
        let side = |held: &Option<Vec<Level<'_>>>, edge: Option<&RawValue>, coverage| {
            Ok::<_, BadMessage>(SideParts {
                levels: levels(held.as_deref().unwrap_or_default())?,
                complete_to: complete_to(edge)?,
                coverage,
            })
        };
        Ok(Parts {
            head: self.head()?,
            counters: self.counters()?,
            complete: *wanted("complete", self.complete.as_ref())?,
            readable,
            bids: side(&self.bids, edges.bids, coverage.bids)?,
            asks: side(&self.asks, edges.asks, coverage.asks)?,
        })
    }

    fn counters(&self) -> Read<Counters> {
        let mut counters = Counters::default();
        for (name, value) in self.counters.iter().flatten() {
            // One that is not known here was added later.
            let _ = counters.set(name, *value);
        }
        Ok(counters)
    }

    fn update(&self) -> Read<Item> {
        let changes = match &self.changes {
            None => None,
            Some(changes) => Some(Arc::new((
                changed(Side::Bids, &levels(&changes.bids)?)?,
                changed(Side::Asks, &levels(&changes.asks)?)?,
            ))),
        };
        Ok(Item {
            book: Arc::new(Frozen::from_parts(self.parts()?)?),
            skipped: *wanted("skipped", self.skipped.as_ref())?,
            is_fresh: *wanted("is_fresh", self.is_fresh.as_ref())?,
            changes,
        })
    }

    fn best(&self) -> Read<Option<BestPair>> {
        let Some(best) = &self.best else {
            return Ok(None);
        };
        let one = |side: &Option<Level<'_>>| side.as_ref().map(level).transpose();
        Ok(Some(BestPair {
            bid: one(&best.bid)?,
            ask: one(&best.ask)?,
            update_id: best.update_id,
        }))
    }
}

fn wanted<'a, T>(key: &str, value: Option<&'a T>) -> Read<&'a T> {
    value.ok_or_else(|| malformed(format!("{key} is missing")))
}

fn complete_to(edge: Option<&RawValue>) -> Read<CompleteTo> {
    match edge.map(RawValue::get) {
        None => Ok(CompleteTo::Nothing),
        Some(r#""all""#) => Ok(CompleteTo::Whole),
        Some(text) => number(text).map(CompleteTo::Price),
    }
}

fn levels(written: &[Level<'_>]) -> Read<Vec<NumberLevel>> {
    written.iter().map(level).collect()
}

fn level([price, quantity]: &Level<'_>) -> Read<NumberLevel> {
    Ok(NumberLevel {
        price: number(price.get())?,
        quantity: number(quantity.get())?,
    })
}

/// A number from its text in quotes.
fn number(written: &str) -> Read<Number> {
    let inner = written
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = inner.ok_or_else(|| {
        malformed(format!(
            "{written} is no text: only text has every digit of a price or quantity"
        ))
    })?;
    let found = json::decimal(text.as_bytes())
        .map_err(|why| malformed(format!("{written} is no price or quantity: {why}")))?;
    Ok(Number {
        mantissa: found.mantissa,
        scale: found.scale,
    })
}
