//! Refreshing a live market: the theory stands in `refresh`.

use super::{Market, SnapshotRefusal};
use crate::codec::json;
use crate::events::Cause;
use crate::ladder::Ladder;
use crate::market::delays::Delays;
use crate::market::refresh::{Comparison, Refresh, RefreshOutcome, RolledSnapshot};
use crate::market::sequence::{Ids, SequenceCheck, SnapshotTime};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::status::Status;

/// So many levels of a side that agree tell that nothing has changed; all, where a snapshot has fewer.
const TELLING_LEVELS: usize = 5;

impl Market {
    /// Keep what is applied from now on, for a snapshot that is about to be asked for; false: the book
    /// is not live.
    pub fn begin_refresh(&mut self) -> bool {
        let live = self.state.status == Status::Synced;
        if live {
            self.refresh = Some(Box::default());
        }
        live
    }

    /// Forget a refresh that was begun.
    pub fn end_refresh(&mut self) {
        self.refresh = None;
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
        let refresh = self.refresh.take();
        self.check(snapshot)?;
        let (Some(refresh), Some(held)) = (refresh, self.last_update_id) else {
            return Ok(RefreshOutcome::NotLive);
        };
        let mut rolled = RolledSnapshot::new(snapshot, limit);
        let mut update = DepthUpdate::default();
        for (diff, frame) in refresh.buffer.iter() {
            match rolled.check(self.config.continuity, diff.ids) {
                SequenceCheck::Stale => {}
                // It was read before it was kept: the same bytes are read the same way.
                SequenceCheck::Next if json::frame(frame, &mut update).is_ok() => {
                    rolled.apply(&update)
                }
                _ => return Ok(RefreshOutcome::TooOld),
            }
        }
        if rolled.update_id < held {
            let made = SnapshotTime::of(snapshot, made);
            if refresh.buffer.iter().next().is_none() && self.has_fallen(made) {
                self.begin_anew(now_ns);
            }
            return Ok(RefreshOutcome::TooOld);
        }
        if rolled.update_id > held {
            self.refresh = Some(Box::new(Refresh {
                rolled: Some(rolled),
                ..Refresh::default()
            }));
            return Ok(RefreshOutcome::Waiting);
        }
        self.merge(rolled, now_ns);
        Ok(RefreshOutcome::Merged)
    }

    /// No diff came for a snapshot that waits: false where it shows another book than this one, and is
    /// dropped. Ids that are shared by symbols grow without this one, so an equal book is merged; where too
    /// few levels of both can be compared, nothing tells that it is equal.
    pub fn settle_refresh(&mut self, now_ns: i64) -> bool {
        let Some(rolled) = self.refresh.take().and_then(|refresh| refresh.rolled) else {
            return true;
        };
        let shared = self.config.continuity == crate::market::sequence::Continuity::Chained;
        let is_same = |own: &Ladder, rolled: &Ladder| {
            let tally = own.compare(rolled);
            tally.wrong() == 0 && tally.checked >= rolled.len().min(TELLING_LEVELS) as u64
        };
        let same = shared && is_same(&self.bids, &rolled.bids) && is_same(&self.asks, &rolled.asks);
        if same {
            self.merge(rolled, now_ns);
        }
        same
    }

    /// What the last refresh found.
    pub fn compared(&self) -> Option<Comparison> {
        self.compared
    }

    /// How the clock of the frames and the exchange's differ; None while that is not known.
    pub fn set_clock_offset(&mut self, offset_ns: Option<i64>) {
        self.clock_offset_ns = offset_ns;
    }

    /// How late updates arrived.
    pub fn delays(&self) -> Delays {
        self.delays
    }

    #[cold]
    pub(super) fn on_refreshing(
        &mut self,
        update: &DepthUpdate,
        ids: Ids,
        frame: &[u8],
        received_ns: i64,
    ) {
        let Some(mut refresh) = self.refresh.take() else {
            return;
        };
        let Some(rolled) = &mut refresh.rolled else {
            if !refresh
                .buffer
                .is_full(frame.len(), self.config.buffer_bytes)
            {
                refresh
                    .buffer
                    .push(ids, update.event_time_us, frame, received_ns);
                self.refresh = Some(refresh);
            }
            return;
        };
        match rolled.check(self.config.continuity, ids) {
            SequenceCheck::Stale => {}
            SequenceCheck::Next => rolled.apply(update),
            SequenceCheck::Gap => return,
        }
        if Some(rolled.update_id) == self.last_update_id {
            if let Some(rolled) = refresh.rolled {
                self.merge(rolled, received_ns);
            }
        } else {
            self.refresh = Some(refresh);
        }
    }

    fn merge(&mut self, rolled: RolledSnapshot, now_ns: i64) {
        let (bids, asks) = (self.bids.merge(rolled.bids), self.asks.merge(rolled.asks));
        self.note_merged(bids, asks);
        let tally = bids.tally + asks.tally;
        let update_id = self.last_update_id.unwrap_or(rolled.update_id);
        self.compared = Some(Comparison { update_id, tally });
        self.confirmed_ns = Some(now_ns);
        self.prove(now_ns);
        self.counters.refreshes += 1;
        self.counters.corrections += tally.wrong();
        self.cause(Cause::Refreshed, now_ns);
        self.check_crossed(now_ns);
    }
}
