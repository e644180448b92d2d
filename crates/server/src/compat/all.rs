//! All books in one answer, which the old cluster had no path for: the best levels of both sides of each, of all nodes.

use std::borrow::Cow;

use depthcache_wire::writer::{Object, string};
use http::{Extensions, Request};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answers::{Asked, MOST_LEVELS, refused};
use crate::call::Call;
use crate::many;
use crate::parameters::{Query, USUAL_LEVELS};
use crate::problem::shortened;
use crate::shared::Shared;
use crate::table::ROUTES;

/// Many books, as `/v1/books` has them.
#[derive(Deserialize)]
struct Books<'a> {
    #[serde(borrow)]
    books: Vec<OneBook<'a>>,
    #[serde(borrow)]
    missing: Vec<MissingBook<'a>>,
}

#[derive(Deserialize)]
struct OneBook<'a> {
    #[serde(borrow)]
    exchange: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    asks: &'a RawValue,
    #[serde(borrow)]
    bids: &'a RawValue,
    event_time_us: Option<i64>,
    last_update_id: Option<i64>,
    received_time_us: Option<i64>,
}

#[derive(Deserialize)]
struct MissingBook<'a> {
    #[serde(borrow)]
    book: Cow<'a, str>,
    #[serde(borrow)]
    error: Reason<'a>,
}

#[derive(Deserialize)]
struct Reason<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// The answer: books by exchange and market, and those that cannot be read now.
pub async fn answer(asked: &Asked<'_>, shared: &std::sync::Arc<Shared>) -> Vec<u8> {
    let levels = match asked.given.get("levels") {
        None => Some(USUAL_LEVELS),
        Some(text) => text.parse().ok(),
    };
    let Some(levels) = levels.filter(|levels| (1..=MOST_LEVELS).contains(levels)) else {
        let given = shortened(asked.given.get("levels").unwrap_or_default());
        let words = format!("levels is '{given}'; allowed: 1 to {MOST_LEVELS}");
        return refused(asked, "#1025", &words);
    };
    let body = match read(shared, asked.extensions(), levels).await {
        Ok(body) => body,
        Err(words) => return refused(asked, "#6000", &words),
    };
    let Ok(Books { books, missing }) = serde_json::from_slice::<Books<'_>>(&body) else {
        return refused(
            asked,
            "#9000",
            "a bug in the server: the books cannot be read",
        );
    };
    asked.answer(|message| {
        let mut exchanges = message.object("depthcaches");
        for of_exchange in books.chunk_by(|one, other| one.exchange == other.exchange) {
            let mut markets = exchanges.object(&of_exchange[0].exchange);
            for book in of_exchange {
                let mut market = markets.object(&book.symbol);
                market
                    .key("asks")
                    .extend_from_slice(book.asks.get().as_bytes());
                market
                    .key("bids")
                    .extend_from_slice(book.bids.get().as_bytes());
                market.optional("event_time_us", book.event_time_us);
                market.optional("last_update_id", book.last_update_id);
                market.optional("received_time_us", book.received_time_us);
                market.end();
            }
            markets.end();
        }
        exchanges.end();
        let list = message.key("missing");
        list.push(b'[');
        for (index, each) in missing.iter().enumerate() {
            if index > 0 {
                list.push(b',');
            }
            let (exchange, market) = each.book.split_once('/').unwrap_or_default();
            let mut entry = Object::begin(list);
            entry.text("error_id", "#6000");
            entry.text("exchange", exchange);
            entry.text("market", market);
            string(entry.key("message"), &each.error.message);
            entry.end();
        }
        list.push(b']');
        message.text("result", "OK");
    })
}

/// Err: why there are none, for people.
async fn read(
    shared: &std::sync::Arc<Shared>,
    extensions: &Extensions,
    levels: usize,
) -> Result<bytes::Bytes, String> {
    let route = ROUTES.iter().find(|route| route.name == "list_books");
    let route = route.ok_or("there is no route for many books")?;
    let query = format!("symbols=*&levels={levels}&exact=false");
    let query = Query::parse(route, Some(&query)).map_err(|why| why.message().to_owned())?;
    let (mut request, ()) = Request::new(()).into_parts();
    request.extensions = extensions.clone(); // a node gets the books of this one alone
    let call = Call {
        shared,
        request: &request,
        query,
        path: Vec::new(),
    };
    let response = many::read(&call).await;
    let response = response.map_err(|why| why.message().to_owned())?;
    let body = response.into_body().collect().await;
    Ok(body.map_err(|why| why.to_string())?.to_bytes())
}
