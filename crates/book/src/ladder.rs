//! One sorted side of a book: exact numbers, best first for readers, at one scale for prices and
//! one for quantities.
//!
//! Theory of operation. Prices are kept as keys of which the greatest is the best: bids as they
//! are, asks negated, so both sides run the same code and change most at the end of the store. A
//! side is narrow (64-bit mantissas) until a number does not fit, then wide (128 bits) until the
//! next snapshot. A message with wider decimals than the side multiplies the whole side (rare: the
//! width never varied within a symbol in the recordings); one with narrower decimals is multiplied
//! itself. The scanner admits 20 integer digits and 18 decimals, 38 digits together, and 10^38 is
//! below the greatest `i128` (1.7 × 10^38): the wide form cannot overflow.
//!
//! Not here: how pairs are stored (`chunks`), when a change is allowed (`market`).

mod changes;
mod chunks;
mod merging;
mod range;

pub use merging::{Merged, Tally};

use crate::frozen::FrozenSide;
use crate::ladder::chunks::Chunks;
use crate::ladder::range::Range;
use crate::mantissa::{Mantissa, power_of_ten};
use crate::message::{Level, SideLevels};
use crate::query::floats::{Floats, Scales};
use crate::query::{CompleteTo, LevelRun, Mantissas, Number, NumberLevel, Side};
use crate::vectors::{Avx2, Work};

const FITS: &str = "38 digits fit i128: the scanner admits 20 integer digits and 18 decimals";

/// One sorted side of a book.
#[derive(Clone, Debug)]
pub struct Ladder {
    side: Side,
    price_scale: u8,
    quantity_scale: u8,
    store: Store,
    range: Range,
}

#[derive(Clone, Debug)]
enum Store {
    Narrow(Chunks<i64>),
    Wide(Chunks<i128>),
}

/// What a mantissa of a message is multiplied by to reach the side's scales.
#[derive(Clone, Copy)]
struct Factors {
    price: i128,
    quantity: i128,
}

impl Ladder {
    /// A side of which nothing is known.
    pub fn new(side: Side) -> Ladder {
        let (store, range) = (Store::Narrow(Chunks::new()), Range::Nothing);
        Ladder {
            side,
            price_scale: 0,
            quantity_scale: 0,
            store,
            range,
        }
    }

    /// The side of a snapshot that was requested with `limit` (None: unknown).
    pub fn from_snapshot(side: Side, levels: &SideLevels, limit: Option<usize>) -> Ladder {
        let store = if levels.wide.is_empty() {
            Store::Narrow(load(&levels.narrow, side))
        } else {
            Store::Wide(load(&levels.wide, side))
        };
        let SideLevels {
            price_scale,
            quantity_scale,
            ..
        } = *levels;
        let worst = worst_key(&levels.narrow, side).or(worst_key(&levels.wide, side));
        let range = Range::of_snapshot(levels.len(), worst, limit);
        Ladder {
            side,
            price_scale,
            quantity_scale,
            store,
            range,
        }
    }

    /// Prefetch what every change looks up first (`prefetch`).
    #[inline]
    pub fn fetch_index(&self) {
        if let Store::Narrow(chunks) = &self.store {
            chunks.fetch_index();
        }
    }

    /// Ask for the chunks of these levels.
    #[inline]
    pub fn fetch_chunks(&self, levels: &SideLevels) {
        if let Some((chunks, keys)) = self.fast_path(levels) {
            chunks.fetch_chunks(keys);
        }
    }

    /// Prefetch the slots of these levels.
    #[inline]
    pub fn fetch_slots(&self, levels: &SideLevels) {
        if let Some((chunks, keys)) = self.fast_path(levels) {
            chunks.fetch_slots(keys);
        }
    }

    /// Chunks and keys of a message at the side's own scale, to a side of narrow numbers; None for any other.
    #[inline]
    fn fast_path<'a>(
        &'a self,
        levels: &'a SideLevels,
    ) -> Option<(&'a Chunks<i64>, impl Iterator<Item = i64> + 'a)> {
        let keys = levels.narrow.iter();
        let keys = keys.map(|level| to_key(level.price, self.side));
        match &self.store {
            Store::Narrow(chunks) if levels.price_scale == self.price_scale => Some((chunks, keys)),
            _ => None,
        }
    }

    /// Set the levels of a message, later entries of one price win; how many really changed.
    pub fn apply(&mut self, levels: &SideLevels) -> usize {
        if levels.is_empty() {
            return 0;
        }
        if let Store::Narrow(chunks) = &mut self.store
            && levels.wide.is_empty()
            && levels.price_scale == self.price_scale
            && levels.quantity_scale == self.quantity_scale
        {
            return set_narrow(chunks, &levels.narrow, self.side); // nearly always
        }
        if levels.price_scale > self.price_scale || levels.quantity_scale > self.quantity_scale {
            self.rescale(
                levels.price_scale.max(self.price_scale),
                levels.quantity_scale.max(self.quantity_scale),
            );
        }
        let factors = Factors {
            price: power_of_ten(self.price_scale - levels.price_scale),
            quantity: power_of_ten(self.quantity_scale - levels.quantity_scale),
        };
        match &mut self.store {
            Store::Narrow(chunks) if levels.wide.is_empty() && fit(&levels.narrow, factors) => {
                set_scaled(chunks, &levels.narrow, self.side, factors)
            }
            store => set_wide(store.widen(), levels, self.side, factors),
        }
    }

    /// Keys and quantities, best first.
    fn pairs(&self) -> Vec<(i128, i128)> {
        let mut pairs = Vec::with_capacity(self.len());
        self.for_each_in(0, usize::MAX, |key, quantity| pairs.push((key, quantity)));
        pairs
    }

    fn rescale_to(&mut self, (price_scale, quantity_scale): (u8, u8)) {
        if (self.price_scale, self.quantity_scale) != (price_scale, quantity_scale) {
            self.rescale(price_scale, quantity_scale);
        }
    }

    fn rescale(&mut self, price_scale: u8, quantity_scale: u8) {
        let factors = Factors {
            price: power_of_ten(price_scale - self.price_scale),
            quantity: power_of_ten(quantity_scale - self.quantity_scale),
        };
        let narrow = match &self.store {
            Store::Narrow(chunks) => chunks.map(|key, quantity| factors.apply(key, quantity)),
            Store::Wide(_) => None,
        };
        self.store = match narrow {
            Some(chunks) => Store::Narrow(chunks),
            None => {
                let wide = self.store.widen();
                Store::Wide(
                    wide.map(|key, quantity| factors.apply(key, quantity))
                        .expect(FITS),
                )
            }
        };
        self.range = self.range.times(factors.price);
        (self.price_scale, self.quantity_scale) = (price_scale, quantity_scale);
    }

    /// How many levels are held.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.store {
            Store::Narrow(chunks) => chunks.len(),
            Store::Wide(chunks) => chunks.len(),
        }
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The best level.
    #[inline]
    pub fn best(&self) -> Option<NumberLevel> {
        match &self.store {
            Store::Narrow(chunks) => chunks
                .best()
                .map(|(key, quantity)| self.level(key, quantity)),
            Store::Wide(chunks) => chunks
                .best()
                .map(|(key, quantity)| self.level(key, quantity)),
        }
    }

    /// Whether the best price of these bids is at or above that of some asks.
    #[inline]
    pub fn reaches(&self, asks: &Ladder) -> bool {
        if let (Store::Narrow(bids), Store::Narrow(others)) = (&self.store, &asks.store)
            && self.price_scale == asks.price_scale
        {
            let bests = bids.best().zip(others.best());
            return bests.is_some_and(|(bid, ask)| bid.0 >= -ask.0); // nearly always
        }
        let bests = self.best().zip(asks.best());
        bests.is_some_and(|(bid, ask)| bid.price.is_at_least(ask.price))
    }

    /// The level at an index, counted from the best.
    pub fn nth(&self, index: usize) -> Option<NumberLevel> {
        let mut found = None;
        self.for_each_in(index, index.saturating_add(1), |key, quantity| {
            found = Some((key, quantity))
        });
        found.map(|(key, quantity)| self.level(key, quantity))
    }

    /// All levels, best first.
    pub fn iter(&self) -> Box<dyn Iterator<Item = NumberLevel> + '_> {
        match &self.store {
            Store::Narrow(chunks) => Box::new(
                chunks
                    .iter()
                    .map(|(key, quantity)| self.level(key, quantity)),
            ),
            Store::Wide(chunks) => Box::new(
                chunks
                    .iter()
                    .map(|(key, quantity)| self.level(key, quantity)),
            ),
        }
    }

    /// A copy of the levels from index `start` up to `stop` (exclusive, `usize::MAX` for all).
    ///
    /// `complete` of the result is about the best `stop` levels.
    pub fn levels(&self, start: usize, stop: usize) -> LevelRun {
        let mantissas = match &self.store {
            Store::Narrow(chunks) => Mantissas::Narrow(copy(chunks, self.side, start, stop)),
            Store::Wide(chunks) => Mantissas::Wide(copy(chunks, self.side, start, stop)),
        };
        LevelRun {
            price_scale: self.price_scale,
            quantity_scale: self.quantity_scale,
            mantissas,
            complete: self.is_complete(stop),
        }
    }

    /// Append the levels up to index `stop` (exclusive, `usize::MAX` for all) as floats, best first; whether all that
    /// was asked for is proven.
    pub fn append_floats(&self, stop: usize, to: &mut Floats<'_>) -> bool {
        let scales = Scales::new(self.price_scale, self.quantity_scale);
        match &self.store {
            Store::Narrow(chunks) => chunks.for_each_piece(stop, |keys, quantities| {
                to.append_side(scales, self.side, keys, quantities);
            }),
            Store::Wide(chunks) => chunks.for_each_in(0, stop, |key, quantity| {
                to.push(self.level(key, quantity));
            }),
        }
        self.is_complete(stop)
    }

    /// A constant copy of the best `levels`.
    pub fn freeze(&self, levels: usize) -> FrozenSide {
        let left_out = levels < self.len();
        let run = self.levels(0, levels);
        // Most often all of them are proven, and the others need not be counted.
        let coverage = if self.is_complete(run.len()) {
            run.len()
        } else {
            self.coverage()
        };
        FrozenSide::new(run, self.complete_to(), coverage, left_out)
    }

    /// Whether the best `count` levels are proven.
    pub fn is_complete(&self, count: usize) -> bool {
        match self.range {
            Range::Nothing => count == 0,
            Range::Whole => true,
            Range::To(bound) => match &self.store {
                Store::Wide(chunks) => chunks.has_from(bound, count),
                Store::Narrow(chunks) => match i64::narrow(bound) {
                    Some(bound) => chunks.has_from(bound, count),
                    None => count <= self.coverage(),
                },
            },
        }
    }

    /// How many held levels lie inside the complete range.
    pub fn coverage(&self) -> usize {
        match (self.range, &self.store) {
            (Range::Nothing, _) => 0,
            (Range::Whole, _) => self.len(),
            (Range::To(bound), Store::Wide(chunks)) => chunks.count_from(bound),
            (Range::To(bound), Store::Narrow(chunks)) => match i64::narrow(bound) {
                Some(bound) => chunks.count_from(bound),
                None if bound < 0 => self.len(), // below every key
                None => 0,
            },
        }
    }

    /// How far the side is proven.
    pub fn complete_to(&self) -> CompleteTo {
        match self.range {
            Range::Nothing => CompleteTo::Nothing,
            Range::To(key) => CompleteTo::Price(self.price(key)),
            Range::Whole => CompleteTo::Whole,
        }
    }

    /// Whether the numbers fit 64 bits.
    pub fn is_narrow(&self) -> bool {
        matches!(self.store, Store::Narrow(_))
    }

    /// Bytes of memory held, without the allocator's own.
    pub fn memory_bytes(&self) -> usize {
        let held = match &self.store {
            Store::Narrow(chunks) => chunks.memory_bytes(),
            Store::Wide(chunks) => chunks.memory_bytes(),
        };
        size_of::<Store>() + held
    }

    fn for_each_in(&self, start: usize, stop: usize, mut call: impl FnMut(i128, i128)) {
        match &self.store {
            Store::Narrow(chunks) => {
                chunks.for_each_in(start, stop, |key, quantity| {
                    call(key.widen(), quantity.widen())
                });
            }
            Store::Wide(chunks) => chunks.for_each_in(start, stop, call),
        }
    }

    fn price<N: Mantissa>(&self, key: N) -> Number {
        Number {
            mantissa: to_price(key, self.side).widen(),
            scale: self.price_scale,
        }
    }

    fn level<N: Mantissa>(&self, key: N, quantity: N) -> NumberLevel {
        NumberLevel {
            price: self.price(key),
            quantity: Number {
                mantissa: quantity.widen(),
                scale: self.quantity_scale,
            },
        }
    }
}

impl Factors {
    fn apply<N: Mantissa>(self, price: N, quantity: N) -> Option<(N, N)> {
        Some((price.times(self.price)?, quantity.times(self.quantity)?))
    }
}

impl Store {
    fn from_ascending(pairs: &[(i128, i128)]) -> Store {
        let narrow: Option<Vec<(i64, i64)>> = pairs
            .iter()
            .map(|(key, quantity)| Some((i64::narrow(*key)?, i64::narrow(*quantity)?)))
            .collect();
        match narrow {
            Some(pairs) => Store::Narrow(Chunks::from_ascending(pairs.into_iter())),
            None => Store::Wide(Chunks::from_ascending(pairs.iter().copied())),
        }
    }

    fn widen(&mut self) -> &mut Chunks<i128> {
        if let Store::Narrow(chunks) = self {
            let wide = chunks.map(|key, quantity| Some((key.widen(), quantity.widen())));
            *self = Store::Wide(wide.expect("every i64 is an i128"));
        }
        match self {
            Store::Wide(chunks) => chunks,
            Store::Narrow(_) => unreachable!("just widened"),
        }
    }
}

/// The key of a price: keys ascend towards the best level on both sides.
#[inline(always)]
fn to_key<N: Mantissa>(price: N, side: Side) -> N {
    match side {
        Side::Bids => price,
        Side::Asks => -price,
    }
}

/// The price of a key: the same operation, which is its own inverse.
#[inline(always)]
fn to_price<N: Mantissa>(key: N, side: Side) -> N {
    to_key(key, side)
}

fn fit(levels: &[Level<i64>], factors: Factors) -> bool {
    levels
        .iter()
        .all(|level| factors.apply(level.price, level.quantity).is_some())
}

/// Set levels at the scales of the side.
#[inline]
fn set_narrow(chunks: &mut Chunks<i64>, levels: &[Level<i64>], side: Side) -> usize {
    let sign = match side {
        Side::Bids => 0,
        Side::Asks => -1,
    };
    let work = SetNarrow {
        chunks,
        levels,
        sign,
    };
    match Avx2::get() {
        Some(vectors) => vectors.perform(work),
        None => work.set(None),
    }
}

/// Set levels that fit at these factors: `fit` has said so.
#[cold]
fn set_scaled(
    chunks: &mut Chunks<i64>,
    levels: &[Level<i64>],
    side: Side,
    factors: Factors,
) -> usize {
    chunks.set_all(None, levels, |level| {
        let pair = factors.apply(level.price, level.quantity);
        let (price, quantity) = pair.expect("looked at before");
        (to_key(price, side), quantity)
    })
}

/// Levels that are set on a side. All sides run one copy of the code, which stays in the cache so.
struct SetNarrow<'a> {
    chunks: &'a mut Chunks<i64>,
    levels: &'a [Level<i64>],
    /// Minus one where a key is the negated price, else zero.
    sign: i64,
}

impl SetNarrow<'_> {
    #[inline(always)]
    fn set(self, vectors: Option<Avx2>) -> usize {
        let sign = self.sign;
        let key = |price: i64| (price ^ sign).wrapping_sub(sign);
        let pair = |level: &Level<i64>| (key(level.price), level.quantity);
        self.chunks.set_all(vectors, self.levels, pair)
    }
}

impl Work for SetNarrow<'_> {
    type Output = usize;

    #[inline(always)]
    fn run(self, vectors: Avx2) -> usize {
        self.set(Some(vectors))
    }
}

#[cold]
fn set_wide(chunks: &mut Chunks<i128>, levels: &SideLevels, side: Side, factors: Factors) -> usize {
    let pair = |price: i128, quantity: i128| {
        let (price, quantity) = factors.apply(price, quantity).expect(FITS);
        (to_key(price, side), quantity)
    };
    if levels.wide.is_empty() {
        return chunks.set_all(None, &levels.narrow, |level| {
            pair(level.price.into(), level.quantity.into())
        });
    }
    chunks.set_all(None, &levels.wide, |level| {
        pair(level.price, level.quantity)
    })
}

fn copy<N: Mantissa>(chunks: &Chunks<N>, side: Side, start: usize, stop: usize) -> Vec<Level<N>> {
    let mut levels = Vec::with_capacity(stop.min(chunks.len()).saturating_sub(start));
    chunks.copy_in(start, stop, &mut levels, |key, quantity| Level {
        price: to_price(key, side),
        quantity,
    });
    levels
}

/// Snapshots come best first; in any other order, or with zeros, they are set like a message.
fn load<N: Mantissa>(levels: &[Level<N>], side: Side) -> Chunks<N> {
    let pair = |level: &Level<N>| (to_key(level.price, side), level.quantity);
    let best_first = levels.is_sorted_by(|one, next| pair(one).0 > pair(next).0);
    if best_first && levels.iter().all(|level| level.quantity != N::ZERO) {
        return Chunks::from_ascending(levels.iter().rev().map(pair));
    }
    let mut chunks = Chunks::new();
    chunks.set_all(None, levels, pair);
    chunks
}

fn worst_key<N: Mantissa>(levels: &[Level<N>], side: Side) -> Option<i128> {
    levels
        .iter()
        .map(|level| to_key(level.price, side).widen())
        .min()
}
