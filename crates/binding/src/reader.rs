//! `BookReader`: the reading surface that all kinds of books share. Not here: `FrozenBook` (`frozen`).

use std::sync::Arc;

use depthcache_book::analytics::best_of;
use depthcache_book::follow::OnStale;
use depthcache_book::query::{ReadPolicy, Reading, Side as Which};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use crate::analytics::{self, Writer};
use crate::arguments;
use crate::columns::{self, Columns};
use crate::errors;
use crate::fork::OwnerProcess;
use crate::frozen::FrozenBook;
use crate::handles::{BookReader, Router};
use crate::portable;
use crate::side::Side;
use crate::source::Source;
use crate::values::{self, classes};

impl BookReader {
    fn writer<'py>(&self, py: Python<'py>) -> Writer<'py> {
        Writer {
            py,
            exact: self.exact,
        }
    }

    fn side(&self, which: Which) -> Side {
        Side {
            source: self.source.clone(),
            policy: self.policy,
            exact: self.exact,
            which,
        }
    }

    fn best_of<'py>(&self, py: Python<'py>, which: Which) -> PyResult<Bound<'py, PyAny>> {
        let request = self.request();
        let level = analytics::of_best(py, &request, move |book| best_of(book, which))?;
        classes(py)?.level(py, level, self.exact)
    }

    /// A time of the book on the system's clock.
    fn at<'py>(
        &self,
        py: Python<'py>,
        time_ns: impl Fn(&dyn Reading) -> Option<i64> + Send + Sync,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let wall_ns = self.source.look(py, |book| {
            Some(time_ns(book)?.saturating_add(book.wall_offset_ns()?))
        });
        match wall_ns {
            Some(ns) => classes(py)?.datetime(py, ns.div_euclid(1_000)),
            None => Ok(None),
        }
    }

    fn made_exact(&self) -> Self {
        Self {
            source: self.source.clone(),
            policy: self.policy,
            exact: true,
        }
    }
}

#[pymethods]
impl BookReader {
    #[new]
    #[pyo3(signature = (router, market, *, serve_stale = false, max_age_s = None))]
    pub fn new(
        py: Python<'_>,
        router: &Router,
        market: u64,
        serve_stale: bool,
        max_age_s: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let max_age_ns = match max_age_s {
            None => None,
            Some(seconds) => arguments::max_age("max_age_s", seconds)?,
        };
        let cell = router.cell(py, market)?;
        let (exchange, symbol) = Source::Offline(cell.clone()).names(py);
        let owner = Arc::new(OwnerProcess::current(router.inner(), exchange, symbol));
        Ok(Self {
            source: Source::Live(cell, owner),
            policy: ReadPolicy {
                serve_stale,
                max_age_ns,
            },
            exact: false,
        })
    }

    #[getter]
    fn exchange(&self, py: Python<'_>) -> String {
        self.source.names(py).0
    }

    #[getter]
    fn symbol(&self, py: Python<'_>) -> String {
        self.source.names(py).1
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        classes(py)?.status(py, self.source.look(py, |book| book.status_info().status))
    }

    #[getter]
    fn reason(&self, py: Python<'_>) -> String {
        self.source
            .look(py, |book| book.status_info().reason.to_owned())
    }

    #[getter]
    fn since_ns(&self, py: Python<'_>) -> i64 {
        self.source.look(py, |book| book.status_info().since_ns)
    }

    #[getter]
    fn unconfirmed(&self, py: Python<'_>) -> bool {
        self.source.look(py, |book| book.unconfirmed())
    }

    #[getter]
    fn last_update_id(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.last_update_id())
    }

    #[getter]
    fn since_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| Some(book.status_info().since_ns))
    }

    #[getter]
    fn event_time_us(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.event_time_us())
    }

    #[getter]
    fn event_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let made_us = self.source.look(py, |book| book.event_time_us());
        match made_us {
            Some(us) => classes(py)?.datetime(py, us),
            None => Ok(None),
        }
    }

    #[getter]
    fn updated_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.updated_ns())
    }

    #[getter]
    fn updated_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.updated_ns())
    }

    #[getter]
    fn confirmed_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.confirmed_ns())
    }

    #[getter]
    fn confirmed_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.confirmed_ns())
    }

    fn _wall_time<'py>(&self, py: Python<'py>, at_ns: i64) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |_| Some(at_ns))
    }

    #[getter]
    fn best<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pair = self.source.read(py, self.policy, |book| book.best())?;
        classes(py)?.best(py, pair, self.exact)
    }

    #[getter]
    fn best_bid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Bids)
    }

    #[getter]
    fn best_ask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Asks)
    }

    #[getter]
    fn bids(&self) -> Side {
        self.side(Which::Bids)
    }

    #[getter]
    fn asks(&self) -> Side {
        self.side(Which::Asks)
    }

    #[getter]
    fn complete_to<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.complete_to(Which::Bids), book.complete_to(Which::Asks))
        });
        classes(py)?.complete_to(py, bids, asks, self.exact)
    }

    #[getter]
    fn coverage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.coverage(Which::Bids), book.coverage(Which::Asks))
        });
        classes(py)?.coverage(py, bids, asks)
    }

    #[getter]
    fn exact(&self) -> Self {
        self.made_exact()
    }

    fn no_older_than(slf: &Bound<'_, Self>, seconds: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let max_age_ns = arguments::max_age("seconds", seconds)?;
        let book = slf.get();
        if !matches!(book.source, Source::Live(..)) {
            return Ok(slf.clone().into_any().unbind());
        }
        let policy = ReadPolicy {
            max_age_ns,
            ..book.policy
        };
        let view = Self {
            source: book.source.clone(),
            policy,
            exact: book.exact,
        };
        Ok(Bound::new(slf.py(), view)?.into_any().unbind())
    }

    /// For annotations such as `BookReader[Decimal]`, which mean nothing when programs run.
    #[classmethod]
    fn __class_getitem__(
        class: &Bound<'_, PyType>,
        numbers: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        values::parametrised(class, numbers)
    }

    /// Both sides of one update id, best `levels` a side (all when None), as a constant.
    #[pyo3(signature = (levels = None, *, on_stale = None, max_age = None))]
    fn freeze(
        &self,
        py: Python<'_>,
        levels: Option<&Bound<'_, PyAny>>,
        on_stale: Option<&str>,
        max_age: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<FrozenBook>> {
        let levels = arguments::levels("levels", levels)?;
        let stop = levels.unwrap_or(usize::MAX);
        let serve_stale = match on_stale.map(|word| (word, OnStale::parse(word))) {
            None => self.policy.serve_stale,
            Some((_, Some(policy))) => policy == OnStale::Serve,
            Some((word, None)) => {
                let allowed = "'raise', 'serve', 'wait' or None";
                let word = PyString::new(py, word).into_any();
                return Err(errors::invalid("on_stale", &word, allowed));
            }
        };
        let given_ns = max_age.map(|age| arguments::max_age("max_age", age));
        let policy = ReadPolicy {
            serve_stale,
            max_age_ns: match &self.source {
                Source::Live(..) => given_ns.transpose()?.unwrap_or(self.policy.max_age_ns),
                Source::Offline(_) | Source::Frozen(_) => given_ns.transpose()?.and(None),
            },
        };
        let check = |book: &dyn Reading| self.source.check(book, policy);
        let frozen = match &self.source {
            Source::Frozen(frozen) => check(&**frozen).map(|()| frozen.freeze(stop)),
            Source::Live(_, owner) if !owner.is_current() => {
                let market = owner.closed();
                check(&market).map(|()| market.freeze(stop))
            }
            Source::Offline(cell) | Source::Live(cell, _) => {
                self.source.look_at_clock();
                let copy = || {
                    let market = cell.lock();
                    check(&*market).map(|()| market.freeze(stop))
                };
                match (levels, cell.try_lock()) {
                    (Some(_), Some(market)) => check(&*market).map(|()| market.freeze(stop)),
                    (_, guard) => {
                        drop(guard);
                        py.detach(copy)
                    }
                }
            }
        };
        let frozen = self.source.or_raise(py, frozen)?;
        FrozenBook::create(py, Arc::new(frozen), self.exact)
    }

    #[pyo3(signature = (levels = None, *, low = None, high = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("levels", levels, low, high)?;
        columns::arrays(py, &self.request(), &selection, false)
    }

    #[pyo3(signature = (levels = None, *, low = None, high = None))]
    fn to_integers<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("levels", levels, low, high)?;
        columns::arrays(py, &self.request(), &selection, true)
    }

    #[pyo3(signature = (levels = None, *, low = None, high = None, exact = false))]
    fn to_arrow(
        &self,
        py: Python<'_>,
        levels: Option<&Bound<'_, PyAny>>,
        low: Option<&Bound<'_, PyAny>>,
        high: Option<&Bound<'_, PyAny>>,
        exact: bool,
    ) -> PyResult<Columns> {
        let selection = columns::selection("levels", levels, low, high)?;
        columns::of_book(py, &self.request(), &selection, exact || self.exact)
    }

    #[pyo3(signature = (levels = None, *, low = None, high = None, exact = false))]
    fn to_pandas<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
        exact: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let columns = self.to_arrow(py, levels, low, high, exact)?;
        columns::converted(&Bound::new(py, columns)?, "to_pandas")
    }

    #[pyo3(signature = (levels = None, *, low = None, high = None, exact = false))]
    fn to_polars<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
        exact: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let columns = self.to_arrow(py, levels, low, high, exact)?;
        columns::converted(&Bound::new(py, columns)?, "to_polars")
    }

    #[getter]
    fn mid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::mid(self.writer(py), &self.request())
    }

    #[getter]
    fn microprice<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::microprice(self.writer(py), &self.request())
    }

    #[getter]
    fn spread<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::spread(self.writer(py), &self.request())
    }

    #[getter]
    fn spread_bps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::spread_bps(self.writer(py), &self.request())
    }

    #[pyo3(signature = (levels = None, *, bps = None))]
    fn imbalance<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        bps: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::imbalance(self.writer(py), &self.request(), levels, bps)
    }

    fn depth_within<'py>(
        &self,
        py: Python<'py>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::depth_within(self.writer(py), &self.request(), bps)
    }

    #[pyo3(signature = (side, *, base = None, quote = None))]
    fn fill<'py>(
        &self,
        py: Python<'py>,
        side: &Bound<'py, PyAny>,
        base: Option<&Bound<'py, PyAny>>,
        quote: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::fill(self.writer(py), &self.request(), side, base, quote)
    }

    fn size_to_move<'py>(
        &self,
        py: Python<'py>,
        side: &Bound<'py, PyAny>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::size_to_move(self.writer(py), &self.request(), side, bps)
    }

    #[pyo3(signature = (size, levels = None))]
    fn grouped<'py>(
        &self,
        py: Python<'py>,
        size: &Bound<'py, PyAny>,
        levels: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::grouped(self.writer(py), &self.request(), size, levels)
    }

    /// Monotonic counts since the book was made.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, value) in self.source.look(py, |book| book.counters()).named() {
            counts.set_item(name, value)?;
        }
        Ok(counts)
    }

    #[getter]
    fn memory_bytes(&self, py: Python<'_>) -> usize {
        self.source.look(py, |book| book.memory_bytes())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<portable::Reduced<'py>> {
        let kind = slf.get_type().name()?;
        let instead = "pickle book.freeze(), a constant copy of the book";
        Err(errors::not_portable(&format!("a {kind}"), instead))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let book = slf.get();
        let facts = book.source.look(slf.py(), describe);
        Ok(format!("<{} {facts}>", slf.get_type().name()?))
    }
}

/// What `repr` tells of a book, readable or not.
fn describe(book: &dyn Reading) -> String {
    let status_info = book.status_info();
    let mut facts = format!(
        "{} on {}: {}",
        book.symbol().unwrap_or("?"),
        book.exchange(),
        status_info.status.as_str()
    );
    if !status_info.reason.is_empty() {
        facts += &format!(" ({})", status_info.reason);
    }
    if let Some(id) = book.last_update_id() {
        let price = |which| match book.levels(which, 0, 1) {
            run if run.is_empty() => "none".to_owned(),
            run => run.get(0).price.to_string(),
        };
        facts += &format!(
            ", best {} / {}, id {id}",
            price(Which::Bids),
            price(Which::Asks)
        );
        facts += &format!(
            ", {} and {} levels proven",
            book.coverage(Which::Bids),
            book.coverage(Which::Asks)
        );
    }
    facts
}
