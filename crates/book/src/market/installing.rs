//! Taking a snapshot, and the kept diffs after it.

use super::{Market, SnapshotRefusal};
use crate::codec::json;
use crate::ladder::Ladder;
use crate::market::outcome::SnapshotOutcome;
use crate::market::sequence::{DatedId, Ids, SequenceCheck, SnapshotTime, check_sequence};
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::query::Side;
use crate::status::Status;

impl Market {
    /// Take a snapshot that was asked with `limit` (None: unknown), and the kept diffs after it.
    ///
    /// `live`: the subscription was acknowledged, or data had arrived, before it was asked for. A
    /// snapshot older than the book, or than the first kept diff allows, is not installed. `made`: when it was
    /// made; None for what its body tells.
    pub fn install(
        &mut self,
        snapshot: &DepthSnapshot,
        limit: Option<usize>,
        live: bool,
        now_ns: i64,
        made: Option<SnapshotTime>,
    ) -> Result<SnapshotOutcome, SnapshotRefusal> {
        self.check(snapshot)?;
        let made = SnapshotTime::of(snapshot, made);
        let held = snapshot.last_update_id;
        let was_live = matches!(self.state.status, Status::Bridging | Status::Synced);
        if was_live && self.last_update_id.is_some_and(|own| held < own) {
            if !self.has_fallen(made) {
                return Ok(SnapshotOutcome::TooOld);
            }
            self.begin_anew(now_ns);
        }
        self.drop_of_before(held, made, now_ns);
        if self.feeds.are_many() {
            self.buffer.sort();
        }
        let check = |ids: Ids| check_sequence(self.config.continuity, held, ids, false);
        let first = self
            .buffer
            .iter()
            .map(|(diff, _)| check(diff.ids))
            .find(|found| *found != SequenceCheck::Stale);
        if first == Some(SequenceCheck::Gap) {
            return Ok(SnapshotOutcome::TooOld);
        }
        self.counters.snapshots += 1;
        self.refresh = None;
        self.feeds.on_installed();
        self.note_altered();
        self.bids = Ladder::from_snapshot(Side::Bids, &snapshot.bids, limit);
        self.asks = Ladder::from_snapshot(Side::Asks, &snapshot.asks, limit);
        self.last_update_id = Some(held);
        (self.event_time_us, self.updated_ns) = (None, None);
        // Without a time of its own, what is known of older ids stays known.
        self.base = match made {
            Some(made) => Some(DatedId {
                update_id: held,
                latest_us: made.latest_us,
            }),
            None => self.base.filter(|base| base.update_id <= held),
        };
        (self.confirmed, self.in_doubt) = (false, false);
        self.check_crossed(now_ns);
        let counted = self.counters.stale;
        let whole = self.replay(held, now_ns);
        if was_live {
            self.counters.stale = counted; // those in doubt were counted as they came
        }
        if !whole {
            return Ok(SnapshotOutcome::Gap);
        }
        if self.confirmed || live {
            self.sync(now_ns);
            return Ok(SnapshotOutcome::Synced);
        }
        self.enter(
            Status::Bridging,
            "waiting for the diff that confirms the snapshot",
            now_ns,
        );
        Ok(SnapshotOutcome::Bridging)
    }

    /// Apply the kept diffs that follow the snapshot just installed; false after a hole among them,
    /// with the diff behind the hole and all later ones kept.
    fn replay(&mut self, snapshot_id: i64, now_ns: i64) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let (mut update, mut whole) = (DepthUpdate::default(), true);
        for (diff, frame) in buffer.iter() {
            let held = self.last_update_id.unwrap_or(snapshot_id);
            let before = check_sequence(self.config.continuity, snapshot_id, diff.ids, false);
            if !whole && before != SequenceCheck::Stale {
                self.keep(diff.ids, diff.event_time_us, frame, diff.received_ns);
                continue;
            }
            match check_sequence(self.config.continuity, held, diff.ids, self.confirmed) {
                SequenceCheck::Stale => self.counters.stale += 1,
                SequenceCheck::Next => {
                    // It was read before it was kept: the same bytes are read the same way.
                    if json::frame(frame, &mut update).is_ok() {
                        self.apply(&update, diff.received_ns);
                        self.confirmed = true;
                        self.check_crossed(diff.received_ns);
                    }
                }
                SequenceCheck::Gap => {
                    self.lose_chain(held, diff.ids, now_ns);
                    self.keep(diff.ids, diff.event_time_us, frame, diff.received_ns);
                    whole = false;
                }
            }
        }
        whole
    }
}
