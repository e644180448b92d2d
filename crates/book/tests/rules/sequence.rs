//! Which diff may follow which: every border of both families.

use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::sequence::{
    Continuity, Ids, RESET_AFTER_US, SequenceCheck, SnapshotTime, check_sequence, looks_reset,
};

use crate::builders::{T, chained, diff, futures, spot};

use Continuity::{Chained, Contiguous};
use SequenceCheck::{Gap, Next, Old};

const HELD: i64 = 10;

#[test]
fn contiguous_ids_are_judged_alike_before_and_after_the_first_diff() {
    for (first, last, check) in [
        (9, 9, Old),
        (1, 10, Old),
        (10, 10, Old),
        (5, 11, Next),
        (10, 11, Next),
        (11, 11, Next),
        (11, 20, Next),
        (12, 12, Gap),
        (12, 20, Gap),
    ] {
        let ids = Ids::of(&diff(first, last).update(), Contiguous).unwrap();
        for has_diff in [false, true] {
            let found = check_sequence(Contiguous, HELD, ids, has_diff);
            assert_eq!(found, check, "U={first} u={last} has_diff={has_diff}");
        }
    }
}

#[test]
fn chained_ids_bridge_a_snapshot_at_its_very_id_and_are_old_there_afterwards() {
    for (follows, last, at_first, afterwards) in [
        (3, 9, Old, Old),
        (8, 9, Old, Old),
        (3, 10, Next, Old),
        (9, 10, Next, Old),
        (9, 11, Next, Next),
        (5, 14, Next, Next),
        (10, 11, Next, Next),
        (10, 19, Next, Next),
        (11, 12, Gap, Gap),
        (12, 19, Gap, Gap),
    ] {
        let ids = Ids { follows, last };
        let found = [false, true].map(|has_diff| check_sequence(Chained, HELD, ids, has_diff));
        assert_eq!(found, [at_first, afterwards], "pu={follows} u={last}");
    }
}

#[test]
fn contiguous_verdicts_say_which_updates_a_book_lacks() {
    for held in 0..8i64 {
        for first in 1..10 {
            for last in first..10 {
                let brings_news = (first..=last).any(|id| id > held);
                let leaves_a_hole = (held + 1..first).count() > 0;
                let meant = match (brings_news, leaves_a_hole) {
                    (false, _) => Old,
                    (true, true) => Gap,
                    (true, false) => Next,
                };
                let ids = Ids::of(&diff(first, last).update(), Contiguous).unwrap();
                let found = check_sequence(Contiguous, held, ids, true);
                assert_eq!(found, meant, "held {held}, {first} to {last}");
            }
        }
    }
}

/// The diffs of one symbol among ids that are shared with others.
const CHAIN: [(i64, i64, i64); 6] = [
    (10, 12, 15),
    (15, 16, 16),
    (16, 20, 28),
    (28, 29, 30),
    (30, 41, 44),
    (44, 45, 47),
];

#[test]
fn a_chain_is_followed_from_a_snapshot_of_any_id_and_every_lost_diff_is_a_gap() {
    for snapshot_id in 10..=47 {
        let needed = CHAIN.iter().position(|(_, _, last)| *last >= snapshot_id);
        let needed = needed.unwrap();
        for lost in 0..=CHAIN.len() {
            let mut harness = futures();
            harness.load(&crate::builders::snapshot(snapshot_id, &[], &[]), 1);
            for (number, (follows, first, last)) in CHAIN.into_iter().enumerate() {
                if number == lost {
                    continue;
                }
                let outcome = harness.feed(&chained(follows, first, last), 2);
                let ended_there = lost < needed || lost >= number;
                // A diff that ends at the snapshot's id holds nothing new: its loss is none.
                let nothing_lost = lost == needed && CHAIN[needed].2 == snapshot_id;
                let meant = match () {
                    () if number < needed => Outcome::Old,
                    () if ended_there || nothing_lost => Outcome::Applied,
                    () => Outcome::Gap,
                };
                let what = format!("snapshot {snapshot_id}, diff {number}, without {lost}");
                assert_eq!(outcome, meant, "{what}");
            }
        }
    }
}

#[test]
fn a_chained_diff_that_does_not_say_what_it_follows_has_no_ids() {
    let update = diff(11, 12).update();
    assert_eq!(Ids::of(&update, Chained), None);
    let (follows, last) = (10, 12);
    assert_eq!(Ids::of(&update, Contiguous), Some(Ids { follows, last }));
    let update = chained(7, 11, 12).update();
    let follows = 7;
    assert_eq!(Ids::of(&update, Chained), Some(Ids { follows, last }));
}

#[test]
fn continuity_is_one_of_two_words() {
    assert_eq!(Continuity::parse("contiguous"), Some(Contiguous));
    assert_eq!(Continuity::parse("chained"), Some(Chained));
    for other in ["", "Chained", "chain"] {
        assert_eq!(Continuity::parse(other), None, "{other:?}");
    }
}

#[test]
fn old_ids_more_than_five_seconds_later_look_like_a_reset() {
    for (later_us, reset) in [
        (-1, false),
        (0, false),
        (RESET_AFTER_US - 1, false),
        (5_000_000, false),
        (5_000_001, true),
    ] {
        assert_eq!(looks_reset(T + later_us, Some(T)), reset, "{later_us}");
    }
    assert!(!looks_reset(T, None));
    assert!(!looks_reset(i64::MAX, Some(i64::MAX - 1)));
}

#[test]
fn an_old_diff_five_seconds_after_the_last_is_a_duplicate_and_a_microsecond_later_a_reset() {
    for (later_us, outcome, status_info, counts) in [
        (
            5_000_000,
            Outcome::Old,
            "synced since 2: ",
            "applied 1, old 1, snapshots 1",
        ),
        (
            5_000_001,
            Outcome::Gap,
            "buffering since 50: the exchange reset its update ids",
            "applied 1, old 1, resets 1, snapshots 1",
        ),
    ] {
        let mut harness = spot().synced_at(10, &[], &[]);
        let old = diff(5, 5).made_at(T + later_us);
        assert_eq!(harness.feed(&old, 50), outcome);
        assert_eq!(
            (harness.status_info(), harness.counts()),
            (status_info.into(), counts.into())
        );
    }
}

#[test]
fn the_first_diff_of_ids_that_began_is_new_is_kept_for_the_next_snapshot() {
    let mut harness = spot().synced_at(10, &[("99", "1")], &[]);
    let after_reset = diff(3, 4).made_at(T + 5_000_001);
    harness.feed(&after_reset.with(&[("98", "2")], &[]), 50);
    let newer = crate::builders::snapshot(2, &[("97", "3")], &[]);
    assert_eq!(harness.load(&newer, 51), SnapshotOutcome::Synced);
    assert_eq!(
        (harness.id(), harness.book()),
        ("4".into(), "98 x 2, 97 x 3 | ".into())
    );
}

#[test]
fn without_the_time_of_the_snapshot_old_diffs_are_no_reset_however_far_they_are_apart() {
    let mut harness = spot();
    harness.load(&crate::builders::snapshot(10, &[], &[]), 1);
    for event_us in [0, T, T + 5_000_001, T + 3_600_000_000] {
        assert_eq!(harness.feed(&diff(5, 5).made_at(event_us), 2), Outcome::Old);
    }
    assert_eq!(harness.feed(&diff(6, 11).made_at(T), 3), Outcome::Applied);
    assert_eq!(harness.counts(), "applied 1, old 4, snapshots 1");
}

#[test]
fn with_it_an_old_diff_clearly_after_the_snapshot_is_one() {
    for (later_us, outcome) in [
        (0, Outcome::Old),
        (5_000_000, Outcome::Old),
        (5_000_001, Outcome::Gap),
    ] {
        let mut harness = spot();
        let made = SnapshotTime {
            earliest_us: 0,
            latest_us: T,
        };
        let dated = crate::builders::snapshot(10, &[], &[]).made(made);
        harness.load(&dated, 1);
        assert_eq!(
            harness.feed(&diff(5, 5).made_at(T + later_us), 2),
            outcome,
            "{later_us}"
        );
    }
}

#[test]
fn a_time_that_is_known_later_counts_as_one_that_was_known_at_once() {
    let mut harness = spot();
    harness.load(&crate::builders::snapshot(10, &[], &[]), 1);
    let old = diff(5, 5).made_at(T + 5_000_001);
    assert_eq!(harness.feed(&old, 2), Outcome::Old);
    let made = SnapshotTime {
        earliest_us: T,
        latest_us: T,
    };
    harness.market.date_snapshot(made);
    assert_eq!(harness.feed(&old, 3), Outcome::Gap);
}

#[test]
fn a_snapshot_with_a_lower_id_is_old_or_ids_began_is_new() {
    let at = |us| SnapshotTime {
        earliest_us: us,
        latest_us: us,
    };
    for (made, outcome, id) in [
        (None, SnapshotOutcome::TooOld, "10"),
        (Some(at(T + 5_000_000)), SnapshotOutcome::TooOld, "10"),
        (Some(at(T + 5_000_001)), SnapshotOutcome::Synced, "7"),
    ] {
        let mut harness = spot().synced_at(10, &[], &[]);
        let lower = crate::builders::snapshot(7, &[], &[]);
        let lower = made.map_or(lower, |made| {
            crate::builders::snapshot(7, &[], &[]).made(made)
        });
        assert_eq!(
            (harness.load(&lower, 5), harness.id()),
            (outcome, id.into()),
            "{made:?}"
        );
    }
}

#[test]
fn a_snapshot_forgets_the_base_of_the_book_before_it() {
    let mut harness = spot().synced_at(10, &[], &[]);
    harness.load(&crate::builders::snapshot(20, &[], &[]), 4);
    let old = diff(15, 15).made_at(T + 60_000_000);
    assert_eq!(harness.feed(&old, 5), Outcome::Old);
}

#[test]
fn a_diff_without_a_time_leaves_the_base_and_takes_the_event_time() {
    use depthcache_book::query::Reading;
    let mut harness = spot().synced_at(10, &[], &[]);
    assert_eq!(harness.market.event_time_us(), Some(T));
    assert_eq!(harness.feed(&diff(11, 11).made_at(0), 4), Outcome::Applied);
    assert_eq!(harness.market.event_time_us(), None);
    let old = diff(5, 5).made_at(T + 5_000_001);
    assert_eq!(harness.feed(&old, 5), Outcome::Gap);
}

/// Feed what was kept, then the last one; whether that was a reset.
fn is_reset(kept: &[(i64, i64)], (last, event_us): (i64, i64)) -> bool {
    let mut harness = spot();
    for (id, event_us) in kept {
        harness.feed(&diff(*id, *id).made_at(*event_us), 1);
    }
    assert_eq!(harness.counts(), "");
    harness.causes();
    harness.feed(&diff(last, last).made_at(event_us), 2);
    let is_new = harness.causes() == "reset";
    assert_eq!(harness.counts(), if is_new { "resets 1" } else { "" });
    if is_new {
        // What was kept before is of no use: the newest diff alone decides about a snapshot.
        harness.load(&crate::builders::snapshot(last - 1, &[], &[]), 3);
        assert_eq!(harness.id(), last.to_string());
    }
    is_new
}

#[test]
fn a_reset_while_a_book_waits_drops_the_diffs_buffered_before() {
    let second = 1_000_000;
    let later = T + 5 * second + 1;
    for (kept, newest, is_new) in [
        (vec![(20, T)], (15, later), true),
        (vec![(20, T)], (15, later - 1), false),
        (vec![(20, T)], (20, later), false),
        (vec![(20, T)], (15, 0), false),
        (vec![(20, 0)], (15, later), false),
        // The greatest id counts, as it was kept first and with a time.
        (vec![(20, T), (18, T + 4 * second)], (15, later), true),
        (vec![(20, T), (20, T + 4 * second)], (15, later), true),
        (vec![(18, T - second), (20, T)], (15, later - 1), false),
        (vec![(20, T), (25, 0)], (22, later), false),
    ] {
        assert_eq!(is_reset(&kept, newest), is_new, "{kept:?} {newest:?}");
    }
}

#[test]
fn a_restart_forgets_when_ids_could_be_reset() {
    let mut harness = spot();
    harness.feed(&diff(20, 20), 1);
    harness.market.restart("a new connection", 2);
    harness.feed(&diff(15, 15).made_at(T + 60_000_000), 3);
    assert_eq!(harness.counts(), "");
}

#[test]
fn a_time_of_the_snapshot_says_nothing_once_a_diff_has_followed_it() {
    let mut harness = spot();
    harness.load(&crate::builders::snapshot(10, &[], &[]), 1);
    harness.feed(&diff(11, 11).made_at(0), 2);
    let made = SnapshotTime {
        earliest_us: T,
        latest_us: T,
    };
    harness.market.date_snapshot(made);
    let old = diff(5, 5).made_at(T + 5_000_001);
    assert_eq!(harness.feed(&old, 3), Outcome::Old);
}

#[test]
fn under_an_undated_snapshot_older_ids_keep_their_time() {
    let mut harness = spot().synced_at(10, &[], &[]);
    harness.load(&crate::builders::snapshot(20, &[], &[]), 4);
    let of_unknown_ids = diff(15, 15).made_at(T + 5_000_001);
    assert_eq!(harness.feed(&of_unknown_ids, 5), Outcome::Old);
    let of_known_ids = diff(9, 9).made_at(T + 5_000_001);
    assert_eq!(harness.feed(&of_known_ids, 6), Outcome::Gap);
}
