//! Decimal strings to integers: eight digits at a time, exactly, or with a clear reason.
//!
//! The fast path takes what the exchange sends (digits, one dot, at most 18 digits in all) and
//! says `None` to anything else; the general path takes the whole grammar.

use crate::message::{MAX_INTEGER_DIGITS, MAX_SCALE};

/// One exact number: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// All digits as one integer.
    pub mantissa: i128,
    /// How many of them are decimals.
    pub scale: u8,
}

const HIGH_NIBBLES: u64 = 0xF0F0_F0F0_F0F0_F0F0;
pub const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const SIXES: u64 = 0x0606_0606_0606_0606;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// Added to the value of a digit it stays below the high bit, added to anything above it does not.
const BEYOND_NINE: u64 = 0x7676_7676_7676_7676;
const MOST_FAST_DIGITS: usize = 18;

/// Powers of ten, up to the most digits the fast path takes.
pub const POWERS: [u64; MOST_FAST_DIGITS + 1] = {
    let mut powers = [1u64; MOST_FAST_DIGITS + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// How many of the eight bytes, from the first on, are digits.
#[inline]
fn leading_digits(word: u64) -> usize {
    let high = (word & HIGH_NIBBLES) ^ ASCII_ZEROS;
    let low = (word.wrapping_add(SIXES) & HIGH_NIBBLES) ^ ASCII_ZEROS;
    ((high | low).trailing_zeros() / 8) as usize
}

/// The value of eight ASCII digits, first digit in the lowest byte.
#[inline]
fn eight_digits(word: u64) -> u64 {
    value_of(word & 0x0F0F_0F0F_0F0F_0F0F)
}

/// The value of eight digits that are numbers from 0 to 9 already, first one in the lowest byte.
#[inline(always)]
pub fn value_of(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(2561) >> 8;
    let fours = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul(6_553_601) >> 16;
    (fours & 0x0000_FFFF_0000_FFFF).wrapping_mul(42_949_672_960_001) >> 32
}

/// The digits from `at` on: their value and how many they are; at most 18 are taken in full.
#[inline]
fn digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let mut value = 0u64;
    let mut count = 0usize;
    while let Some(chunk) = bytes.get(at + count..at + count + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]));
        let here = leading_digits(word);
        if here == 8 {
            value = value
                .wrapping_mul(POWERS[8])
                .wrapping_add(eight_digits(word));
            count += 8;
            if count > MOST_FAST_DIGITS {
                return (value, count);
            }
            continue;
        }
        if here > 0 {
            value = value
                .wrapping_mul(POWERS[here])
                .wrapping_add(eight_digits(word << (64 - 8 * here)));
        }
        return (value, count + here);
    }
    while let Some(digit) = bytes.get(at + count).filter(|byte| byte.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        count += 1;
        if count > MOST_FAST_DIGITS {
            break;
        }
    }
    (value, count)
}

/// Eight bytes from `at` on, the first in the lowest byte; zeros behind the end.
#[inline]
pub fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    match bytes.get(at..at + 8) {
        Some(chunk) => Some(u64::from_le_bytes(chunk.try_into().unwrap_or([0; 8]))),
        None => word_at_end(bytes, at),
    }
}

/// The last number of a short message.
#[cold]
fn word_at_end(bytes: &[u8], at: usize) -> Option<u64> {
    let rest = bytes.get(at..)?.iter().rev();
    Some(rest.fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// The high bit of the first byte that is no number from 0 to 9; above it anything may be set.
#[inline(always)]
pub fn no_digits(values: u64) -> u64 {
    (values.wrapping_add(BEYOND_NINE) | values) & HIGH_BITS
}

/// A plain integer of at most 16 digits that begins at `at`, and where it ends; `None` when it is
/// anything else. Times in microseconds have 16.
#[inline]
pub fn integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let first = word_at(bytes, at)? ^ ASCII_ZEROS;
    let bits = no_digits(first).trailing_zeros() & !7;
    if bits == 0 || (first as u8 == 0 && bits > 8) {
        return None;
    }
    if bits < 64 {
        return Some((
            value_of(first << (64 - bits)) as i64,
            at + bits as usize / 8,
        ));
    }
    let second = word_at(bytes, at + 8)? ^ ASCII_ZEROS;
    let bits = no_digits(second).trailing_zeros() & !7;
    if bits == 64 {
        let is_longer = bytes.get(at + 16).is_some_and(u8::is_ascii_digit);
        let value = (value_of(first) * POWERS[8] + value_of(second)) as i64;
        return (!is_longer).then_some((value, at + 16));
    }
    let count = bits as usize / 8;
    let rest = value_of(second << 1 << (63 - bits));
    Some((
        (value_of(first) * POWERS[count] + rest) as i64,
        at + 8 + count,
    ))
}

/// A usual number that begins at `at` and ends with a quote, found by looking.
#[inline]
pub fn fast(bytes: &[u8], at: usize) -> Option<(i64, u8, usize)> {
    let word = word_at(bytes, at)?;
    let count = leading_digits(word);
    if count == 0 || count == 8 {
        return long(bytes, at);
    }
    let whole = eight_digits(word << (64 - 8 * count));
    match (word >> (8 * count)) as u8 {
        b'"' => return Some((whole as i64, 0, at + count)),
        b'.' => {}
        _ => return None,
    }
    let start = at + count + 1;
    let word = word_at(bytes, start)?;
    let places = leading_digits(word);
    if places == 0 {
        return None;
    }
    let part = eight_digits(word << (64 - 8 * places));
    let close = start + places;
    if *bytes.get(close)? != b'"' {
        return long(bytes, at);
    }
    Some(((whole * POWERS[places] + part) as i64, places as u8, close))
}

/// The same for up to 18 digits in all.
#[cold]
fn long(bytes: &[u8], at: usize) -> Option<(i64, u8, usize)> {
    let (whole, count) = digits(bytes, at);
    let end = at + count;
    if count == 0 || count > MOST_FAST_DIGITS {
        return None;
    }
    match bytes.get(end)? {
        b'"' => Some((whole as i64, 0, end)),
        b'.' => {
            let (part, places) = digits(bytes, end + 1);
            let close = end + 1 + places;
            if places == 0 || count + places > MOST_FAST_DIGITS || bytes.get(close) != Some(&b'"') {
                return None;
            }
            Some(((whole * POWERS[places] + part) as i64, places as u8, close))
        }
        _ => None,
    }
}

const TOO_LARGE: &str = "a number must be below 10^20";

/// Whether a text is refused by `general` for its size alone.
pub fn is_too_large(text: &[u8]) -> bool {
    general(text) == Err(TOO_LARGE)
}

/// Any number of the grammar: digits with at most one dot, an optional exponent; no sign.
pub fn general(text: &[u8]) -> Result<Decimal, &'static str> {
    let (body, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut kept: Vec<u8> = Vec::with_capacity(body.len());
    let mut places = 0i64;
    let mut dot = false;
    for byte in body {
        match byte {
            b'0'..=b'9' => {
                kept.push(byte - b'0');
                places += i64::from(dot);
            }
            b'.' if !dot => dot = true,
            _ => return Err("a number may only contain digits, one dot and an exponent"),
        }
    }
    if kept.is_empty() {
        return Err("a number needs at least one digit");
    }
    let first = kept.iter().position(|digit| *digit != 0);
    let mut scale = places - exponent;
    let Some(first) = first else {
        return Ok(Decimal {
            mantissa: 0,
            scale: scale.clamp(0, i64::from(MAX_SCALE)) as u8,
        });
    };
    kept.drain(..first);
    while scale > i64::from(MAX_SCALE) && kept.last() == Some(&0) {
        kept.pop();
        scale -= 1;
    }
    if scale > i64::from(MAX_SCALE) {
        return Err("a number may have at most 18 decimals");
    }
    if kept.len() as i64 - scale > i64::from(MAX_INTEGER_DIGITS) {
        return Err(TOO_LARGE);
    }
    let mut mantissa = kept
        .iter()
        .fold(0i128, |value, digit| value * 10 + i128::from(*digit));
    if scale < 0 {
        mantissa *= 10i128.pow(scale.unsigned_abs() as u32);
        scale = 0;
    }
    Ok(Decimal {
        mantissa,
        scale: scale as u8,
    })
}

fn parse_exponent(text: &[u8]) -> Result<i64, &'static str> {
    let (negative, figures) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if figures.is_empty() || !figures.iter().all(u8::is_ascii_digit) {
        return Err("an exponent needs digits");
    }
    let value = figures.iter().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000_000)
    });
    Ok(if negative { -value } else { value })
}

/// What a mantissa is multiplied by to gain `places` decimals.
pub fn power(places: u8) -> i128 {
    10i128.pow(u32::from(places))
}
