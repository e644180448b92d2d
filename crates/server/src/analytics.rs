//! Analytics of one book: what `fill`, `depth_within` and `imbalance` of a book return, as floats.

use axum::response::Response;
use depthcache_book::analytics::{self, Amount, Depth, Exact, Taker, Value};
use depthcache_book::query::{Number, Reading, Side};
use depthcache_wire as wire;
use depthcache_wire::writer::{self, Object};

use crate::books::look;
use crate::call::Call;
use crate::parameters::{GROUP, parse_group};
use crate::problem::Problem;
use crate::registry::Book;

const ONE_OF_TWO: &str = "one of base and quote, the other left out";
const EITHER: &str = "levels or bps, not both";
const CONTRACTS: &str =
    "nothing on COIN-M, where quantities are contracts of a fixed value: give base";

/// What a market order would get.
pub async fn fill(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    let taker = taker(call)?;
    let (base, quote) = (query.size("base")?, query.size("quote")?);
    let amount = match (base, quote) {
        (Some(base), None) => Amount::Base(base),
        (None, Some(quote)) => Amount::Quote(quote),
        _ => {
            let given = query.get("base").unwrap_or_default();
            return Err(Problem::parameter("base", given, ONE_OF_TWO));
        }
    };
    let book = call.settled_book().await?;
    let is_inverse = book.look(|market| market.inverse());
    if let (true, Some(text)) = (is_inverse, query.get("quote")) {
        return Err(Problem::parameter("quote", text, CONTRACTS));
    }
    let (mut found, touched, mid) = look(&book, query.policy()?, |market| {
        let found = analytics::fill(market, taker, amount);
        let most = if is_inverse { found.levels } else { 0 };
        let touched: Vec<_> = market.iter(taker.side()).take(most).collect();
        (found, touched, analytics::exact_mid(market))
    })?;
    if let (true, Value::Exact(base)) = (is_inverse, &found.base) {
        let average = analytics::average_of_contracts(&touched, base, mid.as_ref(), taker);
        (found.average, found.slippage_bps) = average
            .map_or((None, None), |(average, slippage)| {
                (Some(average), slippage)
            });
    }
    let mut out = Vec::new();
    let mut message = begin(&mut out, "fill", &book);
    message.float("average", float(&found.average));
    message.float("worst", float(&found.worst));
    message.float("slippage_bps", float(&found.slippage_bps));
    message.float("base", Some(found.base.to_f64()));
    message.float("quote", (!is_inverse).then(|| found.quote.to_f64()));
    message.float("unfilled", Some(found.unfilled.to_f64()));
    message.integer("levels", found.levels as i64);
    message.flag("complete", found.complete);
    message.integer("update_id", found.update_id);
    message.end();
    Ok(call.answer(out))
}

/// What rests within a distance of the mid.
pub async fn depth(call: &Call<'_>) -> Result<Response, Problem> {
    let bps = needed_bps(call)?;
    let book = call.settled_book().await?;
    let (found, is_inverse) = look(&book, call.query.policy()?, |market| {
        (analytics::depth_within(market, bps), market.inverse())
    })?;
    let mut out = Vec::new();
    let mut message = begin(&mut out, "depth", &book);
    for (key, side) in [("bids", &found.bids), ("asks", &found.asks)] {
        of_side(message.object(key), side, is_inverse);
    }
    message.float("mid", float(&found.mid));
    message.integer("update_id", found.update_id);
    message.end();
    Ok(call.answer(out))
}

fn of_side(mut side: Object<'_>, found: &Depth, is_inverse: bool) {
    let money = |amount: &Exact| (!is_inverse).then(|| amount.to_f64());
    side.float("base", Some(found.base.to_f64()));
    side.float("quote", money(&found.quote));
    side.integer("levels", found.levels as i64);
    side.flag("complete", found.complete);
    side.end();
}

/// How the sides compare.
pub async fn imbalance(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    let bps = query.size("bps")?;
    let levels = match (query.get("levels"), bps) {
        (Some(text), Some(_)) => return Err(Problem::parameter("levels", text, EITHER)),
        (Some(text), None) => {
            let allowed = "a whole number, 1 or more, or all";
            match query.levels()? {
                0 => return Err(Problem::parameter("levels", text, allowed)),
                count => count,
            }
        }
        (None, _) => 1,
    };
    let book = call.settled_book().await?;
    let found = look(&book, query.policy()?, |market| match bps {
        Some(bps) => analytics::imbalance_within(market, bps),
        // Of a copy: a book that is read itself is deepened for its reader.
        None => analytics::imbalance_of_levels(&market.copy(levels), levels),
    })?;
    let mut out = Vec::new();
    let mut message = begin(&mut out, "imbalance", &book);
    message.float("ratio", float(&found.ratio));
    message.float("bids", Some(found.bids.to_f64()));
    message.float("asks", Some(found.asks.to_f64()));
    message.flag("complete", found.complete);
    message.integer("update_id", found.update_id);
    message.end();
    Ok(call.answer(out))
}

/// Prices made of the best levels; null where a side is empty.
pub async fn prices(call: &Call<'_>) -> Result<Response, Problem> {
    let policy = call.query.policy()?;
    let book = call.settled_book().await?;
    let found = look(&book, policy, |market| market.copy(1))?;
    let value = |value: analytics::OfBest<Value>| value.ok().map(|value| value.to_f64());
    let mut out = Vec::new();
    let mut message = begin(&mut out, "prices", &book);
    let best = found.best();
    for (key, level) in [("bid", best.bid), ("ask", best.ask)] {
        message.float(key, level.map(|level| level.price.to_f64()));
    }
    message.float("mid", value(analytics::mid(&found)));
    message.float(
        "microprice",
        value(analytics::microprice(&found).map(|(price, _)| price)),
    );
    message.float("spread", value(analytics::spread(&found)));
    message.float("spread_bps", value(analytics::spread_bps(&found)));
    message.flag("complete", found.complete());
    message.integer("update_id", best.update_id);
    message.end();
    Ok(call.answer(out))
}

/// What a market order takes that moves the best price so far.
pub async fn size_to_move(call: &Call<'_>) -> Result<Response, Problem> {
    let (taker, bps) = (taker(call)?, needed_bps(call)?);
    let policy = call.query.policy()?;
    let book = call.settled_book().await?;
    let (found, is_inverse) = look(&book, policy, |market| {
        let found = analytics::size_to_move(market, taker, bps);
        (found, market.inverse())
    })?;
    let mut out = Vec::new();
    let mut message = begin(&mut out, "size_to_move", &book);
    message.float("base", Some(found.base.to_f64()));
    message.float("quote", (!is_inverse).then(|| found.quote.to_f64()));
    message.float("price", float(&found.price));
    message.integer("levels", found.levels as i64);
    message.flag("complete", found.complete);
    message.integer("update_id", found.update_id);
    message.end();
    Ok(call.answer(out))
}

/// Levels summed at multiples of a price step, best first.
pub async fn grouped(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    let given = query.needed("group", GROUP)?;
    let group = parse_group(given).ok_or_else(|| Problem::parameter("group", given, GROUP))?;
    let (groups, policy) = (query.levels()?, query.policy()?);
    let book = call.settled_book().await?;
    // Of a copy: sums of a whole side are not made while the book is held.
    let found = look(&book, policy, |market| market.copy(usize::MAX))?;
    let mut out = Vec::new();
    let mut message = begin(&mut out, "grouped", &book);
    let mut complete = true;
    for (key, side) in [("bids", Side::Bids), ("asks", Side::Asks)] {
        let side = analytics::grouped(&found, side, group, groups);
        complete &= side.complete;
        let out = message.key(key);
        out.push(b'[');
        for (index, level) in side.groups.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            writer::float(out, Some(level.price.to_f64()));
            out.push(b',');
            writer::float(out, Some(level.quantity.to_f64()));
            out.push(b']');
        }
        out.push(b']');
    }
    message.float("group", Some(group.to_f64()));
    message.flag("complete", complete);
    message.integer("update_id", found.best().update_id);
    message.end();
    Ok(call.answer(out))
}

fn taker(call: &Call<'_>) -> Result<Taker, Problem> {
    match call.query.needed("side", "buy or sell")? {
        "buy" => Ok(Taker::Buy),
        "sell" => Ok(Taker::Sell),
        other => Err(Problem::parameter("side", other, "buy or sell")),
    }
}

fn needed_bps(call: &Call<'_>) -> Result<Number, Problem> {
    let allowed = "a number above 0: the distance in basis points";
    let bps = call.query.size("bps")?;
    bps.ok_or_else(|| Problem::parameter("bps", "", allowed))
}

fn begin<'a>(out: &'a mut Vec<u8>, kind: &str, book: &Book) -> Object<'a> {
    let mut message = Object::begin(out);
    message.integer("schema", wire::SCHEMA.into());
    message.text("type", kind);
    message.text("exchange", &book.exchange);
    message.text("symbol", &book.symbol);
    message
}

fn float(value: &Option<Value>) -> Option<f64> {
    value.as_ref().map(Value::to_f64)
}
