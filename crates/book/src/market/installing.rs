//! Taking a snapshot, and the kept diffs after it.

use super::{Market, Refused};
use crate::condition::Status;
use crate::ladder::Ladder;
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::outcome::SnapshotOutcome;
use crate::query::Side;
use crate::scan;
use crate::sequence::{Held, Ids, SnapshotTime, Verdict, judge};

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
    ) -> Result<SnapshotOutcome, Refused> {
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
        if self.lines.are_many() {
            self.buffer.sort();
        }
        let verdict = |ids: Ids| judge(self.terms.continuity, held, ids, false);
        let first = self
            .buffer
            .iter()
            .map(|(kept, _)| verdict(kept.ids))
            .find(|found| *found != Verdict::Stale);
        if first == Some(Verdict::Gap) {
            return Ok(SnapshotOutcome::TooOld);
        }
        self.counters.snapshots += 1;
        self.refresh = None;
        self.lines.on_installed();
        self.note_altered();
        self.bids = Ladder::from_snapshot(Side::Bids, &snapshot.bids, limit);
        self.asks = Ladder::from_snapshot(Side::Asks, &snapshot.asks, limit);
        self.last_update_id = Some(held);
        (self.event_time_us, self.updated_ns) = (None, None);
        // Without a time of its own, what is known of older ids stays known.
        self.base = match made {
            Some(made) => Some(Held {
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
        for (kept, frame) in buffer.iter() {
            let held = self.last_update_id.unwrap_or(snapshot_id);
            let before = judge(self.terms.continuity, snapshot_id, kept.ids, false);
            if !whole && before != Verdict::Stale {
                self.keep(kept.ids, kept.event_time_us, frame, kept.received_ns);
                continue;
            }
            match judge(self.terms.continuity, held, kept.ids, self.confirmed) {
                Verdict::Stale => self.counters.stale += 1,
                Verdict::Next => {
                    // It was read before it was kept: the same bytes are read the same way.
                    if scan::frame(frame, &mut update).is_ok() {
                        self.apply(&update, kept.received_ns);
                        self.confirmed = true;
                        self.check_crossed(kept.received_ns);
                    }
                }
                Verdict::Gap => {
                    self.lose_chain(held, kept.ids, now_ns);
                    self.keep(kept.ids, kept.event_time_us, frame, kept.received_ns);
                    whole = false;
                }
            }
        }
        whole
    }
}
