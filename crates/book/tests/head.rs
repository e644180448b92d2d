//! A message is compared with what the one before it began with. Whatever came before must never change what is read.

#[path = "support/generator.rs"]
#[allow(dead_code)]
mod generator;

use std::sync::Mutex;

use depthcache_book::codec::json;
use depthcache_book::message::DepthUpdate;
use depthcache_book::vectors;
use generator::Generator;

/// The choice of instructions is one for the process.
static CHOICE: Mutex<()> = Mutex::new(());

const SPOT: &str = r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":48967651189,"u":48967651202,"b":[["61737.63000000","0.00000000"]],"a":[]}}"#;
const FUTURES: &str = r#"{"stream":"ethusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256303,"T":1723161256302,"s":"ETHUSDT","ps":"ETHUSDT","U":5123107832349,"u":5123107837896,"pu":5123107832175,"b":[["200.00","10.229"]],"a":[["2681.63","73"]]}}"#;
const CHINESE: &str = r#"{"stream":"币安人生usdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208123,"s":"币安人生USDT","U":7,"u":7,"b":[],"a":[["0.1","2"]]}}"#;
const BARE: &str = r#"{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":48967651189,"u":48967651202,"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}"#;

/// Everything that a frame says, or why it says nothing; the stream that was announced.
fn read(frame: &[u8], into: &mut DepthUpdate) -> (Result<String, String>, Vec<String>) {
    let mut announced = Vec::new();
    let said = match json::frame_announced(frame, into, |stream| announced.push(stream.to_owned()))
    {
        Err(why) => Err(format!("{why:?}")),
        Ok(scanned) if matches!(scanned.body, json::Body::Other) => Ok(format!("{scanned:?}")),
        Ok(scanned) => {
            let ids = (into.first_update_id, into.final_update_id);
            let times = (into.event_time_us, into.transaction_time_us);
            let previous = into.previous_final_update_id;
            let sides = [&into.bids, &into.asks].map(|side| {
                let scales = (side.price_scale, side.quantity_scale);
                format!("{scales:?} {:?} {:?}", side.narrow, side.wide)
            });
            Ok(format!(
                "{scanned:?} {ids:?} {previous:?} {times:?} {sides:?}"
            ))
        }
    };
    (said, announced)
}

/// A frame reads the same after others as it does alone; whether it is a good one.
fn check(frame: &[u8], used: &mut DepthUpdate) -> bool {
    let alone = read(frame, &mut DepthUpdate::default());
    let after = read(frame, used);
    let text = String::from_utf8_lossy(frame);
    assert_eq!(after.0, alone.0, "{text}");
    assert!(after.1.len() <= 1, "{text}");
    if alone.0.is_ok() {
        assert_eq!(after.1, alone.1, "{text}");
    }
    alone.0.is_ok()
}

/// With vector instructions, and without.
fn both_ways(test: impl Fn()) {
    let _alone = CHOICE.lock();
    for portable in [false, true] {
        vectors::use_portable(portable);
        test();
    }
    vectors::use_portable(false);
}

#[test]
fn every_byte_that_differs_from_the_message_before_is_seen() {
    both_ways(|| {
        for good in [SPOT, FUTURES, CHINESE, BARE] {
            let mut used = DepthUpdate::default();
            let mut read = 0;
            for at in 0..good.len() {
                let flipped = (0..8).map(|bit| good.as_bytes()[at] ^ 1 << bit);
                for byte in flipped.chain(*b"09/:\"\\") {
                    let mut bytes = good.as_bytes().to_vec();
                    bytes[at] = byte;
                    assert!(check(good.as_bytes(), &mut used));
                    read += usize::from(check(&bytes, &mut used));
                }
            }
            assert!(read > 100, "{read} of {good}");
        }
    });
}

#[test]
fn messages_of_any_heads_in_turns_are_read_as_if_they_were_alone() {
    both_ways(|| {
        let mut used = DepthUpdate::default();
        let mut good = 0;
        for seed in 1..=10_000u64 {
            let mut generator = Generator(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            let frame = match generator.below(3) {
                0 => generator.frame(),
                _ => any_head(&mut generator).into_bytes(),
            };
            good += usize::from(check(&frame, &mut used));
        }
        assert!(good > 3_000, "{good}");
    });
}

/// A diff of one of a few streams, whose numbers have any length.
fn any_head(generator: &mut Generator) -> String {
    let mut number = |most: usize| -> String {
        let digits = 1 + generator.below(most);
        let digit = |_| char::from(b'0' + generator.below(10) as u8);
        (0..digits).map(digit).collect()
    };
    let times = [number(19), number(16), number(13)];
    let ids = [number(3), number(3), number(18)];
    let name = generator.of(&["BTCUSDT", "ETHUSDT", "币安人生USDT", ""]);
    let stream = generator.of(&["btcusdt@depth", "eth@depth@0ms", "btcusdt@trade"]);
    let time = &times[generator.below(3)];
    let [first, last, previous] = &ids;
    let futures = generator.below(2) == 0;
    let transaction = if futures {
        format!(r#""T":{time},"#)
    } else {
        String::new()
    };
    let previous = if futures {
        format!(r#""pu":{previous},"#)
    } else {
        String::new()
    };
    let sides = generator.of(&[r#"[["1.50","2"]],"a":[]"#, r#"[],"a":[["7","0.1"]]"#]);
    let diff = format!(
        r#"{{"e":"depthUpdate","E":{time},{transaction}"s":"{name}","U":{first},"u":{last},{previous}"b":{sides}}}"#
    );
    match generator.below(4) {
        0 => diff,
        _ => format!(r#"{{"stream":"{stream}","data":{diff}}}"#),
    }
}

#[test]
fn a_number_of_another_length_is_read_whole() {
    both_ways(|| {
        let mut used = DepthUpdate::default();
        for digits in 1..=18 {
            let id = "9".repeat(digits);
            let frame = SPOT.replace("48967651189", &id).replace("48967651202", &id);
            for _ in 0..20 {
                assert!(check(frame.as_bytes(), &mut used));
            }
            assert_eq!(used.final_update_id.to_string(), id);
            let zero = frame.replace(&id, &format!("0{}", &id[1..]));
            assert_eq!(check(zero.as_bytes(), &mut used), digits == 1);
        }
    });
}
