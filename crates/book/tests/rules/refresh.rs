//! Snapshots of a live book: rolled to its id, compared, merged, and never leaving sync.

use depthcache_book::events::{Cause, Comparison};
use depthcache_book::follow::{FollowSpec, Mode, OnStale};
use depthcache_book::ladder::Tally;
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::refresh::RefreshOutcome;
use depthcache_book::market::sequence::{Continuity, SnapshotTime};
use depthcache_book::query::Reading;

use crate::builders::{Levels, MarketHarness, T, chained, diff, futures, snapshot, spot};
use crate::doubt;

const MERGED: &str = "merged";
const WAITING: &str = "waiting";
const TOO_OLD: &str = "too_old";
const NOT_LIVE: &str = "not_live";
const OTHER_BOOK: &str = "other_book";
const NONE_WAITING: &str = "none_waiting";

const BIDS: Levels = &[("99", "1"), ("98", "2")];
const ASKS: Levels = &[("101", "1"), ("102", "2")];

/// What the last refresh found, as its call returned it or as the market reports it: `at 10: checked 4, …`.
fn found(harness: &mut MarketHarness) -> String {
    let reported = || harness.market.take_change(1)?.comparison;
    harness
        .compared
        .or_else(reported)
        .map_or_else(|| "nothing".to_owned(), shown)
}

fn shown(compared: Comparison) -> String {
    let Tally {
        checked,
        differing,
        missing,
        extra,
    } = compared.tally;
    let at = compared.update_id;
    format!("at {at}: checked {checked}, differing {differing}, missing {missing}, extra {extra}")
}

/// Live at 15 after a refresh that began at 10.
fn begun() -> MarketHarness {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    assert!(harness.market.begin_refresh());
    for id in 11..=15 {
        let next = diff(id, id).with(&[("98", &id.to_string())], &[]);
        assert_eq!(harness.feed(&next, id), Outcome::Applied);
    }
    harness
}

#[test]
fn a_snapshot_is_merged_from_the_id_at_which_the_refresh_began_up_to_the_live_one() {
    for (id, outcome) in [
        (8, TOO_OLD),
        (9, TOO_OLD),
        (10, MERGED),
        (11, MERGED),
        (14, MERGED),
        (15, MERGED),
        (16, WAITING),
    ] {
        let mut harness = begun();
        let quantity = id.clamp(10, 15).to_string();
        let bids = [("99", "1"), ("98", quantity.as_str())];
        assert_eq!(
            harness.refresh(&snapshot(id, &bids, ASKS), 50),
            outcome,
            "{id}"
        );
        assert_eq!(harness.status_info(), "synced since 2: ", "{id}");
        assert_eq!(harness.book(), "99 x 1, 98 x 15 | 101 x 1, 102 x 2", "{id}");
        if outcome == MERGED {
            let same = "at 15: checked 4, differing 0, missing 0, extra 0";
            assert_eq!(found(&mut harness), same, "{id}");
            assert_eq!(harness.causes(), "", "{id}: the call itself returns it");
        } else {
            assert_eq!(
                (found(&mut harness), harness.causes()),
                ("nothing".into(), "".into())
            );
        }
    }
}

#[test]
fn without_a_diff_since_it_began_only_the_live_id_merges_at_once() {
    for (id, outcome) in [(9, TOO_OLD), (10, MERGED), (11, WAITING)] {
        let mut harness = spot().synced_at(10, BIDS, ASKS);
        harness.market.begin_refresh();
        assert_eq!(
            harness.refresh(&snapshot(id, BIDS, ASKS), 50),
            outcome,
            "{id}"
        );
    }
}

#[test]
fn futures_are_rolled_along_the_chain() {
    for (id, outcome) in [
        (9, TOO_OLD),
        (10, MERGED),
        (12, MERGED),
        (20, MERGED),
        (25, MERGED),
        (30, MERGED),
        (31, WAITING),
    ] {
        let mut harness = futures().synced_at(10, &[], &[]);
        harness.market.begin_refresh();
        for (previous, first, last) in [(10, 15, 20), (20, 29, 30)] {
            let mark = [("50", "1")];
            harness.feed(&chained(previous, first, last).with(&mark, &[]), 4);
        }
        let shown: Levels = if id > 20 { &[("50", "1")] } else { &[] };
        assert_eq!(
            harness.refresh(&snapshot(id, shown, &[]), 50),
            outcome,
            "{id}"
        );
        if outcome == MERGED {
            let same = "at 30: checked 1, differing 0, missing 0, extra 0";
            assert_eq!(found(&mut harness), same, "{id}");
        }
    }
}

#[test]
fn a_snapshot_ahead_waits_until_the_live_book_is_there() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.refresh(&snapshot(13, BIDS, ASKS), 50), WAITING);
    let mut reported = Vec::new();
    for id in 11..=14 {
        assert_eq!(harness.feed(&diff(id, id), 50 + id), Outcome::Applied);
        if let Some(change) = harness.market.take_change(1) {
            assert!(change.causes.contains(Cause::Refreshed));
            reported.push((change.at_ns, change.comparison.map(shown)));
        }
    }
    let same = "at 13: checked 4, differing 0, missing 0, extra 0";
    assert_eq!(reported, [(63, Some(same.to_owned()))]);
    assert_eq!(harness.market.counters().refreshes, 1);
}

#[test]
fn a_snapshot_inside_the_ids_of_a_diff_is_rolled_to_its_end() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.refresh(&snapshot(12, BIDS, ASKS), 50), WAITING);
    harness.feed(&diff(11, 14).with(&[("97", "5")], &[("103", "6")]), 51);
    assert_eq!(
        found(&mut harness),
        "at 14: checked 6, differing 0, missing 0, extra 0"
    );
    assert_eq!(
        harness.book(),
        "99 x 1, 98 x 2, 97 x 5 | 101 x 1, 102 x 2, 103 x 6"
    );
}

#[test]
fn prices_that_were_wrong_are_right_again_and_counted_on_both_sides() {
    let held: Levels = &[("99", "1"), ("98", "2"), ("97", "3")];
    let true_bids: Levels = &[("99", "7"), ("98.5", "1"), ("97", "3")];
    let true_asks: Levels = &[("101", "1"), ("102", "9"), ("102.5", "1")];
    let mut harness = spot().synced_at(10, held, ASKS);
    harness.market.begin_refresh();
    assert_eq!(
        harness.refresh(&snapshot(10, true_bids, true_asks), 50),
        MERGED
    );
    assert_eq!(
        found(&mut harness),
        "at 10: checked 7, differing 2, missing 2, extra 1"
    );
    assert_eq!(
        harness.book(),
        "99.0 x 7, 98.5 x 1, 97.0 x 3 | 101.0 x 1, 102.0 x 9, 102.5 x 1"
    );
    assert_eq!(
        harness.counts(),
        "applied 1, snapshots 1, refreshes 1, corrections 5"
    );
    assert_eq!(harness.causes(), "", "the call itself returns it");
}

#[test]
fn only_a_synced_book_can_begin_to_refresh() {
    let nothing = || snapshot(10, &[], &[]);
    let mut harness = spot();
    assert!(!harness.market.begin_refresh());
    assert_eq!(harness.refresh(&nothing(), 1), NOT_LIVE);
    harness.load(&nothing().before_live(), 2);
    assert!(!harness.market.begin_refresh());
    harness.load(&nothing(), 3);
    assert!(harness.market.begin_refresh());
    assert_eq!(harness.refresh(&nothing(), 4), MERGED);
    assert_eq!(harness.refresh(&nothing(), 5), NOT_LIVE);
    harness.market.resync("asked for", 6);
    assert!(!harness.market.begin_refresh());
}

#[test]
fn a_refresh_ends_with_whatever_ends_the_book_it_looks_after() {
    for end in [
        "itself",
        "a gap",
        "a malformed frame",
        "a resync",
        "a restart",
        "a snapshot",
    ] {
        let mut harness = spot().synced_at(10, BIDS, ASKS);
        harness.market.begin_refresh();
        match end {
            "itself" => harness.market.end_refresh(),
            "a gap" => assert_eq!(harness.feed(&diff(13, 13), 4), Outcome::Gap),
            "a malformed frame" => harness.market.on_malformed("x", 4),
            "a resync" => harness.market.resync("asked for", 4),
            "a restart" => harness.market.restart("asked for", 4),
            _ => assert_eq!(
                harness.load(&snapshot(20, BIDS, ASKS), 4),
                SnapshotOutcome::Synced
            ),
        }
        let late = harness.refresh(&snapshot(20, BIDS, ASKS), 50);
        assert_eq!(late, NOT_LIVE, "{end}");
    }
}

#[test]
fn a_waiting_snapshot_is_forgotten_with_a_gap() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.refresh(&snapshot(13, &[], &[]), 4), WAITING);
    harness.market.resync("asked for", 5);
    harness.load(&snapshot(12, BIDS, ASKS), 6);
    harness.feed(&diff(13, 13), 7);
    assert_eq!(found(&mut harness), "nothing");
}

#[test]
fn an_old_diff_is_not_kept_for_a_refresh() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.feed(&diff(9, 10), 4), Outcome::Old);
    assert_eq!(harness.refresh(&snapshot(10, BIDS, ASKS), 5), MERGED);
}

#[test]
fn a_refresh_keeps_as_much_as_the_buffer_holds_and_is_given_up_beyond_it() {
    let bytes = diff(11, 11).frame().len();
    for (room, outcome) in [(2 * bytes, MERGED), (2 * bytes - 1, NOT_LIVE)] {
        let mut harness =
            MarketHarness::new(Continuity::Contiguous, room).synced_at(10, BIDS, ASKS);
        harness.market.begin_refresh();
        harness.feed(&diff(11, 11), 4);
        harness.feed(&diff(12, 12), 5);
        assert_eq!(harness.refresh(&snapshot(10, BIDS, ASKS), 6), outcome);
        assert_eq!(harness.status_info(), "synced since 2: ");
    }
}

#[test]
fn a_merge_may_cross_a_book_and_heal_it() {
    let crossing: Levels = &[("101.5", "1"), ("99", "1")];
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    harness.refresh(&snapshot(10, crossing, ASKS), 50);
    assert_eq!(
        harness.status_info(),
        "crossed since 50: best bid 101.5 is at or above best ask 101"
    );
    assert_eq!(harness.causes(), "crossed");
    assert!(harness.market.begin_refresh());
    harness.refresh(&snapshot(10, BIDS, ASKS), 60);
    assert_eq!(harness.status_info(), "synced since 60: ");
}

#[test]
fn where_no_diff_comes_an_equal_futures_book_is_merged_whatever_its_id() {
    let mut harness = futures().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.refresh(&snapshot(25, BIDS, ASKS), 4), WAITING);
    assert_eq!(harness.settle(50), MERGED);
    assert_eq!(
        found(&mut harness),
        "at 10: checked 4, differing 0, missing 0, extra 0"
    );
    assert_eq!(
        (harness.id(), harness.causes()),
        ("10".into(), String::new())
    );
}

#[test]
fn where_no_diff_comes_another_book_is_refused() {
    for (bids, asks) in [(&BIDS[..1], ASKS), (BIDS, &ASKS[..1])] {
        let mut harness = futures().synced_at(10, BIDS, ASKS);
        harness.market.begin_refresh();
        assert_eq!(harness.refresh(&snapshot(25, bids, asks), 4), WAITING);
        assert_eq!(harness.settle(50), OTHER_BOOK);
        assert_eq!(found(&mut harness), "nothing");
        assert_eq!(harness.book(), "99 x 1, 98 x 2 | 101 x 1, 102 x 2");
        assert_eq!(harness.settle(51), NONE_WAITING, "it was dropped");
    }
}

#[test]
fn ids_of_a_symbol_alone_do_not_grow_without_a_change() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.market.begin_refresh();
    assert_eq!(harness.refresh(&snapshot(11, BIDS, ASKS), 4), WAITING);
    assert_eq!(harness.settle(50), OTHER_BOOK);
    assert_eq!(found(&mut harness), "nothing");
}

#[test]
fn where_no_snapshot_waits_there_is_nothing_to_settle() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    assert_eq!(harness.settle(50), NONE_WAITING);
    harness.market.begin_refresh();
    assert_eq!(harness.settle(51), NONE_WAITING);
    assert_eq!(found(&mut harness), "nothing");
}

#[test]
fn the_outcomes_of_a_refresh_are_words() {
    use RefreshOutcome::{Merged, NoneWaiting, NotLive, OtherBook, TooOld, Waiting};
    let nothing = Comparison {
        update_id: 1,
        tally: Tally::default(),
    };
    for (outcome, word) in [
        (Merged(nothing), MERGED),
        (Waiting, WAITING),
        (TooOld, TOO_OLD),
        (NotLive, NOT_LIVE),
        (OtherBook, OTHER_BOOK),
        (NoneWaiting, NONE_WAITING),
    ] {
        assert_eq!(outcome.as_str(), word);
    }
}

#[test]
fn tallies_add_up_kind_by_kind() {
    let one = Tally {
        checked: 1,
        differing: 20,
        missing: 300,
        extra: 4_000,
    };
    let two = Tally {
        checked: 5,
        differing: 60,
        missing: 700,
        extra: 8_000,
    };
    let both = Tally {
        checked: 6,
        differing: 80,
        missing: 1_000,
        extra: 12_000,
    };
    assert_eq!(one + two, both);
    assert_eq!((one.wrong(), Tally::default().wrong()), (4_320, 0));
}

#[test]
fn a_snapshot_behind_a_book_that_stood_still_shows_that_ids_began_again() {
    let at = |us| SnapshotTime {
        earliest_us: us,
        latest_us: us,
    };
    for (later_us, moves, status_info) in [
        (5_000_000, false, "synced since 2: "),
        (
            5_000_001,
            false,
            "buffering since 50: the exchange reset its update ids",
        ),
        (5_000_001, true, "synced since 2: "),
    ] {
        let mut harness = spot().synced_at(10, BIDS, ASKS);
        harness.market.begin_refresh();
        if moves {
            harness.feed(&diff(11, 11), 4);
        }
        let fallen = snapshot(5, BIDS, ASKS).made(at(T + later_us));
        assert_eq!(harness.refresh(&fallen, 50), TOO_OLD);
        assert_eq!(harness.status_info(), status_info);
    }
}

#[test]
fn who_follows_a_book_starts_over_where_a_snapshot_alters_a_side() {
    let spec = FollowSpec {
        mode: Mode::Latest,
        levels: 5,
        interval_ns: 0,
        start_ns: 0,
        on_stale: OnStale::Raise,
        most_items: 0,
        most_bytes: 0,
        wants_unchanged: false,
        announces: false,
    };
    for (bid, ask, altered) in [("1", "1", false), ("2", "1", true), ("1", "2", true)] {
        let router = doubt::synced(1);
        let follower = router.follower(spec);
        router.follow(&follower, 1).unwrap();
        assert!(follower.take(2).is_some_and(|item| item.is_fresh));
        assert!(router.begin_refresh(1).unwrap());
        let body =
            format!(r#"{{"lastUpdateId":11,"bids":[["99","{bid}"]],"asks":[["101","{ask}"]]}}"#);
        let outcome = router.refresh(1, body.as_bytes(), Some(1000), 3, None);
        assert_eq!(outcome.unwrap().as_str(), MERGED);
        let item = follower.take(4);
        assert_eq!(item.is_some(), altered, "{bid} {ask}");
        assert!(item.is_none_or(|item| item.is_fresh));
    }
}
