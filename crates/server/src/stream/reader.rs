//! The subscriptions of one connection, and the next message of all of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use depthcache_book::follow::Mode;
use depthcache_book::query::Reading;
use depthcache_wire::Numbers;
use http::StatusCode;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::elsewhere::Elsewhere;
use super::reply::{reply, written};
use super::request::{Selectors, SubscriptionSpec};
use crate::cluster::Cluster;
use crate::peers;
use crate::problem::{Fact, Problem};
use crate::registry::{Book, BookName};
use crate::shared::Shared;
use crate::views::{
    Channel, Cursor, Due, Format, NoChannel, Ready, Resume, Subscriber, Taken, View, Writer,
};

/// The subscriptions of one connection; dropping it leaves nothing in the books.
pub struct Reader {
    shared: Arc<Shared>,
    ready: Arc<Ready>,
    format: Format,
    subscriptions: BTreeMap<u64, Subscription>,
    last_subscription: u64,
    /// By key.
    followed: Vec<Option<Followed>>,
    free: Vec<u32>,
    /// The key of each view of a book, which is followed once.
    known: HashMap<Name, u32>,
    /// Books that came up to this number were compared with the subscriptions.
    seen: u64,
    is_told: bool,
    /// A limit refused a new book.
    is_beyond: bool,
    heartbeat: Interval,
    /// Where the next heartbeat begins, if it cannot name all books.
    turn: usize,
    /// Sent before the messages of books: errors for new books that cannot be followed, and the ends of books that were
    /// replaced.
    notices: VecDeque<Message>,
    /// Of books that other nodes hold; None where there are none.
    elsewhere: Option<Elsewhere>,
}

/// Exchange, symbol and view, as in messages: clients identify a book by nothing else.
type Name = (Arc<str>, Arc<str>, Arc<str>);

/// Some books in one view.
pub struct Subscription {
    pub selectors: Selectors,
    pub view: View,
    name: Arc<str>,
}

/// What a client learns of its subscription.
pub struct Subscribed {
    pub number: u64,
    pub view: Arc<str>,
    pub books: Vec<String>,
    /// The name of the server, needed to resume.
    pub server: Arc<str>,
}

struct Followed {
    subscription: u64,
    book: Book,
    channel: Arc<Channel>,
    cursor: Cursor,
    name: Name,
    /// Nothing was sent since the last heartbeat.
    is_silent: bool,
}

impl Reader {
    /// `address`: where its connection comes from. `cluster`: whose books it may hear of.
    pub fn new(
        shared: Arc<Shared>,
        format: Format,
        address: Option<IpAddr>,
        cluster: Option<Arc<Cluster>>,
    ) -> Reader {
        let period = shared.limits.heartbeat;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Reader {
            elsewhere: cluster.map(|cluster| Elsewhere::new(shared.clone(), cluster)),
            shared,
            ready: Arc::new(Ready::new(subscriber(address))),
            format,
            subscriptions: BTreeMap::new(),
            last_subscription: 0,
            followed: Vec::new(),
            free: Vec::new(),
            known: HashMap::new(),
            seen: 0,
            is_told: false,
            is_beyond: false,
            heartbeat,
            turn: 0,
            notices: VecDeque::new(),
        }
    }

    /// All subscriptions by number, with the names of their books.
    pub fn subscriptions(&self) -> impl Iterator<Item = (u64, &Subscription, Vec<String>)> {
        self.subscriptions
            .iter()
            .map(|(number, subscription)| (*number, subscription, self.books(*number)))
    }

    fn books(&self, subscription: u64) -> Vec<String> {
        let of_it = self
            .followed
            .iter()
            .flatten()
            .filter(|followed| followed.subscription == subscription);
        let here = of_it.map(|followed| followed.book.name());
        let elsewhere = self
            .elsewhere
            .iter()
            .flat_map(|all| all.books(subscription));
        here.chain(elsewhere).collect()
    }

    /// Subscribe. Nothing is done if that fails.
    pub fn subscribe(&mut self, wanted: SubscriptionSpec) -> Result<Subscribed, Problem> {
        let server = self.shared.name();
        let most = self.shared.limits.subscriptions;
        if self.subscriptions.len() >= most {
            let message = format!("a connection has at most {most} subscriptions");
            return Err(too_many("too_many_subscriptions", message, most));
        }
        self.check_names(&wanted.selectors)?;
        if !self.is_told {
            self.shared.registry.tell(&self.ready);
            self.is_told = true;
        }
        self.look_for_books();
        let is_own = wanted.server.as_deref() == Some(&*server);
        let number = self.last_subscription + 1;
        let name: Arc<str> = wanted.view.name().into();
        for book in self.shared.registry.all() {
            if !wanted.selectors.match_any(&book) {
                continue;
            }
            let resume = wanted.resume_of(&book);
            let resume = resume.map(|id| Resume {
                id,
                is_own,
                is_complete: wanted.is_complete,
            });
            if let Err(why) = self.follow(number, &book, wanted.view, &name, resume) {
                self.leave(number);
                return Err(why);
            }
        }
        self.last_subscription = number;
        let subscription = Subscription {
            selectors: wanted.selectors,
            view: wanted.view,
            name: name.clone(),
        };
        self.subscriptions.insert(number, subscription);
        if let Err(why) = self.hear_of_all() {
            self.unsubscribe(number);
            return Err(why);
        }
        Ok(Subscribed {
            number,
            view: name,
            books: self.books(number),
            server,
        })
    }

    /// The names of all subscriptions are kept as long as the connection, and every new book is compared with each
    /// pattern.
    fn check_names(&self, more: &Selectors) -> Result<(), Problem> {
        const MOST_PATTERNS: usize = 256;
        let held = self.subscriptions.values().map(|each| &each.selectors);
        let all = || held.clone().chain([more]);
        let most = self.shared.limits.followed;
        if all().map(|each| each.given.len()).sum::<usize>() > most {
            let message = format!("a connection names at most {most} books and patterns");
            return Err(too_many("too_many_names", message, most));
        }
        if all().map(Selectors::patterns).sum::<usize>() > MOST_PATTERNS {
            let message = format!("a connection has at most {MOST_PATTERNS} patterns");
            return Err(too_many("too_many_patterns", message, MOST_PATTERNS));
        }
        Ok(())
    }

    /// End a subscription; false where there is none of that number.
    pub fn unsubscribe(&mut self, number: u64) -> bool {
        let was_there = self.subscriptions.remove(&number).is_some();
        if was_there {
            let left = self.leave(number);
            if std::mem::take(&mut self.is_beyond) {
                self.seen = 0; // there is room for books that were refused
            } else {
                self.follow_all(left); // another subscription may name the same books
            }
            self.look_for_books();
            let _ = self.hear_of_all(); // there are fewer than before
        }
        was_there
    }

    /// End all subscriptions.
    pub fn unsubscribe_all(&mut self) -> Vec<u64> {
        let numbers: Vec<u64> = self.subscriptions.keys().copied().collect();
        self.subscriptions.clear();
        for number in &numbers {
            self.leave(*number);
        }
        numbers
    }

    /// The next message; without one the task is woken when there is.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Message> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Poll::Ready(notice);
            }
            if let Some(elsewhere) = &mut self.elsewhere
                && let Some(message) = elsewhere.take(self.format)
            {
                let counts = &self.shared.statistics;
                counts.messages.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(message);
            }
            if self.heartbeat.poll_tick(context).is_ready() {
                if let Some(message) = self.beat() {
                    return Poll::Ready(message);
                }
                continue;
            }
            match ready!(self.ready.poll_next(context)) {
                Due::Books => {
                    self.look_for_books();
                    self.look_elsewhere();
                }
                Due::Read(key) => {
                    if let Some(message) = self.take(key) {
                        self.shared
                            .statistics
                            .messages
                            .fetch_add(1, Ordering::Relaxed);
                        return Poll::Ready(message);
                    }
                }
            }
        }
    }

    fn take(&mut self, key: u32) -> Option<Message> {
        let followed = self.followed.get_mut(key as usize)?.as_mut()?;
        let cursor = &mut followed.cursor;
        let counts = &self.shared.statistics;
        match followed.channel.take(cursor, self.format, counts) {
            Taken::Message(message) => {
                followed.is_silent = false;
                self.ready.mark_again(key); // after the others had a turn
                Some(message)
            }
            Taken::Last(message) => {
                let (exchange, symbol, _) = followed.name.clone();
                self.drop_key(key);
                let _ = self.hear_of(vec![(exchange, symbol)]); // it went to another node
                Some(message)
            }
            Taken::Nothing => None,
            Taken::Over => {
                let (exchange, symbol, _) = followed.name.clone();
                self.drop_key(key);
                let _ = self.hear_of(vec![(exchange, symbol)]);
                None
            }
        }
    }

    /// Follow books that came and are subscribed to.
    fn look_for_books(&mut self) {
        let (books, last) = self.shared.registry.since(self.seen);
        self.seen = last;
        self.follow_all(books);
    }

    /// Hear of books that other nodes hold, and that changed.
    fn look_elsewhere(&mut self) {
        let names = self.elsewhere.as_mut().map(Elsewhere::changed);
        if let Err(why) = self.hear_of(names.unwrap_or_default()) {
            self.is_beyond = true;
            let message = reply(None, Err(why));
            self.notices
                .push_back(written(&message, "error", self.format));
        }
    }

    /// Hear of all books that other nodes hold and whose states are subscribed to.
    fn hear_of_all(&mut self) -> Result<(), Problem> {
        let is_of_states = |each: &Subscription| each.view.mode == Mode::Status;
        let Some(elsewhere) = &mut self.elsewhere else {
            return Ok(());
        };
        if !self.subscriptions.values().any(is_of_states) {
            return Ok(());
        }
        elsewhere.begin(&self.ready);
        let names = elsewhere.all();
        self.hear_of(names)
    }

    /// Hear of those of these books that other nodes hold and whose states are subscribed to.
    fn hear_of(&mut self, names: Vec<BookName>) -> Result<(), Problem> {
        let Some(elsewhere) = &mut self.elsewhere else {
            return Ok(());
        };
        let most = self.shared.limits.followed;
        for name in names {
            for (number, each) in &self.subscriptions {
                let full_name = (name.0.clone(), name.1.clone(), each.name.clone());
                let is_meant = each.view.mode == Mode::Status
                    && each.selectors.match_pattern(&name.0, &name.1)
                    && !self.known.contains_key(&full_name); // its last state comes first
                if is_meant
                    && elsewhere.offer(&name, &each.name, *number)
                    && self.known.len() + elsewhere.len() > most
                {
                    elsewhere.forget(&name, &each.name);
                    let message = format!("a connection follows at most {most} books");
                    return Err(too_many("too_many_books", message, most));
                }
            }
        }
        Ok(())
    }

    /// Follow those of `books` that are subscribed to.
    fn follow_all(&mut self, books: Vec<Book>) {
        for book in books {
            let wanted: Vec<(u64, View, Arc<str>)> = self
                .subscriptions
                .iter()
                .filter(|(_, each)| each.selectors.match_any(&book))
                .map(|(number, each)| (*number, each.view, each.name.clone()))
                .collect();
            for (number, view, name) in wanted {
                if let Err(why) = self.follow(number, &book, view, &name, None) {
                    self.complain(&book, why);
                }
            }
        }
    }

    /// A book that came cannot be followed: the client is told, though it did not ask now.
    fn complain(&mut self, book: &Book, why: Problem) {
        /// More would say the same.
        const MOST: usize = 16;
        self.is_beyond = true;
        if self.notices.len() < MOST {
            let why = why
                .text("exchange", &*book.exchange)
                .text("symbol", &*book.symbol);
            let message = reply(None, Err(why));
            self.notices
                .push_back(written(&message, "error", self.format));
        }
    }

    fn follow(
        &mut self,
        subscription: u64,
        book: &Book,
        view: View,
        name: &Arc<str>,
        resume: Option<Resume>,
    ) -> Result<(), Problem> {
        let full_name = (book.exchange.clone(), book.symbol.clone(), name.clone());
        let former = self.known.get(&full_name).copied();
        if former.is_some_and(|key| self.is_of(key, book)) {
            return Ok(());
        }
        let limits = &self.shared.limits;
        if former.is_none() && self.known.len() >= limits.followed {
            let most = limits.followed;
            let message = format!("a connection follows at most {most} books");
            return Err(too_many("too_many_books", message, most));
        }
        let key = self.free.pop().unwrap_or_else(|| {
            self.followed.push(None);
            self.followed.len() as u32 - 1
        });
        let reader = (&self.ready, key);
        let bounds = (limits, &self.shared.backlog);
        let server = &self.shared.name();
        let (channel, cursor) = match book.join(view, reader, resume, server, bounds) {
            Ok(joined) => joined,
            Err(why) => {
                self.free.push(key);
                return match why {
                    NoChannel::Ended => self.hear_of(vec![(full_name.0, full_name.1)]),
                    NoChannel::TooMany => {
                        let (symbol, most) = (&book.symbol, limits.views);
                        let message = format!(
                            "{symbol} has at most {most} views, and nobody more of them than are left for others: \
                             use fewer, or views that others follow already"
                        );
                        Err(too_many("too_many_views", message, most))
                    }
                    NoChannel::Full => {
                        let backlog = &self.shared.backlog;
                        let (views, most) = (backlog.views(), backlog.most_bytes());
                        let message = format!(
                            "the {views} views of this server keep what they may, {most} bytes (view_bytes), or you \
                             have your share of it: use fewer, or views that others follow already"
                        );
                        Err(too_many("too_many_view_bytes", message, most))
                    }
                };
            }
        };
        if let Some(former) = former {
            self.replace(former);
        }
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.forget(&(book.exchange.clone(), book.symbol.clone()), name);
        }
        self.known.insert(full_name.clone(), key);
        self.shared
            .statistics
            .subscribers
            .fetch_add(1, Ordering::Relaxed);
        self.followed[key as usize] = Some(Followed {
            subscription,
            book: book.clone(),
            channel,
            cursor,
            name: full_name,
            is_silent: true,
        });
        Ok(())
    }

    /// Whether a key is of this very book, and not of another one of the same name.
    fn is_of(&self, key: u32, book: &Book) -> bool {
        let followed = self.followed[key as usize].as_ref();
        followed.is_some_and(|followed| Arc::ptr_eq(&followed.book.hub, &book.hub))
    }

    /// Another book of the same name is followed now: messages of the former that wait must not follow those of the new
    /// one. The end of the former is sent first.
    fn replace(&mut self, former: u32) {
        let Some(followed) = &self.followed[former as usize] else {
            return;
        };
        let counts = &self.shared.statistics;
        let newest = &mut Cursor::default();
        if let Taken::Last(end) = followed.channel.take(newest, self.format, counts) {
            counts.messages.fetch_add(1, Ordering::Relaxed);
            self.notices.push_back(end);
        }
        self.drop_key(former);
    }

    /// Follow nothing for a subscription any more; returns the books that were followed for it.
    fn leave(&mut self, subscription: u64) -> Vec<Book> {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.leave(subscription);
        }
        let mut left = Vec::new();
        for key in 0..self.followed.len() {
            let is_of_it = self.followed[key]
                .as_ref()
                .is_some_and(|followed| followed.subscription == subscription);
            if is_of_it {
                left.extend(self.followed[key].as_ref().map(|each| each.book.clone()));
                self.drop_key(key as u32);
            }
        }
        left
    }

    fn drop_key(&mut self, key: u32) {
        if let Some(followed) = self.followed[key as usize].take() {
            followed.channel.leave(&self.ready, key);
            self.known.remove(&followed.name);
            self.free.push(key);
            self.shared
                .statistics
                .subscribers
                .fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The newest id and status of books of which nothing was sent since the last time; None where there are none.
    fn beat(&mut self) -> Option<Message> {
        /// Books that one message names; the next one goes on behind them.
        const MOST: usize = 256;
        let count = self.followed.len();
        let mut silent = Vec::new();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let Some(followed) = &mut self.followed[place] else {
                continue;
            };
            if std::mem::replace(&mut followed.is_silent, true) && silent.len() < MOST {
                silent.push(place);
            }
        }
        self.turn = silent.last().map_or(0, |last| last + 1);
        // Of a stream of events it is also the only sign by which a client that is gone is noticed.
        let is_due = !silent.is_empty() || self.format == Format::Events;
        is_due.then(|| self.heartbeat_of(&silent))
    }

    fn heartbeat_of(&self, places: &[usize]) -> Message {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_us = now.map_or(0, |since| since.as_micros() as i64);
        // In a stream of events it is a comment, which clients skip.
        let written = match self.format {
            Format::Events => Format::Json,
            format => format,
        };
        let mut message = Writer::new(written, Numbers::Text, "", None);
        message.map(3);
        message.key("type");
        message.text("heartbeat");
        message.key("time_us");
        message.integer(Some(now_us));
        message.key("books");
        message.list(places.len());
        for place in places {
            let Some(followed) = &self.followed[*place] else {
                continue;
            };
            let (id, status) = followed
                .book
                .look(|market| (market.last_update_id(), market.status_info().status));
            message.map(5);
            for (key, text) in [
                ("exchange", &*followed.book.exchange),
                ("symbol", &*followed.book.symbol),
                ("view", &*followed.name.2),
                ("status", status.as_str()),
            ] {
                message.key(key);
                message.text(text);
            }
            message.key("id");
            message.integer(id);
            message.end_map();
        }
        message.end_list();
        message.end_map();
        let bytes = message.done();
        let text = |bytes| Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default());
        match self.format {
            Format::MessagePack => Message::Binary(bytes.into()),
            Format::Json => text(bytes),
            Format::Events => text([b": ", &*bytes, b"\n\n"].concat()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for key in 0..self.followed.len() {
            self.drop_key(key as u32);
        }
    }
}

/// All programs of this machine share an address, so each of their connections counts by itself.
fn subscriber(address: Option<IpAddr>) -> Subscriber {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    match address.map(peers::network) {
        Some(network) if !network.is_loopback() => Subscriber::Address(network),
        _ => Subscriber::Connection(COUNT.fetch_add(1, Ordering::Relaxed)),
    }
}

fn too_many(code: &'static str, message: String, most: usize) -> Problem {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    Problem::new(status, code, message).fact("most", Fact::Integer(Some(most)))
}
