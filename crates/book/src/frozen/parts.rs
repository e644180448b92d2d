//! A frozen book made of its parts: what a decoder brings, checked as a whole.
//!
//! Reads rely on the order of levels and on the complete range, so parts that contradict each other are an
//! error, never a book.

use super::portable::{BadState, check, fitting};
use super::{Frozen, FrozenHeader, FrozenSide};
use crate::counters::Counters;
use crate::foreign_text::can_be_symbol;
use crate::query::{CompleteTo, LevelRun, NumberLevel, Side};
use crate::status::{NotReadable, Status};
use crate::timebase::WallOffset;

/// What a book says of itself, without levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The exchange's name.
    pub exchange: String,
    /// The symbol; None where an offline book has not seen one.
    pub symbol: Option<String>,
    /// Whether quantities count contracts of a fixed value in the quote asset.
    pub inverse: bool,
    /// What the book is, in one word.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// Since when, on the monotonic clock of the process that had the book.
    pub since_ns: i64,
    /// Synced from a snapshot alone.
    pub unconfirmed: bool,
    /// The id that the book has reached; None before a snapshot.
    pub last_update_id: Option<i64>,
    /// When the exchange made what the book is, in microseconds since 1970.
    pub event_time_us: Option<i64>,
    /// When it was received, on the same clock as `since_ns`.
    pub updated_ns: Option<i64>,
    /// When the book was last proven to be the exchange's, likewise.
    pub confirmed_ns: Option<i64>,
    /// From that clock to nanoseconds since 1970 on the system's; None where it is not known.
    pub wall_offset_ns: Option<i64>,
}

/// One side of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideParts {
    /// Best first.
    pub levels: Vec<NumberLevel>,
    /// How far the side is proven.
    pub complete_to: CompleteTo,
    /// How many of the levels lie inside the complete range.
    pub coverage: usize,
}

/// A whole book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// All but the levels.
    pub head: Head,
    /// The book's counters.
    pub counters: Counters,
    /// Whether every level that was asked for is proven on both sides.
    pub complete: bool,
    /// Whether levels may be read; without, `status` and `reason` say why not and the sides are empty.
    pub readable: bool,
    /// The buyers' side.
    pub bids: SideParts,
    /// The sellers' side.
    pub asks: SideParts,
}

impl Head {
    /// Whether names can be names and the update id one of an exchange.
    pub fn check(&self) -> Result<(), BadState> {
        if !self.symbol.as_deref().is_none_or(can_be_symbol) {
            return Err(BadState("its symbol is invalid"));
        }
        if self.exchange.is_empty() || self.exchange.contains(char::is_control) {
            return Err(BadState("its exchange is invalid"));
        }
        match self.last_update_id {
            Some(..0) => Err(BadState("its update id is negative")),
            None if self.status == Status::Synced => {
                Err(BadState("it is synced but has no update id"))
            }
            _ => Ok(()),
        }
    }

    /// Whether these can be the best levels of this book.
    pub fn check_best(
        &self,
        bid: Option<&NumberLevel>,
        ask: Option<&NumberLevel>,
    ) -> Result<(), BadState> {
        match (bid, ask) {
            (Some(bid), Some(ask))
                if self.status == Status::Synced && bid.price.is_at_least(ask.price) =>
            {
                Err(BadState("it is synced but crossed"))
            }
            _ => Ok(()),
        }
    }
}

impl Frozen {
    /// The book of these parts, or what is wrong with them.
    pub fn from_parts(parts: Parts) -> Result<Frozen, BadState> {
        let Parts { head, complete, .. } = parts;
        head.check()?;
        if parts.readable && (head.last_update_id.is_none() || head.updated_ns.is_none()) {
            return Err(BadState(
                "it can be read but has no update id or receive time",
            ));
        }
        let refused = (!parts.readable).then(|| NotReadable {
            status: head.status,
            reason: head.reason.clone(),
            since_ns: head.since_ns,
        });
        if refused
            .as_ref()
            .is_some_and(|why| why.status == Status::Synced)
        {
            return Err(BadState("it is synced but has no levels"));
        }
        let bids = side(Side::Bids, &parts.bids, complete)?;
        let asks = side(Side::Asks, &parts.asks, complete)?;
        head.check_best(parts.bids.levels.first(), parts.asks.levels.first())?;
        if !parts.readable && bids.run.len() + asks.run.len() > 0 {
            return Err(BadState("it cannot be read but has levels"));
        }
        Ok(Frozen {
            bids,
            asks,
            refused: refused.map(Box::new),
            header: FrozenHeader {
                exchange: head.exchange.into(),
                symbol: head.symbol.map(Into::into),
                inverse: head.inverse,
                status: head.status,
                reason: head.reason.into(),
                since_ns: head.since_ns,
                unconfirmed: head.unconfirmed,
                last_update_id: head.last_update_id,
                event_time_us: head.event_time_us,
                updated_ns: head.updated_ns,
                confirmed_ns: head.confirmed_ns,
                wall_offset_ns: WallOffset(head.wall_offset_ns),
                counters: parts.counters,
            },
        })
    }
}

/// A best level by itself.
pub fn best_level(which: Side, level: NumberLevel) -> Result<NumberLevel, BadState> {
    run(which, &[level], true, false).map(|_| level)
}

/// Levels that one update changed, best first; a quantity may be zero.
pub fn changed(which: Side, levels: &[NumberLevel]) -> Result<LevelRun, BadState> {
    run(which, levels, false, true)
}

fn side(which: Side, parts: &SideParts, complete: bool) -> Result<FrozenSide, BadState> {
    let run = run(which, &parts.levels, complete, false)?;
    let is_proven = |level: &NumberLevel| match (parts.complete_to, which) {
        (CompleteTo::Nothing, _) => false,
        (CompleteTo::Whole, _) => true,
        (CompleteTo::Price(edge), Side::Bids) => level.price.is_at_least(edge),
        (CompleteTo::Price(edge), Side::Asks) => edge.is_at_least(level.price),
    };
    if let CompleteTo::Price(edge) = parts.complete_to
        && fitting(edge.mantissa, edge.scale)? == 0
    {
        return Err(BadState("a price is zero"));
    }
    let coverage = parts.levels.iter().filter(|level| is_proven(level)).count();
    if coverage != parts.coverage {
        return Err(BadState("its coverage does not match its complete range"));
    }
    if complete && parts.complete_to != CompleteTo::Whole && coverage < run.len() {
        return Err(BadState(
            "it is complete but has levels beyond its complete range",
        ));
    }
    Ok(FrozenSide {
        run,
        complete_to: parts.complete_to,
        coverage,
    })
}

fn run(
    which: Side,
    levels: &[NumberLevel],
    complete: bool,
    may_be_gone: bool,
) -> Result<LevelRun, BadState> {
    for number in levels
        .iter()
        .flat_map(|level| [level.price, level.quantity])
    {
        fitting(number.mantissa, number.scale)?;
    }
    let run = LevelRun::of(levels, complete);
    check(&run, which, may_be_gone)?;
    Ok(run)
}
