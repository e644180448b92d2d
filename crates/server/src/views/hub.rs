//! The channels of one book, and what feeds them: a follower each, whose items are published as they come.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use depthcache_book::follow::{FollowSpec, Mode};
use depthcache_book::query::Reading;
use depthcache_book::status::Status;
use parking_lot::{Mutex, RwLock};
use tokio::time::{sleep, sleep_until};

use super::backlog::{Backlog, Full, Subscriber};
use super::channel::{Channel, Cursor, Resume};
use super::messages::{Label, Moment};
use super::ready::Ready;
use super::view::View;
use crate::limits::Limits;
use crate::source::Source;

/// The channels of one book.
#[derive(Default)]
pub struct Hub(Mutex<State>);

#[derive(Default)]
struct State {
    channels: Vec<Arc<Channel>>,
    /// Why there are no channels any more.
    ended: Option<String>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Hub({} channels)", self.0.lock().channels.len())
    }
}

/// Why there is no channel for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChannel {
    /// The book has as many views as it may have, or the subscriber has its share of them.
    TooMany,
    /// The same for the memory of all views.
    Full,
    /// The book is served no longer.
    Ended,
}

impl Hub {
    /// Subscribe to a view of the book; made where it is the first of its kind.
    pub fn join(
        self: &Arc<Self>,
        source: &RwLock<Source>,
        (view, label): (View, impl FnOnce() -> Label),
        reader: (&Arc<Ready>, u32),
        resume: Option<Resume>,
        (limits, backlog): (&Limits, &Arc<Backlog>),
    ) -> Result<(Arc<Channel>, Cursor), NoChannel> {
        let mut state = self.0.lock();
        if state.ended.is_some() {
            return Err(NoChannel::Ended);
        }
        let known = state
            .channels
            .iter()
            .find(|channel| channel.view == view && !channel.is_over());
        let channel = match known {
            Some(known) => known.clone(),
            None => {
                let subscriber = reader.0.subscriber;
                if !state.has_room(subscriber, limits.views) {
                    return Err(NoChannel::TooMany);
                }
                let claim = backlog.claim(subscriber, most_bytes(&view, limits));
                let claim = claim.map_err(|Full| NoChannel::Full)?;
                let source = source.read().clone(); // while no other takes its place
                let moment = source.look(|market| Moment::of(market));
                let made = Arc::new(Channel::new(view, label(), moment, claim));
                state.channels.push(made.clone());
                let keeper: Weak<Channel> = Arc::downgrade(&made);
                backlog.begin(keeper);
                tokio::spawn(pump(self.clone(), source, made.clone(), limits.linger));
                made
            }
        };
        let cursor = channel.join(reader.0, reader.1, resume);
        Ok((channel, cursor))
    }

    /// Feed all channels from another source of the same book.
    pub fn replace_source(&self, place: &RwLock<Source>, source: Source) {
        let state = self.0.lock();
        *place.write() = source.clone();
        for channel in &state.channels {
            let follower = source.follower(spec(&channel.view));
            *channel.next.lock() = Some((source.clone(), follower));
            channel.altered.notify_one();
        }
    }

    /// How many read its channels, counted for each channel.
    pub fn readers(&self) -> usize {
        let channels = self.0.lock().channels.clone();
        channels.iter().map(|channel| channel.readers()).sum()
    }

    /// The book is served no longer. `status`: as of `Channel::end`.
    pub fn end(&self, status: Status, reason: &str) {
        let mut state = self.0.lock();
        state.ended = Some(reason.to_owned());
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        for channel in channels {
            channel.end(status, reason);
        }
    }

    /// Forget a channel that nobody reads; false where somebody does again.
    fn retire(&self, channel: &Arc<Channel>) -> bool {
        let mut state = self.0.lock();
        let is_unused = channel.is_over() || channel.empty_since().is_some();
        if is_unused {
            state.channels.retain(|other| !Arc::ptr_eq(other, channel));
        }
        is_unused
    }
}

impl State {
    /// Whether a subscriber may begin another view: none has more of them than are left for all others. Views without
    /// readers make room.
    fn has_room(&mut self, subscriber: Subscriber, most: usize) -> bool {
        let is_used =
            |channel: &&Arc<Channel>| channel.empty_since().is_none() && !channel.is_over();
        let used = self.channels.iter().filter(is_used).count();
        let is_own = |channel: &&Arc<Channel>| channel.subscriber() == subscriber;
        let own = self.channels.iter().filter(is_used).filter(is_own).count();
        if used + own >= most {
            return false;
        }
        if self.channels.len() >= most
            && let Some(index) = self.channels.iter().position(|channel| !is_used(&channel))
        {
            self.channels.remove(index).retire();
        }
        true
    }
}

/// How much of its messages a channel keeps.
fn most_bytes(view: &View, limits: &Limits) -> usize {
    /// Of messages that conflate: some seconds, for readers who lost their connection for so long.
    const RECENT_BYTES: usize = 64 << 10;
    match view.is_every() {
        true => limits.held_bytes,
        false => RECENT_BYTES.min(limits.held_bytes),
    }
}

fn spec(view: &View) -> FollowSpec {
    /// Updates that wait for their turn on a worker.
    const MOST_ITEMS: usize = 1_024;
    const MOST_BYTES: usize = 4 << 20;
    let mode = match view.mode {
        Mode::Levels => Mode::Latest, // the channel compares what is seen, while the book goes on
        mode => mode,
    };
    FollowSpec {
        mode,
        levels: view.needed_levels(),
        interval_ns: i64::from(view.interval_ms.max(1)) * 1_000_000,
        start_ns: 0,
        on_stale: view.on_stale,
        most_items: MOST_ITEMS,
        most_bytes: MOST_BYTES,
        wants_unchanged: false,
        announces: false,
    }
}

/// Publish what the book brings for a view until it ends, or nobody has read it for a while.
async fn pump(hub: Arc<Hub>, mut source: Source, channel: Arc<Channel>, linger: Duration) {
    /// Items between two turns of others on the same worker.
    const TURN: u32 = 64;
    let mut follower = source.follower(spec(&channel.view));
    loop {
        let mut published = 0;
        while let Some(item) = follower.take(source.due_now_ns()) {
            // Once another source has its place, the end of this one is not shown.
            if item.book.status_info().status == Status::Synced || channel.next.lock().is_none() {
                channel.publish(&item);
            }
            published += 1;
            if published % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        if channel.is_over() || channel.is_retired() {
            hub.retire(&channel);
            return;
        }
        let next = channel.next.lock().take();
        if let Some(next) = next {
            (source, follower) = next;
            channel.continue_elsewhere();
            continue;
        }
        // A deadline, not a delay: each item of a busy book would restart a delay.
        let forget = channel.empty_since().map(|since| since + linger);
        if forget.is_some_and(|forget| forget <= Instant::now()) && hub.retire(&channel) {
            return;
        }
        let due = follower
            .due_ns()
            .map(|due_ns| source.until(due_ns).unwrap_or(interval(&channel.view)));
        tokio::select! {
            () = poll_fn(|context| follower.poll_wait(context)) => {}
            () = sleep(due.unwrap_or_default()), if due.is_some() => {}
            () = channel.altered.notified() => {}
            () = sleep_until(forget.unwrap_or_else(Instant::now).into()), if forget.is_some() => {}
        }
    }
}

/// The interval of a view whose book is fed by hand and has no clock.
fn interval(view: &View) -> Duration {
    Duration::from_millis(view.interval_ms.into())
}

#[cfg(test)]
mod tests {
    use depthcache_book::follow::OnStale;
    use depthcache_book::market::sequence::Continuity;
    use depthcache_book::offline::OfflineBook;
    use depthcache_wire::Numbers;

    use super::super::channel::Taken;
    use super::super::format::Format;
    use super::*;
    use crate::statistics::Statistics;

    fn book() -> OfflineBook {
        let book = OfflineBook::new("binance.com", Some("X"), Continuity::Contiguous, 1 << 20);
        let body = br#"{"lastUpdateId":1,"bids":[["9.0","1"]],"asks":[["11.0","1"]]}"#;
        book.load_snapshot(body, Some(100), None).expect("it fits");
        book
    }

    fn apply(book: &OfflineBook, id: u32) {
        let frame = format!(
            r#"{{"e":"depthUpdate","E":1,"s":"X","U":{id},"u":{id},"b":[["9.0","{id}"]],"a":[]}}"#
        );
        book.apply(frame.as_bytes()).expect("a diff");
    }

    /// One channel of a book that another source takes over; `read` gives what its reader gets next.
    struct Rig {
        hub: Arc<Hub>,
        place: RwLock<Source>,
        channel: Arc<Channel>,
        cursor: Cursor,
        counts: Statistics,
    }

    impl Rig {
        fn new(book: &OfflineBook, mode: Mode) -> Rig {
            let hub = Arc::<Hub>::default();
            let place = RwLock::new(Source::new(book.cell().clone(), None));
            let view = View {
                mode,
                levels: 5,
                group: None,
                interval_ms: 0,
                on_stale: OnStale::Raise,
                numbers: Numbers::Text,
            };
            let label = || Label {
                exchange: "binance.com".into(),
                symbol: "X".into(),
                view: view.name(),
                numbers: view.numbers,
                server: "s".into(),
            };
            let ready = Arc::new(Ready::new(Subscriber::Connection(1)));
            let backlog = Backlog::new(1 << 30);
            let bounds = (&Limits::default(), &backlog);
            let joined = hub.join(&place, (view, label), (&ready, 0), None, bounds);
            let (channel, cursor) = joined.expect("there is room");
            Rig {
                hub,
                place,
                channel,
                cursor,
                counts: Statistics::default(),
            }
        }

        /// `snapshot 1`, `update 1>2`, `state synced` of each message, once the task has had its turns.
        async fn read(&mut self) -> Vec<String> {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let mut found = Vec::new();
            while let Taken::Message(message) | Taken::Last(message) =
                self.channel
                    .take(&mut self.cursor, Format::Json, &self.counts)
            {
                let text = message.into_text().expect("JSON");
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let text = |key: &str| value[key].as_str().unwrap_or_default();
                found.push(match text("type") {
                    "update" => format!("update {}>{}", value["previous"], value["id"]),
                    "state" => format!("state {}", text("status")),
                    kind => format!("{kind} {}", value["id"]),
                });
            }
            found
        }

        fn continue_with(&self, book: &OfflineBook) {
            let source = Source::new(book.cell().clone(), None);
            self.hub.replace_source(&self.place, source);
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(test);
    }

    #[test]
    fn each_update_comes_once_whatever_was_not_published_yet() {
        run(async {
            let (former, own) = (book(), book());
            let mut rig = Rig::new(&former, Mode::Every);
            assert_eq!(rig.read().await, ["snapshot 1"]);
            for id in [2, 3] {
                apply(&former, id);
                apply(&own, id);
            }
            rig.continue_with(&own);
            apply(&former, 4);
            for id in [4, 5] {
                apply(&own, id);
            }
            let expected = ["update 1>2", "update 2>3", "update 3>4", "update 4>5"];
            assert_eq!(rig.read().await, expected);
        });
    }

    #[test]
    fn the_end_of_the_former_source_is_not_shown() {
        run(async {
            for mode in [Mode::Every, Mode::Latest, Mode::Status] {
                let (former, own) = (book(), book());
                let mut rig = Rig::new(&former, mode);
                rig.read().await;
                rig.continue_with(&own);
                apply(&former, 90);
                assert!(rig.read().await.is_empty());
                apply(&own, 90);
                assert_eq!(rig.read().await, ["state buffering"]);
            }
        });
    }

    #[test]
    fn an_own_book_that_is_behind_shows_nothing_again() {
        run(async {
            let (former, own) = (book(), book());
            let mut rig = Rig::new(&former, Mode::Every);
            apply(&former, 2);
            assert_eq!(rig.read().await, ["snapshot 2"]);
            rig.continue_with(&own);
            assert!(rig.read().await.is_empty());
            apply(&own, 2);
            apply(&own, 3);
            assert_eq!(rig.read().await, ["update 2>3"]);
        });
    }

    #[test]
    fn a_book_that_is_beyond_the_former_one_starts_over_where_each_update_is_wanted() {
        run(async {
            for (mode, expected) in [(Mode::Every, "snapshot 3"), (Mode::Latest, "update 1>3")] {
                let (former, own) = (book(), book());
                let mut rig = Rig::new(&former, mode);
                assert_eq!(rig.read().await, ["snapshot 1"]);
                apply(&own, 2);
                apply(&own, 3);
                rig.continue_with(&own);
                assert_eq!(rig.read().await, [expected]);
            }
        });
    }
}
