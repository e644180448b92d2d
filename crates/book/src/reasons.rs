//! Why a read gave other than what was asked for, in words.

use crate::query::{CompleteTo, LevelRun, Reading, Side};

/// Why the best `asked` levels of a side are fewer, or not all proven; None where neither is so.
///
/// `asked` is `usize::MAX` for all levels; `run` is what was read of them.
pub fn of_levels(book: &dyn Reading, side: Side, asked: usize, run: &LevelRun) -> Option<String> {
    if run.complete {
        let held = book.len(side);
        let too_few = asked != usize::MAX && held < asked;
        return too_few.then(|| format!("the whole side is known: it has {held} levels"));
    }
    Some(match book.complete_to(side) {
        CompleteTo::Price(edge) => {
            let way = match side {
                Side::Bids => "down",
                Side::Asks => "up",
            };
            let count = book.coverage(side);
            format!("only the best {count} levels are proven, {way} to {edge}")
        }
        CompleteTo::Nothing | CompleteTo::Whole => "no level of the side is proven".to_owned(),
    })
}
