//! What a market is and why: its machine state, and what is laid over it.
//!
//! The machine is empty, buffering, bridging or synced. A synced book may be crossed or doubted; stalled frames
//! and conditions from outside hide the machine state. `info` is the one answer that users see.

use super::doubt::Doubt;
use super::reason::Reason;
use crate::status::{Condition, Status, StatusInfo};

/// The state of a market, why, and since when.
#[derive(Debug)]
pub(super) struct State {
    /// The machine state, without `crossed`.
    status: Status,
    reason: Reason,
    /// The best prices touch or cross.
    crossed: Option<Reason>,
    /// The book was right and may not be any more.
    doubt: Option<Box<Doubt>>,
    /// The frame thread stalled.
    stalled: Option<Reason>,
    condition: Option<(Condition, Reason)>,
}

impl State {
    pub fn new() -> State {
        State {
            status: Status::Empty,
            reason: Reason::new("nothing has arrived yet", 0),
            crossed: None,
            doubt: None,
            stalled: None,
            condition: None,
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
        self.is_synced() && undoubted
    }

    /// Change the machine state; a repeated state keeps its time.
    pub fn enter(&mut self, status: Status, reason: &str, now_ns: i64) {
        if status != Status::Synced {
            self.doubt = None;
        }
        let since_ns = if status == self.status {
            self.reason.since_ns
        } else {
            now_ns
        };
        self.status = status;
        self.reason = Reason::new(reason, since_ns);
    }

    /// A synced book needs no reason once a diff has confirmed its snapshot.
    pub fn confirm(&mut self) {
        self.reason.text.clear();
    }

    /// The machine state as users see it: `crossed` included; doubt and everything from outside not.
    pub fn machine_state(&self) -> (Status, &Reason) {
        match &self.crossed {
            Some(reason) if self.is_synced() => (Status::Crossed, reason),
            _ => (self.status, &self.reason),
        }
    }

    /// The one status that users see.
    pub fn info(&self) -> StatusInfo<'_> {
        let (status, reason) = match (&self.condition, &self.stalled, &self.doubt) {
            (Some((condition, reason)), _, _) => (condition.status(), reason),
            (None, Some(reason), _) => (Status::Stale, reason),
            (None, None, Some(doubt)) => (Status::Stale, doubt.reason()),
            (None, None, None) => self.machine_state(),
        };
        StatusInfo {
            status,
            reason: &reason.text,
            since_ns: reason.since_ns,
        }
    }

    #[inline]
    pub fn is_crossed(&self) -> bool {
        self.crossed.is_some()
    }

    pub fn cross(&mut self, reason: String, now_ns: i64) {
        self.crossed = Some(Reason::new(reason, now_ns));
    }

    pub fn uncross(&mut self, now_ns: i64) {
        self.crossed = None;
        self.reason.since_ns = now_ns;
    }

    #[inline]
    pub fn is_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    pub fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_deref()
    }

    pub fn raise_doubt(&mut self, doubt: Doubt) {
        self.doubt = Some(Box::new(doubt));
    }

    /// Whether there was any.
    pub fn end_doubt(&mut self) -> bool {
        self.doubt.take().is_some()
    }

    /// The frame thread stalled, or goes on (None); true if it had stalled and goes on now.
    pub fn set_stalled(&mut self, reason: Option<&str>, now_ns: i64) -> bool {
        let was_stalled = self.stalled.is_some();
        self.stalled = reason.map(|reason| Reason::new(reason, now_ns));
        was_stalled && self.stalled.is_none()
    }

    /// Lay a condition over the machine state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        if let Some((held, current)) = &self.condition {
            let same = condition == Some(*held) && current.text == reason;
            if same || *held == Condition::Closed {
                return;
            }
        }
        self.condition = condition.map(|condition| (condition, Reason::new(reason, now_ns)));
    }
}
