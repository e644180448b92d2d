//! The complete range of a side, and two copies of a side: compared and merged.

use depthcache_book::ladder::Ladder;
use depthcache_book::ladder::Tally;
use depthcache_book::message::{DepthUpdate, SideLevels};
use depthcache_book::query::{Number, Side};

use crate::builders::{Levels, diff, proven_to, rows, shown};

use Side::{Asks, Bids};

fn levels(pairs: Levels) -> SideLevels {
    let DepthUpdate { bids, .. } = diff(1, 1).with(pairs, &[]).update();
    bids
}

fn ladder(side: Side, pairs: Levels, limit: Option<usize>) -> Ladder {
    Ladder::from_snapshot(side, &levels(pairs), limit)
}

fn all(ladder: &Ladder) -> String {
    let shown: Vec<_> = ladder.iter().map(shown).collect();
    shown.join(", ")
}

fn bound(ladder: &Ladder) -> String {
    proven_to(ladder.complete_to())
}

#[test]
fn a_snapshot_proves_the_side_as_far_as_it_goes() {
    let three: Levels = &[("12", "1"), ("11", "1"), ("10", "1")];
    for (side, pairs, limit, proven, coverage) in [
        (Bids, three, Some(4), "whole", 3),
        (Bids, three, Some(3), "10", 3),
        (Bids, three, Some(2), "10", 3),
        (Bids, three, None, "10", 3),
        (Asks, three, Some(4), "whole", 3),
        (Asks, three, Some(3), "12", 3),
        (Asks, three, None, "12", 3),
        (Bids, &[], Some(1), "whole", 0),
        (Bids, &[], Some(0), "nothing", 0),
        (Bids, &[], None, "nothing", 0),
    ] {
        let ladder = ladder(side, pairs, limit);
        let found = (bound(&ladder), ladder.coverage());
        assert_eq!(found, (proven.to_owned(), coverage), "{side:?} {limit:?}");
    }
}

#[test]
fn bounds_are_inclusive_and_levels_beyond_them_do_not_count() {
    for (side, inside, beyond) in [(Bids, "10.0", "9.9"), (Asks, "12.0", "12.1")] {
        let mut ladder = ladder(side, &[("12", "1"), ("11", "1"), ("10", "1")], Some(3));
        ladder.apply(&levels(&[(beyond, "1")]));
        assert_eq!((ladder.len(), ladder.coverage()), (4, 3));
        for (count, complete) in [(0, true), (3, true), (4, false), (usize::MAX, false)] {
            assert_eq!(ladder.is_complete(count), complete, "{count}");
        }
        assert_eq!(bound(&ladder), inside);
        ladder.apply(&levels(&[(inside, "0")]));
        assert_eq!((bound(&ladder).as_str(), ladder.coverage()), (inside, 2));
        ladder.apply(&levels(&[(inside, "4")]));
        assert_eq!((bound(&ladder).as_str(), ladder.coverage()), (inside, 3));
    }
}

#[test]
fn a_side_without_a_proven_level_is_never_complete() {
    let mut nothing = Ladder::new(Bids);
    assert!(nothing.is_empty());
    nothing.apply(&levels(&[("10", "1")]));
    assert!(!nothing.is_empty());
    assert_eq!((nothing.coverage(), nothing.len()), (0, 1));
    assert!(nothing.is_complete(0) && !nothing.is_complete(1));
    let whole = ladder(Bids, &[("10", "1")], Some(2));
    assert!(whole.is_complete(1) && whole.is_complete(usize::MAX));
}

#[test]
fn a_place_is_counted_from_the_best() {
    let pairs: Levels = &[("12", "1"), ("11", "2"), ("10", "3")];
    for (side, levels) in [
        (Bids, ["12 x 1", "11 x 2", "10 x 3"]),
        (Asks, ["10 x 3", "11 x 2", "12 x 1"]),
    ] {
        let ladder = ladder(side, pairs, None);
        for (place, level) in levels.into_iter().enumerate() {
            assert_eq!(ladder.nth(place).map(shown).as_deref(), Some(level));
        }
        assert_eq!(ladder.nth(3), None);
        assert_eq!(ladder.nth(usize::MAX), None);
    }
}

#[test]
fn a_wider_message_widens_all_numbers_and_the_bound() {
    let mut ladder = ladder(Asks, &[("10.5", "1"), ("11.5", "2")], Some(2));
    ladder.apply(&levels(&[("10.525", "3.25")]));
    assert_eq!(all(&ladder), "10.500 x 1.00, 10.525 x 3.25, 11.500 x 2.00");
    assert_eq!((bound(&ladder).as_str(), ladder.coverage()), ("11.500", 3));
    // A narrower one is widened itself.
    assert_eq!(ladder.apply(&levels(&[("11", "7"), ("10.5", "1")])), 1);
    assert_eq!(
        all(&ladder),
        "10.500 x 1.00, 10.525 x 3.25, 11.000 x 7.00, 11.500 x 2.00"
    );
    assert!(ladder.is_narrow(), "all of it fits 64 bits");
}

#[test]
fn only_one_of_both_widths_may_grow() {
    for (pair, shown) in [
        (("9.25", "2"), "10.50 x 1.5, 9.25 x 2.0"),
        (("9", "2.25"), "10.5 x 1.50, 9.0 x 2.25"),
        (("9", "2"), "10.5 x 1.5, 9.0 x 2.0"),
    ] {
        let mut ladder = ladder(Bids, &[("10.5", "1.5")], None);
        ladder.apply(&levels(&[pair]));
        assert_eq!(all(&ladder), shown);
    }
}

#[test]
fn a_message_without_levels_changes_nothing_whatever_its_width() {
    let mut ladder = ladder(Bids, &[("10", "1")], None);
    let nothing = SideLevels {
        price_scale: 5,
        quantity_scale: 5,
        ..SideLevels::default()
    };
    assert_eq!(ladder.apply(&nothing), 0);
    assert_eq!(all(&ladder), "10 x 1");
}

#[test]
fn a_snapshot_in_any_order_and_with_zeros_is_loaded_like_a_message() {
    let pairs: Levels = &[("10", "1"), ("12", "2"), ("11", "0"), ("10", "5")];
    let sorted: Levels = &[("12", "2"), ("11", "0"), ("10", "5")];
    let twice: Levels = &[("12", "9"), ("12", "2"), ("10", "5")];
    for pairs in [pairs, sorted, twice] {
        assert_eq!(all(&ladder(Bids, pairs, None)), "12 x 2, 10 x 5");
        assert_eq!(all(&ladder(Asks, pairs, None)), "10 x 5, 12 x 2");
    }
}

#[test]
fn the_bound_lies_where_even_a_zero_of_the_snapshot_lay() {
    let pairs: Levels = &[("12", "2"), ("11", "1"), ("10", "0")];
    assert_eq!(bound(&ladder(Bids, pairs, None)), "10");
}

/// Numbers of more than 64 bits: 20 digits before the point.
const HUGE: &str = "20000000000000000000";

#[test]
fn a_number_beyond_64_bits_makes_a_side_wide_and_nothing_else() {
    let mut ladder = ladder(Bids, &[("10", "1"), ("9", "2")], Some(2));
    assert!(ladder.is_narrow());
    let narrow_bytes = ladder.memory_bytes();
    assert_eq!(ladder.apply(&levels(&[("9", HUGE), ("8", "3")])), 2);
    assert!(!ladder.is_narrow());
    assert!(ladder.memory_bytes() > narrow_bytes);
    assert_eq!(all(&ladder), format!("10 x 1, 9 x {HUGE}, 8 x 3"));
    assert_eq!((bound(&ladder).as_str(), ladder.coverage()), ("9", 2));
    assert_eq!(ladder.nth(1).map(shown), Some(format!("9 x {HUGE}")));
    assert_eq!(ladder.best().map(shown), Some("10 x 1".to_owned()));
    // Narrow messages are still understood, at wider decimals, too.
    assert_eq!(ladder.apply(&levels(&[("9", "0"), ("8.5", "1")])), 2);
    assert_eq!(all(&ladder), "10.0 x 1, 8.5 x 1, 8.0 x 3");
    assert_eq!((ladder.len(), ladder.is_empty()), (3, false));
}

#[test]
fn the_greatest_number_of_64_bits_is_a_price_like_any_other() {
    let greatest = i64::MAX.to_string();
    for side in [Bids, Asks] {
        let mut ladder = ladder(side, &[], None);
        for (quantity, changed, len) in [("1", 1, 1), ("1", 0, 1), ("0", 1, 0), ("2", 1, 1)] {
            let found = ladder.apply(&levels(&[(&greatest, quantity)]));
            assert_eq!((found, ladder.len()), (changed, len), "{side:?} {quantity}");
        }
        assert!(ladder.is_narrow());
        let shown = format!("{greatest} x 2");
        assert_eq!(ladder.best().map(self::shown), Some(shown.clone()));
        assert_eq!(all(&ladder), shown);
    }
}

#[test]
fn a_wide_snapshot_is_a_wide_side() {
    for (side, shown, worst) in [
        (Bids, format!("11 x {HUGE}, 10 x 1"), "10"),
        (Asks, format!("10 x 1, 11 x {HUGE}"), "11"),
    ] {
        let ladder = ladder(side, &[("11", HUGE), ("10", "1")], Some(2));
        assert!(!ladder.is_narrow());
        assert_eq!(all(&ladder), shown);
        assert_eq!((bound(&ladder).as_str(), ladder.coverage()), (worst, 2));
    }
}

#[test]
fn widths_that_do_not_fit_64_bits_any_more_make_the_side_wide() {
    // 9 digits and 9 decimals fit; with 12 decimals they do not.
    let mut ladder = ladder(Bids, &[("900000000.5", "1")], Some(1));
    ladder.apply(&levels(&[("1.000000000001", "1")]));
    assert!(!ladder.is_narrow());
    assert_eq!(
        all(&ladder),
        "900000000.500000000000 x 1, 1.000000000001 x 1"
    );
    assert_eq!(bound(&ladder), "900000000.500000000000");
    // The other way round: the side has the decimals, the message the digits.
    let mut other = self::ladder(Bids, &[("1.000000000001", "1")], Some(1));
    assert!(other.is_narrow());
    other.apply(&levels(&[("900000000.5", "1"), ("2", "1")]));
    assert!(!other.is_narrow());
    assert_eq!(
        all(&other),
        "900000000.500000000000 x 1, 2.000000000000 x 1, 1.000000000001 x 1"
    );
}

#[test]
fn a_bound_that_64_bits_do_not_hold_any_more_still_divides_the_side() {
    let far = "9000000000000000000";
    for (side, kept, gone, inside) in [(Bids, "1", far, false), (Asks, "1", far, true)] {
        let mut ladder = ladder(side, &[(far, "1")], Some(1));
        ladder.apply(&levels(&[(kept, "1"), (gone, "0")]));
        ladder.apply(&levels(&[("1.5", "1")]));
        assert!(ladder.is_narrow());
        assert_eq!(bound(&ladder), format!("{far}.0"));
        assert_eq!(ladder.coverage(), if inside { 2 } else { 0 }, "{side:?}");
        for count in 0..=3 {
            let complete = count <= ladder.coverage();
            assert_eq!(ladder.is_complete(count), complete, "{side:?} {count}");
        }
    }
}

#[test]
fn a_quantity_that_does_not_fit_at_the_sides_width_makes_it_wide() {
    let mut ladder = ladder(Asks, &[("10", "0.000000000001")], None);
    ladder.apply(&levels(&[("11", "900000000"), ("12", "1")]));
    assert!(!ladder.is_narrow());
    assert_eq!(ladder.len(), 3);
}

/// A side of a table: `12x1 11x2 to 11`, `all` for the whole side, `none` for no range.
fn side_of(side: Side, text: &str) -> Ladder {
    let (levels, range) = text.split_once(" to ").expect("a range");
    let pairs: Vec<_> = levels
        .split_whitespace()
        .map(|level| level.split_once('x').expect("price x quantity"))
        .collect();
    let limit = match range {
        "all" => Some(pairs.len() + 1),
        "end" => Some(pairs.len()),
        "none" => return none(side, &pairs),
        bound => return bounded(side, &pairs, bound),
    };
    ladder(side, &pairs, limit)
}

fn none(side: Side, pairs: Levels) -> Ladder {
    let mut ladder = Ladder::new(side);
    ladder.apply(&levels(pairs));
    ladder
}

/// Proven to a bound, with levels beyond it that diffs brought.
fn bounded(side: Side, pairs: Levels, bound: &str) -> Ladder {
    let at = pairs.iter().position(|(price, _)| *price == bound);
    let proven = at.expect("a bound of the levels") + 1;
    let mut ladder = ladder(side, &pairs[..proven], Some(proven));
    ladder.apply(&levels(&pairs[proven..]));
    ladder
}

/// The held bids, a fresh copy; the tally (checked, differing, missing, extra), and what they become.
const MERGES: &str = "
held                     | fresh                   | tally   | merged                          | to
12x1 11x2 to end         | 12x1 11x2 to end        | 2 0 0 0 | 12 x 1, 11 x 2                  | 11
12x1 11x2 to end         | 12x1 11x2 10x3 to end   | 2 0 0 0 | 12 x 1, 11 x 2, 10 x 3          | 10
12x1 11x2 10x3 to end    | 12x1 11x2 to end        | 2 0 0 0 | 12 x 1, 11 x 2, 10 x 3          | 10
12x1 11x2 10x3 to 11     | 12x1 11x2 10x4 to end   | 2 0 0 0 | 12 x 1, 11 x 2, 10 x 4          | 10
12x1 11x2 10x3 to end    | 12x5 11x2 to end        | 2 1 0 0 | 12 x 5, 11 x 2, 10 x 3          | 11
12x1 11x2 10x3 to end    | 13x1 12x1 to end        | 2 0 1 0 | 13 x 1, 12 x 1, 11 x 2, 10 x 3  | 12
13x1 12x1 11x2 to end    | 12x1 11x2 to end        | 3 0 0 1 | 12 x 1, 11 x 2                  | 11
12x1 10x1 to end         | 11x1 9x1 to end         | 3 0 1 2 | 11 x 1, 9 x 1                   | 9
12x1 11x2 to end         | 12x1 11x2 to all        | 2 0 0 0 | 12 x 1, 11 x 2                  | whole
12x1 11x2 to all         | 12x1 to end             | 1 0 0 0 | 12 x 1, 11 x 2                  | whole
12x1 11x2 to all         | 12x2 to end             | 1 1 0 0 | 12 x 2, 11 x 2                  | 12
12x1 11x2 to all         | 12x1 to all             | 2 0 0 1 | 12 x 1                          | whole
12x1 11x2 to none        | 12x3 to end             | 0 0 0 0 | 12 x 3, 11 x 2                  | 12
12x1 11x2 to none        | 10x3 to all             | 0 0 0 0 | 10 x 3                          | whole
12x1 11x2 to end         | 12x3 to none            | 0 0 0 0 | 12 x 1, 11 x 2                  | 11
12x1 to none             | 12x3 to none            | 0 0 0 0 | 12 x 1                          | nothing
12x1 11x2 to 12          | 12x1 11x3 10x1 to 11    | 1 0 0 0 | 12 x 1, 11 x 3                  | 11
12x1 11x2 to 12          | 12x1 11x3 10x1 to 12    | 1 0 0 0 | 12 x 1, 11 x 2                  | 12
";

#[test]
fn a_fresh_copy_gives_what_it_proves_and_the_wider_range_unless_something_was_wrong() {
    for [held, fresh, tally, merged, to] in rows::<5>(MERGES).into_iter().skip(1) {
        let mut ladder = side_of(Bids, held);
        let other = side_of(Bids, fresh);
        let counts: Vec<_> = tally
            .split(' ')
            .map(|count| count.parse().unwrap())
            .collect();
        let tally = Tally {
            checked: counts[0],
            differing: counts[1],
            missing: counts[2],
            extra: counts[3],
        };
        let what = format!("{held}, {fresh}");
        let before = (all(&ladder), bound(&ladder));
        assert_eq!(ladder.compare(&other), tally, "{what}");
        assert_eq!((all(&ladder), bound(&ladder)), before, "{what}");
        assert_eq!(ladder.merge(other).tally, tally, "{what}");
        let becomes = (merged.to_owned(), to.to_owned());
        assert_eq!((all(&ladder), bound(&ladder)), becomes, "{what}");
    }
}

#[test]
fn a_merge_says_whether_the_side_holds_other_levels_than_before() {
    let two: Levels = &[("10", "1"), ("9", "2")];
    for (fresh, altered) in [
        (two, false),
        (&two[..1], false),
        (&[("10", "3"), ("9", "2")], true),
        (&[("10", "1"), ("9.5", "1"), ("9", "2")], true),
        (&[("10", "1"), ("9", "2"), ("8", "1")], true),
    ] {
        let mut held = ladder(Bids, two, Some(2));
        let merged = held.merge(ladder(Bids, fresh, Some(fresh.len())));
        assert_eq!(merged.altered, altered, "{fresh:?}");
    }
    let mut held = ladder(Bids, two, Some(2));
    assert!(!held.merge(Ladder::new(Bids)).altered, "nothing is proven");
}

#[test]
fn a_message_changes_what_the_side_does_not_hold_already() {
    let held = ladder(Bids, &[("10", "1"), ("9", "2"), ("8", "3")], Some(3));
    for (message, changed) in [
        (&[("10", "1"), ("9", "2")] as Levels, ""),
        (&[("10", "0"), ("9", "2")], "10 x 0"),
        (&[("9", "5"), ("8.5", "1"), ("7", "0")], "9.0 x 5, 8.5 x 1"),
        (&[("10", "7"), ("10", "1")], ""),
    ] {
        let run = held.changed_by(&levels(message));
        let found: Vec<_> = run.iter().map(shown).collect();
        assert_eq!(found.join(", "), changed, "{message:?}");
    }
}

#[test]
fn asks_are_merged_from_their_own_end() {
    let mut held = ladder(Asks, &[("10", "1"), ("11", "2"), ("12", "3")], Some(3));
    let fresh = ladder(Asks, &[("10", "1"), ("11", "2")], Some(2));
    let clean = Tally {
        checked: 2,
        ..Tally::default()
    };
    assert_eq!(held.merge(fresh).tally, clean);
    assert_eq!(
        (all(&held).as_str(), bound(&held).as_str()),
        ("10 x 1, 11 x 2, 12 x 3", "12")
    );
}

#[test]
fn copies_of_different_widths_are_compared_as_numbers() {
    for (held, fresh) in [
        (("10.5", "1"), ("10.500", "1.00")),
        (("10.500", "1.00"), ("10.5", "1")),
        (("10.5", "1.00"), ("10.500", "1")),
    ] {
        let (one, two) = ([held, ("9", "1")], [fresh, ("9", "1")]);
        let mut ladder = ladder(Bids, &one, Some(2));
        let found = ladder.merge(self::ladder(Bids, &two, Some(2))).tally;
        assert_eq!((found.checked, found.wrong()), (2, 0));
        assert_eq!(ladder.len(), 2);
    }
    let mut wider = ladder(Bids, &[("10.5", "1")], Some(1));
    wider.merge(ladder(Bids, &[("10.5", "1"), ("10.25", "1.5")], Some(2)));
    assert_eq!(all(&wider), "10.50 x 1.0, 10.25 x 1.5");
    assert_eq!(bound(&wider), "10.25");
}

#[test]
fn a_merge_is_wide_where_it_must_be_and_narrow_where_it_can() {
    let mut wide = ladder(Bids, &[("10", HUGE)], Some(1));
    wide.merge(ladder(Bids, &[("10", "1")], Some(1)));
    assert!(wide.is_narrow());
    assert_eq!(all(&wide), "10 x 1");
    wide.merge(ladder(Bids, &[("10", HUGE)], Some(1)));
    assert!(!wide.is_narrow());
    assert_eq!(all(&wide), format!("10 x {HUGE}"));
}

#[test]
fn numbers_are_compared_by_value_whatever_their_decimals() {
    let number = |mantissa, scale| Number { mantissa, scale };
    for (one, two, at_least) in [
        (number(10, 0), number(10, 0), true),
        (number(11, 0), number(10, 0), true),
        (number(9, 0), number(10, 0), false),
        (number(100, 1), number(10, 0), true),
        (number(99, 1), number(10, 0), false),
        (number(10, 0), number(101, 1), false),
        (number(10, 0), number(100, 1), true),
        (number(1010, 2), number(101, 1), true),
    ] {
        assert_eq!(one.is_at_least(two), at_least, "{one} {two}");
    }
}
