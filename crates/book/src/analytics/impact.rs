//! How much it takes to move the price.
//!
//! The size of a market order after which the best price of the side it takes from is x basis points away
//! from the best price before: the sum of all asks with price < best (1 + x/10⁴), or of all bids with
//! price > best (1 − x/10⁴).
//!
//! `complete`: the levels that are taken and the one that is then best are proven; where there
//! is none left, the whole side is known.

use super::depth::{Edge, limit, summed};
use super::exact::{Exact, Value};
use super::{Taker, proves};
use crate::query::{Number, Reading, Side};

/// How much it takes to move the price.
#[derive(Clone, Debug)]
pub struct SizeToMove {
    /// Σ quantity.
    pub base: Exact,
    /// Σ price × quantity.
    pub quote: Exact,
    /// The best price afterwards; None where the side is empty by then.
    pub price: Option<Value>,
    /// How many levels are taken.
    pub levels: usize,
    /// Whether all of it is proven.
    pub complete: bool,
    /// The id of the book.
    pub update_id: i64,
}

/// The size that moves the best price by so many basis points.
pub fn size_to_move(book: &dyn Reading, taker: Taker, bps: Number) -> SizeToMove {
    let side = taker.side();
    let best = match side {
        Side::Bids => book.best().bid,
        Side::Asks => book.best().ask,
    };
    let mut edge = best.map(|best| Edge::new(&limit(&best.price.into(), side, bps)));
    let mut next = None;
    let taken = book.iter(side).take_while(|level| {
        let stays = edge
            .as_mut()
            .is_some_and(|edge| edge.is_at_or_beyond(side, level.price));
        next = stays.then_some(level.price);
        !stays
    });
    let (base, quote, levels) = summed(taken);
    SizeToMove {
        base,
        quote,
        price: next.map(|price| Value::Exact(price.into())),
        levels,
        complete: proves(book, side, next.map(|_| levels)),
        update_id: book.best().update_id,
    }
}
