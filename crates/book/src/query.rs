//! Reading: numbers out of mantissas, and the one surface that live and frozen books share.

pub mod columns;
pub mod floats;
pub mod levels_reason;

use crate::counters::Counters;
use crate::mantissa::power_of_ten;
use crate::message::Level;
use crate::query::floats::{Floats, Scales};
use crate::status::{NotReadable, Refusal, StatusInfo, TooOld};

/// Which side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Buyers; best is highest.
    Bids,
    /// Sellers; best is lowest.
    Asks,
}

/// An exact decimal number: `mantissa / 10^scale`.
///
/// `Display` writes it at its scale, as the exchange does: `61837.63000000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The digits.
    pub mantissa: i128,
    /// How many of them are decimals.
    pub scale: u8,
}

/// Below this every integer is a float.
const EXACT_INTEGERS: u64 = 1 << 53;

/// The powers of ten that are floats.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Number {
    /// The nearest float: equal to Python's `float(text)` of the number's text.
    ///
    /// Where the digits and the power of ten both are floats, their quotient is the nearest float
    /// by the rule of IEEE 754 division; everything else is read as text.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match u64::try_from(self.mantissa) {
            Ok(digits) if digits < EXACT_INTEGERS => {
                digits as f64 / EXACT_POWERS[self.scale as usize]
            }
            _ => self.to_f64_slow(),
        }
    }

    /// Whether the number is equal to another or above it.
    #[inline]
    pub fn is_at_least(self, other: Number) -> bool {
        if self.scale == other.scale {
            return self.mantissa >= other.mantissa;
        }
        // 20 integer digits and 18 decimals, the most that the scanner admits, fit together.
        let scale = self.scale.max(other.scale);
        let at = |number: Number| number.mantissa * power_of_ten(scale - number.scale);
        at(self) >= at(other)
    }

    /// Append the number's text at its scale, as the exchange writes it: `61837.63000000`.
    #[inline]
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Text::of(self).as_bytes());
    }

    /// Whether both are the same number, at any scales.
    #[inline]
    pub fn is_same(self, other: Number) -> bool {
        if self.scale == other.scale {
            return self.mantissa == other.mantissa;
        }
        self.is_at_least(other) && other.is_at_least(self)
    }

    /// Many digits: nearly always zeros at the end, as in a quantity of 300 million coins.
    #[cold]
    fn to_f64_slow(self) -> f64 {
        let Number {
            mut mantissa,
            mut scale,
        } = self;
        while scale > 0 && mantissa % 10 == 0 {
            (mantissa, scale) = (mantissa / 10, scale - 1);
        }
        match u64::try_from(mantissa) {
            Ok(digits) if digits < EXACT_INTEGERS => digits as f64 / EXACT_POWERS[scale as usize],
            _ => Text::of(self)
                .as_str()
                .parse()
                .expect("digits and a point are a number"),
        }
    }
}

/// The text of a number, on the stack.
struct Text {
    bytes: [u8; Text::SIZE],
    start: usize,
}

impl Text {
    /// 39 digits of an `i128`, a sign, a point.
    const SIZE: usize = 41;

    fn of(number: Number) -> Text {
        let mut text = Text {
            bytes: [b'0'; Text::SIZE],
            start: Text::SIZE,
        };
        let mut wide = number.mantissa.unsigned_abs();
        let mut written = 0;
        while wide > u64::MAX.into() {
            text.digit((wide % 10) as u8, &mut written, number.scale);
            wide /= 10;
        }
        let mut rest = wide as u64;
        while rest > 0 || written <= number.scale {
            text.digit((rest % 10) as u8, &mut written, number.scale);
            rest /= 10;
        }
        if number.mantissa < 0 {
            text.push(b'-');
        }
        text
    }

    fn digit(&mut self, digit: u8, written: &mut u8, scale: u8) {
        if *written == scale && scale > 0 {
            self.push(b'.');
        }
        self.push(b'0' + digit);
        *written += 1;
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("ASCII")
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(Text::of(*self).as_str())
    }
}

/// Price and quantity of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberLevel {
    /// The price.
    pub price: Number,
    /// The absolute quantity, never zero in a book.
    pub quantity: Number,
}

impl NumberLevel {
    /// Whether both are the same level, at any scales.
    #[inline]
    pub fn is_same(self, other: NumberLevel) -> bool {
        self.price.is_same(other.price) && self.quantity.is_same(other.quantity)
    }
}

/// Levels of a run, in the width the side has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mantissas {
    /// All fit 64 bits.
    Narrow(Vec<Level<i64>>),
    /// At least one side of the book did not.
    Wide(Vec<Level<i128>>),
}

/// A copy of neighbouring levels of one side, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRun {
    /// Decimals of every price.
    pub price_scale: u8,
    /// Decimals of every quantity.
    pub quantity_scale: u8,
    /// The levels.
    pub mantissas: Mantissas,
    /// Whether every level that was asked for is proven: it lies inside the complete range, or
    /// the whole side is known.
    pub complete: bool,
}

impl LevelRun {
    /// A run of levels as they are written one by one, brought to the widest scale among them.
    ///
    /// Numbers are those that the scanner admits: below 10^20, at most 18 decimals.
    pub fn of(levels: &[NumberLevel], complete: bool) -> LevelRun {
        let widest = |number: fn(&NumberLevel) -> Number| {
            let scales = levels.iter().map(|level| number(level).scale);
            scales.max().unwrap_or_default()
        };
        let (price_scale, quantity_scale) =
            (widest(|level| level.price), widest(|level| level.quantity));
        let at = |number: Number, scale: u8| number.mantissa * power_of_ten(scale - number.scale);
        let wide: Vec<Level<i128>> = levels
            .iter()
            .map(|level| Level {
                price: at(level.price, price_scale),
                quantity: at(level.quantity, quantity_scale),
            })
            .collect();
        let narrow = |level: &Level<i128>| {
            Some(Level {
                price: level.price.try_into().ok()?,
                quantity: level.quantity.try_into().ok()?,
            })
        };
        let mantissas = match wide.iter().map(narrow).collect() {
            Some(levels) => Mantissas::Narrow(levels),
            None => Mantissas::Wide(wide),
        };
        LevelRun {
            price_scale,
            quantity_scale,
            mantissas,
            complete,
        }
    }

    /// How many levels there are.
    pub fn len(&self) -> usize {
        match &self.mantissas {
            Mantissas::Narrow(levels) => levels.len(),
            Mantissas::Wide(levels) => levels.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The level at an index; panics outside.
    #[inline]
    pub fn get(&self, index: usize) -> NumberLevel {
        let (price, quantity) = match &self.mantissas {
            Mantissas::Narrow(levels) => {
                let level = levels[index];
                (level.price.into(), level.quantity.into())
            }
            Mantissas::Wide(levels) => (levels[index].price, levels[index].quantity),
        };
        NumberLevel {
            price: Number {
                mantissa: price,
                scale: self.price_scale,
            },
            quantity: Number {
                mantissa: quantity,
                scale: self.quantity_scale,
            },
        }
    }

    /// A run of the levels at these places.
    pub fn chosen(&self, places: &[usize]) -> LevelRun {
        let mantissas = match &self.mantissas {
            Mantissas::Narrow(levels) => {
                Mantissas::Narrow(places.iter().map(|place| levels[*place]).collect())
            }
            Mantissas::Wide(levels) => {
                Mantissas::Wide(places.iter().map(|place| levels[*place]).collect())
            }
        };
        LevelRun { mantissas, ..*self }
    }

    /// All levels.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = NumberLevel> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Whether both hold the same levels, at any scales.
    pub fn is_same(&self, other: &LevelRun) -> bool {
        let scales = |run: &LevelRun| (run.price_scale, run.quantity_scale);
        let same_width = matches!(
            (&self.mantissas, &other.mantissas),
            (Mantissas::Narrow(_), Mantissas::Narrow(_)) | (Mantissas::Wide(_), Mantissas::Wide(_))
        );
        if same_width && scales(self) == scales(other) {
            return self.mantissas == other.mantissas;
        }
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, two)| one.is_same(two))
    }

    /// Bytes of memory that the levels take.
    pub fn memory_bytes(&self) -> usize {
        match &self.mantissas {
            Mantissas::Narrow(levels) => size_of_val(&**levels),
            Mantissas::Wide(levels) => size_of_val(&**levels),
        }
    }

    /// Price and quantity of all levels as integers at the scales of the run.
    pub fn integers(&self) -> Result<Vec<[i64; 2]>, TooWide> {
        let fit = |number: i128, scale| i64::try_from(number).map_err(|_| TooWide { scale });
        match &self.mantissas {
            Mantissas::Narrow(levels) => Ok(levels
                .iter()
                .map(|level| [level.price, level.quantity])
                .collect()),
            Mantissas::Wide(levels) => levels
                .iter()
                .map(|level| {
                    Ok([
                        fit(level.price, self.price_scale)?,
                        fit(level.quantity, self.quantity_scale)?,
                    ])
                })
                .collect(),
        }
    }

    /// Price and quantity of all levels as nearest floats, each `Number::to_f64`.
    pub fn floats(&self) -> Vec<[f64; 2]> {
        let mut rows = Vec::with_capacity(self.len());
        self.append_floats(usize::MAX, &mut Floats::Rows(&mut rows));
        rows
    }

    /// Append the best `stop` levels as nearest floats.
    pub fn append_floats(&self, stop: usize, to: &mut Floats<'_>) {
        let scales = Scales::new(self.price_scale, self.quantity_scale);
        let stop = stop.min(self.len());
        match &self.mantissas {
            Mantissas::Narrow(levels) => to.append_levels(scales, &levels[..stop]),
            Mantissas::Wide(_) => (0..stop).for_each(|index| to.push(self.get(index))),
        }
    }
}

/// A number does not fit 64 bits at this many decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooWide {
    /// The decimals of the side.
    pub scale: u8,
}

/// Both best levels of one update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestPair {
    /// The highest bid, None for a side without levels.
    pub bid: Option<NumberLevel>,
    /// The lowest ask, None for a side without levels.
    pub ask: Option<NumberLevel>,
    /// The id both belong to.
    pub update_id: i64,
}

/// How far a side is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteTo {
    /// Nothing of the side is proven.
    Nothing,
    /// Down to this bid or up to this ask, inclusive.
    Price(Number),
    /// The whole side is known.
    Whole,
}

/// What live and frozen books have in common. Each call is one consistent look.
pub trait Reading {
    /// The exchange's name as given.
    fn exchange(&self) -> &str;
    /// The symbol; None until the first frame of an offline book fixes it.
    fn symbol(&self) -> Option<&str>;
    /// Quantities count contracts of a fixed value in the quote asset.
    fn inverse(&self) -> bool;
    /// Status, reason and since when.
    fn status_info(&self) -> StatusInfo<'_>;
    /// Whether levels may be read: `best` and `levels` are to be called after `Ok` only.
    ///
    /// With `serve_stale` the last known book may be read too, unless it is crossed.
    fn readable(&self, serve_stale: bool) -> Result<(), NotReadable>;
    /// Synced from a snapshot alone; the next diff decides.
    fn unconfirmed(&self) -> bool;
    /// `u` of the last applied diff, else the snapshot's `lastUpdateId`; None before one.
    fn last_update_id(&self) -> Option<i64>;
    /// When the exchange made what the book is: `E` of the last applied diff, or the time of the snapshot; where
    /// neither has one, when it was received, by the system's clock.
    fn event_time_us(&self) -> Option<i64>;
    /// When the last applied frame was received, or the snapshot where there is none after it.
    fn updated_ns(&self) -> Option<i64>;
    /// From the clock of the frames to nanoseconds since 1970 on the system's clock; None without a clock.
    fn wall_offset_ns(&self) -> Option<i64>;
    /// When the book was last proven to be the exchange's: by an applied frame, or by a comparison.
    fn confirmed_ns(&self) -> Option<i64>;
    /// Both best levels.
    fn best(&self) -> BestPair;
    /// How many levels the side holds.
    fn len(&self, side: Side) -> usize;
    /// The levels from index `start` up to `stop` (exclusive, `usize::MAX` for all), best first.
    ///
    /// `complete` of the result is about the best `stop` levels.
    fn levels(&self, side: Side, start: usize, stop: usize) -> LevelRun;
    /// Append the best `stop` levels (`usize::MAX` for all) as nearest floats; whether every one of them is proven.
    fn append_floats(&self, side: Side, stop: usize, to: &mut Floats<'_>) -> bool;
    /// All levels of the side, best first, without a copy.
    fn iter(&self, side: Side) -> Box<dyn Iterator<Item = NumberLevel> + '_>;
    /// How far the side is proven.
    fn complete_to(&self, side: Side) -> CompleteTo;
    /// How many held levels lie inside the complete range.
    fn coverage(&self, side: Side) -> usize;
    /// The book's counters.
    fn counters(&self) -> Counters;
    /// Bytes of memory that levels and kept diffs take, without the allocator's own.
    fn memory_bytes(&self) -> usize;
}

/// What a reader takes, beside a synced book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadPolicy {
    /// The last known book, too.
    pub serve_stale: bool,
    /// Only a book whose last update was received so lately.
    pub max_age_ns: Option<i64>,
}

impl ReadPolicy {
    /// Whether the levels of a book may be read; `now_ns` is called only where its age counts.
    #[inline]
    pub fn check(
        &self,
        book: &(impl Reading + ?Sized),
        now_ns: impl FnOnce() -> i64,
    ) -> Result<(), Refusal> {
        book.readable(self.serve_stale)?;
        match self.max_age_ns {
            None => Ok(()),
            Some(max_age_ns) => check_age(book.updated_ns(), now_ns(), max_age_ns),
        }
    }

    /// Whether a book whose last update was received then is young enough; `now_ns` is called only where that counts.
    #[inline]
    pub fn takes_age_of(&self, updated_ns: Option<i64>, now_ns: impl FnOnce() -> i64) -> bool {
        self.max_age_ns
            .is_none_or(|most_ns| check_age(updated_ns, now_ns(), most_ns).is_ok())
    }
}

fn check_age(updated_ns: Option<i64>, now_ns: i64, max_age_ns: i64) -> Result<(), Refusal> {
    let age_ns = updated_ns.map_or(i64::MAX, |at_ns| now_ns.saturating_sub(at_ns));
    if age_ns <= max_age_ns {
        return Ok(());
    }
    Err(Refusal::TooOld(TooOld { age_ns, max_age_ns }))
}
