//! Where a book stands in the chain of update ids, and how new it is.

use super::sequence::{Continuity, Ids, SequenceCheck, check_sequence};
use crate::message::DepthUpdate;

/// The id a book holds, and its times.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// `u` of the last applied diff, else the snapshot's id; None before a snapshot.
    pub update_id: Option<i64>,
    /// A diff was applied since the snapshot.
    pub confirmed: bool,
    /// `E` of the last applied diff.
    pub event_time_us: Option<i64>,
    /// When the last applied diff was received.
    pub updated_ns: Option<i64>,
    /// When a snapshot last proved the book.
    pub confirmed_ns: Option<i64>,
}

impl Position {
    /// What a diff is to a book that holds `update_id`.
    #[inline]
    pub fn check(&self, continuity: Continuity, update_id: i64, ids: Ids) -> SequenceCheck {
        check_sequence(continuity, update_id, ids, self.confirmed)
    }

    /// A diff was applied.
    #[inline]
    pub fn on_applied(&mut self, update: &DepthUpdate, received_ns: i64) {
        self.update_id = Some(update.final_update_id);
        self.updated_ns = Some(received_ns);
        self.event_time_us = (update.event_time_us != 0).then_some(update.event_time_us);
    }

    /// A snapshot replaced the book.
    pub fn on_installed(&mut self, update_id: i64) {
        self.update_id = Some(update_id);
        (self.event_time_us, self.updated_ns) = (None, None);
        self.confirmed = false;
    }

    /// When the book was last proven, by an applied diff or by a snapshot.
    pub fn proven_ns(&self) -> Option<i64> {
        self.confirmed_ns.max(self.updated_ns)
    }

    /// The id of the snapshot that is held, while no diff has followed it.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.update_id.filter(|_| !self.confirmed)
    }
}
