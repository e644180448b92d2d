//! Levels worth up to an amount of the quote asset.
//!
//! From the best on, a level is taken while the value so far and its own (price × quantity) together are not
//! above the amount; the first level is taken always. The first that does not fit ends it. So does
//! `threshold_volume` of unicorn-binance-local-depth-cache 2.8 to 2.14, in floats there and exactly here.
//!
//! `complete`: the levels that are taken and the one that ended it are proven; where there is none, the whole
//! side is known.

use super::exact::{Bound, Total};
use super::proves;
use crate::query::{Number, Reading, Side};

/// How many levels fit.
#[derive(Clone, Copy, Debug)]
pub struct UpToValue {
    /// The best so many.
    pub levels: usize,
    /// Whether it is proven that these are all.
    pub complete: bool,
}

/// How many of the best levels of a side are worth up to an amount.
pub fn up_to_value(book: &dyn Reading, side: Side, amount: Number) -> UpToValue {
    let (mut total, mut levels, mut ended) = (Total::default(), 0, false);
    let mut bound = None;
    for level in book.iter(side) {
        let before_is_zero = total.is_zero();
        total.add_product(level.price.mantissa, level.quantity.mantissa);
        // All levels of a side have the same scales.
        let scale = u32::from(level.price.scale) + u32::from(level.quantity.scale);
        let bound = bound.get_or_insert_with(|| Bound::new(&amount.into(), scale));
        if !before_is_zero && total.is_above(bound) {
            ended = true;
            break;
        }
        levels += 1;
    }
    UpToValue {
        levels,
        complete: proves(book, side, ended.then_some(levels)),
    }
}
