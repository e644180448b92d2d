//! What `Router.take_events` gives: plain values that never change once made.
//!
//! Not here: what causes an event (the book crate) and what follows from it (the core).

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyTuple};

/// A class of read-only fields: made by keyword, compared, hashed and shown by its fields.
macro_rules! event {
    ($(#[$docs:meta])+ $class:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$docs])+
        #[pyclass(frozen, get_all, module = "depthcache._native")]
        pub struct $class {
            $(pub $field: $type),+
        }

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*, $($field),+))]
            fn new($($field: $type),+) -> Self {
                Self { $($field),+ }
            }

            #[classattr]
            #[pyo3(name = "__match_args__")]
            fn match_args(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, [$(stringify!($field)),+])
            }

            fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                match other.cast::<Self>() {
                    Ok(other) => self.fields(py)?.eq(other.get().fields(py)?),
                    Err(_) => Ok(false),
                }
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                self.fields(py)?.hash()
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let mut shown = Vec::new();
                for (name, field) in [$(stringify!($field)),+].iter().zip(self.fields(py)?.iter()) {
                    shown.push(format!("{name}={}", field.repr()?));
                }
                Ok(format!("{}({})", stringify!($class), shown.join(", ")))
            }
        }

        impl $class {
            fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
                ($(&self.$field,)+).into_pyobject(py)
            }
        }
    };
}

event! {
    /// What happened to a market since the last `take_events`, coalesced.
    MarketChange {
        market: u64,
        causes: Py<PyFrozenSet>,
        status: Py<PyAny>,
        reason: Py<PyString>,
        at_ns: i64,
    }
}

event! {
    /// A frame that is not market data: a reply, an error, `serverShutdown`.
    ControlMessage {
        connection: u64,
        payload: Py<PyBytes>,
        at_ns: i64,
    }
}

event! {
    /// A frame that no market takes; strays of one kind are counted together, not kept.
    StrayFrame {
        connection: u64,
        what: Py<PyString>,
        detail: Py<PyString>,
        count: u64,
        at_ns: i64,
    }
}

event! {
    /// A follower has something for its consumer; not told again before it was found empty.
    FollowerReady {
        follower: u64,
    }
}

event! {
    /// The newest frame of a stream that somebody listens to.
    StreamFrame {
        connection: u64,
        stream: Py<PyString>,
        frame: Py<PyBytes>,
        skipped: u64,
        at_ns: i64,
    }
}
