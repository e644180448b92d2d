//! Reading a market: what it says of itself, its levels, and constant copies.

use std::sync::Arc;

use super::Market;
use crate::condition::{NotReadable, Standing, Status};
use crate::counters::Counters;
use crate::frozen::{Facts, Frozen};
use crate::ladder::Ladder;
use crate::message::DepthUpdate;
use crate::query::{BestPair, CompleteTo, LevelRun, NumberLevel, Reading, Side};

impl Market {
    /// Ask for what an update is going to need of both sides (`far`): each step needs what the one before it
    /// asked for, and asks for many pieces at once.
    #[inline]
    pub fn fetch(&self, update: &DepthUpdate) {
        let sides = [(&self.bids, &update.bids), (&self.asks, &update.asks)];
        sides.iter().for_each(|(ladder, _)| ladder.fetch_index());
        for (ladder, levels) in sides {
            ladder.fetch_chunks(levels);
        }
        for (ladder, levels) in sides {
            ladder.fetch_slots(levels);
        }
    }

    /// A constant copy of the best `levels` of both sides (`usize::MAX` for all).
    ///
    /// Call it after `readable` said `Ok`; the copy is readable for good.
    pub fn freeze(&self, levels: usize) -> Frozen {
        self.note_asked(levels);
        let standing = self.standing();
        let facts = Facts {
            exchange: self.exchange.clone(),
            symbol: self.symbol.clone(),
            status: standing.status,
            reason: standing.reason.into(),
            since_ns: standing.since_ns,
            unconfirmed: self.unconfirmed(),
            last_update_id: self.last_update_id,
            event_time_us: self.event_time_us,
            updated_ns: self.updated_ns,
            confirmed_ns: self.confirmed_ns(),
            counters: self.counters,
        };
        Frozen::new(
            Arc::new(facts),
            self.bids.freeze(levels),
            self.asks.freeze(levels),
        )
    }

    fn side(&self, side: Side) -> &Ladder {
        match side {
            Side::Bids => &self.bids,
            Side::Asks => &self.asks,
        }
    }
}

impl Reading for Market {
    fn exchange(&self) -> &str {
        &self.exchange
    }

    fn symbol(&self) -> Option<&str> {
        self.symbol.as_deref()
    }

    fn standing(&self) -> Standing<'_> {
        let (status, said) = match (&self.condition, &self.stalled, &self.doubt) {
            (Some((condition, said)), _, _) => (condition.status(), said),
            (None, Some(said), _) => (Status::Stale, said),
            (None, None, Some(doubt)) => (Status::Stale, &doubt.said),
            (None, None, None) => self.native(),
        };
        Standing {
            status,
            reason: &said.reason,
            since_ns: said.since_ns,
        }
    }

    #[inline]
    fn readable(&self, serve_stale: bool) -> Result<(), NotReadable> {
        let last_known = serve_stale && self.last_update_id.is_some();
        let undoubted = self.condition.is_none() && self.stalled.is_none() && self.doubt.is_none();
        let current = self.state.status == Status::Synced && undoubted;
        if self.crossed.is_none() && (current || last_known) {
            return Ok(());
        }
        let Standing {
            status,
            reason,
            since_ns,
        } = self.standing();
        Err(NotReadable {
            status,
            reason: reason.to_owned(),
            since_ns,
        })
    }

    fn unconfirmed(&self) -> bool {
        self.state.status == Status::Synced && !self.confirmed
    }

    fn last_update_id(&self) -> Option<i64> {
        self.last_update_id
    }

    fn event_time_us(&self) -> Option<i64> {
        self.event_time_us
    }

    fn updated_ns(&self) -> Option<i64> {
        self.updated_ns
    }

    fn confirmed_ns(&self) -> Option<i64> {
        self.confirmed_ns.max(self.updated_ns)
    }

    fn best(&self) -> BestPair {
        let update_id = self.last_update_id.unwrap_or_default();
        BestPair {
            bid: self.bids.best(),
            ask: self.asks.best(),
            update_id,
        }
    }

    fn len(&self, side: Side) -> usize {
        self.side(side).len()
    }

    fn levels(&self, side: Side, start: usize, stop: usize) -> LevelRun {
        self.note_asked(stop);
        self.side(side).levels(start, stop)
    }

    fn walk(&self, side: Side) -> Box<dyn Iterator<Item = NumberLevel> + '_> {
        self.side(side).iter()
    }

    fn complete_to(&self, side: Side) -> CompleteTo {
        self.side(side).complete_to()
    }

    fn coverage(&self, side: Side) -> usize {
        self.side(side).coverage()
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn memory_bytes(&self) -> usize {
        let levels = self.bids.memory_bytes() + self.asks.memory_bytes();
        levels + self.buffer.memory_bytes() + size_of::<Market>()
    }
}
