//! A relayed market: its diffs come from a book server, which also says in the same stream what its own book is.
//!
//! Theory of operation. A relayed book is never synced unless a server says, in order with the diffs, that its own book
//! is. A state has the id up to which diffs were sent before it: a book that is behind has missed some. After a new
//! connection the book continues from its id; a first state below that id, or one of another generation of the same
//! server's book, shows that the diffs do not continue it. While another connection's server holds a synced book,
//! neither counts, because that server's diffs do; only a later generation counts.
//!
//! The reference is `src/depthcache/reference/relay.py`.

use super::Market;
use crate::codec::json::BookState;
use crate::events::Cause;
use crate::foreign_text;
use crate::status::{Condition, Status};

/// What the servers of a market say; nothing for a market of the exchange.
#[derive(Debug, Default)]
pub(super) struct Relay(Option<Box<Reports>>);

#[derive(Debug, Default)]
struct Reports {
    reports: Vec<Report>,
    /// The server and generation of the book that is held.
    origin: Option<(String, i64)>,
}

/// What the server of one connection said last.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    connection: u64,
    /// Stale for an unknown word.
    status: Status,
    reason: String,
    /// Its server and generation.
    origin: (String, i64),
}

impl Report {
    fn is_synced(&self) -> bool {
        self.status == Status::Synced
    }

    fn condition(&self) -> Condition {
        match self.status {
            Status::Halted => Condition::Halted,
            _ => Condition::Stale,
        }
    }
}

/// Most characters of what a server says.
const MOST_OF_REASON: usize = 300;

const WAITING: &str = "waiting for the state of the server's book";

impl Reports {
    fn is_led_by_another(&self, connection: u64) -> bool {
        let mut others = self.reports.iter();
        others.any(|report| report.connection != connection && report.is_synced())
    }

    /// Whether the server of the held book rebuilt it: no other connection continues the new one.
    fn is_of_later_generation(&self, (server, generation): &(String, i64)) -> bool {
        let held = self.origin.as_ref();
        held.is_some_and(|(held, before)| held == server && before < generation)
    }

    /// The report of the best status.
    fn best(&self) -> Option<&Report> {
        self.reports.iter().min_by_key(|report| report.status)
    }

    /// What hides the book; None where a server's book is synced.
    fn condition(&self) -> Option<(Condition, String)> {
        match self.best() {
            None => Some((Condition::Stale, WAITING.to_owned())),
            Some(best) if best.is_synced() => None,
            Some(best) => Some((best.condition(), best.reason.clone())),
        }
    }
}

impl Market {
    /// Its diffs come from book servers from now on; this cannot be undone.
    pub fn relay(&mut self, now_ns: i64) {
        self.relay.0.get_or_insert_default();
        self.show_relay(now_ns);
    }

    /// Whether its diffs come from book servers.
    pub fn is_relayed(&self) -> bool {
        self.relay.0.is_some()
    }

    /// The status of the servers' book and the server's reason; None before a server has said it.
    pub fn upstream(&self) -> Option<(Status, String)> {
        let best = self.relay.0.as_ref()?.best()?;
        Some((best.status, best.reason.clone()))
    }

    /// The server of a connection says what its book is. `name`: how users know the server.
    pub fn on_book_state(&mut self, connection: u64, name: &str, said: BookState, at_ns: i64) {
        let Some(relay) = &mut self.relay.0 else {
            return;
        };
        let status = Status::parse(&said.status).unwrap_or(Status::Stale);
        let mut words = said.status;
        if !said.reason.is_empty() {
            words = format!("{words}: {}", said.reason);
        }
        let words: String = foreign_text::printable(&words)
            .chars()
            .take(MOST_OF_REASON)
            .collect();
        let reason = format!("{name}: {words}");
        let before = relay
            .reports
            .iter()
            .find(|report| report.connection == connection);
        let was_synced = before.is_some_and(Report::is_synced);
        let is_led = relay.is_led_by_another(connection);
        let report = Report {
            connection,
            status,
            reason,
            origin: (said.server, said.generation),
        };
        let is_synced = report.is_synced();
        if before != Some(&report) {
            self.events.add(Cause::Upstream, at_ns);
        }
        let origin = report.origin.clone();
        relay
            .reports
            .retain(|report| report.connection != connection);
        relay.reports.push(report);
        let is_later = relay.is_of_later_generation(&origin);
        if is_synced && (is_later || !is_led) {
            let other = relay.origin.replace(origin.clone());
            let is_rebuilt = other
                .is_some_and(|(server, generation)| server == origin.0 && generation != origin.1);
            self.check_relayed(name, said.update_id, is_rebuilt, was_synced, at_ns);
        }
        self.show_relay(at_ns);
    }

    /// Require a snapshot unless the diffs of a server with a synced book continue the held book.
    fn check_relayed(
        &mut self,
        name: &str,
        reached: Option<i64>,
        is_rebuilt: bool,
        was_synced: bool,
        at_ns: i64,
    ) {
        let Some(held) = self.position.update_id.filter(|_| self.state.is_live()) else {
            return;
        };
        let reached = reached.unwrap_or(held);
        let gap = if is_rebuilt {
            format!("{name}: its book was rebuilt")
        } else if reached > held {
            format!("{name}: updates are missing: the book is at {held}, the server's at {reached}")
        } else if reached < held && !was_synced {
            format!("{name}: the server's book is at {reached}, below {held} of this one")
        } else {
            return;
        };
        self.lose_sync(&gap, at_ns);
    }

    /// A connection is gone.
    pub(super) fn forget_relay(&mut self, connection: u64, at_ns: i64) {
        if let Some(relay) = &mut self.relay.0 {
            relay
                .reports
                .retain(|report| report.connection != connection);
            self.show_relay(at_ns);
        }
    }

    fn show_relay(&mut self, at_ns: i64) {
        if let Some(relay) = &self.relay.0 {
            self.state.set_upstream(relay.condition(), at_ns);
        }
    }
}
