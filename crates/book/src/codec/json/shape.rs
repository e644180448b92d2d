//! The shape of the numbers of one side, guessed from the numbers before: how many digits, and
//! where the dot is.
//!
//! A guess that is checked makes no number wait for the one before, and lets the masks be made
//! once. It is right nearly always: the widths never vary within a symbol, and the prices of one
//! message have mostly the same number of digits. Guesses change how fast a number is read and
//! never what is read.
//!
//! Not here: what a number means (`number`), what stands around it (`levels`).

use super::number::{ASCII_ZEROS, POWERS, no_digits, value_of};

/// Where the price stands in a window: as many bytes are before it.
pub const AT: usize = 8;

/// The bytes of a level and those around it: every word that a guess looks at lies inside.
pub type Window = [u8; 72];

/// Eight bytes of a window, the first in the lowest byte. Offsets are below 64: the mask only
/// tells the compiler.
#[inline(always)]
fn word(window: &Window, at: usize) -> u64 {
    let at = at & 63;
    let chunk: Option<&[u8; 8]> = window[at..].first_chunk();
    u64::from_le_bytes(*chunk.expect("a window has 8 bytes more than offsets reach"))
}

/// The window of a level whose price begins at `at`; what is behind the text is zeros in `padded`.
#[inline(always)]
pub fn window<'a>(bytes: &'a [u8], at: usize, padded: &'a mut Window) -> Option<&'a Window> {
    let rest = bytes.get(at.checked_sub(AT)?..)?;
    match rest.first_chunk() {
        Some(whole) => Some(whole),
        None => {
            padded.fill(0);
            padded[..rest.len()].copy_from_slice(rest);
            Some(padded)
        }
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

/// A price of known length with the dot at a known place.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceShape {
    dot: usize,
    length: usize,
    whole: u64,
    part: u64,
    power: u64,
    /// Digits behind the dot.
    pub places: u8,
}

impl PriceShape {
    /// The shape of a number of `length` bytes, `places` of them behind a dot; one that no number
    /// has where that is nothing to guess by.
    #[cold]
    pub fn learn(&mut self, length: usize, places: u8) {
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
            power: POWERS[behind],
            places,
        };
    }

    /// The price of a window, and where it ends, if it has this shape and `behind` follows it.
    #[inline(always)]
    pub fn read(&self, window: &Window, behind: u64, mask: u64) -> Option<(i64, usize)> {
        let close = AT + self.length;
        if word(window, close) & mask != behind || window[(AT + self.dot) & 63] != b'.' {
            return None;
        }
        // The digits before the dot end where the word from `dot` on ends, the others at `close`.
        let whole = (word(window, self.dot) ^ ASCII_ZEROS) & self.whole;
        let part = (word(window, self.length) ^ ASCII_ZEROS) & self.part;
        if no_digits(whole) | no_digits(part) != 0 {
            return None;
        }
        let mantissa = (value_of(whole) * self.power + value_of(part)) as i64;
        Some((mantissa, close))
    }
}

/// A quantity with a known number of decimals; where it ends only depends on its first digits.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantityShape {
    /// From the end of the first digits to the closing quote.
    skip: usize,
    /// What follows the first digits, minus the digit zero.
    mark: u8,
    part: u64,
    power: u64,
    /// Digits behind the dot.
    pub places: u8,
}

impl QuantityShape {
    /// The shape of a number with so many decimals; one that no number has where that is nothing to
    /// guess by.
    #[cold]
    pub fn learn(&mut self, places: u8) {
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
            power: POWERS[behind],
            places,
        };
    }

    /// The quantity at `at`, where it ends, and the eight bytes from there on, if it has this shape.
    #[inline(always)]
    pub fn read(&self, window: &Window, at: usize) -> Option<(i64, usize, u64)> {
        let values = word(window, at) ^ ASCII_ZEROS;
        let bits = no_digits(values).trailing_zeros() & !7;
        if bits.wrapping_sub(8) >= 56 || (values >> bits) as u8 != self.mark {
            return None;
        }
        let close = at + (bits / 8) as usize + self.skip;
        let end = word(window, close);
        let part = (word(window, close - 8) ^ ASCII_ZEROS) & self.part;
        if end as u8 != b'"' || no_digits(part) != 0 {
            return None;
        }
        let whole = value_of(values << (64 - bits));
        let mantissa = (whole * self.power + value_of(part)) as i64;
        Some((mantissa, close, end))
    }
}
