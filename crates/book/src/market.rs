//! One market: the state machine between frames and a book that can be trusted.
//!
//! `src/depthcache/reference/market.py` is the same, readable, and opens with the theory: empty,
//! buffering, bridging, synced, and back to buffering after a gap, a reset or a malformed frame.
//! Differential tests drive the two against each other.
//!
//! This file is the machine: what each input does. Its parts hold what it knows, one file each: `state`
//! (what the book is and why), `position` (the id it holds), `timeline` (what was held when), `buffer` (diffs
//! that wait for a snapshot), `arbitration` (redundant feeds), `refresh` (the snapshot beside the live book),
//! `relay` (what a book server says), `depth_target`, `followers`, `diff_tap` and `pending_events`. `installing` takes
//! snapshots, `read` answers readers.
//!
//! Not here: which id may follow which (`sequence`), how a frame finds its market (`router`), how
//! levels are kept (`ladder`), when to fetch which snapshot (the client's core).

pub mod arbitration;
mod buffer;
mod cell;
pub mod delays;
mod depth_target;
mod diff_tap;
mod doubt;
mod followers;
mod installing;
pub mod outcome;
mod pending_events;
mod position;
mod read;
pub mod refresh;
mod relay;
pub mod sequence;
mod state;
mod timeline;

use std::sync::Arc;

use compact_str::CompactString;

use crate::counters::Counters;
use crate::events::{Cause, Comparison, MarketChange};
use crate::ladder::Ladder;
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::prefetch;
use crate::query::Side;
use crate::status::{Condition, Status};
use crate::timebase::Timebase;
use arbitration::{Feed, Feeds};
use buffer::Buffer;
use delays::Delays;
use depth_target::DepthTarget;
use diff_tap::DiffTap;
use doubt::Doubt;
use followers::Followers;
use outcome::Outcome;
use pending_events::PendingEvents;
use position::Position;
use refresh::{RefreshOutcome, Refresher, Rolled, RolledSnapshot};
use relay::Relay;
use sequence::{Continuity, Ids, SequenceCheck, SnapshotTime, looks_reset};
use state::State;
use timeline::Timeline;

pub use cell::{MarketCell, ReadGuard, WriteGuard};
pub use diff_tap::{DiffListener, TappedDiff};

/// What a market is made of.
#[derive(Clone, Copy, Debug)]
pub struct MarketConfig {
    /// How update ids follow each other.
    pub continuity: Continuity,
    /// Quantities count contracts of a fixed value in the quote asset.
    pub inverse: bool,
    /// Bytes of diffs buffered while a snapshot is on its way.
    pub buffer_bytes: usize,
}

/// What the venue of a market says of its data.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How update ids follow each other.
    pub continuity: Continuity,
    /// Quantities count contracts of a fixed value in the quote asset.
    pub inverse: bool,
}

impl From<Continuity> for Rules {
    /// Those of a venue whose quantities are in the base asset.
    fn from(continuity: Continuity) -> Rules {
        Rules {
            continuity,
            inverse: false,
        }
    }
}

/// Why a snapshot was not looked at; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotRefusal {
    /// It names another symbol, this one.
    Symbol(CompactString),
    /// Its id is no exchange's.
    Id,
}

/// One market of a router, or the one of an offline book. Read through `Reading`.
#[derive(Debug)]
pub struct Market {
    exchange: Arc<str>,
    symbol: Option<CompactString>,
    config: MarketConfig,
    bids: Ladder,
    asks: Ladder,
    state: State,
    position: Position,
    timeline: Timeline,
    buffer: Buffer,
    feeds: Feeds,
    relay: Relay,
    refresher: Refresher,
    depth_target: DepthTarget,
    /// Longest time without proof while the event loop does not judge silence; None: no limit.
    time_to_detect_ns: Option<i64>,
    counters: Counters,
    events: PendingEvents,
    followers: Followers,
    diff_tap: DiffTap,
    /// The clocks of its router; None for a book that is fed by hand.
    timebase: Option<Arc<Timebase>>,
    _counted: prefetch::CountedMarket,
}

impl Market {
    /// A market of which nothing is known. `symbol`: None where the first diff names it. `now_ns`: when it
    /// was added.
    pub fn new(exchange: &str, symbol: Option<&str>, config: MarketConfig, now_ns: i64) -> Market {
        Market {
            exchange: exchange.into(),
            symbol: symbol.map(CompactString::from),
            config,
            bids: Ladder::new(Side::Bids),
            asks: Ladder::new(Side::Asks),
            state: State::new(now_ns),
            position: Position::default(),
            timeline: Timeline::default(),
            buffer: Buffer::default(),
            feeds: Feeds::default(),
            relay: Relay::default(),
            refresher: Refresher::default(),
            depth_target: DepthTarget::default(),
            time_to_detect_ns: None,
            counters: Counters::default(),
            events: PendingEvents::default(),
            followers: Followers::default(),
            diff_tap: DiffTap::default(),
            timebase: None,
            _counted: prefetch::CountedMarket::default(),
        }
    }

    /// The same, whose times are those of these clocks.
    pub fn timed_by(self, timebase: Arc<Timebase>) -> Market {
        Market {
            timebase: Some(timebase),
            ..self
        }
    }

    /// When the last applied diff was received, and its event time; None for a book of a snapshot alone.
    pub fn last_diff(&self) -> Option<(i64, Option<i64>)> {
        self.position.last_diff()
    }

    /// Whether a diff names this market; the first one gives its name to a market without one.
    pub fn accepts(&mut self, symbol: &str) -> bool {
        match &self.symbol {
            Some(own) => *own == *symbol,
            None => {
                self.symbol = Some(symbol.into());
                true
            }
        }
    }

    /// How update ids follow each other.
    pub fn continuity(&self) -> Continuity {
        self.config.continuity
    }

    // --- diffs --------------------------------------------------------------------------------

    /// A diff of this market arrived on a connection; `frame` is what it was read from.
    #[inline]
    pub fn on_diff(
        &mut self,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        connection: u64,
        received_ns: i64,
    ) -> Outcome {
        if let (Status::Bridging | Status::Synced, Some(held)) =
            (self.state.status(), self.position.update_id)
        {
            match self.position.check(self.config.continuity, held, ids) {
                SequenceCheck::Next => {
                    self.apply(update, received_ns);
                    if self.diff_tap.is_on() {
                        self.diff_tap.on_diff(ids, frame);
                    }
                    self.settle(received_ns);
                    if self.state.is_doubted() {
                        self.prove_with(update, received_ns);
                    }
                    if self.feeds.are_many() {
                        self.feeds.on_joined(connection, received_ns);
                    }
                    if self.refresher.is_running() {
                        self.roll(update, ids, frame, received_ns);
                    }
                    return Outcome::Applied;
                }
                SequenceCheck::Gap
                    if self.feeds.are_many()
                        && self.feeds.on_ahead(
                            connection,
                            received_ns,
                            self.position.updated_ns,
                        ) =>
                {
                    self.events.on_data(received_ns);
                    return Outcome::Old;
                }
                check => {
                    let outcome =
                        self.on_discontinuity(check, held, update, ids, frame, received_ns);
                    if outcome == Outcome::Old && self.feeds.are_many() {
                        self.feeds.on_joined(connection, received_ns);
                    }
                    return outcome;
                }
            }
        }
        self.on_before_snapshot(update, ids, frame, connection, received_ns)
    }

    /// A diff before a snapshot is there.
    fn on_before_snapshot(
        &mut self,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        connection: u64,
        received_ns: i64,
    ) -> Outcome {
        self.feeds.on_buffered(connection, received_ns);
        self.timeline
            .on_unapplied(update.event_time_us, received_ns);
        self.events.on_data(received_ns);
        if self.state.status() == Status::Empty {
            self.enter(Status::Buffering, "waiting for a snapshot", received_ns);
        }
        if self.buffer.precedes_reset(ids, update.event_time_us) {
            self.buffer.clear();
            self.counters.resets += 1;
            self.events.add(Cause::Reset, received_ns);
        }
        self.buffer_diff(ids, update.event_time_us, frame, received_ns);
        if self.position.update_id.is_none() {
            Outcome::Waiting
        } else {
            Outcome::Gap
        }
    }

    /// A diff that does not continue the book: old, the first of new ids, or behind a gap.
    #[cold]
    fn on_discontinuity(
        &mut self,
        check: SequenceCheck,
        held: i64,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        received_ns: i64,
    ) -> Outcome {
        self.events.on_data(received_ns);
        if check == SequenceCheck::Old {
            self.counters.old += 1;
            let has_diff = self.position.has_diff;
            let base_us = self.timeline.base_us_of(ids, update, received_ns, has_diff);
            if !looks_reset(update.event_time_us, base_us) {
                self.diff_tap.on_diff(ids, frame);
                if update.event_time_us != 0 && base_us.is_some() {
                    self.timeline
                        .on_unapplied(update.event_time_us, received_ns);
                } else if !has_diff {
                    self.buffer_undecided(ids, update.event_time_us, frame, received_ns);
                }
                return Outcome::Old;
            }
            self.buffer.clear();
            self.reset_ids(received_ns);
        } else {
            self.buffer.clear();
            self.lose_chain(held, ids, received_ns);
        }
        self.buffer_diff(ids, update.event_time_us, frame, received_ns);
        Outcome::Gap
    }

    /// A frame of this market could not be read: an update is missing.
    pub fn on_malformed(&mut self, what: &str, received_ns: i64) {
        self.counters.malformed += 1;
        self.events.add(Cause::Malformed, received_ns);
        if self.state.is_live() {
            self.enter(
                Status::Buffering,
                &format!("malformed frame: {what}"),
                received_ns,
            );
        }
    }

    #[inline]
    fn apply(&mut self, update: &DepthUpdate, received_ns: i64) {
        if self.followers.are_any() {
            let is_synced = self.state.is_synced();
            self.followers
                .note_changes(&self.bids, &self.asks, update, is_synced);
        }
        let changed = self.bids.apply(&update.bids) + self.asks.apply(&update.asks);
        self.counters.levels_changed += changed as u64;
        self.counters.applied += 1;
        self.position.on_applied(update, received_ns);
        self.timeline.on_applied(update, received_ns);
    }

    /// After a diff was applied to a live book: it confirms the snapshot, and may cross the book.
    #[inline]
    fn settle(&mut self, received_ns: i64) {
        if !self.position.has_diff {
            self.events.on_data(received_ns);
            self.confirm(received_ns);
        }
        self.check_crossed(received_ns);
    }

    #[cold]
    fn confirm(&mut self, received_ns: i64) {
        self.position.has_diff = true;
        self.timeline.on_confirmed();
        self.buffer.clear();
        if self.state.status() == Status::Bridging {
            self.sync(received_ns);
        } else {
            self.events.add(Cause::Confirmed, received_ns);
            self.state.confirm();
        }
    }

    /// Best prices that touch or cross after a whole event: the book is kept up, but not served.
    #[inline]
    fn check_crossed(&mut self, now_ns: i64) {
        let crossed = self.bids.reaches(&self.asks);
        if crossed != self.state.is_crossed() {
            self.set_crossed(crossed, now_ns);
        }
    }

    #[cold]
    fn set_crossed(&mut self, crossed: bool, now_ns: i64) {
        if crossed {
            let best = |ladder: &Ladder| {
                ladder
                    .best()
                    .map_or(String::new(), |level| level.price.to_string())
            };
            let (bid, ask) = (best(&self.bids), best(&self.asks));
            self.state.cross(
                format!("best bid {bid} is at or above best ask {ask}"),
                now_ns,
            );
            self.counters.crossed += 1;
            self.events.add(Cause::Crossed, now_ns);
        } else {
            self.state.uncross(now_ns);
            self.events.add(Cause::Uncrossed, now_ns);
        }
    }

    // --- transitions --------------------------------------------------------------------------

    /// A new snapshot is needed; buffered diffs and old levels stay.
    pub fn resync(&mut self, reason: &str, now_ns: i64) {
        self.enter(Status::Buffering, reason, now_ns);
    }

    /// The diffs will come from a new connection: buffered ones are of no use.
    pub fn restart(&mut self, reason: &str, now_ns: i64) {
        self.buffer.clear();
        self.events.expect_first_data();
        self.enter(Status::Buffering, reason, now_ns);
    }

    fn sync(&mut self, now_ns: i64) {
        let has_diff = self.position.has_diff;
        let reason = if has_diff {
            ""
        } else {
            "from a snapshot, not yet confirmed by an update"
        };
        self.position.compared_ns = Some(now_ns);
        self.prove(now_ns);
        self.enter(Status::Synced, reason, now_ns);
        self.events.add(Cause::Synced, now_ns);
        if has_diff {
            self.events.add(Cause::Confirmed, now_ns);
        }
    }

    fn lose_chain(&mut self, held: i64, ids: Ids, now_ns: i64) {
        let reason = format!(
            "sequence gap: the book is at {held}, but the next update follows {}",
            ids.follows
        );
        self.lose_sync(&reason, now_ns);
    }

    fn lose_sync(&mut self, gap: &str, now_ns: i64) {
        self.counters.gaps += 1;
        self.events.add(Cause::Gap, now_ns);
        self.enter(Status::Buffering, gap, now_ns);
    }

    /// The exchange reset its update ids, below those of the book.
    #[cold]
    fn reset_ids(&mut self, now_ns: i64) {
        self.timeline.on_reset();
        self.diff_tap.on_reset();
        self.counters.resets += 1;
        self.events.add(Cause::Reset, now_ns);
        self.enter(
            Status::Buffering,
            "the exchange reset its update ids",
            now_ns,
        );
    }

    fn enter(&mut self, status: Status, reason: &str, now_ns: i64) {
        if status != Status::Synced {
            self.refresher.end();
        }
        self.state.enter(status, reason, now_ns);
    }

    // --- buffering ----------------------------------------------------------------------------

    fn buffer_diff(&mut self, ids: Ids, event_time_us: i64, frame: &[u8], now_ns: i64) {
        if self.buffer.is_full(frame.len(), self.config.buffer_bytes) {
            self.buffer.clear();
            self.counters.dropped_buffers += 1;
            self.events.add(Cause::BufferDropped, now_ns);
        }
        self.buffer.push(ids, event_time_us, frame, now_ns);
    }

    /// An old diff may be backlog or not: the next snapshot decides, and may need it.
    fn buffer_undecided(&mut self, ids: Ids, event_time_us: i64, frame: &[u8], received_ns: i64) {
        self.timeline.on_undecided();
        if self.buffer.is_full(frame.len(), self.config.buffer_bytes) {
            self.buffer.clear();
        }
        self.buffer.push(ids, event_time_us, frame, received_ns);
    }

    // --- feeds --------------------------------------------------------------------------------

    /// One more connection brings diffs of this market.
    pub fn add_feed(&mut self, connection: u64) {
        self.feeds.add(connection, self.position.updated_ns);
    }

    /// One brings none any more. Where the others had run ahead of it, nothing fills the hole.
    pub fn remove_feed(&mut self, connection: u64) {
        self.forget_relay(connection, self.events.at_ns());
        if let Some(heard_ns) = self.feeds.remove(connection)
            && self.state.is_synced()
        {
            let gap = "sequence gap: the connection that could have filled it is gone";
            self.lose_sync(gap, heard_ns);
        }
    }

    /// The connections that bring diffs of this market.
    pub fn feeds(&self) -> &[Feed] {
        self.feeds.all()
    }

    // --- state from outside -------------------------------------------------------------------

    /// The frame thread stalled, or goes on (None).
    pub fn set_stalled(&mut self, reason: Option<&str>, now_ns: i64) {
        if self.state.set_stalled(reason, now_ns) {
            self.events.add(Cause::Proven, now_ns);
        }
    }

    /// Lay a condition over the machine state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        self.state.set_condition(condition, reason, now_ns);
    }

    /// Longest time without proof while the event loop does not judge silence; None: no limit.
    pub fn set_time_to_detect(&mut self, within_ns: Option<i64>) {
        self.time_to_detect_ns = within_ns;
    }

    /// Nothing judged silence for a while: whether the book was proven in time.
    pub(crate) fn judge_silence(&mut self, now_ns: i64) {
        let (Some(limit_ns), Some(proven_ns)) = (self.time_to_detect_ns, self.position.proven_ns())
        else {
            return;
        };
        if !self.state.is_doubted() && now_ns - proven_ns > limit_ns {
            self.raise_doubt(Doubt::of_silence(limit_ns), now_ns, now_ns);
        }
    }

    /// The machine or the process paused from `since_ns` to `now_ns`.
    pub(crate) fn on_pause(&mut self, reason: &str, since_ns: i64, now_ns: i64) {
        self.raise_doubt(Doubt::of_pause(reason, now_ns), since_ns, now_ns);
    }

    fn raise_doubt(&mut self, doubt: Doubt, since_ns: i64, now_ns: i64) {
        if self.state.is_synced() {
            self.refresher.end(); // its snapshot was requested before
            self.state.raise_doubt(doubt, since_ns);
            self.events.add(Cause::Doubted, now_ns);
        }
    }

    /// An update was applied to a doubted book.
    #[cold]
    fn prove_with(&mut self, update: &DepthUpdate, received_ns: i64) {
        let made_ns = self.timeline.made_ns(update);
        if (self.state.doubt()).is_some_and(|doubt| doubt.is_over(made_ns, received_ns)) {
            self.prove(received_ns);
        }
    }

    fn prove(&mut self, now_ns: i64) {
        if self.state.end_doubt(now_ns) {
            self.events.add(Cause::Proven, now_ns);
        }
    }

    // --- time ---------------------------------------------------------------------------------

    /// How the clock of the frames and the exchange's differ; None while that is not known.
    pub fn set_clock_offset(&mut self, offset_ns: Option<i64>) {
        self.timeline.set_clock_offset(offset_ns);
    }

    /// The snapshot that is held, and no diff after it, was made between these times: known only now.
    pub fn date_snapshot(&mut self, made: SnapshotTime) {
        if let Some(update_id) = self.position.snapshot_id() {
            self.position.date_snapshot(made.latest_us);
            self.timeline.date_snapshot(update_id, made);
        }
    }

    /// When the newest diff was received that was applied, kept, or is backlog, and its event time.
    pub fn heard(&self) -> Option<(i64, Option<i64>)> {
        self.timeline.heard(&self.position)
    }

    /// How late that diff was; None while the exchange's clock or its event time is not known.
    pub fn late_us(&self) -> Option<i64> {
        self.timeline.late_us(&self.position)
    }

    /// How late updates arrived.
    pub fn delays(&self) -> Delays {
        self.timeline.delays()
    }

    // --- refreshing ---------------------------------------------------------------------------

    /// Buffer what is applied from now on, for a snapshot that is about to be requested; false: the book
    /// is not live.
    pub fn begin_refresh(&mut self) -> bool {
        let is_synced = self.state.is_synced();
        if is_synced {
            self.refresher.begin();
        }
        is_synced
    }

    /// Forget a refresh that was begun.
    pub fn end_refresh(&mut self) {
        self.refresher.end();
    }

    /// The snapshot is there: roll it to the live book's id, compare and merge. `made` as for `install`; where
    /// it is refused, the refresh is over.
    pub fn refresh(
        &mut self,
        snapshot: &DepthSnapshot,
        limit: Option<usize>,
        now_ns: i64,
        made: Option<SnapshotTime>,
    ) -> Result<RefreshOutcome, SnapshotRefusal> {
        if let Err(refusal) = self.check(snapshot) {
            self.refresher.end();
            return Err(refusal);
        }
        let (continuity, held) = (self.config.continuity, self.position.update_id);
        Ok(
            match self
                .refresher
                .on_snapshot(snapshot, limit, continuity, held)
            {
                Rolled::Merge(rolled) => RefreshOutcome::Merged(self.merge(*rolled, now_ns)),
                Rolled::Waits => RefreshOutcome::Waiting,
                Rolled::Gap => RefreshOutcome::TooOld,
                Rolled::Behind => {
                    let made = SnapshotTime::of(snapshot, made);
                    if self.timeline.has_fallen(made, self.position.updated_ns) {
                        self.reset_ids(now_ns);
                    }
                    RefreshOutcome::TooOld
                }
                Rolled::NotLive => RefreshOutcome::NotLive,
            },
        )
    }

    /// No diff came for a snapshot that waits: merge it where it shows an equal book, or drop it. Ids that are
    /// shared by symbols grow without this one, so an equal book is merged; where too few levels of both can
    /// be compared, equality is not proven.
    pub fn settle_refresh(&mut self, now_ns: i64) -> RefreshOutcome {
        let Some(rolled) = self.refresher.take_waiting() else {
            return RefreshOutcome::NoneWaiting;
        };
        let shared = self.config.continuity == Continuity::Chained;
        if shared && rolled.agrees_with(&self.bids, &self.asks) {
            RefreshOutcome::Merged(self.merge(rolled, now_ns))
        } else {
            RefreshOutcome::OtherBook
        }
    }

    #[cold]
    fn roll(&mut self, update: &DepthUpdate, ids: Ids, frame: &[u8], received_ns: i64) {
        let rolled = (self.refresher).on_applied(update, ids, frame, received_ns, self.config);
        if let Some(rolled) = rolled {
            let comparison = self.merge(rolled, received_ns);
            self.refresher.note(comparison);
            self.events.add(Cause::Refreshed, received_ns);
        }
    }

    fn merge(&mut self, rolled: RolledSnapshot, now_ns: i64) -> Comparison {
        let bids = self.bids.merge(rolled.bids);
        let asks = self.asks.merge(rolled.asks);
        self.depth_target.look_again();
        if bids.altered || asks.altered {
            self.followers.note_altered();
        }
        let tally = bids.tally + asks.tally;
        if tally.wrong() > 0 {
            self.diff_tap.on_reset(); // no diff says so
        }
        let update_id = self.position.update_id.unwrap_or(rolled.update_id);
        self.position.compared_ns = Some(now_ns);
        self.prove(now_ns);
        self.counters.refreshes += 1;
        self.counters.corrections += tally.wrong();
        self.check_crossed(now_ns);
        Comparison { update_id, tally }
    }

    // --- depth --------------------------------------------------------------------------------

    /// The most levels a side that a reader asked for; a request for all levels sets no target.
    pub fn depth_requested(&self) -> usize {
        self.depth_target.requested()
    }

    /// So many complete levels a side are enough while readers ask for at most `requested`; without it no
    /// number is.
    pub fn set_depth_target(&mut self, levels: usize, requested: usize) {
        self.depth_target.set(levels, requested);
    }

    /// Whether a side has fewer complete levels than are enough, or readers ask for more than was considered.
    pub fn is_shallow(&self) -> bool {
        let changed = self.counters.levels_changed;
        !self.depth_target.is_met(&self.bids, &self.asks, changed)
    }

    /// The fewest levels that a side has inside its complete range; None where both sides are whole.
    pub fn min_coverage(&self) -> Option<usize> {
        depth_target::min_coverage(&self.bids, &self.asks)
    }

    // --- events -------------------------------------------------------------------------------

    /// Whether there are causes and the market is in no list of changed ones; true once per
    /// `take_change`.
    #[inline]
    pub fn mark_pending(&mut self) -> bool {
        self.events.mark_pending()
    }

    /// What happened since the last call.
    pub fn take_change(&mut self, market: u64) -> Option<MarketChange> {
        let causes = self.events.take();
        let comparison = self.refresher.take_comparison();
        let (status, reason) = self.state.machine_state();
        (!causes.is_empty()).then(|| MarketChange {
            market,
            causes,
            status,
            reason: reason.to_owned(),
            at_ns: self.events.at_ns(),
            comparison,
        })
    }
}
