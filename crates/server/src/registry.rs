//! The books that a server serves, by exchange and symbol; its owner adds and removes them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use depthcache_book::follow::FollowSpec;
use depthcache_book::market::{Market, MarketCell};
use depthcache_book::query::{ReadPolicy, Reading};
use depthcache_book::router::{Follower, Router};
use depthcache_book::status::Status;
use depthcache_wire::Numbers;
use http::StatusCode;
use parking_lot::{Mutex, RwLock};

use crate::kept::{Kept, KeptBody, KeptView};
use crate::limits::Limits;
use crate::problem::{Fact, Problem, shortened};
use crate::source::{Source, Version};
use crate::views::{Backlog, Channel, Cursor, Hub, Label, NoChannel, Ready, Resume, View};

/// A book that is served; a copy is another name of the same.
#[derive(Clone, Debug)]
pub struct Book {
    served: Arc<Served>,
    /// The order in which books came.
    serial: u64,
}

impl Deref for Book {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

/// What is served.
#[derive(Debug)]
pub struct Served {
    /// The exchange's name.
    pub exchange: Arc<str>,
    /// The symbol, as the exchange spells it.
    pub symbol: Arc<str>,
    /// Since when it is served.
    pub added: SystemTime,
    /// Another one where an own book took the place of a followed one.
    source: RwLock<Source>,
    is_followed: AtomicBool,
    /// Those who follow it.
    pub(crate) hub: Arc<Hub>,
    kept: Kept,
}

impl Book {
    /// A book of a router, or one that is fed by hand.
    pub fn new(
        exchange: &str,
        symbol: &str,
        cell: Arc<MarketCell>,
        router: Option<Arc<Router>>,
    ) -> Book {
        let served = Served {
            exchange: exchange.into(),
            symbol: symbol.into(),
            added: SystemTime::now(),
            source: RwLock::new(Source::new(cell, router)),
            is_followed: AtomicBool::new(false),
            hub: Arc::default(),
            kept: Kept::default(),
        };
        Book {
            served: Arc::new(served),
            serial: 0,
        }
    }

    /// The same, but held by other nodes: it is served to readers alone, and to no node.
    pub fn followed(self) -> Book {
        self.is_followed.store(true, Ordering::Release);
        self
    }
}

impl Served {
    /// `EXCHANGE/SYMBOL`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.exchange, self.symbol)
    }

    /// Whether other nodes hold it, and it is served to readers alone.
    pub fn is_followed(&self) -> bool {
        self.is_followed.load(Ordering::Acquire)
    }

    /// What feeds it now. Copied, so that no look at the book holds the lock of its source.
    pub(crate) fn source(&self) -> Source {
        self.source.read().clone()
    }

    /// Be another book from now on, which this node holds itself. Readers of views continue from their ids.
    pub(crate) fn become_own(&self, own: &Served) {
        self.hub.replace_source(&self.source, own.source());
        self.is_followed.store(false, Ordering::Release);
    }

    /// Look at the book while no frame changes it: copy out, and no more.
    pub fn look<T>(&self, copy: impl FnOnce(&Market) -> T) -> T {
        self.source().look(copy)
    }

    /// The same, with the version that is seen.
    pub fn look_at_version<T>(&self, copy: impl FnOnce(&Market, Version) -> T) -> T {
        self.source().look_at_version(copy)
    }

    /// Whether it can be trusted now.
    pub(crate) fn is_synced(&self) -> bool {
        self.look(|market| market.status_info().status == Status::Synced)
    }

    /// The body that a read of so many levels would make now, if it is kept and is not too old.
    pub fn kept(&self, levels: usize, numbers: Numbers, policy: ReadPolicy) -> Option<KeptBody> {
        let version = self.source().version();
        let found = self.kept.get(&self.kept_view(version, levels, numbers))?;
        policy
            .takes_age_of(found.updated_ns, || self.now_ns())
            .then_some(found)
    }

    /// Keep a body of a book that could be read.
    pub fn keep(&self, body: KeptBody) {
        self.kept.keep(body);
    }

    /// What makes a body.
    pub fn kept_view(&self, version: Version, levels: usize, numbers: Numbers) -> KeptView {
        KeptView {
            version,
            wall_offset_ns: self.source().wall_offset_ns(),
            levels,
            numbers,
        }
    }

    /// A follower of this book alone; None for one that is fed by hand.
    pub fn follower(&self, spec: FollowSpec) -> Option<Follower> {
        let source = self.source();
        source.is_fed().then(|| source.follower(spec))
    }

    /// Change what the book keeps for its readers; its levels are the router's business.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Market) -> T) -> T {
        self.source().change(change)
    }

    /// Now, on the clock that stamps the book; 0 where none does.
    pub fn now_ns(&self) -> i64 {
        self.source().now_ns()
    }

    /// Follow a view of it; made where it is the first of its kind. `server`: the name of this one.
    pub(crate) fn join(
        &self,
        view: View,
        reader: (&Arc<Ready>, u32),
        resume: Option<Resume>,
        server: &Arc<str>,
        bounds: (&Limits, &Arc<Backlog>),
    ) -> Result<(Arc<Channel>, Cursor), NoChannel> {
        let label = || Label {
            exchange: self.exchange.clone(),
            symbol: self.symbol.clone(),
            view: view.name(),
            numbers: view.numbers,
            server: server.clone(),
        };
        self.hub
            .join(&self.source, (view, label), reader, resume, bounds)
    }
}

type Symbols = BTreeMap<Arc<str>, Book>;

/// Exchange and symbol.
pub type BookName = (Arc<str>, Arc<str>);

/// All books of a server.
#[derive(Debug, Default)]
pub struct Registry {
    exchanges: RwLock<BTreeMap<Arc<str>, Symbols>>,
    /// Own books whose place a followed one has, by exchange and symbol.
    hidden: Mutex<HashMap<BookName, Book>>,
    /// Whether there was a followed one.
    has_followed: AtomicBool,
    /// Other names of exchanges, in lower case.
    aliases: RwLock<HashMap<String, Arc<str>>>,
    changes: AtomicU64,
    /// How many books were removed or replaced.
    departures: AtomicU64,
    arrivals: Mutex<Arrivals>,
}

/// Books by the order in which they came, and who wants to know of the next one.
#[derive(Debug, Default)]
struct Arrivals {
    last: u64,
    books: BTreeMap<u64, Book>,
    readers: Vec<Weak<Ready>>,
    /// Forget those that are gone once there are so many.
    sweep_at: usize,
}

impl Registry {
    /// Serve a book; it takes the place of one of the same names, which is returned. An own book does not take that of a
    /// followed one: it is hidden behind it.
    pub fn add(&self, book: Book) -> Option<Book> {
        let mut exchanges = self.exchanges.write();
        if book.is_followed() {
            self.has_followed.store(true, Ordering::Release);
        }
        let name = (book.exchange.clone(), book.symbol.clone());
        let shown = exchanges
            .get(&name.0)
            .and_then(|symbols| symbols.get(&name.1));
        match shown.map(|shown| shown.is_followed()) {
            Some(true) if !book.is_followed() => self.hidden.lock().insert(name, book),
            Some(false) if book.is_followed() => {
                let own = self.show(&mut exchanges, book)?;
                self.hidden.lock().insert(name, own);
                None
            }
            _ => self.show(&mut exchanges, book),
        }
    }

    /// Whether there was a followed book, ever.
    pub fn has_followed(&self) -> bool {
        self.has_followed.load(Ordering::Acquire)
    }

    fn show(&self, exchanges: &mut BTreeMap<Arc<str>, Symbols>, mut book: Book) -> Option<Book> {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let symbols = exchanges.entry(book.exchange.clone()).or_default();
        let mut arrivals = self.arrivals.lock();
        arrivals.last += 1;
        book.serial = arrivals.last;
        arrivals.books.insert(book.serial, book.clone());
        let former = symbols.insert(book.symbol.clone(), book);
        if let Some(former) = &former {
            arrivals.books.remove(&former.serial);
            self.departures.fetch_add(1, Ordering::AcqRel);
            former
                .hub
                .end(Status::Buffering, "another book takes its place");
        }
        arrivals.readers.retain(|reader| match reader.upgrade() {
            Some(reader) => {
                reader.mark_books();
                true
            }
            None => false,
        });
        former
    }

    /// Replace the other names of exchanges: the name of the exchange by each of them.
    pub fn set_aliases(&self, aliases: impl IntoIterator<Item = (String, String)>) {
        let lowered = aliases
            .into_iter()
            .map(|(alias, exchange)| (alias.to_lowercase(), exchange.into()));
        *self.aliases.write() = lowered.collect();
    }

    /// The exchange of a name: a held one as written, or in any case one of its other names. Any other name stands for
    /// itself.
    pub fn exchange(&self, name: &str) -> Arc<str> {
        let held = self
            .exchanges
            .read()
            .get_key_value(name)
            .map(|(name, _)| name.clone());
        held.or_else(|| self.aliases.read().get(&name.to_lowercase()).cloned())
            .unwrap_or_else(|| name.into())
    }

    /// The books that came after one of that number, and the number of the last; 0 for all.
    pub(crate) fn since(&self, serial: u64) -> (Vec<Book>, u64) {
        let arrivals = self.arrivals.lock();
        let books = arrivals.books.range(serial + 1..);
        (books.map(|(_, book)| book.clone()).collect(), arrivals.last)
    }

    /// Tell a reader of every book that comes, for as long as it is there.
    pub(crate) fn tell(&self, reader: &Arc<Ready>) {
        const FEWEST: usize = 64;
        let mut arrivals = self.arrivals.lock();
        if arrivals.readers.len() >= arrivals.sweep_at.max(FEWEST) {
            arrivals.readers.retain(|reader| reader.strong_count() > 0);
            arrivals.sweep_at = 2 * arrivals.readers.len();
        }
        arrivals.readers.push(Arc::downgrade(reader));
    }

    /// Serve an own book no longer; the book, where it was served.
    pub fn remove(&self, exchange: &str, symbol: &str) -> Option<Book> {
        let mut exchanges = self.exchanges.write();
        match exchanges.get(exchange)?.get(symbol)?.is_followed() {
            true => self.unhide(exchange, symbol),
            false => self.withdraw(&mut exchanges, exchange, symbol),
        }
    }

    /// Serve a followed book no longer, but the own one where it is hidden behind it; the followed one, where it was served.
    pub fn remove_followed(&self, exchange: &str, symbol: &str) -> Option<Book> {
        let mut exchanges = self.exchanges.write();
        if !exchanges.get(exchange)?.get(symbol)?.is_followed() {
            return None;
        }
        match self.unhide(exchange, symbol) {
            Some(own) => self.show(&mut exchanges, own),
            None => self.withdraw(&mut exchanges, exchange, symbol),
        }
    }

    /// The followed book of these names, and the own one that is hidden behind it.
    pub(crate) fn followed_and_own(&self, exchange: &str, symbol: &str) -> Option<(Book, Book)> {
        let exchanges = self.exchanges.read();
        let shown = exchanges.get(exchange)?.get(symbol)?;
        Some((shown.clone(), self.hidden_behind(shown)?))
    }

    fn hidden_behind(&self, shown: &Book) -> Option<Book> {
        let name = (shown.exchange.clone(), shown.symbol.clone());
        self.hidden.lock().get(&name).cloned()
    }

    /// A book is served as this own one from now on, which was hidden behind it.
    pub(crate) fn become_own(&self, shown: &Book, own: &Book) {
        let _exchanges = self.exchanges.write();
        shown.become_own(own);
        self.unhide(&shown.exchange, &shown.symbol);
    }

    /// As `find`; for another node the book that this one holds itself, so that no node reads a book that this one follows,
    /// perhaps from that very node.
    pub fn find_for(
        &self,
        is_node: bool,
        exchange: Option<&str>,
        symbol: &str,
        hints: bool,
    ) -> Result<Book, Problem> {
        let found = self.find(exchange, symbol, hints)?;
        if !is_node || !found.is_followed() {
            return Ok(found);
        }
        self.hidden_behind(&found)
            .ok_or_else(|| self.unknown(exchange, symbol, false))
    }

    /// As `find_for`, for one read: the own book that is hidden behind a followed one while that is not current.
    pub fn find_to_read(
        &self,
        is_node: bool,
        exchange: Option<&str>,
        symbol: &str,
        hints: bool,
    ) -> Result<Book, Problem> {
        let found = self.find_for(is_node, exchange, symbol, hints)?;
        Ok(self.readable(found))
    }

    /// The book to read in place of a found one: the own one that is hidden behind it while it is not current.
    pub fn readable(&self, found: Book) -> Book {
        if !found.is_followed() || found.is_synced() {
            return found;
        }
        let own = self.hidden_behind(&found);
        own.filter(|own| own.is_synced()).unwrap_or(found)
    }

    fn unhide(&self, exchange: &str, symbol: &str) -> Option<Book> {
        self.hidden.lock().remove(&(exchange.into(), symbol.into()))
    }

    fn withdraw(
        &self,
        exchanges: &mut BTreeMap<Arc<str>, Symbols>,
        exchange: &str,
        symbol: &str,
    ) -> Option<Book> {
        let symbols = exchanges.get_mut(exchange)?;
        let former = symbols.remove(symbol);
        self.changes.fetch_add(1, Ordering::Relaxed);
        if symbols.is_empty() {
            exchanges.remove(exchange);
        }
        if let Some(former) = &former {
            self.departures.fetch_add(1, Ordering::AcqRel);
            self.arrivals.lock().books.remove(&former.serial);
            former
                .hub
                .end(Status::Closed, "the book is not served any more");
        }
        former
    }

    /// How often books came and went.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How many books were removed or replaced.
    pub fn departures(&self) -> u64 {
        self.departures.load(Ordering::Acquire)
    }

    /// How many books there are.
    pub fn len(&self) -> usize {
        self.exchanges.read().values().map(BTreeMap::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.exchanges.read().is_empty()
    }

    /// The own books that are hidden behind followed ones.
    pub(crate) fn all_hidden(&self) -> Vec<Book> {
        self.hidden.lock().values().cloned().collect()
    }

    /// All books, by exchange and symbol.
    pub fn all(&self) -> Vec<Book> {
        let exchanges = self.exchanges.read();
        exchanges
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// The book of these names, or the one of that symbol on any exchange; the symbol in any case. `hints`: whether an
    /// error names neighbours, for which every book is looked at.
    pub fn find(&self, exchange: Option<&str>, symbol: &str, hints: bool) -> Result<Book, Problem> {
        let found = |symbols: &Symbols| get(symbols, symbol).cloned();
        if let Some(name) = exchange {
            let book = self.exchanges.read().get(name).and_then(found);
            let by_alias = || {
                let meant = self.exchange(name);
                self.exchanges.read().get(&meant).and_then(found)
            };
            let book = book.or_else(by_alias);
            return book.ok_or_else(|| self.unknown(exchange, symbol, hints));
        }
        let held: Vec<Book> = self.exchanges.read().values().filter_map(found).collect();
        match held.as_slice() {
            [] => Err(self.unknown(exchange, symbol, hints)),
            [book] => Ok(book.clone()),
            several => Err(ambiguous(
                symbol,
                several.iter().map(|book| book.name()).collect(),
            )),
        }
    }

    fn unknown(&self, exchange: Option<&str>, symbol: &str, hints: bool) -> Problem {
        let near = match hints {
            true => self.near(exchange, symbol),
            false => Vec::new(),
        };
        let place = exchange.map_or(String::new(), |name| format!(" of {}", shortened(name)));
        let hint = match near.is_empty() {
            true => String::new(),
            false => format!("; near it: {}", near.join(", ")),
        };
        let message = format!(
            "the book {}{place} is not held here{hint}",
            shortened(symbol)
        );
        let mut problem = Problem::new(StatusCode::NOT_FOUND, "unknown_book", message);
        if let Some(exchange) = exchange {
            problem = problem.text("exchange", shortened(exchange));
        }
        problem
            .text("symbol", shortened(symbol))
            .fact("near", Fact::Texts(near))
    }

    /// The names most like those that were asked for.
    fn near(&self, exchange: Option<&str>, symbol: &str) -> Vec<String> {
        const MOST: usize = 3;
        const LIKE: f64 = 0.75;
        let asked = symbol.to_uppercase();
        if asked.chars().count() > MOST_SYMBOL {
            return Vec::new();
        }
        let exchange = exchange.map(|name| self.exchange(name));
        let mut found: Vec<(f64, String)> = Vec::new();
        for book in self.all() {
            let of_symbol = strsim::jaro_winkler(&asked, &book.symbol);
            let is_there = exchange.as_ref().is_none_or(|name| *name == book.exchange);
            let likeness = if is_there { of_symbol } else { of_symbol * 0.9 };
            if likeness >= LIKE {
                found.push((likeness, book.name()));
            }
        }
        found.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        found.truncate(MOST);
        found.into_iter().map(|(_, name)| name).collect()
    }
}

/// A symbol that books of several exchanges have.
pub fn ambiguous(symbol: &str, names: Vec<String>) -> Problem {
    let message = format!(
        "{} is held on several exchanges: {}",
        shortened(symbol),
        names.join(", ")
    );
    Problem::new(StatusCode::BAD_REQUEST, "ambiguous_symbol", message)
        .text("symbol", shortened(symbol))
        .fact("near", Fact::Texts(names))
}

/// No exchange has longer symbols.
const MOST_SYMBOL: usize = 64;

fn get<'a>(symbols: &'a Symbols, symbol: &str) -> Option<&'a Book> {
    symbols
        .get(symbol)
        .or_else(|| symbols.get(symbol.to_uppercase().as_str()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn registry(names: &[(&str, &str)]) -> Registry {
        let registry = Registry::default();
        let router = Arc::new(Router::new(8, 1 << 10, 0));
        for (number, (exchange, symbol)) in names.iter().enumerate() {
            let number = number as u64;
            let rules = depthcache_book::market::sequence::Continuity::Contiguous;
            router
                .add_market(number, exchange, symbol, rules, 0)
                .expect("new numbers");
            let cell = router.market(number).expect("just added");
            registry.add(Book::new(exchange, symbol, cell, Some(router.clone())));
        }
        registry
    }

    #[test]
    fn a_book_is_found_in_any_case_and_unknown_ones_name_their_neighbours() {
        let held = [("binance.com", "BTCUSDT"), ("binance.com", "ETHUSDT")];
        let registry = registry(&held);
        assert_eq!(
            &*registry
                .find(Some("binance.com"), "btcusdt", true)
                .expect("held")
                .symbol,
            "BTCUSDT"
        );
        let problem = registry
            .find(Some("binance.com"), "BTCUSD", true)
            .expect_err("not held");
        assert_eq!(problem.status, StatusCode::NOT_FOUND);
        let mut text = Vec::new();
        problem.write(&mut text);
        let text = String::from_utf8(text).expect("JSON is UTF-8");
        assert!(text.contains(r#""near":["binance.com/BTCUSDT"#), "{text}");
    }

    #[test]
    fn a_symbol_of_several_exchanges_is_ambiguous() {
        let registry = registry(&[("binance.com", "BTCUSDT"), ("binance.us", "BTCUSDT")]);
        let problem = registry.find(None, "BTCUSDT", true).expect_err("two");
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        assert!(registry.remove("binance.us", "BTCUSDT").is_some());
        assert!(registry.remove("binance.us", "BTCUSDT").is_none());
        assert_eq!(
            &*registry.find(None, "BTCUSDT", true).expect("one").exchange,
            "binance.com"
        );
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn an_exchange_goes_by_all_its_names_in_any_case() {
        let registry = registry(&[("trbinance.com", "BTCTRY"), ("binance.com", "BTCUSDT")]);
        let named = |alias: &str, name: &str| (alias.to_owned(), name.to_owned());
        registry.set_aliases([
            named("Binance.TR", "trbinance.com"),
            named("binance.com", "binance.com"),
        ]);
        for (name, symbol) in [
            ("trbinance.com", "BTCTRY"),
            ("binance.tr", "btctry"),
            ("BINANCE.TR", "BTCTRY"),
            ("Binance.com", "BTCUSDT"),
        ] {
            assert!(registry.find(Some(name), symbol, true).is_ok(), "{name}");
        }
        assert!(registry.find(Some("binance.tr"), "BTCUSDT", true).is_err());
        assert_eq!(&*registry.exchange("other"), "other");
    }
}
