//! Doubt: a book that was right, and may not be any more, is stale until an update or a snapshot proves it.
//!
//! Two things raise it, both without the event loop: nothing has proven the book within its time to detect
//! while nothing judged silence, and a pause of the machine or the process. After a pause, updates that
//! waited in a socket chain although they are old, so an update proves only if the exchange made it after
//! the pause, as far as its clock is known.
//!
//! Not here: what judges and when (`router::watchdog`).

/// Updates so much older than the end of a pause still prove the book: the exchange's clock is known to
/// some error, and clocks lose up to a second in a sleep.
const MARGIN_NS: i64 = 2_000_000_000;
/// So long after a pause every update proves the book, regardless of its event time.
const WAIT_NS: i64 = 10_000_000_000;
/// The same where the exchange's clock is not known: what waited in sockets is read by then.
const BACKLOG_NS: i64 = 1_000_000_000;

/// Why a book is doubted, and what proves it.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    reason: String,
    /// The end of the pause that raised it.
    paused_until_ns: Option<i64>,
}

impl Doubt {
    /// Of a book that nothing has proven for too long.
    pub fn of_silence(limit_ns: i64) -> Doubt {
        let reason = format!(
            "no update for {} s while the event loop is blocked",
            limit_ns / 1_000_000_000
        );
        Doubt {
            reason,
            paused_until_ns: None,
        }
    }

    /// Of a book whose machine or process paused until `now_ns`.
    pub fn of_pause(reason: &str, now_ns: i64) -> Doubt {
        Doubt {
            reason: reason.to_owned(),
            paused_until_ns: Some(now_ns),
        }
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether an update proves the book. `made_ns`: its event time on the clock of the frames.
    pub fn is_over(&self, made_ns: Option<i64>, received_ns: i64) -> bool {
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
