//! Frozen books and updates as messages, and when the interpreter is released for writing one.

use std::sync::Arc;

use depthcache_book::follow::Item;
use depthcache_book::frozen::Frozen;
use depthcache_book::query::Side;
use depthcache_wire::{self as wire, Numbers, Options};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// How a reader writes: text from an exact one, floats from others.
pub fn options(exact: bool, counters: bool) -> Options {
    Options {
        numbers: if exact { Numbers::Text } else { Numbers::Float },
        counters,
    }
}

/// Up to so many levels are written and read with the interpreter held: winning it back from a busy program
/// costs far more.
pub const MOST_HELD_LEVELS: usize = 200;
/// The same as bytes.
pub const MOST_HELD_BYTES: usize = 40 * MOST_HELD_LEVELS;

pub fn written<'py>(
    py: Python<'py>,
    levels: usize,
    write: impl FnOnce(&mut Vec<u8>) + Send,
) -> Bound<'py, PyBytes> {
    let write = || {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let out = match levels <= MOST_HELD_LEVELS {
        true => write(),
        false => py.detach(write),
    };
    PyBytes::new(py, &out)
}

pub fn count(frozen: &Frozen) -> usize {
    frozen.run(Side::Bids).len() + frozen.run(Side::Asks).len()
}

/// A book as a message.
pub fn book<'py>(py: Python<'py>, frozen: &Arc<Frozen>, options: Options) -> Bound<'py, PyBytes> {
    written(py, count(frozen), |out| wire::book(out, frozen, &options))
}

/// An update as a message.
pub fn update<'py>(py: Python<'py>, item: &Item, options: Options) -> Bound<'py, PyBytes> {
    written(py, count(&item.book), |out| {
        wire::update(out, item, &options)
    })
}

/// A message as Python's `json` reads it.
pub fn parsed<'py>(message: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    message
        .py()
        .import("json")?
        .getattr("loads")?
        .call1((message,))
}
