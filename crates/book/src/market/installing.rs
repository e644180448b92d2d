//! Installing a snapshot: whether it can be one of the market, and the buffered diffs after it.

use super::buffer::BufferedDiff;
use super::outcome::SnapshotOutcome;
use super::sequence::{
    LARGEST_JUMP, LARGEST_PLAUSIBLE_ID, SequenceCheck, SnapshotTime, check_sequence,
};
use super::{Market, SnapshotRefusal};
use crate::codec::json;
use crate::events::Cause;
use crate::ladder::Ladder;
use crate::message::{DepthSnapshot, DepthUpdate};
use crate::query::Side;
use crate::status::Status;

impl Market {
    /// Whether a snapshot can be one of this market.
    pub fn check(&self, snapshot: &DepthSnapshot) -> Result<(), SnapshotRefusal> {
        let symbol = self.symbol.as_deref();
        if let Some(other) = symbol.and_then(|own| snapshot.foreign_to(own)) {
            return Err(SnapshotRefusal::Symbol(other.into()));
        }
        let known = match self.state.status() {
            Status::Buffering => self.buffer.newest_id(),
            _ => self.position.update_id.filter(|_| self.position.has_diff),
        };
        let most = known.map_or(LARGEST_PLAUSIBLE_ID, |id| {
            id.saturating_add(LARGEST_JUMP).min(LARGEST_PLAUSIBLE_ID)
        });
        if snapshot.last_update_id > most {
            return Err(SnapshotRefusal::Id);
        }
        Ok(())
    }

    /// A market that has no symbol yet takes that of its first snapshot, where that names one.
    pub fn take_symbol(&mut self, snapshot: &DepthSnapshot) {
        if self.symbol.is_none() {
            self.symbol = snapshot.symbol.clone();
        }
    }

    /// Install a snapshot that was requested with `limit` (None: unknown), and the buffered diffs after it.
    ///
    /// `live`: the subscription was acknowledged, or data had arrived, before it was requested. A
    /// snapshot older than the book, or than the first buffered diff allows, is not installed. `made`: when it
    /// was made; None for the time in its body.
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
        let snapshot_id = snapshot.last_update_id;
        let was_live = self.state.is_live();
        if was_live && self.position.update_id.is_some_and(|own| snapshot_id < own) {
            if !self.timeline.has_fallen(made, self.position.updated_ns) {
                return Ok(SnapshotOutcome::TooOld);
            }
            self.reset_ids(now_ns);
        }
        self.drop_before_reset(snapshot_id, made, now_ns);
        if self.feeds.are_many() {
            self.buffer.sort();
        }
        if self.is_before_buffer(snapshot_id) {
            return Ok(SnapshotOutcome::TooOld);
        }
        self.counters.snapshots += 1;
        self.refresher.end();
        self.feeds.on_installed();
        self.followers.note_altered();
        self.bids = Ladder::from_snapshot(Side::Bids, &snapshot.bids, limit);
        self.asks = Ladder::from_snapshot(Side::Asks, &snapshot.asks, limit);
        self.depth_target.look_again();
        let snapshot_us = snapshot
            .event_time_us
            .or(snapshot.transaction_time_us)
            .or(made.map(|made| made.latest_us));
        self.position.on_installed(snapshot_id, now_ns, snapshot_us);
        self.timeline.on_installed(snapshot_id, made);
        self.check_crossed(now_ns);
        let counted = self.counters.old;
        let whole = self.replay(snapshot_id, now_ns);
        if was_live {
            self.counters.old = counted; // those in doubt were counted as they came
        }
        if !whole {
            return Ok(SnapshotOutcome::Gap);
        }
        if self.position.has_diff || live {
            self.sync(now_ns);
            self.diff_tap
                .on_snapshot(self.position.update_id.unwrap_or(snapshot_id));
            return Ok(SnapshotOutcome::Synced);
        }
        self.enter(
            Status::Bridging,
            "waiting for the update that confirms the snapshot",
            now_ns,
        );
        Ok(SnapshotOutcome::Bridging)
    }

    /// Diffs are missing between a snapshot and the first buffered diff that it does not hold.
    fn is_before_buffer(&self, snapshot_id: i64) -> bool {
        let continuity = self.config.continuity;
        let diffs = self.buffer.iter();
        let mut checks =
            diffs.map(|(diff, _)| check_sequence(continuity, snapshot_id, diff.ids, false));
        let first = checks.find(|check| *check != SequenceCheck::Old);
        first == Some(SequenceCheck::Gap)
    }

    /// Drop buffered diffs that precede a reset of the ids.
    fn drop_before_reset(&mut self, snapshot_id: i64, made: Option<SnapshotTime>, now_ns: i64) {
        let is_buffering = self.state.status() == Status::Buffering;
        let Some(made) = made.filter(|_| is_buffering) else {
            return;
        };
        let timeline = &self.timeline;
        let stays = |diff: &BufferedDiff| !timeline.precedes_reset(diff, snapshot_id, made);
        if self.buffer.retain(stays) {
            self.counters.resets += 1;
            self.events.add(Cause::Reset, now_ns);
        }
    }

    /// Apply the buffered diffs that follow the snapshot just installed; false after a hole among them,
    /// with the diff behind the hole and all later ones buffered.
    fn replay(&mut self, snapshot_id: i64, now_ns: i64) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let mut tapped = self.diff_tap.is_on().then(Vec::new);
        let (mut update, mut whole) = (DepthUpdate::default(), true);
        for (diff, frame) in buffer.iter() {
            let held = self.position.update_id.unwrap_or(snapshot_id);
            let before = check_sequence(self.config.continuity, snapshot_id, diff.ids, false);
            if !whole && before != SequenceCheck::Old {
                self.buffer_diff(diff.ids, diff.event_time_us, frame, diff.received_ns);
                continue;
            }
            match self.position.check(self.config.continuity, held, diff.ids) {
                SequenceCheck::Old => {
                    self.counters.old += 1;
                    if let Some(tapped) = &mut tapped {
                        tapped.push((diff.ids, frame));
                    }
                }
                SequenceCheck::Next => {
                    // It was read before it was buffered: the same bytes are read the same way.
                    if json::frame(frame, &mut update).is_ok() {
                        self.apply(&update, diff.received_ns);
                        self.position.has_diff = true;
                        self.check_crossed(diff.received_ns);
                        if let Some(tapped) = &mut tapped {
                            tapped.push((diff.ids, frame));
                        }
                    }
                }
                SequenceCheck::Gap => {
                    self.lose_chain(held, diff.ids, now_ns);
                    self.buffer_diff(diff.ids, diff.event_time_us, frame, diff.received_ns);
                    whole = false;
                }
            }
        }
        if let Some(tapped) = tapped {
            let held = self.position.update_id.unwrap_or(snapshot_id);
            self.diff_tap.on_replayed(&tapped, held);
        }
        whole
    }
}
