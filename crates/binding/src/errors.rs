//! The errors of `depthcache.errors`, built with their facts; the texts are made there.

use depthcache_book::codec::json::Malformed;
use depthcache_book::query::Side;
use depthcache_book::router::RouterError;
use depthcache_book::status::{NotReadable, Refusal, Status, TooOld};
use depthcache_wire::{BadMessage, SCHEMA};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

/// How much of a malformed message goes into its error.
const EXCERPT_BYTES: usize = 120;

/// `depthcache.errors.<class>(**facts)`, or the error raised while it was made.
fn error(py: Python<'_>, class: &str, facts: PyResult<Bound<'_, PyDict>>) -> PyErr {
    let made = facts.and_then(|facts| {
        py.import("depthcache.errors")?
            .getattr(class)?
            .call((), Some(&facts))
    });
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Why a read was refused: `BookNotSynced`, `BookClosed` or `BookTooOld`.
pub fn refused(py: Python<'_>, exchange: &str, symbol: &str, why: &Refusal, of: Refusing) -> PyErr {
    match why {
        Refusal::NotReadable(why) => not_readable(py, exchange, symbol, why, of),
        Refusal::TooOld(why) => too_old(py, exchange, symbol, *why),
    }
}

/// `BookTooOld`.
fn too_old(py: Python<'_>, exchange: &str, symbol: &str, why: TooOld) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("exchange", exchange)?;
        facts.set_item("symbol", symbol)?;
        facts.set_item("age_s", why.age_ns as f64 / 1e9)?;
        facts.set_item("max_age_s", why.max_age_ns as f64 / 1e9)?;
        Ok(facts)
    };
    error(py, "BookTooOld", facts())
}

/// `BookEmpty`.
pub fn empty(py: Python<'_>, exchange: &str, symbol: &str, side: Side) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("exchange", exchange)?;
        facts.set_item("symbol", symbol)?;
        let side = match side {
            Side::Bids => "bids",
            Side::Asks => "asks",
        };
        facts.set_item("side", side)?;
        Ok(facts)
    };
    error(py, "BookEmpty", facts())
}

/// What refuses a read, which decides what helps.
#[derive(Clone, Copy)]
pub struct Refusing {
    /// `live`, `offline` or `frozen`.
    pub kind: &'static str,
    /// Whether its last known levels can be read.
    pub is_known: bool,
}

/// `BookNotSynced`, or `BookClosed` when the book will not come back.
fn not_readable(
    py: Python<'_>,
    exchange: &str,
    symbol: &str,
    why: &NotReadable,
    of: Refusing,
) -> PyErr {
    let closed = why.status == Status::Closed;
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("exchange", exchange)?;
        facts.set_item("symbol", symbol)?;
        facts.set_item("reason", &why.reason)?;
        if !closed {
            facts.set_item("status", why.status.as_str())?;
            facts.set_item("since_ns", why.since_ns)?;
            facts.set_item("kind", of.kind)?;
            facts.set_item("is_known", of.is_known)?;
        }
        Ok(facts)
    };
    error(
        py,
        if closed {
            "BookClosed"
        } else {
            "BookNotSynced"
        },
        facts(),
    )
}

/// `MalformedFrame` or `MalformedSnapshot`, named by `class`.
pub fn malformed(py: Python<'_>, class: &str, why: &Malformed, bytes: &[u8]) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("what", why.what)?;
        facts.set_item("position", why.position)?;
        facts.set_item(
            "excerpt",
            PyBytes::new(py, &bytes[..bytes.len().min(EXCERPT_BYTES)]),
        )?;
        Ok(facts)
    };
    let error = error(py, class, facts());
    if let Some(stream) = &why.stream {
        // The class has the attribute; setting it cannot fail in a way worth another error.
        let _ = error.value(py).setattr("stream", stream);
    }
    error
}

/// `InvalidArgument`.
pub fn invalid(name: &str, value: &Bound<'_, PyAny>, allowed: &str) -> PyErr {
    invalid_as(name, value, allowed, None)
}

/// `InvalidArgument` with a `text` of its own: an argument is missing, or two exclude each other.
pub fn invalid_as(
    name: &str,
    value: &Bound<'_, PyAny>,
    allowed: &str,
    text: Option<&str>,
) -> PyErr {
    let py = value.py();
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("name", name)?;
        facts.set_item("value", value)?;
        facts.set_item("allowed", allowed)?;
        facts.set_item("text", text)?;
        Ok(facts)
    };
    error(py, "InvalidArgument", facts())
}

/// `UnreadableMessage`, or `UnsupportedSchema` of another version.
pub fn bad_message(py: Python<'_>, why: &BadMessage, bytes: &[u8]) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        let excerpt = PyBytes::new(py, &bytes[..bytes.len().min(EXCERPT_BYTES)]);
        facts.set_item("excerpt", excerpt)?;
        match why {
            BadMessage::Schema(schema) => {
                facts.set_item("received", schema)?;
                facts.set_item("supported", SCHEMA)?;
            }
            BadMessage::Malformed(what) => facts.set_item("what", what)?,
        }
        Ok(facts)
    };
    let class = match why {
        BadMessage::Schema(_) => "UnsupportedSchema",
        BadMessage::Malformed(_) => "UnreadableMessage",
    };
    error(py, class, facts())
}

/// `InvalidArgument` for bytes that are no pickled value of this package.
pub fn bad_state(state: &Bound<'_, PyBytes>, why: &str) -> PyErr {
    let allowed = format!("a pickled state of depthcache ({why})");
    let start = state.as_bytes();
    let shown = PyBytes::new(state.py(), &start[..start.len().min(EXCERPT_BYTES)]);
    invalid("state", shown.as_any(), &allowed)
}

/// The `TypeError` of what belongs to the process that made it.
pub fn not_portable(what: &str, instead: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{what} belongs to the process that made it and cannot be pickled or copied: {instead}"
    ))
}

/// `BooksNotSynced`; `BookTooOld` where they are only too old, `BookClosed` where none of them will come back.
pub fn not_all_readable(
    py: Python<'_>,
    missing: &[Bound<'_, PyAny>],
    asked: usize,
    first: (&str, &str, &Refusal),
) -> PyErr {
    let (exchange, symbol, why) = first;
    let why = match why {
        Refusal::NotReadable(why) if why.status != Status::Closed => why,
        other => {
            let of = Refusing {
                kind: "live",
                is_known: false,
            };
            return refused(py, exchange, symbol, other, of);
        }
    };
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("books", PyTuple::new(py, missing)?)?;
        facts.set_item("asked", asked)?;
        facts.set_item("exchange", exchange)?;
        facts.set_item("symbol", symbol)?;
        facts.set_item("status", why.status.as_str())?;
        facts.set_item("reason", &why.reason)?;
        facts.set_item("since_ns", why.since_ns)?;
        Ok(facts)
    };
    error(py, "BooksNotSynced", facts())
}

/// `SymbolMismatch`.
pub fn symbol_mismatch(py: Python<'_>, expected: &str, received: &str) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("expected", expected)?;
        facts.set_item("received", received)?;
        Ok(facts)
    };
    error(py, "SymbolMismatch", facts())
}

/// `NumberTooWide`.
pub fn too_wide(py: Python<'_>, symbol: &str, scale: u8) -> PyErr {
    let facts = || {
        let facts = PyDict::new(py);
        facts.set_item("symbol", symbol)?;
        facts.set_item("scale", scale)?;
        Ok(facts)
    };
    error(py, "NumberTooWide", facts())
}

/// What a router refuses: `KeyError`, `ValueError` or `MalformedSnapshot`.
pub fn router(py: Python<'_>, why: &RouterError, body: &[u8]) -> PyErr {
    match why {
        RouterError::UnknownMarket(market) => {
            PyKeyError::new_err(format!("unknown market {market}"))
        }
        RouterError::UnknownConnection(connection) => {
            PyKeyError::new_err(format!("no open connection {connection}"))
        }
        RouterError::UsedMarket(market) => {
            PyValueError::new_err(format!("market number {market} was already used"))
        }
        RouterError::UsedConnection(connection) => {
            PyValueError::new_err(format!("connection number {connection} was already used"))
        }
        RouterError::MalformedSnapshot(why) => malformed(py, "MalformedSnapshot", why, body),
        RouterError::SymbolMismatch { expected, received } => {
            symbol_mismatch(py, expected, received)
        }
    }
}
