//! Reading a number by the shape that is guessed for it (`message::shape`).
//!
//! Not here: what a number means (`number`), the levels around it (`levels`).

use super::number::{ASCII_ZEROS, no_digits, value_of};
use crate::message::shape::{PriceShape, QuantityShape};

/// The offset of the price in a window.
pub const AT: usize = 8;

/// The bytes of a level and those around it: every word that a guess looks at lies inside.
pub type Window = [u8; 72];

/// Eight bytes of a window, the first in the lowest byte. Offsets are below 64: the mask only
/// shows the compiler.
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

impl PriceShape {
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

impl QuantityShape {
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
