//! The connections of a market (see `lines` of the crate for the rules), and the conditions set from outside.

use super::{Market, Said};
use crate::condition::{Condition, Status};
use crate::events::Cause;
use crate::lines::Line;

impl Market {
    /// One more connection brings diffs of this market.
    pub fn add_line(&mut self, connection: u64) {
        self.lines.add(connection, self.updated_ns);
    }

    /// One brings none any more. Where the others had run ahead of it, nobody fills the hole.
    pub fn remove_line(&mut self, connection: u64) {
        if let Some(heard_ns) = self.lines.remove(connection)
            && self.state.status == Status::Synced
        {
            self.counters.gaps += 1;
            self.cause(Cause::Gap, heard_ns);
            let reason = "a gap: the connection that could have filled it is gone";
            self.enter(Status::Buffering, reason, heard_ns);
        }
    }

    /// The connections that bring diffs of this market.
    pub fn lines(&self) -> &[Line] {
        self.lines.all()
    }

    /// Whoever brings the frames stands still, or does so no longer (None).
    pub fn set_stalled(&mut self, reason: Option<&str>, now_ns: i64) {
        let was_stalled = self.stalled.is_some();
        self.stalled = reason.map(|reason| Said {
            reason: reason.to_owned(),
            since_ns: now_ns,
        });
        if was_stalled && self.stalled.is_none() {
            self.cause(Cause::Proven, now_ns);
        }
    }

    /// Lay a condition over the native state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        if let Some((held, said)) = &self.condition {
            let same = condition == Some(*held) && said.reason == reason;
            if same || *held == Condition::Closed {
                return;
            }
        }
        self.condition = condition.map(|condition| {
            (
                condition,
                Said {
                    reason: reason.to_owned(),
                    since_ns: now_ns,
                },
            )
        });
    }
}
