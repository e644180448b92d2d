//! What traders compute from a book, on the exact numbers of one update id.
//!
//! Each analytic is one file: its formula, its unit, where it is from, and what `complete` means for it.
//! They only read: a book is held for as long as its levels are walked, and nothing of it is copied.
//! Results are exact: sums and products as they are, quotients as two exact numbers that are divided
//! when they are written down. Not here: how they are written (`depthcache-binding`).
//!
//! Units: prices and `quote` are in the quote asset, quantities and `base` in the base asset. On COIN-M a
//! quantity counts contracts, whose value the book does not know: `base` is contracts there, and `quote`
//! (price times contracts) no amount of money; prices, ratios and basis points are right as they are.

mod contracts;
mod depth;
mod exact;
mod fill;
mod grouped;
mod impact;
mod top;
mod value;

pub use contracts::average_of_contracts;
pub use depth::{
    Depth, DepthWithin, Imbalance, depth_within, imbalance_of_levels, imbalance_within,
};
pub use exact::{Exact, Value};
pub use fill::{Amount, Fill, fill};
pub use grouped::{Group, GroupedSide, grouped};
pub use impact::{SizeToMove, size_to_move};
pub use top::{EmptySide, OfBest, best_of, exact_mid, microprice, mid, spread, spread_bps};
pub use value::{UpToValue, up_to_value};

use crate::query::{CompleteTo, Reading, Side};

/// Whether a taker buys, which walks the asks, or sells, which walks the bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// Takes asks, the lowest first.
    Buy,
    /// Takes bids, the highest first.
    Sell,
}

impl Taker {
    /// The side that is taken from.
    pub fn side(self) -> Side {
        match self {
            Taker::Buy => Side::Asks,
            Taker::Sell => Side::Bids,
        }
    }
}

/// Whether the level at an index, or (for None) the end of the side, is proven.
fn proves(book: &dyn Reading, side: Side, index: Option<usize>) -> bool {
    match (book.complete_to(side), index) {
        (CompleteTo::Whole, _) => true,
        (CompleteTo::Nothing, _) | (CompleteTo::Price(_), None) => false,
        (CompleteTo::Price(_), Some(index)) => index < book.coverage(side),
    }
}

/// Whether the best of both sides is proven, or that a side is empty.
fn proves_top(book: &dyn Reading) -> bool {
    [Side::Bids, Side::Asks]
        .into_iter()
        .all(|side| proves(book, side, (book.len(side) > 0).then_some(0)))
}
