//! The exchange's own protocol, under `/<exchange>/…`: clients of the exchange work here by another host name.
//!
//! Theory of operation. `Exchange` finds the exchange by the first segment of a path and admits the sender, who
//! has no token. REST answers are made of the book (`depth`) or of what the owner fetched (`listing`). A socket has a
//! `session`, which reads commands and subscribes to the `feed` of each book. Diffs are those that the book took, byte
//! for byte (`depthcache_book::market::TappedDiff`); slower streams are merged from them (`merging`), partial depth and
//! bookTicker are made of the book (`events`).
//!
//! What a reader is sent is right, or shows that something is missing: while a book is not synced REST answers 503 and
//! sockets stay open; the diffs after a gap have ids that show it; ids never go back. Where that cannot be shown, and
//! where a reader falls behind, its connection ends with a reason.
//!
//! Locks: the table of feeds, one feed's streams, one market, a queue; taken in this order.

mod admission;
mod commands;
mod depth;
mod events;
mod feed;
mod listing;
mod merging;
mod outbox;
mod refusal;
mod rules;
mod session;
mod states;
mod streams;

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::Response;
use depthcache_book::query::{ReadPolicy, Reading};
use depthcache_book::status::Status;
use depthcache_wire::writer::Object;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::{HeaderName, Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::call::typed;
use crate::cluster::ClusterBook;
use crate::delegation::{self, DelegatedRequest};
use crate::following;
use crate::problem::shortened;
use crate::registry::{Book, Registry};
use crate::secrets::shown_path;
use crate::shared::{Answered, Protocol, ProtocolRequest, Shared};
use crate::statistics::EXCHANGE;
use crate::waiting::Patience;
use admission::{Admission, Admitted};
use feed::Feed;
use listing::Listings;
use outbox::Outbox;
use refusal::{JSON, Refusal};
use streams::Stream;

pub use rules::{ExchangeOptions, VenueRules};

/// Nothing is weighed here, but clients read it: UNICORN 2.14 after a ping, by its old name.
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");
const USED_WEIGHT_OF_OLD: HeaderName = HeaderName::from_static("x-mbx-used-weight");

/// Exchange and symbol, and whether the book is a followed one.
type Key = (Arc<str>, Arc<str>, bool);

/// The exchange's protocol of one server.
#[derive(Debug)]
pub struct Exchange {
    options: ExchangeOptions,
    venues: Vec<Arc<VenueRules>>,
    listings: Listings,
    feeds: Mutex<HashMap<Key, Arc<Feed>>>,
    /// Requests that may ask the owner for a book at once: half of what it takes, so that readers leave room for
    /// management.
    begins: Semaphore,
}

impl Protocol for Exchange {
    fn takes(&self, path: &str) -> bool {
        const OWN: &str = "/v1/"; // nearly always
        !path.starts_with(OWN) && self.target(path).is_some()
    }

    fn answer(self: Arc<Self>, request: ProtocolRequest) -> Answered {
        Box::pin(async move {
            let is_head = request.parts.method == Method::HEAD;
            let shared = request.shared.clone();
            let answered = self.respond(request).await;
            let mut response = answered.unwrap_or_else(Refusal::into_response);
            if is_head {
                *response.body_mut() = axum::body::Body::empty();
                response.headers_mut().remove(CONTENT_LENGTH);
            }
            shared.statistics.count(EXCHANGE, response.status());
            response
        })
    }

    fn on_held(&self, shared: &Shared, book: &Book) {
        let Some(venue) = self.venue(&book.exchange) else {
            return;
        };
        let mut feeds = self.feeds.lock();
        feeds
            .entry(key(book))
            .or_insert_with(|| self.begin_feed(shared, book, venue));
    }

    fn on_gone(&self, book: &Book) {
        let gone = self.feeds.lock().remove(&key(book));
        if let Some(feed) = gone {
            feed.end_all_readers();
            feed.end();
        }
    }

    fn take_over(&self, followed: &Book, own: &Book, swap: &dyn Fn()) -> bool {
        // Held to the end: a new reader finds the followed book and its feed, or the own one and its feed.
        let mut feeds = self.feeds.lock();
        let former = feeds.get(&key(followed)).cloned();
        if let Some(former) = former {
            let feed = feeds.get(&key(own));
            if !feed.is_some_and(|feed| feed.take_over(&former)) {
                return false;
            }
            feeds.remove(&key(followed));
            former.end();
        }
        swap();
        true
    }

    fn readers(&self, exchange: &str, symbol: &str) -> usize {
        let feeds = self.feeds.lock();
        let of_book = both(exchange, symbol);
        let found = of_book.iter().filter_map(|key| feeds.get(key));
        found.map(|feed| feed.readers()).sum()
    }

    fn tell_holders(&self, exchange: &str, symbol: &str, addresses: &[Arc<str>]) {
        let feeds = self.feeds.lock();
        let of_book = both(exchange, symbol);
        for feed in of_book.iter().filter_map(|key| feeds.get(key)) {
            feed.tell_holders(addresses);
        }
    }
}

impl Exchange {
    pub fn new(mut options: ExchangeOptions) -> Exchange {
        let venues = std::mem::take(&mut options.venues);
        Exchange {
            options,
            venues: venues.into_iter().map(Arc::new).collect(),
            listings: Listings::default(),
            feeds: Mutex::default(),
            begins: Semaphore::new(delegation::CAPACITY / 2),
        }
    }

    fn venue(&self, exchange: &str) -> Option<&Arc<VenueRules>> {
        self.venues.iter().find(|venue| *venue.name == *exchange)
    }

    /// Whether a reader whose book is at an id would miss updates of this node's own book.
    fn misses(&self, exchange: &str, symbol: &str, known: i64) -> bool {
        let [own, _] = both(exchange, symbol);
        let feed = self.feeds.lock().get(&own).cloned();
        feed.is_some_and(|feed| !feed.continues(known))
    }

    /// What a path is below an exchange: the exchange and the rest; None where its first segment names none.
    fn target<'a>(&self, path: &'a str) -> Option<(&Arc<VenueRules>, &'a str)> {
        let rest = path.strip_prefix('/')?;
        let (name, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let venue = self.venues.iter().find(|venue| venue.is_named(name))?;
        Some((venue, path))
    }

    async fn respond(self: &Arc<Self>, request: ProtocolRequest) -> Result<Response, Refusal> {
        let Admitted { admission, lease } = admission::check(&self.options, &request)?;
        let ProtocolRequest { shared, parts, .. } = &request;
        let nothing = || Refusal::no_path("There is nothing at this path.");
        let (venue, path) = self.target(parts.uri.path()).ok_or_else(nothing)?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let refusal = Refusal::bad(-1000, "Only GET is served here.");
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Refusal { status, ..refusal });
        }
        let query = parts.uri.query().unwrap_or_default();
        if let Some(socket) = session::Url::parse(venue, path, query) {
            if !parts.headers.contains_key(UPGRADE) {
                let refusal = Refusal::bad(
                    -1000,
                    "This is a WebSocket: connect to it with wss:// or ws://.",
                );
                let status = StatusCode::UPGRADE_REQUIRED;
                return Err(Refusal { status, ..refusal });
            }
            let sender = (parts, admission, lease);
            return session::open(self, shared, venue, &socket, sender).await;
        }
        let mut response = self.read(shared, venue, (path, query), admission).await?;
        let headers = response.headers_mut();
        headers.insert(USED_WEIGHT, 1.into());
        if venue.is_spot() {
            headers.insert(USED_WEIGHT_OF_OLD, 1.into());
        }
        Ok(response)
    }

    async fn read(
        &self,
        shared: &Arc<Shared>,
        venue: &VenueRules,
        (path, query): (&str, &str),
        admission: Admission,
    ) -> Result<Response, Refusal> {
        let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if path == venue.depth_path {
            depth::respond(self, shared, venue, &query, admission).await
        } else if path == venue.exchange_info_path {
            let is_whole = self.options.most_begun > 0;
            let body = self
                .listings
                .respond(shared, venue, &query, is_whole)
                .await?;
            Ok(typed(JSON, body))
        } else if path == venue.time_path {
            let mut out = Vec::new();
            let mut body = Object::begin(&mut out);
            body.integer("serverTime", time_ms());
            body.end();
            Ok(typed(JSON, out))
        } else if path == venue.ping_path {
            Ok(typed(JSON, b"{}".to_vec()))
        } else {
            Err(unknown_path(venue, path))
        }
    }

    /// The book of a symbol; one that is not held is begun where that is allowed.
    async fn book(
        &self,
        shared: &Arc<Shared>,
        venue: &VenueRules,
        symbol: &str,
        admission: Admission,
    ) -> Result<Book, Refusal> {
        if let Some(book) = held(&shared.registry, venue, symbol, admission) {
            return Ok(book);
        }
        if let Some(wanted) = elsewhere(shared, venue, symbol, admission) {
            let followed = following::follow(shared, wanted).await;
            return followed.map_err(|why| Refusal::later(why.words()));
        }
        if self.options.most_begun == 0 {
            return Err(Refusal::unknown_symbol());
        }
        if !admission.begins {
            return Err(Refusal::forbidden(
                "This server does not hold the book, and begins none for a browser.",
            ));
        }
        self.listings.check(shared, venue, symbol).await?;
        let Ok(_turn) = self.begins.try_acquire() else {
            return Err(Refusal::later("Too many books are begun at once."));
        };
        let make = |number| DelegatedRequest {
            number,
            route: "begin_asked_book",
            exchange: venue.name.to_string(),
            symbol: symbol.to_owned(),
            body: self.options.most_begun.to_string().into(),
        };
        let answered = shared.delegation.ask(make, shared.limits.delegation).await;
        let answered = answered.map_err(|why| Refusal::later(why.words()))?;
        match answered.status {
            200 | 201 => {
                held(&shared.registry, venue, symbol, admission).ok_or_else(Refusal::unknown_symbol)
            }
            409 => {
                let most = self.options.most_begun;
                Err(Refusal::bad(
                    -1121,
                    format!(
                        "This server keeps {most} books that requests began, and begins no more."
                    ),
                ))
            }
            429 => Err(Refusal::later(
                "The book was closed a moment ago, and is not begun again yet.",
            )),
            503 => Err(Refusal::later("The server is shutting down.")),
            _ => Err(Refusal::unknown_symbol()),
        }
    }

    /// Wait until a book that was begun for its readers can be read, but not for long.
    async fn wait_begun(&self, shared: &Shared, book: &Book) {
        let is_new = book.look(|market| {
            market.last_update_id().is_none() && market.status_info().status != Status::Closed
        });
        if self.options.most_begun == 0 || !is_new {
            return;
        }
        let patience = Patience {
            policy: ReadPolicy {
                serve_stale: false,
                max_age_ns: None,
            },
            most: Some(self.options.begin_within()),
        };
        let is_over = || shared.is_draining();
        let waiting = &shared.waiting;
        waiting
            .settle(slice::from_ref(book), patience, is_over)
            .await;
    }

    // --- streams ------------------------------------------------------------------------------

    /// One more reader of a stream; false where the book is not held.
    fn subscribe(
        &self,
        shared: &Shared,
        venue: &Arc<VenueRules>,
        stream: &Stream,
        name: &Arc<str>,
        (reader, resume, admission): (&Arc<Outbox>, Option<i64>, Admission),
    ) -> bool {
        let mut feeds = self.feeds.lock();
        // Looked up while the table is held: a book that goes finds its feed.
        let Some(book) = held(&shared.registry, venue, &stream.symbol, admission) else {
            return false;
        };
        let begin = || self.begin_feed(shared, &book, venue);
        let feed = feeds.entry(key(&book)).or_insert_with(&begin);
        Feed::add_or_restart(feed, begin, name, stream.kind, reader, resume);
        true
    }

    fn begin_feed(&self, shared: &Shared, book: &Book, venue: &Arc<VenueRules>) -> Arc<Feed> {
        let is_kept = shared.is_node();
        // Clients must not take the own book that takes over for the followed one, rebuilt.
        let server = match book.is_followed() {
            true => {
                let generation = book.look(|market| market.diff_generation());
                format!("{}.{generation}", shared.instance).into()
            }
            false => shared.instance.clone(),
        };
        Feed::begin(book, venue.clone(), server, is_kept)
    }

    /// One reader of a stream less.
    fn unsubscribe(&self, venue: &VenueRules, symbol: &str, name: &str, reader: &Arc<Outbox>) {
        let mut feeds = self.feeds.lock();
        for key in both(&venue.name, symbol) {
            if let Some(feed) = feeds.get(&key) {
                feed.remove(name, reader);
                if feed.is_idle() {
                    feed.end();
                    feeds.remove(&key);
                }
            }
        }
    }
}

fn key(book: &Book) -> Key {
    let (exchange, symbol) = (book.exchange.clone(), book.symbol.clone());
    (exchange, symbol, book.is_followed())
}

/// The keys of a node's own book and of the followed one.
fn both(exchange: &str, symbol: &str) -> [Key; 2] {
    [false, true].map(|is_followed| (exchange.into(), symbol.into(), is_followed))
}

/// The book of a symbol; for another node, the one that this node holds itself.
fn held(
    registry: &Registry,
    venue: &VenueRules,
    symbol: &str,
    admission: Admission,
) -> Option<Book> {
    let found = registry.find_for(admission.is_node, Some(&venue.name), symbol, false);
    found.ok()
}

/// A book that a client which can move reads better at one of its other holders.
///
/// `is_behind`: this node's own book has no longer the updates that lead from that of the client, such as after it was
/// copied a moment ago; another holder may have them.
fn better_elsewhere(
    shared: &Shared,
    venue: &VenueRules,
    symbol: &str,
    is_behind: bool,
) -> Option<Arc<ClusterBook>> {
    let cluster = shared.cluster.as_ref()?;
    let book = cluster.holders.find(&venue.name, symbol)?;
    book.others(&cluster.node).next()?;
    let here = shared.registry.find(Some(&venue.name), symbol, false);
    let is_here = here.is_ok_and(|own| {
        let is_synced = || own.look(|market| market.status_info().status == Status::Synced);
        let is_replica = !own.is_followed() && !cluster.is_kept(&own.exchange, &own.symbol);
        is_replica && (book.status != Status::Synced || is_synced() && !is_behind)
    });
    (!is_here).then_some(book)
}

/// A book that is not held, but by other nodes of the cluster.
fn elsewhere(
    shared: &Shared,
    venue: &VenueRules,
    symbol: &str,
    admission: Admission,
) -> Option<Arc<ClusterBook>> {
    let cluster = shared.cluster.as_ref().filter(|_| !admission.is_node)?;
    cluster.holders.find(&venue.name, symbol)
}

fn unknown_path(venue: &VenueRules, path: &str) -> Refusal {
    let served = [
        &venue.depth_path,
        &venue.exchange_info_path,
        &venue.ping_path,
        &venue.time_path,
    ];
    let served = served.map(String::as_str).join(", ");
    let path = shortened(&shown_path(path));
    Refusal::no_path(format!(
        "Path {path} is not served here; served are {served} and the streams /ws, /stream, /public/ws, /public/stream"
    ))
}

/// Milliseconds since 1970.
fn time_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
