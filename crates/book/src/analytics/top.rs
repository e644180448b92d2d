//! Of both best levels: mid, spread, microprice.
//!
//! With b, a the best bid and ask and q(b), q(a) their quantities:
//!
//! - mid = (b + a) / 2.
//! - spread = a − b; in basis points of the mid: 10⁴ (a − b) / mid.
//! - microprice = (a q(b) + b q(a)) / (q(b) + q(a)), the mid weighted by the quantities of the other
//!   side: more bids draw it to the ask. This is what is commonly called so. Stoikov, "The micro-price: a
//!   high-frequency estimator of future prices", Quantitative Finance 18(12), 2018, calls this one the
//!   weighted mid and gives his name to an estimator fitted to a market's history, which no book can know.
//!
//! `complete`: both best levels are proven.

use super::exact::{Exact, Value};
use super::proves_top;
use crate::query::{NumberLevel, Reading};

/// A price between the best bid and the best ask.
#[derive(Clone, Debug)]
pub struct MidPrice {
    /// None where a side is empty.
    pub price: Option<Value>,
    /// Whether both best levels are proven.
    pub complete: bool,
    /// The id of the book.
    pub update_id: i64,
}

/// How far the best ask is from the best bid.
#[derive(Clone, Debug)]
pub struct Spread {
    /// In the quote asset; None where a side is empty.
    pub absolute: Option<Value>,
    /// In basis points of the mid.
    pub bps: Option<Value>,
    /// Whether both best levels are proven.
    pub complete: bool,
    /// The id of the book.
    pub update_id: i64,
}

/// Basis points of one.
pub const BPS: i64 = 10_000;

fn both(book: &dyn Reading) -> Option<(NumberLevel, NumberLevel)> {
    let best = book.best();
    best.bid.zip(best.ask)
}

/// The exact mid; None where a side is empty.
pub fn exact_mid(book: &dyn Reading) -> Option<Exact> {
    let (bid, ask) = both(book)?;
    Some(Exact::from(bid.price).plus(&ask.price.into()).half())
}

fn between(book: &dyn Reading, price: Option<Value>) -> MidPrice {
    MidPrice {
        price,
        complete: proves_top(book),
        update_id: book.best().update_id,
    }
}

/// The middle between the best prices.
pub fn mid(book: &dyn Reading) -> MidPrice {
    between(book, exact_mid(book).map(Value::Exact))
}

/// The mid weighted by the best quantities.
pub fn microprice(book: &dyn Reading) -> MidPrice {
    let weighted = both(book).and_then(|(bid, ask)| {
        let (bids, asks) = (Exact::from(bid.quantity), Exact::from(ask.quantity));
        let sum = Exact::from(ask.price)
            .times(&bids)
            .plus(&Exact::from(bid.price).times(&asks));
        Value::ratio(sum, bids.plus(&asks))
    });
    between(book, weighted)
}

/// The distance of the best prices.
pub fn spread(book: &dyn Reading) -> Spread {
    let absolute = both(book).map(|(bid, ask)| Exact::from(ask.price).minus(&bid.price.into()));
    let bps = absolute
        .as_ref()
        .zip(exact_mid(book))
        .and_then(|(spread, mid)| Value::ratio(spread.times(&Exact::whole(BPS)), mid));
    Spread {
        absolute: absolute.map(Value::Exact),
        bps,
        complete: proves_top(book),
        update_id: book.best().update_id,
    }
}
