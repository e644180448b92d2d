//! `Book`: a book without any network.

use std::sync::Arc;

use depthcache_book::offline::{ApplyError, OfflineBook};
use depthcache_book::router::BUFFER_BYTES;
use depthcache_book::sequence::Continuity;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::reader::BookReader;
use crate::values::classes;
use crate::{errors, input};

/// A book without any network: snapshots and frames in, a correct book out.
#[pyclass(frozen, subclass, extends = BookReader, module = "depthcache._native")]
pub struct Book {
    book: Arc<OfflineBook>,
}

impl Book {
    fn made(book: Arc<OfflineBook>, exact: bool) -> PyClassInitializer<Self> {
        let reader = BookReader::offline(book.cell().clone(), exact);
        PyClassInitializer::from(reader).add_subclass(Self { book })
    }
}

#[pymethods]
impl Book {
    #[new]
    #[pyo3(signature = (exchange, symbol, continuity, *, buffer_bytes = BUFFER_BYTES))]
    fn new(
        exchange: &str,
        symbol: Option<&str>,
        continuity: &str,
        buffer_bytes: usize,
    ) -> PyResult<PyClassInitializer<Self>> {
        let book = OfflineBook::new(
            exchange,
            symbol,
            parse_continuity(continuity)?,
            buffer_bytes,
        );
        Ok(Self::made(Arc::new(book), false))
    }

    #[getter]
    fn exact(&self, py: Python<'_>) -> PyResult<Py<Self>> {
        Py::new(py, Self::made(self.book.clone(), true))
    }

    /// Install the bytes of a REST depth answer asked with `limit` (None: unknown).
    #[pyo3(signature = (body, *, limit = None))]
    fn load_snapshot<'py>(
        &self,
        py: Python<'py>,
        body: &Bound<'py, PyAny>,
        limit: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = input::bytes(body, "body")?;
        match py.detach(|| self.book.load_snapshot(&bytes, limit)) {
            Ok(outcome) => classes(py)?.snapshot_outcome(py, outcome),
            Err(why) => Err(errors::malformed(py, "MalformedSnapshot", &why, &bytes)),
        }
    }

    /// Apply one WebSocket frame, raw or wrapped.
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
            Err(ApplyError::Malformed(why)) => {
                Err(errors::malformed(py, "MalformedFrame", &why, &bytes))
            }
            Err(ApplyError::SymbolMismatch { expected, received }) => {
                Err(errors::symbol_mismatch(py, &expected, &received))
            }
        }
    }
}

/// `contiguous` or `chained`.
pub fn parse_continuity(word: &str) -> PyResult<Continuity> {
    Continuity::parse(word).ok_or_else(|| {
        PyValueError::new_err(format!(
            "continuity must be 'contiguous' or 'chained', not {word:?}"
        ))
    })
}
