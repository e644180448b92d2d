//! Levels of one book or many as columns: which levels, and the columns they fill.
//!
//! Order: `Selection::of` or `take` while a book is held, both only copy; everything that is made of the
//! copies comes afterwards, without a lock. Not here: how columns are lent to others (`depthcache-arrow`).

use std::ops::Range;

use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::mantissa::power_of_ten;
use crate::message::MAX_SCALE;
use crate::query::{CompleteTo, LevelRun, Mantissas, Number, Reading, Side};

/// Which levels of a side: at most so many, best first, of those with a price between `low` and `high`,
/// both inclusive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// At most so many; None for all.
    pub levels: Option<usize>,
    /// The lowest price.
    pub low: Option<Number>,
    /// The highest price.
    pub high: Option<Number>,
}

/// The selected levels of one side.
#[derive(Clone, Debug)]
pub struct SelectedSide {
    /// The levels; `complete`: whether every requested level is proven.
    pub run: LevelRun,
    /// The index of the first of them in the side.
    pub first: usize,
    /// How many of them, best first, lie inside the complete range.
    pub proven: usize,
}

impl Selection {
    /// The levels of one side of a book.
    pub fn of(&self, book: &dyn Reading, side: Side) -> SelectedSide {
        let count = self.levels.unwrap_or(usize::MAX);
        let coverage = book.coverage(side);
        if self.low.is_none() && self.high.is_none() {
            let run = book.levels(side, 0, count);
            let proven = coverage.min(run.len());
            return SelectedSide {
                run,
                first: 0,
                proven,
            };
        }
        let held = book.levels(side, 0, usize::MAX);
        let (nearest, farthest) = match side {
            Side::Bids => (self.high, self.low),
            Side::Asks => (self.low, self.high),
        };
        let first = nearest.map_or(0, |nearest| {
            held.first_index(|price| !is_better(side, price, nearest))
        });
        let end = farthest.map_or(held.len(), |farthest| {
            held.first_index(|price| is_better(side, farthest, price))
        });
        let stop = first.saturating_add(count).min(end).max(first);
        let mut run = held.part(first..stop);
        let reaches = match book.complete_to(side) {
            CompleteTo::Nothing => false,
            CompleteTo::Price(edge) => {
                farthest.is_some_and(|farthest| !is_better(side, edge, farthest))
            }
            CompleteTo::Whole => true,
        };
        run.complete = reaches || count == 0 || (run.len() == count && stop <= coverage);
        let proven = coverage.clamp(first, stop) - first;
        SelectedSide { run, first, proven }
    }
}

/// Whether a price is nearer to the best of a side than another, or better than the best.
pub(crate) fn is_better(side: Side, price: Number, other: Number) -> bool {
    match side {
        Side::Bids => !other.is_at_least(price),
        Side::Asks => !price.is_at_least(other),
    }
}

impl LevelRun {
    /// The first index whose price is past a point of the side; the length where none is.
    fn first_index(&self, is_past: impl Fn(Number) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_past(self.get(middle).price) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn part(&self, range: Range<usize>) -> LevelRun {
        let mantissas = match &self.mantissas {
            Mantissas::Narrow(levels) => Mantissas::Narrow(levels[range].to_vec()),
            Mantissas::Wide(levels) => Mantissas::Wide(levels[range].to_vec()),
        };
        LevelRun { mantissas, ..*self }
    }
}

/// What is copied out of a book for columns: both sides of one update id, and what belongs to it.
#[derive(Clone, Debug)]
pub struct SelectedBook {
    exchange: CompactString,
    symbol: CompactString,
    status: &'static str,
    /// The id of both sides.
    pub update_id: i64,
    event_time_us: Option<i64>,
    updated_ns: Option<i64>,
    /// The bids.
    pub bids: SelectedSide,
    /// The asks.
    pub asks: SelectedSide,
}

/// Copy out of a book that may be read.
pub fn select_book(book: &dyn Reading, selection: &Selection) -> SelectedBook {
    SelectedBook {
        exchange: book.exchange().into(),
        symbol: book.symbol().unwrap_or_default().into(),
        status: book.status_info().status.as_str(),
        update_id: book.last_update_id().unwrap_or_default(),
        event_time_us: book.event_time_us(),
        updated_ns: book.updated_ns(),
        bids: selection.of(book, Side::Bids),
        asks: selection.of(book, Side::Asks),
    }
}

/// A dictionary-encoded column of words, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct DictionaryColumn {
    /// Each word once.
    pub entries: Vec<String>,
    /// A place in `words` for each row.
    pub codes: Vec<i32>,
    index: FxHashMap<CompactString, i32>,
}

impl DictionaryColumn {
    fn push(&mut self, word: &str, rows: usize) {
        let last = self.codes.last().copied();
        let code = match last.filter(|last| self.entries[*last as usize] == word) {
            Some(code) => code,
            None => *self.index.entry(word.into()).or_insert_with(|| {
                self.entries.push(word.to_owned());
                self.entries.len() as i32 - 1
            }),
        };
        self.codes.resize(self.codes.len() + rows, code);
    }
}

/// Numbers that may be missing.
#[derive(Clone, Debug, Default)]
pub struct OptionalColumn {
    /// Each, 0 where it is missing.
    pub values: Vec<i64>,
    /// Whether it is there.
    pub is_valid: Flags,
}

/// Yes or no, each so many times, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub Vec<(bool, usize)>);

impl Flags {
    /// One for each row.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (self.0.iter()).flat_map(|&(flag, rows)| std::iter::repeat_n(flag, rows))
    }

    fn push(&mut self, flag: bool, rows: usize) {
        match self.0.last_mut() {
            Some((last, count)) if *last == flag => *count += rows,
            _ => self.0.push((flag, rows)),
        }
    }
}

impl OptionalColumn {
    fn push(&mut self, value: Option<i64>, rows: usize) {
        let len = self.values.len() + rows;
        self.values.resize(len, value.unwrap_or_default());
        self.is_valid.push(value.is_some(), rows);
    }
}

/// Which of the two numbers of a level.
#[derive(Clone, Copy)]
enum Which {
    Price,
    Quantity,
}

/// Prices or quantities.
#[derive(Clone, Debug)]
pub enum NumberColumn {
    /// Each the nearest float, `Number::to_f64`.
    Floats(Vec<f64>),
    /// Exactly, with `MAX_SCALE` decimals: 38 digits hold all that the scanner admits.
    Exact(Vec<i128>),
}

impl NumberColumn {
    fn new(exact: bool, rows: usize) -> NumberColumn {
        if exact {
            NumberColumn::Exact(Vec::with_capacity(rows))
        } else {
            NumberColumn::Floats(Vec::with_capacity(rows))
        }
    }

    fn extend(&mut self, run: &LevelRun, floats: &[[f64; 2]], which: Which) {
        match self {
            NumberColumn::Floats(values) => {
                values.extend(floats.iter().map(|row| row[which as usize]));
            }
            NumberColumn::Exact(values) => values.extend(run.iter().map(|level| {
                let number = [level.price, level.quantity][which as usize];
                number.mantissa * power_of_ten(MAX_SCALE - number.scale)
            })),
        }
    }
}

/// One row a level: book by book, bids before asks, best first.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Exchange names.
    pub exchange: DictionaryColumn,
    /// Symbols.
    pub symbol: DictionaryColumn,
    /// 0 for bids, 1 for asks.
    pub side: Vec<i8>,
    /// The index in the side, 0 for the best.
    pub level: Vec<i32>,
    /// Prices.
    pub price: NumberColumn,
    /// Quantities.
    pub quantity: NumberColumn,
    /// Whether the level lies inside the complete range.
    pub proven: Flags,
    /// The id to which the book had come.
    pub update_id: Vec<i64>,
    /// `E` of the last applied diff, in microseconds since 1970.
    pub event_time_us: OptionalColumn,
    /// When the last applied frame was received, on the caller's clock.
    pub updated_ns: OptionalColumn,
    /// What the book was, in one word.
    pub status: DictionaryColumn,
}

impl Columns {
    /// All levels that were taken.
    pub fn of(books: &[SelectedBook], exact: bool) -> Columns {
        let rows = books
            .iter()
            .map(|book| book.bids.run.len() + book.asks.run.len())
            .sum();
        let mut columns = Columns {
            exchange: DictionaryColumn::default(),
            symbol: DictionaryColumn::default(),
            side: Vec::with_capacity(rows),
            level: Vec::with_capacity(rows),
            price: NumberColumn::new(exact, rows),
            quantity: NumberColumn::new(exact, rows),
            proven: Flags::default(),
            update_id: Vec::with_capacity(rows),
            event_time_us: OptionalColumn::default(),
            updated_ns: OptionalColumn::default(),
            status: DictionaryColumn::default(),
        };
        for book in books {
            columns.push(book);
        }
        columns
    }

    /// How many levels there are.
    pub fn len(&self) -> usize {
        self.side.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&mut self, book: &SelectedBook) {
        self.push_side(0, &book.bids);
        self.push_side(1, &book.asks);
        let rows = book.bids.run.len() + book.asks.run.len();
        self.exchange.push(&book.exchange, rows);
        self.symbol.push(&book.symbol, rows);
        self.status.push(book.status, rows);
        self.update_id
            .resize(self.update_id.len() + rows, book.update_id);
        self.event_time_us.push(book.event_time_us, rows);
        self.updated_ns.push(book.updated_ns, rows);
    }

    fn push_side(&mut self, code: i8, selected: &SelectedSide) {
        let rows = selected.run.len();
        self.side.resize(self.side.len() + rows, code);
        let first = selected.first as i32;
        self.level.extend(first..first + rows as i32);
        let floats = match &self.price {
            NumberColumn::Floats(_) => selected.run.floats(),
            NumberColumn::Exact(_) => Vec::new(),
        };
        self.price.extend(&selected.run, &floats, Which::Price);
        (self.quantity).extend(&selected.run, &floats, Which::Quantity);
        let proven = selected.proven.min(rows);
        self.proven.push(true, proven);
        self.proven.push(false, rows - proven);
    }
}
