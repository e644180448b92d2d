//! Made-up frames of real shape for counting instructions: the same for ever.

use std::fmt::Write;

/// Levels a side of the book that the frames are for.
pub const LEVELS: u64 = 2_000;

/// A small generator of numbers (xorshift).
pub struct Dice(u64);

impl Dice {
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

/// Diffs of 46 levels, sorted as spot sorts them.
pub fn diffs(count: u64, levels: u64) -> Vec<Vec<u8>> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    (0..count)
        .map(|number| diff(&mut dice, number + 2, levels))
        .collect()
}

fn diff(dice: &mut Dice, id: u64, levels: u64) -> Vec<u8> {
    let mut side = |ask: bool| {
        let mut ranks: Vec<u64> = (0..23)
            .map(|_| {
                let near = dice.below(3) > 0;
                dice.below(if near { levels / 10 } else { levels })
            })
            .collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut text = String::new();
        for rank in ranks {
            let kept = dice.below(10) > 2;
            let quantity = if kept { dice.below(100_000_000) } else { 0 };
            let comma = if text.is_empty() { "" } else { "," };
            write!(text, r#"{comma}["{}","0.{quantity:08}"]"#, price(ask, rank)).expect("memory");
        }
        text
    };
    let (bids, asks) = (side(false), side(true));
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}}}"#
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
