//! `Follower` and `Update`: books followed by a consumer that may be slow.

use std::sync::Arc;
use std::time::Duration;

use depthcache_book::follow::{FollowSpec, Item, Mode, OnStale};
use depthcache_book::frozen::portable::{runs_from_bytes, runs_to_bytes};
use depthcache_book::query::LevelRun;
use depthcache_book::router::{Busy, Follower as Inner, Router as Books};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyTuple};

use crate::errors;
use crate::fork::OwnerProcess;
use crate::frozen::{self, FrozenBook};
use crate::handles::Router;
use crate::messages;
use crate::portable;
use crate::values::classes;

/// So long a wait may keep Ctrl-C from being noticed.
const SLICE: Duration = Duration::from_millis(100);

/// One consumer's view of some markets of a router; created by `Router.follow`.
///
/// Dropping it removes it from its markets. Only one thread at a time may take items. In a forked child it is
/// empty.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Follower {
    /// Always there but while it is dropped.
    inner: Option<Inner>,
    owner: OwnerProcess,
}

impl Follower {
    pub fn new(inner: Inner, books: Arc<Books>) -> Follower {
        Follower {
            inner: Some(inner),
            owner: OwnerProcess::current(books, String::new(), String::new()),
        }
    }

    /// The follower; None in a forked child, where the locks of its markets are never released.
    fn here(&self) -> Option<&Inner> {
        self.inner.as_ref().filter(|_| self.owner.is_current())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if !self.owner.is_current() {
            std::mem::forget(self.inner.take());
        }
    }
}

#[pymethods]
impl Follower {
    #[getter]
    fn number(&self) -> u64 {
        self.inner.as_ref().map_or(0, Inner::number)
    }

    /// Follow one more market; its current state is not announced. Raises KeyError.
    fn add(&self, py: Python<'_>, router: &Router, market: u64) -> PyResult<()> {
        let cell = router.cell(py, market)?;
        if let Some(inner) = self.here() {
            py.detach(|| inner.add(market, cell));
        }
        Ok(())
    }

    /// Stop following a market; items that are waiting are still delivered.
    fn remove(&self, py: Python<'_>, market: u64) {
        if let Some(inner) = self.here() {
            py.detach(|| inner.remove(market));
        }
    }

    /// Return the next item; None if there is none.
    fn take(&self, py: Python<'_>, now_ns: i64) -> PyResult<Option<Py<Update>>> {
        let Some(inner) = self.here() else {
            return Ok(None);
        };
        self.owner.look();
        // The interpreter is released only to wait, or to copy books that may be large.
        let item = match inner.takes_whole_books() {
            false => inner.try_take(now_ns),
            true => Err(Busy),
        };
        let item = item.unwrap_or_else(|Busy| py.detach(|| inner.take(now_ns)));
        item.map(|item| Update::create(py, item, false)).transpose()
    }

    /// Wait for items without holding the interpreter lock. Ctrl-C interrupts it within 0.1 s.
    fn wait(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        let mut left = Duration::try_from_secs_f64(timeout_s.max(0.0)).unwrap_or(Duration::MAX);
        while let Some(inner) = self.here() {
            let slice = left.min(SLICE);
            left -= slice;
            let signalled = py.detach(|| inner.wait(slice));
            py.check_signals()?;
            if signalled || left.is_zero() {
                break;
            }
        }
        Ok(())
    }

    /// When to call `take` again if nothing else happens; None for never.
    #[getter]
    fn due_ns(&self) -> Option<i64> {
        self.here().and_then(Inner::due_ns)
    }

    /// Accept no further items; those that are waiting are still delivered.
    fn finish(&self) {
        if let Some(inner) = self.here() {
            inner.finish();
        }
    }

    /// Stop following all markets and drop waiting items.
    fn close(&self, py: Python<'_>) {
        if let Some(inner) = self.here() {
            py.detach(|| inner.close());
        }
    }

    /// Whether all items were taken and none will follow.
    #[getter]
    fn is_over(&self) -> bool {
        self.here().is_none_or(Inner::is_over)
    }

    fn __reduce__<'py>(&self) -> PyResult<portable::Reduced<'py>> {
        let instead = "pickle its updates instead";
        Err(errors::not_portable("a follower", instead))
    }

    /// The number of markets followed; a market whose last item was taken no longer counts.
    #[getter]
    fn markets(&self) -> usize {
        self.here().map_or(0, Inner::markets)
    }

    /// The number of items waiting for the consumer (mode `every`).
    #[getter]
    fn held_items(&self) -> usize {
        self.here().map_or(0, |inner| inner.held().0)
    }

    /// The approximate size of these items, in bytes.
    #[getter]
    fn held_bytes(&self) -> usize {
        self.here().map_or(0, |inner| inner.held().1)
    }
}

/// What `Router.follow` was asked for, as the native side takes it.
#[allow(clippy::too_many_arguments)]
pub fn follow_spec(
    mode: &str,
    levels: Option<usize>,
    interval_ns: i64,
    start_ns: i64,
    on_stale: &str,
    most_items: usize,
    most_bytes: usize,
    announces: bool,
) -> PyResult<FollowSpec> {
    let mode = Mode::parse(mode)
        .ok_or_else(|| PyValueError::new_err(format!("unknown follow mode {mode:?}")))?;
    let on_stale = OnStale::parse(on_stale).ok_or_else(|| {
        PyValueError::new_err(format!(
            "on_stale must be 'raise', 'serve' or 'wait', not {on_stale:?}"
        ))
    })?;
    if mode == Mode::Interval && interval_ns <= 0 {
        return Err(PyValueError::new_err("interval_ns must be above 0"));
    }
    Ok(FollowSpec {
        mode,
        levels: levels.unwrap_or(usize::MAX),
        interval_ns,
        start_ns,
        on_stale,
        most_items,
        most_bytes,
        wants_unchanged: false,
        announces,
    })
}

/// One item of a followed book: a frozen book, and its relation to the previous item.
///
/// If `status` is not `synced`, the item reports a loss of sync, or the end of the book: reads of its levels
/// raise BookNotSynced (BookClosed for the last item), or return the last known levels with
/// `on_stale="serve"`. Every update of a book is either delivered by one item that is not fresh, or counted
/// in `skipped` of a later item.
#[pyclass(frozen, extends = FrozenBook, module = "depthcache")]
pub struct Update {
    item: Item,
    exact: bool,
}

impl Update {
    pub fn create(py: Python<'_>, item: Item, exact: bool) -> PyResult<Py<Self>> {
        let base = FrozenBook::parts(item.book.clone(), exact);
        Py::new(py, base.add_subclass(Self { item, exact }))
    }
}

#[pymethods]
impl Update {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyClassInitializer<Self>> {
        Err(PyTypeError::new_err("updates come from following a book"))
    }

    /// The number of updates since the previous item that were not delivered.
    #[getter]
    fn skipped(&self) -> u64 {
        self.item.skipped
    }

    /// Whether to start over from this book, because `changes` do not continue the previous item.
    ///
    /// True for the first item, after a loss of sync, after a snapshot that changed held levels, and after
    /// updates were lost because the consumer was too slow (mode `every`).
    #[getter]
    fn is_fresh(&self) -> bool {
        self.item.is_fresh
    }

    /// The levels that this update changed, in mode `every`.
    ///
    /// None if the item is fresh or reports a loss of sync, and in all other modes.
    #[getter]
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(changes) = &self.item.changes else {
            return Ok(None);
        };
        let classes = classes(py)?;
        let list = |run: &LevelRun| classes.list(py, run, self.exact);
        classes
            .changes(py, list(&changes.0)?, list(&changes.1)?)
            .map(Some)
    }

    /// The same item with `Decimal` numbers, including its changes.
    #[getter]
    fn exact(&self, py: Python<'_>) -> PyResult<Py<Self>> {
        Self::create(py, self.item.clone(), true)
    }

    /// Encode the same as compact JSON in UTF-8. `counters`: as for `to_dict`.
    #[pyo3(signature = (*, counters = false))]
    fn to_json<'py>(&self, py: Python<'py>, counters: bool) -> Bound<'py, PyBytes> {
        messages::update(py, &self.item, messages::options(self.exact, counters))
    }

    /// Convert to plain dicts, lists, numbers and text: the message that `to_json` encodes.
    ///
    /// It holds the book, `skipped`, `is_fresh` and `changes`; `bids` and `asks` are None if the levels
    /// cannot be read. `counters`: as for `FrozenBook.to_dict`.
    #[pyo3(signature = (*, counters = false))]
    fn to_dict<'py>(&self, py: Python<'py>, counters: bool) -> PyResult<Bound<'py, PyAny>> {
        messages::parsed(&self.to_json(py, counters))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<portable::Reduced<'py>> {
        let item = self.item.clone();
        let (book, changes) = py.detach(move || {
            let changes = item.changes.as_ref().map(|runs| runs_to_bytes(runs));
            (item.book.to_bytes(), changes)
        });
        let flag = |flag| PyBool::new(py, flag).to_owned().into_any();
        let arguments = [
            PyBytes::new(py, &book).into_any(),
            flag(self.exact),
            self.item.skipped.into_pyobject(py)?.into_any(),
            flag(self.item.is_fresh),
            changes
                .map(|changes| PyBytes::new(py, &changes))
                .into_pyobject(py)?,
        ];
        portable::reduced(py, "_restored_update", arguments)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> Option<bool> {
        let other = other.cast::<Update>().ok()?.get();
        let facts = |update: &Update| (update.exact, update.item.skipped, update.item.is_fresh);
        let changes = match (&self.item.changes, &other.item.changes) {
            (Some(one), Some(two)) => one.0.is_same(&two.0) && one.1.is_same(&two.1),
            (one, two) => one.is_none() && two.is_none(),
        };
        Some(facts(self) == facts(other) && changes && self.item.book == other.item.book)
    }

    fn __hash__(&self) -> u64 {
        self.item.book.hash_code()
    }
}

/// The update that `Update.__reduce__` describes.
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
        book: frozen::restored(py, state)?,
        skipped,
        is_fresh,
        changes,
    };
    Update::create(py, item, exact)
}
