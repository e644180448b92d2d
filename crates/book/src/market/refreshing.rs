//! Refreshing a live market: the theory stands in `refresh`.

use super::{Market, Refused};
use crate::condition::Status;
use crate::delays::Delays;
use crate::events::Cause;
use crate::ladder::Ladder;
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::refresh::{Comparison, Fresh, Refresh, RefreshOutcome};
use crate::scan;
use crate::sequence::{Ids, SnapshotTime, Verdict};

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
    ) -> Result<RefreshOutcome, Refused> {
        let refresh = self.refresh.take();
        self.check(snapshot)?;
        let (Some(refresh), Some(held)) = (refresh, self.last_update_id) else {
            return Ok(RefreshOutcome::NotLive);
        };
        let mut fresh = Fresh::new(snapshot, limit);
        let mut update = DepthUpdate::default();
        for (kept, frame) in refresh.kept.iter() {
            match fresh.judge(self.terms.continuity, kept.ids) {
                Verdict::Stale => {}
                // It was read before it was kept: the same bytes are read the same way.
                Verdict::Next if scan::frame(frame, &mut update).is_ok() => fresh.apply(&update),
                _ => return Ok(RefreshOutcome::TooOld),
            }
        }
        if fresh.update_id < held {
            let made = SnapshotTime::of(snapshot, made);
            if refresh.kept.iter().next().is_none() && self.has_fallen(made) {
                self.begin_anew(now_ns);
            }
            return Ok(RefreshOutcome::TooOld);
        }
        if fresh.update_id > held {
            self.refresh = Some(Box::new(Refresh {
                fresh: Some(fresh),
                ..Refresh::default()
            }));
            return Ok(RefreshOutcome::Waiting);
        }
        self.merge(fresh, now_ns);
        Ok(RefreshOutcome::Merged)
    }

    /// No diff came for a snapshot that waits: false where it shows another book than this one, and is
    /// dropped. Ids that are shared by symbols grow without this one, so an equal book is merged; where too
    /// few levels of both can be compared, nothing tells that it is equal.
    pub fn settle_refresh(&mut self, now_ns: i64) -> bool {
        let Some(fresh) = self.refresh.take().and_then(|refresh| refresh.fresh) else {
            return true;
        };
        let shared = self.terms.continuity == crate::sequence::Continuity::Chained;
        let is_same = |own: &Ladder, fresh: &Ladder| {
            let tally = own.compare(fresh);
            tally.wrong() == 0 && tally.checked >= fresh.len().min(TELLING_LEVELS) as u64
        };
        let same = shared && is_same(&self.bids, &fresh.bids) && is_same(&self.asks, &fresh.asks);
        if same {
            self.merge(fresh, now_ns);
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
        let Some(fresh) = &mut refresh.fresh else {
            if !refresh.kept.is_full(frame.len(), self.terms.buffer_bytes) {
                refresh
                    .kept
                    .push(ids, update.event_time_us, frame, received_ns);
                self.refresh = Some(refresh);
            }
            return;
        };
        match fresh.judge(self.terms.continuity, ids) {
            Verdict::Stale => {}
            Verdict::Next => fresh.apply(update),
            Verdict::Gap => return,
        }
        if Some(fresh.update_id) == self.last_update_id {
            if let Some(fresh) = refresh.fresh {
                self.merge(fresh, received_ns);
            }
        } else {
            self.refresh = Some(refresh);
        }
    }

    fn merge(&mut self, fresh: Fresh, now_ns: i64) {
        let (bids, asks) = (self.bids.merge(fresh.bids), self.asks.merge(fresh.asks));
        self.note_merged(bids, asks);
        let tally = bids.tally + asks.tally;
        let update_id = self.last_update_id.unwrap_or(fresh.update_id);
        self.compared = Some(Comparison { update_id, tally });
        self.confirmed_ns = Some(now_ns);
        self.prove(now_ns);
        self.counters.refreshes += 1;
        self.counters.corrections += tally.wrong();
        self.cause(Cause::Refreshed, now_ns);
        self.check_crossed(now_ns);
    }
}
