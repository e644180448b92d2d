//! A book that was right and may not be any more is stale until it is proven: by whom, and by what not.

use depthcache_book::market::sequence::Continuity;
use depthcache_book::query::Reading;
use depthcache_book::router::Router;

use crate::builders::{Diff, T, diff, named};

const S: i64 = 1_000_000_000;
const STREAM: &str = "btcusdt@depth@100ms";

/// A router with one market, synced at id 11 at `at_ns`, with a time to detect of 60 s.
pub fn synced(at_ns: i64) -> Router {
    let router = Router::new(16, 1 << 20, 0);
    let continuity = Continuity::Contiguous;
    router
        .add_market(1, "binance.com", "BTCUSDT", continuity, 0)
        .unwrap();
    router.set_time_to_detect(1, Some(60 * S)).unwrap();
    router.open_connection(7, "").unwrap();
    router.route(7, STREAM, 1).unwrap();
    feed(&router, &diff(11, 11), at_ns);
    let body = br#"{"lastUpdateId":10,"bids":[["99","1"]],"asks":[["101","1"]]}"#;
    router
        .install_snapshot(1, body, Some(1000), true, at_ns, None)
        .unwrap();
    router.take_events();
    router
}

fn feed(router: &Router, diff: &Diff, at_ns: i64) {
    let data = String::from_utf8(diff.frame()).unwrap();
    let frame = format!(r#"{{"stream":"{STREAM}","data":{data}}}"#);
    router.feed(7, frame.as_bytes(), at_ns);
}

fn status_info(router: &Router) -> String {
    let cell = router.market(1).unwrap();
    let market = cell.read();
    let info = market.status_info();
    let readable = if market.readable(false).is_ok() {
        ""
    } else {
        ", not readable"
    };
    format!(
        "{} since {} s: {}{readable}",
        info.status.as_str(),
        info.since_ns / S,
        info.reason
    )
}

const SILENT: &str = "stale since 61 s: no update for 60 s while the event loop is blocked, \
                      not readable";

#[test]
fn unjudged_silence_makes_a_book_stale_and_an_update_heals_it() {
    let router = synced(S / 2);
    router.judge_silence(60 * S + S / 2);
    assert_eq!(status_info(&router), "synced since 0 s: ", "just in time");
    router.judge_silence(61 * S);
    assert_eq!(status_info(&router), SILENT);
    router.judge_silence(90 * S);
    assert_eq!(status_info(&router), SILENT, "since when it was first so");
    feed(&router, &diff(12, 12), 91 * S);
    assert_eq!(status_info(&router), "synced since 91 s: ");
    router.judge_silence(150 * S);
    assert_eq!(status_info(&router), "synced since 91 s: ");
}

#[test]
fn while_the_loop_attends_it_decides() {
    let router = synced(S / 2);
    for second in 1..600 {
        router.attend(second * S);
        router.judge_silence(second * S + 2 * S);
        assert_eq!(status_info(&router), "synced since 0 s: ");
    }
    router.judge_silence(603 * S);
    assert!(status_info(&router).starts_with("stale since 603 s"));
}

#[test]
fn a_market_without_a_time_to_detect_is_never_doubted() {
    let router = synced(S / 2);
    router.set_time_to_detect(1, None).unwrap();
    router.judge_silence(10_000 * S);
    assert_eq!(status_info(&router), "synced since 0 s: ");
}

#[test]
fn a_gap_between_two_ticks_is_a_sleep_or_a_pause_of_the_process_or_nothing() {
    for (gap_ns, awake_ns, pauses, expected) in [
        (S / 4, S / 4, 0, "synced since 1 s: "),
        (9 * S / 2, 9 * S / 2, 0, "synced since 1 s: "),
        (3 * S / 4, 0, 0, "synced since 1 s: "),
        (
            20 * S,
            S / 4,
            1,
            "stale since 2 s: the machine slept for 20 s, not readable",
        ),
        (
            2 * S,
            S / 2,
            1,
            "stale since 2 s: the machine slept for 1.5 s, not readable",
        ),
        (
            7 * S,
            7 * S,
            1,
            "stale since 2 s: this process was paused for 7 s, not readable",
        ),
    ] {
        let router = synced(S);
        router.start_watch(2 * S, 100 * S);
        assert!(!router.is_overdue(|| 3 * S));
        assert_eq!(router.is_overdue(|| 2 * S + gap_ns), gap_ns > S);
        let (counted, has_events) = router.tick(2 * S + gap_ns, 100 * S + awake_ns);
        assert_eq!((counted, has_events), (pauses, pauses > 0));
        assert_eq!(status_info(&router), expected);
        assert_eq!(router.attend(0), pauses);
        assert!(!router.is_overdue(|| 2 * S + gap_ns), "it was looked at");
    }
}

#[test]
fn ticks_from_several_threads_count_a_pause_once_and_time_never_goes_back() {
    let router = synced(S);
    router.start_watch(2 * S, 0);
    assert_eq!(router.tick(30 * S, 0), (1, true));
    assert_eq!(router.tick(30 * S, 0).0, 1);
    assert_eq!(router.tick(29 * S, 0).0, 1);
    assert_eq!(router.tick(30 * S + S / 4, S / 4).0, 1);
    router.stop_watch();
    assert!(!router.is_overdue(|| i64::MAX));
    assert_eq!(router.tick(90 * S, S / 2).0, 1, "no watcher");
}

#[test]
fn after_a_pause_an_update_that_was_made_before_proves_nothing() {
    let router = synced(S);
    // The exchange's clock shows T where the clock of the frames shows 100 s.
    router
        .set_clock_offset(1, Some(T * 1_000 - 100 * S))
        .unwrap();
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    let made = |id: i64, at_s: i64| diff(id, id).made_at(T + (at_s - 100) * 1_000_000);
    feed(&router, &made(12, 79), 100 * S + 1);
    feed(&router, &made(13, 97), 100 * S + 2);
    assert!(status_info(&router).starts_with("stale since 80 s"));
    feed(&router, &made(14, 99), 100 * S + 3);
    assert_eq!(status_info(&router), "synced since 100 s: ");
}

#[test]
fn where_the_exchanges_clock_is_unknown_or_wrong_an_update_proves_in_the_end() {
    let router = synced(S);
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    feed(&router, &diff(12, 12), 101 * S - 1);
    assert!(status_info(&router).starts_with("stale"));
    feed(&router, &diff(13, 13), 101 * S);
    assert_eq!(status_info(&router), "synced since 101 s: ");
    router.set_clock_offset(1, Some(T * 1_000)).unwrap();
    router.pause("the machine slept for 20 s", 180 * S, 200 * S);
    feed(&router, &diff(14, 14), 209 * S);
    assert!(status_info(&router).starts_with("stale"));
    feed(&router, &diff(15, 15), 210 * S);
    assert_eq!(status_info(&router), "synced since 210 s: ");
}

#[test]
fn a_comparison_proves_it_but_not_one_that_was_asked_before() {
    let body = br#"{"lastUpdateId":11,"bids":[["99","1"]],"asks":[["101","1"]]}"#;
    let router = synced(S);
    assert!(router.begin_refresh(1).unwrap());
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    let outcome = router.refresh(1, body, Some(1000), 101 * S, None).unwrap();
    assert_eq!(outcome.as_str(), "not_live");
    assert!(status_info(&router).starts_with("stale since 80 s"));
    assert!(router.begin_refresh(1).unwrap());
    let outcome = router.refresh(1, body, Some(1000), 102 * S, None).unwrap();
    assert_eq!(outcome.as_str(), "merged");
    assert_eq!(status_info(&router), "synced since 102 s: ");
}

#[test]
fn a_second_pause_keeps_since_when_the_book_is_not_proven() {
    let router = synced(S);
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    router.pause("the machine slept for 10 s", 101 * S, 111 * S);
    assert_eq!(
        status_info(&router),
        "stale since 80 s: the machine slept for 10 s, not readable"
    );
}

#[test]
fn a_book_that_is_not_synced_says_what_it_is_and_a_new_snapshot_ends_all_doubt() {
    let router = synced(S);
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    feed(&router, &diff(14, 14), 101 * S);
    assert!(status_info(&router).starts_with("buffering since 101 s: sequence gap"));
    router.pause("the machine slept for 20 s", 110 * S, 130 * S);
    assert!(status_info(&router).starts_with("buffering since 101 s: sequence gap"));
    let body = br#"{"lastUpdateId":13,"bids":[["99","1"]],"asks":[["101","1"]]}"#;
    router
        .install_snapshot(1, body, Some(1000), true, 131 * S, None)
        .unwrap();
    assert_eq!(status_info(&router), "synced since 131 s: ");
}

#[test]
fn both_are_reported_as_causes() {
    let router = synced(S);
    router.pause("the machine slept for 20 s", 80 * S, 100 * S);
    feed(&router, &diff(12, 12), 101 * S);
    let cell = router.market(1).unwrap();
    let causes = cell.lock().take_change(1).unwrap().causes;
    assert_eq!(named(causes), "doubted, proven");
}

#[test]
fn the_end_of_the_loop_closes_every_book_for_good() {
    let router = synced(S);
    router.start_watch(2 * S, 0);
    router.close("the event loop ended", 5 * S);
    assert_eq!(
        status_info(&router),
        "closed since 5 s: the event loop ended, not readable"
    );
    assert!(!router.is_overdue(|| 100 * S));
    feed(&router, &diff(12, 12), 6 * S);
    router.set_condition(1, None, "", 7 * S).unwrap();
    assert_eq!(
        status_info(&router),
        "closed since 5 s: the event loop ended, not readable"
    );
}
