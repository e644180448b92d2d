//! Depth snapshots: as deep as the book is complete, in the exchange's own digits.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use depthcache_book::market::Market;
use depthcache_book::query::{CompleteTo, LevelRun, Reading, Side};
use depthcache_book::status::Status;
use depthcache_wire::{DepthSnapshot, Family, depth_snapshot};
use http::HeaderName;

use super::admission::Admission;
use super::events::Head;
use super::refusal::{JSON, Refusal};
use super::rules::VenueRules;
use super::{Exchange, time_ms};
use crate::call::typed;
use crate::forwarding;
use crate::registry::Book;
use crate::shared::Shared;

/// Both sides at one update id.
pub async fn respond(
    exchange: &Exchange,
    shared: &Arc<Shared>,
    venue: &VenueRules,
    query: &HashMap<String, String>,
    admission: Admission,
) -> Result<Response, Refusal> {
    let (symbol, limit) = question(venue, query)?;
    if shared.cluster.is_some() && !admission.is_node {
        // Its own book in one look: between two of them it might cease to be readable.
        let own = shared
            .registry
            .find_to_read(false, Some(&venue.name), &symbol, false);
        if let Ok(book) = own
            && let Ok(read) = book.look(|market| read(market, &book, limit))
        {
            return Ok(encoded(venue, &book, &read));
        }
        let names = (&*venue.name, symbol.as_str());
        let answered = forwarding::depth(shared, names, &venue.depth_path, limit).await;
        if let Some(response) = answered.map_err(Refusal::later)? {
            return Ok(response);
        }
    }
    let book = exchange.book(shared, venue, &symbol, admission).await?;
    exchange.wait_begun(shared, &book).await;
    let read = book.look(|market| read(market, &book, limit))?;
    Ok(encoded(venue, &book, &read))
}

fn encoded(venue: &VenueRules, book: &Book, read: &Read) -> Response {
    let mut out = Vec::with_capacity(USUAL_BYTES * (read.bids.len() + read.asks.len()) + 128);
    let head = DepthSnapshot {
        family: venue.family,
        symbol: &book.symbol,
        update_id: read.update_id,
        event_time_ms: read.event_time_ms,
        transaction_time_ms: read.transaction_time_ms,
    };
    depth_snapshot(&mut out, &head, read.bids.iter(), read.asks.iter());
    let mut response = typed(JSON, out);
    response.headers_mut().insert(LIMIT, read.limit.into());
    response
}

/// The limit of the response: lower than requested if the book is complete to fewer levels. Without it clients would
/// take the last level for the end of the side.
const LIMIT: HeaderName = HeaderName::from_static("x-depthcache-limit");

const USUAL_BYTES: usize = 34;

/// Symbol and limit, refused as the exchange does (spot docs 2026-07-21; USD-M measured 2026-10-07).
fn question(
    venue: &VenueRules,
    query: &HashMap<String, String>,
) -> Result<(String, usize), Refusal> {
    const MOST_DIGITS: usize = 9;
    let symbol = query.get("symbol").map(String::as_str).unwrap_or_default();
    if symbol.is_empty() {
        let words = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
        return Err(Refusal::bad(-1102, words));
    }
    let symbol = match venue.family {
        Family::Linear | Family::Inverse => symbol.to_ascii_uppercase(),
        _ if symbol.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            return Err(Refusal::unknown_symbol());
        }
        _ => symbol.to_owned(),
    };
    let text = query.get("limit").map(String::as_str).unwrap_or_default();
    if text.is_empty() {
        return Ok((symbol, venue.usual_limit));
    }
    if text.len() > MOST_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let words =
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.";
        return Err(Refusal::bad(-1100, words));
    }
    let limit: usize = text.parse().unwrap_or_default();
    if venue.depth_limits.contains(&limit) {
        return Ok((symbol, limit));
    }
    if !venue.any_depth_limit {
        return Err(Refusal::bad(
            -4021,
            format!("{limit} is not valid depth limit"),
        ));
    }
    if limit == 0 {
        return Err(Refusal::bad(
            -1130,
            "Data sent for parameter 'limit' is not valid.",
        ));
    }
    let most = venue.depth_limits.last().copied().unwrap_or(limit);
    Ok((symbol, limit.min(most)))
}

struct Read {
    update_id: i64,
    event_time_ms: i64,
    transaction_time_ms: i64,
    bids: LevelRun,
    asks: LevelRun,
    limit: usize,
}

fn read(market: &Market, book: &Book, limit: usize) -> Result<Read, Refusal> {
    if let Err(why) = market.readable(false) {
        if why.status == Status::Closed {
            return Err(Refusal::unknown_symbol());
        }
        let name = format!("{} of {}", book.symbol, book.exchange);
        let words = format!("{name} is {} here: {}", why.status.as_str(), why.reason);
        return Err(Refusal::later(words));
    }
    let mut served = limit;
    let mut side = |side| {
        let complete = market.coverage(side);
        let is_whole = market.complete_to(side) == CompleteTo::Whole;
        if complete == 0 && !is_whole {
            let words = format!("No level of {} is proven to be complete now.", book.symbol);
            return Err(Refusal::later(words));
        }
        if complete < limit && !is_whole {
            served = served.min(complete);
        }
        Ok(market.levels(side, 0, limit.min(complete)))
    };
    let (bids, asks) = (side(Side::Bids)?, side(Side::Asks)?);
    let event_time_ms = market
        .event_time_us()
        .map_or_else(time_ms, |time_us| time_us / 1_000);
    let head = market.newest_diff().map(|diff| Head::of(&diff.event));
    Ok(Read {
        update_id: market.last_update_id().unwrap_or_default(),
        event_time_ms,
        transaction_time_ms: head
            .and_then(|head| head.transaction_time)
            .unwrap_or(event_time_ms),
        bids,
        asks,
        limit: served,
    })
}

#[cfg(test)]
mod tests {
    use depthcache_book::market::sequence::Continuity;
    use depthcache_book::offline::OfflineBook;

    use super::super::streams::tests::venue;
    use super::*;

    #[test]
    fn a_side_of_whose_range_nothing_is_left_is_no_whole_side() {
        let book = OfflineBook::new("x", Some("BTCUSDT"), Continuity::Contiguous, 1 << 20);
        let served = Book::new("x", "BTCUSDT", book.cell().clone(), None);
        let body = br#"{"lastUpdateId":10,"bids":[["9.00","1.00"]],"asks":[["11.00","1.00"]]}"#;
        book.load_snapshot(body, Some(1), None).expect("a snapshot");
        assert!(served.look(|market| read(market, &served, 5)).is_ok());
        let frame =
            br#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":11,"u":11,"b":[["9.00","0"]],"a":[]}"#;
        book.apply(frame).expect("a diff");
        let refused = served.look(|market| read(market, &served, 5)).err();
        assert_eq!(refused.map(|why| why.status.as_u16()), Some(503));
    }

    fn asked(any: bool, query: &str) -> Result<(String, usize), i32> {
        let family = if any { "spot" } else { "linear" };
        let mut venue = venue(family, 100);
        venue.any_depth_limit = any;
        let query = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        question(&venue, &query).map_err(|refusal| refusal.code)
    }

    #[test]
    fn limits_are_those_of_the_exchange() {
        let book = |limit| Ok(("BTCUSDT".to_owned(), limit));
        for (any, query, expected) in [
            (true, "symbol=BTCUSDT", book(10)),
            (true, "symbol=BTCUSDT&limit=7", book(7)),
            (true, "symbol=BTCUSDT&limit=6000", book(1_000)),
            (true, "symbol=BTCUSDT&limit=0", Err(-1130)),
            (true, "symbol=BTCUSDT&limit=-5", Err(-1100)),
            (true, "symbol=BTCUSDT&limit=9999999999", Err(-1100)),
            (true, "limit=5", Err(-1102)),
            (true, "symbol=btcusdt", Err(-1121)),
            (false, "symbol=btcusdt&limit=10", book(10)),
            (false, "symbol=BTCUSDT&limit=7", Err(-4021)),
            (false, "symbol=BTCUSDT&limit=", book(10)),
        ] {
            assert_eq!(asked(any, query), expected, "{query}");
        }
    }
}
