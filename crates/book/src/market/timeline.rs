//! The order in time: which diffs are backlog, where ids were reset, and how late updates arrive. The theory
//! is in `src/depthcache/reference/timeline.py` and `sequence.py`.

use super::buffer::BufferedDiff;
use super::delays::Delays;
use super::position::Position;
use super::sequence::{DatedId, Ids, RESET_AFTER_US, SnapshotTime};
use crate::message::DepthUpdate;

/// When a book held what, by the exchange's clock as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// What the book held when: the snapshot, then the last applied diff that has a time.
    base: Option<DatedId>,
    /// Old diffs came that may be backlog or not; they are kept, the next snapshot decides.
    in_doubt: bool,
    /// When the newest diff that was kept, or is backlog, was received, and its event time.
    unapplied: Option<(i64, i64)>,
    /// From the clock of the frames to the exchange's, in nanoseconds; None while it is not known.
    clock_offset_ns: Option<i64>,
    delays: Delays,
}

impl Timeline {
    /// A diff was applied.
    #[inline]
    pub fn on_applied(&mut self, update: &DepthUpdate, received_ns: i64) {
        if update.event_time_us != 0 {
            self.base = Some(DatedId {
                update_id: update.final_update_id,
                latest_us: update.event_time_us,
            });
            if let Some(offset_ns) = self.clock_offset_ns {
                let arrived_us = (received_ns + offset_ns) / 1_000;
                self.delays.record(arrived_us - update.event_time_us);
            }
        }
    }

    /// A diff was kept, or is backlog.
    pub fn on_unapplied(&mut self, event_time_us: i64, received_ns: i64) {
        if event_time_us != 0 {
            self.unapplied = Some((received_ns, event_time_us));
        }
    }

    /// An old diff came that may be backlog or the first of new ids.
    pub fn on_undecided(&mut self) {
        self.in_doubt = true;
    }

    /// The book is confirmed: what was undecided is backlog.
    pub fn on_confirmed(&mut self) {
        self.in_doubt = false;
    }

    /// A snapshot was installed. Without a time of its own, what is known of older ids stays known.
    pub fn on_installed(&mut self, update_id: i64, made: Option<SnapshotTime>) {
        self.base = match made {
            Some(made) => Some(DatedId {
                update_id,
                latest_us: made.latest_us,
            }),
            None => self.base.filter(|base| base.update_id <= update_id),
        };
        self.in_doubt = false;
    }

    /// The installed snapshot was made between these times: known only now.
    pub fn date_snapshot(&mut self, update_id: i64, made: SnapshotTime) {
        if self.base.is_none_or(|base| base.update_id < update_id) {
            self.on_installed(update_id, Some(made));
        }
    }

    /// The exchange reset its update ids: nothing is known of the new ones.
    pub fn on_reset(&mut self) {
        (self.base, self.in_doubt) = (None, false);
    }

    pub fn set_clock_offset(&mut self, offset_ns: Option<i64>) {
        self.clock_offset_ns = offset_ns;
    }

    pub fn delays(&self) -> Delays {
        self.delays
    }

    /// When the ids up to a diff's were there, at the latest.
    pub fn base_us_of(
        &self,
        ids: Ids,
        update: &DepthUpdate,
        received_ns: i64,
        has_diff: bool,
    ) -> Option<i64> {
        let base = self.base.filter(|base| ids.last <= base.update_id)?;
        // Where it came before it was made, its clock is not that of the snapshot's time.
        let is_early =
            |latest_us: i64| update.event_time_us > latest_us.saturating_add(RESET_AFTER_US);
        if !has_diff && self.latest_us(Some(received_ns)).is_some_and(is_early) {
            return None;
        }
        Some(base.latest_us)
    }

    /// Whether a snapshot with a lower id than the held one means that ids were reset.
    pub fn has_fallen(&self, made: Option<SnapshotTime>, updated_ns: Option<i64>) -> bool {
        let is_younger = |(made, base): (SnapshotTime, DatedId)| {
            made.is_after(self.by_receipt(base, updated_ns))
        };
        self.in_doubt || made.zip(self.base).is_some_and(is_younger)
    }

    /// Whether a buffered diff precedes a reset of the ids: its id is higher than that of a snapshot that
    /// was made clearly after it.
    pub fn precedes_reset(
        &self,
        diff: &BufferedDiff,
        snapshot_id: i64,
        made: SnapshotTime,
    ) -> bool {
        let held = DatedId {
            update_id: diff.ids.last,
            latest_us: diff.event_time_us,
        };
        diff.event_time_us != 0
            && diff.ids.last > snapshot_id
            && made.is_after(self.by_receipt(held, Some(diff.received_ns)))
    }

    /// When the newest diff was received that was applied, kept, or is backlog, and its event time.
    pub fn heard(&self, position: &Position) -> Option<(i64, Option<i64>)> {
        match (position.updated_ns, self.unapplied) {
            (Some(updated_ns), Some((at_ns, _))) if updated_ns >= at_ns => {
                Some((updated_ns, position.event_time_us))
            }
            (_, Some((at_ns, event_time_us))) => Some((at_ns, Some(event_time_us))),
            (updated_ns, None) => Some((updated_ns?, position.event_time_us)),
        }
    }

    /// How late that diff was; None while the exchange's clock or its event time is not known.
    pub fn late_us(&self, position: &Position) -> Option<i64> {
        let (at_ns, event_time_us) = self.heard(position)?;
        Some(self.latest_us(Some(at_ns))? - event_time_us?)
    }

    /// When an update was made, on the clock of the frames; None while that is not known.
    pub fn made_ns(&self, update: &DepthUpdate) -> Option<i64> {
        match (update.event_time_us, self.clock_offset_ns) {
            (0, _) | (_, None) => None,
            (made_us, Some(offset_ns)) => Some(made_us.saturating_mul(1_000) - offset_ns),
        }
    }

    /// When what was received then was made, at the latest; None while the exchange's clock is not known.
    fn latest_us(&self, received_ns: Option<i64>) -> Option<i64> {
        let arrived_ns = received_ns?.saturating_add(self.clock_offset_ns?);
        Some(arrived_ns.div_euclid(1_000))
    }

    /// What was held at which time, by its receipt where that is known and later: it was there by then,
    /// even if the clock of the event times is off.
    fn by_receipt(&self, held: DatedId, received_ns: Option<i64>) -> DatedId {
        let latest_us = self.latest_us(received_ns);
        DatedId {
            latest_us: latest_us.map_or(held.latest_us, |us| us.max(held.latest_us)),
            ..held
        }
    }
}
