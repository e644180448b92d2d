//! How much rests near the mid, and how the sides compare: depth and imbalance.
//!
//! - depth within x basis points: all bids with price ≥ mid (1 − x/10⁴), all asks with price ≤
//!   mid (1 + x/10⁴); base = Σ quantity, quote = Σ price × quantity, per side.
//! - imbalance = (B − A) / (B + A) of the quantities B of the bids and A of the asks, from −1 (asks alone) to
//!   1 (bids alone); over the best n levels of each side, or over the levels within x basis points of the
//!   mid. Cartea, Jaimungal, Penalva, "Algorithmic and High-Frequency Trading", Cambridge 2015, chapter 12.
//!
//! `complete`: the mid is proven, and the complete range of each side that is summed reaches as far as the
//! sum does.

use super::exact::{Bound, Exact, Total, Value};
use super::proves_top;
use super::top::{BPS, exact_mid};
use crate::query::{CompleteTo, Number, NumberLevel, Reading, Side};

/// What rests in a part of one side.
#[derive(Clone, Debug)]
pub struct Depth {
    /// Σ quantity.
    pub base: Exact,
    /// Σ price × quantity.
    pub quote: Exact,
    /// How many levels.
    pub levels: usize,
    /// Whether all of the part is proven.
    pub complete: bool,
}

/// What rests within a distance of the mid.
#[derive(Clone, Debug)]
pub struct DepthWithin {
    /// Of the bids.
    pub bids: Depth,
    /// Of the asks.
    pub asks: Depth,
    /// The mid; None where a side is empty: nothing is within any distance then.
    pub mid: Option<Value>,
    /// The id of the book.
    pub update_id: i64,
}

/// How the sides compare.
#[derive(Clone, Debug)]
pub struct Imbalance {
    /// From −1 to 1; None where nothing rests on either side.
    pub ratio: Option<Value>,
    /// Σ quantity of the bids.
    pub bids: Exact,
    /// Σ quantity of the asks.
    pub asks: Exact,
    /// Whether both sums are proven.
    pub complete: bool,
    /// The id of the book.
    pub update_id: i64,
}

/// Add levels up.
pub fn summed(levels: impl Iterator<Item = NumberLevel>) -> (Exact, Exact, usize) {
    let (mut base, mut quote, mut count) = (Total::default(), Total::default(), 0);
    let (mut price_scale, mut quantity_scale) = (0, 0);
    for NumberLevel { price, quantity } in levels {
        base.add(quantity.mantissa);
        quote.add_product(price.mantissa, quantity.mantissa);
        (price_scale, quantity_scale) = (price.scale.into(), quantity.scale.into());
        count += 1;
    }
    (
        base.exact(quantity_scale),
        quote.exact(price_scale + quantity_scale),
        count,
    )
}

/// What rests within so many basis points of the mid.
pub fn depth_within(book: &dyn Reading, bps: Number) -> DepthWithin {
    let mid = exact_mid(book);
    let side = |side| match &mid {
        Some(mid) => near(book, side, &limit(mid, side, bps)),
        None => {
            let (base, quote, levels) = summed(std::iter::empty());
            let complete = false;
            Depth {
                base,
                quote,
                levels,
                complete,
            }
        }
    };
    let proven = proves_top(book);
    let (mut bids, mut asks) = (side(Side::Bids), side(Side::Asks));
    bids.complete = proven && (bids.complete || mid.is_none());
    asks.complete = proven && (asks.complete || mid.is_none());
    DepthWithin {
        bids,
        asks,
        mid: mid.map(Value::Exact),
        update_id: book.best().update_id,
    }
}

/// The farthest price that is still within so many basis points of another.
pub fn limit(from: &Exact, side: Side, bps: Number) -> Exact {
    let part = from.times(&bps.into());
    let whole = from.times(&Exact::whole(BPS));
    let sum = match side {
        Side::Bids => whole.minus(&part),
        Side::Asks => whole.plus(&part),
    };
    // Divided by 10⁴ exactly: four decimals more.
    sum.times(&Exact::from(Number {
        mantissa: 1,
        scale: 4,
    }))
}

fn near(book: &dyn Reading, side: Side, limit: &Exact) -> Depth {
    let mut edge = Edge::new(limit);
    let inside = book
        .iter(side)
        .take_while(|level| edge.is_within(side, level.price));
    let (base, quote, levels) = summed(inside);
    let complete = match book.complete_to(side) {
        CompleteTo::Nothing => false,
        CompleteTo::Price(edge) => match side {
            Side::Bids => !Exact::from(edge).is_above(limit),
            Side::Asks => !limit.is_above(&edge.into()),
        },
        CompleteTo::Whole => true,
    };
    Depth {
        base,
        quote,
        levels,
        complete,
    }
}

/// Prices of one scale, compared with a limit.
pub struct Edge {
    limit: Exact,
    bound: Option<Bound>,
}

impl Edge {
    /// A limit.
    pub fn new(limit: &Exact) -> Edge {
        Edge {
            limit: limit.clone(),
            bound: None,
        }
    }

    fn bound(&mut self, price: Number) -> &Bound {
        self.bound
            .get_or_insert_with(|| Bound::new(&self.limit, price.scale.into()))
    }

    /// Whether a price of a side is at the limit or nearer to the best.
    pub fn is_within(&mut self, side: Side, price: Number) -> bool {
        let bound = self.bound(price);
        match side {
            Side::Bids => bound.is_reached_by(price.mantissa),
            Side::Asks => bound.holds(price.mantissa),
        }
    }

    /// Whether a price of a side is at the limit or farther from the best.
    pub fn is_at_or_beyond(&mut self, side: Side, price: Number) -> bool {
        let bound = self.bound(price);
        match side {
            Side::Bids => bound.holds(price.mantissa),
            Side::Asks => bound.is_reached_by(price.mantissa),
        }
    }
}

/// Of the best `levels` of each side.
pub fn imbalance_of_levels(book: &dyn Reading, levels: usize) -> Imbalance {
    let [bids, asks] = [Side::Bids, Side::Asks].map(|side| {
        let run = book.levels(side, 0, levels);
        (summed(run.iter()).0, run.complete)
    });
    compared(book, (bids.0, asks.0), bids.1 && asks.1)
}

/// Of the levels within so many basis points of the mid.
pub fn imbalance_within(book: &dyn Reading, bps: Number) -> Imbalance {
    let DepthWithin { bids, asks, .. } = depth_within(book, bps);
    compared(book, (bids.base, asks.base), bids.complete && asks.complete)
}

fn compared(book: &dyn Reading, (bids, asks): (Exact, Exact), complete: bool) -> Imbalance {
    Imbalance {
        ratio: Value::ratio(bids.minus(&asks), bids.plus(&asks)),
        bids,
        asks,
        complete,
        update_id: book.best().update_id,
    }
}
