//! A frozen book as bytes and back: for another process, or a file.
//!
//! The bytes begin with their version. Reading checks all of it (lengths, words, widths, the order of
//! levels), because reads rely on it: bytes that do not fit are an error, never a panic.

use super::{Frozen, FrozenHeader, FrozenSide};
use crate::counters::Counters;
use crate::mantissa::power_of_ten;
use crate::message::{Level, MAX_INTEGER_DIGITS, MAX_SCALE};
use crate::query::{CompleteTo, LevelRun, Mantissas, Number, Side};
use crate::status::{NotReadable, Status};
use crate::timebase::WallOffset;

/// The version of the bytes; another one is refused.
const VERSION: u8 = 2;

/// Why bytes are no frozen book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadState(pub &'static str);

type Read<T> = Result<T, BadState>;

impl Frozen {
    /// The book as bytes: every fact, every digit.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION]);
        writer.header(&self.header);
        writer.side(&self.bids);
        writer.side(&self.asks);
        match &self.refused {
            None => writer.flag(false),
            Some(why) => {
                writer.flag(true);
                writer.status(why.status);
                writer.text(&why.reason);
                writer.integer(why.since_ns);
            }
        }
        writer.0
    }

    /// The book that `to_bytes` wrote.
    pub fn from_bytes(bytes: &[u8]) -> Read<Frozen> {
        let mut reader = Reader::new(bytes)?;
        let header = reader.header()?;
        let (bids, asks) = (reader.side(Side::Bids)?, reader.side(Side::Asks)?);
        let refused = match reader.flag()? {
            false => None,
            true => Some(Box::new(NotReadable {
                status: reader.status()?,
                reason: reader.text()?.to_owned(),
                since_ns: reader.integer()?,
            })),
        };
        reader.end()?;
        Ok(Frozen {
            header,
            bids,
            asks,
            refused,
        })
    }
}

/// Levels that one update changed as bytes; `runs_from_bytes` reads them.
pub fn runs_to_bytes(runs: &(LevelRun, LevelRun)) -> Vec<u8> {
    let mut writer = Writer(vec![VERSION]);
    writer.run(&runs.0);
    writer.run(&runs.1);
    writer.0
}

/// Levels that one update changed: as `runs_to_bytes` wrote them, a quantity may be zero.
pub fn runs_from_bytes(bytes: &[u8]) -> Read<(LevelRun, LevelRun)> {
    let mut reader = Reader::new(bytes)?;
    let runs = (reader.run(Side::Bids, true)?, reader.run(Side::Asks, true)?);
    reader.end()?;
    Ok(runs)
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn flag(&mut self, flag: bool) {
        self.byte(flag.into());
    }

    fn integer(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn wide(&mut self, number: i128) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.integer(count as i64);
    }

    fn optional(&mut self, number: Option<i64>) {
        self.flag(number.is_some());
        self.integer(number.unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn status(&mut self, status: Status) {
        // A new status needs a number of its own here, and its place in `Status::ALL`.
        self.byte(match status {
            Status::Synced => 0,
            Status::Crossed => 1,
            Status::Bridging => 2,
            Status::Buffering => 3,
            Status::Empty => 4,
            Status::Stale => 5,
            Status::Halted => 6,
            Status::Disconnected => 7,
            Status::Closed => 8,
        });
    }

    fn header(&mut self, header: &FrozenHeader) {
        self.text(&header.exchange);
        self.flag(header.symbol.is_some());
        self.text(header.symbol.as_deref().unwrap_or_default());
        self.flag(header.inverse);
        self.status(header.status);
        self.text(&header.reason);
        self.integer(header.since_ns);
        self.flag(header.unconfirmed);
        let times = [
            header.last_update_id,
            header.event_time_us,
            header.updated_ns,
            header.confirmed_ns,
            header.wall_offset_ns.0,
        ];
        times.into_iter().for_each(|time| self.optional(time));
        let counts = header.counters.named();
        self.count(counts.len());
        for (name, count) in counts {
            self.text(name);
            self.0.extend_from_slice(&count.to_le_bytes());
        }
    }

    fn side(&mut self, side: &FrozenSide) {
        self.run(&side.run);
        match side.complete_to {
            CompleteTo::Nothing => self.byte(0),
            CompleteTo::Price(price) => {
                self.byte(1);
                self.byte(price.scale);
                self.wide(price.mantissa);
            }
            CompleteTo::Whole => self.byte(2),
        }
        self.count(side.coverage);
    }

    fn run(&mut self, run: &LevelRun) {
        self.byte(run.price_scale);
        self.byte(run.quantity_scale);
        self.flag(run.complete);
        self.flag(matches!(run.mantissas, Mantissas::Wide(_)));
        self.count(run.len());
        match &run.mantissas {
            Mantissas::Narrow(levels) => levels.iter().for_each(|level| {
                self.integer(level.price);
                self.integer(level.quantity);
            }),
            Mantissas::Wide(levels) => levels.iter().for_each(|level| {
                self.wide(level.price);
                self.wide(level.quantity);
            }),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Read<Reader<'a>> {
        let mut reader = Reader(bytes);
        match reader.byte()? {
            VERSION => Ok(reader),
            _ => Err(BadState("it was written by another version of depthcache")),
        }
    }

    fn end(&self) -> Read<()> {
        match self.0 {
            [] => Ok(()),
            _ => Err(BadState("it has trailing data")),
        }
    }

    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(BadState("it is truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("so many were taken"))
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BadState("a flag is neither 0 nor 1")),
        }
    }

    fn integer(&mut self) -> Read<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn count(&mut self) -> Read<usize> {
        usize::try_from(self.integer()?).map_err(|_| BadState("a count is negative"))
    }

    fn optional(&mut self) -> Read<Option<i64>> {
        let is_there = self.flag()?;
        let number = self.integer()?;
        Ok(is_there.then_some(number))
    }

    fn text(&mut self) -> Read<&'a str> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).map_err(|_| BadState("a text is not valid UTF-8"))
    }

    fn status(&mut self) -> Read<Status> {
        let code = self.byte()?;
        let found = Status::ALL.get(usize::from(code));
        found.copied().ok_or(BadState("a status is unknown"))
    }

    fn header(&mut self) -> Read<FrozenHeader> {
        let exchange = self.text()?.into();
        let (has_symbol, symbol) = (self.flag()?, self.text()?);
        Ok(FrozenHeader {
            exchange,
            symbol: has_symbol.then(|| symbol.into()),
            inverse: self.flag()?,
            status: self.status()?,
            reason: self.text()?.into(),
            since_ns: self.integer()?,
            unconfirmed: self.flag()?,
            last_update_id: self.optional()?,
            event_time_us: self.optional()?,
            updated_ns: self.optional()?,
            confirmed_ns: self.optional()?,
            wall_offset_ns: WallOffset(self.optional()?),
            counters: self.counters()?,
        })
    }

    fn counters(&mut self) -> Read<Counters> {
        let mut counters = Counters::default();
        for _ in 0..self.count()? {
            let name = self.text()?;
            let value = u64::from_le_bytes(self.array()?);
            counters
                .set(name, value)
                .ok_or(BadState("a counter is unknown"))?;
        }
        Ok(counters)
    }

    fn side(&mut self, side: Side) -> Read<FrozenSide> {
        let run = self.run(side, false)?;
        let complete_to = match self.byte()? {
            0 => CompleteTo::Nothing,
            1 => {
                let scale = self.scale()?;
                let mantissa = fitting(i128::from_le_bytes(self.array()?), scale)?;
                CompleteTo::Price(Number { mantissa, scale })
            }
            2 => CompleteTo::Whole,
            _ => return Err(BadState("a complete range is unknown")),
        };
        let coverage = self.count()?;
        if coverage > run.len() {
            return Err(BadState("more levels are proven than held"));
        }
        Ok(FrozenSide {
            run,
            complete_to,
            coverage,
        })
    }

    fn scale(&mut self) -> Read<u8> {
        match self.byte()? {
            scale if scale <= MAX_SCALE => Ok(scale),
            _ => Err(BadState("a number has too many decimals")),
        }
    }

    fn run(&mut self, side: Side, may_be_gone: bool) -> Read<LevelRun> {
        let (price_scale, quantity_scale) = (self.scale()?, self.scale()?);
        let (complete, is_wide, count) = (self.flag()?, self.flag()?, self.count()?);
        let size = if is_wide { 32 } else { 16 };
        let bytes = count.checked_mul(size).ok_or(BadState("it is truncated"))?;
        let bytes = self.take(bytes)?.chunks_exact(size);
        let mantissas = if is_wide {
            let number = |half: &[u8]| i128::from_le_bytes(half.try_into().expect("16 bytes"));
            Mantissas::Wide(bytes.map(|level| halves(level, number)).collect())
        } else {
            let number = |half: &[u8]| i64::from_le_bytes(half.try_into().expect("8 bytes"));
            Mantissas::Narrow(bytes.map(|level| halves(level, number)).collect())
        };
        let run = LevelRun {
            price_scale,
            quantity_scale,
            mantissas,
            complete,
        };
        check(&run, side, may_be_gone)?;
        Ok(run)
    }
}

fn halves<N>(level: &[u8], number: impl Fn(&[u8]) -> N) -> Level<N> {
    let (price, quantity) = level.split_at(level.len() / 2);
    Level {
        price: number(price),
        quantity: number(quantity),
    }
}

/// A mantissa that the scanner could have let through, at a scale that is allowed.
pub(super) fn fitting(mantissa: i128, scale: u8) -> Read<i128> {
    let end = 10i128.pow(MAX_INTEGER_DIGITS) * power_of_ten(scale);
    match mantissa {
        0.. if mantissa < end => Ok(mantissa),
        _ => Err(BadState("a number is out of range")),
    }
}

pub(super) fn check(run: &LevelRun, side: Side, may_be_gone: bool) -> Read<()> {
    let mut before = None;
    for level in run.iter() {
        let price = fitting(level.price.mantissa, run.price_scale)?;
        if price == 0 {
            return Err(BadState("a price is zero"));
        }
        let quantity = fitting(level.quantity.mantissa, run.quantity_scale)?;
        if quantity == 0 && !may_be_gone {
            return Err(BadState("a quantity is zero"));
        }
        let follows = before.is_none_or(|before| match side {
            Side::Bids => price < before,
            Side::Asks => price > before,
        });
        if !follows {
            return Err(BadState("levels are not sorted"));
        }
        before = Some(price);
    }
    Ok(())
}
