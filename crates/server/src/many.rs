//! Many books in one response: as JSON, or as a stream of Arrow by `Accept`.

use std::collections::HashSet;

use axum::response::Response;
use depthcache_book::frozen::Frozen;
use depthcache_book::query::{Reading, Side};
use depthcache_wire as wire;
use depthcache_wire::Numbers;
use http::HeaderValue;
use http::header::ACCEPT;

use crate::books::{TURN, begin, look, missing, usual_bytes};
use crate::call::{Call, json, typed};
use crate::columns;
use crate::parameters::Pattern;
use crate::problem::Problem;
use crate::registry::Book;

/// The media type of a stream of Arrow.
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Levels of a response, all books together: some 40 MB.
const MOST_LEVELS: usize = 1_000_000;

/// The best levels of the books that `symbols` names, each at one update id; what cannot be read is listed as
/// missing, with the reason.
pub async fn read(call: &Call<'_>) -> Result<Response, Problem> {
    let query = &call.query;
    for name in ["symbol", "status", "limit", "cursor"] {
        if let Some(value) = query.get(name) {
            return Err(Problem::parameter(
                name,
                value,
                "nothing together with symbols",
            ));
        }
    }
    let (levels, policy, numbers) = (query.levels()?, query.policy()?, query.numbers()?);
    let (books, mut absent) = chosen(call)?;
    call.settle(&books).await?;
    let mut frozen = Vec::with_capacity(books.len());
    let mut held = 0;
    for (index, book) in books.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        match look(book, policy, |market| market.copy(levels)) {
            Ok(copy) => {
                held += copy.len(Side::Bids) + copy.len(Side::Asks);
                frozen.push(copy);
            }
            Err(why) => absent.push((book.name(), why)),
        }
        if held > MOST_LEVELS {
            let given = query.get("levels").unwrap_or_default();
            let allowed = format!("so few that a response has at most {MOST_LEVELS} levels");
            return Err(Problem::parameter("levels", given, allowed));
        }
    }
    if wants_arrow(call) {
        let body = columns::stream(&frozen, numbers == Numbers::Text, &listed(&absent));
        return Ok(typed(HeaderValue::from_static(ARROW), body));
    }
    Ok(json(encoded(&frozen, numbers, &absent).await))
}

async fn encoded(books: &[Frozen], numbers: Numbers, absent: &[(String, Problem)]) -> Vec<u8> {
    let options = wire::Options {
        numbers,
        counters: false,
    };
    let mut out = Vec::with_capacity(books.iter().map(usual_bytes).sum());
    let mut message = begin(&mut out);
    let list = message.key("books");
    list.push(b'[');
    for (index, book) in books.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        if index > 0 {
            list.push(b',');
        }
        wire::book(list, book, &options);
    }
    list.push(b']');
    message.key("missing").extend_from_slice(&listed(absent));
    message.end();
    out
}

fn listed(absent: &[(String, Problem)]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, (name, problem)) in absent.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        missing(&mut out, name, problem);
    }
    out.push(b']');
    out
}

type Absent = Vec<(String, Problem)>;

/// The books that are meant, each once, and the names of those that are not held.
fn chosen(call: &Call<'_>) -> Result<(Vec<Book>, Absent), Problem> {
    /// More names than books of any exchange.
    const MOST: usize = 5_000;
    /// Each pattern is compared with every book, and so is a name that is not held, to name its neighbours.
    const MOST_PATTERNS: usize = 16;
    let registry = &call.shared.registry;
    let exchange = call
        .query
        .get("exchange")
        .map(|name| registry.exchange(name));
    let text = call
        .query
        .needed("symbols", "symbols with commas between them")?;
    let (mut books, mut absent) = (Vec::<Book>::new(), Absent::new());
    let mut seen = HashSet::new();
    let mut patterns = 0;
    for (index, name) in text.split(',').enumerate() {
        if index == MOST {
            return Err(Problem::parameter(
                "symbols",
                text,
                format!("{MOST} names at most"),
            ));
        }
        let (of_exchange, symbol) = match name.split_once('/') {
            Some((exchange, symbol)) => (Some(registry.exchange(exchange)), symbol),
            None => (exchange.clone(), name),
        };
        let of_exchange = of_exchange.as_deref();
        let found = if Pattern::is_in(symbol) {
            patterns += 1;
            if patterns > MOST_PATTERNS {
                let allowed = format!("{MOST_PATTERNS} patterns at most");
                return Err(Problem::parameter("symbols", text, allowed));
            }
            let pattern = Pattern::parse("symbols", symbol)?;
            let mut all = registry.all();
            all.retain(|book| {
                of_exchange.is_none_or(|name| name == &*book.exchange)
                    && pattern.matches(&book.symbol)
            });
            Ok(all)
        } else {
            let hints = absent.len() < MOST_PATTERNS;
            let found = registry.find(of_exchange, symbol, hints);
            found.map(|book| vec![book])
        };
        match found {
            Ok(found) => books.extend(
                found
                    .into_iter()
                    .filter(|book| seen.insert((book.exchange.clone(), book.symbol.clone()))),
            ),
            Err(why) => absent.push((name.to_owned(), why)),
        }
    }
    Ok((books, absent))
}

/// Whether the sender names Arrow among what it accepts.
fn wants_arrow(call: &Call<'_>) -> bool {
    let mut accepted = call.request.headers.get_all(ACCEPT).iter();
    accepted.any(|header| {
        let text = header.to_str().unwrap_or_default();
        text.split(',')
            .filter_map(|each| each.split(';').next())
            .any(|kind| kind.trim().eq_ignore_ascii_case(ARROW))
    })
}
