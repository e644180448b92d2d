//! The connections of a market (see `arbitration` for the rules), and the conditions set from outside.

use super::{Market, Reason};
use crate::events::Cause;
use crate::market::arbitration::Feed;
use crate::status::{Condition, Status};

impl Market {
    /// One more connection brings diffs of this market.
    pub fn add_feed(&mut self, connection: u64) {
        self.feeds.add(connection, self.updated_ns);
    }

    /// One brings none any more. Where the others had run ahead of it, nobody fills the hole.
    pub fn remove_feed(&mut self, connection: u64) {
        if let Some(heard_ns) = self.feeds.remove(connection)
            && self.state.status == Status::Synced
        {
            self.counters.gaps += 1;
            self.cause(Cause::Gap, heard_ns);
            let reason = "a gap: the connection that could have filled it is gone";
            self.enter(Status::Buffering, reason, heard_ns);
        }
    }

    /// The connections that bring diffs of this market.
    pub fn feeds(&self) -> &[Feed] {
        self.feeds.all()
    }

    /// Whoever brings the frames stands still, or does so no longer (None).
    pub fn set_stalled(&mut self, reason: Option<&str>, now_ns: i64) {
        let was_stalled = self.stalled.is_some();
        self.stalled = reason.map(|reason| Reason {
            text: reason.to_owned(),
            since_ns: now_ns,
        });
        if was_stalled && self.stalled.is_none() {
            self.cause(Cause::Proven, now_ns);
        }
    }

    /// Lay a condition over the native state, or take it away; `Closed` is final.
    pub fn set_condition(&mut self, condition: Option<Condition>, reason: &str, now_ns: i64) {
        if let Some((held, current)) = &self.condition {
            let same = condition == Some(*held) && current.text == reason;
            if same || *held == Condition::Closed {
                return;
            }
        }
        self.condition = condition.map(|condition| {
            (
                condition,
                Reason {
                    text: reason.to_owned(),
                    since_ns: now_ns,
                },
            )
        });
    }
}
