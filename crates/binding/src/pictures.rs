//! What notebooks show of a book and what `plot` draws: Python code, loaded when it is first asked for.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The HTML that a function of `depthcache.pictures.html` makes.
pub fn html<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("depthcache.pictures.html")?
        .getattr(function)?
        .call1(arguments)
}

/// The depth chart of a book, with the arguments that `depthcache.pictures.plot` checks.
pub fn depth_chart<'py>(
    book: &Bound<'py, PyAny>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    book.py()
        .import("depthcache.pictures.plot")?
        .getattr("depth_chart")?
        .call((book,), Some(options))
}
