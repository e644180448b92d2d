//! Decoded messages: plain numbers, no text, no allocation per level.
//!
//! Not here: how bytes become these values (`codec::json`) and what a book does with them (`market`).

pub mod head;
pub mod shape;

use compact_str::CompactString;

use head::Head;
use shape::Guess;

/// The most decimals a price or a quantity may carry after trailing zeros beyond it are cut.
pub const MAX_SCALE: u8 = 18;

/// A price or quantity of at least this value is refused: it keeps every mantissa inside `i128`.
pub const MAX_INTEGER_DIGITS: u32 = 20;

/// One price level: mantissas at the scales of the side that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level<N> {
    /// Price times 10 to the side's price scale.
    pub price: N,
    /// Absolute quantity times 10 to the side's quantity scale; zero deletes the price.
    pub quantity: N,
}

/// The levels of one side of one message, all at the same two scales.
///
/// The scanner brings the (rare) mixed widths of one message to the widest of them. A zero
/// quantity fits every scale and widens nothing.
#[derive(Clone, Debug, Default)]
pub struct SideLevels {
    /// Decimals of every price below.
    pub price_scale: u8,
    /// Decimals of every quantity below.
    pub quantity_scale: u8,
    /// The levels in the order of the message, when `wide` is empty.
    pub narrow: Vec<Level<i64>>,
    /// The levels in the order of the message, when one of them does not fit 64 bits;
    /// `narrow` is empty then.
    pub wide: Vec<Level<i128>>,
    /// What the numbers of the message before looked like.
    pub guess: Guess,
}

impl SideLevels {
    /// Forget all levels and keep the memory.
    pub fn clear(&mut self) {
        self.price_scale = 0;
        self.quantity_scale = 0;
        self.narrow.clear();
        self.wide.clear();
    }

    /// How many levels the message has on this side.
    pub fn len(&self) -> usize {
        self.narrow.len() + self.wide.len()
    }

    /// Whether the message has no level on this side.
    pub fn is_empty(&self) -> bool {
        self.narrow.is_empty() && self.wide.is_empty()
    }
}

/// One diff depth event (`e: "depthUpdate"`), used again for every frame.
#[derive(Clone, Debug, Default)]
pub struct DepthUpdate {
    /// `U`
    pub first_update_id: i64,
    /// `u`
    pub final_update_id: i64,
    /// `pu`, futures and options only.
    pub previous_final_update_id: Option<i64>,
    /// `E` in microseconds since 1970, from any unit on the wire; 0 when absent.
    pub event_time_us: i64,
    /// `T` in microseconds since 1970, futures and options only.
    pub transaction_time_us: Option<i64>,
    /// `b`
    pub bids: SideLevels,
    /// `a`
    pub asks: SideLevels,
    /// What the message before began with.
    pub head: Head,
}

/// One REST (or WebSocket API) depth snapshot.
#[derive(Clone, Debug, Default)]
pub struct DepthSnapshot {
    /// `lastUpdateId`
    pub last_update_id: i64,
    /// `symbol`, COIN-M only.
    pub symbol: Option<CompactString>,
    /// `pair`, COIN-M only.
    pub pair: Option<CompactString>,
    /// `E` in microseconds since 1970, where the venue sends it.
    pub event_time_us: Option<i64>,
    /// `T` in microseconds since 1970, where the venue sends it.
    pub transaction_time_us: Option<i64>,
    /// `bids`, best first on the wire; the book does not rely on it.
    pub bids: SideLevels,
    /// `asks`, best first on the wire; the book does not rely on it.
    pub asks: SideLevels,
}

impl DepthSnapshot {
    /// The symbol or pair it names, where that is not `symbol`'s; ASCII case does not count.
    pub fn foreign_to(&self, symbol: &str) -> Option<&str> {
        if let Some(named) = &self.symbol
            && !named.eq_ignore_ascii_case(symbol)
        {
            return Some(named);
        }
        let pair = symbol.split('_').next().unwrap_or(symbol);
        let of_another = |named: &&CompactString| {
            !named.eq_ignore_ascii_case(symbol) && !named.eq_ignore_ascii_case(pair)
        };
        self.pair
            .as_ref()
            .filter(of_another)
            .map(CompactString::as_str)
    }
}
