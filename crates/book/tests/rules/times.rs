//! What time it is for readers, and what they do not read because it is too old.

use std::sync::Arc;

use depthcache_book::market::sequence::{Continuity, NODE_LAG_US, SnapshotTime};
use depthcache_book::market::{Market, MarketConfig};
use depthcache_book::message::DepthSnapshot;
use depthcache_book::query::{ReadPolicy, Reading};
use depthcache_book::status::{Refusal, TooOld};
use depthcache_book::timebase::Timebase;

use crate::builders::{MarketHarness, T, diff, snapshot, spot};

const S: i64 = 1_000_000_000;

#[test]
fn the_systems_clock_is_an_offset_that_small_differences_leave_as_it_is() {
    let time = Timebase::default();
    assert_eq!(time.wall_offset_ns(), None);
    time.on_wall(5 * S, 105 * S);
    assert_eq!(time.wall_offset_ns(), Some(100 * S));
    time.on_wall(6 * S, 106 * S + 999_999);
    assert_eq!(time.wall_offset_ns(), Some(100 * S), "two readings apart");
    time.on_wall(7 * S, 107 * S - 1_000_000);
    assert_eq!(time.wall_offset_ns(), Some(100 * S - 1_000_000), "a step");
}

#[test]
fn a_virtual_clock_takes_the_place_of_both() {
    let time = Timebase::default();
    assert_eq!(time.now_ns(|| 7), 7);
    time.set_virtual(3 * S, 50 * S);
    time.on_wall(5 * S, 105 * S);
    assert_eq!(time.now_ns(|| 7), 3 * S);
    assert_eq!(time.wall_offset_ns(), Some(47 * S));
}

#[test]
fn a_reader_that_limits_the_age_asks_the_clock_and_no_other_does() {
    let mut harness = spot().synced_at(10, &[("99", "1")], &[("101", "1")]);
    harness.feed(&diff(11, 11), 5 * S);
    let any = ReadPolicy::default();
    assert_eq!(any.check(&harness.market, || unreachable!()), Ok(()));
    let young = ReadPolicy {
        max_age_ns: Some(S),
        ..any
    };
    assert_eq!(young.check(&harness.market, || 6 * S), Ok(()));
    let refused = TooOld {
        age_ns: S + 1,
        max_age_ns: S,
    };
    let found = young.check(&harness.market, || 6 * S + 1);
    assert_eq!(found, Err(Refusal::TooOld(refused)));
    harness.market.resync("asked for", 7 * S);
    let found = young.check(&harness.market, || unreachable!());
    assert!(matches!(found, Err(Refusal::NotReadable(_))));
}

#[test]
fn a_snapshot_without_a_time_has_that_of_its_receipt_until_it_is_dated() {
    let clocks = Timebase::default();
    clocks.on_wall(5 * S, 105 * S);
    let config = MarketConfig {
        continuity: Continuity::Contiguous,
        inverse: false,
        buffer_bytes: 1 << 20,
    };
    let market = Market::new("binance.com", Some("BTCUSDT"), config, 0).timed_by(Arc::new(clocks));
    let mut harness = MarketHarness {
        market,
        compared: None,
    };
    assert_eq!(harness.market.wall_offset_ns(), Some(100 * S));
    harness.load(&snapshot(10, &[], &[]), 7 * S);
    assert_eq!(harness.market.event_time_us(), Some(107_000_000));
    let made = |latest_us: i64| SnapshotTime {
        earliest_us: 0,
        latest_us,
    };
    harness.market.date_snapshot(made(T));
    assert_eq!(harness.market.event_time_us(), Some(T));
    harness.market.date_snapshot(made(T + 1));
    assert_eq!(harness.market.event_time_us(), Some(T), "it has a time");
}

#[test]
fn a_snapshot_was_made_as_its_requester_knows_and_else_between_its_own_times() {
    let own = |event_time_us, transaction_time_us| DepthSnapshot {
        event_time_us,
        transaction_time_us,
        ..DepthSnapshot::default()
    };
    let made = |earliest_us, latest_us| {
        Some(SnapshotTime {
            earliest_us,
            latest_us,
        })
    };
    let lag = NODE_LAG_US;
    for (snapshot, known, expected) in [
        (own(None, None), None, None),
        (own(None, None), made(3, 9), made(3, 9)),
        (own(Some(T), Some(T - 5)), None, made(T - 5 - lag, T)),
        (own(None, Some(T)), None, made(T - lag, T)),
        (own(Some(lag - 1), None), None, made(0, lag - 1)),
        (own(Some(T), None), made(0, T + 9), made(T - lag, T + 9)),
        (own(Some(T), None), made(3, T + 9), made(3, T + 9)),
    ] {
        assert_eq!(SnapshotTime::of(&snapshot, known), expected);
    }
}

#[test]
fn the_newest_diff_that_was_heard_is_applied_or_kept_or_old() {
    let mut harness = spot();
    let told = |harness: &MarketHarness| {
        let market = &harness.market;
        (market.heard(), market.last_diff(), market.late_us())
    };
    assert_eq!(told(&harness), (None, None, None));
    harness.feed(&diff(12, 12).made_at(T + 7), 1);
    let kept = Some((1, Some(T + 7)));
    assert_eq!(told(&harness), (kept, None, None), "kept");
    harness.load(&snapshot(11, &[], &[]), 2);
    assert_eq!(told(&harness), (kept, kept, None), "applied");
    harness.market.set_clock_offset(Some(T * 1_000 - 5_000));
    harness.feed(&diff(13, 13).made_at(T + 3), 45_000);
    let applied = Some((45_000, Some(T + 3)));
    assert_eq!(told(&harness), (applied, applied, Some(37)));
    harness.feed(&diff(12, 12).made_at(T + 9), 60_000);
    let old = Some((60_000, Some(T + 9)));
    assert_eq!(told(&harness), (old, applied, Some(46)), "backlog");
    harness.feed(&diff(14, 14).made_at(0), 70_000);
    let timeless = Some((70_000, None));
    assert_eq!(told(&harness), (timeless, timeless, None));
}
