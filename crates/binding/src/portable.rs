//! Values that pickle: what `__reduce__` returns, and the functions that make the values again.
//!
//! The functions have names of this module, so that pickle finds them in any process. Not here: the bytes
//! (`depthcache_book::frozen::portable`, `depthcache_arrow::portable`).

use std::sync::Arc;

use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::frozen::portable::runs_from_bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::errors;
use crate::follow::Update;
use crate::frozen::FrozenBook;

/// A callable and its arguments.
pub type Reduced<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

/// A function of this module, and what it is to be called with.
pub fn reduced<'py, const N: usize>(
    py: Python<'py>,
    function: &str,
    arguments: [Bound<'py, PyAny>; N],
) -> PyResult<Reduced<'py>> {
    let function = py.import("depthcache._native")?.getattr(function)?;
    Ok((function, PyTuple::new(py, arguments)?))
}

fn frozen(py: Python<'_>, state: &Bound<'_, PyBytes>) -> PyResult<Arc<Frozen>> {
    let bytes = state.as_bytes();
    let frozen = py.detach(|| Frozen::from_bytes(bytes));
    Ok(Arc::new(
        frozen.map_err(|why| errors::bad_state(state, why.0))?,
    ))
}

/// The frozen book that `FrozenBook.__reduce__` tells of.
#[pyfunction]
pub fn _restored_book(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    exact: bool,
) -> PyResult<Py<FrozenBook>> {
    FrozenBook::create(py, frozen(py, state)?, exact)
}

/// The update that `Update.__reduce__` tells of.
#[pyfunction]
pub fn _restored_update(
    py: Python<'_>,
    state: &Bound<'_, PyBytes>,
    exact: bool,
    skipped: u64,
    is_fresh: bool,
    changes: Option<&Bound<'_, PyBytes>>,
) -> PyResult<Py<Update>> {
    let changes = match changes {
        None => None,
        Some(state) => Some(Arc::new(
            runs_from_bytes(state.as_bytes()).map_err(|why| errors::bad_state(state, why.0))?,
        )),
    };
    let item = Item {
        book: frozen(py, state)?,
        skipped,
        is_fresh,
        changes,
    };
    Update::create(py, Arc::new(item), exact)
}
