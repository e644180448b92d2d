//! A constant copy of a book: both sides of one update id.

pub mod parts;
pub mod portable;

use std::hash::BuildHasher;
use std::sync::Arc;

use compact_str::CompactString;
use rustc_hash::FxBuildHasher;

use crate::counters::Counters;
use crate::query::floats::Floats;
use crate::query::{BestPair, CompleteTo, LevelRun, Mantissas, NumberLevel, Reading, Side};
use crate::status::{NotReadable, Status, StatusInfo};
use crate::timebase::WallOffset;

/// What a copy says of the moment in which it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrozenHeader {
    pub exchange: Arc<str>,
    pub symbol: Option<CompactString>,
    pub inverse: bool,
    pub status: Status,
    pub reason: Box<str>,
    pub since_ns: i64,
    pub unconfirmed: bool,
    pub last_update_id: Option<i64>,
    pub event_time_us: Option<i64>,
    pub updated_ns: Option<i64>,
    pub confirmed_ns: Option<i64>,
    pub wall_offset_ns: WallOffset,
    pub counters: Counters,
}

/// A copy of one side: some levels and how far they are proven.
#[derive(Clone, Debug)]
pub struct FrozenSide {
    /// Best first; `complete`: whether every requested level is proven.
    run: LevelRun,
    complete_to: CompleteTo,
    /// How many levels of the run lie inside the complete range.
    coverage: usize,
}

impl FrozenSide {
    /// A run from the best level on. Where levels were left out behind it, nothing beyond the last
    /// one it holds is proven.
    pub(crate) fn new(
        run: LevelRun,
        complete_to: CompleteTo,
        coverage: usize,
        left_out: bool,
    ) -> FrozenSide {
        let coverage = coverage.min(run.len());
        let complete_to = match run.len().checked_sub(1) {
            _ if !left_out => complete_to,
            Some(last) if coverage == run.len() => CompleteTo::Price(run.get(last).price),
            Some(_) => complete_to,
            None => CompleteTo::Nothing,
        };
        FrozenSide {
            run,
            complete_to,
            coverage,
        }
    }

    fn is_complete(&self, count: usize) -> bool {
        match self.complete_to {
            CompleteTo::Nothing => count == 0,
            CompleteTo::Price(_) => count <= self.coverage,
            CompleteTo::Whole => true,
        }
    }

    fn levels(&self, start: usize, stop: usize) -> LevelRun {
        let stop_held = stop.min(self.run.len());
        let range = start.min(stop_held)..stop_held;
        let mantissas = match &self.run.mantissas {
            Mantissas::Narrow(levels) => Mantissas::Narrow(levels[range].to_vec()),
            Mantissas::Wide(levels) => Mantissas::Wide(levels[range].to_vec()),
        };
        LevelRun {
            mantissas,
            complete: self.is_complete(stop),
            ..self.run
        }
    }

    fn freeze(&self, levels: usize) -> FrozenSide {
        let run = self.levels(0, levels);
        let left_out = run.len() < self.run.len();
        FrozenSide::new(run, self.complete_to, self.coverage, left_out)
    }
}

impl PartialEq for FrozenSide {
    /// The same numbers, at any scales.
    fn eq(&self, other: &FrozenSide) -> bool {
        let edges = match (self.complete_to, other.complete_to) {
            (CompleteTo::Price(one), CompleteTo::Price(two)) => one.is_same(two),
            (one, two) => one == two,
        };
        edges && self.coverage == other.coverage && self.run.is_same(&other.run)
    }
}

/// A constant copy of the best levels of a book, made by `Market::freeze`.
///
/// It is as honest as the book about what it does not hold: where levels were left out, its
/// complete range ends at the last level it has.
#[derive(Clone, Debug)]
pub struct Frozen {
    header: FrozenHeader,
    bids: FrozenSide,
    asks: FrozenSide,
    /// Why its levels may not be read.
    refused: Option<Box<NotReadable>>,
}

impl PartialEq for Frozen {
    /// The same facts and numbers.
    fn eq(&self, other: &Frozen) -> bool {
        self.header == other.header
            && self.complete() == other.complete()
            && self.bids == other.bids
            && self.asks == other.asks
            && self.refused == other.refused
    }
}

impl Frozen {
    pub(crate) fn new(header: FrozenHeader, bids: FrozenSide, asks: FrozenSide) -> Frozen {
        Frozen {
            header,
            bids,
            asks,
            refused: None,
        }
    }

    /// All levels it holds of a side, best first.
    pub fn run(&self, side: Side) -> &LevelRun {
        &self.side(side).run
    }

    /// The same, with the reason why its levels may not be read.
    pub fn refused(self, why: NotReadable) -> Frozen {
        Frozen {
            refused: Some(Box::new(why)),
            ..self
        }
    }

    /// The same for equal books: of the fields that nearly always differ between two books.
    pub fn hash_code(&self) -> u64 {
        let FrozenHeader {
            exchange,
            symbol,
            last_update_id,
            ..
        } = &self.header;
        FxBuildHasher.hash_one((exchange, symbol, last_update_id))
    }

    /// Bytes of memory held, about: those of the levels, and of the facts.
    pub fn memory_bytes(&self) -> usize {
        let header = size_of::<Frozen>() + self.header.reason.len();
        header + self.bids.run.memory_bytes() + self.asks.run.memory_bytes()
    }

    /// Whether every level asked of `freeze` is proven on both sides.
    pub fn complete(&self) -> bool {
        self.bids.run.complete && self.asks.run.complete
    }

    /// A smaller copy.
    pub fn freeze(&self, levels: usize) -> Frozen {
        Frozen {
            header: self.header.clone(),
            bids: self.bids.freeze(levels),
            asks: self.asks.freeze(levels),
            refused: self.refused.clone(),
        }
    }

    fn side(&self, side: Side) -> &FrozenSide {
        match side {
            Side::Bids => &self.bids,
            Side::Asks => &self.asks,
        }
    }
}

impl Reading for Frozen {
    fn exchange(&self) -> &str {
        &self.header.exchange
    }

    fn symbol(&self) -> Option<&str> {
        self.header.symbol.as_deref()
    }

    fn inverse(&self) -> bool {
        self.header.inverse
    }

    fn status_info(&self) -> StatusInfo<'_> {
        let FrozenHeader {
            status,
            reason,
            since_ns,
            ..
        } = &self.header;
        StatusInfo {
            status: *status,
            reason,
            since_ns: *since_ns,
        }
    }

    fn readable(&self, _serve_stale: bool) -> Result<(), NotReadable> {
        self.refused.as_deref().cloned().map_or(Ok(()), Err)
    }

    fn unconfirmed(&self) -> bool {
        self.header.unconfirmed
    }

    fn last_update_id(&self) -> Option<i64> {
        self.header.last_update_id
    }

    fn event_time_us(&self) -> Option<i64> {
        self.header.event_time_us
    }

    fn updated_ns(&self) -> Option<i64> {
        self.header.updated_ns
    }

    fn wall_offset_ns(&self) -> Option<i64> {
        self.header.wall_offset_ns.0
    }

    fn confirmed_ns(&self) -> Option<i64> {
        self.header.confirmed_ns
    }

    fn best(&self) -> BestPair {
        let best = |side: &FrozenSide| (!side.run.is_empty()).then(|| side.run.get(0));
        let update_id = self.header.last_update_id.unwrap_or_default();
        BestPair {
            bid: best(&self.bids),
            ask: best(&self.asks),
            update_id,
        }
    }

    fn len(&self, side: Side) -> usize {
        self.side(side).run.len()
    }

    fn levels(&self, side: Side, start: usize, stop: usize) -> LevelRun {
        self.side(side).levels(start, stop)
    }

    fn append_floats(&self, side: Side, stop: usize, to: &mut Floats<'_>) -> bool {
        let side = self.side(side);
        side.run.append_floats(stop, to);
        side.is_complete(stop)
    }

    fn iter(&self, side: Side) -> Box<dyn Iterator<Item = NumberLevel> + '_> {
        Box::new(self.side(side).run.iter())
    }

    fn complete_to(&self, side: Side) -> CompleteTo {
        self.side(side).complete_to
    }

    fn coverage(&self, side: Side) -> usize {
        self.side(side).coverage
    }

    fn counters(&self) -> Counters {
        self.header.counters
    }

    fn memory_bytes(&self) -> usize {
        Frozen::memory_bytes(self)
    }
}
