//! Levels of one book or many as columns: which levels, and the columns they fill.
//!
//! Order: `SelectedBooks::add` while a book is held, which copies its numbers, as floats or exactly; everything that
//! is made of them comes afterwards, without a lock. Not here: how columns are lent to others (`depthcache-arrow`).

use std::ops::Range;

use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::mantissa::power_of_ten;
use crate::message::MAX_SCALE;
use crate::query::floats::Floats;
use crate::query::{CompleteTo, LevelRun, Mantissas, Number, Reading, Side};

/// So many levels a side, and rows in all, get their room before the first is read.
const MOST_RESERVED: usize = 5_000;
const MOST_ROWS_RESERVED: usize = 1 << 20;

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

impl Selection {
    /// Append the levels of one side of a book as floats; whether every requested level is proven.
    pub fn append_floats(&self, book: &dyn Reading, side: Side, to: &mut Floats<'_>) -> bool {
        if self.low.is_none() && self.high.is_none() {
            return book.append_floats(side, self.levels.unwrap_or(usize::MAX), to);
        }
        let run = self.of(book, side).run;
        run.append_floats(usize::MAX, to);
        run.complete
    }

    /// At most so many levels are selected of a side of a book.
    pub fn most(&self, book: &dyn Reading, side: Side) -> usize {
        book.len(side).min(self.levels.unwrap_or(usize::MAX))
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
    fn with_room(rows: usize) -> OptionalColumn {
        OptionalColumn {
            values: Vec::with_capacity(rows),
            is_valid: Flags::default(),
        }
    }

    fn push(&mut self, value: Option<i64>, rows: usize) {
        let len = self.values.len() + rows;
        self.values.resize(len, value.unwrap_or_default());
        self.is_valid.push(value.is_some(), rows);
    }
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

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            NumberColumn::Floats(values) => values.len(),
            NumberColumn::Exact(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was read of books: their levels as columns, and what belongs to them book by book.
#[derive(Debug)]
pub struct SelectedBooks {
    books: Vec<BookRows>,
    values: Vec<BookValues>,
    price: NumberColumn,
    quantity: NumberColumn,
}

/// Which rows a book has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BookRows {
    exchange: CompactString,
    symbol: CompactString,
    status: &'static str,
    /// The index in its side of the first level, and how many rows: of bids and of asks.
    sides: [(usize, usize); 2],
}

/// What changes from read to read.
#[derive(Clone, Copy, Debug)]
struct BookValues {
    update_id: i64,
    event_time_us: Option<i64>,
    updated_ns: Option<i64>,
    proven: [usize; 2],
}

impl BookRows {
    fn len(&self) -> usize {
        self.sides[0].1 + self.sides[1].1
    }
}

impl SelectedBooks {
    /// No books, and room for the levels of so many.
    pub fn new(exact: bool, books: usize, selection: &Selection) -> SelectedBooks {
        let a_side = selection.levels.unwrap_or_default().min(MOST_RESERVED);
        let rows = a_side.saturating_mul(2 * books).min(MOST_ROWS_RESERVED);
        SelectedBooks {
            books: Vec::with_capacity(books),
            values: Vec::with_capacity(books),
            price: NumberColumn::new(exact, rows),
            quantity: NumberColumn::new(exact, rows),
        }
    }

    /// How many levels were read.
    pub fn len(&self) -> usize {
        self.price.len()
    }

    /// Whether none was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Read one more book, which may be read.
    pub fn add(&mut self, book: &dyn Reading, selection: &Selection) {
        let (mut sides, mut proven) = ([(0, 0); 2], [0; 2]);
        for (index, side) in [Side::Bids, Side::Asks].into_iter().enumerate() {
            let (first, rows, certain) = self.add_side(book, side, selection);
            sides[index] = (first, rows);
            proven[index] = certain.min(rows);
        }
        self.books.push(BookRows {
            exchange: book.exchange().into(),
            symbol: book.symbol().unwrap_or_default().into(),
            status: book.status_info().status.as_str(),
            sides,
        });
        self.values.push(BookValues {
            update_id: book.last_update_id().unwrap_or_default(),
            event_time_us: book.event_time_us(),
            updated_ns: book.updated_ns(),
            proven,
        });
    }

    /// The index of the first level in its side, how many were read, and how many of them are proven.
    fn add_side(
        &mut self,
        book: &dyn Reading,
        side: Side,
        selection: &Selection,
    ) -> (usize, usize, usize) {
        if let (NumberColumn::Floats(prices), NumberColumn::Floats(quantities), None, None) = (
            &mut self.price,
            &mut self.quantity,
            selection.low,
            selection.high,
        ) {
            let before = prices.len();
            let stop = selection.levels.unwrap_or(usize::MAX);
            let is_complete =
                book.append_floats(side, stop, &mut Floats::Columns(prices, quantities));
            let rows = prices.len() - before;
            let proven = if is_complete {
                rows
            } else {
                book.coverage(side)
            };
            return (0, rows, proven);
        }
        let SelectedSide { run, first, proven } = selection.of(book, side);
        match (&mut self.price, &mut self.quantity) {
            (NumberColumn::Floats(prices), NumberColumn::Floats(quantities)) => {
                run.append_floats(usize::MAX, &mut Floats::Columns(prices, quantities));
            }
            (NumberColumn::Exact(prices), NumberColumn::Exact(quantities)) => {
                let exact =
                    |number: Number| number.mantissa * power_of_ten(MAX_SCALE - number.scale);
                prices.extend(run.iter().map(|level| exact(level.price)));
                quantities.extend(run.iter().map(|level| exact(level.quantity)));
            }
            _ => unreachable!("both are made alike"),
        }
        (first, run.len(), proven)
    }

    /// Which rows belong to which book, side and level.
    pub fn shape(&self) -> Shape {
        let rows = self.price.len();
        let mut shape = Shape {
            books: self.books.clone(),
            exchange: DictionaryColumn::default(),
            symbol: DictionaryColumn::default(),
            side: Vec::with_capacity(rows),
            level: Vec::with_capacity(rows),
            status: DictionaryColumn::default(),
        };
        for words in [&mut shape.exchange, &mut shape.symbol, &mut shape.status] {
            words.codes.reserve_exact(rows);
        }
        for book in &self.books {
            shape.exchange.push(&book.exchange, book.len());
            shape.symbol.push(&book.symbol, book.len());
            shape.status.push(book.status, book.len());
            for (code, (first, rows)) in [0, 1].into_iter().zip(book.sides) {
                shape.side.resize(shape.side.len() + rows, code);
                let first = first as i32;
                shape.level.extend(first..first + rows as i32);
            }
        }
        shape
    }

    /// Whether these are the rows of these books.
    pub fn have(&self, shape: &Shape) -> bool {
        self.books == shape.books
    }

    /// The columns that are not of the shape.
    pub fn columns(self) -> Columns {
        let rows = self.price.len();
        let mut columns = Columns {
            price: self.price,
            quantity: self.quantity,
            proven: Flags::default(),
            update_id: Vec::with_capacity(rows),
            event_time_us: OptionalColumn::with_room(rows),
            updated_ns: OptionalColumn::with_room(rows),
        };
        for (book, values) in self.books.iter().zip(self.values) {
            let rows = book.len();
            for ((_, rows), proven) in book.sides.into_iter().zip(values.proven) {
                columns.proven.push(true, proven);
                columns.proven.push(false, rows - proven);
            }
            let len = columns.update_id.len() + rows;
            columns.update_id.resize(len, values.update_id);
            columns.event_time_us.push(values.event_time_us, rows);
            columns.updated_ns.push(values.updated_ns, rows);
        }
        columns
    }
}

/// Which book, side and level each row is, book by book, bids before asks, best first. Later reads of the same books
/// have the same shape nearly always.
#[derive(Clone, Debug)]
pub struct Shape {
    books: Vec<BookRows>,
    /// Exchange names.
    pub exchange: DictionaryColumn,
    /// Symbols.
    pub symbol: DictionaryColumn,
    /// 0 for bids, 1 for asks.
    pub side: Vec<i8>,
    /// The index in the side, 0 for the best.
    pub level: Vec<i32>,
    /// What the book was, in one word.
    pub status: DictionaryColumn,
}

impl Shape {
    /// How many levels there are.
    pub fn len(&self) -> usize {
        self.side.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One row a level, in the order of the shape.
#[derive(Clone, Debug)]
pub struct Columns {
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
}
