//! Exact numbers of any size, for sums and products of prices and quantities.
//!
//! A product of two numbers of the scanner has up to 76 digits. Loops add in 128 bits, checked, and
//! carry over into a big number only where that is too narrow.

use std::fmt;

use num_bigint::{BigInt, BigUint};

use crate::query::Number;

/// An exact number: `digits / 10^scale`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    digits: Digits,
    scale: u32,
}

/// Whole numbers of any size: small wherever they fit, so that equal numbers are written in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Digits {
    Small(i128),
    Big(Box<BigInt>),
}

impl Digits {
    #[cold]
    fn of_big(big: BigInt) -> Digits {
        match i128::try_from(&big) {
            Ok(small) => Digits::Small(small),
            Err(_) => Digits::Big(Box::new(big)),
        }
    }

    /// The same in any width.
    fn big(&self) -> BigInt {
        match self {
            Digits::Small(small) => (*small).into(),
            Digits::Big(big) => (**big).clone(),
        }
    }

    /// In 128 bits where both and the result fit, else in any width.
    #[inline]
    fn with(
        &self,
        other: &Digits,
        small: impl FnOnce(i128, i128) -> Option<i128>,
        big: impl FnOnce(BigInt, BigInt) -> BigInt,
    ) -> Digits {
        if let (Digits::Small(one), Digits::Small(two)) = (self, other)
            && let Some(found) = small(*one, *two)
        {
            return Digits::Small(found);
        }
        Digits::of_big(big(self.big(), other.big()))
    }

    fn times_ten_to(&self, exponent: u32) -> Digits {
        if exponent == 0 {
            return self.clone();
        }
        if let (Digits::Small(small), Some(power)) = (self, 10i128.checked_pow(exponent))
            && let Some(found) = small.checked_mul(power)
        {
            return Digits::Small(found);
        }
        Digits::of_big(self.big() * power_of_ten(exponent))
    }

    fn is_zero(&self) -> bool {
        *self == Digits::Small(0)
    }

    fn is_negative(&self) -> bool {
        match self {
            Digits::Small(small) => *small < 0,
            Digits::Big(big) => **big < BigInt::ZERO,
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Digits::Small(small) => small.fmt(formatter),
            Digits::Big(big) => big.fmt(formatter),
        }
    }
}

impl Exact {
    /// A whole number.
    pub fn whole(number: i64) -> Exact {
        Exact {
            digits: Digits::Small(number.into()),
            scale: 0,
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Exact) -> Exact {
        let scale = self.scale.max(other.scale);
        let (one, two) = (self.at(scale), other.at(scale));
        Exact {
            digits: one.with(&two, i128::checked_add, |one, two| one + two),
            scale,
        }
    }

    /// The difference.
    pub fn minus(&self, other: &Exact) -> Exact {
        let scale = self.scale.max(other.scale);
        let (one, two) = (self.at(scale), other.at(scale));
        Exact {
            digits: one.with(&two, i128::checked_sub, |one, two| one - two),
            scale,
        }
    }

    /// The product.
    pub fn times(&self, other: &Exact) -> Exact {
        let (one, two) = (&self.digits, &other.digits);
        Exact {
            digits: one.with(two, i128::checked_mul, |one, two| one * two),
            scale: self.scale + other.scale,
        }
    }

    /// The half.
    pub fn half(&self) -> Exact {
        self.times(&Exact {
            digits: Digits::Small(5),
            scale: 1,
        })
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.digits.is_zero()
    }

    /// The same as a number of a book; None where that is too narrow, beyond 38 digits.
    pub fn number(&self) -> Option<Number> {
        match self.digits {
            Digits::Small(mantissa) => Some(Number {
                mantissa,
                scale: self.scale.try_into().ok()?,
            }),
            Digits::Big(_) => None,
        }
    }

    /// Whether it is above another.
    pub fn is_above(&self, other: &Exact) -> bool {
        let difference = self.minus(other).digits;
        !difference.is_negative() && !difference.is_zero()
    }

    /// The digits at a scale, the rest cut off downwards, and whether nothing was cut.
    fn floor_at(&self, scale: u32) -> (Digits, bool) {
        if scale >= self.scale {
            return (self.at(scale), true);
        }
        if let (Digits::Small(small), Some(factor)) =
            (&self.digits, 10i128.checked_pow(self.scale - scale))
        {
            let (whole, rest) = (small.div_euclid(factor), small.rem_euclid(factor));
            return (Digits::Small(whole), rest == 0);
        }
        let (factor, given) = (power_of_ten(self.scale - scale), self.digits.big());
        let (mut digits, rest) = (&given / &factor, &given % &factor);
        if rest < BigInt::ZERO {
            digits -= 1;
        }
        (Digits::of_big(digits), rest == BigInt::ZERO)
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        if let Digits::Small(small) = self.digits {
            let wide = || quotient_of_wide(small, 10i128.checked_pow(self.scale)?);
            if let Some(nearest) = quotient_of_floats(small, 1, self.scale).or_else(wide) {
                return nearest;
            }
        }
        self.to_string()
            .parse()
            .expect("digits and an exponent are a number")
    }

    /// The nearest float of a quotient, ties to even: rounded once, for any width of both.
    fn quotient_to_f64(&self, divisor: &Exact) -> f64 {
        let scale = self.scale.max(divisor.scale);
        let (above, below) = (self.at(scale), divisor.at(scale));
        if let (Digits::Small(above), Digits::Small(below)) = (&above, &below) {
            let found = quotient_of_floats(*above, *below, 0);
            if let Some(nearest) = found.or_else(|| quotient_of_wide(*above, *below)) {
                return nearest;
            }
        }
        quotient_of_big(above.big(), below.big())
    }

    fn at(&self, scale: u32) -> Digits {
        self.digits.times_ten_to(scale - self.scale)
    }
}

/// Below this every integer is a float.
const EXACT_INTEGERS: u128 = 1 << 53;
/// 10 to this is the highest power of ten that is a float.
const EXACT_POWER: u32 = 22;

/// `above / below / 10^scale` where both numbers that are divided are floats: the rule of IEEE 754 division
/// rounds their quotient once.
#[inline]
fn quotient_of_floats(above: i128, below: i128, scale: u32) -> Option<f64> {
    let fits = above.unsigned_abs() <= EXACT_INTEGERS && below.unsigned_abs() <= EXACT_INTEGERS;
    if !fits || below == 0 || scale > EXACT_POWER || (scale > 0 && below != 1) {
        return None;
    }
    let below = if scale == 0 {
        below as f64
    } else {
        10u64.checked_pow(scale).map_or_else(
            || 10u64.pow(scale - 11) as f64 * 1e11, // the product of these two is a float
            |power| power as f64,
        )
    };
    Some(above as f64 / below)
}

/// A quotient digit by digit, until there are enough bits; None where it takes many digits or more than 128 bits.
fn quotient_of_wide(above: i128, below: i128) -> Option<f64> {
    /// The nearest float needs 53 bits of the quotient, one more, and whether anything is below them.
    const ENOUGH: u128 = 1 << 54;
    const FEWEST_BITS: u32 = 20;
    let is_negative = (above < 0) != (below < 0);
    let (above, below) = (above.unsigned_abs(), below.unsigned_abs());
    // A rest is below the divisor, and has room for so many more bits.
    let step = below.leading_zeros().min(62);
    if above == 0 || below == 0 || step < FEWEST_BITS {
        return None;
    }
    let mut whole = above / below;
    let (mut rest, mut shift) = (above - whole * below, 0);
    while whole < ENOUGH {
        let more = rest << step;
        let digit = more / below;
        whole = (whole << step) + digit;
        (rest, shift) = (more - digit * below, shift + step as i32);
    }
    if whole >> 127 != 0 {
        return None;
    }
    let cut = u128::from(rest != 0);
    let nearest = (whole << 1 | cut) as f64 * 2f64.powi(-shift - 1);
    Some(if is_negative { -nearest } else { nearest })
}

#[cold]
fn quotient_of_big(above: BigInt, below: BigInt) -> f64 {
    /// Bits of a quotient that `as f64` rounds right, with what is cut off below them in the last one.
    const KEPT_BITS: i64 = 66;
    let is_negative = (above < BigInt::ZERO) != (below < BigInt::ZERO);
    let (above, below) = (above.into_parts().1, below.into_parts().1);
    let shift = KEPT_BITS - above.bits() as i64 + below.bits() as i64;
    let (above, below) = match u64::try_from(shift) {
        Ok(shift) => (above << shift, below),
        Err(_) => (above, below << shift.unsigned_abs()),
    };
    let (whole, rest) = (&above / &below, &above % &below);
    let cut = u128::from(rest != BigUint::ZERO);
    let whole = u128::try_from(whole).expect("one bit more than are kept, at most");
    let nearest = (whole | cut) as f64 * 2f64.powi(-shift as i32);
    if is_negative { -nearest } else { nearest }
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl From<Number> for Exact {
    fn from(number: Number) -> Exact {
        Exact {
            digits: Digits::Small(number.mantissa),
            scale: number.scale.into(),
        }
    }
}

/// As Python's `Decimal` and Rust's `f64` read it: `12345E-2`.
impl fmt::Display for Exact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}E-{}", self.digits, self.scale)
    }
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Exactly this.
    Exact(Exact),
    /// The first divided by the second, which is not 0.
    Ratio(Exact, Exact),
}

impl Value {
    /// A quotient; None where it would be of 0.
    pub fn ratio(numerator: Exact, denominator: Exact) -> Option<Value> {
        (!denominator.is_zero()).then_some(Value::Ratio(numerator, denominator))
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        match self {
            Value::Exact(number) => number.to_f64(),
            Value::Ratio(numerator, denominator) => numerator.quotient_to_f64(denominator),
        }
    }
}

/// A sum that is being made, of numbers of one scale.
#[derive(Clone, Debug, Default)]
pub struct Total {
    small: i128,
    carried: BigInt,
}

impl Total {
    /// Add a number.
    #[inline]
    pub fn add(&mut self, number: i128) {
        match self.small.checked_add(number) {
            Some(sum) => self.small = sum,
            None => self.carry(number.into()),
        }
    }

    /// Add a product.
    #[inline]
    pub fn add_product(&mut self, one: i128, other: i128) {
        let sum = one
            .checked_mul(other)
            .and_then(|product| self.small.checked_add(product));
        match sum {
            Some(sum) => self.small = sum,
            None => self.carry(BigInt::from(one) * other),
        }
    }

    /// Whether the sum so far is above a bound at its scale.
    #[inline]
    pub fn is_above(&self, bound: &Bound) -> bool {
        match &bound.floor {
            Digits::Small(small) if self.carried == BigInt::ZERO => self.small > *small,
            floor => &self.carried + self.small > floor.big(),
        }
    }

    /// Whether the sum so far is a bound at its scale exactly.
    #[inline]
    pub fn is_at(&self, bound: &Bound) -> bool {
        bound.is_whole
            && match &bound.floor {
                Digits::Small(small) if self.carried == BigInt::ZERO => self.small == *small,
                floor => &self.carried + self.small == floor.big(),
            }
    }

    /// Whether it is 0.
    #[inline]
    pub fn is_zero(&self) -> bool {
        self.small == 0 && self.carried == BigInt::ZERO
    }

    #[cold]
    fn carry(&mut self, more: BigInt) {
        self.carried += more;
    }

    /// The sum so far, at its scale.
    pub fn exact(&self, scale: u32) -> Exact {
        let digits = if self.carried == BigInt::ZERO {
            Digits::Small(self.small)
        } else {
            Digits::of_big(&self.carried + self.small)
        };
        Exact { digits, scale }
    }
}

/// A number to which whole digits at one scale are compared.
#[derive(Clone, Debug)]
pub struct Bound {
    floor: Digits,
    is_whole: bool,
}

impl Bound {
    /// The bound at a scale.
    pub fn new(number: &Exact, scale: u32) -> Bound {
        let (floor, is_whole) = number.floor_at(scale);
        Bound { floor, is_whole }
    }

    /// Whether digits are at the bound or above it.
    #[inline]
    pub fn is_reached_by(&self, digits: i128) -> bool {
        match &self.floor {
            Digits::Small(small) if self.is_whole => digits >= *small,
            Digits::Small(small) => digits > *small,
            Digits::Big(_) => self.floor.is_negative(),
        }
    }

    /// Whether digits are at the bound or below it.
    #[inline]
    pub fn holds(&self, digits: i128) -> bool {
        match &self.floor {
            Digits::Small(small) => digits <= *small,
            Digits::Big(_) => !self.floor.is_negative(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers of every width from 1 to 127 bits, of both signs, and what is special.
    fn numbers(count: usize) -> Vec<i128> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u128;
        let mut found = vec![
            1,
            -1,
            1 << 53,
            (1 << 53) + 1,
            (1 << 54) - 1,
            i128::MAX,
            i128::MIN,
        ];
        for index in 0..count {
            state = state
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
            let number = (state >> (1 + index % 127)) as i128;
            found.push(if state & 1 == 0 { number } else { -number });
        }
        found.retain(|number| *number != 0);
        found
    }

    #[test]
    fn quotients_of_128_bits_are_those_of_any_width() {
        let numbers = numbers(600);
        for above in &numbers {
            for below in &numbers {
                let slow = quotient_of_big((*above).into(), (*below).into());
                for fast in [
                    quotient_of_floats(*above, *below, 0),
                    quotient_of_wide(*above, *below),
                ] {
                    assert!(
                        fast.is_none_or(|fast| fast == slow),
                        "{above} / {below}: {fast:?}, {slow}"
                    );
                }
            }
        }
    }

    #[test]
    fn floats_of_small_numbers_are_what_their_text_reads() {
        for digits in numbers(3_000) {
            for scale in [0, 1, 2, 5, 8, 16, 19, 20, 21, 22, 23, 36] {
                let number = Exact {
                    digits: Digits::Small(digits),
                    scale,
                };
                assert_eq!(
                    number.to_f64(),
                    number.to_string().parse::<f64>().unwrap(),
                    "{number}"
                );
            }
        }
    }

    #[test]
    fn arithmetic_of_128_bits_is_that_of_any_width() {
        let exact = |digits, scale| Exact {
            digits: Digits::Small(digits),
            scale,
        };
        for (index, one) in numbers(200).into_iter().enumerate() {
            for (other, two) in numbers(200).into_iter().enumerate() {
                let (one, two) = (exact(one, index as u32 % 37), exact(two, other as u32 % 37));
                let scale = one.scale.max(two.scale);
                let at = |number: &Exact| number.digits.big() * power_of_ten(scale - number.scale);
                assert_eq!(one.plus(&two).digits, Digits::of_big(at(&one) + at(&two)));
                assert_eq!(one.minus(&two).digits, Digits::of_big(at(&one) - at(&two)));
                let product = one.digits.big() * two.digits.big();
                assert_eq!(one.times(&two).digits, Digits::of_big(product));
                assert_eq!(one.is_above(&two), at(&one) > at(&two));
                let (floor, is_whole) = one.floor_at(two.scale);
                let cut = exact(1, two.scale).times(&Exact {
                    digits: floor,
                    scale: 0,
                });
                assert_eq!(is_whole, !cut.is_above(&one) && !one.is_above(&cut));
                assert!(!cut.is_above(&one) && cut.plus(&exact(1, two.scale)).is_above(&one));
            }
        }
    }
}
