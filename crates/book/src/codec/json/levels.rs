//! One side of a message: `[["price","quantity"],…]` to integers at two scales.
//!
//! The fast path needs what the exchange sends: no white space, one width of prices and one of
//! quantities. Anything else is read again by the general path, which takes the whole grammar. There are two fast
//! paths: by vector instructions (`vectors`), and a portable one where the processor has none.

use crate::codec::json::number::{Decimal, fast, general, power, word_at};
use crate::codec::json::reader::{Fault, Reader};
use crate::codec::json::shape::{AT, Window, window};
use crate::message::{Level, SideLevels};
use crate::vectors::{self, Avx2, Found, WINDOW, Work};

/// Read a side; the reader is at its opening bracket. `depth`: of the object it is in, 1 for the whole
/// message.
pub fn side(reader: &mut Reader<'_>, depth: usize, into: &mut SideLevels) -> Result<(), Fault> {
    into.clear();
    let (bytes, start) = (reader.bytes, reader.at);
    let found = match Avx2::get() {
        Some(vectors) => vectors.perform(ByVectors { bytes, start, into }),
        None => fast_path(bytes, start, into),
    };
    match found {
        Some(end) => {
            reader.at = end;
            Ok(())
        }
        None => slow_path(reader, depth, into),
    }
}

/// The same for the side whose opening bracket is at `start`: the byte behind it, None for a fault.
#[inline(always)]
pub fn side_at(
    vectors: Option<Avx2>,
    bytes: &[u8],
    start: usize,
    depth: usize,
    into: &mut SideLevels,
) -> Option<usize> {
    into.clear();
    let found = match vectors {
        Some(vectors) => vectors.perform(ByVectors { bytes, start, into }),
        None => fast_path(bytes, start, into),
    };
    if found.is_some() {
        return found;
    }
    let mut reader = Reader { bytes, at: start };
    slow_path(&mut reader, depth, into).ok()?;
    Some(reader.at)
}

/// The common shape; `None` for any other (or a fault). Returns the byte behind it.
#[inline]
fn fast_path(bytes: &[u8], start: usize, into: &mut SideLevels) -> Option<usize> {
    match bytes.get(start..start + 4)? {
        [b'[', b'[', b'"', _] => {}
        [b'[', b']', ..] => return Some(start + 2),
        _ => return None,
    }
    let mut at = start + 3;
    let mut guess = into.guess;
    let (mut price_scale, mut quantity_scale) = (Scale::default(), Scale::default());
    let mut padded = [0; size_of::<Window>()];
    loop {
        let window = window(bytes, at, &mut padded)?;
        let (price, close) = match guess.price.read(window, BETWEEN_NUMBERS, LOW_3) {
            Some(found) => found,
            None => {
                let (price, places, close) = fast(bytes, at)?;
                if word_at(bytes, close)? & LOW_3 != BETWEEN_NUMBERS {
                    return None;
                }
                price_scale.take(places, guess.price.places, price)?;
                guess.price.learn(close - at, places);
                (price, close - at + AT)
            }
        };
        if price == 0 {
            return None;
        }
        let (quantity, close, behind) = match guess.quantity.read(window, close + 3) {
            Some(found) => found,
            None => {
                let begin = at + close + 3 - AT;
                let (quantity, places, close) = fast(bytes, begin)?;
                if quantity_scale.take(places, guess.quantity.places, quantity)? {
                    guess.quantity.learn(places);
                }
                (quantity, close - at + AT, word_at(bytes, close)?)
            }
        };
        price_scale.guessed = true;
        quantity_scale.guessed |= quantity != 0;
        into.narrow.push(Level { price, quantity });
        at += close - AT;
        if behind & LOW_5 != BETWEEN_LEVELS {
            if behind & LOW_3 != BEHIND_LEVELS {
                return None;
            }
            into.price_scale = price_scale.of_all(guess.price.places);
            into.quantity_scale = quantity_scale.of_all(guess.quantity.places);
            into.guess = guess;
            return Some(at + 3);
        }
        at += 5;
    }
}

/// The same as `fast_path`, by vector instructions: two levels a look, and no branch depends on how long a number is.
struct ByVectors<'a> {
    bytes: &'a [u8],
    start: usize,
    into: &'a mut SideLevels,
}

impl Work for ByVectors<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run(self, vectors: Avx2) -> Option<usize> {
        side_by(vectors, self.bytes, self.start, self.into)
    }
}

/// The levels of a side in the common shape, and the byte behind it; `None` for any other shape, or a fault.
#[inline(always)]
fn side_by(vectors: Avx2, bytes: &[u8], start: usize, into: &mut SideLevels) -> Option<usize> {
    match bytes.get(start..start + 4)? {
        [b'[', b'[', b'"', _] => {}
        [b'[', b']', ..] => return Some(start + 2),
        _ => return None,
    }
    let Some(end) = bytes.last_chunk() else {
        return fast_path(bytes, start, into);
    };
    let mut levels = std::mem::take(&mut into.narrow);
    let found = read_levels(vectors, bytes, end, start + 3, into, &mut levels);
    into.narrow = levels;
    found
}

/// Levels from the price at `at` to the end of the side, and the byte behind it. `end`: the last bytes of the text.
/// `levels` is a variable of the caller, so that the compiler knows that nothing else changes it.
#[inline(always)]
fn read_levels(
    vectors: Avx2,
    bytes: &[u8],
    end: &[u8; WINDOW],
    mut at: usize,
    into: &mut SideLevels,
    levels: &mut Vec<Level<i64>>,
) -> Option<usize> {
    let mut scales = Scales::expecting(into.guess.places);
    let mut form = vectors.form(scales.places.0, scales.places.1);
    let mut quantities = 0; // whether any as expected is above zero
    let end_at = bytes.len() - WINDOW;
    loop {
        let window = bytes.get(at.checked_sub(vectors::AT)?..)?.first_chunk();
        let mut quotes = window.map_or(0, |window| vectors.quotes(window));
        let mut start = 0;
        for is_last in [window.is_none(), true] {
            let as_expected = match window {
                Some(window) => vectors.level(window, &form, start, &mut quotes),
                None => vectors.level_at_end(end, &form, at.checked_sub(end_at)?),
            };
            let Some(found) = as_expected else {
                let seen = (!levels.is_empty(), quantities != 0);
                let found = scales.odd_level(bytes, at + start, seen)?;
                form = vectors.form(scales.places.0, scales.places.1);
                levels.push(level(&found));
                if found.behind & LOW_5 != BETWEEN_LEVELS {
                    return scales.finish(found.behind, found.close, quantities, into);
                }
                at = found.close + 5;
                break;
            };
            quantities |= found.quantity;
            levels.push(level(&found));
            if found.behind & LOW_5 != BETWEEN_LEVELS {
                return scales.finish(found.behind, at + found.close, quantities, into);
            }
            if is_last {
                at += found.close + 5;
                break;
            }
            start = found.close + 5;
            quotes &= quotes.wrapping_sub(1); // the closing one
            quotes &= quotes.wrapping_sub(1); // the opening one of the next price
        }
    }
}

#[inline(always)]
fn level(found: &Found) -> Level<i64> {
    Level {
        price: found.price,
        quantity: found.quantity,
    }
}

/// The scales of the two numbers of a side, and the decimals that are expected of both.
#[derive(Default)]
struct Scales {
    price: Scale,
    quantity: Scale,
    places: (u8, u8),
}

impl Scales {
    fn expecting(places: (u8, u8)) -> Scales {
        Scales {
            places,
            ..Scales::default()
        }
    }

    /// A level that is not as expected, with its place in the text. `seen`: whether there were prices, and quantities
    /// above zero, that were.
    #[cold]
    #[inline(never)]
    fn odd_level(&mut self, bytes: &[u8], at: usize, seen: (bool, bool)) -> Option<Found> {
        (self.price.guessed, self.quantity.guessed) = seen;
        let (price, places, close) = fast(bytes, at)?;
        if word_at(bytes, close)? & LOW_3 != BETWEEN_NUMBERS {
            return None;
        }
        if price == 0 {
            return None;
        }
        self.price.take(places, self.places.0, price)?;
        self.places.0 = places;
        let (quantity, places, close) = fast(bytes, close + 3)?;
        if self.quantity.take(places, self.places.1, quantity)? {
            self.places.1 = places;
        }
        Some(Found {
            price,
            quantity,
            close,
            behind: word_at(bytes, close)?,
        })
    }

    /// The byte behind a side whose last level ends at `close`, if the side ends there.
    #[inline(always)]
    fn finish(
        mut self,
        behind: u64,
        close: usize,
        quantities: i64,
        into: &mut SideLevels,
    ) -> Option<usize> {
        if behind & LOW_3 != BEHIND_LEVELS {
            return None;
        }
        (self.price.guessed, self.quantity.guessed) = (true, quantities != 0);
        into.price_scale = self.price.of_all(self.places.0);
        into.quantity_scale = self.quantity.of_all(self.places.1);
        into.guess.places = self.places;
        Some(close + 3)
    }
}

/// The one scale of the numbers of a side; zeros have none.
#[derive(Default)]
struct Scale {
    /// Settled by a number that was not guessed.
    known: Option<u8>,
    /// Numbers have been read: where `known` says nothing, all of them by one and the same guess.
    guessed: bool,
}

impl Scale {
    /// A number that was not as guessed; whether it has the scale of the others, as far as there
    /// are any. None where the numbers of the side have two scales.
    #[cold]
    fn take(&mut self, places: u8, guess: u8, number: i64) -> Option<bool> {
        if self.known.is_none() && self.guessed {
            self.known = Some(guess);
        }
        if number != 0 && *self.known.get_or_insert(places) != places {
            return None;
        }
        Some(self.known.is_none_or(|known| known == places))
    }

    fn of_all(&self, guess: u8) -> u8 {
        let unsettled = if self.guessed { guess } else { 0 };
        self.known.unwrap_or(unsettled)
    }
}

const LOW_3: u64 = 0xFF_FFFF;
const LOW_5: u64 = 0xFF_FFFF_FFFF;
const BETWEEN_NUMBERS: u64 = u64::from_le_bytes(*b"\",\"\0\0\0\0\0");
const BETWEEN_LEVELS: u64 = u64::from_le_bytes(*b"\"],[\"\0\0\0");
const BEHIND_LEVELS: u64 = u64::from_le_bytes(*b"\"]]\0\0\0\0\0");

#[cold]
fn slow_path(reader: &mut Reader<'_>, depth: usize, into: &mut SideLevels) -> Result<(), Fault> {
    into.clear();
    let mut found: Vec<(Decimal, Decimal)> = Vec::new();
    let mut another = reader.open(b'[', b']', "a side must be an array of levels")?;
    while another {
        if !reader.open(b'[', b']', "a level must be an array of two strings")? {
            return Err(("a level must be an array of two strings", reader.at));
        }
        let position = reader.at;
        let price = decimal(reader)?;
        if price.mantissa == 0 {
            return Err(("a price must be above zero", position));
        }
        if !reader.more(b']')? {
            return Err(("a level must be an array of two strings", position));
        }
        let quantity = decimal(reader)?;
        if reader.more(b']')? {
            reader.skip(depth + 3)?; // archives of 2017 to 2019: `["price","quantity",[]]`
            if reader.more(b']')? {
                return Err(("a level must be an array of two strings", position));
            }
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
    let position = reader.at;
    if reader.peek() != Some(b'"') {
        return Err(("a price or quantity must be a string", position));
    }
    let text = reader.string()?;
    general(text.as_bytes()).map_err(|what| (what, position + 1))
}
