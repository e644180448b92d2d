//! Why a read gave other than what was asked for, in words.

use std::fmt;

use crate::query::{CompleteTo, LevelRun, Number, Reading, Side};

/// Why levels are fewer than asked for, or not all proven. `Display` has the words: they are made once
/// the book is unlocked.
#[derive(Clone, Copy, Debug)]
pub enum LevelsReason {
    /// The whole side is known, and has no more levels than these.
    WholeSide(usize),
    /// Only the best so many levels are proven, to this price.
    ProvenTo(Side, usize, Number),
    /// No level is proven.
    NothingProven,
}

/// Why the best `asked` levels of a side are fewer, or not all proven; None where neither is so.
///
/// `asked` is `usize::MAX` for all levels; `run` is what was read of them.
pub fn of_levels(
    book: &dyn Reading,
    side: Side,
    asked: usize,
    run: &LevelRun,
) -> Option<LevelsReason> {
    if run.complete {
        let held = book.len(side);
        let too_few = asked != usize::MAX && held < asked;
        return too_few.then_some(LevelsReason::WholeSide(held));
    }
    Some(match book.complete_to(side) {
        CompleteTo::Price(edge) => LevelsReason::ProvenTo(side, book.coverage(side), edge),
        CompleteTo::Nothing | CompleteTo::Whole => LevelsReason::NothingProven,
    })
}

impl fmt::Display for LevelsReason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LevelsReason::WholeSide(held) => {
                write!(to, "the whole side has fewer levels than requested: {held}")
            }
            LevelsReason::ProvenTo(side, count, edge) => {
                let way = match side {
                    Side::Bids => "down",
                    Side::Asks => "up",
                };
                write!(
                    to,
                    "only the best {count} levels are proven, {way} to {edge}"
                )
            }
            LevelsReason::NothingProven => to.write_str("no level of this side is proven"),
        }
    }
}
