//! Reading a market: what it says of itself, its levels, and constant copies.

use super::Market;
use crate::counters::Counters;
use crate::frozen::{Frozen, FrozenHeader};
use crate::ladder::Ladder;
use crate::message::DepthUpdate;
use crate::query::floats::Floats;
use crate::query::{BestPair, CompleteTo, LevelRun, NumberLevel, Reading, Side};
use crate::status::{NotReadable, StatusInfo};
use crate::timebase::WallOffset;

impl Market {
    /// Prefetch what an update is going to need of both sides (`prefetch`): each step needs what the one before it
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
        self.depth_target.note_request(levels);
        self.copy(levels)
    }

    /// The same for a reader whose wish is not to deepen the book.
    pub fn copy(&self, levels: usize) -> Frozen {
        let info = self.status_info();
        let header = FrozenHeader {
            exchange: self.exchange.clone(),
            symbol: self.symbol.clone(),
            inverse: self.config.inverse,
            status: info.status,
            reason: info.reason.into(),
            since_ns: info.since_ns,
            unconfirmed: self.unconfirmed(),
            last_update_id: self.position.update_id,
            event_time_us: self.event_time_us(),
            updated_ns: self.updated_ns(),
            confirmed_ns: self.position.proven_ns(),
            wall_offset_ns: WallOffset(self.wall_offset_ns()),
            counters: self.counters,
        };
        Frozen::new(header, self.bids.freeze(levels), self.asks.freeze(levels))
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

    fn inverse(&self) -> bool {
        self.config.inverse
    }

    fn status_info(&self) -> StatusInfo<'_> {
        self.state.info()
    }

    #[inline]
    fn readable(&self, serve_stale: bool) -> Result<(), NotReadable> {
        let last_known = serve_stale && self.position.update_id.is_some();
        if !self.state.is_crossed() && (self.state.is_current() || last_known) {
            return Ok(());
        }
        let StatusInfo {
            status,
            reason,
            since_ns,
        } = self.status_info();
        Err(NotReadable {
            status,
            reason: reason.to_owned(),
            since_ns,
        })
    }

    fn unconfirmed(&self) -> bool {
        self.state.is_synced() && !self.position.has_diff
    }

    fn last_update_id(&self) -> Option<i64> {
        self.position.update_id
    }

    fn event_time_us(&self) -> Option<i64> {
        self.position.made_us().or_else(|| {
            Some((self.updated_ns()?.saturating_add(self.wall_offset_ns()?)).div_euclid(1_000))
        })
    }

    fn updated_ns(&self) -> Option<i64> {
        self.position.received_ns()
    }

    fn wall_offset_ns(&self) -> Option<i64> {
        self.timebase.as_ref()?.wall_offset_ns()
    }

    fn confirmed_ns(&self) -> Option<i64> {
        self.position.proven_ns()
    }

    #[inline]
    fn best(&self) -> BestPair {
        let update_id = self.position.update_id.unwrap_or_default();
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
        self.depth_target.note_request(stop);
        self.side(side).levels(start, stop)
    }

    fn append_floats(&self, side: Side, stop: usize, to: &mut Floats<'_>) -> bool {
        self.depth_target.note_request(stop);
        self.side(side).append_floats(stop, to)
    }

    fn iter(&self, side: Side) -> Box<dyn Iterator<Item = NumberLevel> + '_> {
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
        let kept = self.buffer.memory_bytes() + self.diff_tap.memory_bytes();
        levels + kept + size_of::<Market>()
    }
}
