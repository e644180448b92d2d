//! `Side`: one side of a book as a sequence, best price first.

use std::sync::Arc;

use depthcache_book::analytics::up_to_value;
use depthcache_book::query::levels_reason;
use depthcache_book::query::{ReadPolicy, Side as Which};
use parking_lot::Mutex;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PySlice, PyTuple, PyType};

use crate::analytics;
use crate::analytics::contracts;
use crate::arguments;
use crate::columns;
use crate::errors;
use crate::frozen::FrozenBook;
use crate::handles::BookReader;
use crate::kept::KeptValue;
use crate::levels::{LastMade, Levels};
use crate::pictures;
use crate::portable;
use crate::raw::unpack_slice;
use crate::shelf::{self, MOST_KEPT, Shelf};
use crate::source::{ReadRequest, Source, Stamp};
use crate::values::{self, LevelKind, ReadLevels, classes};

/// One side of a book, best price first. Each call is a separate atomic read.
///
/// `side[:20]` returns at most twenty levels, however large the book. Iteration yields the levels as they
/// were when it started. Reads raise `BookNotSynced` or `BookClosed` as those of the book do.
#[pyclass(frozen, sequence, module = "depthcache")]
pub struct Side {
    pub source: Source,
    pub policy: ReadPolicy,
    pub exact: bool,
    pub which: Which,
    /// The levels that were made last.
    last: Arc<LastMade>,
    kept: Mutex<KeptLevels>,
}

/// So many slices are kept by a side, and so many tuples of pairs.
const SLICES: usize = 4;
const PAIRS: usize = 2;

/// What was read last: `bids[:20]` and the like, each with where it begins and ends.
#[derive(Default)]
struct KeptLevels {
    slices: Vec<([usize; 2], KeptValue<Py<Levels>>)>,
    /// Pairs of so many levels.
    pairs: Vec<(usize, KeptValue<Py<PyTuple>>)>,
    /// The pairs that were made last.
    last_pairs: Option<Shelf>,
}

/// Put a value in the place of another with the same key, or of the oldest; what was there.
fn keep<K: PartialEq, T>(held: &mut Vec<(K, T)>, most: usize, made: (K, T)) -> Option<(K, T)> {
    if let Some(same) = held.iter_mut().find(|(key, _)| *key == made.0) {
        return Some(std::mem::replace(same, made));
    }
    let oldest = (held.len() == most).then(|| held.remove(0));
    held.push(made);
    oldest
}

#[pymethods]
impl Side {
    /// For annotations such as `Side[Decimal]`, which mean nothing when programs run.
    #[classmethod]
    fn __class_getitem__(
        class: &Bound<'_, PyType>,
        numbers: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        values::parametrised(class, numbers)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let which = self.which;
        self.source
            .read(py, self.policy, move |book| book.len(which))
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match key.cast::<PySlice>() {
            Ok(slice) => self.slice(py, unpack_slice(slice)?),
            Err(_) => self.one(py, key),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let which = self.which;
        let run = self.source.read(py, self.policy, move |book| {
            book.levels(which, 0, usize::MAX)
        })?;
        let kind = LevelKind {
            exact: self.exact,
            plain: false,
        };
        classes(py)?.tuple(py, &run, kind)?.try_iter()
    }

    /// The best `n` levels (all when None) as a tuple of plain tuples `(price, quantity)`.
    ///
    /// Python takes plain tuples apart twice as fast as a `Level`: for loops that touch every level. The numbers
    /// are those of `side[:n]`, which also says whether they are the whole truth. Raises InvalidArgument,
    /// BookNotSynced, BookClosed, BookTooOld.
    #[pyo3(signature = (n = None))]
    fn pairs<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let n = arguments::levels("n", n)?.unwrap_or(usize::MAX);
        if let Some(held) = self.kept.try_lock()
            && let Some((_, pairs)) = held.pairs.iter().find(|(count, _)| *count == n)
            && self.source.holds(&pairs.read, self.policy)
        {
            return Ok(pairs.value.bind(py).clone());
        }
        self.read_pairs(py, n)
    }

    /// Return the best `n` levels (None for all) as a new float64 array of shape (levels, 2).
    ///
    /// `low`, `high`: only prices in this range, both inclusive; `n` counts from the best of them.
    ///
    /// Column 0 holds prices in the quote asset, column 1 quantities in the base asset, or contracts on
    /// COIN-M. Numbers are the floats nearest to what the exchange sent, also from an exact book. Row 0 is
    /// the best level. The array is a copy. More than 2,000 levels are
    /// copied without the interpreter lock.
    #[pyo3(signature = (n = None, *, low = None, high = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("n", n, low, high)?;
        columns::floats(py, &self.request(), self.which, &selection)
    }

    /// Return the best `n` levels (None for all) as exact integers.
    ///
    /// `low`, `high`: as for `to_numpy`. Raises NumberTooWide if a number does not fit into 64 bits with the
    /// decimals of this side; use floats or Decimals then. More than 2,000 levels are
    /// copied without the interpreter lock.
    #[pyo3(signature = (n = None, *, low = None, high = None))]
    fn to_integers<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("n", n, low, high)?;
        columns::side_integers(py, &self.request(), self.which, &selection)
    }

    /// Return the best levels with a total value (price times quantity) of at most `quote`.
    ///
    /// The best level is always included.
    ///
    /// It stops at the first level that does not fit, like `threshold_volume` of
    /// unicorn-binance-local-depth-cache, but with exact sums. Not available on COIN-M, where quantities are
    /// contracts. Raises InvalidArgument, BookNotSynced, BookClosed.
    fn up_to_value<'py>(
        &self,
        py: Python<'py>,
        quote: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        contracts::check_quote(&self.source, quote)?;
        let (which, amount) = (self.which, analytics::value(quote)?);
        let found = self.source.read(py, self.policy, move |book| {
            let fitting = up_to_value(book, which, amount);
            let mut run = book.levels(which, 0, fitting.levels);
            run.complete = fitting.complete;
            ReadLevels {
                reason: levels_reason::of_levels(book, which, fitting.levels, &run).map(Box::new),
                update_id: book.last_update_id().unwrap_or_default(),
                run,
            }
        })?;
        Ok(Levels::read(found, self.exact, None).bound(py)?.into_any())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<portable::Reduced<'py>> {
        let Source::Frozen(frozen) = &self.source else {
            let instead = "pickle book.freeze() or a slice such as book.bids[:20] instead";
            return Err(errors::not_portable("a side of a live book", instead));
        };
        let book = FrozenBook::create(py, frozen.clone(), self.exact)?;
        let getattr = py.import("builtins")?.getattr("getattr")?;
        Ok((getattr, (book, self.name()).into_pyobject(py)?))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> Option<bool> {
        let other = other.cast::<Side>().ok()?.get();
        let facts = |side: &Side| (side.exact, side.name());
        Some(facts(self) == facts(other) && self.source == other.source)
    }

    fn __hash__(&self) -> u64 {
        match &self.source {
            Source::Frozen(frozen) => frozen.hash_code(),
            Source::Offline(cell) | Source::Live(cell, _) => Arc::as_ptr(cell) as u64,
        }
    }

    fn _repr_html_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let book = BookReader::of(self.source.clone(), self.policy, self.exact);
        pictures::html(py, "side_html", (Bound::new(py, book)?, self.name()))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let count = self.source.look(py, |book| book.len(self.which));
        let (exchange, symbol) = self.source.names(py);
        let name = self.name();
        let symbol = if symbol.is_empty() { "?" } else { &symbol };
        let levels = if count == 1 { "level" } else { "levels" };
        format!("<Side {name} of {symbol} on {exchange}: {count} {levels}>")
    }
}

impl Side {
    /// A side of a book.
    pub fn new(source: Source, policy: ReadPolicy, exact: bool, which: Which) -> Side {
        Side {
            source,
            policy,
            exact,
            which,
            last: Arc::default(),
            kept: Mutex::default(),
        }
    }

    fn name(&self) -> &'static str {
        match self.which {
            Which::Bids => "bids",
            Which::Asks => "asks",
        }
    }

    fn request(&self) -> ReadRequest<'_> {
        ReadRequest {
            source: &self.source,
            policy: self.policy,
        }
    }

    fn one<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let index: isize = key.extract().map_err(|error: PyErr| {
            if error.is_instance_of::<pyo3::exceptions::PyOverflowError>(py) {
                PyIndexError::new_err("level out of range")
            } else {
                PyTypeError::new_err("levels are indexed by integers or slices")
            }
        })?;
        let which = self.which;
        let found = self.source.read(py, self.policy, move |book| {
            let start = match usize::try_from(index) {
                Ok(start) => start,
                Err(_) => book.len(which).checked_sub(index.unsigned_abs())?,
            };
            let run = book.levels(which, start, start.saturating_add(1));
            (!run.is_empty()).then(|| run.get(0))
        })?;
        match found {
            Some(level) => classes(py)?.level(py, level, self.exact),
            None => Err(PyIndexError::new_err("level out of range")),
        }
    }

    fn slice<'py>(
        &self,
        py: Python<'py>,
        (start, stop, step): (isize, isize, isize),
    ) -> PyResult<Bound<'py, PyAny>> {
        if let (1, Ok(start), Ok(stop)) = (step, usize::try_from(start), usize::try_from(stop)) {
            let stop = if stop == isize::MAX as usize {
                usize::MAX
            } else {
                stop
            };
            return self.slice_of(py, [start, stop]);
        }
        let (_, mut found) = self.look(py, 0, usize::MAX)?;
        let indices = indices(found.run.len(), start, stop, step);
        found.run = found.run.chosen(&indices);
        Ok(Levels::read(found, self.exact, None).bound(py)?.into_any())
    }

    fn slice_of<'py>(&self, py: Python<'py>, ends: [usize; 2]) -> PyResult<Bound<'py, PyAny>> {
        let mut kept = self.kept.try_lock();
        if let Some(held) = &kept
            && let Some((_, levels)) = held.slices.iter().find(|(at, _)| *at == ends)
            && self.source.holds(&levels.read, self.policy)
        {
            return Ok(levels.value.bind(py).clone().into_any());
        }
        let (read, found) = self.look(py, ends[0], ends[1])?;
        let is_small = found.run.len() <= MOST_KEPT;
        let last = is_small.then(|| self.last.clone());
        let levels = Levels::read(found, self.exact, last).bound(py)?;
        if is_small && let Some(kept) = &mut kept {
            let value = levels.clone().unbind();
            let made = (ends, KeptValue { read, value });
            drop(keep(&mut kept.slices, SLICES, made));
        }
        Ok(levels.into_any())
    }

    fn read_pairs<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Bound<'py, PyTuple>> {
        let which = self.which;
        let (read, run) = self
            .source
            .read_stamped(py, self.policy, move |book| book.levels(which, 0, n))?;
        let kind = LevelKind {
            exact: self.exact,
            plain: true,
        };
        if run.len() > MOST_KEPT {
            return classes(py)?.tuple(py, &run, kind);
        }
        let Some(mut kept) = self.kept.try_lock() else {
            return classes(py)?.tuple(py, &run, kind);
        };
        let KeptLevels {
            pairs: held,
            last_pairs,
            ..
        } = &mut *kept;
        // The pairs made last are released first, so that those without another reference can be refilled.
        if let Some(place) = held.iter().position(|(count, _)| *count == n) {
            drop(held.swap_remove(place));
        }
        let pairs = shelf::made(py, last_pairs, &run, kind)?;
        let value = pairs.clone().unbind();
        let gone = keep(held, PAIRS, (n, KeptValue { read, value }));
        drop(kept);
        drop(gone);
        Ok(pairs)
    }

    /// The levels from a place on, and what is to be said of them.
    fn look(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<(Stamp, ReadLevels)> {
        let which = self.which;
        self.source.read_stamped(py, self.policy, move |book| {
            let run = book.levels(which, start, stop);
            ReadLevels {
                reason: levels_reason::of_levels(book, which, stop, &run).map(Box::new),
                update_id: book.last_update_id().unwrap_or_default(),
                run,
            }
        })
    }
}

/// The places that a slice names in a sequence of `length`, in its order.
fn indices(length: usize, start: isize, stop: isize, step: isize) -> Vec<usize> {
    let length = length as isize;
    let (least, most) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let inside = |end: isize| {
        let end = if end < 0 {
            end.saturating_add(length)
        } else {
            end
        };
        end.clamp(least, most)
    };
    let (mut at, stop) = (inside(start), inside(stop));
    let mut found = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        found.push(at as usize);
        at = at.saturating_add(step);
    }
    found
}
