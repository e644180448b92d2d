//! Encode the messages of the schema: a book, an update, the best prices, a status.
//!
//! Books are copied from their market first (`Market::freeze`), so that no levels are written while a book is
//! locked.

use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::query::{BestPair, CompleteTo, NumberLevel, Reading, Side};

use crate::SCHEMA;
use crate::writer::{Numbers, Object, level, levels, null, number};

const SIDES: [(&str, Side); 2] = [("bids", Side::Bids), ("asks", Side::Asks)];

/// The format of a message.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The format of prices and quantities.
    pub numbers: Numbers,
    /// Whether the message of a book includes its counters.
    pub counters: bool,
}

/// A message of the type `book`.
pub fn book(out: &mut Vec<u8>, book: &Frozen, options: &Options) {
    let mut message = begin(out, "book");
    head(&mut message, book);
    body(&mut message, book, options);
    message.end();
}

/// A message of the type `update`.
pub fn update(out: &mut Vec<u8>, item: &Item, options: &Options) {
    let mut message = begin(out, "update");
    head(&mut message, &*item.book);
    message
        .key("skipped")
        .extend_from_slice(item.skipped.to_string().as_bytes());
    message.flag("is_fresh", item.is_fresh);
    match &item.changes {
        None => message.null("changes"),
        Some(changes) => {
            let mut changed = message.object("changes");
            levels(changed.key("bids"), changes.0.iter(), options.numbers);
            levels(changed.key("asks"), changes.1.iter(), options.numbers);
            changed.end();
        }
    }
    body(&mut message, &item.book, options);
    message.end();
}

/// A message of the type `best`; `pair` is None if the book cannot be read.
pub fn best(out: &mut Vec<u8>, book: &dyn Reading, pair: Option<BestPair>, options: &Options) {
    let mut message = begin(out, "best");
    head(&mut message, book);
    both(&mut message, pair, options.numbers);
    message.end();
}

/// A message of the type `status`.
pub fn status(out: &mut Vec<u8>, book: &dyn Reading) {
    let mut message = begin(out, "status");
    head(&mut message, book);
    message.end();
}

/// The line of a book in a list: the head without `schema` and `type`, then `age_s` (null before a snapshot),
/// `complete_to` and `coverage` as in a book, `levels`, how many each side holds, `updates`, how many were applied, and
/// `best` as in its message (null while the book cannot be read).
pub fn summary(out: &mut Vec<u8>, book: &dyn Reading, now_ns: i64, numbers: Numbers) {
    let mut line = Object::begin(out);
    head(&mut line, book);
    let age_ns = book
        .updated_ns()
        .map(|at_ns| now_ns.saturating_sub(at_ns).max(0));
    line.float("age_s", age_ns.map(|age_ns| age_ns as f64 / 1e9));
    proven(&mut line, book, numbers);
    let mut levels = line.object("levels");
    for (key, side) in SIDES {
        levels.integer(key, book.len(side) as i64);
    }
    levels.end();
    let updates = i64::try_from(book.counters().applied);
    line.integer("updates", updates.unwrap_or(i64::MAX));
    let pair = book.readable(false).is_ok().then(|| book.best());
    both(&mut line, pair, numbers);
    line.end();
}

fn begin<'a>(out: &'a mut Vec<u8>, kind: &str) -> Object<'a> {
    let mut message = Object::begin(out);
    message.integer("schema", SCHEMA.into());
    message.text("type", kind);
    message
}

fn head(message: &mut Object<'_>, book: &dyn Reading) {
    let offset_ns = book.wall_offset_ns();
    let since_1970_us =
        |at_ns: Option<i64>| Some(at_ns?.saturating_add(offset_ns?).div_euclid(1_000));
    let status_info = book.status_info();
    message.text("exchange", book.exchange());
    message.text("symbol", book.symbol().unwrap_or_default());
    message.flag("inverse", book.inverse());
    message.text("status", status_info.status.as_str());
    message.text("reason", status_info.reason);
    message.integer("since_ns", status_info.since_ns);
    message.optional("since_time_us", since_1970_us(Some(status_info.since_ns)));
    message.flag("unconfirmed", book.unconfirmed());
    message.optional("last_update_id", book.last_update_id());
    message.optional("event_time_us", book.event_time_us());
    message.optional("updated_ns", book.updated_ns());
    message.optional("received_time_us", since_1970_us(book.updated_ns()));
    message.optional("confirmed_ns", book.confirmed_ns());
    message.optional("confirmed_time_us", since_1970_us(book.confirmed_ns()));
}

fn body(message: &mut Object<'_>, book: &Frozen, options: &Options) {
    message.flag("complete", book.complete());
    proven(message, book, options.numbers);
    let is_readable = book.readable(true).is_ok();
    for (key, side) in SIDES {
        match is_readable {
            true => levels(message.key(key), book.run(side).iter(), options.numbers),
            false => message.null(key),
        }
    }
    if options.counters {
        let mut counters = message.object("counters");
        for (name, count) in book.counters().named() {
            counters
                .key(name)
                .extend_from_slice(count.to_string().as_bytes());
        }
        counters.end();
    }
}

/// How far each side is proven.
fn proven(message: &mut Object<'_>, book: &dyn Reading, numbers: Numbers) {
    let mut edges = message.object("complete_to");
    for (key, side) in SIDES {
        match book.complete_to(side) {
            CompleteTo::Nothing => edges.null(key),
            CompleteTo::Price(price) => number(edges.key(key), price, numbers),
            CompleteTo::Whole => edges.text(key, "all"),
        }
    }
    edges.end();
    let mut coverage = message.object("coverage");
    for (key, side) in SIDES {
        coverage.integer(key, book.coverage(side) as i64);
    }
    coverage.end();
}

/// Both best levels, or null.
fn both(message: &mut Object<'_>, pair: Option<BestPair>, numbers: Numbers) {
    match pair {
        None => message.null("best"),
        Some(pair) => {
            let mut both = message.object("best");
            for (key, side) in [("bid", pair.bid), ("ask", pair.ask)] {
                optional_level(both.key(key), side, numbers);
            }
            both.integer("update_id", pair.update_id);
            both.end();
        }
    }
}

fn optional_level(out: &mut Vec<u8>, side: Option<NumberLevel>, numbers: Numbers) {
    match side {
        Some(found) => level(out, found, numbers),
        None => null(out),
    }
}
