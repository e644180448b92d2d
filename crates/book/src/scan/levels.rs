//! One side of a message: `[["price","quantity"],…]` to integers at two scales.
//!
//! The fast path needs what the exchange sends: no white space, one width of prices and one of
//! quantities. Anything else is read again by the general path, which takes the whole grammar.

use crate::message::{Level, SideLevels};
use crate::scan::json::{Fault, Reader};
use crate::scan::number::{Decimal, Shape, fast, general, power, shaped};

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
    let (mut price_scale, mut quantity_scale) = (None, None);
    loop {
        let (price, scale, close) = shaped(bytes, at, &mut price_shape)?;
        if price == 0 || *price_scale.get_or_insert(scale) != scale {
            return None;
        }
        if bytes.get(close..close + 3)? != b"\",\"" {
            return None;
        }
        let (quantity, scale, close) = fast(bytes, close + 3)?;
        if quantity != 0 && *quantity_scale.get_or_insert(scale) != scale {
            return None;
        }
        into.narrow.push(Level { price, quantity });
        if bytes.get(close..close + 5)? != b"\"],[\"" {
            if bytes.get(close..close + 3)? != b"\"]]" {
                return None;
            }
            into.price_scale = price_scale.unwrap_or(0);
            into.quantity_scale = quantity_scale.unwrap_or(0);
            return Some(close + 3);
        }
        at = close + 5;
    }
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
