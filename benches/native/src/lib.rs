//! Synthetic frames of realistic shape for counting instructions, the same in every run.

use std::fmt::Write;

/// Levels a side of the book that the frames are for.
pub const LEVELS: u64 = 2_000;

/// A small generator of numbers (xorshift).
pub struct Generator(u64);

impl Generator {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A snapshot of `levels` a side, as spot writes it.
pub fn snapshot(levels: u64) -> Vec<u8> {
    let side = |ask: bool| {
        let level = |rank| format!(r#"["{}","1.50000000"]"#, price(ask, rank));
        (0..levels).map(level).collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"lastUpdateId":1,"bids":[{}],"asks":[{}]}}"#,
        side(false),
        side(true)
    )
    .into_bytes()
}

/// How a venue writes its diffs.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Eight decimals, best first, `U` and `u`.
    Spot,
    /// Few decimals, ascending, `T` and `pu` too.
    Futures,
}

/// Diffs of about twice `a_side` levels, sorted as the venue sorts them.
pub fn diffs(shape: Shape, count: u64, levels: u64, a_side: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator(0x9E37_79B9_7F4A_7C15);
    (0..count)
        .map(|number| diff(shape, &mut generator, number + 2, levels, a_side))
        .collect()
}

fn diff(shape: Shape, generator: &mut Generator, id: u64, levels: u64, a_side: usize) -> Vec<u8> {
    let mut side = |ask: bool| {
        let mut ranks: Vec<u64> = (0..a_side)
            .map(|_| {
                let near = generator.below(3) > 0;
                generator.below(if near { levels / 10 } else { levels })
            })
            .collect();
        ranks.sort_unstable();
        ranks.dedup();
        if matches!(shape, Shape::Futures) && !ask {
            ranks.reverse();
        }
        let mut text = String::new();
        for rank in ranks {
            let kept = generator.below(10) > 2;
            let quantity = if kept {
                generator.below(100_000_000)
            } else {
                0
            };
            let comma = if text.is_empty() { "" } else { "," };
            let price = price(ask, rank);
            match shape {
                Shape::Spot => write!(text, r#"{comma}["{price}","0.{quantity:08}"]"#),
                Shape::Futures => {
                    let price = price.trim_end_matches('0');
                    let (whole, part) = (quantity / 1_000_000, quantity % 1_000);
                    write!(text, r#"{comma}["{price:0<8}","{whole}.{part:03}"]"#)
                }
            }
            .expect("memory");
        }
        text
    };
    let (bids, asks) = (side(false), side(true));
    let (stream, more, previous) = match shape {
        Shape::Spot => ("btcusdt@depth@100ms", String::new(), String::new()),
        Shape::Futures => (
            "btcusdt@depth@0ms",
            r#""T":1723161255208,"#.to_owned(),
            format!(r#""pu":{},"#, id - 1),
        ),
    };
    format!(
        r#"{{"stream":"{stream}","data":{{"e":"depthUpdate","E":1723161255208,{more}"s":"BTCUSDT","U":{id},"u":{id},{previous}"b":[{bids}],"a":[{asks}]}}}}"#
    )
    .into_bytes()
}

fn price(ask: bool, rank: u64) -> String {
    let ticks = if ask {
        6_000_000 + rank * 11
    } else {
        5_999_999 - rank * 11
    };
    format!("{}.{:02}000000", ticks / 100, ticks % 100)
}
