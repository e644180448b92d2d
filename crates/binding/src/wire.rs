//! The functions of `depthcache.wire`. Not here: what is written (`depthcache_wire`).

use std::sync::Arc;

use depthcache_book::codec::json;
use depthcache_book::frozen::parts::Head;
use depthcache_book::query::{Number, NumberLevel, Side};
use depthcache_wire::{self as wire, Decoded, DepthSnapshot, Family};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors;
use crate::follow::Update;
use crate::frozen::FrozenBook;
use crate::handles::BookReader;
use crate::input;
use crate::messages::{MOST_HELD_BYTES, count, options, written};
use crate::values::classes;

/// The best prices of a book as a message, in text.
#[pyfunction]
pub fn _encoded_best<'py>(py: Python<'py>, book: &BookReader) -> PyResult<Bound<'py, PyBytes>> {
    let options = options(true, false);
    let out = book.source.read(py, book.policy, |book| {
        let mut out = Vec::new();
        wire::best(&mut out, book, Some(book.best()), &options);
        out
    })?;
    Ok(PyBytes::new(py, &out))
}

/// The status of a book as a message.
#[pyfunction]
pub fn _encoded_status<'py>(py: Python<'py>, book: &BookReader) -> Bound<'py, PyBytes> {
    let out = book.source.look(py, |book| {
        let mut out = Vec::new();
        wire::status(&mut out, book);
        out
    });
    PyBytes::new(py, &out)
}

/// All of a depth snapshot but its levels: family, symbol, update id, event and transaction time.
type SnapshotHead = (String, String, i64, i64, i64);

/// A frozen book as the exchange shows it.
#[pyfunction]
pub fn _depth_snapshot<'py>(
    py: Python<'py>,
    book: &FrozenBook,
    head: SnapshotHead,
) -> PyResult<Bound<'py, PyBytes>> {
    let frozen = book.frozen();
    let head = snapshot_head(&head)?;
    Ok(written(py, count(frozen), |out| {
        let (bids, asks) = (frozen.run(Side::Bids), frozen.run(Side::Asks));
        wire::depth_snapshot(out, &head, bids.iter(), asks.iter());
    }))
}

/// Price and quantity of each level as text.
type Texts = Vec<[String; 2]>;

/// The same of levels that are no book's, each number at the width that it has.
#[pyfunction]
pub fn _texts_snapshot<'py>(
    py: Python<'py>,
    bids: Texts,
    asks: Texts,
    head: SnapshotHead,
) -> PyResult<Bound<'py, PyBytes>> {
    let head = snapshot_head(&head)?;
    let (bids, asks) = (levels(&bids)?, levels(&asks)?);
    Ok(written(py, bids.len() + asks.len(), |out| {
        wire::depth_snapshot(out, &head, bids.into_iter(), asks.into_iter());
    }))
}

fn snapshot_head(head: &SnapshotHead) -> PyResult<DepthSnapshot<'_>> {
    let (family, symbol, update_id, event_time_ms, transaction_time_ms) = head;
    Ok(DepthSnapshot {
        family: Family::parse(family)
            .ok_or_else(|| PyValueError::new_err(format!("unknown family {family:?}")))?,
        symbol,
        update_id: *update_id,
        event_time_ms: *event_time_ms,
        transaction_time_ms: *transaction_time_ms,
    })
}

fn levels(texts: &Texts) -> PyResult<Vec<NumberLevel>> {
    let number = |text: &str| {
        let found = json::decimal(text.as_bytes()).map_err(|why| {
            PyValueError::new_err(format!("{text:?} is not a price or quantity: {why}"))
        })?;
        Ok::<_, PyErr>(Number {
            mantissa: found.mantissa,
            scale: found.scale,
        })
    };
    let level = |[price, quantity]: &[String; 2]| {
        Ok(NumberLevel {
            price: number(price)?,
            quantity: number(quantity)?,
        })
    };
    texts.iter().map(level).collect()
}

/// A frozen book as lines of text.
#[pyfunction]
pub fn _level_lines<'py>(py: Python<'py>, book: &FrozenBook) -> Bound<'py, PyBytes> {
    let frozen = book.frozen();
    written(py, count(frozen), |out| {
        wire::level_lines(out, frozen.run(Side::Bids), frozen.run(Side::Asks))
    })
}

/// What a message was: a frozen book, an update, or the facts of a head and, where it has them, the best
/// prices.
#[pyfunction]
pub fn _decoded<'py>(py: Python<'py>, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let bytes = input::bytes(message, "message")?;
    let decoded = match bytes.len() <= MOST_HELD_BYTES {
        true => wire::decode(&bytes),
        false => py.detach(|| wire::decode(&bytes)),
    };
    match decoded.map_err(|why| errors::bad_message(py, &why, &bytes))? {
        Decoded::Book(frozen) => Ok(FrozenBook::create(py, Arc::new(frozen), false)?
            .into_bound(py)
            .into_any()),
        Decoded::Update(item) => Ok(Update::create(py, item, false)?.into_bound(py).into_any()),
        Decoded::Status(head) => Ok(facts(py, &head)?.into_any()),
        Decoded::Best(head, pair) => {
            let facts = facts(py, &head)?;
            let best = match pair {
                Some(pair) => classes(py)?.best(py, pair, true, None)?,
                None => py.None().into_bound(py),
            };
            facts.set_item("best", best)?;
            Ok(facts.into_any())
        }
    }
}

fn facts<'py>(py: Python<'py>, head: &Head) -> PyResult<Bound<'py, PyDict>> {
    let offset_ns = head.wall_offset_ns;
    let since_1970_us =
        |at_ns: Option<i64>| Some(at_ns?.saturating_add(offset_ns?).div_euclid(1_000));
    let facts = PyDict::new(py);
    facts.set_item("exchange", &head.exchange)?;
    facts.set_item("symbol", head.symbol.as_deref().unwrap_or_default())?;
    facts.set_item("inverse", head.inverse)?;
    facts.set_item("status", classes(py)?.status(py, head.status)?)?;
    facts.set_item("reason", &head.reason)?;
    facts.set_item("since_ns", head.since_ns)?;
    facts.set_item("since_time_us", since_1970_us(Some(head.since_ns)))?;
    facts.set_item("unconfirmed", head.unconfirmed)?;
    facts.set_item("last_update_id", head.last_update_id)?;
    facts.set_item("event_time_us", head.event_time_us)?;
    facts.set_item("updated_ns", head.updated_ns)?;
    facts.set_item("received_time_us", since_1970_us(head.updated_ns))?;
    facts.set_item("confirmed_ns", head.confirmed_ns)?;
    facts.set_item("confirmed_time_us", since_1970_us(head.confirmed_ns))?;
    Ok(facts)
}
