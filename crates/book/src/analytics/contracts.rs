//! The average of contracts of a fixed value each (COIN-M): contracts / Σ (contracts / price).
//!
//! It is the one that the exchange reports, for any contract value.

use super::Taker;
use super::exact::{Exact, Value};
use super::top::BPS;
use crate::query::NumberLevel;

/// Average price of `base` contracts taken from these levels, the best first, and its slippage in basis
/// points of the mid; None where nothing is taken.
pub fn average_of_contracts(
    touched: &[NumberLevel],
    base: &Exact,
    mid: Option<&Exact>,
    taker: Taker,
) -> Option<(Value, Option<Value>)> {
    let mut rest = base.clone();
    // Their coins as one fraction: Σ taken / price.
    let (mut coins, mut prices) = (Exact::whole(0), Exact::whole(1));
    for level in touched {
        let (held, price) = (Exact::from(level.quantity), Exact::from(level.price));
        let taken = if held.is_above(&rest) {
            rest.clone()
        } else {
            held
        };
        rest = rest.minus(&taken);
        coins = coins.times(&price).plus(&taken.times(&prices));
        prices = prices.times(&price);
    }
    let paid = base.times(&prices);
    let slippage = mid.and_then(|mid| {
        let fair = mid.times(&coins);
        let worse = match taker {
            Taker::Buy => paid.minus(&fair),
            Taker::Sell => fair.minus(&paid),
        };
        Value::ratio(worse.times(&Exact::whole(BPS)), fair)
    });
    Some((Value::ratio(paid, coins)?, slippage))
}
