//! `Side`: one side of a book as a sequence, best price first.

use std::sync::Arc;

use depthcache_book::analytics::up_to_value;
use depthcache_book::query::levels_reason;
use depthcache_book::query::{ReadPolicy, Side as Which};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PySlice, PyType};

use crate::analytics;
use crate::analytics::contracts;
use crate::columns;
use crate::errors;
use crate::frozen::FrozenBook;
use crate::handles::BookReader;
use crate::pictures;
use crate::portable;
use crate::raw::unpack_slice;
use crate::source::{ReadRequest, Source};
use crate::values::{self, ReadLevels, classes};

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
        classes(py)?
            .list(py, &run, 0..run.len(), self.exact)?
            .try_iter()
    }

    /// Return the best `n` levels (None for all) as a new float64 array of shape (levels, 2).
    ///
    /// `low`, `high`: only prices in this range, both inclusive; `n` counts from the best of them.
    ///
    /// Column 0 holds prices in the quote asset, column 1 quantities in the base asset, or contracts on
    /// COIN-M. Numbers are the floats nearest to what the exchange sent, also from an exact book. Row 0 is
    /// the best level. The array is a copy. The interpreter lock is released during the copy.
    #[pyo3(signature = (n = None, *, low = None, high = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("n", n, low, high)?;
        columns::floats(
            py,
            &columns::side(py, &self.request(), self.which, &selection)?,
        )
    }

    /// Return the best `n` levels (None for all) as exact integers.
    ///
    /// `low`, `high`: as for `to_numpy`. Raises NumberTooWide if a number does not fit into 64 bits with the
    /// decimals of this side; use floats or Decimals then. The interpreter lock is released during the copy.
    #[pyo3(signature = (n = None, *, low = None, high = None))]
    fn to_integers<'py>(
        &self,
        py: Python<'py>,
        n: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("n", n, low, high)?;
        let run = columns::side(py, &self.request(), self.which, &selection)?;
        columns::integers(py, &self.source, &run)
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
                reason: levels_reason::of_levels(book, which, fitting.levels, &run),
                update_id: book.last_update_id().unwrap_or_default(),
                run,
            }
        })?;
        classes(py)?.levels(py, &found, 0..found.run.len(), self.exact)
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
        let book = BookReader {
            source: self.source.clone(),
            policy: self.policy,
            exact: self.exact,
        };
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
    fn name(&self) -> &'static str {
        match self.which {
            Which::Bids => "bids",
            Which::Asks => "asks",
        }
    }

    fn request(&self) -> ReadRequest {
        ReadRequest {
            source: self.source.clone(),
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
            let found = self.look(py, start, stop)?;
            let indices = 0..found.run.len();
            return classes(py)?.levels(py, &found, indices, self.exact);
        }
        let found = self.look(py, 0, usize::MAX)?;
        let indices = indices(found.run.len(), start, stop, step);
        classes(py)?.levels(py, &found, indices.into_iter(), self.exact)
    }

    /// The levels from a place on, and what is to be said of them.
    fn look(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<ReadLevels> {
        let which = self.which;
        self.source.read(py, self.policy, move |book| {
            let run = book.levels(which, start, stop);
            ReadLevels {
                reason: levels_reason::of_levels(book, which, stop, &run),
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
