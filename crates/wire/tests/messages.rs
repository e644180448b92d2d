//! Books as messages and back: exact text, equal books, and what is refused.

use std::sync::Arc;

use depthcache_book::codec::json;
use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::market::sequence::Continuity;
use depthcache_book::market::{Market, MarketConfig};
use depthcache_book::message::DepthSnapshot as Snapshot;
use depthcache_book::query::{LevelRun, Number, NumberLevel, Reading, Side};
use depthcache_book::status::{Condition, Status};
use depthcache_book::timebase::Timebase;
use depthcache_wire::{
    BadMessage, Decoded, DepthSnapshot, Family, Numbers, Options, SCHEMA, best, book, decode,
    depth_snapshot, level_lines, status, update,
};

const TEXT: Options = Options {
    numbers: Numbers::Text,
    counters: true,
};

const BIDS: &[(&str, &str)] = &[
    ("99.50", "12345678901234567890.123456789012345678"),
    ("99", "1.5"),
];
const ASKS: &[(&str, &str)] = &[("100.5", "2"), ("101", "0.00000001"), ("102", "7")];

/// A market of a client whose clock began at that time.
fn market(limit: Option<usize>, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Market {
    let clocks = Timebase::default();
    clocks.on_wall(0, 1_764_000_000_000_000_000);
    by_hand(limit, bids, asks).timed_by(Arc::new(clocks))
}

fn by_hand(limit: Option<usize>, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Market {
    let list = |levels: &[(&str, &str)]| {
        let pairs: Vec<_> = levels
            .iter()
            .map(|(p, q)| format!(r#"["{p}","{q}"]"#))
            .collect();
        pairs.join(",")
    };
    let body = format!(
        r#"{{"lastUpdateId":10,"bids":[{}],"asks":[{}]}}"#,
        list(bids),
        list(asks)
    );
    let mut snapshot = Snapshot::default();
    json::snapshot(body.as_bytes(), &mut snapshot).unwrap();
    let config = MarketConfig {
        continuity: Continuity::Contiguous,
        inverse: false,
        buffer_bytes: 1_000,
    };
    let mut market = Market::new("binance.com", Some("BTCUSDT"), config, 0);
    market.install(&snapshot, limit, true, 5_000, None).unwrap();
    market
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn decoded(message: &str) -> Frozen {
    match decode(message.as_bytes()).unwrap() {
        Decoded::Book(frozen) => frozen,
        other => panic!("a book was expected, not {other:?}"),
    }
}

fn item(book: Frozen, changes: Option<(LevelRun, LevelRun)>) -> Item {
    Item {
        book: Arc::new(book),
        skipped: 3,
        is_fresh: changes.is_none(),
        changes: changes.map(Arc::new),
    }
}

#[test]
fn a_book_is_written_with_every_digit_and_no_spaces() {
    let frozen = market(Some(3), BIDS, ASKS).freeze(usize::MAX);
    let expected = concat!(
        r#"{"schema":1,"type":"book","exchange":"binance.com","symbol":"BTCUSDT","inverse":false,"#,
        r#""status":"synced","#,
        r#""reason":"from a snapshot, not yet confirmed by an update","since_ns":5000,"#,
        r#""since_time_us":1764000000000005,"unconfirmed":true,"last_update_id":10,"event_time_us":1764000000000005,"#,
        r#""updated_ns":5000,"received_time_us":1764000000000005,"confirmed_ns":5000,"#,
        r#""confirmed_time_us":1764000000000005,"complete":false,"complete_to":{"bids":"all","asks":"102.0"},"coverage":{"bids":2,"asks":3},"#,
        r#""bids":[["99.50","12345678901234567890.123456789012345678"],["99.00","1.500000000000000000"]],"#,
        r#""asks":[["100.5","2.00000000"],["101.0","0.00000001"],["102.0","7.00000000"]],"counters":{"#,
    );
    let written = text(|out| book(out, &frozen, &TEXT));
    assert!(written.starts_with(expected), "{written}");
    assert!(written.ends_with(r#""levels_changed":0}}"#), "{written}");
}

#[test]
fn floats_are_the_nearest_ones_and_stay_floats() {
    let frozen = market(Some(3), &[("99", "92233720368.54775807")], ASKS).freeze(2);
    let options = Options {
        numbers: Numbers::Float,
        counters: false,
    };
    let written = text(|out| book(out, &frozen, &options));
    let levels = r#""bids":[[99.0,92233720368.54776]],"asks":[[100.5,2.0],[101.0,1e-8]]}"#;
    assert!(written.ends_with(levels), "{written}");
}

#[test]
fn every_book_comes_back_equal_and_is_written_the_same_again() {
    let one = market(Some(3), BIDS, ASKS);
    let bounded = market(Some(2), BIDS, ASKS);
    let unknown = market(None, &[], &[]);
    let mut held = market(Some(2), BIDS, ASKS);
    held.set_condition(
        Some(Condition::Stale),
        "silent for \"60\" s\n\u{1}\u{2028}é",
        9_000,
    );
    let early = Timebase::default();
    early.on_wall(9_000, 4_000);
    let books = [
        one.freeze(usize::MAX),
        one.freeze(1),
        one.freeze(0),
        one.freeze(1).freeze(0),
        bounded.freeze(usize::MAX),
        bounded.freeze(2),
        bounded.freeze(3),
        unknown.freeze(5),
        held.freeze(usize::MAX),
        by_hand(Some(3), BIDS, ASKS).freeze(2),
        by_hand(Some(3), BIDS, ASKS)
            .timed_by(Arc::new(early))
            .freeze(2),
    ];
    for frozen in books {
        let written = text(|out| book(out, &frozen, &TEXT));
        let again = decoded(&written);
        assert_eq!(again, frozen, "{written}");
        assert_eq!(text(|out| book(out, &again, &TEXT)), written);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written).unwrap()["schema"],
            SCHEMA
        );
    }
}

#[test]
fn numbers_of_other_widths_are_the_same_numbers() {
    let frozen = market(Some(3), BIDS, ASKS).freeze(usize::MAX);
    let mut written = text(|out| book(out, &frozen, &TEXT));
    for (from, to) in [
        (r#""2.00000000""#, r#""2""#),
        (r#""99.00""#, r#""99""#),
        (r#""102.0""#, r#""102.000""#),
        (r#""7.00000000""#, r#""0.7e1""#),
    ] {
        assert!(written.contains(from), "{from} in {written}");
        written = written.replace(from, to);
    }
    assert_eq!(decoded(&written), frozen);
}

#[test]
fn a_book_that_cannot_be_read_has_no_levels_and_still_none_when_it_comes_back() {
    let mut market = market(Some(3), BIDS, ASKS);
    market.set_condition(Some(Condition::Halted), "the exchange halted it", 9_000);
    let why = market.readable(false).unwrap_err();
    let item = item(market.freeze(0).refused(why.clone()), None);
    let written = text(|out| update(out, &item, &TEXT));
    assert!(written.contains(r#""bids":null,"asks":null"#), "{written}");
    let Decoded::Update(again) = decode(written.as_bytes()).unwrap() else {
        panic!("an update was expected");
    };
    assert_eq!(*again.book, *item.book);
    assert_eq!(again.book.readable(true), Err(why));
    assert_eq!((again.skipped, again.is_fresh), (3, true));
}

#[test]
fn changes_come_back_with_the_levels_that_are_gone() {
    let number = |mantissa, scale| Number { mantissa, scale };
    let level = |price, quantity| NumberLevel {
        price: number(price, 2),
        quantity: number(quantity, 1),
    };
    let run = |levels: &[NumberLevel]| LevelRun::of(levels, false);
    let changes = (run(&[level(9_950, 0), level(9_900, 5)]), run(&[]));
    let item = item(market(Some(3), BIDS, ASKS).freeze(1), Some(changes));
    let written = text(|out| update(out, &item, &TEXT));
    let part = r#""skipped":3,"is_fresh":false,"changes":{"bids":[["99.50","0.0"],["99.00","0.5"]],"asks":[]},"#;
    assert!(written.contains(part), "{written}");
    let Decoded::Update(again) = decode(written.as_bytes()).unwrap() else {
        panic!("an update was expected");
    };
    let again = again.changes.unwrap();
    let before = item.changes.unwrap();
    assert!(again.0.is_same(&before.0) && again.1.is_same(&before.1));
}

#[test]
fn best_and_status_have_the_head_alone() {
    let market = market(Some(3), BIDS, &[]);
    let encoded = text(|out| best(out, &market, Some(market.best()), &TEXT));
    let pair = r#""best":{"bid":["99.50","12345678901234567890.123456789012345678"],"ask":null,"update_id":10}}"#;
    assert!(encoded.ends_with(pair), "{encoded}");
    let Decoded::Best(head, Some(pair)) = decode(encoded.as_bytes()).unwrap() else {
        panic!("the best prices were expected");
    };
    assert_eq!((head.status, pair), (Status::Synced, market.best()));
    let mut halted = by_hand(Some(3), BIDS, &[]);
    halted.set_condition(Some(Condition::Halted), "the exchange halted it", 9_000);
    let unreadable = text(|out| best(out, &halted, None, &TEXT));
    assert!(unreadable.ends_with(r#""best":null}"#), "{unreadable}");
    assert!(matches!(
        decode(unreadable.as_bytes()),
        Ok(Decoded::Best(_, None))
    ));
    let encoded = text(|out| status(out, &market));
    assert!(matches!(decode(encoded.as_bytes()), Ok(Decoded::Status(again)) if again == head));
}

#[test]
fn what_contradicts_itself_or_is_of_another_schema_is_refused() {
    let good = text(|out| book(out, &market(Some(2), BIDS, ASKS).freeze(2), &TEXT));
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        match decode(good.replacen(from, to, 1).as_bytes()) {
            Err(BadMessage::Malformed(what)) => what,
            other => panic!("{from} as {to} is {other:?}"),
        }
    };
    for (from, to, what) in [
        (r#""type":"book""#, r#""type":"trade""#, "unknown type"),
        (
            r#""status":"synced""#,
            r#""status":"fine""#,
            "unknown status",
        ),
        (
            r#""coverage":{"bids":2"#,
            r#""coverage":{"bids":1"#,
            "coverage",
        ),
        (
            r#""complete_to":{"bids":"99.00""#,
            r#""complete_to":{"bids":null"#,
            "coverage",
        ),
        (
            r#""last_update_id":10"#,
            r#""last_update_id":null"#,
            "update id",
        ),
        (r#"["99.50","#, r#"["98.50","#, "sorted"),
        (r#"["101.0","#, r#"["100.0","#, "sorted"),
        (r#""0.00000001""#, r#""0.0""#, "a quantity is zero"),
        (r#""0.00000001""#, r#""-1""#, "not a price or quantity"),
        (
            r#""0.00000001""#,
            r#""100000000000000000000""#,
            "not a price or quantity",
        ),
        (r#""0.00000001""#, "null", "not text"),
        (r#""0.00000001""#, "1e-8", "not text"),
        (r#""0.00000001"]"#, r#""0.00000001","3"]"#, "trailing"),
        (
            r#""bids":[["#,
            r#""bids":null,"extra":[["#,
            "only one side is null",
        ),
        (r#""unconfirmed":true"#, r#""unconfirmed":1"#, "boolean"),
    ] {
        let found = refused(from, to);
        assert!(found.contains(what), "{from} as {to}: {found}");
    }
    for count in 0..good.len() {
        let cut = decode(&good.as_bytes()[..count]);
        assert!(
            matches!(cut, Err(BadMessage::Malformed(_))),
            "cut at {count}"
        );
    }
    let newer = good.replacen(r#""schema":1"#, r#""schema":2"#, 1);
    assert_eq!(decode(newer.as_bytes()).unwrap_err(), BadMessage::Schema(2));
    let stranger = br#"{"levels":{},"schema":3}"#;
    assert_eq!(decode(stranger).unwrap_err(), BadMessage::Schema(3));
    let later = good.replacen('{', r#"{"added":[{"later":null}],"#, 1);
    assert!(matches!(decode(later.as_bytes()), Ok(Decoded::Book(_))));
}

#[test]
fn a_depth_snapshot_has_the_keys_and_the_order_of_its_family() {
    let frozen = market(Some(3), &[("99.50", "1")], ASKS).freeze(1);
    let body = |family| {
        let head = DepthSnapshot {
            family,
            symbol: "BTCUSD_PERP",
            update_id: 10,
            event_time_ms: 8,
            transaction_time_ms: 7,
        };
        let (bids, asks) = (frozen.run(Side::Bids), frozen.run(Side::Asks));
        text(|out| depth_snapshot(out, &head, bids.iter(), asks.iter()))
    };
    let levels = r#""bids":[["99.50","1"]],"asks":[["100.5","2.00000000"]]"#;
    let family = |word| Family::parse(word).unwrap();
    assert_eq!(
        body(family("spot")),
        format!(r#"{{"lastUpdateId":10,{levels}}}"#)
    );
    assert_eq!(
        body(family("linear")),
        format!(r#"{{"lastUpdateId":10,"E":8,"T":7,{levels}}}"#)
    );
    let names = r#""symbol":"BTCUSD_PERP","pair":"BTCUSD""#;
    assert_eq!(
        body(family("inverse")),
        format!(r#"{{"lastUpdateId":10,{names},"E":8,"T":7,{levels}}}"#)
    );
    assert_eq!(
        body(family("options")),
        format!(r#"{{{levels},"T":7,"lastUpdateId":10}}"#)
    );
    assert_eq!(Family::parse("futures"), None);
}

#[test]
fn lines_of_levels_are_bids_then_asks() {
    let frozen = market(
        Some(3),
        &[("99.50", "1")],
        &[("100.5", "2"), ("101", "0.5")],
    )
    .freeze(9);
    let lines = text(|out| level_lines(out, frozen.run(Side::Bids), frozen.run(Side::Asks)));
    assert_eq!(lines, "b 99.50 1\na 100.5 2.0\na 101.0 0.5\n");
}
