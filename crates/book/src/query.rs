//! Reading: numbers out of mantissas, and the one surface that live and frozen books share.

use crate::condition::{NotReadable, Standing};
use crate::counters::Counters;
use crate::message::Level;

/// Which side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Buyers; best is highest.
    Bids,
    /// Sellers; best is lowest.
    Asks,
}

/// An exact decimal number: `mantissa / 10^scale`.
///
/// `Display` writes it at its scale, as the exchange does: `61837.63000000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The digits.
    pub mantissa: i128,
    /// How many of them stand after the point.
    pub scale: u8,
}

impl Number {
    /// The nearest float: equal to Python's `float(text)` of the number's text.
    pub fn to_f64(self) -> f64 {
        todo!()
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// Price and quantity of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberLevel {
    /// The price.
    pub price: Number,
    /// The absolute quantity, never zero in a book.
    pub quantity: Number,
}

/// Levels of a run, in the width the side has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mantissas {
    /// All fit 64 bits.
    Narrow(Vec<Level<i64>>),
    /// At least one side of the book did not.
    Wide(Vec<Level<i128>>),
}

/// A copy of neighbouring levels of one side, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRun {
    /// Decimals of every price.
    pub price_scale: u8,
    /// Decimals of every quantity.
    pub quantity_scale: u8,
    /// The levels.
    pub mantissas: Mantissas,
    /// Whether every level that was asked for is proven: it lies inside the complete range, or
    /// the whole side is known.
    pub complete: bool,
}

impl LevelRun {
    /// How many levels there are.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The level at a place; panics outside.
    pub fn get(&self, index: usize) -> NumberLevel {
        todo!()
    }

    /// All levels.
    pub fn iter(&self) -> impl Iterator<Item = NumberLevel> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Price and quantity of all levels as nearest floats, each `Number::to_f64`.
    pub fn floats(&self) -> Vec<[f64; 2]> {
        todo!()
    }
}

/// Both best levels of one update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestPair {
    /// The highest bid, None for a side without levels.
    pub bid: Option<NumberLevel>,
    /// The lowest ask, None for a side without levels.
    pub ask: Option<NumberLevel>,
    /// The id both belong to.
    pub update_id: i64,
}

/// How far a side is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteTo {
    /// Nothing of the side is proven.
    Nothing,
    /// Down to this bid or up to this ask, inclusive.
    Price(Number),
    /// The whole side is known.
    Whole,
}

/// What live and frozen books have in common. Each call is one consistent look.
pub trait Reading {
    /// The exchange's name as given.
    fn exchange(&self) -> &str;
    /// The symbol; None until the first frame of an offline book fixes it.
    fn symbol(&self) -> Option<&str>;
    /// Status, reason and since when.
    fn standing(&self) -> Standing<'_>;
    /// Whether levels may be read: `best` and `levels` are to be called after `Ok` only.
    ///
    /// With `serve_stale` the last known book may be read too, unless it is crossed.
    fn readable(&self, serve_stale: bool) -> Result<(), NotReadable>;
    /// Synced from a snapshot alone; the next diff decides.
    fn unconfirmed(&self) -> bool;
    /// `u` of the last applied diff, else the snapshot's `lastUpdateId`; None before one.
    fn last_update_id(&self) -> Option<i64>;
    /// `E` of the last applied diff.
    fn event_time_us(&self) -> Option<i64>;
    /// When the last applied frame was received.
    fn updated_ns(&self) -> Option<i64>;
    /// Both best levels.
    fn best(&self) -> BestPair;
    /// How many levels the side holds.
    fn len(&self, side: Side) -> usize;
    /// The levels from place `start` up to `stop` (exclusive, `usize::MAX` for all), best first.
    ///
    /// `complete` of the answer speaks of the best `stop` levels.
    fn levels(&self, side: Side, start: usize, stop: usize) -> LevelRun;
    /// How far the side is proven.
    fn complete_to(&self, side: Side) -> CompleteTo;
    /// How many held levels lie inside the complete range.
    fn coverage(&self, side: Side) -> usize;
    /// What the book has lived through.
    fn counters(&self) -> Counters;
}
