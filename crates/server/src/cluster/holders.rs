//! Which nodes hold the books of a cluster, as reported by the owner of the server.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use depthcache_book::status::Status;
use depthcache_wire::writer::{Object, string};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::registry::BookName;
use crate::views::Ready;

/// A node that holds a book.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Its id, as its certificate names it.
    pub node: Arc<str>,
    /// Host and port of its server.
    pub address: Arc<str>,
}

/// A book of the cluster.
#[derive(Debug)]
pub struct ClusterBook {
    /// The exchange's name.
    pub exchange: Arc<str>,
    /// The symbol, as the exchange spells it.
    pub symbol: Arc<str>,
    /// Its holders, the best to ask first; at least one.
    pub holders: Vec<Holder>,
    /// The status of its best replica.
    pub status: Status,
    /// The reason of that status.
    pub reason: String,
}

impl ClusterBook {
    /// `EXCHANGE/SYMBOL`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.exchange, self.symbol)
    }

    /// Its holders besides this node.
    pub fn others(&self, node: &str) -> impl Iterator<Item = &Holder> {
        self.holders
            .iter()
            .filter(move |holder| *holder.node != *node)
    }

    /// Its line in a list of books: like that of a book held here, without what only its holders know.
    pub fn summary(&self, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.text("exchange", &self.exchange);
        line.text("symbol", &self.symbol);
        line.flag("inverse", false);
        line.text("status", self.status.as_str());
        line.text("reason", &self.reason);
        line.integer("since_ns", 0);
        line.null("since_time_us");
        line.flag("unconfirmed", false);
        for key in [
            "last_update_id",
            "event_time_us",
            "updated_ns",
            "received_time_us",
            "confirmed_ns",
            "confirmed_time_us",
            "age_s",
        ] {
            line.null(key);
        }
        for key in ["complete_to", "coverage", "levels"] {
            let mut sides = line.object(key);
            for side in ["bids", "asks"] {
                match key {
                    "complete_to" => sides.null(side),
                    _ => sides.integer(side, 0),
                }
            }
            sides.end();
        }
        line.integer("updates", 0);
        line.null("best");
        let list = line.key("holders");
        list.push(b'[');
        for (index, holder) in self.holders.iter().enumerate() {
            if index > 0 {
                list.push(b',');
            }
            string(list, &holder.node);
        }
        list.push(b']');
        line.end();
    }
}

type Symbols = BTreeMap<Arc<str>, Arc<ClusterBook>>;

/// All books of a cluster that other nodes hold.
#[derive(Debug, Default)]
pub struct Holders {
    books: RwLock<BTreeMap<Arc<str>, Symbols>>,
    changes: watch::Sender<u64>,
    order: Mutex<Order>,
}

/// How many forgotten books keep their place in the order of changes.
const FORGOTTEN: usize = 1024;

/// Books by the order in which they changed, also those that were forgotten lately; and who wants to know of the next
/// change.
#[derive(Debug, Default)]
struct Order {
    last: u64,
    names: BTreeMap<u64, BookName>,
    serials: HashMap<BookName, u64>,
    /// When books were forgotten, the oldest first; some are there again.
    forgotten: VecDeque<u64>,
    /// Up to this change, books may be missing that are forgotten.
    complete_after: u64,
    readers: Vec<Weak<Ready>>,
}

/// What changed after some change.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes {
    /// The books, in the order of their last changes.
    pub names: Vec<BookName>,
    /// The number of the last change.
    pub last: u64,
    /// Whether further books may have been forgotten.
    pub is_partial: bool,
}

impl Order {
    fn note(&mut self, name: BookName, is_forgotten: bool) {
        self.last += 1;
        if let Some(former) = self.serials.insert(name.clone(), self.last) {
            self.names.remove(&former);
        }
        self.names.insert(self.last, name);
        if !is_forgotten {
            return;
        }
        self.forgotten.push_back(self.last);
        if self.forgotten.len() > FORGOTTEN
            && let Some(oldest) = self.forgotten.pop_front()
            && let Some(name) = self.names.remove(&oldest)
        {
            self.serials.remove(&name);
            self.complete_after = oldest;
        }
    }
}

impl Holders {
    /// Set what is known of a book; without holders it is forgotten.
    pub fn set(&self, book: ClusterBook) {
        let name = (book.exchange.clone(), book.symbol.clone());
        let is_forgotten = book.holders.is_empty();
        let mut exchanges = self.books.write();
        if !is_forgotten {
            let symbols = exchanges.entry(book.exchange.clone()).or_default();
            symbols.insert(book.symbol.clone(), Arc::new(book));
        } else if let Some(symbols) = exchanges.get_mut(&book.exchange) {
            symbols.remove(&book.symbol);
            if symbols.is_empty() {
                exchanges.remove(&book.exchange);
            }
        }
        drop(exchanges);
        self.note(name, is_forgotten);
        self.changes.send_modify(|count| *count += 1);
    }

    fn note(&self, name: BookName, is_forgotten: bool) {
        let mut order = self.order.lock();
        order.note(name, is_forgotten);
        order.readers.retain(|reader| match reader.upgrade() {
            Some(reader) => {
                reader.mark_books();
                true
            }
            None => false,
        });
    }

    /// Report every change to a reader until it is gone.
    pub fn tell(&self, reader: &Arc<Ready>) {
        let mut order = self.order.lock();
        order.readers.retain(|reader| reader.strong_count() > 0);
        order.readers.push(Arc::downgrade(reader));
    }

    /// The books that changed after a change of that number; 0 for all.
    pub fn since(&self, serial: u64) -> Changes {
        let order = self.order.lock();
        let names = order.names.range(serial + 1..);
        Changes {
            names: names.map(|(_, name)| name.clone()).collect(),
            last: order.last,
            is_partial: serial < order.complete_after,
        }
    }

    /// Notified when any book changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The book of these names; the symbol in any case.
    pub fn find(&self, exchange: &str, symbol: &str) -> Option<Arc<ClusterBook>> {
        get(self.books.read().get(exchange)?, symbol).cloned()
    }

    /// The books of a symbol on any exchange.
    pub fn of_symbol(&self, symbol: &str) -> Vec<Arc<ClusterBook>> {
        let exchanges = self.books.read();
        let found = exchanges.values().filter_map(|all| get(all, symbol));
        found.cloned().collect()
    }

    /// All of them, by exchange and symbol.
    pub fn all(&self) -> Vec<Arc<ClusterBook>> {
        let exchanges = self.books.read();
        let all = exchanges.values().flat_map(BTreeMap::values);
        all.cloned().collect()
    }
}

fn get<'a>(symbols: &'a Symbols, symbol: &str) -> Option<&'a Arc<ClusterBook>> {
    symbols
        .get(symbol)
        .or_else(|| symbols.get(symbol.to_uppercase().as_str()))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn book(symbol: &str, nodes: &[&str]) -> ClusterBook {
        let holders = nodes.iter().map(|node| Holder {
            node: (*node).into(),
            address: "127.0.0.1:1".into(),
        });
        ClusterBook {
            exchange: "binance.com".into(),
            symbol: symbol.into(),
            holders: holders.collect(),
            status: Status::Synced,
            reason: String::new(),
        }
    }

    #[test]
    fn a_book_is_found_in_any_case_until_it_has_no_holder() {
        let holders = Holders::default();
        holders.set(book("BTCUSDT", &["a", "b"]));
        let found = holders.find("binance.com", "btcusdt").expect("set");
        assert_eq!(found.holders.len(), 2);
        assert!(holders.find("binance.us", "BTCUSDT").is_none());
        assert_eq!(holders.of_symbol("BTCUSDT").len(), 1);
        holders.set(book("BTCUSDT", &[]));
        assert!(holders.find("binance.com", "BTCUSDT").is_none());
        assert!(holders.books.read().is_empty());
    }

    #[test]
    fn books_that_come_and_go_leave_only_so_many_names() {
        let holders = Holders::default();
        holders.set(book("BTCUSDT", &["a"]));
        let seen = holders.since(0).last;
        for number in 0..3 * FORGOTTEN {
            let symbol = format!("S{number}USDT");
            holders.set(book(&symbol, &["a"]));
            holders.set(book(&symbol, &[]));
        }
        let order = holders.order.lock();
        assert_eq!(order.names.len(), FORGOTTEN + 1);
        assert_eq!(order.serials.len(), FORGOTTEN + 1);
        assert_eq!(order.forgotten.len(), FORGOTTEN);
        drop(order);
        let found = holders.since(seen);
        assert!(found.is_partial && found.names.len() == FORGOTTEN);
        let lately = holders.since(found.last - 2);
        assert!(!lately.is_partial && lately.names.len() == 1);
        assert_eq!(&*holders.since(0).names[0].1, "BTCUSDT");
    }

    #[test]
    fn a_book_that_is_there_again_is_not_counted_as_forgotten() {
        let holders = Holders::default();
        for _ in 0..2 * FORGOTTEN {
            holders.set(book("BTCUSDT", &[]));
            holders.set(book("BTCUSDT", &["a"]));
        }
        let found = holders.since(0);
        assert!(!found.is_partial && found.names.len() == 1);
    }
}
