//! The Python API of `depthcache-book` and `depthcache-transport`: names arguments, maps errors, nothing else.

mod analytics;
mod arguments;
mod columns;
mod errors;
mod events;
mod follow;
mod fork;
mod frozen;
mod handles;
mod input;
mod kept;
mod levels;
mod messages;
mod offline;
mod pictures;
mod portable;
mod raw;
mod reader;
mod router;
mod server;
mod shelf;
mod side;
mod source;
mod transport;
mod values;
mod wire;

use pyo3::prelude::*;

/// Bytes in, correct books out; and the sockets from which the bytes come.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::columns::{_columns_alive, _restored_columns, Columns};
    #[pymodule_export]
    use crate::follow::{_restored_update, Follower, Update};
    #[pymodule_export]
    use crate::frozen::{_restored_book, FrozenBook};
    #[pymodule_export]
    use crate::handles::{BookReader, Router};
    #[pymodule_export]
    use crate::levels::_restored_levels;
    #[pymodule_export]
    use crate::offline::Book;
    #[pymodule_export]
    use crate::router::FlightLog;
    #[pymodule_export]
    use crate::server::{_make_certificate, _server_routes, BookServer};
    #[pymodule_export]
    use crate::side::Side;
    #[pymodule_export]
    use crate::transport::{_Probe, _pretend, Transport, now_ns};

    #[pymodule_export]
    use crate::fork::_on_fork;

    #[pymodule_export]
    use crate::wire::{
        _decoded, _depth_snapshot, _encoded_best, _encoded_status, _level_lines, _texts_snapshot,
    };

    /// The words for forks; and the clock begins where `time.monotonic_ns` is.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("_FORKED", crate::fork::FORKED)?;
        let read = module.py().import("time")?.getattr("monotonic_ns")?;
        depthcache_transport::clock::align(|| read.call0()?.extract())
    }

    /// An empty call, as a baseline for benchmarks.
    #[pyfunction]
    fn _nothing() {}
}
