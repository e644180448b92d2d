//! `BookReader`: the reading surface that all kinds of books share. Not here: `FrozenBook` (`frozen`).

use std::sync::Arc;

use depthcache_book::analytics::best_of;
use depthcache_book::follow::OnStale;
use depthcache_book::foreign_text::printable;
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
use crate::pictures;
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

    /// The exchange name, such as `binance.com-futures`.
    #[getter]
    fn exchange(&self, py: Python<'_>) -> String {
        self.source.names(py).0
    }

    /// The symbol as the exchange spells it, such as `BTCUSDT`.
    #[getter]
    fn symbol(&self, py: Python<'_>) -> String {
        self.source.names(py).1
    }

    /// What the book is now, in one word; only `synced` can be trusted.
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        classes(py)?.status(py, self.source.look(py, |book| book.status_info().status))
    }

    /// Why the status is what it is; empty when synced and confirmed.
    #[getter]
    fn reason(&self, py: Python<'_>) -> String {
        self.source
            .look(py, |book| book.status_info().reason.to_owned())
    }

    /// Since when the status is what it is, on the clock `depthcache.now_ns`.
    #[getter]
    fn since_ns(&self, py: Python<'_>) -> i64 {
        self.source.look(py, |book| book.status_info().since_ns)
    }

    /// Synced from a snapshot alone; the next diff decides.
    #[getter]
    fn unconfirmed(&self, py: Python<'_>) -> bool {
        self.source.look(py, |book| book.unconfirmed())
    }

    /// `u` of the last applied diff, else the snapshot's `lastUpdateId`; None before one.
    #[getter]
    fn last_update_id(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.last_update_id())
    }

    /// `since_ns` as a datetime of the system's clock, in UTC.
    #[getter]
    fn since_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| Some(book.status_info().since_ns))
    }

    /// When the exchange made what the book is, on its clock, in microseconds since 1970.
    ///
    /// `E` of the last applied diff. Before one, the `E` (or `T`) of the snapshot; spot snapshots have none, and
    /// theirs is the latest time at which they can have been made: when they were received, by the estimate of the
    /// exchange's clock, or by the system's clock for the first seconds of a client. None before a snapshot, and
    /// where a hand-fed message has no time.
    #[getter]
    fn event_time_us(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.event_time_us())
    }

    /// `event_time_us` as a datetime in UTC, of the exchange's clock.
    #[getter]
    fn event_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let made_us = self.source.look(py, |book| book.event_time_us());
        match made_us {
            Some(us) => classes(py)?.datetime(py, us),
            None => Ok(None),
        }
    }

    /// When the last applied update was received, on the clock `depthcache.now_ns`; before one, when the
    /// snapshot was. None before that.
    #[getter]
    fn updated_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.updated_ns())
    }

    /// `updated_ns` as a datetime of the system's clock, in UTC; None for a `Book` without a network.
    #[getter]
    fn updated_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.updated_ns())
    }

    /// When the book was last proven to be the exchange's: by an update, or by a comparison.
    ///
    /// On the clock `depthcache.now_ns`; None before a snapshot. A quiet live book is compared every 45 s.
    #[getter]
    fn confirmed_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.confirmed_ns())
    }

    /// `confirmed_ns` as a datetime of the system's clock, in UTC; None for a `Book` without a network.
    #[getter]
    fn confirmed_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.confirmed_ns())
    }

    /// A time of the book's clock on the system's clock, in UTC; None where no clock stamps it.
    fn _wall_time<'py>(&self, py: Python<'py>, at_ns: i64) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |_| Some(at_ns))
    }

    /// Both best levels of one update id, in one read; None for a side without levels.
    ///
    /// Raises BookNotSynced while the book cannot be trusted, BookClosed once it is closed, BookTooOld.
    #[getter]
    fn best<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pair = self.source.read(py, self.policy, |book| book.best())?;
        classes(py)?.best(py, pair, self.exact)
    }

    /// The highest bid. Raises BookEmpty where there is none, and what `best` raises.
    #[getter]
    fn best_bid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Bids)
    }

    /// The lowest ask. Raises BookEmpty where there is none, and what `best` raises.
    #[getter]
    fn best_ask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Asks)
    }

    /// The buyers' side, highest price first.
    #[getter]
    fn bids(&self) -> Side {
        self.side(Which::Bids)
    }

    /// The sellers' side, lowest price first.
    #[getter]
    fn asks(&self) -> Side {
        self.side(Which::Asks)
    }

    /// The price of each side as far as which the book is proven to be complete.
    #[getter]
    fn complete_to<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.complete_to(Which::Bids), book.complete_to(Which::Asks))
        });
        classes(py)?.complete_to(py, bids, asks, self.exact)
    }

    /// How many held levels of each side lie inside the complete range.
    #[getter]
    fn coverage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.coverage(Which::Bids), book.coverage(Which::Asks))
        });
        classes(py)?.coverage(py, bids, asks)
    }

    /// The same book with `Decimal` numbers at the width the exchange sends.
    ///
    /// Of a subclass made in Python it is the native class below it.
    #[getter]
    fn exact(&self) -> Self {
        self.made_exact()
    }

    /// The same book, whose reads raise BookTooOld while its last update is older than `seconds`.
    ///
    /// `book.no_older_than(0.5).best`. Composes with `exact`; infinity takes any age. Its age counts from the
    /// receipt of the last update, or of the snapshot before one. A frozen book is a constant and gets no
    /// older, and a `Book` without a network has no clock: both return themselves. Of a subclass made in
    /// Python it is the native class below it. Raises InvalidArgument for seconds that are not above 0.
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
    ///
    /// `on_stale`: `serve` takes the last known book where it is not synced, `raise` and `wait` raise
    /// BookNotSynced (a call that returns at once cannot wait); None does as all reads of this book.
    /// `max_age`: how old its last update may be now, in seconds, as for `no_older_than`; None does as all
    /// reads of this book. Raises BookNotSynced while the book cannot be trusted, BookClosed once it is
    /// closed, BookTooOld, InvalidArgument for another word or for levels below 0.
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

    /// Both sides of one update id as float64 arrays of shape (levels, 2), the caller's own.
    ///
    /// `levels`: the best so many of each side, all when None. `low`, `high`: only prices in between,
    /// both inclusive; `levels` then counts from the best of those. Column 0 is the price in the quote
    /// asset, column 1 the quantity (base asset, or contracts on COIN-M), each the float nearest to what
    /// the exchange sent, also from an exact book. Raises InvalidArgument. The interpreter lock is
    /// released while they are made.
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

    /// The same levels as exact int64, each side with its decimals.
    ///
    /// Arguments as `depthcache.BookReader.to_numpy`. Raises NumberTooWide when one does not fit.
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

    /// The same levels as columns that every Arrow library takes without a copy: `Columns`.
    ///
    /// `levels`, `low`, `high`: which, as for `to_numpy`. `exact`: prices and quantities as
    /// decimal128(38, 18) instead of float64; always so of an exact book.
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

    /// The same as a DataFrame of pandas, with arguments as `depthcache.BookReader.to_arrow`.
    ///
    /// Raises PackageMissing (an ImportError) without pandas.
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

    /// The same as a DataFrame of polars, with arguments as `depthcache.BookReader.to_arrow`.
    ///
    /// Raises PackageMissing (an ImportError) without polars.
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

    /// (best bid + best ask) / 2, in the quote asset: a number.
    ///
    /// Whether the best levels are proven: `complete` of a `freeze(1)`. Raises BookEmpty where a side has no
    /// level, BookNotSynced, BookClosed, BookTooOld.
    #[getter]
    fn mid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::mid(self.writer(py), &self.request())
    }

    /// (ask * bid quantity + bid * ask quantity) / (bid quantity + ask quantity), of the best levels.
    ///
    /// The mid weighted by the quantities of the other side: more bids draw it to the ask. Stoikov (2018)
    /// calls this the weighted mid and his own estimator, which needs a market's history, the micro-price.
    /// Raises what `mid` raises.
    #[getter]
    fn microprice<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::microprice(self.writer(py), &self.request())
    }

    /// Best ask - best bid, in the quote asset. Raises what `mid` raises.
    #[getter]
    fn spread<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::spread(self.writer(py), &self.request())
    }

    /// The spread in basis points of the mid: 10,000 * spread / mid. Raises what `mid` raises.
    #[getter]
    fn spread_bps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        analytics::spread_bps(self.writer(py), &self.request())
    }

    /// (B - A) / (B + A) of the quantities of bids and asks, from -1 (asks alone) to 1 (bids alone).
    ///
    /// Of the best `levels` of each side (the best one when neither is given), or of all levels at most
    /// `bps` basis points from the mid. Cartea, Jaimungal, Penalva (2015), chapter 12. Raises
    /// InvalidArgument, BookNotSynced, BookClosed.
    #[pyo3(signature = (levels = None, *, bps = None))]
    fn imbalance<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        bps: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::imbalance(self.writer(py), &self.request(), levels, bps)
    }

    /// What rests at most `bps` basis points from the mid, both ends inclusive: base and quote, per side.
    ///
    /// Raises InvalidArgument, BookNotSynced, BookClosed.
    fn depth_within<'py>(
        &self,
        py: Python<'py>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::depth_within(self.writer(py), &self.request(), bps)
    }

    /// What a market order would get: average and worst price, slippage against the mid, what is left.
    ///
    /// `side`: `buy` walks the asks, `sell` the bids. The size is given in the base asset (`base`) or in the
    /// quote asset (`quote`), one of them; it is above 0. On COIN-M `base` counts contracts and `quote` is
    /// refused, because a book does not know what a contract is worth. Fees are no part of it. Raises
    /// InvalidArgument, BookNotSynced, BookClosed.
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

    /// How much a market order must take until the best price of its side has moved by `bps` basis points.
    ///
    /// `side`: `buy` takes all asks below best * (1 + bps / 10,000), `sell` all bids above best *
    /// (1 - bps / 10,000). Raises InvalidArgument, BookNotSynced, BookClosed.
    fn size_to_move<'py>(
        &self,
        py: Python<'py>,
        side: &Bound<'py, PyAny>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::size_to_move(self.writer(py), &self.request(), side, bps)
    }

    /// The best `levels` groups of each side (all when None), at multiples of `size`.
    ///
    /// Bids count at the multiple at or below their price, asks at the one at or above. Groups that hold
    /// nothing are left out. `size` is exact: a float counts as the text that `repr` writes. Raises
    /// InvalidArgument, BookNotSynced, BookClosed.
    #[pyo3(signature = (size, levels = None))]
    fn grouped<'py>(
        &self,
        py: Python<'py>,
        size: &Bound<'py, PyAny>,
        levels: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::grouped(self.writer(py), &self.request(), size, levels)
    }

    /// Draw a depth chart of this moment with matplotlib, and return its Axes.
    ///
    /// It shows the cumulative size by price, one step a level, and hatches what is not proven.
    ///
    /// `ax`: the Axes to draw into; None makes a new figure with pyplot. No window opens before `pyplot.show()`. `bps`:
    /// how far from the mid, in basis points; `levels`: how many levels a side. With neither, it is 100 bps (1 %), or
    /// twice as far as the book is complete where that is less, and at least the best 20 levels of each side.
    /// `cumulative`: `base` sums up quantities, `quote` price times quantity; `quote` is refused on COIN-M. Of a
    /// one-sided book the distance counts from its best price.
    ///
    /// Raises BookEmpty for a book without any level, BookNotSynced, BookClosed, BookTooOld, InvalidArgument, and
    /// PackageMissing (an ImportError) without matplotlib.
    #[pyo3(signature = (*, ax = None, levels = None, bps = None, cumulative = "base"))]
    fn plot<'py>(
        slf: &Bound<'py, Self>,
        ax: Option<&Bound<'py, PyAny>>,
        levels: Option<&Bound<'py, PyAny>>,
        bps: Option<&Bound<'py, PyAny>>,
        cumulative: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = PyDict::new(slf.py());
        options.set_item("ax", ax)?;
        options.set_item("levels", levels)?;
        options.set_item("bps", bps)?;
        options.set_item("cumulative", cumulative)?;
        pictures::depth_chart(slf.as_any(), &options)
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        pictures::html(slf.py(), "book_html", (slf,))
    }

    /// What happened to the book since it was made; counts only grow.
    ///
    /// `applied`: diffs applied. `old`: diffs at or before the id of the book, dropped. `gaps`: holes in ids.
    /// `resets`: times the exchange reset its update ids. `crossed`: best prices that touched or crossed.
    /// `malformed`: frames that could not be read. `dropped_buffers`: buffered diffs given up because there was no
    /// more room. `snapshots`: snapshots installed. `refreshes`: snapshots merged into the live book.
    /// `corrections`: prices that were wrong and are right again. `levels_changed`: levels set or deleted by diffs.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, value) in self.source.look(py, |book| book.counters()).named() {
            counts.set_item(name, value)?;
        }
        Ok(counts)
    }

    /// Bytes of memory that the levels of both sides and the kept diffs take.
    ///
    /// 16 bytes a level, and the room that makes changing them cheap; without the flight recorder and
    /// without what the allocator adds.
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

/// The `repr` of a book, readable or not.
fn describe(book: &dyn Reading) -> String {
    let status_info = book.status_info();
    let mut facts = format!(
        "{} on {}: {}",
        book.symbol().unwrap_or("?"),
        book.exchange(),
        status_info.status.as_str()
    );
    if !status_info.reason.is_empty() {
        facts += &format!(" ({})", printable(status_info.reason));
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
