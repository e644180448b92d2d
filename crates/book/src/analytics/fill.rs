//! What a taker would get: a market order of a size walks the other side from its best price on.
//!
//! Sizes are in base (so many coins) or in quote (for so much money). average = quote / base of what was
//! filled, worst = price of the last level that was touched, slippage in basis points of the mid:
//! 10⁴ (average − mid) / mid for a buyer, 10⁴ (mid − average) / mid for a seller; above 0 is worse than the
//! mid. Fees, minimum sizes and what others do meanwhile are no part of it.
//!
//! `complete`: every level that was touched is proven; where the book was not enough, the whole side is known.

use super::exact::{Bound, Exact, Total, Value};
use super::top::{BPS, best_of, exact_mid};
use super::{Taker, proves};
use crate::mantissa::power_of_ten;
use crate::query::{Number, Reading};

/// A size.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// In the base asset.
    Base(Number),
    /// In the quote asset.
    Quote(Number),
}

/// What a taker would get.
#[derive(Clone, Debug)]
pub struct Fill {
    /// quote / base; None where nothing is filled.
    pub average: Option<Value>,
    /// The price of the first level that was touched, between which and `worst` the average lies.
    pub first: Option<Exact>,
    /// The price of the last level that was touched.
    pub worst: Option<Value>,
    /// How much worse than the mid; None where there is no mid or nothing is filled.
    pub slippage_bps: Option<Value>,
    /// What is filled, in the base asset.
    pub base: Value,
    /// What is filled, in the quote asset.
    pub quote: Value,
    /// What is not, in the unit of the size.
    pub unfilled: Value,
    /// How many levels were touched.
    pub levels: usize,
    /// Whether every level that was touched is proven.
    pub complete: bool,
    /// The id of the book.
    pub update_id: i64,
}

/// Walk the other side until a size, above 0, is filled.
pub fn fill(book: &dyn Reading, taker: Taker, amount: Amount) -> Fill {
    let side = taker.side();
    let walked = match amount {
        Amount::Base(size) => fill_base(book, taker, size),
        Amount::Quote(size) => fill_quote(book, taker, size),
    };
    let Walked {
        base,
        quote,
        unfilled,
        worst,
        levels,
    } = walked;
    let last = if unfilled.is_zero() {
        levels.checked_sub(1)
    } else {
        None
    };
    // The quantity may be a quotient n / d; then base × mid is n × mid / d, and both sides are taken times d.
    let (numerator, denominator) = match &base {
        Value::Exact(base) => (base.clone(), Exact::whole(1)),
        Value::Ratio(numerator, denominator) => (numerator.clone(), denominator.clone()),
    };
    let paid = quote.times(&denominator);
    let slippage_bps = exact_mid(book).and_then(|mid| {
        let fair = numerator.times(&mid);
        let worse = match taker {
            Taker::Buy => paid.minus(&fair),
            Taker::Sell => fair.minus(&paid),
        };
        Value::ratio(worse.times(&Exact::whole(BPS)), fair)
    });
    Fill {
        average: Value::ratio(paid, numerator),
        first: best_of(book, side).ok().map(|best| best.price.into()),
        worst: worst.map(|price| Value::Exact(price.into())),
        slippage_bps,
        base,
        quote: Value::Exact(quote),
        unfilled: Value::Exact(unfilled),
        levels,
        complete: proves(book, side, last),
        update_id: book.best().update_id,
    }
}

struct Walked {
    base: Value,
    quote: Exact,
    unfilled: Exact,
    worst: Option<Number>,
    levels: usize,
}

fn fill_base(book: &dyn Reading, taker: Taker, size: Number) -> Walked {
    let (mut base, mut quote, mut worst, mut levels) =
        (Total::default(), Total::default(), None, 0);
    let (mut scale, mut price_scale, mut rest) = (u32::from(size.scale), 0, size.mantissa);
    for level in book.iter(taker.side()) {
        // All quantities of a side have one scale: the wider of it and the size's is that of the sums.
        let wide = level.quantity.scale.max(size.scale);
        if levels == 0 {
            rest *= power_of_ten(wide - size.scale);
            (scale, price_scale) = (wide.into(), u32::from(level.price.scale));
        }
        let held = level.quantity.mantissa * power_of_ten(wide - level.quantity.scale);
        let taken = held.min(rest);
        base.add(taken);
        quote.add_product(taken, level.price.mantissa);
        (worst, levels, rest) = (Some(level.price), levels + 1, rest - taken);
        if rest == 0 {
            break;
        }
    }
    let mut unfilled = Total::default();
    unfilled.add(rest);
    Walked {
        base: Value::Exact(base.exact(scale)),
        quote: quote.exact(scale + price_scale),
        unfilled: unfilled.exact(scale),
        worst,
        levels,
    }
}

fn fill_quote(book: &dyn Reading, taker: Taker, size: Number) -> Walked {
    let (mut base, mut spent, mut worst, mut levels) =
        (Total::default(), Total::default(), None, 0);
    let (mut quantity_scale, mut scale, mut bound) = (0, 0, None);
    let size = Exact::from(size);
    for level in book.iter(taker.side()) {
        // All levels of a side have the same scales.
        quantity_scale = u32::from(level.quantity.scale);
        scale = quantity_scale + u32::from(level.price.scale);
        (worst, levels) = (Some(level.price), levels + 1);
        let before = spent.clone();
        spent.add_product(level.price.mantissa, level.quantity.mantissa);
        let bound = bound.get_or_insert_with(|| Bound::new(&size, scale));
        if spent.is_above(bound) {
            // The rest buys rest / price of this level.
            let (rest, price) = (size.minus(&before.exact(scale)), Exact::from(level.price));
            let bought = base.exact(quantity_scale).times(&price).plus(&rest);
            return Walked {
                base: Value::Ratio(bought, price),
                quote: size,
                unfilled: Exact::whole(0),
                worst,
                levels,
            };
        }
        base.add(level.quantity.mantissa);
        if spent.is_at(bound) {
            break;
        }
    }
    let quote = spent.exact(scale);
    Walked {
        base: Value::Exact(base.exact(quantity_scale)),
        unfilled: size.minus(&quote),
        quote,
        worst,
        levels,
    }
}
