//! Decode messages of the schema: a frozen book that equals the original, or an error.
//!
//! The parts of a message are checked together (`Frozen::from_parts`). Prices and quantities must be strings:
//! as floats, they could be different numbers, and two prices could become equal.

use std::borrow::Cow;
use std::sync::Arc;

use depthcache_book::codec::json;
use depthcache_book::counters::Counters;
use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::frozen::parts::{Head, Parts, SideParts, best_level, changed};
use depthcache_book::frozen::portable::BadState;
use depthcache_book::query::{BestPair, CompleteTo, Number, NumberLevel, Side};
use depthcache_book::status::Status;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::SCHEMA;

/// A decoded message.
#[derive(Clone, Debug)]
pub enum Decoded {
    /// `book`.
    Book(Frozen),
    /// `update`.
    Update(Item),
    /// `best`; None if the book could not be read.
    Best(Head, Option<BestPair>),
    /// `status`.
    Status(Head),
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadMessage {
    /// The schema is not `SCHEMA`.
    Schema(u64),
    /// Any other cause, as text.
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

/// Decode one message.
pub fn decode(bytes: &[u8]) -> Read<Decoded> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(malformed(NO_OBJECT));
    }
    let message: Message<'_> = serde_json::from_slice(bytes).map_err(|why| {
        // Another schema may have any format: report it before other errors.
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
        "best" => {
            let head = message.head()?;
            let pair = message.best(&head)?;
            Ok(Decoded::Best(head, pair))
        }
        "status" => message.head().map(Decoded::Status),
        other => Err(malformed(format!("unknown type {other:?}"))),
    }
}

const NO_OBJECT: &str = "invalid type: a list, expected an object";

/// Accepts only a JSON object; serde would also accept a list of values in the order of the keys.
struct Keyed<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = <&RawValue>::deserialize(deserializer)?;
        if written.get().starts_with('[') {
            return Err(D::Error::custom(NO_OBJECT));
        }
        serde_json::from_str(written.get())
            .map(Keyed)
            .map_err(D::Error::custom)
    }
}

/// A value that may be null but not missing, which serde would allow.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

/// Like that, for a key that not every type of message has; None if it is missing.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
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
    #[serde(deserialize_with = "present")]
    since_time_us: Option<i64>,
    unconfirmed: bool,
    #[serde(deserialize_with = "present")]
    last_update_id: Option<i64>,
    #[serde(deserialize_with = "present")]
    event_time_us: Option<i64>,
    #[serde(deserialize_with = "present")]
    updated_ns: Option<i64>,
    #[serde(deserialize_with = "present")]
    confirmed_ns: Option<i64>,
    complete: Option<bool>,
    #[serde(borrow)]
    complete_to: Option<Keyed<Both<Option<&'a RawValue>>>>,
    coverage: Option<Keyed<Both<usize>>>,
    #[serde(borrow, default, deserialize_with = "some")]
    bids: Option<Option<Vec<Level<'a>>>>,
    #[serde(borrow, default, deserialize_with = "some")]
    asks: Option<Option<Vec<Level<'a>>>>,
    #[serde(borrow)]
    counters: Option<std::collections::HashMap<Cow<'a, str>, u64>>,
    skipped: Option<u64>,
    is_fresh: Option<bool>,
    #[serde(borrow, default, deserialize_with = "some")]
    changes: Option<Option<Keyed<Both<Vec<Level<'a>>>>>>,
    #[serde(borrow, default, deserialize_with = "some")]
    best: Option<Option<Keyed<Best<'a>>>>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Both<T> {
    #[serde(deserialize_with = "present")]
    bids: T,
    #[serde(deserialize_with = "present")]
    asks: T,
}

type Level<'a> = [&'a RawValue; 2];

#[derive(Deserialize)]
struct Best<'a> {
    #[serde(borrow, deserialize_with = "present")]
    bid: Option<Level<'a>>,
    #[serde(borrow, deserialize_with = "present")]
    ask: Option<Level<'a>>,
    update_id: i64,
}

impl Message<'_> {
    fn head(&self) -> Read<Head> {
        let status = Status::parse(&self.status)
            .ok_or_else(|| malformed(format!("unknown status {:?}", self.status)))?;
        let offset_ns = self.since_time_us.and_then(|time_us| {
            let whole_us = self.since_ns.div_euclid(1_000);
            time_us.checked_sub(whole_us)?.checked_mul(1_000)
        });
        let head = Head {
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
        };
        head.check()?;
        Ok(head)
    }

    fn parts(&self) -> Read<Parts> {
        let bids = wanted("bids", self.bids.as_ref())?;
        let asks = wanted("asks", self.asks.as_ref())?;
        let readable = match (bids, asks) {
            (Some(_), Some(_)) => true,
            (None, None) => false,
            _ => return Err(malformed("only one side is null")),
        };
        let Keyed(edges) = wanted("complete_to", self.complete_to.as_ref())?;
        let Keyed(coverage) = wanted("coverage", self.coverage.as_ref())?;
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
            bids: side(bids, edges.bids, coverage.bids)?,
            asks: side(asks, edges.asks, coverage.asks)?,
        })
    }

    fn counters(&self) -> Read<Counters> {
        let mut counters = Counters::default();
        for (name, value) in self.counters.iter().flatten() {
            // An unknown one was added by a later version.
            let _ = counters.set(name, *value);
        }
        Ok(counters)
    }

    fn update(&self) -> Read<Item> {
        let changes = match wanted("changes", self.changes.as_ref())? {
            None => None,
            Some(Keyed(changes)) => Some(Arc::new((
                changed(Side::Bids, &levels(&changes.bids)?)?,
                changed(Side::Asks, &levels(&changes.asks)?)?,
            ))),
        };
        let is_fresh = *wanted("is_fresh", self.is_fresh.as_ref())?;
        if is_fresh && changes.is_some() {
            return Err(malformed("it is a fresh update but has changes"));
        }
        Ok(Item {
            book: Arc::new(Frozen::from_parts(self.parts()?)?),
            skipped: *wanted("skipped", self.skipped.as_ref())?,
            is_fresh,
            changes,
        })
    }

    fn best(&self, head: &Head) -> Read<Option<BestPair>> {
        let Some(Keyed(best)) = wanted("best", self.best.as_ref())? else {
            return match head.status {
                Status::Synced => Err(malformed("it is synced but has no best levels")),
                _ => Ok(None),
            };
        };
        if head.last_update_id != Some(best.update_id) {
            return Err(malformed("its best levels have a different update id"));
        }
        let one = |which, side: &Option<Level<'_>>| match side {
            None => Ok::<_, BadMessage>(None),
            Some(found) => Ok(Some(best_level(which, level(found)?)?)),
        };
        let (bid, ask) = (one(Side::Bids, &best.bid)?, one(Side::Asks, &best.ask)?);
        head.check_best(bid.as_ref(), ask.as_ref())?;
        Ok(Some(BestPair {
            bid,
            ask,
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

/// A number from a string.
fn number(written: &str) -> Read<Number> {
    let inner = written
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let text = inner.ok_or_else(|| {
        malformed(format!(
            "{written} is not text; only text keeps all digits of a price or quantity"
        ))
    })?;
    let found = json::decimal(text.as_bytes())
        .map_err(|why| malformed(format!("{written} is not a price or quantity: {why}")))?;
    Ok(Number {
        mantissa: found.mantissa,
        scale: found.scale,
    })
}
