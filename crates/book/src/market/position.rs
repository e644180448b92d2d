//! The position of a book in the chain of update ids, and how new it is.

use super::sequence::{Continuity, Ids, SequenceCheck, check_sequence};
use crate::message::DepthUpdate;

/// The id a book holds, and its times.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// `u` of the last applied diff, else the snapshot's id; None before a snapshot.
    pub update_id: Option<i64>,
    /// A diff was applied since the snapshot.
    pub has_diff: bool,
    /// `E` of the last applied diff.
    pub event_time_us: Option<i64>,
    /// When the last applied diff was received.
    pub updated_ns: Option<i64>,
    /// When a snapshot last proved the book: it was installed, or compared with the book.
    pub compared_ns: Option<i64>,
    /// When the snapshot was received of which the book is made.
    installed_ns: Option<i64>,
    /// When it was made, on the exchange's clock; None where that is unknown.
    snapshot_us: Option<i64>,
}

impl Position {
    /// What a diff is to a book that holds `update_id`.
    #[inline]
    pub fn check(&self, continuity: Continuity, update_id: i64, ids: Ids) -> SequenceCheck {
        check_sequence(continuity, update_id, ids, self.has_diff)
    }

    /// A diff was applied.
    #[inline]
    pub fn on_applied(&mut self, update: &DepthUpdate, received_ns: i64) {
        self.update_id = Some(update.final_update_id);
        self.updated_ns = Some(received_ns);
        self.event_time_us = (update.event_time_us != 0).then_some(update.event_time_us);
    }

    /// A snapshot replaced the book.
    pub fn on_installed(&mut self, update_id: i64, now_ns: i64, snapshot_us: Option<i64>) {
        self.update_id = Some(update_id);
        (self.event_time_us, self.updated_ns) = (None, None);
        (self.installed_ns, self.snapshot_us) = (Some(now_ns), snapshot_us);
        self.has_diff = false;
    }

    /// The snapshot that is held was made then, unless it has a time of its own.
    pub fn date_snapshot(&mut self, made_us: i64) {
        self.snapshot_us.get_or_insert(made_us);
    }

    /// When what the book is was received: the last applied diff, or the snapshot before one.
    pub fn received_ns(&self) -> Option<i64> {
        self.updated_ns.or(self.installed_ns)
    }

    /// When the exchange made it, on its clock; None where that is unknown.
    pub fn made_us(&self) -> Option<i64> {
        match self.updated_ns {
            Some(_) => self.event_time_us,
            None => self.snapshot_us,
        }
    }

    /// When the last applied diff was received, and its event time; None before one.
    pub fn last_diff(&self) -> Option<(i64, Option<i64>)> {
        Some((self.updated_ns?, self.event_time_us))
    }

    /// When the book was last proven, by an applied diff or by a snapshot.
    pub fn proven_ns(&self) -> Option<i64> {
        self.compared_ns.max(self.updated_ns)
    }

    /// The id of the snapshot that is held, while no diff has followed it.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.update_id.filter(|_| !self.has_diff)
    }
}
