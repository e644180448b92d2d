//! One stream connection: its URL, its commands and what it is sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use http::request::Parts;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::admission::Admission;
use super::commands::{
    Command, Extras, Refused, done, nodes, parse, refused, refused_moved, refused_streams,
};
use super::outbox::{Next, Outbox, TOO_SLOW};
use super::refusal::Refusal;
use super::rules::VenueRules;
use super::streams::{Stream, shown};
use super::{Exchange, better_elsewhere, elsewhere, held, states, time_ms};
use crate::access::Lease;
use crate::cluster::Cluster;
use crate::following;
use crate::percent::percent_decoded;
use crate::shared::Shared;
use crate::socket::{self, Closing, Message, Outgoing, Session};

/// What the URL of a stream connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether data is wrapped: of `/stream` it is, of `/ws` it is not.
    is_combined: bool,
    /// Whether depth is under this route.
    has_depth: bool,
    streams: Vec<String>,
}

impl Url {
    /// Of a path and a query; None for what is no stream connection.
    ///
    /// Since 2026-04-23 futures have depth under `/public`; the exchange's SDK opens a connection of each route.
    pub fn parse(venue: &VenueRules, path: &str, query: &str) -> Option<Url> {
        const ROUTES: [(&str, bool); 3] =
            [("/public", true), ("/market", false), ("/private", false)];
        let routes = ROUTES.into_iter().filter(|_| !venue.is_spot());
        let mut routed =
            routes.filter_map(|(route, has_depth)| Some((path.strip_prefix(route)?, has_depth)));
        let (path, has_depth) = routed.next().unwrap_or((path, true));
        let rest = path.strip_prefix('/')?;
        let (kind, named) = rest.split_once('/').unwrap_or((rest, ""));
        let streams = match kind {
            "ws" => percent_decoded(named),
            "stream" if named.is_empty() => parameter(query, "streams"),
            _ => return None,
        };
        // ccxt numbers its connections: /ws/0. The exchange takes any name.
        let mut known = HashSet::new();
        let named = streams.split('/').filter(|name| name.contains('@'));
        let named = named.filter(|name| known.insert(*name));
        let found = named.map(str::to_owned).collect();
        Some(Url {
            is_combined: kind == "stream",
            has_depth,
            streams: found,
        })
    }
}

fn parameter(query: &str, name: &str) -> String {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let found = parameters.find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Make a stream connection of a request.
pub async fn open(
    exchange: &Arc<Exchange>,
    shared: &Arc<Shared>,
    venue: &Arc<VenueRules>,
    url: &Url,
    (request, admission, lease): (&Parts, Admission, Option<Lease>),
) -> Result<Response, Refusal> {
    let unit = parameter(request.uri.query().unwrap_or_default(), "timeUnit");
    if unit.eq_ignore_ascii_case("MICROSECOND") {
        return Err(Refusal::bad(
            -1100,
            "Times are in milliseconds here: leave timeUnit out.",
        ));
    }
    let reader = Arc::new(Reader {
        exchange: exchange.clone(),
        shared: shared.clone(),
        has_depth: url.has_depth,
        admission,
        venue: venue.clone(),
        outbox: Arc::new(Outbox::new(shared.limits.held_bytes, url.is_combined)),
        subscribed: Mutex::default(),
        telling: Mutex::default(),
    });
    let streams = reader.streams(&url.streams).map_err(|why| {
        let code = if why.code == 4 { -1003 } else { -1100 };
        Refusal::bad(code, why.words)
    })?;
    follow(shared, venue, &streams, admission).await;
    for (_, stream) in &streams {
        exchange
            .book(shared, venue, &stream.symbol, admission)
            .await?;
    }
    let every = Duration::from_secs(venue.ping_s.max(1));
    let mut pings = interval_at(tokio::time::Instant::now() + every, every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let session = StreamSession {
        reader,
        pings,
        lease,
    };
    let begun = socket::open(shared, request, &[], |_| {
        session.reader.attach(streams, &HashMap::new());
        session
    });
    begun.map_err(|problem| Refusal {
        status: problem.status,
        ..Refusal::bad(-1000, problem.words())
    })
}

/// Have the books of streams begun here that other nodes hold, all at once; `Exchange::book` says what did not work.
async fn follow(
    shared: &Arc<Shared>,
    venue: &VenueRules,
    streams: &[(Arc<str>, Stream)],
    admission: Admission,
) {
    let absent = streams
        .iter()
        .filter(|(_, stream)| held(&shared.registry, venue, &stream.symbol, admission).is_none());
    let wanted =
        absent.filter_map(|(_, stream)| elsewhere(shared, venue, &stream.symbol, admission));
    let _ = following::follow_all(shared, wanted.collect()).await;
}

/// Who reads a connection, for tasks that outlive a message.
struct Reader {
    exchange: Arc<Exchange>,
    shared: Arc<Shared>,
    venue: Arc<VenueRules>,
    outbox: Arc<Outbox>,
    has_depth: bool,
    admission: Admission,
    subscribed: Mutex<Subscribed>,
    /// Tells where the nodes are, if the client can move.
    telling: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Subscribed {
    /// In the order in which they were subscribed.
    streams: Vec<(Arc<str>, Stream)>,
    /// Their names: a message may name thousands.
    names: HashSet<Arc<str>>,
    /// The connection is over: nothing is to be subscribed any more.
    is_over: bool,
}

/// A stream connection.
struct StreamSession {
    reader: Arc<Reader>,
    pings: Interval,
    lease: Option<Lease>,
}

impl Session for StreamSession {
    fn on_message(&mut self, message: Message) -> Result<(), Closing> {
        let Message::Text(text) = message else {
            return Err(Closing::policy("commands are texts"));
        };
        match parse(self.reader.venue.family, text.as_str()) {
            Ok((command, id)) => {
                let extras = Extras::of(text.as_str());
                self.reader.perform(command, &id, extras);
            }
            Err(why) => self.reader.refuse(&why),
        }
        Ok(())
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Outgoing> {
        if self.pings.poll_tick(context).is_ready() {
            let payload = time_ms().to_string();
            return Poll::Ready(Outgoing::Message(Message::Ping(payload.into())));
        }
        self.reader
            .outbox
            .poll_next(context)
            .map(|next| match next {
                Next::Send(text) => Outgoing::Message(Message::Text(text)),
                Next::End(closing) => {
                    if closing == TOO_SLOW {
                        let statistics = &self.reader.shared.statistics;
                        statistics.slow.fetch_add(1, Ordering::Relaxed);
                    }
                    Outgoing::Close(closing)
                }
            })
    }

    fn lease(&mut self) -> Option<&mut Lease> {
        self.lease.as_mut()
    }
}

impl Drop for StreamSession {
    fn drop(&mut self) {
        self.reader.leave();
        if let Some(telling) = self.reader.telling.lock().take() {
            telling.abort();
        }
    }
}

/// A stream and the name under which it was asked for.
type Named = (Arc<str>, Stream);

impl Reader {
    fn perform(self: &Arc<Self>, command: Command, id: &Value, extras: Extras) {
        match command {
            Command::Subscribe(names) => self.subscribe(&names, id, extras),
            Command::Unsubscribe(names) => {
                for name in &names {
                    self.unsubscribe(name);
                }
                self.reply(done(&Value::Null, id));
            }
            Command::List => {
                let subscribed = self.subscribed.lock();
                let names = subscribed
                    .streams
                    .iter()
                    .map(|(name, _)| Value::from(&**name));
                let names = Value::Array(names.collect());
                drop(subscribed);
                self.reply(done(&names, id));
            }
            Command::SetCombined(is_combined) => {
                self.outbox.set_combined(is_combined);
                self.reply(done(&Value::Null, id));
            }
            Command::GetCombined => self.reply(done(&self.outbox.is_combined().into(), id)),
        }
    }

    /// Subscribe to all of the names or to none. Books that are not held are begun first, where that is allowed.
    fn subscribe(self: &Arc<Self>, names: &[String], id: &Value, extras: Extras) {
        let streams = match self.streams(names) {
            Ok(streams) => streams,
            Err(why) => {
                return self.refuse(&Refused {
                    id: id.clone(),
                    ..why
                });
            }
        };
        if extras.moves && self.move_on(&streams, id, &extras.resume) {
            return;
        }
        let resume = extras.resume;
        let exchange = &self.exchange;
        let is_held = |stream: &Stream| {
            let (registry, admission) = (&self.shared.registry, self.admission);
            held(registry, &self.venue, &stream.symbol, admission).is_some()
        };
        if streams.iter().all(|(_, stream)| is_held(stream)) {
            self.reply(done(&Value::Null, id));
            return self.attach(streams, &resume);
        }
        let is_nowhere = |stream: &Stream| {
            !is_held(stream)
                && elsewhere(&self.shared, &self.venue, &stream.symbol, self.admission).is_none()
        };
        let unknown: Vec<_> = streams
            .iter()
            .filter(|(_, each)| is_nowhere(each))
            .collect();
        match unknown.as_slice() {
            [first, others @ ..] if exchange.options.most_begun == 0 => {
                self.refuse_unknown(first, others, id);
            }
            _ => {
                let (reader, id) = (self.clone(), id.clone());
                tokio::spawn(async move { reader.begin(streams, &id, resume).await });
            }
        }
    }

    /// Tell a client that can move where the nodes are, and refuse streams of books that others hold, or that continue
    /// its book elsewhere at best; whether it did. A client that no other node can serve asks again and does not move.
    fn move_on(
        self: &Arc<Self>,
        streams: &[Named],
        id: &Value,
        resume: &HashMap<String, i64>,
    ) -> bool {
        let Some(cluster) = &self.shared.cluster else {
            return false;
        };
        if self.admission.is_node {
            return false;
        }
        self.tell_nodes(cluster);
        let of_states = streams
            .iter()
            .filter(|(_, stream)| stream.kind.has_states());
        let moved: Vec<_> = of_states
            .filter_map(|(name, stream)| {
                let known = resume.get(&**name).copied();
                let is_behind = known.is_some_and(|known| {
                    self.exchange
                        .misses(&self.venue.name, &stream.symbol, known)
                });
                let book = better_elsewhere(&self.shared, &self.venue, &stream.symbol, is_behind)?;
                Some((name, book))
            })
            .collect();
        if moved.is_empty() {
            return false;
        }
        let why = Refused {
            code: states::HELD_ELSEWHERE,
            words: "other nodes of the cluster hold the book".to_owned(),
            id: id.clone(),
        };
        let holders = moved.iter().map(|(name, book)| {
            let others = book.others(&cluster.node);
            (&***name, others.map(|holder| &*holder.address))
        });
        self.reply(refused_moved(&why, holders));
        true
    }

    /// Say once where the nodes are, and from then on each change.
    fn tell_nodes(&self, cluster: &Cluster) {
        let mut telling = self.telling.lock();
        if telling.is_some() {
            return;
        }
        let mut there = cluster.nodes_there();
        self.reply(nodes(&there.borrow_and_update()));
        let outbox = Arc::downgrade(&self.outbox);
        *telling = Some(tokio::spawn(async move {
            while there.changed().await.is_ok() {
                let Some(outbox) = outbox.upgrade() else {
                    return;
                };
                outbox.push(nodes(&there.borrow_and_update()).into());
            }
        }));
    }

    async fn begin(
        self: Arc<Self>,
        streams: Vec<(Arc<str>, Stream)>,
        id: &Value,
        resume: HashMap<String, i64>,
    ) {
        let exchange = &self.exchange;
        follow(&self.shared, &self.venue, &streams, self.admission).await;
        for asked in &streams {
            let begun = exchange
                .book(&self.shared, &self.venue, &asked.1.symbol, self.admission)
                .await;
            if begun.is_err() {
                if elsewhere(&self.shared, &self.venue, &asked.1.symbol, self.admission).is_some() {
                    let why = "no other node gives the book now: connect again in some seconds";
                    return self.outbox.end(Closing::later(why));
                }
                return self.refuse_unknown(asked, &[], id);
            }
        }
        self.reply(done(&Value::Null, id));
        self.attach(streams, &resume);
    }

    /// Refuse a subscription because of these streams. The remote client asks for all others again at once.
    fn refuse_unknown(&self, first: &Named, others: &[&Named], id: &Value) {
        let why = self.unknown(first, !others.is_empty(), id);
        if why.code != states::NOT_HELD {
            return self.refuse(&why);
        }
        let names = [first]
            .into_iter()
            .chain(others.iter().copied())
            .map(|(name, _)| &**name);
        self.reply(refused_streams(&why, names));
    }

    fn unknown(&self, (name, stream): &Named, is_one_of_many: bool, id: &Value) -> Refused {
        let why = match self.exchange.options.most_begun {
            _ if self.shared.cluster.is_some() => format!(
                "nor does another node of the cluster: depthcache cluster add {} --exchange {}",
                shown(&stream.symbol),
                self.venue.name
            ),
            0 => "and begins none for readers: name it when the server starts, PUT it with the admin token, or serve \
                  with --exchange-symbols any"
                .to_owned(),
            most => format!("and could not begin it, or keeps {most} begun ones already (--exchange-books)"),
        };
        let is_remote = stream.kind.has_states();
        // The remote client names symbols, not the streams that it subscribes to for them.
        let asked = match is_remote {
            true if is_one_of_many => "this symbol".into(),
            true => shown(&stream.symbol),
            false => shown(name),
        };
        let words = format!(
            "this server holds no book of {} for {asked}, {why}",
            self.venue.name,
        );
        if is_remote {
            return Refused {
                code: states::NOT_HELD,
                words,
                id: id.clone(),
            };
        }
        let words = format!("Invalid request: invalid stream: {words}");
        Refused {
            code: 2,
            words,
            id: id.clone(),
        }
    }

    /// The streams of names that are not subscribed yet.
    fn streams(&self, names: &[String]) -> Result<Vec<(Arc<str>, Stream)>, Refused> {
        let refused = |code, words| Refused {
            code,
            words,
            id: Value::Null,
        };
        if !self.has_depth && !names.is_empty() {
            let words = "Invalid request: invalid stream: depth and bookTicker are under /public";
            return Err(refused(2, words.to_owned()));
        }
        let subscribed = self.subscribed.lock();
        let mut found: Vec<(Arc<str>, Stream)> = Vec::new();
        let mut known = HashSet::new();
        for name in names {
            if subscribed.names.contains(name.as_str()) || !known.insert(name.as_str()) {
                continue;
            }
            if subscribed.streams.len() + found.len() >= self.venue.most_streams {
                // For the 1,025th stream: this error, then close 1008 (USD-M, measured 2026-10-07).
                return Err(refused(4, "Too many subscriptions".to_owned()));
            }
            let stream = Stream::parse(&self.venue, name)
                .map_err(|why| refused(2, format!("Invalid request: invalid stream: {why}")))?;
            found.push((name.as_str().into(), stream));
        }
        Ok(found)
    }

    /// `resume`: by stream, the last id of the client's book.
    fn attach(&self, streams: Vec<(Arc<str>, Stream)>, resume: &HashMap<String, i64>) {
        let exchange = &self.exchange;
        let mut subscribed = self.subscribed.lock();
        for (name, stream) in streams {
            if subscribed.is_over || subscribed.names.contains(&name) {
                continue;
            }
            let resume = resume.get(&*name).copied();
            let reader = (&self.outbox, resume, self.admission);
            if exchange.subscribe(&self.shared, &self.venue, &stream, &name, reader) {
                subscribed.names.insert(name.clone());
                subscribed.streams.push((name, stream));
            } else {
                // It was held a moment ago: what was acknowledged must not be silent.
                self.outbox.end(Closing::later(
                    "the server does not hold the book any more: connect again in some seconds",
                ));
            }
        }
    }

    fn unsubscribe(&self, name: &str) {
        let mut subscribed = self.subscribed.lock();
        if !subscribed.names.remove(name) {
            return;
        }
        let index = subscribed
            .streams
            .iter()
            .position(|(known, _)| **known == *name);
        if let Some(index) = index {
            let (_, stream) = subscribed.streams.remove(index);
            self.exchange
                .unsubscribe(&self.venue, &stream.symbol, name, &self.outbox);
        }
    }

    fn leave(&self) {
        let mut subscribed = self.subscribed.lock();
        subscribed.is_over = true;
        let streams = std::mem::take(&mut subscribed.streams);
        subscribed.names.clear();
        for (name, stream) in streams {
            let symbol = &stream.symbol;
            self.exchange
                .unsubscribe(&self.venue, symbol, &name, &self.outbox);
        }
    }

    fn refuse(&self, why: &Refused) {
        self.reply(refused(why));
        if why.code == 4 {
            self.outbox.end(Closing::policy("Invalid request"));
        }
    }

    fn reply(&self, text: String) {
        self.outbox.push(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::tests::venue;
    use super::*;

    fn parsed(family: &str, target: &str) -> Option<(bool, Vec<String>)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let url = Url::parse(&venue(family, 100), path, query)?;
        Some((url.is_combined, url.streams))
    }

    #[test]
    fn urls_are_those_of_the_exchange() {
        let some = |is_combined, names: &[&str]| {
            Some((
                is_combined,
                names.iter().map(|name| name.to_string()).collect(),
            ))
        };
        for (family, target, expected) in [
            ("spot", "/ws", some(false, &[])),
            ("spot", "/ws/", some(false, &[])),
            ("spot", "/ws/a@depth", some(false, &["a@depth"])),
            ("spot", "/ws/0", some(false, &[])),
            (
                "spot",
                "/ws/a@depth/b@depth/a@depth",
                some(false, &["a@depth", "b@depth"]),
            ),
            (
                "spot",
                "/ws/%E5%B8%81usdt%40depth",
                some(false, &["币usdt@depth"]),
            ),
            ("spot", "/stream", some(true, &[])),
            (
                "spot",
                "/stream?streams=a@depth/b@bookTicker",
                some(true, &["a@depth", "b@bookTicker"]),
            ),
            (
                "spot",
                "/stream?timeUnit=x&streams=%E5%B8%81usdt@depth",
                some(true, &["币usdt@depth"]),
            ),
            ("spot", "/public/ws", None),
            ("spot", "/streams", None),
            ("linear", "/public/ws", some(false, &[])),
            (
                "linear",
                "/public/stream?streams=a@depth",
                some(true, &["a@depth"]),
            ),
            ("linear", "/ws/a@depth", some(false, &["a@depth"])),
            ("linear", "/market/ws", some(false, &[])),
            ("linear", "/private/stream", some(true, &[])),
            ("linear", "/private/x", None),
        ] {
            assert_eq!(parsed(family, target), expected, "{target}");
        }
    }
}
