//! The two widths of integers a side can be made of.
//!
//! Not here: scales (`ladder`) and text (`query`).

/// The digits of a price or a quantity: `i64` nearly always, `i128` where that is too narrow.
pub trait Mantissa:
    Copy + Default + Eq + Ord + std::ops::Neg<Output = Self> + std::fmt::Debug
{
    /// Nothing rests at a price.
    const ZERO: Self;
    /// Above every number the scanner lets through, or equal to it.
    const MAX: Self;

    /// Times a power of ten; None where the product does not fit.
    fn times(self, factor: i128) -> Option<Self>;

    /// The same number in the wider form.
    fn widen(self) -> i128;

    /// The same number in this form; None where it does not fit.
    fn narrow(wide: i128) -> Option<Self>;
}

impl Mantissa for i64 {
    const ZERO: i64 = 0;
    const MAX: i64 = i64::MAX;

    #[inline]
    fn times(self, factor: i128) -> Option<i64> {
        self.checked_mul(i64::try_from(factor).ok()?)
    }

    #[inline]
    fn widen(self) -> i128 {
        self.into()
    }

    #[inline]
    fn narrow(wide: i128) -> Option<i64> {
        wide.try_into().ok()
    }
}

impl Mantissa for i128 {
    const ZERO: i128 = 0;
    const MAX: i128 = i128::MAX;

    #[inline]
    fn times(self, factor: i128) -> Option<i128> {
        self.checked_mul(factor)
    }

    #[inline]
    fn widen(self) -> i128 {
        self
    }

    #[inline]
    fn narrow(wide: i128) -> Option<i128> {
        Some(wide)
    }
}

/// Ten to the power of a difference of scales.
///
/// Scales are at most `MAX_SCALE`, so it always fits.
#[inline]
pub fn power_of_ten(exponent: u8) -> i128 {
    10i128.pow(exponent.into())
}
