//! Doubt: a book that was right, and may not be any more, is stale until an update or a snapshot proves it.
//!
//! Two things raise it, both without the event loop: nothing has proven the book within its time to detect
//! while nobody judged silence, and a pause of the machine or the process. After a pause, updates that
//! waited in a socket chain although they are old, so an update proves only if the exchange made it after
//! the pause, as far as its clock is known.
//!
//! Not here: who judges and when (`router::watchdog`).

use super::{Market, Reason};
use crate::events::Cause;
use crate::message::DepthUpdate;
use crate::status::Status;

/// Updates so much older than the end of a pause still prove the book: the exchange's clock is known to
/// some error, and clocks lose up to a second in a sleep.
const MARGIN_NS: i64 = 2_000_000_000;
/// So long after a pause every update proves the book, whatever its event time says.
const WAIT_NS: i64 = 10_000_000_000;
/// The same where the exchange's clock is not known: what waited in sockets is read by then.
const BACKLOG_NS: i64 = 1_000_000_000;

/// Why a book is doubted, and what proves it.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    pub(super) reason: Reason,
    /// The end of the pause that raised it.
    paused_until_ns: Option<i64>,
}

impl Doubt {
    /// Whether an update proves the book. `made_ns`: its event time on the clock of the frames.
    fn is_over(&self, made_ns: Option<i64>, received_ns: i64) -> bool {
        let Some(until_ns) = self.paused_until_ns else {
            return true;
        };
        match made_ns {
            Some(made_ns) if made_ns >= until_ns - MARGIN_NS => true,
            Some(_) => received_ns >= until_ns + WAIT_NS,
            None => received_ns >= until_ns + BACKLOG_NS,
        }
    }
}

impl Market {
    /// Longest time without proof while the event loop does not judge silence; None: no limit.
    pub fn set_time_to_detect(&mut self, within_ns: Option<i64>) {
        self.detect_ns = within_ns;
    }

    /// Nobody judged silence for a while: whether the book was proven in time.
    pub(crate) fn judge_silence(&mut self, now_ns: i64) {
        let (Some(within_ns), Some(proven_ns)) =
            (self.detect_ns, self.confirmed_ns.max(self.updated_ns))
        else {
            return;
        };
        if self.doubt.is_none() && now_ns - proven_ns > within_ns {
            let reason = format!(
                "no update for {} s, and the event loop that judges silence stands still",
                within_ns / 1_000_000_000
            );
            self.raise_doubt(reason, now_ns, None, now_ns);
        }
    }

    /// The machine or the process paused from `since_ns` to `now_ns`.
    pub(crate) fn on_pause(&mut self, reason: &str, since_ns: i64, now_ns: i64) {
        let since_ns = match &self.doubt {
            Some(doubt) => doubt.reason.since_ns.min(since_ns),
            None => since_ns,
        };
        self.raise_doubt(reason.to_owned(), since_ns, Some(now_ns), now_ns);
    }

    fn raise_doubt(
        &mut self,
        reason: String,
        since_ns: i64,
        paused_until_ns: Option<i64>,
        now_ns: i64,
    ) {
        if self.state.status != Status::Synced {
            return;
        }
        self.refresh = None; // its snapshot was asked before
        self.doubt = Some(Box::new(Doubt {
            reason: Reason {
                text: reason,
                since_ns,
            },
            paused_until_ns,
        }));
        self.cause(Cause::Doubted, now_ns);
    }

    /// An update was applied.
    #[cold]
    pub(super) fn prove_by(&mut self, update: &DepthUpdate, received_ns: i64) {
        let made_ns = match (update.event_time_us, self.clock_offset_ns) {
            (0, _) | (_, None) => None,
            (made_us, Some(offset_ns)) => Some(made_us.saturating_mul(1_000) - offset_ns),
        };
        if self
            .doubt
            .as_ref()
            .is_some_and(|doubt| doubt.is_over(made_ns, received_ns))
        {
            self.prove(received_ns);
        }
    }

    /// There is no doubt any more.
    pub(super) fn prove(&mut self, now_ns: i64) {
        if self.doubt.take().is_some() {
            self.cause(Cause::Proven, now_ns);
        }
    }
}
