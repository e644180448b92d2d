//! `Book`: a book without any network.

use std::sync::Arc;

use depthcache_book::market::Rules;
use depthcache_book::market::sequence::Continuity;
use depthcache_book::offline::{ApplyError, OfflineBook};
use depthcache_book::router::BUFFER_BYTES;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::handles::BookReader;
use crate::values::classes;
use crate::{errors, input};

/// An offline book: you feed it snapshots and frames.
#[pyclass(frozen, subclass, extends = BookReader, module = "depthcache._native")]
pub struct Book {
    book: Arc<OfflineBook>,
    serve_stale: bool,
}

impl Book {
    fn create(book: Arc<OfflineBook>, exact: bool, serve_stale: bool) -> PyClassInitializer<Self> {
        let reader = BookReader::offline(book.cell().clone(), exact, serve_stale);
        PyClassInitializer::from(reader).add_subclass(Self { book, serve_stale })
    }
}

#[pymethods]
impl Book {
    #[new]
    #[pyo3(signature = (
        exchange, symbol, continuity, *, inverse = false, buffer_bytes = BUFFER_BYTES, serve_stale = false
    ))]
    fn new(
        exchange: &str,
        symbol: Option<&str>,
        continuity: &str,
        inverse: bool,
        buffer_bytes: usize,
        serve_stale: bool,
    ) -> PyResult<PyClassInitializer<Self>> {
        let rules = parse_rules(continuity, inverse)?;
        let book = OfflineBook::new(exchange, symbol, rules, buffer_bytes);
        Ok(Self::create(Arc::new(book), false, serve_stale))
    }

    /// The same book with `Decimal` numbers, with the digits that the exchange sends.
    #[getter]
    fn exact<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, book) = (slf.py(), slf.get());
        let make = || Py::new(py, Self::create(book.book.clone(), true, book.serve_stale));
        slf.as_super().get().kept.exact(py, make)
    }

    /// Install the bytes of a REST depth response requested with `limit` (None if unknown).
    ///
    /// `latest_us`: the latest time at which it was made, on the exchange's clock; None for the time in its
    /// body. Buffered diffs newer than it are applied immediately. A snapshot older than the book, or than
    /// the buffered diffs allow, changes nothing (`TOO_OLD`). Raises MalformedSnapshot or SymbolMismatch; the
    /// book is then unchanged.
    #[pyo3(signature = (body, *, limit = None, latest_us = None))]
    fn load_snapshot<'py>(
        &self,
        py: Python<'py>,
        body: &Bound<'py, PyAny>,
        limit: Option<usize>,
        latest_us: Option<i64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = input::bytes(body, "body")?;
        match py.detach(|| self.book.load_snapshot(&bytes, limit, latest_us)) {
            Ok(outcome) => classes(py)?.snapshot_outcome(py, outcome),
            Err(why) => Err(refused(py, &why, "MalformedSnapshot", &bytes)),
        }
    }

    /// Apply one WebSocket frame, raw or wrapped.
    ///
    /// After `GAP`, diffs are buffered and reads raise BookNotSynced, until `load_snapshot` installs a newer
    /// snapshot. Raises MalformedFrame or SymbolMismatch; the book is then unchanged.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = input::bytes(frame, "frame")?;
        let done = match self.book.try_apply(&bytes) {
            Some(done) => done,
            None => py.detach(|| self.book.apply(&bytes)),
        };
        match done {
            Ok(outcome) => Ok(classes(py)?.outcome(py, outcome)),
            Err(why) => Err(refused(py, &why, "MalformedFrame", &bytes)),
        }
    }
}

/// The error of bytes that were refused; `malformed` names the class of those that could not be read.
fn refused(py: Python<'_>, why: &ApplyError, malformed: &str, bytes: &[u8]) -> PyErr {
    match why {
        ApplyError::Malformed(why) => errors::malformed(py, malformed, why, bytes),
        ApplyError::SymbolMismatch { expected, received } => {
            errors::symbol_mismatch(py, expected, received)
        }
    }
}

/// `continuity`: `contiguous` or `chained`.
pub fn parse_rules(continuity: &str, inverse: bool) -> PyResult<Rules> {
    match Continuity::parse(continuity) {
        Some(continuity) => Ok(Rules {
            continuity,
            inverse,
        }),
        None => Err(PyValueError::new_err(format!(
            "continuity must be 'contiguous' or 'chained', not {continuity:?}"
        ))),
    }
}
