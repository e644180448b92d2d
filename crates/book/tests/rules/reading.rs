//! What a market says of itself: when it may be read, why not, how deep it is, constant copies.

use depthcache_book::ladder::Ladder;
use depthcache_book::market::outcome::{Outcome, SnapshotOutcome};
use depthcache_book::market::sequence::Continuity;
use depthcache_book::market::{Market, MarketCell, MarketConfig};
use depthcache_book::offline::{ApplyError, OfflineBook};
use depthcache_book::query::floats::Floats;
use depthcache_book::query::{Reading, Side};
use depthcache_book::status::{Condition, Status};

use crate::builders::{Levels, MarketHarness, diff, proven_to, shown, snapshot, spot};
use crate::states::in_state;

const BIDS: Levels = &[("99", "1"), ("98", "2"), ("97", "3")];
const ASKS: Levels = &[("101", "1"), ("102", "2")];

fn synced() -> MarketHarness {
    spot().synced_at(10, BIDS, ASKS)
}

#[test]
fn only_a_synced_book_is_read_and_the_last_known_one_on_demand() {
    for (state, current, last_known) in [
        ("empty", false, false),
        ("waiting", false, false),
        ("bridging", false, true),
        ("unconfirmed", true, true),
        ("synced", true, true),
        ("crossed", false, false),
        ("broken", false, true),
    ] {
        let market = in_state(state).market;
        assert_eq!(market.readable(false).is_ok(), current, "{state}");
        assert_eq!(market.readable(true).is_ok(), last_known, "{state}");
    }
}

#[test]
fn a_doubted_book_is_read_on_demand_only() {
    let mut halted = synced().market;
    halted.set_condition(Some(Condition::Halted), "outside", 4);
    let mut stalled = synced().market;
    stalled.set_stalled(Some("its thread stalled"), 4);
    for market in [halted, stalled] {
        assert!(market.readable(false).is_err());
        assert!(market.readable(true).is_ok());
    }
}

#[test]
fn a_refused_read_says_why_and_since_when() {
    let mut harness = synced();
    harness.market.resync("asked for", 7);
    let refused = harness.market.readable(false).unwrap_err();
    assert_eq!(refused.status, Status::Buffering);
    assert_eq!(
        (refused.reason.as_str(), refused.since_ns),
        ("asked for", 7)
    );
}

#[test]
fn after_a_gap_a_book_is_read_on_demand_only() {
    let mut harness = spot();
    assert!(harness.market.readable(true).is_err(), "nothing was loaded");
    harness.load(&snapshot(10, BIDS, ASKS), 1);
    harness.feed(&diff(12, 12), 2);
    assert!(harness.market.readable(false).is_err());
    assert!(harness.market.readable(true).is_ok());
}

#[test]
fn a_condition_lies_over_a_stall_and_a_stall_over_the_state() {
    let mut harness = synced();
    assert_eq!(harness.status_info(), "synced since 2: ");
    harness.market.set_stalled(Some("its thread stalled"), 4);
    assert_eq!(harness.status_info(), "stale since 4: its thread stalled");
    harness
        .market
        .set_condition(Some(Condition::Halted), "outside", 5);
    assert_eq!(harness.status_info(), "halted since 5: outside");
    harness.market.set_stalled(None, 6);
    assert_eq!(harness.status_info(), "halted since 5: outside");
    assert!(harness.market.readable(false).is_err());
    harness.market.set_condition(None, "", 7);
    assert_eq!(harness.status_info(), "synced since 7: ");
    assert!(harness.market.readable(false).is_ok());
}

#[test]
fn the_same_status_keeps_its_time_whatever_its_reason_and_another_one_restarts_it() {
    for (condition, reason, since_ns) in [
        (Condition::Stale, "one", 5),
        (Condition::Stale, "two", 5),
        (Condition::Halted, "one", 9),
        (Condition::Disconnected, "two", 9),
    ] {
        let mut harness = synced();
        harness
            .market
            .set_condition(Some(Condition::Stale), "one", 5);
        harness.market.set_condition(Some(condition), reason, 9);
        let word = condition.status().as_str();
        let expected = format!("{word} since {since_ns}: {reason}");
        assert_eq!(harness.status_info(), expected);
    }
}

#[test]
fn closed_is_final() {
    let mut harness = synced();
    harness
        .market
        .set_condition(Some(Condition::Closed), "removed", 5);
    for other in [None, Some(Condition::Stale), Some(Condition::Closed)] {
        harness.market.set_condition(other, "other", 6);
        assert_eq!(harness.status_info(), "closed since 5: removed");
    }
}

#[test]
fn conditions_and_states_are_words() {
    use Status::{
        Bridging, Buffering, Closed, Crossed, Disconnected, Empty, Halted, Stale, Synced,
    };
    let ordered = [
        (Synced, "synced"),
        (Crossed, "crossed"),
        (Bridging, "bridging"),
        (Buffering, "buffering"),
        (Empty, "empty"),
        (Stale, "stale"),
        (Halted, "halted"),
        (Disconnected, "disconnected"),
        (Closed, "closed"),
    ];
    assert!(
        ordered.is_sorted_by_key(|(status, _)| *status),
        "worst last"
    );
    for (status, word) in ordered {
        assert_eq!(status.as_str(), word);
        assert_eq!(Status::parse(word), Some(status));
        let condition = Condition::parse(word);
        let laid_over = status >= Stale;
        assert_eq!(condition.is_some(), laid_over, "{word}");
        if let Some(condition) = condition {
            assert_eq!(condition.status(), status);
        }
    }
    assert_eq!(Condition::parse("HALTED"), None);
    assert_eq!(Status::parse("HALTED"), None);
}

#[test]
fn outcomes_are_words() {
    let words: Vec<_> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .collect();
    assert_eq!(words, ["applied", "old", "waiting", "gap", "ignored"]);
    use SnapshotOutcome::{Bridging, Gap, Synced, TooOld};
    let words = [Synced, Bridging, TooOld, Gap].map(SnapshotOutcome::as_str);
    assert_eq!(words, ["synced", "bridging", "too_old", "gap"]);
}

#[test]
fn the_best_are_of_one_id_and_an_empty_side_has_none() {
    let harness = synced();
    let best = harness.market.best();
    assert_eq!(best.update_id, 10);
    assert_eq!(best.bid.map(shown), Some("99 x 1".to_owned()));
    assert_eq!(best.ask.map(shown), Some("101 x 1".to_owned()));
    let best = spot().market.best();
    assert_eq!((best.bid, best.ask, best.update_id), (None, None, 0));
}

#[test]
fn a_run_of_levels_is_of_the_side_and_the_places_asked_for() {
    let harness = synced();
    for (side, start, stop, levels) in [
        (Side::Bids, 0, 2, "99 x 1, 98 x 2"),
        (Side::Bids, 1, usize::MAX, "98 x 2, 97 x 3"),
        (Side::Bids, 3, 9, ""),
        (Side::Bids, 2, 1, ""),
        (Side::Asks, 0, 1, "101 x 1"),
        (Side::Asks, 1, 2, "102 x 2"),
    ] {
        let run = harness.market.levels(side, start, stop);
        let found: Vec<_> = run.iter().map(shown).collect();
        assert_eq!(found.join(", "), levels, "{side:?} {start} {stop}");
    }
    assert_eq!(harness.market.len(Side::Bids), 3);
    assert_eq!(harness.market.len(Side::Asks), 2);
}

#[test]
fn coverage_is_of_each_side_and_the_market_has_the_shallower_one() {
    for (limit, covered, proven, coverage) in [
        (4, None, "whole | whole", (3, 2)),
        (3, Some(3), "97 | whole", (3, 2)),
        (2, Some(2), "97 | 102", (3, 2)),
    ] {
        let mut harness = spot();
        harness.load(&snapshot(10, BIDS, ASKS).asked(Some(limit)), 1);
        assert_eq!(harness.market.min_coverage(), covered, "{limit}");
        assert_eq!(harness.proven(), proven, "{limit}");
        let sides = [Side::Bids, Side::Asks].map(|side| harness.market.coverage(side));
        assert_eq!((sides[0], sides[1]), coverage, "{limit}");
    }
    assert_eq!(spot().market.min_coverage(), Some(0), "nothing is proven");
}

#[test]
fn a_book_is_shallow_as_soon_as_one_level_too_many_is_gone_and_after_a_shallower_snapshot() {
    let prices: Vec<String> = (1..=1_000).map(|price| price.to_string()).collect();
    let with = |quantity: &'static str, count: usize| -> Vec<(&str, &str)> {
        let best = prices.iter().rev().take(count);
        best.map(|price| (price.as_str(), quantity)).collect()
    };
    for (a_diff, enough) in [(1, 600), (7, 744), (300, 400), (1, 744), (1, 1_000)] {
        let mut harness = spot();
        let all = with("1", 1_000);
        harness.load(&snapshot(10, &all, &[("2000", "1")]).asked(Some(1_000)), 1);
        harness.market.set_depth_target(enough, 0);
        assert_eq!(harness.market.is_shallow(), enough > 1_000);
        harness.feed(&diff(11, 11).with(&with("2", 10), &[]), 1);
        let mut left = 1_000;
        for id in 12.. {
            assert_eq!(
                harness.market.is_shallow(),
                left < enough,
                "{left} of {enough}"
            );
            if left < enough {
                break;
            }
            let gone = with("0", 1_000 - left + a_diff);
            let gone = &gone[1_000 - left..];
            harness.feed(&diff(id, id).with(gone, &[]), 1);
            left -= a_diff;
        }
    }
    let mut harness = spot();
    harness.load(
        &snapshot(10, &with("1", 1_000), &[("2000", "1")]).asked(Some(1_000)),
        1,
    );
    harness.market.set_depth_target(5, 0);
    assert!(!harness.market.is_shallow());
    harness.load(
        &snapshot(20, &with("1", 4), &[("2000", "1")]).asked(Some(4)),
        2,
    );
    assert!(harness.market.is_shallow());
}

#[test]
fn a_book_is_shallow_where_a_side_has_fewer_complete_levels_than_are_enough() {
    for (limit, enough, shallow) in [
        (4, usize::MAX, false),
        (3, 3, false),
        (3, 4, true),
        (2, 2, false),
        (2, 3, true),
        (2, 0, false),
    ] {
        let mut harness = spot();
        harness.load(&snapshot(10, BIDS, ASKS).asked(Some(limit)), 1);
        harness.market.set_depth_target(enough, 0);
        assert_eq!(harness.market.is_shallow(), shallow, "{limit} {enough}");
    }
    let mut harness = spot();
    harness.load(&snapshot(10, BIDS, ASKS).asked(Some(3)), 1);
    assert!(
        harness.market.is_shallow(),
        "no number is enough before one is set"
    );
    harness.market.set_depth_target(1, 5);
    harness.market.freeze(5);
    assert!(!harness.market.is_shallow());
    harness.market.freeze(6);
    assert!(
        harness.market.is_shallow(),
        "readers ask for more than was known"
    );
}

#[test]
fn the_deepest_question_is_remembered_and_all_is_no_depth() {
    let harness = synced();
    assert_eq!(harness.market.depth_requested(), 0);
    harness.market.freeze(5);
    assert_eq!(harness.market.depth_requested(), 5);
    harness.market.freeze(4);
    harness.market.levels(Side::Bids, 0, 3);
    assert_eq!(harness.market.depth_requested(), 5);
    harness.market.levels(Side::Asks, 6, 7);
    assert_eq!(harness.market.depth_requested(), 7);
    harness.market.freeze(usize::MAX);
    harness.market.levels(Side::Asks, 0, usize::MAX);
    assert_eq!(harness.market.depth_requested(), 7);
}

#[test]
fn a_frozen_book_is_the_market_of_that_moment() {
    let mut harness = synced();
    let frozen = harness.market.freeze(2);
    harness.feed(&diff(11, 11).with(&[("99", "0")], &[]), 9);
    harness.market.resync("asked for", 10);
    assert_eq!(
        (frozen.exchange(), frozen.symbol()),
        ("binance.com", Some("BTCUSDT"))
    );
    let status_info = frozen.status_info();
    assert_eq!(
        (status_info.status, status_info.since_ns),
        (Status::Synced, 2)
    );
    assert_eq!(frozen.last_update_id(), Some(10));
    assert_eq!(frozen.event_time_us(), Some(crate::builders::T));
    assert_eq!(frozen.updated_ns(), Some(3));
    assert_eq!(frozen.counters().applied, 1);
    assert!(!frozen.unconfirmed());
    assert!(frozen.readable(false).is_ok());
    assert_eq!((frozen.len(Side::Bids), frozen.len(Side::Asks)), (2, 2));
    assert_eq!(frozen.best().bid.map(shown), Some("99 x 1".to_owned()));
    assert_eq!(harness.market.freeze(1).status_info().reason, "asked for");
}

#[test]
fn a_copy_that_leaves_levels_out_is_proven_to_the_last_it_holds() {
    for (limit, levels, proven) in [
        (4, 0, "nothing | nothing"),
        (4, 1, "99 | 101"),
        (4, 2, "98 | whole"),
        (4, 3, "whole | whole"),
        (4, 4, "whole | whole"),
        (2, 1, "99 | 101"),
        (2, 3, "97 | 102"),
    ] {
        let mut harness = spot();
        harness.load(&snapshot(10, BIDS, ASKS).asked(Some(limit)), 1);
        let frozen = harness.market.freeze(levels);
        let sides = [Side::Bids, Side::Asks].map(|side| proven_to(frozen.complete_to(side)));
        assert_eq!(sides.join(" | "), proven, "{levels} of {limit}");
    }
    let mut harness = spot();
    harness.load(&snapshot(10, &BIDS[..2], &[]).asked(Some(2)), 1);
    harness.feed(&diff(11, 11).with(&BIDS[2..], &[]), 2);
    for (levels, proven) in [(1, "99"), (2, "98"), (3, "98"), (9, "98")] {
        let frozen = harness.market.freeze(levels);
        assert_eq!(proven_to(frozen.complete_to(Side::Bids)), proven);
        assert_eq!(frozen.complete(), levels <= 2, "{levels}");
    }
}

#[test]
fn a_held_market_is_not_waited_for_by_those_who_do_not_want_to() {
    let book = OfflineBook::new("binance.com", None, Continuity::Contiguous, 1000);
    let frame = diff(1, 1).frame();
    let held = book.cell().lock();
    assert!(book.cell().try_read().is_none());
    assert!(book.try_apply(&frame).is_none());
    drop(held);
    assert!(book.cell().try_read().is_some());
    assert_eq!(book.try_apply(&frame).unwrap().unwrap(), Outcome::Waiting);
    assert_eq!(book.apply(&frame).unwrap(), Outcome::Waiting);
}

#[test]
fn the_version_grows_with_each_change_before_it_is_seen_and_with_no_read() {
    let book = OfflineBook::new("binance.com", None, Continuity::Contiguous, 1000);
    let cell = book.cell();
    let first = cell.version();
    assert_ne!(first, 0);
    let body = br#"{"lastUpdateId":10,"bids":[["99","1"]],"asks":[["101","1"]]}"#;
    book.load_snapshot(body, Some(1), None).unwrap();
    let synced = cell.version();
    assert_ne!(synced, first);
    let frozen = cell.read().freeze(5);
    cell.read().levels(Side::Bids, 0, 5);
    assert_eq!(cell.read().version(), synced);
    assert_eq!(cell.try_read().unwrap().version(), synced);
    assert_eq!(frozen.last_update_id(), Some(10));
    for (frame, outcome) in [
        (diff(11, 11).frame(), Outcome::Applied),
        (diff(20, 20).frame(), Outcome::Gap),
    ] {
        let before = cell.version();
        assert_eq!(book.apply(&frame).unwrap(), outcome);
        assert_ne!(cell.version(), before);
    }
    let before = cell.version();
    let held = cell.lock();
    assert_ne!(cell.version(), before, "before anything is changed");
    drop(held);
}

#[test]
fn a_book_fed_by_hand_refuses_other_symbols_and_takes_its_name_from_the_first() {
    let book = OfflineBook::new("binance.com", None, Continuity::Contiguous, 1000);
    assert_eq!(
        book.apply(br#"{"result":null,"id":1}"#).unwrap(),
        Outcome::Ignored
    );
    let body = br#"{"lastUpdateId":10,"bids":[["99","1"]],"asks":[]}"#;
    let outcome = book.load_snapshot(body, Some(1), None).unwrap();
    assert_eq!(outcome, SnapshotOutcome::Synced);
    assert_eq!(book.apply(&diff(11, 11).frame()).unwrap(), Outcome::Applied);
    assert_eq!(book.cell().read().symbol(), Some("BTCUSDT"));
    let other = br#"{"e":"depthUpdate","E":1,"s":"ETHUSDT","U":12,"u":12,"b":[],"a":[]}"#;
    let Err(ApplyError::SymbolMismatch { expected, received }) = book.apply(other) else {
        panic!("another symbol");
    };
    assert_eq!(
        (expected.as_str(), received.as_str()),
        ("BTCUSDT", "ETHUSDT")
    );
    assert_eq!(book.cell().read().last_update_id(), Some(11));
    assert!(book.load_snapshot(b"{}", None, None).is_err());
    assert!(matches!(book.apply(b"{"), Err(ApplyError::Malformed(_))));
}

#[test]
fn a_chained_diff_without_what_it_follows_is_refused() {
    let book = OfflineBook::new("f", None, Continuity::Chained, 1000);
    let refused = book.apply(&diff(11, 11).frame());
    assert!(matches!(refused, Err(ApplyError::Malformed(_))));
    assert_eq!(book.cell().read().symbol(), None);
}

#[test]
fn a_flight_log_shows_the_whole_book() {
    let cell = MarketCell::new(synced().market, 100);
    let log = cell.flight_log();
    assert_eq!((log.book.len(Side::Bids), log.frames.len()), (3, 0));
}

#[test]
fn a_book_was_last_proven_by_a_snapshot_or_by_a_diff_whichever_came_later() {
    let mut harness = spot();
    assert_eq!(harness.market.confirmed_ns(), None);
    harness.load(&snapshot(10, BIDS, ASKS), 5);
    assert_eq!(harness.market.confirmed_ns(), Some(5));
    harness.feed(&diff(11, 12), 9);
    assert_eq!(harness.market.confirmed_ns(), Some(9));
    assert!(harness.market.begin_refresh());
    harness.refresh(&snapshot(12, BIDS, ASKS), 20);
    assert_eq!(harness.market.confirmed_ns(), Some(20));
    harness.feed(&diff(13, 13), 21);
    assert_eq!(harness.market.confirmed_ns(), Some(21));
}

#[test]
fn the_bytes_of_a_market_are_those_of_both_sides_of_its_buffer_and_its_own() {
    let many: Vec<String> = (1..=300).map(|price| price.to_string()).collect();
    let many: Vec<_> = many.iter().map(|price| (price.as_str(), "1")).collect();
    let falling: Vec<_> = many.iter().rev().copied().collect();
    let bytes = |bids: Levels, asks: Levels| {
        let mut harness = spot();
        harness.load(&snapshot(10, bids, asks), 1);
        harness.market.memory_bytes()
    };
    let (few, both) = (bytes(&many[..1], &many[..1]), bytes(&falling, &many));
    let sides = [Side::Bids, Side::Asks].map(|side| Ladder::new(side).memory_bytes());
    assert_eq!(few, size_of::<Market>() + sides[0] + sides[1]);
    let more = [bytes(&falling, &many[..1]), bytes(&many[..1], &many)].map(|more| more - few);
    assert!(more[0] > 200 * 16, "{more:?}");
    assert_eq!((more[0], more[0] + more[1]), (more[1], both - few));

    let mut waiting = spot();
    let before = waiting.market.memory_bytes();
    let diff = diff(11, 12).with(&many, &[]);
    waiting.feed(&diff, 1);
    assert!(waiting.market.memory_bytes() >= before + diff.frame().len());
}

#[test]
fn a_status_never_begins_before_the_one_that_users_saw_before_it() {
    let mut harness = synced();
    harness
        .market
        .set_condition(Some(Condition::Disconnected), "lost", 50);
    harness.market.resync("asked for", 40);
    assert_eq!(harness.status_info(), "disconnected since 50: lost");
    harness.market.set_condition(None, "", 60);
    assert_eq!(harness.status_info(), "buffering since 60: asked for");
    harness
        .market
        .set_condition(Some(Condition::Stale), "stamped late", 55);
    assert_eq!(harness.status_info(), "stale since 60: stamped late");
}

#[test]
fn quantities_are_contracts_where_the_venue_says_so() {
    for inverse in [true, false] {
        let config = MarketConfig {
            continuity: Continuity::Chained,
            inverse,
            buffer_bytes: 0,
        };
        let market = Market::new("binance.com-coin_futures", None, config, 0);
        assert_eq!(market.inverse(), inverse);
    }
}

#[test]
fn floats_are_those_of_the_levels_and_say_whether_all_that_was_asked_for_is_proven() {
    let mut harness = spot();
    harness.load(&snapshot(10, BIDS, ASKS).asked(Some(3)), 1);
    let mut rows = Vec::new();
    let mut append = |side, stop| {
        let to = &mut Floats::Rows(&mut rows);
        harness.market.append_floats(side, stop, to)
    };
    assert!(append(Side::Bids, 2));
    assert!(!append(Side::Bids, 4));
    assert!(append(Side::Asks, 4), "it is whole");
    let bids = [[99.0, 1.0], [98.0, 2.0], [97.0, 3.0]];
    let wanted = [&bids[..2], &bids, &[[101.0, 1.0], [102.0, 2.0]]].concat();
    assert_eq!(rows, wanted);
    assert_eq!(harness.market.depth_requested(), 4);
}
