//! Floats of many small numbers at once: without a branch a number, and as many side by side as the processor can.
//!
//! The results are those of `Number::to_f64`: digits and power of ten both are floats, and their quotient is the
//! nearest float by the rule of IEEE 754 division.

use super::{EXACT_POWERS, LevelRun, Mantissas};
use crate::message::Level;
use crate::vectors::{Avx2, Work};

/// Below 2^52 an integer is the fraction of a float between 2^52 and 2^53.
const SMALL: u64 = 1 << 52;
const BASE: f64 = SMALL as f64;

/// Price and quantity of all levels; None where one has more digits.
pub(super) fn rows(run: &LevelRun) -> Option<Vec<[f64; 2]>> {
    let Mantissas::Narrow(levels) = &run.mantissas else {
        return None;
    };
    let digits = levels.iter().fold(0, |all, level| {
        all | level.price as u64 | level.quantity as u64
    });
    let powers = [run.price_scale, run.quantity_scale].map(|scale| EXACT_POWERS[scale as usize]);
    (digits < SMALL).then(|| fill(levels, powers))
}

/// The work of `fill_plainly`, which the compiler turns into instructions on four floats where there are some.
struct Fill<'a>(&'a [Level<i64>], [f64; 2]);

impl Work for Fill<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn run(self, _: Avx2) -> Self::Output {
        fill_plainly(self.0, self.1)
    }
}

fn fill(levels: &[Level<i64>], powers: [f64; 2]) -> Vec<[f64; 2]> {
    match Avx2::get() {
        Some(vectors) => vectors.perform(Fill(levels, powers)),
        None => fill_plainly(levels, powers),
    }
}

#[inline(always)]
fn fill_plainly(levels: &[Level<i64>], [prices, quantities]: [f64; 2]) -> Vec<[f64; 2]> {
    let float = |digits: i64| f64::from_bits(BASE.to_bits() | digits as u64) - BASE;
    levels
        .iter()
        .map(|level| {
            [
                float(level.price) / prices,
                float(level.quantity) / quantities,
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_the_floats_that_they_are_alone() {
        let edges = [
            0,
            1,
            2,
            9,
            10,
            (1 << 52) - 1,
            1 << 51,
            6_178_000_000_000,
            999_999_999,
        ];
        let mut levels = Vec::new();
        for price in edges {
            for quantity in edges {
                levels.push(Level { price, quantity });
            }
        }
        for (price_scale, quantity_scale) in [(0, 0), (2, 5), (8, 8), (18, 3), (1, 18)] {
            let mut run = LevelRun {
                price_scale,
                quantity_scale,
                mantissas: Mantissas::Narrow(levels.clone()),
                complete: true,
            };
            let alone = |run: &LevelRun| -> Vec<[f64; 2]> {
                run.iter()
                    .map(|level| [level.price.to_f64(), level.quantity.to_f64()])
                    .collect()
            };
            assert_eq!(rows(&run).unwrap(), alone(&run));
            assert_eq!(
                fill_plainly(
                    &levels,
                    [
                        EXACT_POWERS[price_scale as usize],
                        EXACT_POWERS[quantity_scale as usize]
                    ]
                ),
                alone(&run)
            );
            for odd in [1 << 52, i64::MAX, -1] {
                let mut wider = levels.clone();
                wider.push(Level {
                    price: 1,
                    quantity: odd,
                });
                run.mantissas = Mantissas::Narrow(wider);
                assert!(rows(&run).is_none(), "{odd}");
            }
        }
    }
}
