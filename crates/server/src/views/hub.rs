//! The channels of one book, and what feeds them: a follower each, whose items are published as they come.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use depthcache_book::follow::{FollowSpec, Mode};
use depthcache_book::status::Status;
use parking_lot::Mutex;
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
        source: &Source,
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
                let moment = source.look(|market| Moment::of(market));
                let made = Arc::new(Channel::new(view, label(), moment, claim));
                state.channels.push(made.clone());
                let keeper: Weak<Channel> = Arc::downgrade(&made);
                backlog.begin(keeper);
                tokio::spawn(pump(
                    self.clone(),
                    source.clone(),
                    made.clone(),
                    limits.linger,
                ));
                made
            }
        };
        let cursor = channel.join(reader.0, reader.1, resume);
        Ok((channel, cursor))
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
async fn pump(hub: Arc<Hub>, source: Source, channel: Arc<Channel>, linger: Duration) {
    /// Items between two turns of others on the same worker.
    const TURN: u32 = 64;
    let follower = source.follower(spec(&channel.view));
    loop {
        let mut published = 0;
        while let Some(item) = follower.take(source.due_now_ns()) {
            channel.publish(&item);
            published += 1;
            if published % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        if channel.is_over() || channel.is_retired() {
            hub.retire(&channel);
            return;
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
