//! Floats of many levels at once: without a branch a number, and as many side by side as the processor can.
//!
//! The results are those of `Number::to_f64`: where digits and power of ten both are floats, their quotient is the
//! nearest float by the rule of IEEE 754 division. Dividing is what takes longest. Where the processor has vector
//! instructions, it multiplies by the nearest float of the reciprocal and corrects the product twice by what is left of
//! the division. The first correction brings it within one unit in the last place, by the second it is the nearest
//! float: Markstein, "Computation of elementary functions on the IBM RISC System/6000 processor", 1990, theorem 8.
//! (Quotients here are between 10^-18 and 2^52, far from what is too small for it.) In 500 million random quotients the
//! second correction changed nothing, but without it nobody has proven them.

use super::{EXACT_POWERS, Number, NumberLevel, Side};
use crate::message::Level;
use crate::vectors::{Avx2, BASE, Power, SMALL, Work};

/// Where floats of levels are appended.
#[derive(Debug)]
pub enum Floats<'a> {
    /// Price and quantity of a level together.
    Rows(&'a mut Vec<[f64; 2]>),
    /// Prices here, quantities there.
    Columns(&'a mut Vec<f64>, &'a mut Vec<f64>),
}

/// The decimals of prices and of quantities.
#[derive(Clone, Copy, Debug)]
pub struct Scales {
    decimals: [u8; 2],
    powers: [Power; 2],
}

impl Scales {
    /// Scales as they are counted in decimals.
    #[inline]
    pub fn new(price: u8, quantity: u8) -> Scales {
        let decimals = [price, quantity];
        let powers = decimals.map(|scale| EXACT_POWERS[scale as usize]);
        Scales {
            decimals,
            powers: powers.map(|power| Power {
                power,
                reciprocal: 1.0 / power,
            }),
        }
    }

    fn level(&self, price: i64, quantity: i64) -> NumberLevel {
        let number = |mantissa: i64, scale| Number {
            mantissa: mantissa.into(),
            scale,
        };
        NumberLevel {
            price: number(price, self.decimals[0]),
            quantity: number(quantity, self.decimals[1]),
        }
    }
}

/// Digits below `SMALL`, divided by a power of ten.
#[inline(always)]
fn divide(digits: i64, power: Power) -> f64 {
    (f64::from_bits(BASE.to_bits() | digits as u64) - BASE) / power.power
}

impl Floats<'_> {
    /// Append one level.
    #[inline]
    pub fn push(&mut self, level: NumberLevel) {
        let (price, quantity) = (level.price.to_f64(), level.quantity.to_f64());
        match self {
            Floats::Rows(rows) => rows.push([price, quantity]),
            Floats::Columns(prices, quantities) => {
                prices.push(price);
                quantities.push(quantity);
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Floats::Rows(rows) => rows.len(),
            Floats::Columns(prices, _) => prices.len(),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Floats::Rows(rows) => rows.truncate(len),
            Floats::Columns(prices, quantities) => {
                prices.truncate(len);
                quantities.truncate(len);
            }
        }
    }

    /// Append levels.
    pub(super) fn append_levels(&mut self, scales: Scales, levels: &[Level<i64>]) {
        let pairs = levels.iter().map(|level| (level.price, level.quantity));
        let before = self.len();
        let digits = match Avx2::get() {
            Some(vectors) => vectors.perform(AppendSmall(self, scales, pairs.clone())),
            None => self.append_small(scales, pairs.clone()),
        };
        if digits >= SMALL {
            self.truncate(before);
            self.append_large(scales, pairs);
        }
    }

    /// Append the levels of a side, kept as keys and quantities, from the last to the first.
    pub(crate) fn append_side(
        &mut self,
        scales: Scales,
        side: Side,
        keys: &[i64],
        quantities: &[i64],
    ) {
        let sign = match side {
            Side::Bids => 0,
            Side::Asks => -1,
        };
        let pairs = keys.iter().zip(quantities).rev();
        let pairs = pairs.map(|(key, quantity)| ((key ^ sign).wrapping_sub(sign), *quantity));
        let before = self.len();
        let digits = match Avx2::get() {
            Some(vectors) => self.append_by(vectors, scales, sign, (keys, quantities)),
            None => self.append_small(scales, pairs.clone()),
        };
        if digits >= SMALL {
            self.truncate(before);
            self.append_large(scales, pairs);
        }
    }

    #[inline(always)]
    fn append_by(
        &mut self,
        vectors: Avx2,
        scales: Scales,
        sign: i64,
        (keys, quantities): (&[i64], &[i64]),
    ) -> u64 {
        let powers = scales.powers;
        match self {
            Floats::Rows(rows) => vectors.append_rows(rows, (keys, quantities), sign, powers),
            Floats::Columns(to_prices, to_quantities) => {
                let prices = vectors.append_quotients(to_prices, keys, sign, powers[0]);
                let quantities = vectors.append_quotients(to_quantities, quantities, 0, powers[1]);
                prices | quantities
            }
        }
    }

    /// The same where nothing helps. All digits, by `or`: the floats are right where they are small.
    #[inline(always)]
    fn append_small(
        &mut self,
        scales: Scales,
        pairs: impl Iterator<Item = (i64, i64)> + Clone,
    ) -> u64 {
        let [prices, quantities] = scales.powers;
        let mut digits = 0;
        match self {
            Floats::Rows(rows) => rows.extend(pairs.map(|(price, quantity)| {
                digits |= price | quantity;
                [divide(price, prices), divide(quantity, quantities)]
            })),
            Floats::Columns(to_prices, to_quantities) => {
                to_prices.extend(pairs.clone().map(|(price, _)| {
                    digits |= price;
                    divide(price, prices)
                }));
                to_quantities.extend(pairs.map(|(_, quantity)| {
                    digits |= quantity;
                    divide(quantity, quantities)
                }));
            }
        }
        digits as u64
    }

    #[cold]
    fn append_large(&mut self, scales: Scales, pairs: impl Iterator<Item = (i64, i64)>) {
        pairs.for_each(|(price, quantity)| self.push(scales.level(price, quantity)));
    }
}

/// `Floats::append_small`, compiled for four floats at a time.
struct AppendSmall<'a, 'b, I>(&'a mut Floats<'b>, Scales, I);

impl<I: Iterator<Item = (i64, i64)> + Clone> Work for AppendSmall<'_, '_, I> {
    type Output = u64;

    #[inline(always)]
    fn run(self, _: Avx2) -> u64 {
        self.0.append_small(self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(number: i64, scale: u8) -> f64 {
        let mantissa = number.into();
        Number { mantissa, scale }.to_f64()
    }

    /// Numbers of all lengths, those next to powers of two and ten among them.
    fn digits() -> Vec<i64> {
        let mut all = vec![0, 1, 2, 9, 6_178_000_000_000, 999_999_999];
        let mut state = 88_172_645_463_325_252u64;
        for bits in 1..52 {
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                all.push((state >> (64 - bits)) as i64);
            }
            all.extend([(1 << bits) - 1, 1 << bits, (1 << bits) + 1]);
        }
        all.retain(|number| (*number as u64) < SMALL);
        all
    }

    #[test]
    fn floats_of_many_levels_are_those_of_each() {
        let keys = digits();
        let quantities: Vec<i64> = keys.iter().rev().copied().collect();
        for scale in 0..=18 {
            let other = 18 - scale;
            for side in [Side::Bids, Side::Asks] {
                let stored: Vec<i64> = match side {
                    Side::Bids => keys.clone(),
                    Side::Asks => keys.iter().map(|key| -key).collect(),
                };
                for count in [0, 1, 3, 4, 5, 8, keys.len()] {
                    let scales = Scales::new(scale, other);
                    let (stored, quantities) = (&stored[..count], &quantities[..count]);
                    let (mut rows, mut prices, mut others) = (Vec::new(), Vec::new(), Vec::new());
                    Floats::Rows(&mut rows).append_side(scales, side, stored, quantities);
                    Floats::Columns(&mut prices, &mut others)
                        .append_side(scales, side, stored, quantities);
                    let pairs = keys[..count].iter().zip(quantities).rev();
                    let wanted: Vec<[f64; 2]> = pairs
                        .map(|(price, quantity)| [alone(*price, scale), alone(*quantity, other)])
                        .collect();
                    assert_eq!(rows, wanted);
                    let columns: Vec<[f64; 2]> = prices
                        .iter()
                        .zip(&others)
                        .map(|(price, quantity)| [*price, *quantity])
                        .collect();
                    assert_eq!(columns, wanted);
                }
            }
        }
    }

    #[test]
    fn numbers_of_many_digits_are_read_one_by_one() {
        for odd in [1 << 52, i64::MAX] {
            for place in [0, 4, 6] {
                let mut quantities = [7; 7];
                quantities[place] = odd;
                let keys = [1, 2, 3, 4, 5, 6, 7];
                let mut rows = vec![[0.5, 0.25]];
                let scales = Scales::new(2, 5);
                Floats::Rows(&mut rows).append_side(scales, Side::Bids, &keys, &quantities);
                let (mut prices, mut others) = (Vec::new(), Vec::new());
                Floats::Columns(&mut prices, &mut others).append_side(
                    scales,
                    Side::Bids,
                    &keys,
                    &quantities,
                );
                assert_eq!((rows.len(), rows[0]), (8, [0.5, 0.25]));
                for index in 0..7 {
                    let wanted = [alone(keys[index], 2), alone(quantities[index], 5)];
                    assert_eq!(rows[7 - index], wanted);
                    assert_eq!([prices[6 - index], others[6 - index]], wanted);
                }
            }
        }
    }
}
