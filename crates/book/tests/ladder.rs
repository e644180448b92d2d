//! The ladder against a plain sorted map: any order of levels, any widths, thousands of levels.

#[path = "support/generator.rs"]
#[allow(dead_code)]
pub mod generator;

use std::collections::BTreeMap;

use depthcache_book::ladder::Ladder;
use depthcache_book::message::{Level, SideLevels};
use depthcache_book::query::floats::Floats;
use depthcache_book::query::{CompleteTo, Number, Side};
use generator::Generator;

/// Price to quantity, both at 18 decimals; the bound of the complete range.
struct Model {
    side: Side,
    levels: BTreeMap<i128, i128>,
    bound: Option<i128>,
}

fn at_18(number: Number) -> i128 {
    number.mantissa * 10i128.pow(u32::from(18 - number.scale))
}

impl Model {
    fn set(&mut self, levels: &SideLevels) -> usize {
        let price = 10i128.pow(u32::from(18 - levels.price_scale));
        let quantity = 10i128.pow(u32::from(18 - levels.quantity_scale));
        let narrow = levels
            .narrow
            .iter()
            .map(|level| (i128::from(level.price), i128::from(level.quantity)));
        let wide = levels
            .wide
            .iter()
            .map(|level| (level.price, level.quantity));
        let pairs = narrow.chain(wide).map(|(p, q)| (p * price, q * quantity));
        let mut changed = 0;
        for (at, amount) in pairs {
            let before = if amount == 0 {
                self.levels.remove(&at)
            } else {
                self.levels.insert(at, amount)
            };
            changed += usize::from(before.unwrap_or(0) != amount);
        }
        changed
    }

    fn best_first(&self) -> Vec<(i128, i128)> {
        let pairs = self
            .levels
            .iter()
            .map(|(price, quantity)| (*price, *quantity));
        match self.side {
            Side::Asks => pairs.collect(),
            Side::Bids => pairs.rev().collect(),
        }
    }

    fn coverage(&self) -> usize {
        let inside = |price: &i128| match (self.bound, self.side) {
            (None, _) => true,
            (Some(bound), Side::Bids) => *price >= bound,
            (Some(bound), Side::Asks) => *price <= bound,
        };
        self.levels.keys().filter(|price| inside(price)).count()
    }

    fn check(&self, ladder: &Ladder, generator: &mut Generator, seed: u64) {
        let expected = self.best_first();
        let found: Vec<_> = ladder
            .iter()
            .map(|level| (at_18(level.price), at_18(level.quantity)))
            .collect();
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(ladder.len(), expected.len(), "seed {seed}");
        let best = ladder
            .best()
            .map(|level| (at_18(level.price), at_18(level.quantity)));
        assert_eq!(best, expected.first().copied(), "seed {seed}");
        assert_eq!(ladder.coverage(), self.coverage(), "seed {seed}");
        match ladder.complete_to() {
            CompleteTo::Price(price) => assert_eq!(Some(at_18(price)), self.bound, "seed {seed}"),
            CompleteTo::Whole => assert_eq!(None, self.bound, "seed {seed}"),
            CompleteTo::Nothing => panic!("seed {seed}: a snapshot proves something"),
        }
        let (start, more) = (generator.below(expected.len() + 3), generator.below(50));
        let stop = start + more;
        let run = ladder.levels(start, stop);
        let found: Vec<_> = run
            .iter()
            .map(|level| (at_18(level.price), at_18(level.quantity)))
            .collect();
        let held = expected
            .iter()
            .skip(start)
            .take(more)
            .copied()
            .collect::<Vec<_>>();
        assert_eq!(found, held, "seed {seed}");
        assert_eq!(
            run.complete,
            self.bound.is_none() || stop <= self.coverage(),
            "seed {seed}"
        );
        let nth = ladder.nth(start);
        let nth = nth.map(|level| (at_18(level.price), at_18(level.quantity)));
        assert_eq!(nth, expected.get(start).copied(), "seed {seed}");
        let stop = [more / 2, stop, usize::MAX][generator.below(3)];
        self.check_floats(ladder, stop, seed);
    }

    fn check_floats(&self, ladder: &Ladder, stop: usize, seed: u64) {
        let wanted: Vec<_> = ladder
            .iter()
            .take(stop)
            .map(|level| [level.price.to_f64(), level.quantity.to_f64()])
            .collect();
        let mut rows = Vec::new();
        let complete = ladder.append_floats(stop, &mut Floats::Rows(&mut rows));
        assert_eq!(rows, wanted, "seed {seed}");
        let proven = self.bound.is_none() || stop <= self.coverage();
        assert_eq!(complete, proven, "seed {seed}");
    }
}

/// Levels of one message: a few or many prices, near each other or not, in any order.
fn message(
    generator: &mut Generator,
    price_scale: u8,
    quantity_scale: u8,
    spread: usize,
) -> SideLevels {
    let mut levels = SideLevels {
        price_scale,
        quantity_scale,
        ..SideLevels::default()
    };
    let step = 10i64.pow(u32::from(price_scale));
    for _ in 0..generator.below(60) {
        let price = (1 + generator.below(spread)) as i64 * step / 4 + 1;
        let quantity = if generator.below(3) == 0 {
            0
        } else {
            1 + generator.below(1_000) as i64
        };
        levels.narrow.push(Level { price, quantity });
    }
    match generator.below(4) {
        0 => levels.narrow.sort_by_key(|level| level.price),
        1 => levels.narrow.sort_by_key(|level| -level.price),
        2 => {
            levels.narrow.sort_by_key(|level| -level.price);
            levels.narrow.dedup_by_key(|level| level.price);
        }
        _ => {}
    }
    if generator.below(40) == 0 {
        let widened = levels.narrow.drain(..);
        levels.wide.extend(widened.map(|level| Level {
            price: level.price.into(),
            quantity: i128::from(level.quantity) * 1_000_000_000_000,
        }));
        levels.quantity_scale = 12;
    }
    levels
}

/// One ladder and one model through one chain of messages.
pub fn run(seed: u64) {
    let mut generator = Generator(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let side = if generator.below(2) == 0 {
        Side::Bids
    } else {
        Side::Asks
    };
    let (mut price_scale, mut quantity_scale) =
        (generator.below(3) as u8, generator.below(3) as u8);
    let spread = [20, 300, 5_000][generator.below(3)];
    let mut first = message(&mut generator, price_scale, quantity_scale, spread);
    first.narrow.retain(|level| level.quantity != 0);
    first.wide.retain(|level| level.quantity != 0);
    let count = first.len();
    let limit = if generator.below(2) == 0 || count == 0 {
        Some(count + 1)
    } else {
        Some(count)
    };
    let mut ladder = Ladder::from_snapshot(side, &first, limit);
    let mut model = Model {
        side,
        levels: BTreeMap::new(),
        bound: None,
    };
    model.set(&first);
    if limit == Some(count) {
        model.bound = model.best_first().last().map(|level| level.0);
    }
    for _ in 0..120 {
        if generator.below(60) == 0 {
            price_scale = (price_scale + generator.below(3) as u8).min(5);
            quantity_scale = (quantity_scale + generator.below(3) as u8).min(5);
        }
        let levels = message(&mut generator, price_scale, quantity_scale, spread);
        assert_eq!(ladder.apply(&levels), model.set(&levels), "seed {seed}");
        model.check(&ladder, &mut generator, seed);
    }
    let half = ladder.len() / 2;
    let frozen: Vec<_> = ladder.iter().take(half).collect();
    assert_eq!(ladder.levels(0, half).iter().collect::<Vec<_>>(), frozen);
}

#[test]
fn any_messages_leave_what_a_sorted_map_holds() {
    (1..=240).for_each(run);
}

/// Levels near each other, anywhere on a side of so many prices, best or worst first or in any order.
fn message_anywhere(generator: &mut Generator, prices: usize) -> SideLevels {
    let mut levels = SideLevels::default();
    let count = 1 + generator.below(20);
    let near = [2 * count, 600, prices][generator.below(3)];
    let from = generator.below(prices);
    for _ in 0..count {
        let price = (1 + (from + generator.below(near)) % prices) as i64;
        let quantity = generator.below(3) as i64;
        levels.narrow.push(Level { price, quantity });
    }
    if generator.below(8) != 0 {
        levels.narrow.sort_by_key(|level| -level.price);
        levels.narrow.dedup_by_key(|level| level.price);
    }
    if generator.below(2) == 0 {
        levels.narrow.reverse();
    }
    levels
}

/// A side so deep that most levels lie behind the fences that are compared at once.
pub fn run_deep(seed: u64) {
    let mut generator = Generator(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for side in [Side::Bids, Side::Asks] {
        let prices = 4_000;
        let mut first = SideLevels::default();
        let whole = (1..=prices as i64).map(|price| Level { price, quantity: 1 });
        first.narrow.extend(whole);
        let worst = if side == Side::Bids { 1 } else { prices };
        let mut model = Model {
            side,
            levels: BTreeMap::new(),
            bound: Some(worst as i128 * 10i128.pow(18)),
        };
        let mut ladder = Ladder::from_snapshot(side, &first, Some(prices));
        model.set(&first);
        for number in 1..=200 {
            let levels = message_anywhere(&mut generator, prices);
            assert_eq!(ladder.apply(&levels), model.set(&levels), "seed {seed}");
            if number % 50 == 0 {
                model.check(&ladder, &mut generator, seed);
            }
        }
    }
}

#[test]
fn a_deep_side_is_changed_at_any_depth() {
    (1..=8).for_each(run_deep);
}

#[test]
fn every_price_of_a_deep_side_is_found_again() {
    let prices = 1..=4_000i64;
    let set_to = |quantity: i64, prices: &mut dyn Iterator<Item = i64>| SideLevels {
        narrow: prices.map(|price| Level { price, quantity }).collect(),
        ..SideLevels::default()
    };
    let whole = set_to(1, &mut prices.clone().rev());
    for size in [1, 3, 8] {
        let mut ladder = Ladder::from_snapshot(Side::Bids, &whole, None);
        for some in whole.narrow.chunks(size) {
            let message = set_to(2, &mut some.iter().map(|level| level.price));
            assert_eq!(ladder.apply(&message), some.len());
            assert_eq!(ladder.apply(&message), 0, "they are there already");
        }
        assert_eq!(ladder.len(), whole.narrow.len());
        assert!(ladder.iter().all(|level| level.quantity.mantissa == 2));
    }
}

#[test]
fn numbers_up_to_the_widest_the_scanner_admits_stay_exact() {
    let widest = 10i128.pow(38) - 1;
    let mut ladder = Ladder::from_snapshot(Side::Bids, &SideLevels::default(), Some(1));
    let narrow = vec![
        Level {
            price: i64::MAX,
            quantity: 1,
        },
        Level {
            price: 3,
            quantity: i64::MAX,
        },
    ];
    ladder.apply(&SideLevels {
        narrow,
        ..SideLevels::default()
    });
    assert!(ladder.is_narrow());
    let wide = vec![Level {
        price: 7,
        quantity: widest,
    }];
    ladder.apply(&SideLevels {
        price_scale: 18,
        quantity_scale: 18,
        wide,
        ..SideLevels::default()
    });
    assert!(!ladder.is_narrow());
    let shown: Vec<_> = ladder
        .iter()
        .map(|level| format!("{} {}", level.price, level.quantity))
        .collect();
    let zeros = "0".repeat(18);
    assert_eq!(
        shown,
        [
            format!("9223372036854775807.{zeros} 1.{zeros}"),
            format!("3.{zeros} 9223372036854775807.{zeros}"),
            format!("0.000000000000000007 {}.{}", "9".repeat(20), "9".repeat(18)),
        ]
    );
}
