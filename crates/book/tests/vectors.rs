//! Vector instructions against the portable code: the same numbers, the same refusals, the same books.
//!
//! On a processor without them everything here compares the portable code with itself.

#[path = "ladder.rs"]
#[allow(dead_code)]
mod ladder;

use std::sync::Mutex;

use depthcache_book::codec::json::{self, Malformed};
use depthcache_book::message::{DepthUpdate, Level};
use depthcache_book::vectors::{self, Avx2, NEAR};
use ladder::generator::Generator;

/// The choice of instructions is one for the process.
static CHOICE: Mutex<()> = Mutex::new(());

type Side = (u8, u8, Vec<Level<i64>>, Vec<Level<i128>>);

/// Everything that a frame says, or why it says nothing.
fn read(frame: &[u8], into: &mut DepthUpdate) -> Result<(String, Side, Side), Malformed> {
    let scanned = format!("{:?}", json::frame(frame, into)?);
    let side = |levels: &depthcache_book::message::SideLevels| {
        let scales = (levels.price_scale, levels.quantity_scale);
        (
            scales.0,
            scales.1,
            levels.narrow.clone(),
            levels.wide.clone(),
        )
    };
    if scanned.contains("Other") {
        return Ok((scanned, Side::default(), Side::default()));
    }
    Ok((scanned, side(&into.bids), side(&into.asks)))
}

/// Frames read in turn by both ways; what the frames before were must not matter, so memory is kept.
struct BothWays {
    vectors: DepthUpdate,
    portable: DepthUpdate,
    read: usize,
}

impl BothWays {
    fn new() -> BothWays {
        BothWays {
            vectors: DepthUpdate::default(),
            portable: DepthUpdate::default(),
            read: 0,
        }
    }

    fn check(&mut self, frame: &[u8]) {
        let exact: Box<[u8]> = frame.into(); // nothing behind it that belongs to it
        vectors::use_portable(false);
        let by_vectors = read(&exact, &mut self.vectors);
        vectors::use_portable(true);
        let portable = read(&exact, &mut self.portable);
        vectors::use_portable(false);
        assert_eq!(by_vectors, portable, "{}", String::from_utf8_lossy(frame));
        self.read += usize::from(portable.is_ok());
    }
}

/// A number of any length, mostly with the decimals of others and sometimes with a byte that is out of place.
fn number(generator: &mut Generator, places: usize) -> String {
    let digits = |generator: &mut Generator, count: usize| -> String {
        (0..count)
            .map(|_| char::from(b'0' + generator.below(10) as u8))
            .collect()
    };
    let places = match generator.below(12) {
        0 => generator.below(20),
        _ => places,
    };
    let before = match generator.below(8) {
        0 => 0,
        1 => generator.below(20),
        _ => 1 + generator.below(6),
    };
    let mut text = digits(generator, before);
    if places > 0 || generator.below(30) == 0 {
        text.push('.');
        text += &digits(generator, places);
    }
    if generator.below(10) == 0 {
        text = text.replace(|byte| byte != '.', "0");
    }
    if generator.below(40) == 0 && !text.is_empty() {
        let at = generator.below(text.len());
        let odd = [
            "/", ":", ",", "-", "+", "e", "E", " ", "\\", "\"", "x", "\u{b2}", ".",
        ];
        text.replace_range(at..at + 1, generator.of(&odd));
    }
    text
}

/// A frame of levels like those on the wire, sometimes with separators that are not.
fn frame(generator: &mut Generator) -> Vec<u8> {
    let places = (generator.below(13), generator.below(13));
    let mut side = || {
        let count = generator.below(9);
        let levels: Vec<String> = (0..count)
            .map(|_| {
                let price = number(generator, places.0);
                let quantity = number(generator, places.1);
                let between = match generator.below(60) {
                    0 => generator.of(&["\" ,\"", "\", \"", "\",,\"", "\";\"", "\",", ",\""]),
                    _ => "\",\"",
                };
                format!("[\"{price}{between}{quantity}\"]")
            })
            .collect();
        let between = match generator.below(30) {
            0 => generator.of(&[" ,", ", ", ",,", "", ";", ",\n"]),
            _ => ",",
        };
        format!("[{}]", levels.join(between))
    };
    let (bids, asks) = (side(), side());
    format!(
        r#"{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":1,"u":2,"b":{bids},"a":{asks}}}"#
    )
    .into_bytes()
}

#[test]
fn numbers_of_any_shape_are_read_alike() {
    let _alone = CHOICE.lock();
    let mut both = BothWays::new();
    for seed in 1..=20_000u64 {
        let mut generator = Generator(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        both.check(&frame(&mut generator));
    }
    assert!(both.read > 5_000);
}

#[test]
fn spoiled_frames_and_frames_cut_anywhere_are_judged_alike() {
    let _alone = CHOICE.lock();
    let mut both = BothWays::new();
    for seed in 1..=10_000u64 {
        let mut generator = Generator(seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
        let mut bytes = generator.frame();
        generator.spoil(&mut bytes);
        both.check(&bytes);
    }
    for seed in 1..=30u64 {
        let mut generator = Generator(seed.wrapping_mul(0xA076_1D64_78BD_642F) | 1);
        let bytes = frame(&mut generator);
        (0..=bytes.len()).for_each(|length| both.check(&bytes[..length]));
    }
}

#[test]
fn every_byte_out_of_place_is_seen() {
    let _alone = CHOICE.lock();
    let good: &[u8] = br#"{"e":"depthUpdate","s":"X","U":1,"u":1,"b":[["61837.63","0.12345678"],["9.00","1234.00000000"],["1.50","0.00000000"]],"a":[["61838.00","7.00000000"]]}"#;
    let mut both = BothWays::new();
    for at in 40..good.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            both.check(&bytes);
        }
    }
    assert!(both.read > 500);
}

#[test]
fn books_are_the_same_without_vector_instructions() {
    let _alone = CHOICE.lock();
    vectors::use_portable(true);
    (1..=120).for_each(ladder::run);
    vectors::use_portable(false);
    (1..=120).for_each(ladder::run);
}

#[test]
fn what_is_smaller_is_counted() {
    let _alone = CHOICE.lock();
    let Some(vectors) = Avx2::get() else { return };
    let numbers: [i64; 16] = [
        i64::MIN,
        -9,
        -8,
        -1,
        0,
        1,
        2,
        3,
        5,
        8,
        13,
        21,
        34,
        1 << 40,
        i64::MAX,
        i64::MAX,
    ];
    for limit in numbers
        .into_iter()
        .flat_map(|number| [number, number.saturating_add(1)])
    {
        let below = |numbers: &[i64]| numbers.iter().filter(|number| **number < limit).count();
        assert_eq!(vectors.count_below_of_16(&numbers, limit), below(&numbers));
        let above = numbers.iter().filter(|number| **number > limit).count();
        assert_eq!(vectors.count_above_of_16(&numbers, limit), above);
        for half in [&numbers[..8], &numbers[8..]] {
            let half = half.try_into().expect("eight");
            assert_eq!(vectors.count_below_of_8(half, limit), below(half));
        }
    }
}

#[test]
fn equal_numbers_and_zeros_are_found_in_every_place() {
    let _alone = CHOICE.lock();
    let Some(vectors) = Avx2::get() else { return };
    for which in 0..1u32 << 8 {
        let some: [i64; 8] = std::array::from_fn(|at| at as i64 - 3);
        let others = std::array::from_fn(|at| if which >> at & 1 == 1 { some[at] } else { 99 });
        assert_eq!(vectors.equal(&some, &others), which);
    }
    for which in 0..1u32 << NEAR {
        let numbers = std::array::from_fn(|at| i64::from(which >> at & 1 == 0));
        assert_eq!(vectors.zeros(&numbers), which);
    }
}

#[test]
fn numbers_move_up_between_any_two_slots() {
    let _alone = CHOICE.lock();
    let Some(vectors) = Avx2::get() else { return };
    for last in 0..NEAR {
        for slot in 0..=last {
            let before: [i64; NEAR] = std::array::from_fn(|at| 100 + at as i64);
            let mut expected = before;
            expected.copy_within(slot..last, slot + 1);
            expected[slot] = 7;
            let mut found = before;
            vectors.shift(&mut found, 7, slot, last);
            assert_eq!(found, expected, "{slot} {last}");
        }
    }
}
