//! The scanner against an independent oracle, and the cases that have names.

#[path = "support/differential.rs"]
mod differential;
#[path = "support/generator.rs"]
mod generator;
#[path = "support/oracle.rs"]
mod oracle;

use depthcache_book::codec::json::{self, Body, Malformed};
use depthcache_book::message::{DepthSnapshot, DepthUpdate};
use differential::{check_frame, check_snapshot};
use generator::Generator;

const ROUNDS: u64 = 60_000;

const SPOT: &[u8] = br#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":189,"u":202,"b":[["61737.63000000","0.00000000"],["61730.17000000","12.50000000"]],"a":[["61837.64000000","1.54698000"]]}}"#;
const FUTURES: &[u8] = br#"{"stream":"ethusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256303,"T":1723161256302,"s":"ETHUSDT","ps":"ETHUSDT","U":5123107832349,"u":5123107837896,"pu":5123107832175,"b":[["200.00","10.229"],["707.81","0.170"]],"a":[["2681.63","73"],["2699.00","0.0"]],"st":1}}"#;

fn refused(frame: &str) -> Malformed {
    json::frame(frame.as_bytes(), &mut DepthUpdate::default()).expect_err(frame)
}

fn raw(bids: &str) -> String {
    format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":{bids},"a":[]}}"#)
}

#[test]
fn generated_frames_are_judged_as_the_oracle_judges_them() {
    for seed in 1..=ROUNDS {
        let mut generator = Generator(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        check_frame(&generator.frame());
        check_snapshot(&generator.snapshot());
    }
}

#[test]
fn spoiled_frames_are_judged_as_the_oracle_judges_them() {
    for seed in 1..=ROUNDS {
        let mut generator = Generator(seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
        let mut frame = if seed % 3 == 0 {
            SPOT.to_vec()
        } else {
            generator.frame()
        };
        generator.spoil(&mut frame);
        check_frame(&frame);
        let mut snapshot = generator.snapshot();
        generator.spoil(&mut snapshot);
        check_snapshot(&snapshot);
    }
}

#[test]
fn a_frame_cut_anywhere_is_malformed() {
    for frame in [SPOT, FUTURES] {
        check_frame(frame);
        for length in 0..frame.len() {
            let result = json::frame(&frame[..length], &mut DepthUpdate::default());
            assert!(result.is_err(), "cut at {length}");
        }
    }
}

#[test]
fn a_usual_spot_frame_gives_its_numbers() {
    let mut update = DepthUpdate::default();
    let scanned = json::frame(SPOT, &mut update).unwrap();
    assert_eq!(scanned.stream.as_deref(), Some("btcusdt@depth@100ms"));
    assert_eq!(
        scanned.body,
        Body::Update {
            symbol: "BTCUSDT".into()
        }
    );
    assert_eq!((update.first_update_id, update.final_update_id), (189, 202));
    assert_eq!(update.event_time_us, 1_723_161_255_208_000);
    assert_eq!(
        (update.bids.price_scale, update.bids.quantity_scale),
        (8, 8)
    );
    assert_eq!(update.bids.narrow[0].price, 6_173_763_000_000);
    assert_eq!(update.bids.narrow[1].quantity, 1_250_000_000);
    assert_eq!(update.asks.narrow.len(), 1);
}

#[test]
fn widths_that_differ_within_a_side_come_to_the_widest_and_zero_widens_nothing() {
    let mut update = DepthUpdate::default();
    json::frame(FUTURES, &mut update).unwrap();
    assert_eq!(
        (update.asks.price_scale, update.asks.quantity_scale),
        (2, 0)
    );
    json::frame(
        raw(r#"[["1.5","2"],["1.25","0.00000"],["3","0.125"]]"#).as_bytes(),
        &mut update,
    )
    .unwrap();
    assert_eq!(
        (update.bids.price_scale, update.bids.quantity_scale),
        (2, 3)
    );
    let prices: Vec<i64> = update.bids.narrow.iter().map(|level| level.price).collect();
    assert_eq!(prices, [150, 125, 300]);
}

#[test]
fn numbers_beyond_64_bits_are_kept_exactly() {
    let mut update = DepthUpdate::default();
    json::frame(
        raw(r#"[["1.00000000","92233720368.54775807"]]"#).as_bytes(),
        &mut update,
    )
    .unwrap();
    assert_eq!(update.bids.narrow[0].quantity, i64::MAX);
    json::frame(
        raw(r#"[["1.00000000","92233720368.54775808"]]"#).as_bytes(),
        &mut update,
    )
    .unwrap();
    assert!(update.bids.narrow.is_empty());
    assert_eq!(update.bids.wide[0].quantity, i128::from(i64::MAX) + 1);
}

#[test]
fn partial_depth_and_rpi_depth_are_never_diffs() {
    for stream in [
        "btcusdt@depth5",
        "btcusdt@depth20@100ms",
        "btcusdt@rpiDepth@500ms",
        "btcusdt@bookTicker",
        "depth",
    ] {
        let frame = String::from_utf8_lossy(SPOT).replace("btcusdt@depth@100ms", stream);
        let scanned = json::frame(frame.as_bytes(), &mut DepthUpdate::default()).unwrap();
        assert_eq!(scanned.body, Body::Other, "{stream}");
    }
}

#[test]
fn escapes_and_letters_of_any_script_are_read() {
    let frame = r#"{"stream":"币安人生usdt@depth","data":{"e":"depth\u0055pdate","s":"币安\u4eba生USDT","U":1,"u":1,"b":[["1\u002e5","2"]],"a":[]}}"#;
    let mut update = DepthUpdate::default();
    let scanned = json::frame(frame.as_bytes(), &mut update).unwrap();
    assert_eq!(
        scanned.body,
        Body::Update {
            symbol: "币安人生USDT".into()
        }
    );
    assert_eq!(update.bids.narrow[0].price, 15);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        (raw(r#"[["0.0","1"]]"#), "a price must be above zero"),
        (
            raw(r#"[["1","-1"]]"#),
            "a number may only contain digits, one dot and an exponent",
        ),
        (raw(r#"[["1",""]]"#), "a number needs at least one digit"),
        (
            raw(r#"[["1","1",[],1]]"#),
            "a level must be an array of two strings",
        ),
        (raw(r#"[["1"]]"#), "a level must be an array of two strings"),
        (raw(r#"[[1,"1"]]"#), "a price or quantity must be a string"),
        (raw(r#"[["1e20","1"]]"#), "a number must be below 10^20"),
        (
            raw(r#"[["0.0000000000000000001","1"]]"#),
            "a number may have at most 18 decimals",
        ),
        (raw(r#"{}"#), "a side must be an array of levels"),
        (
            raw("[]").replace("\"U\":1", "\"U\":3"),
            "the first update id U is above the final update id u",
        ),
        (
            raw("[]").replace("\"U\":1", "\"U\":1.0"),
            "an id or time must be an integer",
        ),
        (
            raw("[]").replace("\"U\":1,", ""),
            "the first update id U is missing",
        ),
        (
            raw("[]").replace("\"s\":\"X\"", "\"s\":5"),
            "the symbol s must be a string",
        ),
        (
            raw("[]").replace("\"s\":\"X\"", "\"s\":\"\""),
            "the symbol s is empty",
        ),
        (
            raw("[]").replace("\"U\":1", "\"U\":9223372036854775808"),
            "an id or time does not fit into 64 bits",
        ),
        (
            raw("[]").replace("\"E\":1", "\"E\":1,\"E\":1"),
            "a key of the update appears twice",
        ),
        ("[]".to_owned(), "a frame must be a JSON object"),
        (String::new(), "a frame must be a JSON object"),
        (raw("[]") + "x", "there is data after the frame"),
        (
            format!(r#"{{"x":{}{}}}"#, "[".repeat(64), "]".repeat(64)),
            "nesting is deeper than 64 levels",
        ),
    ];
    for (frame, what) in cases {
        assert_eq!(refused(&frame).what, what, "{frame}");
    }
    assert_eq!(refused(&raw(r#"[["1","x"]]"#)).position, 56);
    let broken = String::from_utf8_lossy(SPOT).replace("\"U\":189", "\"U\":true");
    assert_eq!(
        refused(&broken).stream.as_deref(),
        Some("btcusdt@depth@100ms")
    );
    let text = json::frame(b"{\"s\":\"\xff\"}", &mut DepthUpdate::default()).unwrap_err();
    assert_eq!(
        (text.what, text.position),
        ("the text is not valid UTF-8", 6)
    );
    let huge = vec![b' '; json::MOST_BYTES + 1];
    assert!(json::snapshot(&huge, &mut DepthSnapshot::default()).is_err());
}

#[test]
fn an_error_body_is_not_a_snapshot() {
    let body = br#"{"code":-1121,"msg":"Invalid symbol."}"#;
    let error = json::snapshot(body, &mut DepthSnapshot::default()).unwrap_err();
    assert_eq!(error.what, "lastUpdateId is missing");
}
