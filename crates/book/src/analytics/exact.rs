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
    digits: BigInt,
    scale: u32,
}

impl Exact {
    /// A whole number.
    pub fn whole(number: i64) -> Exact {
        Exact {
            digits: number.into(),
            scale: 0,
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Exact) -> Exact {
        let scale = self.scale.max(other.scale);
        Exact {
            digits: self.at(scale) + other.at(scale),
            scale,
        }
    }

    /// The difference.
    pub fn minus(&self, other: &Exact) -> Exact {
        let scale = self.scale.max(other.scale);
        Exact {
            digits: self.at(scale) - other.at(scale),
            scale,
        }
    }

    /// The product.
    pub fn times(&self, other: &Exact) -> Exact {
        Exact {
            digits: &self.digits * &other.digits,
            scale: self.scale + other.scale,
        }
    }

    /// The half.
    pub fn half(&self) -> Exact {
        Exact {
            digits: &self.digits * 5,
            scale: self.scale + 1,
        }
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.digits == BigInt::ZERO
    }

    /// Whether it is above another.
    pub fn is_above(&self, other: &Exact) -> bool {
        self.minus(other).digits > BigInt::ZERO
    }

    /// The digits at a scale, the rest cut off downwards, and whether nothing was cut.
    fn floor_at(&self, scale: u32) -> (BigInt, bool) {
        if scale >= self.scale {
            return (self.at(scale), true);
        }
        let factor = power_of_ten(self.scale - scale);
        let (mut digits, rest) = (&self.digits / &factor, &self.digits % &factor);
        if rest < BigInt::ZERO {
            digits -= 1;
        }
        (digits, rest == BigInt::ZERO)
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        self.to_string()
            .parse()
            .expect("digits and an exponent are a number")
    }

    /// The nearest float of a quotient, ties to even: rounded once, for any width of both.
    fn quotient_to_f64(&self, divisor: &Exact) -> f64 {
        /// Bits of a quotient that `as f64` rounds right, with what is cut off below them in the last one.
        const KEPT_BITS: i64 = 66;
        let scale = self.scale.max(divisor.scale);
        let (above, below) = (self.at(scale), divisor.at(scale));
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

    fn at(&self, scale: u32) -> BigInt {
        &self.digits * power_of_ten(scale - self.scale)
    }
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl From<Number> for Exact {
    fn from(number: Number) -> Exact {
        Exact {
            digits: number.mantissa.into(),
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
        match bound.small {
            Some(small) if self.carried == BigInt::ZERO => self.small > small,
            _ => &self.carried + self.small > bound.floor,
        }
    }

    /// Whether the sum so far is a bound at its scale exactly.
    #[inline]
    pub fn is_at(&self, bound: &Bound) -> bool {
        bound.is_whole
            && match bound.small {
                Some(small) if self.carried == BigInt::ZERO => self.small == small,
                _ => &self.carried + self.small == bound.floor,
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
        Exact {
            digits: &self.carried + self.small,
            scale,
        }
    }
}

/// A number to which whole digits at one scale are compared.
#[derive(Clone, Debug)]
pub struct Bound {
    floor: BigInt,
    small: Option<i128>,
    is_whole: bool,
}

impl Bound {
    /// The bound at a scale.
    pub fn new(number: &Exact, scale: u32) -> Bound {
        let (floor, is_whole) = number.floor_at(scale);
        let small = i128::try_from(&floor).ok();
        Bound {
            floor,
            small,
            is_whole,
        }
    }

    /// Whether digits are at the bound or above it.
    #[inline]
    pub fn is_reached_by(&self, digits: i128) -> bool {
        match self.small {
            Some(small) if self.is_whole => digits >= small,
            Some(small) => digits > small,
            None => self.floor < BigInt::ZERO,
        }
    }

    /// Whether digits are at the bound or below it.
    #[inline]
    pub fn holds(&self, digits: i128) -> bool {
        match self.small {
            Some(small) => digits <= small,
            None => self.floor > BigInt::ZERO,
        }
    }
}
