//! The complete range of one side: how far its levels are proven.
//!
//! A snapshot proves the side as far as it goes; diffs keep proven what was proven, because they
//! carry every change. So only snapshots set the range, and diffs never move it.

/// The complete range of a side, as a key of its ladder (greater is better).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Nothing is proven.
    Nothing,
    /// All keys from this one up are proven.
    To(i128),
    /// The whole side is known.
    Whole,
}

impl Range {
    /// The range after a snapshot with so many levels, of which `worst` has the smallest key,
    /// requested with `limit` (None: unknown).
    ///
    /// Fewer levels than asked for: the exchange had no more. Otherwise the last level is as far
    /// as the snapshot proves.
    pub fn of_snapshot(levels: usize, worst: Option<i128>, limit: Option<usize>) -> Range {
        match (limit, worst) {
            (Some(limit), _) if levels < limit => Range::Whole,
            (_, Some(worst)) => Range::To(worst),
            (_, None) => Range::Nothing,
        }
    }

    /// The smallest key that is proven, as far as keys go; None when nothing is.
    pub fn edge(self) -> Option<i128> {
        match self {
            Range::Nothing => None,
            Range::To(key) => Some(key),
            Range::Whole => Some(i128::MIN),
        }
    }

    /// The range that reaches further.
    pub fn wider(self, other: Range) -> Range {
        match (self, other) {
            (Range::Nothing, range) | (range, Range::Nothing) => range,
            (Range::Whole, _) | (_, Range::Whole) => Range::Whole,
            (Range::To(one), Range::To(two)) => Range::To(one.min(two)),
        }
    }

    /// The same range at another scale.
    pub fn times(self, factor: i128) -> Range {
        match self {
            Range::To(key) => Range::To(key * factor),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shorter_than_asked_shows_the_whole_side() {
        assert_eq!(Range::of_snapshot(999, Some(5), Some(1000)), Range::Whole);
        assert_eq!(Range::of_snapshot(0, None, Some(5)), Range::Whole);
    }

    #[test]
    fn a_full_snapshot_proves_the_side_down_to_its_last_level() {
        assert_eq!(Range::of_snapshot(1000, Some(5), Some(1000)), Range::To(5));
        assert_eq!(Range::of_snapshot(1001, Some(5), Some(1000)), Range::To(5));
    }

    #[test]
    fn without_a_known_limit_only_the_levels_themselves_prove_anything() {
        assert_eq!(Range::of_snapshot(3, Some(5), None), Range::To(5));
        assert_eq!(Range::of_snapshot(0, None, None), Range::Nothing);
    }

    #[test]
    fn the_wider_range_reaches_further_down() {
        use Range::{Nothing, To, Whole};
        for (one, two, wider) in [
            (Nothing, Nothing, Nothing),
            (Nothing, To(5), To(5)),
            (To(5), Nothing, To(5)),
            (To(5), To(4), To(4)),
            (To(4), To(5), To(4)),
            (To(4), Whole, Whole),
            (Whole, Nothing, Whole),
        ] {
            assert_eq!(one.wider(two), wider, "{one:?} {two:?}");
        }
    }
}
