//! States of books that other nodes of a cluster hold, for subscriptions to states by patterns: they begin no book here.
//! What is said is what the owner of the server said of the book.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use depthcache_book::status::Status;
use depthcache_wire::Numbers;
use tokio_tungstenite::tungstenite::Message;

use crate::cluster::{Cluster, ClusterBook};
use crate::registry::BookName;
use crate::shared::Shared;
use crate::views::{Format, Label, Moment, Ready, state};

/// The states that one connection was sent, and those that are due.
pub struct Elsewhere {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    /// Changes up to this number were looked at.
    seen: u64,
    is_told: bool,
    sent: HashMap<(BookName, Arc<str>), Sent>,
    due: VecDeque<(BookName, Arc<str>)>,
}

struct Sent {
    subscription: u64,
    /// None before the first message.
    state: Option<(Status, String)>,
    is_due: bool,
}

impl Elsewhere {
    pub fn new(shared: Arc<Shared>, cluster: Arc<Cluster>) -> Elsewhere {
        Elsewhere {
            shared,
            cluster,
            seen: 0,
            is_told: false,
            sent: HashMap::new(),
            due: VecDeque::new(),
        }
    }

    /// Begin to be told of changes.
    pub fn begin(&mut self, ready: &Arc<Ready>) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.cluster.holders.tell(ready);
        }
    }

    /// The books that changed since the last call, and perhaps others.
    pub fn changed(&mut self) -> Vec<BookName> {
        let mut found = self.cluster.holders.since(self.seen);
        self.seen = found.last;
        if found.is_partial {
            let sent = self.sent.keys().map(|(name, _)| name.clone());
            found.names.extend(sent);
        }
        found.names
    }

    /// All books that are elsewhere, and some that were.
    pub fn all(&self) -> Vec<BookName> {
        self.cluster.holders.since(0).names
    }

    /// How many books it speaks of, counted for each view.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// The names of the books of a subscription.
    pub fn books(&self, subscription: u64) -> impl Iterator<Item = String> {
        let of_it = self.sent.iter();
        let of_it = of_it.filter(move |(_, sent)| sent.subscription == subscription);
        of_it.map(|(((exchange, symbol), _), _)| format!("{exchange}/{symbol}"))
    }

    /// A book may have another state than was sent. Whether there is one more book to speak of.
    pub fn offer(&mut self, name: &BookName, view: &Arc<str>, subscription: u64) -> bool {
        let key = (name.clone(), view.clone());
        let is_new = !self.sent.contains_key(&key);
        if is_new && self.find(name).is_none() {
            return false;
        }
        let sent = self.sent.entry(key.clone()).or_insert(Sent {
            subscription,
            state: None,
            is_due: false,
        });
        if !std::mem::replace(&mut sent.is_due, true) {
            self.due.push_back(key);
        }
        is_new
    }

    /// The book that other nodes hold, and this one does not.
    fn find(&self, (exchange, symbol): &BookName) -> Option<Arc<ClusterBook>> {
        let registry = &self.shared.registry;
        let found = self.cluster.holders.find(exchange, symbol)?;
        let is_here = registry.find(Some(exchange), symbol, false).is_ok();
        (!is_here).then_some(found)
    }

    /// The book is here now, or nobody asks for it: there is nothing more to say of it.
    pub fn forget(&mut self, name: &BookName, view: &Arc<str>) {
        self.sent.remove(&(name.clone(), view.clone()));
    }

    /// A subscription ended.
    pub fn leave(&mut self, subscription: u64) {
        self.sent
            .retain(|_, sent| sent.subscription != subscription);
    }

    /// The next message that is due.
    pub fn take(&mut self, format: Format) -> Option<Message> {
        const GONE: &str = "the cluster does not keep the book any more";
        while let Some(key) = self.due.pop_front() {
            let found = self.find(&key.0);
            let Some(sent) = self.sent.get_mut(&key) else {
                continue;
            };
            sent.is_due = false;
            let now = match &found {
                Some(book) => (book.status, book.reason.clone()),
                None => (Status::Closed, GONE.to_owned()),
            };
            let is_same = sent.state.as_ref() == Some(&now);
            let was_sent = sent.state.is_some();
            match found {
                Some(_) => sent.state = Some(now.clone()),
                None => {
                    let (exchange, symbol) = &key.0;
                    let registry = &self.shared.registry;
                    self.sent.remove(&key);
                    if !was_sent || registry.find(Some(exchange), symbol, false).is_ok() {
                        continue; // its own states follow
                    }
                }
            }
            if !is_same {
                return Some(self.message(&key, now, format));
            }
        }
        None
    }

    fn message(
        &self,
        ((exchange, symbol), view): &(BookName, Arc<str>),
        (status, reason): (Status, String),
        format: Format,
    ) -> Message {
        let label = Label {
            exchange: exchange.clone(),
            symbol: symbol.clone(),
            view: view.to_string(),
            numbers: Numbers::Text,
            server: self.shared.name(),
        };
        let moment = Moment {
            status,
            reason: reason.into(),
            since_time_us: None,
            id: None,
            event_time_us: None,
            received_time_us: None,
        };
        state(&label, &moment, format)
    }
}
