//! The connections of a market: who is joined, who is ahead, and when a hole is a gap.

use depthcache_book::lines::Lines;
use depthcache_book::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::query::Reading;

use crate::desk::{Desk, diff, snapshot, spot};

const PATIENCE_NS: i64 = 1_500_000_000;

/// `1 heard 5 joined, 2 heard - apart`.
fn told(lines: &[depthcache_book::lines::Line]) -> String {
    let told = lines.iter().map(|line| {
        let heard = line.heard_ns.map_or("-".to_owned(), |at| at.to_string());
        let joined = if line.joined { " joined" } else { "" };
        format!("{} heard {heard}{joined}", line.connection)
    });
    told.collect::<Vec<_>>().join(", ")
}

fn of(connections: &[u64]) -> Lines {
    let mut lines = Lines::default();
    for connection in connections {
        lines.add(*connection, None);
    }
    lines
}

#[test]
fn a_line_is_there_once_and_two_are_many() {
    let mut lines = of(&[]);
    assert!(!lines.are_many());
    lines.add(1, Some(9));
    assert_eq!(
        (told(lines.all()), lines.are_many()),
        ("1 heard -".into(), false)
    );
    lines.add(1, Some(9));
    assert_eq!(
        (told(lines.all()), lines.are_many()),
        ("1 heard -".into(), false)
    );
    lines.add(2, Some(9));
    assert!(lines.are_many());
    lines.add(2, Some(9));
    lines.add(1, Some(9));
    assert_eq!(told(lines.all()), "1 heard 9 joined, 2 heard -");
    lines.remove(1);
    assert!(!lines.are_many());
}

#[test]
fn the_line_that_was_alone_is_the_one_that_kept_the_book() {
    for (heard, updated, told_of) in [
        (None, None, "1 heard - joined, 2 heard -"),
        (None, Some(7), "1 heard 7 joined, 2 heard -"),
        (Some(5), None, "1 heard 5 joined, 2 heard -"),
        (Some(5), Some(7), "1 heard 7 joined, 2 heard -"),
    ] {
        let mut lines = of(&[1]);
        if let Some(at) = heard {
            lines.on_kept(1, at);
        }
        lines.add(2, updated);
        assert_eq!(told(lines.all()), told_of);
    }
    let mut lines = of(&[1, 2]);
    lines.on_ahead(1, 5, None);
    lines.add(3, Some(7));
    assert_eq!(told(lines.all()), "1 heard 5, 2 heard -, 3 heard -");
}

#[test]
fn what_is_heard_joins_or_does_not() {
    let mut lines = of(&[1, 2]);
    lines.on_kept(2, 3);
    assert_eq!(told(lines.all()), "1 heard - joined, 2 heard 3");
    lines.on_joined(2, 4);
    assert_eq!(told(lines.all()), "1 heard - joined, 2 heard 4 joined");
    assert!(lines.on_ahead(2, 5, None));
    assert_eq!(told(lines.all()), "1 heard - joined, 2 heard 5");
    lines.on_kept(9, 6);
    lines.on_joined(9, 6);
    assert!(!lines.on_ahead(9, 6, None), "nobody knows that line");
    assert_eq!(told(lines.all()), "1 heard - joined, 2 heard 5");
    lines.on_installed();
    assert_eq!(told(lines.all()), "1 heard -, 2 heard 5 joined");
}

#[test]
fn a_hole_is_waited_for_only_while_another_line_is_joined() {
    let mut lines = of(&[1, 2]);
    assert!(!lines.on_ahead(1, 5, Some(99)), "nobody else is joined");
    assert!(
        !lines.on_ahead(2, 6, Some(99)),
        "the first one no longer is"
    );
    lines.on_joined(1, 7);
    assert!(lines.on_ahead(2, 8, None));
    lines.on_joined(2, 9);
    assert!(
        lines.on_ahead(2, 10, None),
        "it was joined itself, and another is"
    );
    lines.remove(1);
    lines.on_joined(2, 11);
    assert!(!lines.on_ahead(2, 12, None), "nobody else is left");
}

#[test]
fn patience_ends_unless_the_book_still_moves() {
    let since = 1_000;
    for (after, updated, helped) in [
        (0, None, true),
        (PATIENCE_NS - 1, None, true),
        (PATIENCE_NS, None, false),
        (PATIENCE_NS + 1, None, false),
        (PATIENCE_NS - 1, Some(since - 1), true),
        (PATIENCE_NS, Some(since - 1), false),
        (PATIENCE_NS, Some(since), false),
        (PATIENCE_NS, Some(since + 1), true),
        (10 * PATIENCE_NS, Some(since + 1), true),
    ] {
        let mut lines = of(&[1, 2]);
        assert!(lines.on_ahead(2, since, None));
        let found = lines.on_ahead(2, since + after, updated);
        assert_eq!(found, helped, "{after} {updated:?}");
    }
}

#[test]
fn patience_begins_anew_when_a_line_has_been_joined_or_a_snapshot_came() {
    let begin_anew: [fn(&mut Lines); 2] = [
        |lines| lines.on_joined(2, 2_000),
        |lines| {
            lines.on_kept(1, 2_000);
            lines.on_installed();
        },
    ];
    for begin in begin_anew {
        let mut lines = of(&[1, 2]);
        assert!(lines.on_ahead(2, 1_000, None));
        begin(&mut lines);
        assert!(lines.on_ahead(2, 3_000 + PATIENCE_NS, None));
        assert!(!lines.on_ahead(2, 3_000 + 2 * PATIENCE_NS, None));
    }
}

#[test]
fn the_last_joined_line_leaves_a_gap_where_another_is_ahead() {
    let mut lines = of(&[1, 2, 3]);
    lines.on_joined(1, 1);
    assert!(lines.on_ahead(2, 5, None));
    assert!(lines.on_ahead(3, 4, None));
    assert_eq!(lines.remove(9), None, "the joined one is still there");
    let mut two = lines.clone();
    assert_eq!(lines.remove(1), Some(5));
    assert_eq!(two.remove(2), None);
    assert_eq!(two.remove(1), Some(4));
    let mut fresh = of(&[1, 2]);
    fresh.on_kept(2, 8);
    assert_eq!(fresh.remove(1), None, "what was only kept is not ahead");
    assert_eq!(fresh.remove(2), None);
}

/// A synced book at 10 with two lines, of which 1 has kept it.
fn two_lines() -> Desk {
    let mut desk = spot();
    desk.market.add_line(1);
    let mut desk = desk.synced_at(10, &[("99", "1")], &[]);
    desk.market.add_line(2);
    assert_eq!(told(desk.market.lines()), "1 heard 3 joined, 2 heard -");
    desk
}

#[test]
fn with_a_single_line_a_hole_is_a_gap_and_nothing_is_noted() {
    let mut desk = spot();
    desk.market.add_line(1);
    let mut desk = desk.synced_at(10, &[], &[]);
    desk.feed_over(1, &diff(11, 11), 4);
    desk.feed_over(1, &diff(11, 11), 5);
    assert_eq!(told(desk.market.lines()), "1 heard -");
    assert_eq!(desk.feed_over(1, &diff(13, 13), 6), Outcome::Gap);
    assert_eq!(desk.feed_over(1, &diff(14, 14), 7), Outcome::Gap);
    assert_eq!(told(desk.market.lines()), "1 heard 7");
}

#[test]
fn the_first_to_bring_a_diff_wins_and_both_are_joined() {
    let mut desk = two_lines();
    assert_eq!(desk.feed_over(2, &diff(11, 11), 4), Outcome::Applied);
    assert_eq!(
        told(desk.market.lines()),
        "1 heard 3 joined, 2 heard 4 joined"
    );
    assert_eq!(desk.feed_over(1, &diff(11, 11), 5), Outcome::Stale);
    assert_eq!(desk.feed_over(1, &diff(12, 12), 6), Outcome::Applied);
    assert_eq!(desk.feed_over(2, &diff(12, 12), 7), Outcome::Stale);
    assert_eq!(
        told(desk.market.lines()),
        "1 heard 6 joined, 2 heard 7 joined"
    );
    assert_eq!(desk.counts(), "applied 3, stale 2, snapshots 1");
}

#[test]
fn a_line_that_brings_an_old_diff_is_joined() {
    let mut desk = two_lines();
    assert_eq!(desk.feed_over(2, &diff(10, 10), 4), Outcome::Stale);
    assert_eq!(
        told(desk.market.lines()),
        "1 heard 3 joined, 2 heard 4 joined"
    );
}

#[test]
fn a_line_ahead_of_the_others_is_waited_for_and_its_diff_dropped() {
    let mut desk = two_lines();
    assert_eq!(desk.feed_over(2, &diff(13, 13), 4), Outcome::Stale);
    assert_eq!(told(desk.market.lines()), "1 heard 3 joined, 2 heard 4");
    assert_eq!(desk.standing(), "synced since 2: ");
    for id in 11..=13 {
        assert_eq!(desk.feed_over(1, &diff(id, id), 5), Outcome::Applied);
    }
    assert_eq!(desk.counts(), "applied 4, snapshots 1");
}

#[test]
fn a_hole_that_nobody_fills_in_time_is_a_gap() {
    let mut desk = two_lines();
    assert_eq!(desk.feed_over(2, &diff(13, 13), 4), Outcome::Stale);
    let late = 4 + PATIENCE_NS;
    assert_eq!(desk.feed_over(2, &diff(14, 14), late - 1), Outcome::Stale);
    assert_eq!(desk.feed_over(2, &diff(15, 15), late), Outcome::Gap);
    assert_eq!(
        desk.standing(),
        format!("buffering since {late}: a gap: the book holds 10, the next diff follows 14")
    );
}

#[test]
fn a_hole_is_waited_for_as_long_as_the_book_moves() {
    let mut desk = two_lines();
    assert_eq!(desk.feed_over(2, &diff(13, 13), 4), Outcome::Stale);
    assert_eq!(desk.feed_over(1, &diff(11, 11), 5), Outcome::Applied);
    let late = 4 + 2 * PATIENCE_NS;
    assert_eq!(desk.feed_over(2, &diff(14, 14), late), Outcome::Stale);
}

#[test]
fn data_that_only_runs_ahead_is_data_all_the_same() {
    let mut desk = spot();
    desk.market.add_line(1);
    desk.load(&snapshot(10, &[], &[]), 2);
    desk.market.add_line(2);
    desk.causes();
    assert_eq!(desk.feed_over(2, &diff(13, 13), 4), Outcome::Stale);
    assert_eq!(desk.causes(), "first_data");
}

#[test]
fn ids_that_began_anew_join_nobody() {
    let mut desk = two_lines();
    let anew = diff(5, 5).made_at(crate::desk::T + 5_000_001);
    assert_eq!(desk.feed_over(2, &anew, 4), Outcome::Gap);
    assert_eq!(told(desk.market.lines()), "1 heard 3 joined, 2 heard -");
}

#[test]
fn when_the_line_that_could_fill_a_hole_goes_it_is_a_gap() {
    let mut desk = two_lines();
    desk.feed_over(2, &diff(13, 13), 4);
    desk.market.remove_line(1);
    assert_eq!(
        desk.standing(),
        "buffering since 4: a gap: the connection that could have filled it is gone"
    );
    assert_eq!(desk.counts(), "applied 1, gaps 1, snapshots 1");
    let change = desk.market.take_change(1).unwrap();
    assert_eq!(
        (crate::desk::named(change.causes).as_str(), change.at_ns),
        ("gap", 4)
    );
}

#[test]
fn a_line_that_goes_without_a_hole_is_no_gap() {
    let mut desk = two_lines();
    desk.feed_over(2, &diff(11, 11), 4);
    desk.market.remove_line(1);
    assert_eq!(desk.standing(), "synced since 2: ");
    assert_eq!(told(desk.market.lines()), "2 heard 4 joined");
    assert_eq!(desk.causes(), "");
}

#[test]
fn a_line_that_goes_while_the_book_is_not_synced_changes_nothing() {
    let mut desk = two_lines();
    desk.feed_over(2, &diff(13, 13), 4);
    desk.market.resync("asked for", 5);
    desk.market.remove_line(1);
    assert_eq!(desk.standing(), "buffering since 5: asked for");
    assert_eq!(desk.counts(), "applied 1, snapshots 1");
}

/// The same diffs over two lines, one behind the other, before a snapshot of 10.
fn kept_over(lines: &[u64]) -> Desk {
    let mut desk = spot();
    for line in lines {
        desk.market.add_line(*line);
    }
    for (connection, id) in [(1, 12), (1, 13), (2, 11), (2, 12)] {
        desk.feed_over(
            connection,
            &diff(id, id).with(&[(&id.to_string(), "1")], &[]),
            id,
        );
    }
    desk
}

#[test]
fn what_several_lines_bring_is_sorted_for_the_snapshot() {
    let mut desk = kept_over(&[1, 2]);
    assert_eq!(
        desk.load(&snapshot(10, &[], &[]), 50),
        SnapshotOutcome::Synced
    );
    assert_eq!(
        (desk.id(), desk.book()),
        ("13".into(), "13 x 1, 12 x 1, 11 x 1 | ".into())
    );
    assert_eq!(desk.market.counters().stale, 1);
    assert_eq!(
        told(desk.market.lines()),
        "1 heard 13 joined, 2 heard 12 joined"
    );
}

#[test]
fn what_one_line_brings_stays_in_its_order() {
    let mut desk = kept_over(&[1]);
    assert_eq!(
        desk.load(&snapshot(10, &[], &[]), 50),
        SnapshotOutcome::TooOld
    );
    assert_eq!(
        desk.load(&snapshot(11, &[], &[]), 51),
        SnapshotOutcome::Synced
    );
}
