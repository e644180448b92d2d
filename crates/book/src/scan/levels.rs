//! One side of a message: `[["price","quantity"],…]` to integers at two scales.
//!
//! The fast path needs what the exchange sends: no white space, one width of prices and one of
//! quantities. Anything else is read again by the general path, which takes the whole grammar.

use crate::message::{Level, SideLevels};
use crate::scan::json::{Fault, Reader};
use crate::scan::number::{Decimal, Shape, general, power, shaped, with_places};

/// Read a side; the reader stands at its opening bracket.
pub fn side(reader: &mut Reader<'_>, into: &mut SideLevels) -> Result<(), Fault> {
    into.clear();
    let start = reader.at;
    if let Some(end) = usual(reader.bytes, start, into) {
        reader.at = end;
        return Ok(());
    }
    into.clear();
    reader.at = start;
    unusual(reader, into)
}

/// The usual shape; `None` when anything is unusual (or wrong). Returns the byte behind it.
#[inline]
fn usual(bytes: &[u8], start: usize, into: &mut SideLevels) -> Option<usize> {
    match bytes.get(start..start + 4)? {
        [b'[', b'[', b'"', _] => {}
        [b'[', b']', ..] => return Some(start + 2),
        _ => return None,
    }
    let mut at = start + 3;
    let mut price_shape = Shape::default();
    let mut places = 1;
    let (mut price_scale, mut quantity_scale) = (UNKNOWN, UNKNOWN);
    loop {
        let (price, scale, close, behind) =
            shaped(bytes, at, &mut price_shape, BETWEEN_NUMBERS, LOW_3)?;
        if price == 0 || (scale != price_scale && !settles(&mut price_scale, scale)) {
            return None;
        }
        if behind & LOW_3 != BETWEEN_NUMBERS {
            return None;
        }
        let (quantity, scale, close, behind) = with_places(bytes, close + 3, &mut places)?;
        // Which quantities are zero cannot be guessed, so their scale is looked at first.
        if scale != quantity_scale && quantity != 0 && !settles(&mut quantity_scale, scale) {
            return None;
        }
        into.narrow.push(Level { price, quantity });
        if behind & LOW_5 != BETWEEN_LEVELS {
            if behind & LOW_3 != BEHIND_LEVELS {
                return None;
            }
            into.price_scale = if price_scale == UNKNOWN {
                0
            } else {
                price_scale
            };
            into.quantity_scale = if quantity_scale == UNKNOWN {
                0
            } else {
                quantity_scale
            };
            return Some(close + 3);
        }
        at = close + 5;
    }
}

/// No number has told the scale yet.
const UNKNOWN: u8 = u8::MAX;

const LOW_3: u64 = 0xFF_FFFF;
const LOW_5: u64 = 0xFF_FFFF_FFFF;
const BETWEEN_NUMBERS: u64 = u64::from_le_bytes(*b"\",\"\0\0\0\0\0");
const BETWEEN_LEVELS: u64 = u64::from_le_bytes(*b"\"],[\"\0\0\0");
const BEHIND_LEVELS: u64 = u64::from_le_bytes(*b"\"]]\0\0\0\0\0");

/// Take the first scale as the scale of the side; whether it was the first.
#[cold]
fn settles(held: &mut u8, scale: u8) -> bool {
    let first = *held == UNKNOWN;
    *held = scale;
    first
}

#[cold]
fn unusual(reader: &mut Reader<'_>, into: &mut SideLevels) -> Result<(), Fault> {
    let mut found: Vec<(Decimal, Decimal)> = Vec::new();
    let mut another = reader.open(b'[', b']', "a side must be an array of levels")?;
    while another {
        if !reader.open(b'[', b']', "a level must be an array of two strings")? {
            return Err(("a level must be an array of two strings", reader.at));
        }
        let place = reader.at;
        let price = decimal(reader)?;
        if price.mantissa == 0 {
            return Err(("a price must be above zero", place));
        }
        if !reader.more(b']')? {
            return Err(("a level must be an array of two strings", place));
        }
        let quantity = decimal(reader)?;
        if reader.more(b']')? {
            return Err(("a level must be an array of two strings", place));
        }
        found.push((price, quantity));
        another = reader.more(b']')?;
    }
    into.price_scale = found
        .iter()
        .map(|(price, _)| price.scale)
        .max()
        .unwrap_or(0);
    into.quantity_scale = found
        .iter()
        .filter(|(_, quantity)| quantity.mantissa != 0)
        .map(|(_, quantity)| quantity.scale)
        .max()
        .unwrap_or(0);
    let levels = found.iter().map(|(price, quantity)| Level {
        price: price.mantissa * power(into.price_scale - price.scale),
        quantity: match quantity.mantissa {
            0 => 0,
            mantissa => mantissa * power(into.quantity_scale - quantity.scale),
        },
    });
    into.wide.extend(levels);
    let fits = |level: &Level<i128>| {
        i64::try_from(level.price).is_ok() && i64::try_from(level.quantity).is_ok()
    };
    if into.wide.iter().all(fits) {
        into.narrow.extend(into.wide.iter().map(|level| Level {
            price: level.price as i64,
            quantity: level.quantity as i64,
        }));
        into.wide.clear();
    }
    Ok(())
}

fn decimal(reader: &mut Reader<'_>) -> Result<Decimal, Fault> {
    let place = reader.at;
    if reader.peek() != Some(b'"') {
        return Err(("a price or quantity must be a string", place));
    }
    let text = reader.string()?;
    general(text.as_bytes()).map_err(|what| (what, place + 1))
}
