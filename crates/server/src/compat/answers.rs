//! The answers of the contract: objects with `event` and `result`, and an `error_id` where it is `ERROR`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::request::Parts;
use depthcache_book::analytics;
use depthcache_book::market::Market;
use depthcache_book::query::{NumberLevel, ReadPolicy, Reading, Side};
use depthcache_book::status::{Refusal, Status};
use depthcache_wire::writer::{self, Numbers, Object};
use http::Extensions;
use http::header::HOST;

use super::Compat;
use super::parameters::{Given, write_debug};
use crate::books::{Line, TURN, lines};
use crate::cluster::ClusterBook;
use crate::problem::shortened;
use crate::registry::Book;
use crate::shared::Shared;

/// The version of the cluster whose contract this is.
const CONTRACT: &str = "0.9.1";

/// Levels of a side at most: as many as the old library holds.
pub const MOST_LEVELS: usize = 1_000;

/// A request, and what its answer repeats of it.
pub struct Asked<'a> {
    pub given: &'a Given,
    compat: &'a Compat,
    event: &'static str,
    parts: &'a Parts,
    began: Instant,
}

impl<'a> Asked<'a> {
    pub fn new(
        compat: &'a Compat,
        event: &'static str,
        parts: &'a Parts,
        given: &'a Given,
    ) -> Asked<'a> {
        Asked {
            given,
            compat,
            event,
            parts,
            began: Instant::now(),
        }
    }

    pub fn answer(&self, write: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut message = Object::begin(&mut out);
        message.text("event", self.event);
        write(&mut message);
        if self.given.debug() {
            self.debug(&mut message);
        }
        message.end();
        out
    }

    /// What is known of its connection.
    pub fn extensions(&self) -> &'a Extensions {
        &self.parts.extensions
    }

    fn debug(&self, message: &mut Object<'_>) {
        let host = self.parts.headers.get(HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = self.parts.uri.path_and_query();
        let url = format!("http://{host}{}", path.map_or("/", |path| path.as_str()));
        let took_s = self.began.elapsed().as_secs_f64();
        write_debug(message.object("debug"), took_s, &url, &self.compat.node());
    }

    /// Exchange and market, and what another node is asked for its answer, without what concerns this one alone.
    pub fn forwarded(&self) -> Option<((&'a str, &'a str), String)> {
        let names = self.given.get("exchange").zip(self.given.get("market"))?;
        let query = self.parts.uri.query().unwrap_or_default();
        let mut kept = form_urlencoded::Serializer::new(String::new());
        let given = form_urlencoded::parse(query.as_bytes());
        kept.extend_pairs(given.filter(|(name, _)| name != "debug"));
        Some((
            names,
            format!("{}?{}", self.parts.uri.path(), kept.finish()),
        ))
    }

    /// Exchange and market. Err: the answer that one of them is missing.
    fn names(&self, error_id: &str) -> Result<(&'a str, &'a str), Vec<u8>> {
        let pair = self.given.get("exchange").zip(self.given.get("market"));
        pair.ok_or_else(|| {
            refused(
                self,
                error_id,
                "Missing required parameter: exchange, market",
            )
        })
    }

    /// The book of these names. Err: the answer that there is none.
    fn book(&self, shared: &Shared, error_id: &str) -> Result<Book, Vec<u8>> {
        let (exchange, market) = self.names(error_id)?;
        let hints = elsewhere(self, shared).is_none();
        let is_node = self.compat.is_for_nodes;
        let registry = &shared.registry;
        let found = registry.find_to_read(is_node, Some(exchange), market, hints);
        found.map_err(|why| {
            let (market, exchange) = (shortened(market), shortened(exchange));
            let words = format!(
                "DepthCache '{market}' for '{exchange}' not found: {}",
                why.message()
            );
            refused(self, "#7000", &words)
        })
    }
}

impl Compat {
    /// This process, as one node of a cluster.
    fn node(&self) -> String {
        let began = self.began.duration_since(UNIX_EPOCH);
        format!("depthcache-{:x}", began.unwrap_or_default().as_millis())
    }
}

/// It could not be done.
pub fn refused(asked: &Asked<'_>, error_id: &str, words: &str) -> Vec<u8> {
    asked.answer(|message| {
        message.text("error_id", error_id);
        message.text("message", words);
        message.text("result", "ERROR");
    })
}

/// This listener begins and ends no books.
pub fn unmanaged(asked: &Asked<'_>) -> Vec<u8> {
    let words = "this listener is for reads; the option --compat-manage lets programs of the same machine begin \
                 and end books";
    refused(asked, "#1014", words)
}

/// The answer that there are no levels.
#[derive(Debug)]
pub enum NoSide {
    /// Because of the request: it is the same at every node.
    Wrong(Vec<u8>),
    /// Because of the book, which another node may have.
    Unreadable(Vec<u8>),
}

/// The best levels of one side, with what tells whether they are those of another answer.
pub fn side(asked: &Asked<'_>, shared: &Shared, side: Side) -> Result<Vec<u8>, NoSide> {
    const MISSING: &str = "#1025";
    asked.names(MISSING).map_err(NoSide::Wrong)?;
    let invalid = |name: &str, value: &str, allowed: &str| {
        let words = format!("{name} is {:?}; allowed: {allowed}", shortened(value));
        NoSide::Wrong(refused(asked, MISSING, &words))
    };
    let limit = asked.given.limit();
    let limit = limit.map_err(|value| invalid("limit_count", value, "a whole number"))?;
    let threshold = asked.given.threshold();
    let threshold = threshold.map_err(|value| invalid("threshold_volume", value, "a number"))?;
    let book = asked.book(shared, MISSING).map_err(NoSide::Unreadable)?;
    if threshold.is_some() && book.look(|market| market.inverse()) {
        let words = "threshold_volume is a value, and quantities of this exchange are contracts";
        return Err(NoSide::Wrong(refused(asked, MISSING, words)));
    }
    let (levels, facts) = book
        .look(|market| {
            ReadPolicy::default().check(market, || book.now_ns())?;
            let found = taken(market, side, limit, threshold);
            Ok((found, Facts::of(market)))
        })
        .map_err(|why: Refusal| NoSide::Unreadable(unreadable(asked, &book, &why)))?;
    Ok(asked.answer(|message| {
        let key = match side {
            Side::Asks => "asks",
            Side::Bids => "bids",
        };
        writer::levels(message.key(key), levels.into_iter(), Numbers::Float);
        message.optional("event_time_us", facts.event_time_us);
        message.optional("last_update_id", facts.last_update_id);
        message.optional("received_time_us", facts.received_time_us);
        message.text("result", "OK");
    }))
}

/// What dates an answer.
struct Facts {
    event_time_us: Option<i64>,
    last_update_id: Option<i64>,
    received_time_us: Option<i64>,
}

impl Facts {
    fn of(market: &Market) -> Facts {
        let received_ns = market.updated_ns().zip(market.wall_offset_ns());
        Facts {
            event_time_us: market.event_time_us(),
            last_update_id: market.last_update_id(),
            received_time_us: received_ns
                .map(|(at_ns, offset_ns)| at_ns.saturating_add(offset_ns).div_euclid(1_000)),
        }
    }
}

/// The levels that both parameters leave: first the value, then the count.
fn taken(
    market: &Market,
    side: Side,
    limit: Option<i64>,
    threshold: Option<depthcache_book::query::Number>,
) -> Vec<NumberLevel> {
    let held = market.len(side).min(MOST_LEVELS);
    let worth = threshold.map_or(held, |amount| {
        analytics::up_to_value(market, side, amount)
            .levels
            .min(held)
    });
    let most = match limit {
        None => worth,
        Some(limit) => match usize::try_from(limit) {
            Ok(limit) => worth.min(limit),
            Err(_) => {
                let from_end = usize::try_from(limit.unsigned_abs()).unwrap_or(usize::MAX);
                worth.saturating_sub(from_end)
            }
        },
    };
    market.iter(side).take(most).collect()
}

/// The error that says so: the cluster's own hid it behind another one.
fn unreadable(asked: &Asked<'_>, book: &Book, why: &Refusal) -> Vec<u8> {
    let name = format!("DepthCache '{}' for '{}'", book.symbol, book.exchange);
    let words = match why {
        Refusal::NotReadable(why) => {
            format!(
                "{name} is out of sync: {}: {}",
                why.status.as_str(),
                why.reason
            )
        }
        Refusal::TooOld(_) => format!("{name} is too old"),
    };
    refused(asked, "#6000", &words)
}

/// The answer of another node, for the client who asked here.
pub fn of_node(asked: &Asked<'_>, answer: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    Object::begin(&mut event).text("event", asked.event);
    match answer.strip_prefix(&event[..]) {
        Some(rest) => with_debug(
            asked,
            [b"{", rest.strip_prefix(b",").unwrap_or(rest)].concat(),
        ),
        None => answer.to_vec(),
    }
}

/// All books, as the cluster's database has them.
pub async fn list(asked: &Asked<'_>, shared: &Shared) -> Vec<u8> {
    let caches = caches(asked, shared).await;
    asked.answer(|message| {
        message.key("depthcache_list").extend_from_slice(&caches);
        message.text("result", "OK");
    })
}

/// One of them.
pub fn info(asked: &Asked<'_>, shared: &Shared) -> Vec<u8> {
    let found = match asked.book(shared, "#1006") {
        Ok(book) => Line::Here(book),
        Err(answer) => match elsewhere(asked, shared) {
            Some(book) => Line::Elsewhere(book),
            None => return answer,
        },
    };
    asked.answer(|message| {
        write_line(
            message.object("depthcache_info"),
            &found,
            &node(asked, shared),
        );
        message.text("result", "OK");
    })
}

/// The book that other nodes of the cluster hold.
fn elsewhere(asked: &Asked<'_>, shared: &Shared) -> Option<Arc<ClusterBook>> {
    let (exchange, market) = asked.names("").ok()?;
    let cluster = shared.cluster.as_ref()?;
    let exchange = shared.registry.exchange(exchange);
    cluster.holders.find(&exchange, market)
}

/// The cluster: one process. Credentials are never in it.
pub async fn cluster(asked: &Asked<'_>, shared: &Shared) -> Vec<u8> {
    let caches = caches(asked, shared).await;
    let node = node(asked, shared);
    asked.answer(|message| {
        let mut database = message.object("db");
        database.key("credentials").extend_from_slice(b"[]");
        database.key("depthcaches").extend_from_slice(&caches);
        database.object("nodes").end();
        let mut pods = database.object("pods");
        for (role, uid) in [
            ("ubdcc-dcn", node.clone()),
            ("ubdcc-restapi", format!("{node}-restapi")),
        ] {
            let mut pod = pods.object(&uid);
            pod.integer("API_PORT_REST", asked.compat.address.port().into());
            pod.text("IP", &asked.compat.address.ip().to_string());
            pod.float("LAST_SEEN", Some(seconds(SystemTime::now())));
            pod.text("NAME", "depthcache");
            pod.text("NODE", &node);
            pod.text("ROLE", role);
            pod.text("STATUS", "running");
            pod.text("UID", &uid);
            pod.text("VERSION", CONTRACT);
            pod.end();
        }
        pods.end();
        database.float("timestamp", Some(seconds(SystemTime::now())));
        database.end();
        message.text("result", "OK");
        message.text("version", CONTRACT);
    })
}

/// What a client looks at before it uses a cluster: the name.
pub fn test(asked: &Asked<'_>) -> Vec<u8> {
    asked.answer(|message| {
        let mut app = message.object("app");
        app.text("author", "depthcache");
        app.text("build_type", "native");
        app.text("name", &asked.compat.options.name);
        app.text("version", CONTRACT);
        app.end();
        message.text("message", "this is a depthcache book server");
        message.text("result", "OK");
    })
}

/// Nothing needs a licence, and none is kept.
pub fn license(asked: &Asked<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = Object::begin(&mut out);
    message.text("event", asked.event);
    message.text(
        "message",
        "licences ended with release 2.9: nothing was kept",
    );
    message.text("result", "OK");
    message.end();
    out
}

/// The owner's answer: its facts of an object, with the event and what `debug` adds. The owner says `debug` itself
/// where it came in a body.
pub fn with_debug(asked: &Asked<'_>, facts: Vec<u8>) -> Vec<u8> {
    let inner = facts
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"));
    let inner = inner.unwrap_or_default();
    let mut out = Vec::with_capacity(facts.len() + 64);
    let mut message = Object::begin(&mut out);
    message.text("event", asked.event);
    if asked.given.debug() {
        asked.debug(&mut message);
    }
    message.end();
    if !inner.is_empty() {
        out.pop();
        out.push(b',');
        out.extend_from_slice(inner);
        out.push(b'}');
    }
    out
}

async fn caches(asked: &Asked<'_>, shared: &Shared) -> Vec<u8> {
    let node = node(asked, shared);
    let mut out = Vec::new();
    let mut exchanges = Object::begin(&mut out);
    let books = lines(shared, shared.cluster.as_deref());
    let is_alike = |one: &Line, other: &Line| one.names().0 == other.names().0;
    for (at, of_exchange) in books.chunk_by(is_alike).enumerate() {
        if at > 0 {
            tokio::task::yield_now().await;
        }
        let mut markets = exchanges.object(of_exchange[0].names().0);
        for (index, book) in of_exchange.iter().enumerate() {
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            write_line(markets.object(book.names().1), book, &node);
        }
        markets.end();
    }
    exchanges.end();
    out
}

/// The name of this process.
fn node(asked: &Asked<'_>, shared: &Shared) -> String {
    let cluster = shared.cluster.as_ref();
    cluster.map_or_else(|| asked.compat.node(), |cluster| cluster.node.to_string())
}

fn write_line(object: Object<'_>, line: &Line, node: &str) {
    match line {
        Line::Here(book) => cache(object, book, node),
        Line::Elsewhere(book) => cache_elsewhere(object, book),
    }
}

/// The same of a book that other nodes hold; when and how often it began is known to them alone.
fn cache_elsewhere(mut cache: Object<'_>, book: &ClusterBook) {
    let word = word(book.status, 1);
    cache.float("CREATED_TIME", Some(0.0));
    cache.integer("DESIRED_QUANTITY", book.holders.len() as i64);
    let mut nodes = cache.object("DISTRIBUTION");
    for holder in &book.holders {
        let mut copy = nodes.object(&holder.node);
        copy.float("CREATED_TIME", Some(0.0));
        copy.float("LAST_RESTART_TIME", Some(0.0));
        copy.text("POD_UID", &holder.node);
        copy.integer("RESTARTS", 0);
        copy.float("SCHEDULED_START_TIME", Some(0.0));
        copy.text("STATUS", word);
        copy.end();
    }
    nodes.end();
    cache.integer("DISTRIBUTION_CHANGES", 1);
    cache.text("EXCHANGE", &book.exchange);
    cache.float("LAST_DISTRIBUTION_CHANGE", Some(0.0));
    cache.text("MARKET", &book.symbol);
    cache.null("REFRESH_INTERVAL");
    cache.null("UPDATE_INTERVAL");
    cache.end();
}

/// A book as a cache of the cluster that one node keeps.
fn cache(mut cache: Object<'_>, book: &Book, node: &str) {
    let (status, since_us, snapshots) = book.look(|market| {
        let info = market.status_info();
        let offset_ns = market.wall_offset_ns().unwrap_or(0);
        let since_us = info.since_ns.saturating_add(offset_ns) / 1_000;
        (info.status, since_us, market.counters().snapshots)
    });
    let created_s = seconds(book.added);
    let restarts = snapshots.saturating_sub(1);
    cache.float("CREATED_TIME", Some(created_s));
    cache.integer("DESIRED_QUANTITY", 1);
    let mut nodes = cache.object("DISTRIBUTION");
    let mut copy = nodes.object(node);
    copy.float("CREATED_TIME", Some(created_s));
    let restarted_s = Duration::from_micros(since_us.max(0).unsigned_abs()).as_secs_f64();
    let restarted_s = if restarts > 0 { restarted_s } else { 0.0 };
    copy.float("LAST_RESTART_TIME", Some(restarted_s));
    copy.text("POD_UID", node);
    copy.integer("RESTARTS", i64::try_from(restarts).unwrap_or(i64::MAX));
    copy.float("SCHEDULED_START_TIME", Some(created_s));
    copy.text("STATUS", word(status, snapshots));
    copy.end();
    nodes.end();
    cache.integer("DISTRIBUTION_CHANGES", 1);
    cache.text("EXCHANGE", &book.exchange);
    cache.float("LAST_DISTRIBUTION_CHANGE", Some(created_s));
    cache.text("MARKET", &book.symbol);
    cache.null("REFRESH_INTERVAL");
    cache.null("UPDATE_INTERVAL");
    cache.end();
}

/// `running` is a book that can be read, and no other.
fn word(status: Status, snapshots: u64) -> &'static str {
    match status {
        Status::Synced => "running",
        Status::Closed => "stopped",
        _ if snapshots == 0 => "starting",
        _ => "out_of_sync",
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
