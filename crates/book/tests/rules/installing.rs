//! Snapshots and the diffs that were kept for them: which are taken, dropped, replayed, kept again.

use depthcache_book::market::SnapshotRefusal;
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::sequence::{
    Continuity, LARGEST_JUMP, LARGEST_PLAUSIBLE_ID, SnapshotTime,
};
use depthcache_book::message::DepthSnapshot;
use depthcache_book::query::Reading;

use crate::builders::{Diff, Levels, MarketHarness, T, chained, diff, futures, snapshot, spot};

/// A diff that adds a bid at its own last id, so that the book shows which were applied.
fn marked(first: i64, last: i64) -> Diff {
    diff(first, last).with(&[(&last.to_string(), "1")], &[])
}

fn marked_chain(previous: i64, first: i64, last: i64) -> Diff {
    chained(previous, first, last).with(&[(&last.to_string(), "1")], &[])
}

#[test]
fn the_first_kept_diff_decides_whether_a_snapshot_is_new_enough() {
    use SnapshotOutcome::{Synced, TooOld};
    for (snapshot_id, outcome, id, book) in [
        (9, TooOld, "-", " | "),
        (10, TooOld, "-", " | "),
        (11, Synced, "13", "13 x 1 | "),
        (12, Synced, "13", "13 x 1 | "),
        (13, Synced, "13", " | "),
        (99, Synced, "99", " | "),
    ] {
        let mut harness = spot();
        harness.feed(&marked(12, 13), 1);
        let found = harness.load(&snapshot(snapshot_id, &[], &[]), 2);
        assert_eq!(found, outcome, "{snapshot_id}");
        assert_eq!(
            (harness.id(), harness.book()),
            (id.into(), book.into()),
            "{snapshot_id}"
        );
    }
}

#[test]
fn on_futures_what_the_first_kept_diff_follows_decides() {
    use SnapshotOutcome::{Synced, TooOld};
    for (snapshot_id, outcome, id, book) in [
        (9, TooOld, "-", " | "),
        (10, Synced, "20", "20 x 1 | "),
        (11, Synced, "20", "20 x 1 | "),
        (19, Synced, "20", "20 x 1 | "),
        (20, Synced, "20", "20 x 1 | "),
        (21, Synced, "21", " | "),
    ] {
        let mut harness = futures();
        harness.feed(&marked_chain(10, 15, 20), 1);
        let found = harness.load(&snapshot(snapshot_id, &[], &[]), 2);
        assert_eq!(found, outcome, "{snapshot_id}");
        assert_eq!(
            (harness.id(), harness.book()),
            (id.into(), book.into()),
            "{snapshot_id}"
        );
    }
}

#[test]
fn a_refused_snapshot_changes_nothing_and_counts_nothing() {
    let mut harness = spot().synced_at(10, &[("99", "1")], &[]);
    harness.feed(&marked(15, 15), 4);
    harness.causes();
    let before = (
        harness.status_info(),
        harness.counts(),
        harness.book(),
        harness.proven(),
    );
    let refused = snapshot(13, &[("50", "1")], &[]).asked(Some(1));
    assert_eq!(harness.load(&refused, 5), SnapshotOutcome::TooOld);
    assert_eq!((harness.id(), harness.causes()), ("10".into(), "".into()));
    let after = (
        harness.status_info(),
        harness.counts(),
        harness.book(),
        harness.proven(),
    );
    assert_eq!(after, before);
    assert_eq!(
        harness.load(&snapshot(14, &[], &[]), 6),
        SnapshotOutcome::Synced
    );
    assert_eq!(harness.book(), "15 x 1 | ");
}

#[test]
fn kept_diffs_are_replayed_in_order_and_old_ones_counted() {
    let mut harness = spot();
    for id in 8..=12 {
        harness.feed(&marked(id, id), id);
    }
    harness.causes();
    let outcome = harness.load(&snapshot(10, &[("10", "7")], &[]).before_live(), 50);
    assert_eq!(outcome, SnapshotOutcome::Synced);
    assert_eq!(harness.book(), "12 x 1, 11 x 1, 10 x 7 | ");
    assert_eq!(harness.status_info(), "synced since 50: ");
    assert_eq!(harness.causes(), "synced, confirmed");
    assert_eq!(
        harness.counts(),
        "applied 2, old 3, snapshots 1, levels_changed 2"
    );
    assert_eq!(harness.market.updated_ns(), Some(12));
    // Nothing of it is kept for the next snapshot.
    harness.market.resync("asked for", 51);
    assert_eq!(
        harness.load(&snapshot(2, &[], &[]), 51),
        SnapshotOutcome::Synced
    );
    assert_eq!((harness.id(), harness.book()), ("2".into(), " | ".into()));
}

#[test]
fn a_snapshot_alone_forgets_everything_of_the_book_before_it() {
    let mut harness = spot().synced_at(10, &[("99", "1")], &[("101", "1")]);
    assert_eq!(harness.market.updated_ns(), Some(3));
    assert!(harness.market.event_time_us().is_some());
    harness.load(&snapshot(20, &[("98", "1")], &[]), 4);
    assert_eq!(harness.market.last_diff(), None);
    assert_eq!(
        harness.market.updated_ns(),
        Some(4),
        "it counts from the snapshot"
    );
    assert_eq!(harness.market.event_time_us(), None, "no time is known");
    assert_eq!(harness.book(), "98 x 1 | ");
    assert!(harness.market.unconfirmed());
}

#[test]
fn a_duplicate_among_the_kept_diffs_changes_nothing() {
    let mut harness = futures();
    let bridge = marked_chain(5, 8, 10);
    harness.feed(&bridge, 1);
    harness.feed(&bridge, 2);
    harness.feed(&marked_chain(10, 11, 12), 3);
    assert_eq!(
        harness.load(&snapshot(10, &[], &[]), 4),
        SnapshotOutcome::Synced
    );
    assert_eq!(
        harness.counts(),
        "applied 2, old 1, snapshots 1, levels_changed 2"
    );
}

#[test]
fn a_hole_among_the_kept_diffs_is_a_gap_and_what_lies_behind_it_is_kept() {
    let mut harness = spot();
    for (id, at_ns) in [(11, 1), (13, 2), (14, 3), (16, 4)] {
        harness.feed(&marked(id, id), at_ns);
    }
    harness.causes();
    assert_eq!(
        harness.load(&snapshot(10, &[], &[]), 50),
        SnapshotOutcome::Gap
    );
    assert_eq!(
        harness.status_info(),
        "buffering since 1: sequence gap: the book is at 11, but the next update follows 12"
    );
    assert_eq!(
        (harness.id(), harness.causes()),
        ("11".into(), "gap".into())
    );
    assert_eq!(
        harness.counts(),
        "applied 1, gaps 1, snapshots 1, levels_changed 1"
    );
    // A gap is no confirmed book: what is kept decides about the next snapshot.
    assert_eq!(
        harness.load(&snapshot(11, &[], &[]), 51),
        SnapshotOutcome::TooOld
    );
    assert_eq!(
        harness.load(&snapshot(12, &[], &[]), 52),
        SnapshotOutcome::Gap
    );
    assert_eq!(
        (harness.id(), harness.book()),
        ("14".into(), "14 x 1, 13 x 1 | ".into())
    );
    assert_eq!(
        harness.load(&snapshot(15, &[], &[]), 53),
        SnapshotOutcome::Synced
    );
    assert_eq!(
        (harness.id(), harness.book()),
        ("16".into(), "16 x 1 | ".into())
    );
    assert_eq!(harness.market.updated_ns(), Some(4));
}

#[test]
fn after_a_gap_the_frame_of_the_gap_is_the_first_kept_one() {
    let mut harness = spot().synced_at(10, &[("1", "1")], &[]);
    assert_eq!(harness.feed(&marked(13, 13), 4), Outcome::Gap);
    assert_eq!(harness.feed(&marked(14, 14), 5), Outcome::Gap);
    assert_eq!(harness.book(), "1 x 1 | ");
    assert_eq!(
        harness.load(&snapshot(11, &[], &[]), 6),
        SnapshotOutcome::TooOld
    );
    assert_eq!(
        harness.load(&snapshot(12, &[], &[]), 7),
        SnapshotOutcome::Synced
    );
    assert_eq!(
        (harness.id(), harness.book()),
        ("14".into(), "14 x 1, 13 x 1 | ".into())
    );
}

#[test]
fn a_restart_forgets_the_kept_diffs_and_a_resync_keeps_them() {
    for (restart, book) in [(true, " | "), (false, "12 x 1 | ")] {
        let mut harness = spot();
        harness.feed(&marked(12, 12), 1);
        if restart {
            harness.market.restart("a new connection", 2);
        } else {
            harness.market.resync("asked for", 2);
        }
        harness.load(&snapshot(11, &[], &[]), 3);
        assert_eq!(harness.book(), book, "restart {restart}");
    }
}

/// Two frames of one length.
fn two() -> (Diff, Diff, usize) {
    let (one, two) = (marked(11, 11), marked(12, 12));
    let bytes = one.frame().len();
    assert_eq!(bytes, two.frame().len());
    (one, two, bytes)
}

#[test]
fn a_buffer_that_is_exactly_full_keeps_everything() {
    let (one, two, bytes) = two();
    let mut harness = MarketHarness::new(Continuity::Contiguous, 2 * bytes);
    harness.feed(&one, 1);
    harness.feed(&two, 2);
    assert_eq!(
        (harness.causes(), harness.counts()),
        ("first_data".into(), "".into())
    );
    harness.load(&snapshot(10, &[], &[]), 3);
    assert_eq!(harness.book(), "12 x 1, 11 x 1 | ");
}

#[test]
fn one_byte_too_much_drops_the_buffer_and_keeps_the_newest() {
    let (one, two, bytes) = two();
    let mut harness = MarketHarness::new(Continuity::Contiguous, 2 * bytes - 1);
    harness.feed(&one, 1);
    harness.causes();
    harness.feed(&two, 2);
    assert_eq!(harness.causes(), "buffer_dropped");
    assert_eq!(harness.counts(), "dropped_buffers 1");
    assert_eq!(
        harness.load(&snapshot(10, &[], &[]), 3),
        SnapshotOutcome::TooOld
    );
    assert_eq!(
        harness.load(&snapshot(11, &[], &[]), 4),
        SnapshotOutcome::Synced
    );
    assert_eq!(harness.book(), "12 x 1 | ");
}

#[test]
fn a_single_diff_larger_than_the_buffer_is_kept_all_the_same() {
    let (one, two, bytes) = two();
    let mut harness = MarketHarness::new(Continuity::Contiguous, bytes - 1);
    harness.feed(&one, 1);
    assert_eq!(harness.counts(), "");
    harness.feed(&two, 2);
    assert_eq!(harness.counts(), "dropped_buffers 1");
    harness.load(&snapshot(11, &[], &[]), 3);
    assert_eq!(harness.book(), "12 x 1 | ");
}

#[test]
fn a_dropped_buffer_has_all_its_room_again() {
    let (one, two, bytes) = two();
    let mut harness = MarketHarness::new(Continuity::Contiguous, 2 * bytes);
    harness.feed(&one, 1);
    harness.feed(&one, 2);
    harness.feed(&one, 3);
    harness.feed(&two, 4);
    assert_eq!(harness.counts(), "dropped_buffers 1");
    harness.load(&snapshot(10, &[], &[]), 5);
    assert_eq!(harness.book(), "12 x 1, 11 x 1 | ");
}

#[test]
fn a_change_counts_what_really_changed_on_both_sides() {
    let mut harness = spot().synced_at(10, &[("99", "1"), ("98", "2")], &[("101", "1")]);
    let bids: Levels = &[("99", "1"), ("98", "0"), ("97", "0"), ("96", "4")];
    let asks: Levels = &[("101", "5"), ("103", "0")];
    harness.feed(&diff(11, 11).with(bids, asks), 4);
    assert_eq!(harness.book(), "99 x 1, 96 x 4 | 101 x 5");
    assert_eq!(harness.counts(), "applied 2, snapshots 1, levels_changed 3");
    assert_eq!(
        (harness.id(), harness.market.updated_ns()),
        ("11".into(), Some(4))
    );
}

#[test]
fn a_snapshot_far_above_what_is_known_is_of_no_exchange() {
    let check = |harness: &MarketHarness, last_update_id: i64| {
        harness.market.check(&DepthSnapshot {
            last_update_id,
            ..DepthSnapshot::default()
        })
    };
    let most_is = |harness: &MarketHarness, most: i64| {
        assert_eq!(check(harness, most), Ok(()));
        assert_eq!(check(harness, most + 1), Err(SnapshotRefusal::Id));
    };
    let mut harness = spot();
    most_is(&harness, LARGEST_PLAUSIBLE_ID);
    harness.feed(&diff(12, 12).made_at(0), 1);
    most_is(&harness, LARGEST_PLAUSIBLE_ID);
    harness.feed(&diff(20, 20), 2);
    harness.feed(&diff(15, 15), 3);
    most_is(&harness, 20 + LARGEST_JUMP);
    most_is(&spot().synced_at(30, &[], &[]), 30 + LARGEST_JUMP);
}

#[test]
fn kept_diffs_from_before_a_reset_are_dropped_and_those_behind_it_stay() {
    const S: i64 = 1_000_000;
    for (earliest_s, outcome, id, counted) in [
        (5, SnapshotOutcome::TooOld, "-", ""),
        (
            9,
            SnapshotOutcome::Synced,
            "6",
            "applied 1, resets 1, snapshots 1, levels_changed 1",
        ),
    ] {
        let mut harness = spot();
        harness.feed(&marked(1_000, 1_000), 1);
        harness.feed(&marked(6, 6).made_at(T + 5 * S), 2);
        harness.causes();
        let made = SnapshotTime {
            earliest_us: T + earliest_s * S,
            latest_us: T + 20 * S,
        };
        let found = harness.load(&snapshot(5, &[], &[]).made(made), 3);
        assert_eq!((found, harness.id().as_str()), (outcome, id));
        assert_eq!(harness.counts(), counted);
        assert_eq!(harness.causes().contains("reset"), id == "6");
    }
}

#[test]
fn an_old_diff_before_any_other_is_kept_and_the_next_snapshot_decides_what_it_was() {
    for (confirmed, outcome, id) in [
        (false, SnapshotOutcome::Synced, "5"),
        (true, SnapshotOutcome::TooOld, "11"),
    ] {
        let mut harness = spot();
        harness.load(&snapshot(10, &[], &[]), 1);
        if confirmed {
            harness.feed(&marked(11, 11).made_at(0), 2);
        }
        assert_eq!(harness.feed(&marked(5, 5), 3), Outcome::Old);
        let found = harness.load(&snapshot(4, &[], &[]), 4);
        assert_eq!((found, harness.id().as_str()), (outcome, id));
    }
}
