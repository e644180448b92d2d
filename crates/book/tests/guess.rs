//! Numbers are read by the shape of those before them. Whatever came before, in the same message or
//! in the one before it, must never change what is read.

use depthcache_book::codec::json;
use depthcache_book::message::{DepthUpdate, SideLevels};

const PRICES: [&str; 9] = [
    "61837.63000000",
    "1837.63000000",
    "0.00000001",
    "12345678.12345678",
    "123456789.5",
    "2681.62",
    "60885.4",
    "7",
    "99999999",
];
const QUANTITIES: [&str; 10] = [
    "0.00000000",
    "3.78826000",
    "12345678.00000001",
    "123456789.00000000",
    "0",
    "0.000",
    "16.969",
    "35",
    "12345678",
    "0.123456789",
];

fn frame(levels: &[(&str, &str)]) -> Vec<u8> {
    let level = |(price, quantity): &(&str, &str)| format!(r#"["{price}","{quantity}"]"#);
    let levels = levels.iter().map(level).collect::<Vec<_>>().join(",");
    format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[{levels}],"a":[]}}"#).into_bytes()
}

/// What a side must hold: digits as integers at the widest scale of those that are not zero.
fn expected(levels: &[(&str, &str)]) -> (u8, u8, Vec<(i128, i128)>) {
    let parts = |text: &str| {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits: i128 = format!("{whole}{part}").parse().expect("digits");
        (digits, part.len() as u8)
    };
    let prices: Vec<_> = levels.iter().map(|level| parts(level.0)).collect();
    let quantities: Vec<_> = levels.iter().map(|level| parts(level.1)).collect();
    let scale = |numbers: &[(i128, u8)]| {
        let real = numbers.iter().filter(|(digits, _)| *digits != 0);
        real.map(|(_, scale)| *scale).max().unwrap_or(0)
    };
    let at = |scale: u8, (digits, own): (i128, u8)| match digits {
        0 => 0,
        _ => digits * 10i128.pow((scale - own).into()),
    };
    let scales = (scale(&prices), scale(&quantities));
    let pairs = prices.iter().zip(&quantities);
    let values = pairs.map(|(price, quantity)| (at(scales.0, *price), at(scales.1, *quantity)));
    (scales.0, scales.1, values.collect())
}

fn read(side: &SideLevels) -> (u8, u8, Vec<(i128, i128)>) {
    let narrow = side
        .narrow
        .iter()
        .map(|level| (level.price.into(), level.quantity.into()));
    let wide = side.wide.iter().map(|level| (level.price, level.quantity));
    (
        side.price_scale,
        side.quantity_scale,
        narrow.chain(wide).collect(),
    )
}

#[test]
fn no_number_is_read_as_the_one_before_it_was() {
    let mut used = DepthUpdate::default();
    let (mut state, mut compared) = (0x9E37_79B9_7F4A_7C15u64, 0);
    let mut pick = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    for _ in 0..60_000 {
        // Few kinds of numbers a message, so that guesses are right before they are wrong.
        let kinds = [(pick(9), pick(10)), (pick(9), pick(10))];
        let mut levels = Vec::new();
        for _ in 0..1 + pick(6) {
            let (price, quantity) = kinds[pick(2)];
            levels.push((
                PRICES[price],
                QUANTITIES[if pick(4) == 0 { 0 } else { quantity }],
            ));
        }
        let bytes = frame(&levels);
        json::frame(&bytes, &mut used).expect("a good frame");
        assert_eq!(read(&used.bids), expected(&levels), "{levels:?}");
        compared += levels.len();
    }
    assert!(compared > 100_000);
}
