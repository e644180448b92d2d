//! The streams of one book: who reads them, and what each is sent.
//!
//! Theory of operation. The thread that applies a diff only notes it (`Inbox`) while it holds the book. A task of the
//! server takes what was noted: it sends diffs on as they came, merges them for slower streams, and makes partial depth
//! and bookTicker of the book. One copy of a diff serves all its readers.
//!
//! Readers that are clients of this library also get the states of the book, in order with the diffs (`states`). Recent
//! diffs are kept for them, so that they can resume after a lost connection. A node of a cluster keeps them of every book,
//! without a reader, too: readers come here when another node is lost.
//!
//! A new reader of diffs gets the newest one first. Without it a snapshot taken now would end where that diff ended, the
//! next diff of futures begins later, and a reader that demands `U <= lastUpdateId <= u` could not begin.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use depthcache_book::market::sequence::Ids;
use depthcache_book::market::{DiffListener, Market, TappedDiff};
use depthcache_book::query::Reading;
use depthcache_book::status::Status;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::commands::{holders, wrapped};
use super::events::Top;
use super::merging::{Keys, Merger};
use super::outbox::Outbox;
use super::rules::VenueRules;
use super::states::{BEHIND, HEARTBEAT, Ring, State, is_forgotten};
use super::streams::Kind;
use crate::registry::Book;
use crate::socket::Closing;
use crate::source::Source;

/// After a resync readers of diffs may miss some without knowing, until the next diff shows it; where none comes for so
/// long, they are disconnected.
const SILENT_HOLE: Duration = Duration::from_secs(5);

/// How often a book is looked at whose diffs do not come.
const LOOK: Duration = Duration::from_secs(1);

const RESET: Closing = restarted("the book was rebuilt: take a new snapshot");
const HOLE: Closing = restarted("updates are missing: take a new snapshot");
const GONE: Closing = Closing::policy("the server does not hold the book any more");
const LEFT: Closing = restarted("the server does not hold the book any more");
/// Other nodes have the book, or this one has it again in a moment.
const MOVED: Closing =
    restarted("the node does not hold the book any more: connect again, here or to another node");
const CLOSED: Closing = restarted("the exchange does not trade the symbol any more");

const fn restarted(reason: &'static str) -> Closing {
    Closing {
        code: CloseCode::Restart,
        reason,
    }
}

/// What the book did.
#[derive(Debug)]
enum Came {
    Diff(TappedDiff),
    Snapshot(i64),
    Reset(u64),
    Status(Status, String),
    /// More than was noted: some of it was dropped.
    Lost,
}

/// Notes what the book does, for the task.
#[derive(Debug, Default)]
struct Inbox {
    noted: Mutex<Noted>,
    wake_up: Notify,
    /// Nobody waits for what is noted: it is taken at the next look.
    is_quiet: AtomicBool,
}

#[derive(Debug, Default)]
struct Noted {
    came: Vec<Came>,
    bytes: usize,
}

impl Inbox {
    /// If the task falls behind, everything noted is dropped: readers that are so far behind have lost their
    /// connection anyway.
    fn note(&self, came: Came) {
        const MOST_BYTES: usize = 4 << 20;
        let event = match &came {
            Came::Diff(diff) => diff.event.len(),
            _ => 0,
        };
        let is_first = {
            let mut noted = self.noted.lock();
            noted.bytes += size_of::<Came>() + event;
            if noted.bytes > MOST_BYTES {
                *noted = Noted::default();
                noted.came.push(Came::Lost);
            }
            noted.came.push(came);
            noted.came.len() == 1
        };
        if is_first && !self.is_quiet.load(Ordering::Relaxed) {
            self.wake_up.notify_one();
        }
    }

    fn take(&self) -> Vec<Came> {
        std::mem::take(&mut *self.noted.lock()).came
    }
}

impl DiffListener for Inbox {
    fn on_diff(&self, diff: &TappedDiff) {
        self.note(Came::Diff(diff.clone()));
    }

    fn on_snapshot(&self, update_id: i64) {
        self.note(Came::Snapshot(update_id));
    }

    fn on_reset(&self, generation: u64) {
        self.note(Came::Reset(generation));
    }

    fn on_status(&self, status: Status, reason: &str) {
        self.note(Came::Status(status, reason.to_owned()));
    }
}

/// The streams of one book.
#[derive(Debug)]
pub struct Feed {
    symbol: Arc<str>,
    /// That of the book when this began: another may take its place.
    source: Source,
    venue: Arc<VenueRules>,
    inbox: Arc<Inbox>,
    streams: Mutex<Streams>,
    is_over: AtomicBool,
    /// Whether it keeps diffs for readers to come, and so never ends by itself.
    is_kept: bool,
}

#[derive(Debug)]
struct Streams {
    /// The newest diff that was sent on.
    newest: Option<TappedDiff>,
    /// The last id that readers may know: of that diff, or of a snapshot that they took since.
    reached: Option<i64>,
    /// When the book was resynced behind what was sent on, while no diff has come since.
    resynced: Option<Instant>,
    began: Instant,
    entries: Vec<Entry>,
    /// What the book is, as of the newest diff that was sent on.
    state: State,
    /// Diffs for readers that resume; None before the first reader that can.
    ring: Option<Ring>,
    /// When the last reader left; None while there is one.
    left: Option<Instant>,
    /// Readers that know the book beyond `reached`.
    beyond: Vec<Beyond>,
}

/// A reader that waits for its state because it knows the book beyond the newest diff of this server.
#[derive(Debug)]
struct Beyond {
    stream: Arc<str>,
    reader: Arc<Outbox>,
    /// The last id of its book.
    known: i64,
    until: Instant,
}

/// One stream and its readers.
#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    kind: Kind,
    readers: Vec<Arc<Outbox>>,
    /// Time between two messages, where it is longer than that of the diffs.
    every_ms: Option<u64>,
    /// Of slower diffs.
    merger: Option<Merger>,
    /// What was sent last, for the next new reader.
    last: Option<Utf8Bytes>,
    /// Of what was sent last, where the stream is made of the book.
    shown: Option<Top>,
    /// There is something to send: when.
    due: Option<Instant>,
    /// When something was sent last, where the stream has states.
    sent: Instant,
}

impl Feed {
    /// The streams of a book, without readers. `server`: identifies this server. `is_kept`: whether it keeps diffs for
    /// readers to come.
    pub fn begin(
        book: &Book,
        venue: Arc<VenueRules>,
        server: Arc<str>,
        is_kept: bool,
    ) -> Arc<Feed> {
        let feed = Arc::new(Feed::new(book, venue, server, is_kept));
        tokio::spawn(feed.clone().run());
        feed
    }

    fn new(book: &Book, venue: Arc<VenueRules>, server: Arc<str>, is_kept: bool) -> Feed {
        let inbox = Arc::new(Inbox {
            is_quiet: AtomicBool::new(is_kept),
            ..Inbox::default()
        });
        let source = book.source();
        let (newest, held, state) = source.change(|market| {
            let newest = market.listen_to_diffs(inbox.clone());
            (newest, readable_id(market), State::of(market, server))
        });
        Feed {
            symbol: book.symbol.clone(),
            source,
            venue,
            inbox,
            streams: Mutex::new(Streams {
                reached: newest.as_ref().map(|diff| diff.ids.last).or(held),
                newest,
                resynced: None,
                began: Instant::now(),
                entries: Vec::new(),
                state,
                ring: is_kept.then(Ring::default),
                left: is_kept.then(Instant::now),
                beyond: Vec::new(),
            }),
            is_over: AtomicBool::new(false),
            is_kept,
        }
    }

    /// Add a reader, to a new feed if this one has ended because it had no readers.
    pub fn add_or_restart(
        feed: &mut Arc<Feed>,
        begin: impl FnOnce() -> Arc<Feed>,
        name: &Arc<str>,
        kind: Kind,
        reader: &Arc<Outbox>,
        resume: Option<i64>,
    ) {
        if !feed.add(name, kind, reader, resume) {
            *feed = begin();
            feed.add(name, kind, reader, resume);
        }
    }

    /// Whether the diffs that are kept lead from an id to where the book is; also where the id is ahead of it.
    pub fn continues(&self, update_id: i64) -> bool {
        let mut streams = self.streams.lock();
        self.take(&mut streams, Instant::now());
        let is_ahead = streams.reached.is_none_or(|reached| update_id >= reached);
        is_ahead
            || streams
                .ring
                .as_ref()
                .is_some_and(|ring| ring.after(update_id).is_some())
    }

    /// Add a reader of a stream, which gets the newest message at once; false, and nothing is done, if this has ended.
    /// `resume`: the last id of its book.
    pub fn add(
        &self,
        name: &Arc<str>,
        kind: Kind,
        reader: &Arc<Outbox>,
        resume: Option<i64>,
    ) -> bool {
        let mut streams = self.streams.lock();
        if self.is_over.load(Ordering::Acquire) {
            return false;
        }
        self.take(&mut streams, Instant::now());
        streams.left = None;
        self.inbox.is_quiet.store(false, Ordering::Relaxed);
        if kind.has_states() {
            streams.ring.get_or_insert_default();
            self.add_relayed(&mut streams, name, kind, reader, resume);
            return true;
        }
        let is_current = self.source.look(|market| market.readable(false).is_ok());
        let Streams {
            newest, entries, ..
        } = &mut *streams;
        let newest = newest.as_ref().filter(|_| is_current);
        let entry = entry_of(entries, name, kind, &self.venue);
        if entry.last.is_none() {
            entry.flush(); // what waits comes before a newcomer, or it would get some of it twice
        }
        let first = match kind {
            Kind::Diffs { .. } if entry.merger.is_some() && entry.last.is_some() => {
                entry.last.clone().filter(|_| is_current)
            }
            Kind::Diffs { .. } | Kind::Relayed { .. } => {
                newest.and_then(|diff| text(diff.event.clone()))
            }
            Kind::Partial { .. } | Kind::Ticker => {
                let top = self.source.look(Top::of);
                top.and_then(|top| {
                    self.show(entry, &top); // before a newcomer is there, or it would get it twice
                    text(self.event(kind, &top)?.into())
                })
            }
        };
        if let Some(first) = first {
            send(std::slice::from_ref(reader), name, &first);
            entry.last = Some(first);
        }
        entry.readers.push(reader.clone());
        true
    }

    /// The reader gets the diffs that it missed, or the newest one, and then the state of the book.
    fn add_relayed(
        &self,
        streams: &mut Streams,
        name: &Arc<str>,
        kind: Kind,
        reader: &Arc<Outbox>,
        resume: Option<i64>,
    ) {
        let entry = entry_of(&mut streams.entries, name, kind, &self.venue);
        entry.flush(); // what waits is in what the newcomer gets
        entry.readers.push(reader.clone());
        let is_synced = streams.state.status == Status::Synced;
        let missed = resume.and_then(|known| streams.ring.as_ref()?.after(known));
        let mut first: Vec<Bytes> = match missed {
            Some(missed) => missed.map(|diff| diff.event.clone()).collect(),
            None if resume.is_some() && resume >= streams.reached => Vec::new(),
            None => {
                let newest = streams.newest.iter().filter(|_| is_synced);
                newest.map(|diff| diff.event.clone()).collect()
            }
        };
        let beyond = resume.filter(|known| is_synced && Some(*known) > streams.reached);
        match beyond {
            Some(known) => {
                streams.beyond.push(Beyond {
                    stream: name.clone(),
                    reader: reader.clone(),
                    known,
                    until: Instant::now() + BEHIND,
                });
            }
            None => first.push(streams.state_event(&self.symbol)),
        }
        for event in first.into_iter().filter_map(text) {
            send(std::slice::from_ref(reader), name, &event);
        }
    }

    /// One reader less; whether the stream has none left.
    pub fn remove(&self, name: &str, reader: &Arc<Outbox>) {
        let mut streams = self.streams.lock();
        for entry in streams
            .entries
            .iter_mut()
            .filter(|entry| &*entry.name == name)
        {
            entry.readers.retain(|each| !Arc::ptr_eq(each, reader));
        }
        let Streams {
            entries, beyond, ..
        } = &mut *streams;
        beyond.retain(|waiting| !Arc::ptr_eq(&waiting.reader, reader));
        entries.retain(|entry| !entry.readers.is_empty());
        if entries.is_empty() {
            streams.left = Some(Instant::now());
            self.inbox.is_quiet.store(self.is_kept, Ordering::Relaxed);
        }
    }

    /// How many read its streams, counted for each stream.
    pub fn readers(&self) -> usize {
        let streams = self.streams.lock();
        let of_entries = streams.entries.iter().map(|entry| entry.readers.len());
        of_entries.sum::<usize>() + streams.beyond.len()
    }

    /// Tell the readers of streams with states, which can move, where the holders of the book are.
    pub fn tell_holders(&self, addresses: &[Arc<str>]) {
        let streams = self.streams.lock();
        let entries = streams.entries.iter();
        for entry in entries.filter(|entry| entry.kind.has_states()) {
            let message: Utf8Bytes = holders(&entry.name, addresses).into();
            for reader in &entry.readers {
                reader.push(message.clone());
            }
        }
    }

    /// Whether there is no reader, and none may resume.
    pub fn is_idle(&self) -> bool {
        let streams = self.streams.lock();
        streams.entries.is_empty() && streams.ring.is_none()
    }

    /// Send nothing any more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.inbox.wake_up.notify_one();
    }

    /// Send the readers of another feed of the same book what comes from now on, in the place of that feed. Each gets every
    /// update once. False, and nothing is done, where that cannot be: this book is behind the other one, or its diffs
    /// since then are not kept.
    pub fn take_over(&self, former: &Feed) -> bool {
        let now = Instant::now();
        let mut theirs = former.streams.lock();
        former.take(&mut theirs, now);
        let mut ours = self.streams.lock();
        self.take(&mut ours, now);
        let Some(missed) = ours.missed_by(&theirs) else {
            return false;
        };
        for diff in missed {
            former.send_on(&mut theirs, diff, now);
        }
        ours.adopt(&mut theirs, now);
        ours.send_state(&self.symbol, now, |_| true);
        self.inbox
            .is_quiet
            .store(ours.left.is_some(), Ordering::Relaxed);
        self.inbox.wake_up.notify_one();
        true
    }

    /// End the connections of all readers: the book is not held any more. Clients of this library reconnect at once and
    /// continue with their other books.
    pub fn end_all_readers(&self) {
        let mut streams = self.streams.lock();
        let others = if self.is_kept { &MOVED } else { &GONE };
        streams.end_readers(&LEFT, Kind::has_states);
        streams.end_readers(others, |kind| !kind.has_states());
    }

    async fn run(self: Arc<Feed>) {
        let _listening = Listening(&self);
        while !self.is_over.load(Ordering::Acquire) {
            let due = self.turn(Instant::now());
            tokio::select! {
                () = self.inbox.wake_up.notified() => {}
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// Take what came and send what is due; when to look again.
    fn turn(&self, now: Instant) -> Instant {
        let mut streams = self.streams.lock();
        self.take(&mut streams, now);
        self.send_due(&mut streams, now);
        streams.send_state(&self.symbol, now, |entry| now - entry.sent >= HEARTBEAT);
        streams.end_waiting(&self.symbol, now);
        self.look(&mut streams, now);
        let due = streams.entries.iter().filter_map(|entry| entry.due);
        due.chain([now + LOOK]).min().unwrap_or(now)
    }

    fn take(&self, streams: &mut Streams, now: Instant) {
        for came in self.inbox.take() {
            match came {
                Came::Diff(diff) => self.send_on(streams, diff, now),
                Came::Snapshot(update_id) => streams.on_snapshot(update_id, now),
                Came::Reset(generation) => streams.on_reset(generation, &self.symbol, now),
                Came::Status(status, reason) => {
                    streams.state.change(status, reason);
                    streams.send_state(&self.symbol, now, |_| true);
                }
                Came::Lost => {
                    (streams.newest, streams.reached) = (None, None);
                    streams.clear_ring();
                    streams.end_readers(&HOLE, Kind::has_diffs);
                    let server = streams.state.server.clone();
                    streams.state = self.source.look(|market| State::of(market, server));
                }
            }
        }
        if streams.reached.is_none() && streams.state.status == Status::Synced {
            streams.reached = self.source.look(readable_id); // else a reader that is behind it would not see that
        }
    }

    /// Send a diff on. Where two connections cut the updates at other ids, one begins within the last one: readers take
    /// that by `U` and `u`, but where diffs are chained by `pu`, it must be the id that they have.
    fn send_on(&self, streams: &mut Streams, diff: TappedDiff, now: Instant) {
        let sent = streams.newest.as_ref().map(|newest| newest.ids.last);
        let overlaps = sent.filter(|sent| diff.ids.follows < *sent && *sent < diff.ids.last);
        let chained = overlaps.filter(|_| !self.venue.is_spot());
        let chained = chained.and_then(|sent| continuing(&diff, sent));
        streams.on_diff(chained.unwrap_or(diff), now);
    }

    fn send_due(&self, streams: &mut Streams, now: Instant) {
        let top = OnceCell::new();
        for entry in &mut streams.entries {
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            entry.due = None;
            if entry.merger.is_some() {
                entry.flush();
                continue;
            }
            let Some(top) = top.get_or_init(|| self.source.look(Top::of)) else {
                continue; // again after the resync
            };
            self.show(entry, top);
        }
    }

    /// Send what a stream that is made of the book shows of it now, unless it was the last that was sent.
    fn show(&self, entry: &mut Entry, top: &Top) {
        let is_old = entry.shown.as_ref().is_some_and(|shown| match entry.kind {
            Kind::Ticker => shown.has_same_best(top),
            _ => shown.update_id == top.update_id,
        });
        if !is_old && let Some(event) = self.event(entry.kind, top) {
            entry.shown = Some(top.clone());
            entry.send(event.into());
        }
    }

    fn event(&self, kind: Kind, top: &Top) -> Option<Vec<u8>> {
        let (family, symbol) = (self.venue.family, &*self.symbol);
        match kind {
            Kind::Diffs { .. } | Kind::Relayed { .. } => None,
            Kind::Partial { levels, .. } => Some(top.partial(family, symbol, levels)),
            Kind::Ticker => top.ticker(family, symbol),
        }
    }

    /// What no notification shows: a closed book, and a gap that no diff has shown.
    fn look(&self, streams: &mut Streams, now: Instant) {
        if let Some(left) = streams.left
            && !self.is_kept
            && is_forgotten(left, now)
        {
            self.is_over.store(true, Ordering::Release);
            (streams.ring, streams.newest) = (None, None);
        }
        if let Some(since) = streams.resynced
            && now - since > SILENT_HOLE
        {
            streams.resynced = None;
            streams.end_readers(&HOLE, |kind| matches!(kind, Kind::Diffs { .. }));
        }
        if !streams.entries.is_empty()
            && self
                .source
                .look(|market| market.status_info().status == Status::Closed)
        {
            streams.end_readers(&CLOSED, |kind| !kind.has_states());
        }
    }
}

/// Up to which id a book may be read now.
fn readable_id(market: &Market) -> Option<i64> {
    let is_current = market.readable(false).is_ok();
    market.last_update_id().filter(|_| is_current)
}

/// The book hands its diffs to a feed until this is dropped, even if the task ends with its runtime: otherwise the
/// market, which other servers may serve, would note diffs that nothing takes.
struct Listening<'a>(&'a Feed);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let Listening(feed) = self;
        let listener: Arc<dyn DiffListener> = feed.inbox.clone();
        feed.source.change(|market| market.ignore_diffs(&listener));
    }
}

impl Streams {
    fn on_diff(&mut self, diff: TappedDiff, now: Instant) {
        self.resynced = None;
        for entry in &mut self.entries {
            if !entry.kind.has_diffs() {
                entry.wait(self.began, now);
                continue;
            }
            entry.sent = now;
            let Some(merger) = &mut entry.merger else {
                entry.send(diff.event.clone());
                continue;
            };
            let before = merger.push(diff.clone());
            for event in before.into_iter().flatten() {
                entry.send(event);
            }
            entry.wait(self.began, now);
        }
        self.reached = Some(diff.ids.last);
        if let Some(ring) = &mut self.ring {
            let has_readers = self.left.is_none_or(|left| !is_forgotten(left, now));
            ring.push(&diff, now, has_readers);
        }
        self.newest = Some(diff);
    }

    /// The diffs that readers of another feed of the same book missed; None where they cannot continue here.
    fn missed_by(&self, theirs: &Streams) -> Option<Vec<TappedDiff>> {
        if self.state.status != Status::Synced {
            return None;
        }
        let reached = theirs.reached.filter(|_| !theirs.entries.is_empty());
        let Some(reached) = reached else {
            return Some(Vec::new()); // no reader knows anything
        };
        // Readers of diffs may have been sent less than the last snapshot has.
        let sent = theirs.newest.as_ref().map(|newest| newest.ids.last);
        let sent = sent.filter(|_| theirs.resynced.is_some());
        sent.and_then(|sent| self.since(sent))
            .or_else(|| self.since(reached))
    }

    /// The diffs that lead from an id to where this book is.
    fn since(&self, update_id: i64) -> Option<Vec<TappedDiff>> {
        let reached = self.reached?;
        if update_id == reached {
            return Some(Vec::new());
        }
        let diffs: Vec<TappedDiff> = self.ring.as_ref()?.after(update_id)?.cloned().collect();
        (diffs.last()?.ids.last == reached).then_some(diffs)
    }

    /// Take the readers of another feed, which are where these are.
    fn adopt(&mut self, theirs: &mut Streams, now: Instant) {
        let has_diffs = |entry: &Entry| matches!(entry.kind, Kind::Diffs { .. });
        if !self.entries.iter().any(has_diffs) {
            self.resynced = None; // no reader has missed anything
        }
        self.resynced = self.resynced.or(theirs.resynced);
        for mut entry in theirs.entries.drain(..) {
            if !entry.kind.has_diffs() {
                entry.due = Some(now); // it is made of this book
            }
            match self.entries.iter_mut().find(|own| own.name == entry.name) {
                Some(own) => {
                    own.flush();
                    entry.flush();
                    own.readers.append(&mut entry.readers);
                }
                None => self.entries.push(entry),
            }
        }
        self.beyond.append(&mut theirs.beyond);
        if !self.entries.is_empty() {
            self.left = None;
        }
    }

    /// What was sent does not lead to what comes. Readers are notified; nothing is kept for new ones.
    fn on_reset(&mut self, generation: u64, symbol: &str, now: Instant) {
        (self.newest, self.reached, self.resynced) = (None, None, None);
        self.end_readers(&RESET, |kind| !kind.has_states());
        self.entries.retain(|entry| entry.kind.has_states());
        for entry in &mut self.entries {
            if let Some(merger) = &mut entry.merger {
                merger.clear();
            }
        }
        self.clear_ring();
        self.state.generation = generation;
        self.send_state(symbol, now, |_| true);
    }

    fn clear_ring(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.clear();
        }
    }

    fn state_event(&self, symbol: &str) -> Bytes {
        self.state.event(symbol, self.reached).into()
    }

    /// Send the state of the book to the readers of states, after all earlier diffs.
    fn send_state(&mut self, symbol: &str, now: Instant, of: impl Fn(&Entry) -> bool) {
        let event = OnceCell::new();
        let (state, reached) = (&self.state, self.reached);
        for entry in &mut self.entries {
            if !entry.kind.has_states() || !of(entry) {
                continue;
            }
            entry.flush();
            let event: &Bytes = event.get_or_init(|| state.event(symbol, reached).into());
            entry.send(event.clone());
            entry.sent = now;
        }
    }

    /// Send the state to readers that are no longer beyond the newest diff, or have waited long enough.
    fn end_waiting(&mut self, symbol: &str, now: Instant) {
        let is_done =
            |waiting: &mut Beyond| self.reached >= Some(waiting.known) || now >= waiting.until;
        let done: Vec<Beyond> = self.beyond.extract_if(.., is_done).collect();
        for Beyond { stream, reader, .. } in done {
            let of_it = self.entries.iter_mut().filter(|entry| entry.name == stream);
            of_it.for_each(Entry::flush); // the state is of the diffs up to the newest
            if let Some(event) = text(self.state_event(symbol)) {
                send(std::slice::from_ref(&reader), &stream, &event);
            }
        }
    }

    fn on_snapshot(&mut self, update_id: i64, now: Instant) {
        if self.reached.is_some_and(|reached| reached < update_id) {
            self.resynced = Some(now);
        }
        self.reached = Some(update_id);
        let of_the_book = |entry: &&mut Entry| !entry.kind.has_diffs();
        for entry in self.entries.iter_mut().filter(of_the_book) {
            entry.due = Some(now);
        }
    }

    fn end_readers(&mut self, closing: &Closing, of: impl Fn(Kind) -> bool) {
        for entry in self.entries.iter().filter(|entry| of(entry.kind)) {
            let readers = entry.readers.iter();
            readers.for_each(|reader| reader.end(closing.clone()));
        }
    }
}

/// The same diff, chained to this id within it; None where that cannot be written.
fn continuing(diff: &TappedDiff, follows: i64) -> Option<TappedDiff> {
    let event = &diff.event;
    let known = Keys::of(event)?.get("pu")?.get();
    let start = known.as_ptr() as usize - event.as_ptr() as usize;
    let (before, after) = (&event[..start], &event[start + known.len()..]);
    let follows_text = follows.to_string();
    let event = [before, follows_text.as_bytes(), after];
    Some(TappedDiff {
        ids: Ids {
            follows,
            ..diff.ids
        },
        event: event.concat().into(),
    })
}

/// The entry of a stream, a new one if it has no reader yet.
fn entry_of<'a>(
    entries: &'a mut Vec<Entry>,
    name: &Arc<str>,
    kind: Kind,
    venue: &VenueRules,
) -> &'a mut Entry {
    let index = entries.iter().position(|entry| entry.name == *name);
    let index = index.unwrap_or_else(|| {
        entries.push(Entry::new(name.clone(), kind, venue));
        entries.len() - 1
    });
    &mut entries[index]
}

impl Entry {
    fn new(name: Arc<str>, kind: Kind, venue: &VenueRules) -> Entry {
        let every_ms = match kind {
            Kind::Diffs { every_ms }
            | Kind::Relayed { every_ms }
            | Kind::Partial { every_ms, .. } => Some(every_ms),
            Kind::Ticker => None,
        };
        let every_ms = every_ms.filter(|every_ms| *every_ms > venue.held_ms);
        let merges = kind.has_diffs() && every_ms.is_some();
        Entry {
            name,
            kind,
            readers: Vec::new(),
            every_ms,
            merger: merges.then(|| Merger::new(venue.is_spot())),
            last: None,
            shown: None,
            due: None,
            sent: Instant::now(),
        }
    }

    fn send(&mut self, event: Bytes) {
        if let Some(event) = text(event) {
            send(&self.readers, &self.name, &event);
            self.last = Some(event);
        }
    }

    /// Send what waits to be merged.
    fn flush(&mut self) {
        let merged = self.merger.as_mut().and_then(Merger::take);
        for event in merged.into_iter().flatten() {
            self.send(event);
        }
    }

    /// There is something to send: now, or at the next time of this stream.
    fn wait(&mut self, began: Instant, now: Instant) {
        let due = self.every_ms.map_or(now, |every_ms| {
            let every_ns = u128::from(every_ms) * 1_000_000;
            let next_ns = ((now - began).as_nanos() / every_ns + 1) * every_ns;
            began + Duration::from_nanos(u64::try_from(next_ns).unwrap_or(u64::MAX))
        });
        self.due.get_or_insert(due);
    }
}

/// As WebSockets take it: known to be a text, once for all readers.
fn text(event: Bytes) -> Option<Utf8Bytes> {
    Utf8Bytes::try_from(event).ok()
}

/// The same bytes to all readers; wrapped once for those that want it so.
fn send(readers: &[Arc<Outbox>], name: &str, event: &Utf8Bytes) {
    let combined = OnceCell::new();
    for reader in readers {
        reader.push(if reader.is_combined() {
            let message: &Utf8Bytes = combined.get_or_init(|| wrapped(name, event.as_str()).into());
            message.clone()
        } else {
            event.clone()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};

    use depthcache_book::market::sequence::Continuity;
    use depthcache_book::offline::OfflineBook;
    use depthcache_book::status::Condition;

    use super::super::outbox::Next;
    use super::super::streams::tests::venue;
    use super::*;

    struct FeedHarness {
        book: OfflineBook,
        served: Book,
        feed: Feed,
        began: Instant,
    }

    impl FeedHarness {
        /// A spot book at 10, of which the next diff is from 11 on.
        fn new() -> FeedHarness {
            let book = OfflineBook::new("x", Some("BTCUSDT"), Continuity::Contiguous, 1 << 20);
            let served = Book::new("x", "BTCUSDT", book.cell().clone(), None);
            served.change(|market| market.keep_diffs());
            FeedHarness::of(book, served, false)
        }

        fn of(book: OfflineBook, served: Book, is_kept: bool) -> FeedHarness {
            let feed = Feed::new(
                &served,
                Arc::new(venue("spot", 100)),
                "here".into(),
                is_kept,
            );
            let began = feed.streams.lock().began;
            let harness = FeedHarness {
                book,
                served,
                feed,
                began,
            };
            harness.load(10);
            harness
        }

        fn load(&self, id: i64) {
            let body = format!(
                r#"{{"lastUpdateId":{id},"bids":[["9.00","1.00"]],"asks":[["11.00","1.00"]]}}"#
            );
            let loaded = self.book.load_snapshot(body.as_bytes(), Some(100), None);
            loaded.expect("a snapshot of this book");
        }

        fn apply(&self, first: i64, last: i64) {
            let frame = format!(
                r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[["9.0{last}","1.00"]],"a":[]}}"#
            );
            self.book.apply(frame.as_bytes()).expect("a diff");
        }

        fn reader(&self, name: &str, kind: Kind) -> Arc<Outbox> {
            let reader = Arc::new(Outbox::new(1 << 20, false));
            self.feed.add(&name.into(), kind, &reader, None);
            reader
        }

        /// Take what came, so many milliseconds after the begin.
        fn turn(&self, ms: u64) {
            self.feed.turn(self.began + Duration::from_millis(ms));
        }
    }

    fn tapped(first: i64, last: i64) -> TappedDiff {
        let event = format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[],"a":[]}}"#
        );
        TappedDiff {
            ids: Ids {
                follows: first - 1,
                last,
            },
            event: event.into(),
        }
    }

    /// `11-12` of each diff, `end CODE` of the end.
    fn taken(reader: &Outbox) -> String {
        let mut found = Vec::new();
        while let Poll::Ready(next) = reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            match next {
                Next::Send(text) => {
                    let keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                    found.push(match keys.get("lastUpdateId") {
                        Some(id) => format!("book {id}"),
                        None => format!("{}-{}", keys["U"], keys["u"]),
                    });
                }
                Next::End(closing) => {
                    found.push(format!("end {}", u16::from(closing.code)));
                    break;
                }
            }
        }
        found.join(", ")
    }

    const DIFFS: Kind = Kind::Diffs { every_ms: 100 };
    const SLOW: Kind = Kind::Diffs { every_ms: 1_000 };

    #[test]
    fn a_hole_that_no_diff_shows_ends_the_readers_of_diffs() {
        let harness = FeedHarness::new();
        harness.apply(11, 12);
        harness.turn(0);
        let of_book = Kind::Partial {
            levels: 5,
            every_ms: 100,
        };
        let (diffs, books) = (harness.reader("a", DIFFS), harness.reader("b", of_book));
        harness.book.cell().lock().restart("another connection", 0);
        harness.load(20);
        harness.turn(1_000);
        harness.turn(5_900);
        assert_eq!(taken(&diffs), "11-12");
        harness.turn(6_100);
        assert_eq!(taken(&diffs), "end 1012");
        assert_eq!(taken(&books), "book 12, book 20");
    }

    #[test]
    fn a_diff_that_shows_the_hole_keeps_the_readers() {
        let harness = FeedHarness::new();
        let reader = harness.reader("a", DIFFS);
        harness.apply(11, 12);
        harness.turn(0);
        harness.book.cell().lock().restart("another connection", 0);
        harness.load(20);
        harness.turn(1_000);
        harness.apply(21, 22);
        harness.turn(2_000);
        harness.turn(9_000);
        assert_eq!(taken(&reader), "11-12, 21-22");
    }

    #[test]
    fn a_book_that_is_closed_ends_its_readers() {
        let harness = FeedHarness::new();
        let reader = harness.reader("a", DIFFS);
        let closed = Some(Condition::Closed);
        harness
            .book
            .cell()
            .lock()
            .set_condition(closed, "delisted", 0);
        harness.turn(1_000);
        assert_eq!(taken(&reader), "end 1012");
    }

    #[test]
    fn slower_streams_wait_for_their_time_and_newcomers_get_what_was_sent_last() {
        let harness = FeedHarness::new();
        harness.apply(11, 12);
        harness.turn(10);
        let first = harness.reader("a", SLOW);
        assert_eq!(taken(&first), "11-12");
        for (at, begin) in [(110, 13), (210, 14), (310, 15)] {
            harness.apply(begin, begin);
            harness.turn(at);
        }
        let second = harness.reader("a", SLOW);
        assert_eq!(
            (taken(&first), taken(&second)),
            (String::new(), "11-12".to_owned())
        );
        harness.turn(1_000);
        assert_eq!(
            (taken(&first), taken(&second)),
            ("13-15".to_owned(), "13-15".to_owned())
        );
        harness.turn(2_000);
        assert_eq!(taken(&first), "", "nothing changed");
    }

    #[test]
    fn a_newcomer_never_gets_a_diff_twice() {
        let harness = FeedHarness::new();
        let first = harness.reader("a", SLOW);
        harness.apply(11, 12);
        harness.apply(13, 14);
        harness.turn(10);
        let second = harness.reader("a", SLOW);
        harness.apply(15, 16);
        harness.turn(20);
        harness.turn(1_000);
        assert_eq!(taken(&first), "11-14, 15-16");
        assert_eq!(taken(&second), "11-14, 15-16");
    }

    #[test]
    fn what_nobody_takes_is_bounded_and_ends_the_readers_of_diffs() {
        let harness = FeedHarness::new();
        harness.turn(0);
        let of_book = Kind::Partial {
            levels: 5,
            every_ms: 100,
        };
        let (diffs, books) = (harness.reader("a", DIFFS), harness.reader("b", of_book));
        for id in 11..30 {
            let levels = vec![r#"["9.00","1.00"]"#; 40_000].join(",");
            let frame = format!(
                r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{id},"u":{id},"b":[{levels}],"a":[]}}"#
            );
            harness.book.apply(frame.as_bytes()).expect("a diff");
        }
        assert!(harness.feed.inbox.noted.lock().bytes <= 4 << 20);
        harness.turn(1_000);
        assert_eq!(taken(&diffs), "end 1012");
        assert_eq!(taken(&books), "book 10, book 29");
    }

    fn kept() -> FeedHarness {
        let book = OfflineBook::new("x", Some("BTCUSDT"), Continuity::Contiguous, 1 << 20);
        let served = Book::new("x", "BTCUSDT", book.cell().clone(), None);
        served.change(|market| market.keep_diffs());
        FeedHarness::of(book, served, true)
    }

    #[test]
    fn a_node_keeps_diffs_for_a_reader_that_comes_from_another_one() {
        let harness = kept();
        for id in 11..15 {
            harness.apply(id, id);
        }
        harness.turn(20_000);
        harness.apply(15, 15);
        let reader = Arc::new(Outbox::new(1 << 20, false));
        assert!(harness.feed.add(&"a".into(), RELAYED, &reader, Some(12)));
        let sent = taken(&reader);
        assert!(sent.starts_with("13-13, 14-14, 15-15, "), "{sent}");
        harness.feed.remove("a", &reader);
        harness.turn(60_000);
        assert!(!harness.feed.is_over.load(Ordering::Acquire));
        assert!(!harness.feed.is_idle());
    }

    #[test]
    fn a_node_keeps_few_diffs_of_a_book_without_readers() {
        let harness = kept();
        harness.turn(20_000);
        for (at, id) in [(20_000, 11), (24_000, 12), (28_000, 13)] {
            harness.apply(id, id);
            harness.turn(at);
        }
        let ring = &harness.feed.streams.lock().ring;
        let diffs = &ring.as_ref().expect("kept").diffs;
        let ids: Vec<i64> = diffs.iter().map(|(_, diff)| diff.ids.last).collect();
        assert_eq!(ids, [12, 13]);
    }

    #[test]
    fn a_task_that_is_dropped_leaves_nothing_in_the_book() {
        let harness = FeedHarness::new();
        let feed = Arc::new(Feed::new(
            &harness.served,
            harness.feed.venue.clone(),
            "here".into(),
            false,
        ));
        let mut task = Box::pin(feed.clone().run());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        let _ = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(task);
        harness.apply(11, 12);
        assert!(feed.inbox.take().is_empty());
        assert_eq!(harness.feed.inbox.take().len(), 2, "a snapshot and a diff");
    }

    const RELAYED: Kind = Kind::Relayed { every_ms: 100 };

    /// `11-12` of each diff, `synced 12` of each state, `end CODE` of the end.
    fn relayed(reader: &Outbox) -> String {
        let mut found = Vec::new();
        while let Poll::Ready(next) = reader.poll_next(&mut Context::from_waker(Waker::noop())) {
            match next {
                Next::Send(text) => {
                    let keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                    found.push(match keys["status"].as_str() {
                        Some(status) => format!("{status} {}", keys["u"]),
                        None => format!("{}-{}", keys["U"], keys["u"]),
                    });
                }
                Next::End(closing) => {
                    found.push(format!("end {}", u16::from(closing.code)));
                    break;
                }
            }
        }
        found.join(", ")
    }

    impl FeedHarness {
        /// A reader that knows the book up to an id.
        fn again(&self, known: i64) -> Arc<Outbox> {
            let reader = Arc::new(Outbox::new(1 << 20, false));
            assert!(self.feed.add(&"r".into(), RELAYED, &reader, Some(known)));
            reader
        }

        /// The book is synced, as its router says.
        fn synced() -> FeedHarness {
            let harness = FeedHarness::new();
            harness.notify(Status::Synced, "");
            harness.turn(0);
            harness
        }

        /// As a router does after each call.
        fn notify(&self, status: Status, reason: &str) {
            self.feed.inbox.on_status(status, reason);
        }
    }

    #[test]
    fn states_come_in_order_with_the_diffs() {
        let harness = FeedHarness::synced();
        let reader = harness.reader("r", RELAYED);
        harness.apply(11, 12);
        harness.book.cell().lock().restart("another connection", 0);
        harness.notify(Status::Buffering, "another connection");
        harness.load(20);
        harness.notify(Status::Synced, "");
        harness.apply(21, 22);
        harness.turn(10);
        assert_eq!(
            relayed(&reader),
            "synced 10, 11-12, buffering 12, synced 20, 21-22"
        );
        harness.turn(9_000);
        assert_eq!(
            relayed(&reader),
            "synced 22",
            "a heartbeat, and no end for a hole that a state shows"
        );
        harness.turn(9_100);
        assert_eq!(relayed(&reader), "");
    }

    #[test]
    fn a_reset_is_another_generation_and_no_end() {
        let harness = FeedHarness::synced();
        let reader = harness.reader("r", RELAYED);
        harness.feed.inbox.on_reset(77);
        harness.turn(10);
        assert_eq!(relayed(&reader), "synced 10, synced null");
        assert_eq!(harness.feed.streams.lock().state.generation, 77);
    }

    #[test]
    fn a_reader_that_resumes_gets_what_it_missed_and_no_more() {
        let harness = FeedHarness::synced();
        let first = harness.reader("r", RELAYED);
        for id in 11..=14 {
            harness.apply(id, id);
        }
        harness.turn(10);
        for (known, expected) in [
            (9, "14-14, synced 14"), // 11 does not continue 9
            (10, "11-11, 12-12, 13-13, 14-14, synced 14"),
            (12, "13-13, 14-14, synced 14"),
            (14, "synced 14"),
        ] {
            assert_eq!(relayed(&harness.again(known)), expected, "known {known}");
        }
        drop(first);
    }

    #[test]
    fn a_feed_continues_books_that_it_has_the_diffs_for() {
        let harness = FeedHarness::synced();
        let _reader = harness.reader("r", RELAYED);
        harness.apply(11, 12);
        harness.apply(13, 14);
        harness.turn(10);
        for (known, continues) in [(9, false), (10, true), (12, true), (14, true), (20, true)] {
            assert_eq!(harness.feed.continues(known), continues, "known {known}");
        }
    }

    #[test]
    fn a_reader_that_is_beyond_this_server_waits_for_its_state() {
        let harness = FeedHarness::synced();
        harness.apply(11, 12);
        harness.turn(10);
        let reader = harness.again(14);
        assert_eq!(relayed(&reader), "");
        harness.apply(13, 13);
        harness.turn(20);
        assert_eq!(relayed(&reader), "13-13");
        harness.apply(14, 14);
        harness.turn(30);
        assert_eq!(relayed(&reader), "14-14, synced 14");
        let reset = harness.again(99);
        harness.turn(40);
        assert_eq!(relayed(&reset), "");
        harness.feed.turn(Instant::now() + BEHIND);
        assert_eq!(relayed(&reset), "synced 14", "it waits no longer");
    }

    #[test]
    fn a_reader_that_is_beyond_a_feed_that_ended_waits_for_its_state() {
        let harness = FeedHarness::synced();
        let restarted = FeedHarness::synced();
        let mut feed = Arc::new(harness.feed);
        feed.end();
        let reader = Arc::new(Outbox::new(1 << 20, false));
        let began = restarted.began;
        let begin = || Arc::new(restarted.feed);
        Feed::add_or_restart(&mut feed, begin, &"r".into(), RELAYED, &reader, Some(11));
        assert_eq!(relayed(&reader), "", "its book is at 11, this one at 10");
        feed.inbox.on_diff(&tapped(11, 11));
        feed.turn(began);
        assert_eq!(relayed(&reader), "11-11, synced 11");
    }

    #[test]
    fn a_reader_that_waits_for_a_state_gets_what_is_merged_before_it() {
        let harness = FeedHarness::synced();
        let slow = Kind::Relayed { every_ms: 1_000 };
        let reader = Arc::new(Outbox::new(1 << 20, false));
        assert!(harness.feed.add(&"r".into(), slow, &reader, Some(12)));
        harness.apply(11, 12);
        harness.apply(13, 13);
        harness.turn(10);
        assert_eq!(relayed(&reader), "11-13, synced 13");
    }

    #[test]
    fn after_too_much_the_state_is_that_of_the_book() {
        let harness = FeedHarness::synced();
        let before = harness.feed.streams.lock().state.generation;
        harness.feed.inbox.note(Came::Reset(before + 1));
        harness.notify(Status::Buffering, "updates are missing"); // the task takes neither
        harness.book.cell().lock().restart("updates are missing", 0);
        harness.feed.inbox.noted.lock().bytes = 4 << 20;
        harness.feed.inbox.on_diff(&tapped(11, 11));
        harness.turn(10);
        let reader = harness.reader("r", RELAYED);
        assert_eq!(relayed(&reader), "buffering 11");
    }

    #[test]
    fn a_book_that_is_synced_again_without_a_diff_says_its_id() {
        let harness = FeedHarness::synced();
        harness.feed.inbox.on_reset(77);
        harness.turn(10);
        assert_eq!(relayed(&harness.again(9)), "synced 10");
    }

    #[test]
    fn a_feed_without_readers_keeps_diffs_for_a_while() {
        let harness = FeedHarness::synced();
        let reader = harness.reader("r", RELAYED);
        harness.feed.remove("r", &reader);
        harness.apply(11, 11);
        harness.turn(10);
        assert!(!harness.feed.is_idle());
        assert_eq!(relayed(&harness.again(10)), "11-11, synced 11");
        let again = harness.again(11);
        harness.feed.remove("r", &again);
        harness.feed.streams.lock().entries.clear();
        harness.feed.remove("r", &again);
        harness.feed.turn(Instant::now() + Duration::from_secs(60));
        let late = Arc::new(Outbox::new(1 << 20, false));
        assert!(!harness.feed.add(&"r".into(), RELAYED, &late, None));
    }

    #[test]
    fn nothing_is_merged_over_a_gap() {
        let harness = FeedHarness::new();
        let reader = harness.reader("a", SLOW);
        harness.apply(11, 12);
        harness.apply(13, 13);
        harness.apply(15, 15);
        harness.load(16);
        harness.apply(17, 18);
        harness.turn(10);
        harness.turn(1_000);
        assert_eq!(taken(&reader), "11-13, 15-15, 17-18");
    }

    #[test]
    fn nothing_of_before_a_reset_is_sent_after_it() {
        let harness = FeedHarness::new();
        let first = harness.reader("a", SLOW);
        harness.apply(11, 12);
        harness.turn(10);
        harness.turn(1_000);
        harness.apply(13, 14);
        harness.turn(1_010);
        assert_eq!(taken(&first), "11-12");
        harness.feed.inbox.on_reset(2);
        harness.turn(1_020); // `first` is notified, and slow to leave
        let second = harness.reader("a", SLOW);
        harness.feed.inbox.on_diff(&tapped(3, 4));
        harness.turn(1_030);
        harness.turn(2_000);
        assert_eq!(taken(&second), "3-4");
        assert_eq!(taken(&first), "end 1012");
    }

    #[test]
    fn a_hole_between_two_snapshots_ends_the_readers_of_diffs() {
        let harness = FeedHarness::new();
        harness.turn(0);
        let reader = harness.reader("a", DIFFS); // whose snapshot is of 10
        harness.book.cell().lock().restart("another connection", 0);
        harness.load(20);
        harness.turn(1_000);
        harness.turn(6_100);
        assert_eq!(taken(&reader), "end 1012");
    }

    #[test]
    fn a_newcomer_never_gets_a_book_twice() {
        let harness = FeedHarness::new();
        let of_book = Kind::Partial {
            levels: 5,
            every_ms: 100,
        };
        harness.apply(11, 12);
        let first = harness.reader("a", of_book);
        harness.turn(10);
        harness.turn(200);
        assert_eq!(taken(&first), "book 12");
        harness.apply(13, 14);
        let second = harness.reader("a", of_book);
        harness.turn(210);
        harness.turn(400);
        assert_eq!(
            (taken(&first), taken(&second)),
            ("book 14".to_owned(), "book 14".to_owned())
        );
    }

    /// A followed book and the own one of the same symbol, of which the own one takes over. Both are at 10.
    struct Books {
        followed: FeedHarness,
        own: FeedHarness,
        family: &'static str,
    }

    impl Books {
        fn new(family: &'static str) -> Books {
            let made = |server: &str| {
                let continuity = match family {
                    "spot" => Continuity::Contiguous,
                    _ => Continuity::Chained,
                };
                let book = OfflineBook::new("x", Some("BTCUSDT"), continuity, 1 << 20);
                let served = Book::new("x", "BTCUSDT", book.cell().clone(), None);
                served.change(|market| market.keep_diffs());
                let rules = Arc::new(venue(family, 100));
                let feed = Feed::new(&served, rules, server.into(), true);
                let began = feed.streams.lock().began;
                let harness = FeedHarness {
                    book,
                    served,
                    feed,
                    began,
                };
                harness.load(10);
                harness.notify(Status::Synced, "");
                harness.turn(0);
                harness
            };
            Books {
                followed: made("followed"),
                own: made("own"),
                family,
            }
        }

        fn apply(&self, to: &FeedHarness, follows: i64, last: i64) {
            let first = follows + 1;
            let pu = match self.family {
                "spot" => String::new(),
                _ => format!(r#""pu":{follows},"#),
            };
            let frame = format!(
                r#"{{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":{first},"u":{last},{pu}"b":[["9.0{last}","1.00"]],"a":[]}}"#
            );
            to.book.apply(frame.as_bytes()).expect("a diff");
        }

        /// Diffs of the followed book, as ids.
        fn follow(&self, ids: &[(i64, i64)]) {
            for (follows, last) in ids {
                self.apply(&self.followed, *follows, *last);
            }
            self.followed.turn(10);
        }

        /// The same of the own one.
        fn hold(&self, ids: &[(i64, i64)]) {
            for (follows, last) in ids {
                self.apply(&self.own, *follows, *last);
            }
            self.own.turn(10);
        }

        fn take_over(&self) -> bool {
            self.own.feed.take_over(&self.followed.feed)
        }
    }

    /// `10>12` of each diff that follows 10.
    fn chained(reader: &Outbox) -> String {
        let mut found = Vec::new();
        while let Poll::Ready(Next::Send(text)) =
            reader.poll_next(&mut Context::from_waker(Waker::noop()))
        {
            let keys: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            found.push(format!("{}>{}", keys["pu"], keys["u"]));
        }
        found.join(", ")
    }

    #[test]
    fn readers_of_a_followed_book_continue_with_the_own_one() {
        let books = Books::new("spot");
        books.follow(&[(10, 12)]);
        let reader = books.followed.reader("a", DIFFS);
        books.hold(&[(10, 12), (12, 13), (13, 14)]);
        assert!(books.take_over());
        assert_eq!(taken(&reader), "11-12, 13-13, 14-14");
        books.follow(&[(12, 13)]);
        books.hold(&[(14, 15)]);
        assert_eq!(taken(&reader), "15-15");
        assert_eq!(books.followed.feed.readers(), 0);
        assert_eq!(books.own.feed.readers(), 1);
        books.own.feed.remove("a", &reader);
        assert_eq!(books.own.feed.readers(), 0);
    }

    #[test]
    fn an_own_book_that_is_behind_waits() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 12), (12, 14)]);
        books.hold(&[(10, 12)]);
        assert!(!books.take_over());
        books.hold(&[(12, 14)]);
        assert!(books.take_over());
        books.hold(&[(14, 15)]);
        assert_eq!(taken(&reader), "11-12, 13-14, 15-15");
    }

    #[test]
    fn a_diff_that_was_cut_elsewhere_spans_what_readers_of_spot_have() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 13)]);
        books.hold(&[(10, 11), (11, 15), (15, 16)]);
        assert!(books.take_over());
        assert_eq!(taken(&reader), "11-13, 12-15, 16-16");
    }

    #[test]
    fn a_diff_of_futures_that_was_cut_elsewhere_follows_what_readers_have() {
        let books = Books::new("linear");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 13)]);
        books.hold(&[(10, 11), (11, 15), (15, 16)]);
        assert!(books.take_over());
        books.hold(&[(16, 18)]);
        assert_eq!(chained(&reader), "10>13, 13>15, 15>16, 16>18");
    }

    #[test]
    fn an_own_book_whose_updates_since_then_are_lost_does_not_take_over() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 12)]);
        books.hold(&[(10, 12)]);
        let own = books.own.book.cell();
        own.lock().restart("another connection", 0);
        books.own.notify(Status::Buffering, "another connection");
        assert!(!books.take_over(), "it is not synced");
        books.own.load(20);
        books.own.notify(Status::Synced, "");
        assert!(!books.take_over(), "13 to 20 are in a snapshot");
        books.hold(&[(20, 21)]);
        assert!(!books.take_over());
        books.follow(&[(12, 20)]);
        assert!(books.take_over());
        assert_eq!(taken(&reader), "11-12, 13-20, 21-21");
    }

    #[test]
    fn a_hole_of_the_followed_book_is_filled_by_the_own_one() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 12)]);
        let followed = books.followed.book.cell();
        followed.lock().restart("another connection", 0);
        books.followed.load(20);
        books.hold(&[(10, 12), (12, 20), (20, 21)]);
        assert!(books.take_over());
        books.own.turn(9_000);
        assert_eq!(taken(&reader), "11-12, 13-20, 21-21");
    }

    #[test]
    fn a_hole_that_is_not_filled_still_ends_the_readers() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", DIFFS);
        books.follow(&[(10, 12)]);
        for harness in [&books.followed, &books.own] {
            harness.book.cell().lock().restart("a connection", 0);
            harness.load(20);
        }
        assert!(books.take_over());
        books.own.feed.turn(Instant::now() + 2 * SILENT_HOLE);
        assert_eq!(taken(&reader), "11-12, end 1012");
    }

    #[test]
    fn readers_of_states_get_the_state_of_the_own_book_after_what_they_missed() {
        let books = Books::new("spot");
        let reader = books.followed.reader("r", RELAYED);
        let own = books.own.reader("r", RELAYED);
        let slow = books
            .followed
            .reader("s", Kind::Relayed { every_ms: 1_000 });
        books.follow(&[(10, 12)]);
        books
            .followed
            .notify(Status::Disconnected, "nothing received");
        books.followed.turn(20);
        books.hold(&[(10, 12), (12, 14)]);
        assert!(books.take_over());
        assert_eq!(
            relayed(&reader),
            "synced 10, 11-12, disconnected 12, 13-14, synced 14"
        );
        assert_eq!(
            relayed(&slow),
            "synced 10, 11-12, disconnected 12, 13-14, synced 14"
        );
        assert_eq!(relayed(&own), "synced 10, 11-12, 13-14, synced 14");
        books.hold(&[(14, 15)]);
        assert_eq!(relayed(&reader), "15-15");
        assert_eq!(relayed(&own), "15-15");
        assert_eq!(books.own.feed.streams.lock().entries.len(), 2);
    }

    #[test]
    fn slower_streams_merge_what_comes_from_both_books() {
        let books = Books::new("spot");
        let reader = books.followed.reader("a", SLOW);
        books.follow(&[(10, 12), (12, 13)]);
        books.hold(&[(10, 11), (11, 14)]);
        assert!(books.take_over());
        books.hold(&[(14, 15)]);
        assert_eq!(taken(&reader), "");
        books.own.feed.turn(Instant::now() + Duration::from_secs(2));
        assert_eq!(taken(&reader), "11-15");
    }

    #[test]
    fn streams_that_are_made_of_the_book_go_on_with_the_own_one() {
        let books = Books::new("spot");
        let of_book = Kind::Partial {
            levels: 5,
            every_ms: 100,
        };
        books.follow(&[(10, 12)]);
        let reader = books.followed.reader("a", of_book);
        books.hold(&[(10, 12)]);
        assert!(books.take_over());
        books.own.feed.turn(Instant::now());
        assert_eq!(taken(&reader), "book 12", "not twice");
        books.hold(&[(12, 13)]);
        books.own.feed.turn(Instant::now() + Duration::from_secs(1));
        assert_eq!(taken(&reader), "book 13");
    }
}
