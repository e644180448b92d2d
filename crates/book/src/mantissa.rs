//! The two widths of integers a side can be made of.
//!
//! Not here: scales (`ladder`) and text (`query`).

use crate::vectors::{self, Avx2};

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

    /// How many of these ascending numbers are smaller than `limit`; None where there are no vector instructions for
    /// the type or the length.
    #[inline(always)]
    fn count_below(_vectors: Option<Avx2>, _numbers: &[Self], _limit: Self) -> Option<usize> {
        None
    }

    /// How many of these numbers are greater than `limit`; None where there are no vector instructions for the type.
    #[inline(always)]
    fn count_above(_vectors: Option<Avx2>, _numbers: &[Self; 16], _limit: Self) -> Option<usize> {
        None
    }

    /// Which of these numbers are equal, the first in the lowest bit.
    #[inline(always)]
    fn equal(_vectors: Option<Avx2>, some: &[Self; 8], others: &[Self; 8]) -> u32 {
        (0..8).fold(0, |equal, at| {
            equal | u32::from(some[at] == others[at]) << at
        })
    }

    /// Insert a pair at a slot, and move up what is there as far as the nearest slot without a quantity: that one,
    /// `Some(None)` and nothing done where none is near. None where there are no vector instructions for the type.
    #[inline(always)]
    fn insert_near(
        _vectors: Option<Avx2>,
        _keys: &mut [Self],
        _quantities: &mut [Self],
        _slot: usize,
        _pair: (Self, Self),
    ) -> Option<Option<usize>> {
        None
    }
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

    #[inline(always)]
    fn count_below(vectors: Option<Avx2>, numbers: &[i64], limit: i64) -> Option<usize> {
        let vectors = vectors?;
        if let Ok(numbers) = numbers.try_into() {
            return Some(vectors.count_below_of_8(numbers, limit));
        }
        Some(vectors.count_below_of_16(numbers.try_into().ok()?, limit))
    }

    #[inline(always)]
    fn count_above(vectors: Option<Avx2>, numbers: &[i64; 16], limit: i64) -> Option<usize> {
        Some(vectors?.count_above_of_16(numbers, limit))
    }

    #[inline(always)]
    fn equal(vectors: Option<Avx2>, some: &[i64; 8], others: &[i64; 8]) -> u32 {
        match vectors {
            Some(vectors) => vectors.equal(some, others),
            None => (0..8).fold(0, |equal, at| {
                equal | u32::from(some[at] == others[at]) << at
            }),
        }
    }

    #[inline(always)]
    fn insert_near(
        vectors: Option<Avx2>,
        keys: &mut [i64],
        quantities: &mut [i64],
        slot: usize,
        pair: (i64, i64),
    ) -> Option<Option<usize>> {
        Some(insert_near(vectors?, keys, quantities, slot, pair))
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

/// `Mantissa::insert_near` by vector instructions.
#[inline(always)]
fn insert_near(
    vectors: Avx2,
    keys: &mut [i64],
    quantities: &mut [i64],
    slot: usize,
    pair: (i64, i64),
) -> Option<usize> {
    // Windows begin at every fourth slot: a load of what was stored piece by piece would have to wait.
    let start = (slot & !3).min(keys.len().checked_sub(vectors::NEAR)?);
    let in_window = slot - start;
    let near = quantities[start..].first_chunk_mut()?;
    let free = vectors.zeros(near) >> in_window << in_window;
    if free == 0 {
        return None;
    }
    let last = free.trailing_zeros() as usize;
    vectors.shift(near, pair.1, in_window, last);
    vectors.shift(keys[start..].first_chunk_mut()?, pair.0, in_window, last);
    Some(start + last)
}

/// Ten to the power of a difference of scales.
///
/// Scales are at most `MAX_SCALE`, so it always fits.
#[inline]
pub fn power_of_ten(exponent: u8) -> i128 {
    10i128.pow(exponent.into())
}
