//! What a market is and why: its machine state, and what is laid over it.
//!
//! The machine is empty, buffering, bridging or synced. A synced book may be crossed or doubted; stalled frames
//! and conditions from outside hide the machine state. `info` is the one answer that users see, since that
//! status began, whatever has changed beneath it.

use super::doubt::Doubt;
use crate::status::{Condition, Status, StatusInfo};

/// The state of a market, why, and since when users see it.
#[derive(Debug)]
pub(super) struct State {
    /// The machine state, without `crossed`.
    status: Status,
    reason: String,
    /// The best prices touch or cross.
    crossed: Option<String>,
    /// The book was right and may not be any more.
    doubt: Option<Box<Doubt>>,
    /// The frame thread stalled.
    stalled: Option<String>,
    condition: Option<(Condition, String)>,
    /// What the book server says of its own book.
    upstream: Option<(Condition, String)>,
    /// The status that users see, and when it began.
    shown: Status,
    since_ns: i64,
}

impl State {
    /// Nothing is known of a market that was added at `now_ns`.
    pub fn new(now_ns: i64) -> State {
        State {
            status: Status::Empty,
            reason: "nothing has arrived yet".to_owned(),
            crossed: None,
            doubt: None,
            stalled: None,
            condition: None,
            upstream: None,
            shown: Status::Empty,
            since_ns: now_ns,
        }
    }

    /// The machine state: empty, buffering, bridging or synced.
    #[inline]
    pub fn status(&self) -> Status {
        self.status
    }

    #[inline]
    pub fn is_synced(&self) -> bool {
        self.status == Status::Synced
    }

    /// The book follows the diffs: bridging or synced.
    pub fn is_live(&self) -> bool {
        matches!(self.status, Status::Bridging | Status::Synced)
    }

    /// Synced, and nothing from outside is laid over it.
    #[inline]
    pub fn is_current(&self) -> bool {
        let undoubted = self.condition.is_none() && self.stalled.is_none() && self.doubt.is_none();
        self.is_synced() && undoubted && self.upstream.is_none()
    }

    /// Change the machine state.
    pub fn enter(&mut self, status: Status, reason: &str, now_ns: i64) {
        if status != Status::Synced {
            self.doubt = None;
        }
        self.status = status;
        reason.clone_into(&mut self.reason);
        self.note_shown(now_ns);
    }

    /// After every change: a status that users did not see before begins now, never before the previous one.
    fn note_shown(&mut self, now_ns: i64) {
        let (status, _) = self.seen();
        if status != self.shown {
            self.shown = status;
            self.since_ns = self.since_ns.max(now_ns);
        }
    }

    /// A synced book needs no reason once a diff has confirmed its snapshot.
    pub fn confirm(&mut self) {
        self.reason.clear();
    }

    /// The machine state as users see it: `crossed` included; doubt and everything from outside not.
    pub fn machine_state(&self) -> (Status, &str) {
        match &self.crossed {
            Some(reason) if self.is_synced() => (Status::Crossed, reason),
            _ => (self.status, &self.reason),
        }
    }

    /// The one status that users see.
    pub fn info(&self) -> StatusInfo<'_> {
        let (status, reason) = self.seen();
        StatusInfo {
            status,
            reason,
            since_ns: self.since_ns,
        }
    }

    /// The worse of the machine state and what is laid over it.
    fn seen(&self) -> (Status, &str) {
        match (&self.condition, &self.stalled, &self.doubt) {
            (Some((condition, reason)), _, _) => (condition.status(), reason.as_str()),
            (None, Some(reason), _) => (Status::Stale, reason.as_str()),
            (None, None, doubt) => match (&self.upstream, doubt) {
                (Some((condition, reason)), _) => (condition.status(), reason.as_str()),
                (None, Some(doubt)) => (Status::Stale, doubt.reason()),
                (None, None) => self.machine_state(),
            },
        }
    }

    #[inline]
    pub fn is_crossed(&self) -> bool {
        self.crossed.is_some()
    }

    pub fn cross(&mut self, reason: String, now_ns: i64) {
        self.crossed = Some(reason);
        self.note_shown(now_ns);
    }

    pub fn uncross(&mut self, now_ns: i64) {
        self.crossed = None;
        self.note_shown(now_ns);
    }

    #[inline]
    pub fn is_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    pub fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_deref()
    }

    /// The book may have been wrong since `since_ns`.
    pub fn raise_doubt(&mut self, doubt: Doubt, since_ns: i64) {
        self.doubt = Some(Box::new(doubt));
        self.note_shown(since_ns);
    }

    /// Whether there was any.
    pub fn end_doubt(&mut self, now_ns: i64) -> bool {
        let was_doubted = self.doubt.take().is_some();
        self.note_shown(now_ns);
        was_doubted
    }

    /// The frame thread stalled, or goes on (None); true if it had stalled and goes on now.
    pub fn set_stalled(&mut self, reason: Option<&str>, now_ns: i64) -> bool {
        let was_stalled = self.stalled.is_some();
        self.stalled = reason.map(str::to_owned);
        self.note_shown(now_ns);
        was_stalled && self.stalled.is_none()
    }

    /// The book server's state hides the book, or no longer does (None).
    pub fn set_upstream(&mut self, hides: Option<(Condition, String)>, now_ns: i64) {
        self.upstream = hides;
        self.note_shown(now_ns);
    }

    /// Lay a condition over the machine state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        if matches!(self.condition, Some((Condition::Closed, _))) {
            return;
        }
        self.condition = condition.map(|condition| (condition, reason.to_owned()));
        self.note_shown(now_ns);
    }
}
