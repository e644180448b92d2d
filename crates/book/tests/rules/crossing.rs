//! A book whose best prices touch or cross is kept up and not served.

use depthcache_book::market::outcome::Outcome;
use depthcache_book::query::Reading;

use crate::builders::{Levels, diff, snapshot, spot};

const BIDS: Levels = &[("99.5", "1"), ("99", "2")];
const ASKS: Levels = &[("100", "1"), ("101", "2")];

#[test]
fn a_book_is_crossed_from_equality_on() {
    for (bid, crossed) in [
        ("99.999", false),
        ("100", true),
        ("100.000", true),
        ("100.001", true),
        ("200", true),
    ] {
        let mut harness = spot().synced_at(10, BIDS, ASKS);
        harness.feed(&diff(11, 11).with(&[(bid, "1")], &[]), 5);
        let readable = harness.market.readable(false);
        assert_eq!(readable.is_err(), crossed, "{bid}");
        assert_eq!(
            harness.market.counters().crossed,
            u64::from(crossed),
            "{bid}"
        );
        assert_eq!(
            harness.causes(),
            if crossed { "crossed" } else { "" },
            "{bid}"
        );
    }
}

#[test]
fn a_side_without_levels_crosses_nothing() {
    for (bids, asks) in [(BIDS, &[] as Levels), (&[], ASKS), (&[], &[])] {
        let mut harness = spot().synced_at(10, bids, asks);
        harness.feed(&diff(11, 11), 5);
        assert!(harness.market.readable(false).is_ok());
    }
}

#[test]
fn a_crossed_book_says_so_is_kept_up_and_comes_back() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    let crossing = diff(11, 11).with(&[("100.5", "3")], &[]);
    assert_eq!(harness.feed(&crossing, 5), Outcome::Applied);
    let expected = "crossed since 5: best bid 100.5 is at or above best ask 100";
    assert_eq!(harness.status_info(), expected);
    let refused = harness.market.readable(true).unwrap_err();
    assert_eq!(refused.status.as_str(), "crossed");
    assert_eq!(refused.reason, "best bid 100.5 is at or above best ask 100");
    assert_eq!(refused.since_ns, 5);
    assert_eq!(harness.causes(), "crossed");

    // Still crossed, by other prices: said once.
    let worse = diff(12, 12).with(&[("100.7", "3")], &[]);
    assert_eq!(harness.feed(&worse, 6), Outcome::Applied);
    assert_eq!(
        (harness.status_info(), harness.causes()),
        (expected.into(), "".into())
    );

    let healing = diff(13, 13).with(&[("100.7", "0"), ("100.5", "0")], &[]);
    assert_eq!(harness.feed(&healing, 7), Outcome::Applied);
    assert_eq!(harness.status_info(), "synced since 7: ");
    assert_eq!(harness.causes(), "uncrossed");
    assert!(harness.market.readable(false).is_ok());
    assert_eq!(harness.book(), "99.5 x 1, 99.0 x 2 | 100 x 1, 101 x 2");
    assert_eq!(
        harness.counts(),
        "applied 4, crossed 1, snapshots 1, levels_changed 4"
    );
}

#[test]
fn a_crossed_snapshot_is_installed_and_not_served() {
    let mut harness = spot();
    harness.load(&snapshot(10, &[("100", "1")], ASKS), 2);
    let expected = "crossed since 2: best bid 100 is at or above best ask 100";
    assert_eq!(harness.status_info(), expected);
    assert_eq!(harness.causes(), "synced, crossed");
    harness.load(&snapshot(11, BIDS, ASKS), 3);
    assert!(harness.market.readable(false).is_ok());
    assert_eq!(harness.causes(), "synced, uncrossed");
}

#[test]
fn kept_diffs_that_cross_make_a_crossed_book_once_they_are_installed() {
    let mut harness = spot();
    harness.feed(&diff(11, 11).with(&[("100.5", "1")], &[]), 21);
    harness.feed(&diff(12, 12).with(&[("100.6", "1")], &[]), 22);
    harness.load(&snapshot(10, BIDS, ASKS), 30);
    let expected = "crossed since 30: best bid 100.5 is at or above best ask 100";
    assert_eq!(harness.status_info(), expected);
    assert_eq!(harness.market.counters().crossed, 1);
}

#[test]
fn a_crossed_book_that_loses_its_chain_is_not_served_as_last_known_either() {
    let mut harness = spot().synced_at(10, BIDS, ASKS);
    harness.feed(&diff(11, 11).with(&[("100.5", "3")], &[]), 5);
    harness.market.resync("asked for", 6);
    assert_eq!(harness.status_info(), "buffering since 6: asked for");
    assert!(harness.market.readable(true).is_err());
}
