//! Analytics of the best levels: mid, spread, microprice.
//!
//! With b, a the best bid and ask and q(b), q(a) their quantities:
//!
//! - mid = (b + a) / 2.
//! - spread = a − b; in basis points of the mid: 10⁴ (a − b) / mid.
//! - microprice = (a q(b) + b q(a)) / (q(b) + q(a)), the mid weighted by the quantities of the other
//!   side: more bids draw it to the ask. This is what is commonly called so. Stoikov, "The micro-price: a
//!   high-frequency estimator of future prices", Quantitative Finance 18(12), 2018, calls this one the
//!   weighted mid and gives his name to an estimator fitted to a market's history, which no book can know.

use super::exact::{Exact, Value};
use crate::query::{NumberLevel, Reading, Side};

/// A side that has no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptySide(pub Side);

/// What the best levels give, or which side has none.
pub type OfBest<T> = Result<T, EmptySide>;

/// Basis points of one.
pub const BPS: i64 = 10_000;

/// The best level of a side.
pub fn best_of(book: &dyn Reading, side: Side) -> OfBest<NumberLevel> {
    let best = book.best();
    let found = match side {
        Side::Bids => best.bid,
        Side::Asks => best.ask,
    };
    found.ok_or(EmptySide(side))
}

fn both(book: &dyn Reading) -> OfBest<(NumberLevel, NumberLevel)> {
    let best = book.best();
    Ok((
        best.bid.ok_or(EmptySide(Side::Bids))?,
        best.ask.ok_or(EmptySide(Side::Asks))?,
    ))
}

/// The exact mid; None where a side is empty.
pub fn exact_mid(book: &dyn Reading) -> Option<Exact> {
    let (bid, ask) = both(book).ok()?;
    Some(middle(bid, ask))
}

fn middle(bid: NumberLevel, ask: NumberLevel) -> Exact {
    Exact::from(bid.price).plus(&ask.price.into()).half()
}

fn distance(bid: NumberLevel, ask: NumberLevel) -> Exact {
    Exact::from(ask.price).minus(&bid.price.into())
}

/// A quotient; 0 where it would be of 0, which no book that can be read has.
fn ratio(numerator: Exact, denominator: Exact) -> Value {
    Value::ratio(numerator, denominator).unwrap_or(Value::Exact(Exact::whole(0)))
}

/// The middle between the best prices.
pub fn mid(book: &dyn Reading) -> OfBest<Value> {
    let (bid, ask) = both(book)?;
    Ok(Value::Exact(middle(bid, ask)))
}

/// The mid weighted by the best quantities, and both best prices, between which it lies.
pub fn microprice(book: &dyn Reading) -> OfBest<(Value, [Exact; 2])> {
    let (bid, ask) = both(book)?;
    let (bids, asks) = (Exact::from(bid.quantity), Exact::from(ask.quantity));
    let (low, high) = (Exact::from(bid.price), Exact::from(ask.price));
    let sum = high.times(&bids).plus(&low.times(&asks));
    Ok((ratio(sum, bids.plus(&asks)), [low, high]))
}

/// The distance of the best prices, in the quote asset.
pub fn spread(book: &dyn Reading) -> OfBest<Value> {
    let (bid, ask) = both(book)?;
    Ok(Value::Exact(distance(bid, ask)))
}

/// The same in basis points of the mid.
pub fn spread_bps(book: &dyn Reading) -> OfBest<Value> {
    let (bid, ask) = both(book)?;
    let in_bps = distance(bid, ask).times(&Exact::whole(BPS));
    Ok(ratio(in_bps, middle(bid, ask)))
}
