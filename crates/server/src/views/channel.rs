//! One view of one book, shared by all who subscribed to it: its newest state and its newest messages.
//!
//! Nothing is queued for a subscriber. Each has a cursor in the ring of messages; who is too far behind gets the newest
//! state, and so does everybody after a restart of the view (the first book, a resync, a merged snapshot). A message
//! is encoded when its first reader in that encoding takes it, and shared by the others. The view's claim
//! (`backlog`) bounds the bytes of messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use depthcache_book::follow::{Item, Mode, OnStale};
use depthcache_book::query::Reading;
use depthcache_book::router::Follower;
use depthcache_book::status::Status;
use depthcache_wire::Numbers;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::backlog::{Claim, Keeper, Subscriber};
use super::format::{Format, completed};
use super::messages::{self, Change, Label, Moment};
use super::ready::Ready;
use super::view::{Sides, View};
use crate::source::Source;
use crate::statistics::Statistics;

/// One view of one book.
pub struct Channel {
    pub view: View,
    pub label: Label,
    claim: Claim,
    state: Mutex<State>,
    /// Who is marked when there is something; locked alone, so that readers go on meanwhile.
    readers: Mutex<Vec<(Arc<Ready>, u32)>>,
    /// When the last reader left.
    left: Mutex<Instant>,
    /// A subscriber came or left, or the book ends.
    pub altered: Notify,
    /// What feeds it from now on, where another source took the place of its own.
    pub next: Mutex<Option<(Source, Follower)>>,
    /// Another view took its place before it was read again.
    is_retired: AtomicBool,
}

struct State {
    moment: Moment,
    /// The id from which the book continues with another source; None once it did.
    continues: Option<i64>,
    /// What is seen; None until the book can be read, and after that unless `on_stale` is serve.
    sides: Option<Sides>,
    /// Updates of the book that were applied, as far as this channel knows of them.
    applied: u64,
    entries: VecDeque<Entry>,
    /// The number of the first entry, and the bytes of all.
    first: u64,
    bytes: usize,
    /// The bytes of the newest state, as it is and as it was encoded.
    state_bytes: usize,
    /// Both, as last reported to the claim.
    counted: (usize, usize),
    /// The number of the newest entry after which the view started over.
    restart: Option<u64>,
    /// The highest id until that moment: a reader that holds it, or one below, may hold the levels before the restart.
    restart_id: Option<i64>,
    snapshot: Encodings<Bytes>,
    whole_snapshot: Encodings<Message>,
    current: Encodings<Message>,
    is_over: bool,
}

struct Entry {
    what: EntryKind,
    applied: u64,
    bytes: usize,
    encoded: Encodings<Message>,
}

enum EntryKind {
    Update {
        change: Change,
        /// Whether the view was proven before and after it: then another server says the same at these ids.
        complete: (bool, bool),
    },
    State(Moment),
    Restart,
}

/// One value for each encoding in use.
struct Encodings<T>([Option<T>; Format::COUNT]);

impl<T> Default for Encodings<T> {
    fn default() -> Self {
        Encodings([const { None }; Format::COUNT])
    }
}

impl<T: Clone> Encodings<T> {
    /// The value, made now where it is new.
    fn get(&mut self, format: Format, make: impl FnOnce() -> T) -> T {
        self.0[format as usize].get_or_insert_with(make).clone()
    }
}

/// How far a subscriber is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The next entry; None for a subscriber that has nothing yet.
    next: Option<u64>,
    applied: u64,
}

/// What a subscriber gets next.
pub enum Taken {
    /// This, and perhaps more.
    Message(Message),
    /// This, and nothing after it: the book has ended.
    Last(Message),
    /// Nothing now.
    Nothing,
    /// Nothing any more: the end was told.
    Over,
}

/// From where a subscriber wants to go on.
#[derive(Clone, Copy, Debug)]
pub struct Resume {
    pub id: i64,
    /// It got that id from this very server and book.
    pub is_own: bool,
    /// Every level that it holds was proven: only then do two servers show the same.
    pub is_complete: bool,
}

impl Channel {
    pub fn new(view: View, label: Label, moment: Moment, claim: Claim) -> Channel {
        Channel {
            view,
            label,
            claim,
            readers: Mutex::default(),
            left: Mutex::new(Instant::now()),
            altered: Notify::new(),
            next: Mutex::new(None),
            is_retired: AtomicBool::new(false),
            state: Mutex::new(State {
                moment,
                continues: None,
                sides: None,
                applied: 0,
                entries: VecDeque::new(),
                first: 0,
                bytes: 0,
                state_bytes: 0,
                counted: (0, 0),
                restart: None,
                restart_id: None,
                snapshot: Encodings::default(),
                whole_snapshot: Encodings::default(),
                current: Encodings::default(),
                is_over: false,
            }),
        }
    }

    /// One more subscriber: its cursor, and the mark by which it learns that there is something.
    pub fn join(&self, ready: &Arc<Ready>, key: u32, resume: Option<Resume>) -> Cursor {
        self.readers.lock().push((ready.clone(), key));
        // Readers find a level by the text of its price, and servers may differ in its decimals.
        let is_shared = self.view.numbers == Numbers::Float;
        let cursor = resume.and_then(|resume| self.state.lock().found(resume, is_shared));
        self.altered.notify_one();
        ready.mark(key);
        cursor.unwrap_or_default()
    }

    /// One subscriber less.
    pub fn leave(&self, ready: &Arc<Ready>, key: u32) {
        let is_it = |reader: &(Arc<Ready>, u32)| Arc::ptr_eq(&reader.0, ready) && reader.1 == key;
        self.readers.lock().retain(|reader| !is_it(reader));
        *self.left.lock() = Instant::now();
        self.altered.notify_one();
    }

    /// When the last subscriber left; None while there is one.
    pub fn empty_since(&self) -> Option<Instant> {
        let is_empty = self.readers.lock().is_empty();
        is_empty.then(|| *self.left.lock())
    }

    /// How many read it.
    pub fn readers(&self) -> usize {
        self.readers.lock().len()
    }

    /// Who began it.
    pub fn subscriber(&self) -> Subscriber {
        self.claim.subscriber()
    }

    /// Keep nothing any more: another view took its place.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.altered.notify_one();
    }

    /// Whether another view took its place.
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Whether the book has ended.
    pub fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// The book has an item for this view.
    pub fn publish(&self, item: &Item) {
        let moment = Moment::of(&*item.book);
        let is_synced = moment.status == Status::Synced;
        // Levels are summed up and copied before the lock is taken: readers hold it for a message.
        let is_readable = item.book.readable(true).is_ok() && item.book.last_update_id().is_some();
        let is_seen = self.view.mode != Mode::Status && is_readable;
        let sides = is_seen.then(|| Sides::of(&self.view, &item.book));
        let mut state = self.state.lock();
        if state.is_over {
            return; // it was in flight when the book ended
        }
        // What conflates needs no update in between to go on from another source's book.
        let conflates = state.continues.is_some() && !self.view.is_every();
        if state.is_known(self.view.mode, &moment, sides.as_ref(), item.is_fresh) {
            return;
        }
        let is_fresh = item.is_fresh && !conflates;
        let brings = u64::from(is_synced && !item.is_fresh);
        state.applied += item.skipped + brings;
        if self.view.mode == Mode::Status || !is_synced {
            state.lose(moment, self.view.on_stale);
            if let Some(sides) = sides.filter(|_| self.view.on_stale == OnStale::Serve) {
                state.restart(sides);
            }
        } else if let Some(sides) = sides {
            state.advance(self, moment, sides, is_fresh);
        }
        state.trim(&self.claim);
        drop(state);
        self.wake();
    }

    /// What is published from now on is of another source of the same book.
    pub fn continue_elsewhere(&self) {
        let mut state = self.state.lock();
        state.continues = state.moment.id;
    }

    fn wake(&self) {
        for (ready, key) in &*self.readers.lock() {
            ready.mark(*key);
        }
    }

    /// The book is no longer served. `status`: sent to its readers; closed unless another book takes its place.
    pub fn end(&self, status: Status, reason: &str) {
        let mut state = self.state.lock();
        if state.is_over {
            return;
        }
        let moment = Moment {
            status,
            reason: reason.into(),
            ..state.moment.clone()
        };
        state.lose(moment, OnStale::Raise);
        state.is_over = true;
        state.trim(&self.claim);
        drop(state);
        self.wake();
        self.altered.notify_one();
    }

    /// The next message of a subscriber.
    pub fn take(&self, cursor: &mut Cursor, format: Format, counts: &Statistics) -> Taken {
        let mut state = self.state.lock();
        let taken = self.take_of(&mut state, cursor, format, counts);
        if state.is_grown() {
            state.trim(&self.claim); // it encoded something
        }
        taken
    }

    fn take_of(
        &self,
        state: &mut State,
        cursor: &mut Cursor,
        format: Format,
        counts: &Statistics,
    ) -> Taken {
        let end = state.first + state.entries.len() as u64;
        let from = cursor.next.filter(|next| *next >= state.first);
        let is_chained = |next: u64| state.restart.is_none_or(|restart| restart < next);
        match from {
            Some(next) if next >= end && state.is_over => Taken::Over,
            Some(next) if next >= end => Taken::Nothing,
            Some(next) if is_chained(next) && !self.is_behind(state, next, format) => {
                cursor.next = Some(next + 1);
                self.entry(state, next, cursor, format, counts)
            }
            _ => match state.state_since(cursor.next) {
                // What happened to the book is told before the state that followed.
                Some(next) if state.sides.is_some() && !state.is_over => {
                    cursor.next = Some(next + 1);
                    let applied = cursor.applied;
                    let taken = self.entry(state, next, cursor, format, counts);
                    cursor.applied = applied;
                    taken
                }
                _ => {
                    let is_new = cursor.next.is_none();
                    cursor.next = Some(end);
                    self.newest_state(state, cursor, is_new, format, counts)
                }
            },
        }
    }

    /// Whether the newest state is less to send than what leads to it; never where each update is wanted.
    fn is_behind(&self, state: &State, next: u64, format: Format) -> bool {
        let start = (next - state.first) as usize;
        let behind = state.entries.len() - start;
        if behind < 2 || self.view.is_every() || state.sides.is_none() {
            return false;
        }
        let Some(snapshot) = &state.snapshot.0[format as usize] else {
            return behind > MANY;
        };
        let is_state = |entry: &Entry| matches!(entry.what, EntryKind::State(_));
        let bytes: usize = state.entries.range(start..).map(|entry| entry.bytes).sum();
        bytes > snapshot.len() && !state.entries.range(start..).any(is_state)
    }

    fn entry(
        &self,
        state: &mut State,
        number: u64,
        cursor: &mut Cursor,
        format: Format,
        counts: &Statistics,
    ) -> Taken {
        let is_last = state.is_over && number + 1 == state.first + state.entries.len() as u64;
        let entry = &mut state.entries[(number - state.first) as usize];
        cursor.applied = entry.applied;
        let what = &entry.what;
        let made = entry.encoded.get(format, || {
            let bytes = match what {
                EntryKind::Update { change, .. } => messages::update(&self.label, change, format),
                EntryKind::State(moment) => messages::state(&self.label, moment, format),
                EntryKind::Restart => Vec::new(), // never read: the newest state is
            };
            counts.encoded(bytes.len());
            entry.bytes += bytes.len();
            state.bytes += bytes.len();
            message(bytes, format)
        });
        match is_last {
            true => Taken::Last(made),
            false => Taken::Message(made),
        }
    }

    fn newest_state(
        &self,
        state: &mut State,
        cursor: &mut Cursor,
        is_new: bool,
        format: Format,
        counts: &Statistics,
    ) -> Taken {
        let missed = state.applied.saturating_sub(cursor.applied);
        let skipped = if is_new { 0 } else { missed };
        cursor.applied = state.applied;
        let moment = &state.moment;
        if let Some(sides) = state.sides.as_ref().filter(|_| !state.is_over) {
            let head = state.snapshot.get(format, || {
                let bytes = messages::snapshot(&self.label, moment, sides, format);
                counts.encoded(bytes.len());
                state.state_bytes += bytes.len();
                bytes.into()
            });
            counts.skip(skipped);
            let count = i64::try_from(skipped).unwrap_or(i64::MAX);
            let make = || message(completed(&head, count, format), format);
            return Taken::Message(match skipped {
                0 => state.whole_snapshot.get(format, || {
                    state.state_bytes += head.len();
                    make()
                }),
                _ => make(),
            });
        }
        // Of a new channel of a synced book the levels are on their way.
        let is_told = match self.view.mode {
            Mode::Status => true,
            _ => moment.status != Status::Synced && self.view.on_stale != OnStale::Wait,
        };
        if !is_told && !state.is_over {
            return Taken::Nothing;
        }
        let made = state.current.get(format, || {
            let bytes = messages::state(&self.label, moment, format);
            counts.encoded(bytes.len());
            message(bytes, format)
        });
        match state.is_over {
            true => Taken::Last(made),
            false => Taken::Message(made),
        }
    }
}

impl Keeper for Channel {
    fn cut(&self) {
        self.state.lock().trim(&self.claim);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.claim.on_kept(state.counted, (0, 0));
    }
}

/// A subscriber with so many messages before it gets the newest state instead.
const MANY: usize = 8;

impl State {
    /// The book is not synced, or this is all that is told of it.
    fn lose(&mut self, moment: Moment, on_stale: OnStale) {
        self.is_over = moment.status == Status::Closed;
        let is_told = self.moment.is_same_state(&moment) && self.entries.is_empty();
        self.moment = moment.clone();
        if on_stale != OnStale::Serve || self.is_over {
            self.sides = None;
        }
        self.forget();
        if !is_told {
            self.push(EntryKind::State(moment), 0); // who comes first is told the state anyway
        }
    }

    /// Whether an item of another source brings nothing that the source before has not brought.
    fn is_known(
        &mut self,
        mode: Mode,
        moment: &Moment,
        sides: Option<&Sides>,
        is_fresh: bool,
    ) -> bool {
        let Some(reached) = self.continues else {
            return false;
        };
        let is_same_status = self.moment.status == moment.status;
        if mode == Mode::Status || moment.status != Status::Synced {
            return is_same_status;
        }
        if moment.id > Some(reached) {
            self.continues = None;
            return false;
        }
        let is_same = |(older, newer): (&Sides, &Sides)| {
            let changes = older.changes_to(newer);
            changes.is_some_and(|changes| changes.is_empty())
                && older.complete() == newer.complete()
        };
        let seen = self.sides.as_ref().zip(sides);
        moment.id < Some(reached) || !is_fresh || is_same_status && seen.is_some_and(is_same)
    }

    /// The view starts over.
    fn restart(&mut self, sides: Sides) {
        self.restart = Some(self.first + self.entries.len() as u64);
        self.restart_id = self.restart_id.max(self.moment.id);
        self.sides = Some(sides);
        self.forget();
        self.push(EntryKind::Restart, 0);
    }

    /// The synced book moved on.
    fn advance(&mut self, channel: &Channel, moment: Moment, sides: Sides, is_fresh: bool) {
        let was_synced = self.moment.status == Status::Synced;
        let older = self.sides.take().filter(|_| !is_fresh && was_synced);
        let changes = older.as_ref().and_then(|older| older.changes_to(&sides));
        let (Some(older), Some(changes)) = (older, changes) else {
            self.restart_id = self.restart_id.max(self.moment.id);
            self.moment = moment;
            return self.restart(sides);
        };
        let is_same = changes.is_empty() && older.complete() == sides.complete();
        if is_same && moment.id == self.moment.id {
            // The first diff of futures after a snapshot may end where the snapshot does.
            self.applied = self.applied.saturating_sub(1);
            self.moment = moment;
            self.sides = Some(sides);
            return self.forget();
        }
        if is_same && matches!(channel.view.mode, Mode::Levels | Mode::Best) {
            self.sides = Some(older);
            return;
        }
        let applied = self.entries.back().map_or(0, |entry| entry.applied);
        let change = Change {
            previous: self.moment.id,
            moment: moment.clone(),
            skipped: self.applied.saturating_sub(applied + 1),
            changes,
        };
        let bytes = change.changes.memory_bytes();
        let complete = (older.complete(), sides.complete());
        self.moment = moment;
        self.sides = Some(sides);
        self.forget();
        self.push(EntryKind::Update { change, complete }, bytes);
    }

    fn push(&mut self, what: EntryKind, levels_bytes: usize) {
        let bytes = size_of::<Entry>() + levels_bytes;
        self.bytes += bytes;
        self.entries.push_back(Entry {
            what,
            applied: self.applied,
            bytes,
            encoded: Encodings::default(),
        });
    }

    /// What was encoded of the newest state is old.
    fn forget(&mut self) {
        self.state_bytes = self.sides.as_ref().map_or(0, Sides::memory_bytes);
        self.snapshot = Encodings::default();
        self.whole_snapshot = Encodings::default();
        self.current = Encodings::default();
    }

    fn is_grown(&self) -> bool {
        self.counted != (self.bytes, self.state_bytes)
    }

    fn trim(&mut self, claim: &Claim) {
        let most_bytes = claim.most_bytes();
        while self.bytes > most_bytes && self.entries.len() > 1 {
            let gone = self.entries.pop_front();
            self.bytes -= gone.map_or(0, |entry| entry.bytes);
            self.first += 1;
        }
        let now = (self.bytes, self.state_bytes);
        claim.on_kept(std::mem::replace(&mut self.counted, now), now);
    }

    /// The newest word on the book's state that a subscriber has not had, before the view started over.
    fn state_since(&self, next: Option<u64>) -> Option<u64> {
        let start = next?.max(self.first) - self.first;
        let restart = self.restart?.checked_sub(self.first)?;
        let (start, restart) = (start as usize, restart as usize);
        (start..=restart)
            .rev()
            .find(|index| {
                matches!(
                    self.entries.get(*index).map(|entry| &entry.what),
                    Some(EntryKind::State(_))
                )
            })
            .map(|index| self.first + index as u64)
    }

    /// Where a subscriber resumes from its id; None if it must start over. `is_shared`: whether another server writes
    /// the levels of a complete view in the same way.
    fn found(&self, resume: Resume, is_shared: bool) -> Option<Cursor> {
        if self.restart_id >= Some(resume.id) || self.sides.is_none() {
            return None;
        }
        let is_same = |complete: bool| resume.is_own || is_shared && resume.is_complete && complete;
        let chained = self.restart.map_or(self.first, |restart| restart + 1);
        let start = usize::try_from(chained.max(self.first) - self.first).ok()?;
        for (index, entry) in self.entries.iter().enumerate().skip(start) {
            let EntryKind::Update { change, complete } = &entry.what else {
                continue;
            };
            let skipped = change.skipped + 1;
            if change.previous == Some(resume.id) && is_same(complete.0) {
                return Some(Cursor {
                    next: Some(self.first + index as u64),
                    applied: entry.applied.saturating_sub(skipped),
                });
            }
            if change.moment.id == Some(resume.id) && is_same(complete.1) {
                return Some(Cursor {
                    next: Some(self.first + index as u64 + 1),
                    applied: entry.applied,
                });
            }
        }
        None
    }
}

/// A message of the type `state`, of a book that has no channel.
pub fn state(label: &Label, moment: &Moment, format: Format) -> Message {
    message(messages::state(label, moment, format), format)
}

fn message(bytes: Vec<u8>, format: Format) -> Message {
    match format {
        Format::MessagePack => Message::Binary(bytes.into()),
        // serde_json and the keys of this crate are UTF-8.
        _ => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use depthcache_book::follow::FollowSpec;
    use depthcache_book::market::sequence::Continuity;
    use depthcache_book::offline::OfflineBook;
    use depthcache_book::router::Follower;

    use super::super::backlog::Backlog;
    use super::*;

    struct Rig {
        book: OfflineBook,
        follower: Follower,
        channel: Channel,
        counts: Statistics,
        last_id: i64,
    }

    impl Rig {
        fn new(mode: Mode, most_bytes: usize) -> Rig {
            let subscriber = Subscriber::Connection(1);
            let claim = Backlog::new(1 << 30).claim(subscriber, most_bytes);
            let book = OfflineBook::new("binance.com", Some("X"), Continuity::Contiguous, 1 << 20);
            let body = br#"{"lastUpdateId":1,"bids":[["9.0","1"]],"asks":[["11.0","1"]]}"#;
            book.load_snapshot(body, Some(100), None).expect("it fits");
            let view = View {
                mode,
                levels: 5,
                group: None,
                interval_ms: 0,
                on_stale: OnStale::Raise,
                numbers: Numbers::Text,
            };
            let label = Label {
                exchange: "binance.com".into(),
                symbol: "X".into(),
                view: view.name(),
                numbers: view.numbers,
                server: "s".into(),
            };
            let moment = Moment::of(&*book.cell().lock());
            let spec = FollowSpec {
                mode,
                levels: 5,
                interval_ns: 1,
                start_ns: 0,
                on_stale: OnStale::Raise,
                most_items: 1_000,
                most_bytes: 1 << 20,
                wants_unchanged: false,
                announces: false,
            };
            let follower = Follower::new(1, spec);
            follower.add(0, book.cell().clone());
            let rig = Rig {
                channel: Channel::new(view, label, moment, claim.expect("room")),
                counts: Statistics::default(),
                book,
                follower,
                last_id: 1,
            };
            rig.pump();
            rig
        }

        fn pump(&self) {
            while let Some(item) = self.follower.take(i64::MAX) {
                self.channel.publish(&item);
            }
        }

        fn update(&mut self) {
            self.last_id += 1;
            let id = self.last_id;
            let frame = format!(
                r#"{{"e":"depthUpdate","E":1,"s":"X","U":{id},"u":{id},"b":[["9.0","{id}"]],"a":[]}}"#
            );
            self.book.apply(frame.as_bytes()).expect("a diff");
            self.pump();
        }

        /// The types and skipped counts of all that a reader gets now.
        fn read(&self, cursor: &mut Cursor) -> Vec<(String, u64)> {
            let mut found = Vec::new();
            while let Taken::Message(message) | Taken::Last(message) =
                self.channel.take(cursor, Format::Json, &self.counts)
            {
                let text = message.into_text().expect("JSON");
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let kind = value["type"].as_str().unwrap_or_default().to_owned();
                found.push((kind, value["skipped"].as_u64().unwrap_or_default()));
            }
            found
        }
    }

    fn expected(kinds: &[(&str, u64)]) -> Vec<(String, u64)> {
        let owned = |(kind, skipped): &(&str, u64)| ((*kind).to_owned(), *skipped);
        kinds.iter().map(owned).collect()
    }

    #[test]
    fn messages_are_written_once_for_all_readers() {
        let mut rig = Rig::new(Mode::Every, 1 << 20);
        let mut cursors = [Cursor::default(); 3];
        for cursor in &mut cursors {
            assert_eq!(rig.read(cursor), expected(&[("snapshot", 0)]));
        }
        rig.update();
        rig.update();
        for cursor in &mut cursors {
            assert_eq!(rig.read(cursor), expected(&[("update", 0), ("update", 0)]));
        }
        assert_eq!(rig.counts.encoded.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_reader_beyond_the_ring_gets_the_newest_state_and_what_it_missed() {
        let mut rig = Rig::new(Mode::Every, 4 << 10);
        let (mut slow, mut quick) = (Cursor::default(), Cursor::default());
        rig.read(&mut slow);
        rig.read(&mut quick);
        for _ in 0..100 {
            rig.update();
            assert_eq!(rig.read(&mut quick), expected(&[("update", 0)]));
        }
        assert_eq!(rig.read(&mut slow), expected(&[("snapshot", 100)]));
        rig.update();
        let state = rig.channel.state.lock();
        assert!(state.bytes <= 4 << 10);
        assert_eq!(
            state.bytes,
            state.entries.iter().map(|entry| entry.bytes).sum::<usize>()
        );
    }

    #[test]
    fn a_slow_reader_of_a_mode_that_conflates_gets_the_newest_state_sooner() {
        let mut rig = Rig::new(Mode::Latest, 1 << 20);
        let mut cursor = Cursor::default();
        rig.read(&mut cursor);
        for _ in 0..20 {
            rig.update();
        }
        assert_eq!(rig.read(&mut cursor), expected(&[("snapshot", 20)]));
        rig.update();
        assert_eq!(rig.read(&mut cursor), expected(&[("update", 0)]));
    }

    #[test]
    fn an_id_goes_on_where_it_was() {
        let mut rig = Rig::new(Mode::Every, 1 << 20);
        for _ in 0..5 {
            rig.update();
        }
        let resume = |id| {
            let resume = Resume {
                id,
                is_own: true,
                is_complete: false,
            };
            let found = rig.channel.state.lock().found(resume, false);
            rig.read(&mut found.unwrap_or_default())
        };
        assert_eq!(resume(4), expected(&[("update", 0), ("update", 0)]));
        assert_eq!(resume(6), []);
        for id in [1, 7] {
            assert_eq!(resume(id), expected(&[("snapshot", 0)]), "{id}");
        }
    }

    #[test]
    fn an_id_from_before_the_view_started_over_resumes_nothing() {
        let mut rig = Rig::new(Mode::Every, 1 << 20);
        for _ in 0..5 {
            rig.update();
        }
        // The exchange resets its ids: the same ids return, for other levels.
        let other = Rig::new(Mode::Every, 1 << 20);
        rig.channel.publish(&Item {
            book: Arc::new(other.book.cell().lock().freeze(usize::MAX)),
            skipped: 0,
            is_fresh: true,
            changes: None,
        });
        (rig.book, rig.follower, rig.last_id) = (other.book, other.follower, 1);
        for _ in 0..7 {
            rig.update();
        }
        let found = |id, is_own, is_complete| {
            let resume = Resume {
                id,
                is_own,
                is_complete,
            };
            rig.channel.state.lock().found(resume, true).is_some()
        };
        for id in 1..=6 {
            assert!(!found(id, true, true), "{id}");
        }
        assert!(found(7, true, false));
        assert!(found(7, false, true));
        assert!(
            !found(7, false, false),
            "another server may have shown less"
        );
    }

    #[test]
    fn an_update_that_says_nothing_is_not_sent_but_that_levels_are_proven_is() {
        for mode in [Mode::Every, Mode::Latest, Mode::Levels, Mode::Best] {
            let mut rig = Rig::new(mode, 1 << 20);
            let mut cursor = Cursor::default();
            rig.read(&mut cursor);
            let again = |is_complete| {
                let mut state = rig.channel.state.lock();
                let (moment, mut sides) = (state.moment.clone(), state.sides.clone());
                let sides = sides.as_mut().expect("it is synced");
                sides.bids.complete = is_complete;
                state.applied += 1;
                let mut read = || state.advance(&rig.channel, moment.clone(), sides.clone(), false);
                read();
            };
            again(true);
            assert_eq!(rig.read(&mut cursor), [], "{mode:?}");
            again(false);
            assert_eq!(
                rig.read(&mut cursor),
                expected(&[("update", 0)]),
                "{mode:?}"
            );
            rig.update();
            assert_eq!(
                rig.read(&mut cursor),
                expected(&[("update", 0)]),
                "{mode:?}"
            );
        }
    }

    #[test]
    fn a_reader_of_a_book_that_has_ended_is_told_once_and_let_go() {
        let rig = Rig::new(Mode::Latest, 1 << 20);
        let mut cursor = Cursor::default();
        rig.read(&mut cursor);
        rig.channel.end(Status::Closed, "a test");
        let take = |cursor: &mut Cursor| rig.channel.take(cursor, Format::Json, &rig.counts);
        assert!(matches!(take(&mut cursor), Taken::Last(_)));
        assert!(matches!(take(&mut cursor), Taken::Over));
        assert!(matches!(take(&mut Cursor::default()), Taken::Last(_)));
    }

    #[test]
    fn an_update_in_flight_when_a_book_ended_does_not_bring_it_back() {
        let mut rig = Rig::new(Mode::Every, 1 << 20);
        let mut cursor = Cursor::default();
        rig.read(&mut cursor);
        rig.channel.end(Status::Closed, "a test");
        rig.update();
        let Taken::Last(last) = rig.channel.take(&mut cursor, Format::Json, &rig.counts) else {
            panic!("the end is the last message");
        };
        let text = last.into_text().expect("JSON");
        assert!(text.contains(r#""status":"closed""#), "{text}");
        assert!(matches!(
            rig.channel.take(&mut cursor, Format::Json, &rig.counts),
            Taken::Over
        ));
    }
}
