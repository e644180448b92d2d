//! Analytics of one book: what `fill`, `depth_within` and `imbalance` of a book return, as floats.

use axum::response::Response;
use depthcache_book::analytics::{self, Amount, Depth, Exact, Taker, Value};
use depthcache_book::query::Reading;
use depthcache_wire as wire;
use depthcache_wire::writer::Object;

use crate::books::look;
use crate::call::{Call, json};
use crate::problem::Problem;
use crate::registry::Book;

const ONE_OF_TWO: &str = "one of base and quote, the other left out";
const EITHER: &str = "levels or bps, not both";
const CONTRACTS: &str =
    "nothing on COIN-M, where quantities are contracts of a fixed value: give base";

/// What a market order would get.
pub async fn fill(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    let taker = match query.needed("side", "buy or sell")? {
        "buy" => Taker::Buy,
        "sell" => Taker::Sell,
        other => return Err(Problem::parameter("side", other, "buy or sell")),
    };
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
    Ok(json(out))
}

/// What rests within a distance of the mid.
pub async fn depth(call: &Call<'_>) -> Result<Response, Problem> {
    let bps = call.query.size("bps")?;
    let allowed = "a number above 0: the distance from the mid in basis points";
    let bps = bps.ok_or_else(|| Problem::parameter("bps", "", allowed))?;
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
    Ok(json(out))
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
    Ok(json(out))
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
