//! The order in time: what is backlog, and where ids began anew. The theory stands in
//! `src/depthcache/reference/market.py` and `sequence.py`.

use super::{Market, SnapshotRefusal};
use crate::events::Cause;
use crate::market::buffer::BufferedDiff;
use crate::market::sequence::{
    DatedId, Ids, LARGEST_JUMP, LARGEST_PLAUSIBLE_ID, RESET_AFTER_US, SnapshotTime,
};
use crate::message::DepthSnapshot;
use crate::status::Status;

impl Market {
    /// Whether a snapshot can be one of this market.
    pub fn check(&self, snapshot: &DepthSnapshot) -> Result<(), SnapshotRefusal> {
        let symbol = self.symbol.as_deref();
        if let Some(other) = symbol.and_then(|own| snapshot.foreign_to(own)) {
            return Err(SnapshotRefusal::Symbol(other.into()));
        }
        let known = match self.state.status {
            Status::Buffering => self.buffer.newest_id(),
            _ => self.last_update_id.filter(|_| self.confirmed),
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

    /// The snapshot that is held, and no diff after it, was made between these times: known only now.
    pub fn date_snapshot(&mut self, made: SnapshotTime) {
        if let (false, Some(update_id)) = (self.confirmed, self.last_update_id)
            && self.base.is_none_or(|base| base.update_id < update_id)
        {
            self.base = Some(DatedId {
                update_id,
                latest_us: made.latest_us,
            });
            self.in_doubt = false;
        }
    }

    /// When the newest diff was received that was applied, kept, or is backlog, and its event time.
    pub fn heard(&self) -> Option<(i64, Option<i64>)> {
        match (self.updated_ns, self.unapplied) {
            (Some(updated_ns), Some((at_ns, _))) if updated_ns >= at_ns => {
                Some((updated_ns, self.event_time_us))
            }
            (_, Some((at_ns, event_time_us))) => Some((at_ns, Some(event_time_us))),
            (updated_ns, None) => Some((updated_ns?, self.event_time_us)),
        }
    }

    /// How late that diff was; None while the exchange's clock or its event time is not known.
    pub fn late_us(&self) -> Option<i64> {
        let (at_ns, event_time_us) = self.heard()?;
        let arrived_ns = at_ns.saturating_add(self.clock_offset_ns?);
        Some(arrived_ns.div_euclid(1_000) - event_time_us?)
    }

    /// When the ids up to a diff's were there, at the latest.
    pub(super) fn base_us_of(&self, ids: Ids, event_time_us: i64, received_ns: i64) -> Option<i64> {
        let base = self.base.filter(|base| ids.last <= base.update_id)?;
        // Where it came before it was made, its clock is not that of the snapshot's time.
        let is_early = |latest_us: i64| event_time_us > latest_us.saturating_add(RESET_AFTER_US);
        if !self.confirmed && self.latest_us(Some(received_ns)).is_some_and(is_early) {
            return None;
        }
        Some(base.latest_us)
    }

    /// When what was received then was made, at the latest; None while the exchange's clock is not known.
    fn latest_us(&self, received_ns: Option<i64>) -> Option<i64> {
        let arrived_ns = received_ns?.saturating_add(self.clock_offset_ns?);
        Some(arrived_ns.div_euclid(1_000))
    }

    /// What was held at which time, by its receipt where that is known and later: it was there by then,
    /// whatever the clock of the event times.
    fn by_receipt(&self, held: DatedId, received_ns: Option<i64>) -> DatedId {
        let latest_us = self.latest_us(received_ns);
        DatedId {
            latest_us: latest_us.map_or(held.latest_us, |us| us.max(held.latest_us)),
            ..held
        }
    }

    /// Nothing tells whether a stale diff is backlog: the next snapshot decides, and may need it.
    pub(super) fn doubt(&mut self, ids: Ids, event_time_us: i64, frame: &[u8], received_ns: i64) {
        self.in_doubt = true;
        if self.buffer.is_full(frame.len(), self.config.buffer_bytes) {
            self.buffer.clear();
        }
        self.buffer.push(ids, event_time_us, frame, received_ns);
    }

    /// Whether a snapshot with a lower id than the held one means that ids began anew.
    pub(super) fn has_fallen(&self, made: Option<SnapshotTime>) -> bool {
        let is_younger = |(made, base): (SnapshotTime, DatedId)| {
            made.is_after(self.by_receipt(base, self.updated_ns))
        };
        self.in_doubt || made.zip(self.base).is_some_and(is_younger)
    }

    #[cold]
    pub(super) fn begin_anew(&mut self, now_ns: i64) {
        (self.base, self.in_doubt) = (None, false);
        self.counters.resets += 1;
        self.cause(Cause::Reset, now_ns);
        self.enter(
            Status::Buffering,
            "the exchange's update ids began anew",
            now_ns,
        );
    }

    /// Kept diffs with higher ids than a snapshot that was made clearly after them are of before ids began
    /// anew.
    pub(super) fn drop_of_before(
        &mut self,
        snapshot_id: i64,
        made: Option<SnapshotTime>,
        now_ns: i64,
    ) {
        let Some(made) = made.filter(|_| self.state.status == Status::Buffering) else {
            return;
        };
        let is_of_before = |diff: &BufferedDiff| {
            let held = DatedId {
                update_id: diff.ids.last,
                latest_us: diff.event_time_us,
            };
            diff.event_time_us != 0
                && diff.ids.last > snapshot_id
                && made.is_after(self.by_receipt(held, Some(diff.received_ns)))
        };
        if self.buffer.iter().any(|(diff, _)| is_of_before(diff)) {
            let mut buffer = self.buffer.clone();
            buffer.retain(|diff| !is_of_before(diff));
            self.buffer = buffer;
            self.counters.resets += 1;
            self.cause(Cause::Reset, now_ns);
        }
    }
}
