//! The Python face of `depthcache-book`: names arguments, maps errors, nothing else.

use pyo3::prelude::*;

#[pymodule]
mod _native {}
