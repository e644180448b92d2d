//! One book, and the list of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use depthcache_book::frozen::Frozen;
use depthcache_book::market::Market;
use depthcache_book::query::{ReadPolicy, Reading, Side};
use depthcache_book::status::{Refusal, Status};
use depthcache_wire as wire;
use depthcache_wire::writer::{Object, string};
use http::header::ETAG;
use http::{HeaderValue, StatusCode};

use crate::call::{Call, json};
use crate::cluster::{Cluster, ClusterBook};
use crate::kept::KeptBody;
use crate::parameters::Pattern;
use crate::problem::{Fact, Problem, shortened};
use crate::registry::Book;
use crate::shared::{self, Shared};

/// After so many seconds a book that is not synced may be.
const RETRY_S: u32 = 1;

/// Look-ups between two turns of other requests on the same worker.
pub const TURN: usize = 64;

/// Both sides at one update id.
pub async fn read(call: &Call<'_>) -> Result<Response, Problem> {
    let (levels, policy) = (call.query.levels()?, call.query.policy()?);
    let options = wire::Options {
        numbers: call.query.numbers()?,
        counters: false,
    };
    let book = call.settled_book().await?;
    if let Some(kept) = book.kept(levels, options.numbers, policy) {
        return Ok(tagged(call, kept.tag, || kept.body));
    }
    let (version, is_kept, tag, frozen) = book
        .look_at_version(|market, version| {
            policy.check(market, || book.now_ns())?;
            let tag = entity_tag(&book, market);
            let frozen = (!is_known(call, &tag)).then(|| market.copy(levels));
            // What is served stale is nobody else's.
            Ok((version, market.readable(false).is_ok(), tag, frozen))
        })
        .map_err(|why| refused(&book, &why))?;
    let body = frozen.map(|frozen| {
        let view = book.kept_view(version, levels, options.numbers);
        let mut out = Vec::with_capacity(usual_bytes(&frozen));
        wire::book(&mut out, &frozen, &options);
        call.shared.sign(&mut out);
        let body = Bytes::from(out);
        if is_kept && view.wall_offset_ns == frozen.wall_offset_ns() {
            book.keep(KeptBody {
                view,
                updated_ns: frozen.updated_ns(),
                tag: tag.clone(),
                body: body.clone(),
            });
        }
        body
    });
    Ok(tagged(call, tag, || body.unwrap_or_default()))
}

/// A response with a tag, without a body where its sender has that.
fn tagged(call: &Call<'_>, tag: HeaderValue, body: impl FnOnce() -> Bytes) -> Response {
    let mut response = match is_known(call, &tag) {
        false => json(body()),
        true => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
    };
    response.headers_mut().insert(ETAG, tag);
    response
}

/// How long the message of a book usually is.
pub fn usual_bytes(book: &Frozen) -> usize {
    const HEAD: usize = 640;
    const LEVEL: usize = 36;
    HEAD + LEVEL * (book.len(Side::Bids) + book.len(Side::Asks))
}

/// Both best levels.
pub async fn best(call: &Call<'_>) -> Result<Response, Problem> {
    let book = call.settled_book().await?;
    let options = wire::Options {
        numbers: call.query.numbers()?,
        counters: false,
    };
    let out = look(&book, call.query.policy()?, |market| {
        let mut out = Vec::new();
        wire::best(&mut out, market, Some(market.best()), &options);
        out
    })?;
    Ok(call.answer(out))
}

/// Copy out of a book that may be read, or say why it may not.
pub fn look<T>(
    book: &Book,
    policy: ReadPolicy,
    copy: impl FnOnce(&Market) -> T,
) -> Result<T, Problem> {
    book.look(|market| {
        policy
            .check(market, || book.now_ns())
            .map(|()| copy(market))
    })
    .map_err(|why| refused(book, &why))
}

/// The list of books, page by page.
pub async fn list(call: &Call<'_>) -> Result<Response, Problem> {
    const USUAL: usize = 100;
    const MOST: usize = 1_000;
    let query = &call.query;
    for name in ["levels", "exact", "on_stale", "max_age", "wait_s"] {
        if let Some(value) = query.get(name) {
            return Err(Problem::parameter(name, value, "nothing without symbols"));
        }
    }
    let limit = query.count("limit", USUAL, MOST)?;
    let status = match query.get("status") {
        None => None,
        Some(word) => Some(Status::parse(word).ok_or_else(|| {
            let words: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
            Problem::parameter("status", word, words.join(", "))
        })?),
    };
    let symbol = query
        .get("symbol")
        .map(|text| Pattern::parse("symbol", text))
        .transpose()?;
    let after = query.get("cursor").map(cursor).transpose()?;
    let registry = &call.shared.registry;
    let exchange = query.get("exchange").map(|name| registry.exchange(name));
    let mut out = Vec::new();
    let mut message = begin(&mut out);
    let (mut count, mut last) = (0, None);
    let mut next = None;
    let list = message.key("books");
    list.push(b'[');
    for (index, line) in lines(call.shared, call.cluster().map(|cluster| &**cluster))
        .into_iter()
        .enumerate()
    {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let (of_exchange, of_symbol) = line.names();
        let is_wanted = exchange.as_ref().is_none_or(|name| name == of_exchange)
            && symbol
                .as_ref()
                .is_none_or(|pattern| pattern.matches(of_symbol))
            && after.is_none_or(|after| after < (&**of_exchange, &**of_symbol));
        if !is_wanted {
            continue;
        }
        let start = list.len();
        if count > 0 {
            list.push(b',');
        }
        if !line.write(list, status) {
            list.truncate(start);
            continue;
        }
        if count == limit {
            list.truncate(start);
            next = last;
            break;
        }
        count += 1;
        last = Some(format!("{of_exchange}/{of_symbol}"));
    }
    list.push(b']');
    match next {
        Some(next) => message.text("next", &next),
        None => message.null("next"),
    }
    message.end();
    Ok(json(out))
}

/// A book in the list: held here, or by other nodes alone.
pub enum Line {
    Here(Book),
    Elsewhere(Arc<ClusterBook>),
}

impl Line {
    /// Exchange and symbol.
    pub fn names(&self) -> (&Arc<str>, &Arc<str>) {
        match self {
            Line::Here(book) => (&book.exchange, &book.symbol),
            Line::Elsewhere(book) => (&book.exchange, &book.symbol),
        }
    }

    /// Write it, unless it has another status than the one wanted; whether that was done.
    fn write(&self, list: &mut Vec<u8>, wanted: Option<Status>) -> bool {
        let is_listed = |status: Status| wanted.is_none_or(|wanted| wanted == status);
        match self {
            Line::Here(book) => book.look(|market| {
                let is_listed = is_listed(market.status_info().status);
                if is_listed {
                    wire::summary(list, market, book.now_ns(), wire::Numbers::Text);
                }
                is_listed
            }),
            Line::Elsewhere(book) => {
                let is_listed = is_listed(book.status);
                if is_listed {
                    book.summary(list);
                }
                is_listed
            }
        }
    }
}

/// All books, of all nodes of a cluster, by exchange and symbol.
pub fn lines(shared: &Shared, cluster: Option<&Cluster>) -> Vec<Line> {
    let here = shared.registry.all().into_iter().map(Line::Here);
    let Some(cluster) = cluster else {
        return here.collect();
    };
    let elsewhere = cluster.holders.all().into_iter().map(Line::Elsewhere);
    let mut lines: Vec<Line> = here.chain(elsewhere).collect();
    // Stable: of a book that is both, the line of this server is the first.
    lines.sort_by(|one, other| one.names().cmp(&other.names()));
    lines.dedup_by(|other, first| other.names() == first.names());
    lines
}

/// A message of the type `books`.
pub fn begin(out: &mut Vec<u8>) -> Object<'_> {
    let mut message = Object::begin(out);
    message.integer("schema", wire::SCHEMA.into());
    message.text("type", "books");
    message
}

/// A book in a list of those that are missing.
pub fn missing(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"book\":");
    string(out, &shortened(name));
    out.extend_from_slice(b",\"error\":");
    write(out);
    out.push(b'}');
}

/// Why a book gives no levels.
pub fn refused(book: &Book, why: &Refusal) -> Problem {
    let name = format!("{} on {}", book.symbol, book.exchange);
    let too_early = StatusCode::from_u16(425).expect("it is a status");
    let problem = match why {
        Refusal::NotReadable(why) => {
            let (status, code, seconds) = match why.status {
                Status::Closed => (StatusCode::GONE, "book_closed", None),
                _ => (too_early, "not_synced", Some(RETRY_S)),
            };
            let message = format!("{name} is {}: {}", why.status.as_str(), why.reason);
            let problem = Problem::new(status, code, message)
                .text("status", why.status.as_str())
                .text("reason", &*why.reason)
                .fact("since_ns", Fact::Integer(Some(why.since_ns)));
            match seconds {
                Some(seconds) => problem.retry_after(seconds),
                None => problem,
            }
        }
        Refusal::TooOld(why) => {
            let (age_s, max_age_s) = (why.age_ns as f64 / 1e9, why.max_age_ns as f64 / 1e9);
            let message = format!(
                "the last update of {name} was received {age_s:.3} s ago, more than {max_age_s} s"
            );
            Problem::new(too_early, "too_old", message)
                .fact("age_s", Fact::Float(age_s))
                .fact("max_age_s", Fact::Float(max_age_s))
                .retry_after(RETRY_S)
        }
    };
    problem
        .text("exchange", &*book.exchange)
        .text("symbol", &*book.symbol)
}

/// Changes with anything that a response shows, and when another book replaces this one. Weak: the same book may be
/// encoded otherwise.
fn entity_tag(book: &Book, market: &Market) -> HeaderValue {
    let info = market.status_info();
    let mut hasher = DefaultHasher::new();
    book.added.hash(&mut hasher);
    (
        market.last_update_id(),
        market.updated_ns(),
        market.confirmed_ns(),
    )
        .hash(&mut hasher);
    (info.status.as_str(), info.reason, info.since_ns).hash(&mut hasher);
    for (_, count) in market.counters().named() {
        count.hash(&mut hasher);
    }
    let text = format!("W/\"{:016x}\"", hasher.finish());
    HeaderValue::from_str(&text).expect("it is ASCII")
}

fn is_known(call: &Call<'_>, tag: &HeaderValue) -> bool {
    shared::is_known(&call.request.headers, tag)
}

fn cursor(text: &str) -> Result<(&str, &str), Problem> {
    text.split_once('/')
        .ok_or_else(|| Problem::parameter("cursor", text, "the next of the page before"))
}
