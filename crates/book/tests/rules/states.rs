//! The state machine: every state meets every event.

use depthcache_book::market::outcome::Outcome;
use depthcache_book::market::sequence::Continuity;
use depthcache_book::query::Reading;
use depthcache_book::status::{Condition, Status};

use crate::builders::{MarketHarness, T, chained, diff, futures, rows, snapshot, spot};

/// A market in a state of that name; its events have been taken.
///
/// Whatever was installed or applied holds id 10, what is kept is the diff 12 to 12.
pub fn in_state(state: &str) -> MarketHarness {
    let mut harness = spot();
    match state {
        "empty" => {}
        "waiting" => {
            harness.feed(&diff(12, 12), 1);
        }
        "bridging" => {
            harness.load(&snapshot(10, &[], &[]).before_live(), 2);
        }
        "unconfirmed" => {
            harness.load(&snapshot(10, &[], &[]), 2);
        }
        "synced" => harness = harness.synced_at(10, &[], &[]),
        "crossed" => {
            harness = harness.synced_at(9, &[("99", "1")], &[("101", "1")]);
            harness.feed(&diff(10, 10).with(&[("101", "1")], &[]), 4);
        }
        "broken" => {
            harness = harness.synced_at(10, &[], &[]);
            harness.feed(&diff(12, 12), 4);
        }
        other => panic!("no such state: {other}"),
    }
    harness.causes();
    harness
}

/// Let an event of that name happen at 50; what was answered.
fn happens(harness: &mut MarketHarness, event: &str) -> &'static str {
    let fed = |harness: &mut MarketHarness, diff| harness.feed(&diff, 50).as_str();
    match event {
        "next" => fed(harness, diff(11, 12)),
        "old" => fed(harness, diff(9, 10)),
        "gap" => fed(harness, diff(13, 14)),
        "reset" => fed(harness, diff(5, 5).made_at(T + 5_000_001)),
        "malformed" => {
            harness.market.on_malformed("no key", 50);
            ""
        }
        "resync" => {
            harness.market.resync("asked for", 50);
            ""
        }
        "restart" => {
            harness.market.restart("a new connection", 50);
            ""
        }
        "snapshot" => harness.load(&snapshot(20, &[], &[]), 50).as_str(),
        "early snapshot" => harness
            .load(&snapshot(20, &[], &[]).before_live(), 50)
            .as_str(),
        "old snapshot" => harness.load(&snapshot(10, &[], &[]), 50).as_str(),
        other => panic!("no such event: {other}"),
    }
}

/// State, event; the outcome, the status, the id, the causes and the counts by it.
const TABLE: &str = "
empty       | next           | waiting  | buffering since 50: waiting for a snapshot | -  | first_data |
empty       | old            | waiting  | buffering since 50: waiting for a snapshot | -  | first_data |
empty       | gap            | waiting  | buffering since 50: waiting for a snapshot | -  | first_data |
empty       | reset          | waiting  | buffering since 50: waiting for a snapshot | -  | first_data |
empty       | malformed      |          | empty since 0: nothing has arrived yet     | -  | malformed  | malformed
empty       | resync         |          | buffering since 50: asked for              | -  |            |
empty       | restart        |          | buffering since 50: a new connection       | -  |            |
empty       | snapshot       | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 20 | synced | snapshots
empty       | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | | snapshots
empty       | old snapshot   | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 10 | synced | snapshots

waiting     | next           | waiting  | buffering since 1: waiting for a snapshot  | -  |            |
waiting     | old            | waiting  | buffering since 1: waiting for a snapshot  | -  |            |
waiting     | gap            | waiting  | buffering since 1: waiting for a snapshot  | -  |            |
waiting     | reset          | waiting  | buffering since 1: waiting for a snapshot  | -  | reset      | resets
waiting     | malformed      |          | buffering since 1: waiting for a snapshot  | -  | malformed  | malformed
waiting     | resync         |          | buffering since 1: asked for               | -  |            |
waiting     | restart        |          | buffering since 1: a new connection        | -  |            |
waiting     | snapshot       | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 20 | synced | old, snapshots
waiting     | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | | old, snapshots
waiting     | old snapshot   | too_old  | buffering since 1: waiting for a snapshot  | -  |            |

bridging    | next           | applied  | synced since 50:                           | 12 | first_data, synced, confirmed | applied
bridging    | old            | old      | bridging since 2: waiting for the update that confirms the snapshot  | 10 | first_data | old
bridging    | gap            | gap      | buffering since 50: sequence gap: the book is at 10, but the next update follows 12 | 10 | first_data, gap | gaps
bridging    | reset          | old      | bridging since 2: waiting for the update that confirms the snapshot  | 10 | first_data | old
bridging    | malformed      |          | buffering since 50: malformed frame: no key | 10 | malformed | malformed
bridging    | resync         |          | buffering since 50: asked for              | 10 |            |
bridging    | restart        |          | buffering since 50: a new connection       | 10 |            |
bridging    | snapshot       | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 20 | synced | snapshots
bridging    | early snapshot | bridging | bridging since 2: waiting for the update that confirms the snapshot  | 20 | | snapshots
bridging    | old snapshot   | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 10 | synced | snapshots

unconfirmed | next           | applied  | synced since 2:                            | 12 | first_data, confirmed | applied
unconfirmed | old            | old      | synced since 2: from a snapshot, not yet confirmed by an update   | 10 | first_data | old
unconfirmed | gap            | gap      | buffering since 50: sequence gap: the book is at 10, but the next update follows 12 | 10 | first_data, gap | gaps
unconfirmed | reset          | old      | synced since 2: from a snapshot, not yet confirmed by an update   | 10 | first_data | old
unconfirmed | malformed      |          | buffering since 50: malformed frame: no key | 10 | malformed | malformed
unconfirmed | resync         |          | buffering since 50: asked for              | 10 |            |
unconfirmed | restart        |          | buffering since 50: a new connection       | 10 |            |
unconfirmed | snapshot       | synced   | synced since 2: from a snapshot, not yet confirmed by an update   | 20 | synced | snapshots
unconfirmed | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | | snapshots
unconfirmed | old snapshot   | synced   | synced since 2: from a snapshot, not yet confirmed by an update   | 10 | synced | snapshots

synced      | next           | applied  | synced since 2:                            | 12 |            | applied
synced      | old            | old      | synced since 2:                            | 10 |            | old
synced      | gap            | gap      | buffering since 50: sequence gap: the book is at 10, but the next update follows 12 | 10 | gap | gaps
synced      | reset          | gap      | buffering since 50: the exchange reset its update ids | 10 | reset | old, resets
synced      | malformed      |          | buffering since 50: malformed frame: no key | 10 | malformed | malformed
synced      | resync         |          | buffering since 50: asked for              | 10 |            |
synced      | restart        |          | buffering since 50: a new connection       | 10 |            |
synced      | snapshot       | synced   | synced since 2: from a snapshot, not yet confirmed by an update   | 20 | synced | snapshots
synced      | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | | snapshots
synced      | old snapshot   | synced   | synced since 2: from a snapshot, not yet confirmed by an update   | 10 | synced | snapshots

crossed     | next           | applied  | crossed since 4: best bid 101 is at or above best ask 101 | 12 | | applied
crossed     | old            | old      | crossed since 4: best bid 101 is at or above best ask 101 | 10 | | old
crossed     | gap            | gap      | buffering since 50: sequence gap: the book is at 10, but the next update follows 12 | 10 | gap | gaps
crossed     | reset          | gap      | buffering since 50: the exchange reset its update ids | 10 | reset | old, resets
crossed     | malformed      |          | buffering since 50: malformed frame: no key | 10 | malformed | malformed
crossed     | resync         |          | buffering since 50: asked for              | 10 |            |
crossed     | restart        |          | buffering since 50: a new connection       | 10 |            |
crossed     | snapshot       | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 20 | synced, uncrossed | snapshots
crossed     | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | uncrossed | snapshots
crossed     | old snapshot   | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 10 | synced, uncrossed | snapshots

broken      | next           | gap      | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | |
broken      | old            | gap      | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | |
broken      | gap            | gap      | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | |
broken      | reset          | gap      | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | reset | resets
broken      | malformed      |          | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | malformed | malformed
broken      | resync         |          | buffering since 4: asked for               | 10 |            |
broken      | restart        |          | buffering since 4: a new connection        | 10 |            |
broken      | snapshot       | synced   | synced since 50: from a snapshot, not yet confirmed by an update  | 20 | synced | old, snapshots
broken      | early snapshot | bridging | bridging since 50: waiting for the update that confirms the snapshot | 20 | | old, snapshots
broken      | old snapshot   | too_old  | buffering since 4: sequence gap: the book is at 10, but the next update follows 11 | 10 | |
";

#[test]
fn every_state_meets_every_event() {
    let rows = rows::<7>(TABLE);
    assert_eq!(rows.len(), 70);
    for [state, event, answer, status_info, id, causes, counted] in rows {
        let mut harness = in_state(state);
        let before = harness.market.counters().named();
        let answered = happens(&mut harness, event);
        let what = format!("{state}, {event}");
        assert_eq!(answered, answer, "{what}");
        assert_eq!(harness.status_info().trim_end(), status_info, "{what}");
        assert_eq!(harness.id(), id, "{what}");
        assert_eq!(harness.causes(), causes, "{what}");
        let more: Vec<_> = before
            .iter()
            .zip(harness.market.counters().named())
            .filter(|(old, new)| old.1 != new.1)
            .map(|(old, new)| {
                assert_eq!(new.1, old.1 + 1, "{what}");
                new.0
            })
            .collect();
        assert_eq!(more.join(", "), counted, "{what}");
    }
}

#[test]
fn the_first_diff_is_reported_once_until_a_restart() {
    let mut harness = spot();
    harness.feed(&diff(1, 1), 1);
    assert_eq!(harness.causes(), "first_data");
    harness.feed(&diff(2, 2), 2);
    harness.market.resync("asked for", 3);
    harness.feed(&diff(3, 3), 4);
    assert_eq!(harness.causes(), "");
    harness.market.restart("a new connection", 5);
    harness.feed(&diff(4, 4), 6);
    assert_eq!(harness.causes(), "first_data");
}

#[test]
fn unconfirmed_is_a_synced_book_before_its_first_diff() {
    for (state, unconfirmed) in [
        ("empty", false),
        ("waiting", false),
        ("bridging", false),
        ("unconfirmed", true),
        ("synced", false),
        ("crossed", false),
        ("broken", false),
    ] {
        assert_eq!(in_state(state).market.unconfirmed(), unconfirmed, "{state}");
    }
}

#[test]
fn futures_follow_the_chain_and_not_the_ids_between() {
    let mut harness = futures().synced_at(10, &[], &[]);
    assert_eq!(harness.market.continuity(), Continuity::Chained);
    assert_eq!(harness.feed(&chained(10, 90, 99), 4), Outcome::Applied);
    assert_eq!(harness.feed(&chained(100, 101, 102), 5), Outcome::Gap);
    assert_eq!(
        harness.status_info(),
        "buffering since 5: sequence gap: the book is at 99, but the next update follows 100"
    );
}

#[test]
fn a_change_is_listed_once_until_it_is_taken() {
    let mut harness = spot();
    assert!(!harness.market.mark_pending());
    harness.feed(&diff(1, 1), 7);
    assert!(harness.market.mark_pending());
    assert!(!harness.market.mark_pending());
    harness.load(&snapshot(1, &[], &[]), 8);
    assert!(!harness.market.mark_pending());
    let change = harness.market.take_change(42).unwrap();
    assert_eq!((change.market, change.at_ns), (42, 8));
    assert_eq!(change.status, Status::Synced);
    assert_eq!(
        change.reason,
        "from a snapshot, not yet confirmed by an update"
    );
    assert_eq!(harness.market.take_change(42), None);
    assert!(!harness.market.mark_pending());
    harness.feed(&diff(2, 2), 9);
    assert!(harness.market.mark_pending());
}

#[test]
fn a_change_has_the_machine_state_under_any_condition() {
    let mut harness = in_state("crossed");
    let halted = Some(Condition::Halted);
    harness
        .market
        .set_condition(halted, "the exchange says so", 5);
    harness.market.on_malformed("no key", 6);
    let change = harness.market.take_change(1).unwrap();
    assert_eq!(change.status, Status::Buffering);
    let mut harness = in_state("crossed");
    harness
        .market
        .set_condition(halted, "the exchange says so", 5);
    harness.feed(&diff(11, 11).with(&[("101", "0")], &[]), 6);
    harness.feed(&diff(12, 12).with(&[("102", "1")], &[]), 7);
    let change = harness.market.take_change(1).unwrap();
    assert_eq!(change.status, Status::Crossed);
    assert_eq!(change.reason, "best bid 102 is at or above best ask 101");
}

#[test]
fn a_market_without_a_symbol_takes_the_name_of_the_first_diff() {
    let mut harness = spot();
    assert!(harness.market.accepts("BTCUSDT"));
    assert!(!harness.market.accepts("ETHUSDT"));
    let config = depthcache_book::market::MarketConfig {
        continuity: Continuity::Contiguous,
        inverse: false,
        buffer_bytes: 100,
    };
    let mut nameless = depthcache_book::market::Market::new("binance.us", None, config, 0);
    assert_eq!(
        (nameless.exchange(), nameless.symbol()),
        ("binance.us", None)
    );
    assert!(nameless.accepts("ETHUSDT"));
    assert!(!nameless.accepts("BTCUSDT"));
    assert_eq!(nameless.symbol(), Some("ETHUSDT"));
}

#[test]
fn lateness_is_the_exchange_time_of_the_receipt_less_the_event_time() {
    let mut harness = spot().synced_at(10, &[], &[]);
    harness.feed(&diff(11, 11), 1_000);
    assert_eq!(harness.market.delays().sum_us, 0);
    harness.market.set_clock_offset(Some(T * 1_000 - 5_000));
    harness.feed(&diff(12, 12), 5_000 + 40_000);
    harness.feed(&diff(13, 13).made_at(T + 3), 5_000 + 13_000);
    harness.feed(&diff(14, 14).made_at(0), 99_000_000);
    assert_eq!(harness.market.delays().sum_us, 40 + 10);
    let counts = harness.market.delays().counts;
    assert_eq!((counts[4], counts[6]), (1, 1));
    assert_eq!(counts.iter().sum::<u64>(), 2);
    harness.market.set_clock_offset(None);
    harness.feed(&diff(15, 15), 99_000_000);
    assert_eq!(harness.market.delays().sum_us, 50);
}

#[test]
fn only_frames_that_stood_still_before_can_go_on() {
    let mut harness = spot().synced_at(10, &[], &[]);
    harness.market.set_stalled(None, 4);
    assert_eq!(harness.causes(), "");
    harness.market.set_stalled(Some("its thread stalled"), 5);
    assert_eq!(harness.causes(), "");
    harness.market.set_stalled(None, 6);
    assert_eq!(harness.causes(), "proven");
}
