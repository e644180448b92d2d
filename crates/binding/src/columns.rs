//! `Columns`: levels of one book or many, one row a level, lent to other programs without a copy.
//!
//! Not here: which levels (`depthcache_book::columns`), the Arrow structures (`depthcache_arrow`), what
//! pandas, polars and numpy make of them (`depthcache.columns`).

use std::ffi::CStr;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use depthcache_arrow::{Bits, Column, Table, Texts, Values, alive, export};
use depthcache_book::query::columns::{
    Columns as Filled, DictionaryColumn, Flags, NumberColumn, OptionalColumn, SelectedBooks,
    Selection, Shape,
};
use depthcache_book::query::floats::Floats;
use depthcache_book::query::{LevelRun, Reading, Side as Which};
use depthcache_book::status::{NotReadable, Refusal, Status};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList, PyTuple};

use crate::handles::BookReader;
use crate::source::{ReadRequest, Source};
use crate::values::classes;
use crate::{arguments, errors, pictures, portable, raw};

const MISSING: &str = "'raise' or 'skip'";

/// Levels of one or more books as columns, one row per level; constant, with no Python object per level.
///
/// `Columns(books, levels=20)` takes books of any kind: live, frozen or offline. Rows are ordered by book,
/// bids before asks, best first. Each book is read atomically at one update id, one book after another.
///
/// | column | type | content |
/// |---|---|---|
/// | exchange, symbol | dictionary of text | the book |
/// | side | dictionary of text | `bid` or `ask` |
/// | level | int32 | the position in its side, 0 for the best |
/// | price | float64 or decimal128(38, 18) | in the quote asset |
/// | quantity | float64 or decimal128(38, 18) | in the base asset, or contracts on COIN-M |
/// | proven | bool | whether the level lies inside the complete range |
/// | update_id | int64 | the update id of the book |
/// | event_time | timestamp[us, UTC] | the exchange's time of the book; null if unknown |
/// | updated_ns | int64 | when it was received, on the clock `now_ns`, in ns; null before a snapshot |
/// | status | dictionary of text | `synced`, or another status if stale data is served |
///
/// Arrow libraries read it without a copy through the Arrow PyCapsule interface (`__arrow_c_schema__`,
/// `__arrow_c_array__`, `__arrow_c_stream__`): `pyarrow.table(columns)`, `polars.DataFrame(columns)`,
/// `duckdb.from_arrow(columns)`. The memory is shared and lives as long as any of them uses it.
#[pyclass(frozen, module = "depthcache")]
pub struct Columns {
    table: Arc<Table>,
    missing: Py<PyTuple>,
}

impl ReadRequest<'_> {
    /// What is copied out of a book that may be read, without the interpreter where it is much.
    fn copy<T: Send>(
        &self,
        py: Python<'_>,
        selection: &Selection,
        copy: impl Fn(&dyn Reading) -> T + Send + Sync,
    ) -> PyResult<T> {
        let copy = |book: &dyn Reading| {
            let checked = self.source.check(book, self.policy);
            checked.map(|()| copy(book))
        };
        let copied = match is_short(selection) {
            true => self.source.look(py, copy),
            false => self.source.look_long(py, copy),
        };
        self.source.or_raise(py, copied)
    }

    fn select(&self, selection: &Selection, to: &mut SelectedBooks) -> Result<(), Refusal> {
        self.source.look_alone(|book| {
            let checked = self.source.check(book, self.policy);
            checked.map(|()| to.add(book, selection))
        })
    }
}

/// Which levels of a side are wanted, as users say it.
pub fn selection(
    name: &str,
    levels: Option<&Bound<'_, PyAny>>,
    low: Option<&Bound<'_, PyAny>>,
    high: Option<&Bound<'_, PyAny>>,
) -> PyResult<Selection> {
    let selection = Selection {
        levels: arguments::levels(name, levels)?,
        low: arguments::low(low)?,
        high: arguments::high(high)?,
    };
    if let (Some(least), Some(most), Some(value)) = (selection.low, selection.high, low)
        && !most.is_at_least(least)
    {
        return Err(errors::invalid(
            "low",
            value,
            "a price that is not above high",
        ));
    }
    Ok(selection)
}

/// Both sides of one book at one update id.
pub fn of_book(
    py: Python<'_>,
    request: &ReadRequest,
    selection: &Selection,
    exact: bool,
) -> PyResult<Columns> {
    let mut selected = SelectedBooks::new(exact, 1, selection);
    let checked = py.detach(|| request.select(selection, &mut selected));
    request.source.or_raise(py, checked)?;
    Ok(Columns {
        table: py.detach(|| table(selected)),
        missing: PyTuple::empty(py).unbind(),
    })
}

/// A `BookArrays` of one book at one update id.
pub fn arrays<'py>(
    py: Python<'py>,
    request: &ReadRequest,
    selection: &Selection,
) -> PyResult<Bound<'py, PyAny>> {
    let (rows, split, is_complete, update_id) = request.copy(py, selection, |book| {
        let room = [Which::Bids, Which::Asks].map(|side| selection.most(book, side));
        let mut rows = Vec::with_capacity(room[0] + room[1]);
        let bids = selection.append_floats(book, Which::Bids, &mut Floats::Rows(&mut rows));
        let split = rows.len();
        let asks = selection.append_floats(book, Which::Asks, &mut Floats::Rows(&mut rows));
        let update_id = book.last_update_id().unwrap_or_default();
        (rows, split, bids && asks, update_id)
    })?;
    let sides = raw::Table::of_floats(rows).arrays(py, split)?;
    classes(py)?.both_sides(py, sides, (is_complete, update_id), false)
}

/// A `BookIntegers` of one book at one update id.
pub fn both_integers<'py>(
    py: Python<'py>,
    request: &ReadRequest,
    selection: &Selection,
) -> PyResult<Bound<'py, PyAny>> {
    let (bids, asks, update_id) = request.copy(py, selection, |book| {
        let [bids, asks] = [Which::Bids, Which::Asks].map(|which| selection.of(book, which).run);
        (bids, asks, book.last_update_id().unwrap_or_default())
    })?;
    let is_complete = bids.complete && asks.complete;
    let sides = [
        integers(py, request.source, &bids)?,
        integers(py, request.source, &asks)?,
    ];
    classes(py)?.both_sides(py, sides, (is_complete, update_id), true)
}

/// So many levels a side are copied without giving the interpreter away: winning it back costs more.
const MOST_AT_ONCE: usize = 2_000;

fn is_short(selection: &Selection) -> bool {
    let is_bounded = selection.low.is_none() && selection.high.is_none();
    is_bounded
        && selection
            .levels
            .is_some_and(|levels| levels <= MOST_AT_ONCE)
}

/// What is computed of a run, without the interpreter where it is long.
fn computed<T: Send>(py: Python<'_>, run: &LevelRun, of: impl Fn(&LevelRun) -> T + Sync) -> T {
    match run.len() <= MOST_AT_ONCE {
        true => of(run),
        false => py.detach(|| of(run)),
    }
}

/// The selected levels of one side as a new float64 array of shape (levels, 2).
pub fn floats<'py>(
    py: Python<'py>,
    request: &ReadRequest,
    which: Which,
    selection: &Selection,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = request.copy(py, selection, |book| {
        let mut rows = Vec::with_capacity(selection.most(book, which));
        selection.append_floats(book, which, &mut Floats::Rows(&mut rows));
        rows
    })?;
    raw::Table::of_floats(rows).array(py)
}

/// The selected levels of one side as `Integers`.
pub fn side_integers<'py>(
    py: Python<'py>,
    request: &ReadRequest,
    which: Which,
    selection: &Selection,
) -> PyResult<Bound<'py, PyAny>> {
    let run = request.copy(py, selection, |book| selection.of(book, which).run)?;
    integers(py, request.source, &run)
}

/// Levels as `Integers`.
fn integers<'py>(py: Python<'py>, source: &Source, run: &LevelRun) -> PyResult<Bound<'py, PyAny>> {
    let rows = computed(py, run, LevelRun::integers).map_err(|why| {
        let (_, symbol) = source.names(py);
        errors::too_wide(py, &symbol, why.scale)
    })?;
    let array = raw::Table::of_integers(rows).array(py)?;
    classes(py)?.integers(py, array, run.price_scale, run.quantity_scale)
}

/// Tables and structures lent to others that are alive: for tests of leaks.
#[pyfunction]
pub fn _columns_alive() -> (usize, usize) {
    alive()
}

/// What the columns of a table are called, and of which type each is.
const SCHEMA: [(&CStr, &[&CStr]); 11] = [
    (c"exchange", &[c"i"]),
    (c"symbol", &[c"i"]),
    (c"side", &[c"c"]),
    (c"level", &[c"i"]),
    (c"price", &[c"g", c"d:38,18"]),
    (c"quantity", &[c"g", c"d:38,18"]),
    (c"proven", &[c"b"]),
    (c"update_id", &[c"l"]),
    (c"event_time", &[c"tsu:UTC"]),
    (c"updated_ns", &[c"l"]),
    (c"status", &[c"i"]),
];

/// The columns that `Columns.__reduce__` describes.
#[pyfunction]
pub fn _restored_columns(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    missing: &Bound<'_, PyTuple>,
) -> PyResult<Columns> {
    let table = py.detach({
        let bytes = state.as_bytes();
        || Table::from_bytes(bytes, &SCHEMA)
    });
    Ok(Columns {
        table: table.map_err(|why| errors::bad_state(state, why.0))?,
        missing: missing.clone().unbind(),
    })
}

#[pymethods]
impl Columns {
    #[new]
    #[pyo3(signature = (books, levels = None, *, low = None, high = None, exact = false, missing = None))]
    fn new(
        py: Python<'_>,
        books: &Bound<'_, PyAny>,
        levels: Option<&Bound<'_, PyAny>>,
        low: Option<&Bound<'_, PyAny>>,
        high: Option<&Bound<'_, PyAny>>,
        exact: bool,
        missing: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let selection = selection("levels", levels, low, high)?;
        let skips = match missing {
            None => false,
            Some(word) => match word.extract::<String>().as_deref() {
                Ok("raise") => false,
                Ok("skip") => true,
                _ => return Err(errors::invalid("missing", word, MISSING)),
            },
        };
        let (readers, any_exact) = readers(books)?;
        let requests: Vec<_> = readers.iter().map(|book| book.get().request()).collect();
        let mut selected = SelectedBooks::new(exact || any_exact, requests.len(), &selection);
        let refused: Vec<_> = py.detach(|| {
            let each = requests.iter().enumerate();
            each.filter_map(|(place, book)| {
                Some((place, book.select(&selection, &mut selected).err()?))
            })
            .collect()
        });
        let (mut missing, mut worst) = (Vec::new(), None::<(u8, String, String, Refusal)>);
        for (place, why) in refused {
            let (exchange, symbol) = requests[place].source.names(py);
            missing.push(classes(py)?.missing_book(py, &exchange, &symbol, &why)?);
            let rank = rank(&why);
            if worst.as_ref().is_none_or(|(held, ..)| rank > *held) {
                worst = Some((rank, exchange, symbol, why));
            }
        }
        if let (false, Some((_, exchange, symbol, why))) = (skips, &worst) {
            let first = (exchange.as_str(), symbol.as_str(), why);
            return Err(errors::not_all_readable(
                py,
                &missing,
                requests.len(),
                first,
            ));
        }
        Ok(Self {
            table: py.detach(|| table(selected)),
            missing: PyTuple::new(py, missing)?.unbind(),
        })
    }

    fn __len__(&self) -> usize {
        self.table.len()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<portable::Reduced<'py>> {
        let state = py.detach(|| self.table.to_bytes());
        let missing = self.missing.bind(py).clone().into_any();
        portable::reduced(
            py,
            "_restored_columns",
            [PyBytes::new(py, &state).into_any(), missing],
        )
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        let _ = memo;
        slf
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
        let Ok(other) = other.cast::<Columns>() else {
            return Ok(None);
        };
        let other = other.get();
        let same = Arc::ptr_eq(&self.table, &other.table) || self.table == other.table;
        Ok(Some(same && self.missing.bind(py).eq(&other.missing)?))
    }

    fn __hash__(&self) -> u64 {
        self.table.len() as u64
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        pictures::html(slf.py(), "columns_html", (slf,))
    }

    /// The names of the columns.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.table.columns().iter().map(|each| name(each)))
    }

    /// The books that were left out, each with its status and reason.
    #[getter]
    fn missing(&self, py: Python<'_>) -> Py<PyTuple> {
        self.missing.clone_ref(py)
    }

    /// Return a dict of arrays, one per column.
    ///
    /// Number arrays are read-only views of this object. Text is fixed-width; times are datetime64[us] in
    /// UTC, NaT if missing; a missing `updated_ns` is -1. Raises InvalidArgument for exact numbers, which
    /// numpy cannot hold.
    fn to_numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        converted(slf, "to_numpy")
    }

    /// Return a pandas DataFrame with its own memory.
    ///
    /// Text columns are categories, `event_time` is datetime64[us, UTC], `updated_ns` is Int64, and exact
    /// numbers are pyarrow decimal128. Raises PackageMissing (an ImportError) without pandas.
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        converted(slf, "to_pandas")
    }

    /// Return a polars DataFrame that shares this memory.
    ///
    /// Raises PackageMissing (an ImportError) without polars.
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        converted(slf, "to_polars")
    }

    /// Name, type, values, validity and words of every column, where they are.
    fn _parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let parts = PyList::empty(py);
        for (index, column) in self.table.columns().iter().enumerate() {
            let entries = column
                .dictionary
                .as_ref()
                .map(|entries| PyList::new(py, entries.iter()));
            parts.append((
                name(column),
                text(column.values.format()),
                raw::Memory::values(&self.table, index),
                raw::Memory::validity(&self.table, index),
                entries.transpose()?,
            ))?;
        }
        Ok(parts)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        PyCapsule::new_with_value(py, export::schema(&self.table), c"arrow_schema")
    }

    /// `requested_schema` is ignored: the columns keep their types.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        let array = PyCapsule::new_with_value(py, export::array(&self.table), c"arrow_array")?;
        Ok((self.__arrow_c_schema__(py)?, array))
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        PyCapsule::new_with_value(py, export::stream(&self.table), c"arrow_array_stream")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let names: Vec<_> = self.table.columns().iter().map(|each| name(each)).collect();
        let missing = match self.missing.bind(py).len() {
            0 => String::new(),
            count => format!(", {count} books missing"),
        };
        Ok(format!(
            "<Columns: {} levels, {}{missing}>",
            self.table.len(),
            names.join(", ")
        ))
    }
}

/// Which of several refusals is raised: the first that waiting heals, before those of books that are only too
/// old, before those of books that are closed.
fn rank(why: &Refusal) -> u8 {
    match why {
        Refusal::NotReadable(NotReadable {
            status: Status::Closed,
            ..
        }) => 0,
        Refusal::TooOld(_) => 1,
        Refusal::NotReadable(_) => 2,
    }
}

fn name(column: &Column) -> &str {
    text(column.name)
}

fn text(text: &'static std::ffi::CStr) -> &'static str {
    text.to_str().expect("ASCII")
}

/// What a function of `depthcache.columns` makes of columns.
pub fn converted<'py>(
    columns: &Bound<'py, Columns>,
    function: &str,
) -> PyResult<Bound<'py, PyAny>> {
    columns
        .py()
        .import("depthcache.columns")?
        .call_method1(function, (columns,))
}

/// The books that were given, and whether one of them reads Decimals.
fn readers<'py>(books: &Bound<'py, PyAny>) -> PyResult<(Vec<Bound<'py, BookReader>>, bool)> {
    let allowed = "a list of books";
    let each = books
        .try_iter()
        .map_err(|_| errors::invalid("books", books, allowed))?;
    let (mut readers, mut any_exact) = (Vec::new(), false);
    for book in each {
        let book = book?;
        let reader = book
            .cast_into::<BookReader>()
            .map_err(|_| errors::invalid("books", books, allowed))?;
        any_exact |= reader.get().is_exact();
        readers.push(reader);
    }
    Ok((readers, any_exact))
}

/// Columns that are the same for every read of the same books: exchange, symbol, side, level and status.
type ShapeColumns = [Arc<Column>; 5];

/// The shape that was read last, and its columns.
static LAST_SHAPE: Mutex<Option<(Shape, ShapeColumns)>> = Mutex::new(None);

/// A shape of more rows is not kept.
const MOST_KEPT_ROWS: usize = 1 << 16;

fn shape_columns(selected: &SelectedBooks) -> ShapeColumns {
    let mut last = LAST_SHAPE.try_lock();
    if let Some(Some((shape, columns))) = last.as_deref()
        && selected.have(shape)
    {
        return columns.clone();
    }
    let shape = selected.shape();
    let is_small = shape.len() <= MOST_KEPT_ROWS;
    let Shape {
        exchange,
        symbol,
        side,
        level,
        status,
        ..
    } = shape.clone();
    let sides = Column {
        dictionary: Some(Texts::new(["bid", "ask"])),
        ..plain(c"side", Values::Int8(side))
    };
    let columns = [
        dictionary(c"exchange", exchange),
        dictionary(c"symbol", symbol),
        sides,
        plain(c"level", Values::Int32(level)),
        dictionary(c"status", status),
    ]
    .map(Arc::new);
    if let Some(last) = last.as_mut().filter(|_| is_small) {
        **last = Some((shape, columns.clone()));
    }
    columns
}

/// Columns as Arrow has them; nothing is copied but the yes and no.
fn table(selected: SelectedBooks) -> Arc<Table> {
    keep_memory(selected.len());
    let [exchange, symbol, side, level, status] = shape_columns(&selected);
    let Filled {
        price,
        quantity,
        proven,
        update_id,
        event_time_us,
        updated_ns,
    } = selected.columns();
    let rows = update_id.len();
    let columns = vec![
        exchange,
        symbol,
        side,
        level,
        Arc::new(plain(c"price", numbers(price))),
        Arc::new(plain(c"quantity", numbers(quantity))),
        Arc::new(plain(c"proven", Values::Boolean(bits(&proven)))),
        Arc::new(plain(c"update_id", Values::Int64(update_id))),
        Arc::new(optional(
            c"event_time",
            event_time_us,
            Values::TimestampMicroseconds,
        )),
        Arc::new(optional(c"updated_ns", updated_ns, Values::Int64)),
        status,
    ];
    Table::shared(rows, columns)
}

/// Make the allocator keep memory for tables of so many rows.
///
/// glibc gives memory of this size back to the system whenever it is freed, and every page costs a fault when it
/// comes again: three times what reading costs. Once it has seen a block of a size freed, it keeps twice as much
/// (M_MMAP_THRESHOLD in mallopt(3)).
fn keep_memory(rows: usize) {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let bytes = rows * BYTES_A_ROW;
    if (LEAST_KEPT..=MOST_KEPT).contains(&bytes) && MOST.fetch_max(bytes, Relaxed) < bytes {
        drop(black_box(Vec::<u8>::with_capacity(bytes)));
    }
}

/// A row of a table takes about so many bytes.
const BYTES_A_ROW: usize = 64;
/// Between these sizes glibc decides by what it has seen.
const LEAST_KEPT: usize = 128 << 10;
const MOST_KEPT: usize = 32 << 20;

fn plain(name: &'static CStr, values: Values) -> Column {
    Column {
        name,
        values,
        validity: None,
        dictionary: None,
    }
}

fn dictionary(name: &'static std::ffi::CStr, column: DictionaryColumn) -> Column {
    Column {
        name,
        values: Values::Int32(column.codes),
        validity: None,
        dictionary: Some(Texts::new(column.entries)),
    }
}

fn numbers(numbers: NumberColumn) -> Values {
    match numbers {
        NumberColumn::Floats(values) => Values::Float64(values),
        NumberColumn::Exact(values) => Values::Decimal128(values),
    }
}

fn optional(
    name: &'static std::ffi::CStr,
    numbers: OptionalColumn,
    values: impl Fn(Vec<i64>) -> Values,
) -> Column {
    Column {
        name,
        values: values(numbers.values),
        validity: Some(bits(&numbers.is_valid)),
        dictionary: None,
    }
}

fn bits(set: &Flags) -> Bits {
    let mut bits = Bits::default();
    for (set, rows) in &set.0 {
        bits.extend(*set, *rows);
    }
    bits
}
