//! Values that pickle: what `__reduce__` returns.
//!
//! The functions that make the values again (`_restored_…`, beside their classes) are exported by the module, so
//! that pickle finds them in any process. Not here: the bytes (`depthcache_book::frozen::portable`,
//! `depthcache_arrow::portable`).

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A callable and its arguments.
pub type Reduced<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

/// A function of the native module, and what it is to be called with.
pub fn reduced<'py, const N: usize>(
    py: Python<'py>,
    function: &str,
    arguments: [Bound<'py, PyAny>; N],
) -> PyResult<Reduced<'py>> {
    let function = py.import("depthcache._native")?.getattr(function)?;
    Ok((function, PyTuple::new(py, arguments)?))
}
