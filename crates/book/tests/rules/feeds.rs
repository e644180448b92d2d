//! The connections of a market: who is joined, who is ahead, and when a hole is a gap.

use depthcache_book::market::arbitration::{Feeds, PATIENCE_NS};
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::query::Reading;

use crate::builders::{MarketHarness, diff, snapshot, spot};

/// `1 heard 5 joined, 2 heard - apart`.
fn shown(feeds: &[depthcache_book::market::arbitration::Feed]) -> String {
    let texts = feeds.iter().map(|feed| {
        let heard = feed.heard_ns.map_or("-".to_owned(), |at| at.to_string());
        let joined = if feed.joined { " joined" } else { "" };
        format!("{} heard {heard}{joined}", feed.connection)
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn of(connections: &[u64]) -> Feeds {
    let mut feeds = Feeds::default();
    for connection in connections {
        feeds.add(*connection, None);
    }
    feeds
}

#[test]
fn a_feed_is_there_once_and_two_are_many() {
    let mut feeds = of(&[]);
    assert!(!feeds.are_many());
    feeds.add(1, Some(9));
    assert_eq!(
        (shown(feeds.all()), feeds.are_many()),
        ("1 heard -".into(), false)
    );
    feeds.add(1, Some(9));
    assert_eq!(
        (shown(feeds.all()), feeds.are_many()),
        ("1 heard -".into(), false)
    );
    feeds.add(2, Some(9));
    assert!(feeds.are_many());
    feeds.add(2, Some(9));
    feeds.add(1, Some(9));
    assert_eq!(shown(feeds.all()), "1 heard 9 joined, 2 heard -");
    feeds.remove(1);
    assert!(!feeds.are_many());
}

#[test]
fn the_feed_that_was_alone_is_the_one_that_kept_the_book() {
    for (heard, updated, expected) in [
        (None, None, "1 heard - joined, 2 heard -"),
        (None, Some(7), "1 heard 7 joined, 2 heard -"),
        (Some(5), None, "1 heard 5 joined, 2 heard -"),
        (Some(5), Some(7), "1 heard 7 joined, 2 heard -"),
    ] {
        let mut feeds = of(&[1]);
        if let Some(at) = heard {
            feeds.on_buffered(1, at);
        }
        feeds.add(2, updated);
        assert_eq!(shown(feeds.all()), expected);
    }
    let mut feeds = of(&[1, 2]);
    feeds.on_ahead(1, 5, None);
    feeds.add(3, Some(7));
    assert_eq!(shown(feeds.all()), "1 heard 5, 2 heard -, 3 heard -");
}

#[test]
fn what_is_heard_joins_or_does_not() {
    let mut feeds = of(&[1, 2]);
    feeds.on_buffered(2, 3);
    assert_eq!(shown(feeds.all()), "1 heard - joined, 2 heard 3");
    feeds.on_joined(2, 4);
    assert_eq!(shown(feeds.all()), "1 heard - joined, 2 heard 4 joined");
    assert!(feeds.on_ahead(2, 5, None));
    assert_eq!(shown(feeds.all()), "1 heard - joined, 2 heard 5");
    feeds.on_buffered(9, 6);
    feeds.on_joined(9, 6);
    assert!(!feeds.on_ahead(9, 6, None), "the feed is unknown");
    assert_eq!(shown(feeds.all()), "1 heard - joined, 2 heard 5");
    feeds.on_installed();
    assert_eq!(shown(feeds.all()), "1 heard -, 2 heard 5 joined");
}

#[test]
fn a_hole_is_waited_for_only_while_another_feed_is_joined() {
    let mut feeds = of(&[1, 2]);
    assert!(!feeds.on_ahead(1, 5, Some(99)), "no other feed is joined");
    assert!(
        !feeds.on_ahead(2, 6, Some(99)),
        "the first one no longer is"
    );
    feeds.on_joined(1, 7);
    assert!(feeds.on_ahead(2, 8, None));
    feeds.on_joined(2, 9);
    assert!(
        feeds.on_ahead(2, 10, None),
        "it was joined itself, and another is"
    );
    feeds.remove(1);
    feeds.on_joined(2, 11);
    assert!(!feeds.on_ahead(2, 12, None), "no other feed is left");
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
        let mut feeds = of(&[1, 2]);
        assert!(feeds.on_ahead(2, since, None));
        let found = feeds.on_ahead(2, since + after, updated);
        assert_eq!(found, helped, "{after} {updated:?}");
    }
}

#[test]
fn patience_restarts_when_a_feed_has_been_joined_or_a_snapshot_came() {
    let restarts: [fn(&mut Feeds); 2] = [
        |feeds| feeds.on_joined(2, 2_000),
        |feeds| {
            feeds.on_buffered(1, 2_000);
            feeds.on_installed();
        },
    ];
    for restart in restarts {
        let mut feeds = of(&[1, 2]);
        assert!(feeds.on_ahead(2, 1_000, None));
        restart(&mut feeds);
        assert!(feeds.on_ahead(2, 3_000 + PATIENCE_NS, None));
        assert!(!feeds.on_ahead(2, 3_000 + 2 * PATIENCE_NS, None));
    }
}

#[test]
fn the_last_joined_feed_leaves_a_gap_where_another_is_ahead() {
    let mut feeds = of(&[1, 2, 3]);
    feeds.on_joined(1, 1);
    assert!(feeds.on_ahead(2, 5, None));
    assert!(feeds.on_ahead(3, 4, None));
    assert_eq!(feeds.remove(9), None, "the joined one is still there");
    let mut two = feeds.clone();
    assert_eq!(feeds.remove(1), Some(5));
    assert_eq!(two.remove(2), None);
    assert_eq!(two.remove(1), Some(4));
    let mut fresh = of(&[1, 2]);
    fresh.on_buffered(2, 8);
    assert_eq!(fresh.remove(1), None, "what was only kept is not ahead");
    assert_eq!(fresh.remove(2), None);
}

/// A synced book at 10 with two feeds, of which 1 has kept it.
fn two_feeds() -> MarketHarness {
    let mut harness = spot();
    harness.market.add_feed(1);
    let mut harness = harness.synced_at(10, &[("99", "1")], &[]);
    harness.market.add_feed(2);
    assert_eq!(shown(harness.market.feeds()), "1 heard 3 joined, 2 heard -");
    harness
}

#[test]
fn with_a_single_feed_a_hole_is_a_gap_and_nothing_is_noted() {
    let mut harness = spot();
    harness.market.add_feed(1);
    let mut harness = harness.synced_at(10, &[], &[]);
    harness.feed_over(1, &diff(11, 11), 4);
    harness.feed_over(1, &diff(11, 11), 5);
    assert_eq!(shown(harness.market.feeds()), "1 heard -");
    assert_eq!(harness.feed_over(1, &diff(13, 13), 6), Outcome::Gap);
    assert_eq!(harness.feed_over(1, &diff(14, 14), 7), Outcome::Gap);
    assert_eq!(shown(harness.market.feeds()), "1 heard 7");
}

#[test]
fn the_first_to_bring_a_diff_wins_and_both_are_joined() {
    let mut harness = two_feeds();
    assert_eq!(harness.feed_over(2, &diff(11, 11), 4), Outcome::Applied);
    assert_eq!(
        shown(harness.market.feeds()),
        "1 heard 3 joined, 2 heard 4 joined"
    );
    assert_eq!(harness.feed_over(1, &diff(11, 11), 5), Outcome::Old);
    assert_eq!(harness.feed_over(1, &diff(12, 12), 6), Outcome::Applied);
    assert_eq!(harness.feed_over(2, &diff(12, 12), 7), Outcome::Old);
    assert_eq!(
        shown(harness.market.feeds()),
        "1 heard 6 joined, 2 heard 7 joined"
    );
    assert_eq!(harness.counts(), "applied 3, old 2, snapshots 1");
}

#[test]
fn a_feed_that_brings_an_old_diff_is_joined() {
    let mut harness = two_feeds();
    assert_eq!(harness.feed_over(2, &diff(10, 10), 4), Outcome::Old);
    assert_eq!(
        shown(harness.market.feeds()),
        "1 heard 3 joined, 2 heard 4 joined"
    );
}

#[test]
fn a_feed_ahead_of_the_others_is_waited_for_and_its_diff_dropped() {
    let mut harness = two_feeds();
    assert_eq!(harness.feed_over(2, &diff(13, 13), 4), Outcome::Old);
    assert_eq!(shown(harness.market.feeds()), "1 heard 3 joined, 2 heard 4");
    assert_eq!(harness.status_info(), "synced since 2: ");
    for id in 11..=13 {
        assert_eq!(harness.feed_over(1, &diff(id, id), 5), Outcome::Applied);
    }
    assert_eq!(harness.counts(), "applied 4, snapshots 1");
}

#[test]
fn a_hole_that_no_feed_fills_in_time_is_a_gap() {
    let mut harness = two_feeds();
    assert_eq!(harness.feed_over(2, &diff(13, 13), 4), Outcome::Old);
    let late = 4 + PATIENCE_NS;
    assert_eq!(harness.feed_over(2, &diff(14, 14), late - 1), Outcome::Old);
    assert_eq!(harness.feed_over(2, &diff(15, 15), late), Outcome::Gap);
    assert_eq!(
        harness.status_info(),
        format!(
            "buffering since {late}: sequence gap: the book is at 10, but the next update follows 14"
        )
    );
}

#[test]
fn a_hole_is_waited_for_as_long_as_the_book_moves() {
    let mut harness = two_feeds();
    assert_eq!(harness.feed_over(2, &diff(13, 13), 4), Outcome::Old);
    assert_eq!(harness.feed_over(1, &diff(11, 11), 5), Outcome::Applied);
    let late = 4 + 2 * PATIENCE_NS;
    assert_eq!(harness.feed_over(2, &diff(14, 14), late), Outcome::Old);
}

#[test]
fn data_that_only_runs_ahead_is_data_all_the_same() {
    let mut harness = spot();
    harness.market.add_feed(1);
    harness.load(&snapshot(10, &[], &[]), 2);
    harness.market.add_feed(2);
    harness.causes();
    assert_eq!(harness.feed_over(2, &diff(13, 13), 4), Outcome::Old);
    assert_eq!(harness.causes(), "first_data");
}

#[test]
fn a_reset_of_the_ids_joins_no_feed() {
    let mut harness = two_feeds();
    let after_reset = diff(5, 5).made_at(crate::builders::T + 5_000_001);
    assert_eq!(harness.feed_over(2, &after_reset, 4), Outcome::Gap);
    assert_eq!(shown(harness.market.feeds()), "1 heard 3 joined, 2 heard -");
}

#[test]
fn when_the_feed_that_could_fill_a_hole_goes_it_is_a_gap() {
    let mut harness = two_feeds();
    harness.feed_over(2, &diff(13, 13), 4);
    harness.market.remove_feed(1);
    assert_eq!(
        harness.status_info(),
        "buffering since 4: sequence gap: the connection that could have filled it is gone"
    );
    assert_eq!(harness.counts(), "applied 1, gaps 1, snapshots 1");
    let change = harness.market.take_change(1).unwrap();
    assert_eq!(
        (crate::builders::named(change.causes).as_str(), change.at_ns),
        ("gap", 4)
    );
}

#[test]
fn a_feed_that_goes_without_a_hole_is_no_gap() {
    let mut harness = two_feeds();
    harness.feed_over(2, &diff(11, 11), 4);
    harness.market.remove_feed(1);
    assert_eq!(harness.status_info(), "synced since 2: ");
    assert_eq!(shown(harness.market.feeds()), "2 heard 4 joined");
    assert_eq!(harness.causes(), "");
}

#[test]
fn a_feed_that_goes_while_the_book_is_not_synced_changes_nothing() {
    let mut harness = two_feeds();
    harness.feed_over(2, &diff(13, 13), 4);
    harness.market.resync("asked for", 5);
    harness.market.remove_feed(1);
    assert_eq!(harness.status_info(), "buffering since 5: asked for");
    assert_eq!(harness.counts(), "applied 1, snapshots 1");
}

/// The same diffs over two feeds, one behind the other, before a snapshot of 10.
fn kept_over(feeds: &[u64]) -> MarketHarness {
    let mut harness = spot();
    for feed in feeds {
        harness.market.add_feed(*feed);
    }
    for (connection, id) in [(1, 12), (1, 13), (2, 11), (2, 12)] {
        harness.feed_over(
            connection,
            &diff(id, id).with(&[(&id.to_string(), "1")], &[]),
            id,
        );
    }
    harness
}

#[test]
fn what_several_feeds_bring_is_sorted_for_the_snapshot() {
    let mut harness = kept_over(&[1, 2]);
    assert_eq!(
        harness.load(&snapshot(10, &[], &[]), 50),
        SnapshotOutcome::Synced
    );
    assert_eq!(
        (harness.id(), harness.book()),
        ("13".into(), "13 x 1, 12 x 1, 11 x 1 | ".into())
    );
    assert_eq!(harness.market.counters().old, 1);
    assert_eq!(
        shown(harness.market.feeds()),
        "1 heard 13 joined, 2 heard 12 joined"
    );
}

#[test]
fn what_one_feed_brings_stays_in_its_order() {
    let mut harness = kept_over(&[1]);
    assert_eq!(
        harness.load(&snapshot(10, &[], &[]), 50),
        SnapshotOutcome::TooOld
    );
    assert_eq!(
        harness.load(&snapshot(11, &[], &[]), 51),
        SnapshotOutcome::Synced
    );
}
