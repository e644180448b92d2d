//! The shape of the numbers of one side, guessed from the numbers before: how many digits, and
//! where the dot is.
//!
//! A guess that is checked makes no number wait for the one before, and lets the masks be made
//! once. It is right nearly always: the widths never vary within a symbol, and the prices of one
//! message have mostly the same number of digits. Guesses change how fast a number is read and
//! never what is read.
//!
//! Not here: how a guess is checked and used (`codec::json::shape`).

/// What the numbers of a side looked like so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess {
    pub(crate) price: PriceShape,
    pub(crate) quantity: QuantityShape,
    /// Decimals of a price and of a quantity: all that vector instructions need to expect.
    pub(crate) places: (u8, u8),
}

/// A price of known length with the dot at a known position.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceShape {
    pub(crate) dot: usize,
    pub(crate) length: usize,
    pub(crate) whole: u64,
    pub(crate) part: u64,
    pub(crate) power: u64,
    /// Digits behind the dot.
    pub(crate) places: u8,
}

impl PriceShape {
    /// The shape of a number of `length` bytes, `places` of them behind a dot; one that no number
    /// has where that is nothing to guess by.
    #[cold]
    pub(crate) fn learn(&mut self, length: usize, places: u8) {
        let behind = usize::from(places);
        if !(1..=8).contains(&behind) || length < behind + 2 || length > behind + 9 {
            *self = PriceShape::default();
            return;
        }
        let dot = length - behind - 1;
        *self = PriceShape {
            dot,
            length,
            whole: last_bytes(dot),
            part: last_bytes(behind),
            power: 10u64.pow(places.into()),
            places,
        };
    }
}

/// A quantity with a known number of decimals; where it ends only depends on its first digits.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantityShape {
    /// From the end of the first digits to the closing quote.
    pub(crate) skip: usize,
    /// What follows the first digits, minus the digit zero.
    pub(crate) mark: u8,
    pub(crate) part: u64,
    pub(crate) power: u64,
    /// Digits behind the dot.
    pub(crate) places: u8,
}

impl QuantityShape {
    /// The shape of a number with so many decimals; one that no number has where that is nothing to
    /// guess by.
    #[cold]
    pub(crate) fn learn(&mut self, places: u8) {
        let behind = usize::from(places);
        if behind > 8 {
            *self = QuantityShape::default();
            return;
        }
        let (mark, skip) = if behind == 0 {
            (b'"', 0)
        } else {
            (b'.', behind + 1)
        };
        *self = QuantityShape {
            skip,
            mark: mark ^ b'0',
            part: last_bytes(behind),
            power: 10u64.pow(places.into()),
            places,
        };
    }
}

/// All bits of the last `count` of eight bytes.
fn last_bytes(count: usize) -> u64 {
    if count == 0 {
        0
    } else {
        !0 << (64 - 8 * count)
    }
}
