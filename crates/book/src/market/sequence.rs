//! The rules of update ids, one predicate a rule.
//!
//! The theory, with the exchange's own wording and its date, opens
//! `src/depthcache/reference/sequence.py`; this is the same in Rust. Not here: what is done about a
//! result (`market`).

use crate::message::{DepthSnapshot, DepthUpdate};

/// Older ids than held with an event time this much later: the ids were reset.
pub const RESET_AFTER_US: i64 = 5_000_000;

/// How far the book of a REST node may lag behind the time it states, or the time of its response.
pub const NODE_LAG_US: i64 = 30_000_000;

/// Ids above it are no exchange's.
pub const LARGEST_PLAUSIBLE_ID: i64 = 1_000_000_000_000_000;

/// How far a snapshot may be above the diffs that are known: months of USD-M's ids.
pub const LARGEST_JUMP: i64 = 1_000_000_000_000;

/// How update ids follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// `U == previous u + 1`: spot, US, TR.
    Contiguous,
    /// `pu == previous u`: USD-M, COIN-M, options.
    Chained,
}

impl Continuity {
    /// The continuity of that word, if there is one.
    pub fn parse(word: &str) -> Option<Continuity> {
        match word {
            "contiguous" => Some(Continuity::Contiguous),
            "chained" => Some(Continuity::Chained),
            _ => None,
        }
    }
}

/// The ids of one diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The id the diff follows: `pu` where ids are chained, `U - 1` where they are contiguous.
    pub follows: i64,
    /// `u`
    pub last: i64,
}

impl Ids {
    /// The ids of a diff; None for a chained diff that does not say what it follows.
    #[inline]
    pub fn of(update: &DepthUpdate, continuity: Continuity) -> Option<Ids> {
        let follows = match continuity {
            Continuity::Contiguous => update.first_update_id - 1,
            Continuity::Chained => update.previous_final_update_id?,
        };
        Some(Ids {
            follows,
            last: update.final_update_id,
        })
    }
}

/// What a diff is to a book that holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceCheck {
    /// All of it is in the book already.
    Old,
    /// It continues, or bridges, what the book holds.
    Next,
    /// Updates between the book and it are missing.
    Gap,
}

/// Judge a diff against the id of a book.
///
/// `has_diff`: a diff has been applied since the snapshot, so `held` is the `u` of a diff. Before,
/// it is the snapshot's own id, and a chained diff that ends exactly there is the one that bridges.
#[inline]
pub fn check_sequence(
    continuity: Continuity,
    held: i64,
    ids: Ids,
    has_diff: bool,
) -> SequenceCheck {
    let bridges_at_its_end = continuity == Continuity::Chained && !has_diff;
    if ids.last < held || (ids.last == held && !bridges_at_its_end) {
        SequenceCheck::Old
    } else if ids.follows > held {
        SequenceCheck::Gap
    } else {
        SequenceCheck::Next
    }
}

/// Whether an old diff is no backlog but the first after a reset of the ids.
///
/// `base_us`: when the ids up to the diff's were there, at the latest; None when that is unknown.
pub fn looks_reset(event_time_us: i64, base_us: Option<i64>) -> bool {
    base_us.is_some_and(|base| event_time_us > base.saturating_add(RESET_AFTER_US))
}

/// Up to which id a book was there at which time (exchange's clock, at the latest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedId {
    /// The id.
    pub update_id: i64,
    /// The time.
    pub latest_us: i64,
}

/// Between which times a snapshot was made, on the exchange's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTime {
    /// At the earliest; 0: unknown.
    pub earliest_us: i64,
    /// At the latest.
    pub latest_us: i64,
}

impl SnapshotTime {
    /// When a snapshot was made: as its requester knows (`known`), else by its own `E` and `T`; None
    /// where that is unknown.
    pub fn of(snapshot: &DepthSnapshot, known: Option<SnapshotTime>) -> Option<SnapshotTime> {
        let times = [snapshot.event_time_us, snapshot.transaction_time_us];
        let times = times.into_iter().flatten();
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            return known;
        };
        let earliest_us = (first - NODE_LAG_US).max(0);
        Some(match known {
            None => SnapshotTime {
                earliest_us,
                latest_us: last,
            },
            Some(known) if known.earliest_us == 0 => SnapshotTime {
                earliest_us,
                ..known
            },
            Some(known) => known,
        })
    }

    /// Whether it was clearly made after a book was at that id.
    pub fn is_after(self, held: DatedId) -> bool {
        self.earliest_us > held.latest_us.saturating_add(RESET_AFTER_US)
    }
}
