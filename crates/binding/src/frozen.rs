//! `FrozenBook`: a constant copy of a book, which pickles.

use std::sync::Arc;

use depthcache_book::frozen::Frozen;
use depthcache_book::query::ReadPolicy;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyTuple};

use crate::errors;
use crate::handles::BookReader;
use crate::messages;
use crate::portable;
use crate::source::Source;

/// A constant copy of a book, with the same read methods; safe to use from any thread.
///
/// It can be pickled without losing digits. Two frozen books are equal if state, numbers and exactness are
/// equal.
#[pyclass(frozen, subclass, extends = BookReader, module = "depthcache")]
pub struct FrozenBook {
    frozen: Arc<Frozen>,
}

impl FrozenBook {
    pub fn frozen(&self) -> &Arc<Frozen> {
        &self.frozen
    }

    pub fn create(py: Python<'_>, frozen: Arc<Frozen>, exact: bool) -> PyResult<Py<Self>> {
        Py::new(py, Self::parts(frozen, exact))
    }

    /// The same, for subclasses.
    pub fn parts(frozen: Arc<Frozen>, exact: bool) -> PyClassInitializer<Self> {
        let policy = ReadPolicy {
            serve_stale: true,
            max_age_ns: None,
        };
        let reader = BookReader::of(Source::Frozen(frozen.clone()), policy, exact);
        PyClassInitializer::from(reader).add_subclass(Self { frozen })
    }
}

#[pymethods]
impl FrozenBook {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        Err(PyTypeError::new_err(
            "use book.freeze() to create a frozen book",
        ))
    }

    /// Whether all levels requested from `freeze` are proven on both sides.
    #[getter]
    fn complete(&self) -> bool {
        self.frozen.complete()
    }

    /// The same book with `Decimal` numbers, with the digits that the exchange sends.
    #[getter]
    fn exact<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let make = || Self::create(py, slf.get().frozen.clone(), true);
        slf.as_super().get().kept.exact(py, make)
    }

    /// Encode the same as compact JSON in UTF-8. `counters`: as for `to_dict`.
    #[pyo3(signature = (*, counters = false))]
    fn to_json<'py>(slf: &Bound<'py, Self>, counters: bool) -> Bound<'py, PyBytes> {
        let options = messages::options(slf.as_super().get().exact, counters);
        messages::book(slf.py(), &slf.get().frozen, options)
    }

    /// Convert to plain dicts, lists, numbers and text: the message that `to_json` encodes.
    ///
    /// Levels are `[price, quantity]`: floats, or text with all digits for an exact book. Keys and units are
    /// described in `depthcache.wire`. `counters`: whether to include the counters.
    #[pyo3(signature = (*, counters = false))]
    fn to_dict<'py>(slf: &Bound<'py, Self>, counters: bool) -> PyResult<Bound<'py, PyAny>> {
        messages::parsed(&Self::to_json(slf, counters))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<portable::Reduced<'py>> {
        let (py, exact) = (slf.py(), slf.as_super().get().exact);
        let state = py.detach({
            let frozen = slf.get().frozen.clone();
            move || frozen.to_bytes()
        });
        let exact = PyBool::new(py, exact).to_owned().into_any();
        let state = PyBytes::new(py, &state).into_any();
        portable::reduced(py, "_restored_book", [state, exact])
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        let _ = memo;
        slf
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
        let Ok(other) = other.cast::<FrozenBook>() else {
            return Ok(None);
        };
        let same_kind = slf.get_type().is(other.get_type());
        let exact = |book: &Bound<'_, Self>| book.as_super().get().exact;
        let (one, two) = (&slf.get().frozen, &other.get().frozen);
        let same = Arc::ptr_eq(one, two) || one == two;
        Ok(Some(same_kind && same && exact(slf) == exact(other)))
    }

    fn __hash__(&self) -> u64 {
        self.frozen.hash_code()
    }
}

/// The frozen book that `FrozenBook.__reduce__` describes.
#[pyfunction]
pub fn _restored_book(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    exact: bool,
) -> PyResult<Py<FrozenBook>> {
    FrozenBook::create(py, restored(py, state)?, exact)
}

/// The book that was written as these bytes.
pub fn restored(py: Python<'_>, state: &Bound<'_, PyBytes>) -> PyResult<Arc<Frozen>> {
    let bytes = state.as_bytes();
    let frozen = py.detach(|| Frozen::from_bytes(bytes));
    Ok(Arc::new(
        frozen.map_err(|why| errors::bad_state(state, why.0))?,
    ))
}
