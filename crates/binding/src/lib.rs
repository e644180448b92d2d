//! The Python face of `depthcache-book`: names arguments, maps errors, nothing else.

mod errors;
mod events;
mod input;
mod raw;
mod reader;
mod router;
mod side;
mod source;
mod values;

use pyo3::prelude::*;

/// Bytes in, correct books out; no I/O and no clock.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::events::{ControlMessage, MarketChange, StrayFrame};
    #[pymodule_export]
    use crate::reader::{Book, BookReader, FrozenBook};
    #[pymodule_export]
    use crate::router::Router;
    #[pymodule_export]
    use crate::side::Side;

    /// An empty call: the yardstick of benchmarks.
    #[pyfunction]
    fn _nothing() {}
}
