//! Looking after live books: comparing them with snapshots, and how deep they are. The theory is in
//! `refresh`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use super::{Router, RouterError};
use crate::codec::json;
use crate::market::Market;
use crate::market::refresh::RefreshOutcome;
use crate::market::sequence::SnapshotTime;
use crate::message::DepthSnapshot;
use crate::query::Reading;
use crate::status::Status;

/// One in so many checks is made even if nothing was noted.
const LOOKS: u32 = 8;

/// Whether any market was seen that is not deep enough, so that hundreds are not looked at for nothing.
#[derive(Debug, Default)]
pub(super) struct ShallowHint {
    seen: AtomicBool,
    looks: AtomicU32,
}

impl ShallowHint {
    /// Something happened to a market.
    #[inline]
    pub(super) fn note(&self, market: &Market) {
        if !self.seen.load(Ordering::Relaxed) && market.is_shallow() {
            self.seen.store(true, Ordering::Relaxed);
        }
    }

    fn is_look_due(&self) -> bool {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.seen.swap(false, Ordering::Relaxed) || looks.is_multiple_of(LOOKS)
    }
}

/// Whether any newest diff was late when it came, so that hundreds of markets are not looked at for nothing.
#[derive(Debug)]
pub(super) struct LateHint {
    seen: AtomicBool,
    most_us: AtomicI64,
}

impl Default for LateHint {
    fn default() -> LateHint {
        LateHint {
            seen: AtomicBool::new(true),
            most_us: AtomicI64::new(i64::MAX),
        }
    }
}

impl LateHint {
    /// Something happened to a market, whose lock is held.
    #[inline]
    pub(super) fn note(&self, market: &Market) {
        if !self.seen.load(Ordering::Relaxed) {
            let most_us = self.most_us.load(Ordering::Relaxed);
            if market.late_us().is_some_and(|late_us| late_us > most_us) {
                self.set();
            }
        }
    }

    fn set(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    fn is_look_due(&self, most_us: i64) -> bool {
        let before_us = self.most_us.swap(most_us, Ordering::Relaxed);
        self.seen.swap(false, Ordering::Relaxed) || before_us != most_us
    }
}

impl Router {
    /// Keep what is applied to a live book from now on, for a snapshot that is about to be requested;
    /// false: it is not live.
    pub fn begin_refresh(&self, market: u64) -> Result<bool, RouterError> {
        Ok(self.market(market)?.lock().begin_refresh())
    }

    /// Forget a refresh that was begun.
    pub fn end_refresh(&self, market: u64) -> Result<(), RouterError> {
        self.market(market)?.lock().end_refresh();
        Ok(())
    }

    /// Compare a live book with a snapshot requested with `limit` (None: unknown) and merge it.
    pub fn refresh(
        &self,
        market: u64,
        body: &[u8],
        limit: Option<usize>,
        now_ns: i64,
        made: Option<SnapshotTime>,
    ) -> Result<RefreshOutcome, RouterError> {
        let cell = self.market(market)?;
        let mut snapshot = DepthSnapshot::default();
        json::snapshot(body, &mut snapshot).map_err(RouterError::MalformedSnapshot)?;
        self.change(market, cell.lock(), |held| {
            held.refresh(&snapshot, limit, now_ns, made)
                .map_err(|refused| RouterError::of_refusal(refused, held))
        })
    }

    /// The snapshot that a market holds, and no diff after it, was made between these times.
    pub fn date_snapshot(&self, market: u64, made: SnapshotTime) -> Result<(), RouterError> {
        self.market(market)?.lock().date_snapshot(made);
        Ok(())
    }

    /// When the newest diff of a market was received that was applied, kept, or is backlog, and its event time.
    pub fn heard(&self, market: u64) -> Result<Option<(i64, Option<i64>)>, RouterError> {
        Ok(self.market(market)?.read().heard())
    }

    /// When the last diff was received that a market applied, and its event time.
    pub fn last_diff(&self, market: u64) -> Result<Option<(i64, Option<i64>)>, RouterError> {
        Ok(self.market(market)?.read().last_diff())
    }

    /// The markets whose newest diff was more than so late when it came, how late in microseconds, and when it
    /// came. Looks at all of them only when one may be.
    pub fn late(&self, most_us: i64) -> Vec<(u64, i64, i64)> {
        if !self.late_hint.is_look_due(most_us) {
            return Vec::new();
        }
        let markets = self.markets.read();
        let late = markets.entries.iter().filter_map(|(number, cell)| {
            let held = cell.read();
            let late_us = held.late_us().filter(|late_us| *late_us > most_us)?;
            Some((*number, late_us, held.heard()?.0))
        });
        let mut found: Vec<_> = late.collect();
        if !found.is_empty() {
            self.late_hint.set();
        }
        found.sort_unstable();
        found
    }

    /// No diff came for a snapshot that waits: merge it where it shows an equal book, or drop it.
    pub fn settle_refresh(&self, market: u64, now_ns: i64) -> Result<RefreshOutcome, RouterError> {
        let cell = self.market(market)?;
        Ok(self.change(market, cell.lock(), |held| held.settle_refresh(now_ns)))
    }

    /// How the clock of the frames and the exchange's differ, for a market's delays.
    pub fn set_clock_offset(&self, market: u64, offset_ns: Option<i64>) -> Result<(), RouterError> {
        self.market(market)?.lock().set_clock_offset(offset_ns);
        self.late_hint.set();
        Ok(())
    }

    /// So many complete levels a side are enough for a market while readers ask for at most `asked`.
    pub fn set_depth_target(
        &self,
        market: u64,
        levels: usize,
        asked: usize,
    ) -> Result<(), RouterError> {
        let cell = self.market(market)?;
        self.change(market, cell.lock(), |held| {
            held.set_depth_target(levels, asked)
        });
        Ok(())
    }

    /// Of every live book that is not deep enough (`set_depth_target`): its number, the fewest levels that a
    /// side has inside its complete range (None: both sides are whole), and the most that a reader asked
    /// for.
    ///
    /// Looks at all of them only when one was shallow, and at every eighth call, because reads of a silent book are no
    /// events.
    pub fn shallow(&self) -> Vec<(u64, Option<usize>, usize)> {
        if !self.shallow_hint.is_look_due() {
            return Vec::new();
        }
        let markets = self.markets.read();
        let mut found: Vec<_> = markets
            .entries
            .iter()
            .filter_map(|(market, cell)| {
                let held = cell.read();
                let is_listed = held.status_info().status == Status::Synced && held.is_shallow();
                is_listed.then(|| (*market, held.min_coverage(), held.depth_requested()))
            })
            .collect();
        drop(markets);
        if !found.is_empty() {
            self.shallow_hint.seen.store(true, Ordering::Relaxed);
        }
        found.sort_unstable();
        found
    }
}
