//! `BookReader`: the reading surface that all kinds of books share. Not here: `FrozenBook` (`frozen`).

use std::sync::Arc;

use depthcache_book::follow::OnStale;
use depthcache_book::foreign_text::printable;
use depthcache_book::query::{ReadPolicy, Reading, Side as Which};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use crate::analytics::{self, Writer};
use crate::arguments;
use crate::columns::{self, Columns};
use crate::errors;
use crate::fork::OwnerProcess;
use crate::frozen::FrozenBook;
use crate::handles::{BookReader, Router};
use crate::kept::{Call, Getter};
use crate::pictures;
use crate::portable;
use crate::side::Side;
use crate::source::{ReadRequest, Source, Stamp};
use crate::values::{self, classes};

impl BookReader {
    fn writer<'py>(&self, py: Python<'py>) -> Writer<'py> {
        Writer {
            py,
            exact: self.exact,
        }
    }

    /// A side, the same object at each call.
    fn side<'py>(&self, py: Python<'py>, which: Which) -> PyResult<Bound<'py, PyAny>> {
        let place = self.kept.side(which as usize);
        let side = place.get_or_try_init(py, || {
            let side = Side::new(self.source.clone(), self.policy, self.exact, which);
            Ok::<_, PyErr>(Py::new(py, side)?.into_any())
        })?;
        Ok(side.bind(py).clone())
    }

    fn best_of<'py>(&self, py: Python<'py>, which: Which) -> PyResult<Bound<'py, PyAny>> {
        let best = self.best(py)?;
        let level = best.cast::<PyTuple>()?.get_item(which as usize)?;
        if level.is_none() {
            return Err(analytics::empty_side(py, &self.request(), which));
        }
        Ok(level)
    }

    /// What was read last where nothing changed, else what is read now.
    #[inline]
    fn kept_or<'py>(
        &self,
        py: Python<'py>,
        getter: Getter,
        read: impl FnOnce(Writer<'py>, &ReadRequest<'_>) -> PyResult<(Stamp, Bound<'py, PyAny>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let holds = |stamp: &Stamp| self.source.holds(stamp, self.policy);
        let mut kept = self.kept.results();
        if let Some(value) = kept.as_ref().and_then(|kept| kept.get(py, getter, holds)) {
            return Ok(value);
        }
        let (stamp, value) = read(self.writer(py), &self.request())?;
        if let Some(kept) = &mut kept {
            kept.put(getter, stamp, &value);
        }
        Ok(value)
    }

    /// The same of a call with arguments.
    #[inline]
    fn kept_call_or<'py>(
        &self,
        py: Python<'py>,
        call: Call,
        arguments: [Option<&Bound<'py, PyAny>>; 3],
        read: impl FnOnce(Writer<'py>, &ReadRequest<'_>) -> PyResult<(Stamp, Bound<'py, PyAny>)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let holds = |stamp: &Stamp| self.source.holds(stamp, self.policy);
        let mut kept = self.kept.results();
        let held = (kept.as_ref()).and_then(|kept| kept.get_call(py, call, &arguments, holds));
        if let Some(value) = held {
            return Ok(value);
        }
        let (stamp, value) = read(self.writer(py), &self.request())?;
        if let Some(kept) = &mut kept {
            kept.put_call(py, call, &arguments, stamp, &value);
        }
        Ok(value)
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
        let policy = ReadPolicy {
            serve_stale,
            max_age_ns,
        };
        Ok(Self::of(Source::Live(cell, owner), policy, false))
    }

    /// The name of the exchange, such as `binance.com-futures`.
    #[getter]
    fn exchange(&self, py: Python<'_>) -> String {
        self.source.names(py).0
    }

    /// The symbol in the exchange's spelling, such as `BTCUSDT`.
    #[getter]
    fn symbol(&self, py: Python<'_>) -> String {
        self.source.names(py).1
    }

    /// The current status of the book; only a `synced` book can be trusted.
    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        classes(py)?.status(py, self.source.look(py, |book| book.status_info().status))
    }

    /// Why the book has this status; empty if it is synced and confirmed.
    #[getter]
    fn reason(&self, py: Python<'_>) -> String {
        self.source
            .look(py, |book| book.status_info().reason.to_owned())
    }

    /// The start of the current status, in nanoseconds of the clock `depthcache.now_ns`.
    #[getter]
    fn since_ns(&self, py: Python<'_>) -> i64 {
        self.source.look(py, |book| book.status_info().since_ns)
    }

    /// Whether the book is synced from a snapshot alone; the next diff confirms it or reveals a gap.
    #[getter]
    fn unconfirmed(&self, py: Python<'_>) -> bool {
        self.source.look(py, |book| book.unconfirmed())
    }

    /// The update id of the book; None before the first snapshot.
    ///
    /// It is `u` of the last applied diff, or `lastUpdateId` of the snapshot if none followed it.
    #[getter]
    fn last_update_id(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.last_update_id())
    }

    /// `since_ns` as a UTC datetime of the system's clock.
    #[getter]
    fn since_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| Some(book.status_info().since_ns))
    }

    /// The exchange's time of the current book, in microseconds since 1970.
    ///
    /// It is `E` of the last applied diff or, if none followed the snapshot, `E` or `T` of the snapshot. Spot
    /// snapshots carry no time; theirs is the latest possible time: when the response was received, by an
    /// estimate of the exchange's clock, or by the system's clock during the first seconds of a client. None
    /// before the first snapshot, and for hand-fed messages without a time.
    #[getter]
    fn event_time_us(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.event_time_us())
    }

    /// `event_time_us` as a UTC datetime, on the exchange's clock.
    #[getter]
    fn event_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let made_us = self.source.look(py, |book| book.event_time_us());
        match made_us {
            Some(us) => classes(py)?.datetime(py, us),
            None => Ok(None),
        }
    }

    /// When the last applied update was received, on the clock `depthcache.now_ns`.
    ///
    /// The time of the snapshot if no update followed it; None before the first snapshot.
    #[getter]
    fn updated_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.updated_ns())
    }

    /// `updated_ns` as a UTC datetime of the system's clock; None for an offline `Book`.
    #[getter]
    fn updated_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.updated_ns())
    }

    /// When an update or a comparison with a snapshot last confirmed the book.
    ///
    /// On the clock `depthcache.now_ns`; None before the first snapshot. A live book without updates is
    /// compared every 45 s.
    #[getter]
    fn confirmed_ns(&self, py: Python<'_>) -> Option<i64> {
        self.source.look(py, |book| book.confirmed_ns())
    }

    /// `confirmed_ns` as a UTC datetime of the system's clock; None for an offline `Book`.
    #[getter]
    fn confirmed_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |book| book.confirmed_ns())
    }

    /// Convert a time of the book's clock to the system's clock, in UTC; None for an offline `Book`.
    fn _wall_time<'py>(&self, py: Python<'py>, at_ns: i64) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.at(py, |_| Some(at_ns))
    }

    /// The best bid and best ask at one update id; None for an empty side.
    ///
    /// Raises BookNotSynced while the book cannot be trusted, BookClosed after it was closed, BookTooOld.
    #[getter]
    fn best<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let holds = |stamp: &Stamp| self.source.holds(stamp, self.policy);
        let mut kept = self.kept.results();
        if let Some(value) = kept
            .as_ref()
            .and_then(|kept| kept.get(py, Getter::Best, holds))
        {
            return Ok(value);
        }
        let (stamp, pair) = (self.source).read_stamped(py, self.policy, |book| book.best())?;
        let last = kept.as_mut().and_then(|kept| kept.take_best(py));
        let value = classes(py)?.best(py, pair, self.exact, last)?;
        if let Some(kept) = &mut kept {
            kept.put_best(pair, stamp, &value);
        }
        Ok(value)
    }

    /// The highest bid. Raises BookEmpty if there are no bids, and whatever `best` raises.
    #[getter]
    fn best_bid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Bids)
    }

    /// The lowest ask. Raises BookEmpty if there are no asks, and whatever `best` raises.
    #[getter]
    fn best_ask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.best_of(py, Which::Asks)
    }

    /// The bid side, highest price first.
    #[getter]
    fn bids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.side(py, Which::Bids)
    }

    /// The ask side, lowest price first.
    #[getter]
    fn asks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.side(py, Which::Asks)
    }

    /// The price on each side up to which the book is proven complete.
    #[getter]
    fn complete_to<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.complete_to(Which::Bids), book.complete_to(Which::Asks))
        });
        classes(py)?.complete_to(py, bids, asks, self.exact)
    }

    /// The number of levels inside the complete range, per side.
    #[getter]
    fn coverage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (bids, asks) = self.source.look(py, |book| {
            (book.coverage(Which::Bids), book.coverage(Which::Asks))
        });
        classes(py)?.coverage(py, bids, asks)
    }

    /// The same book with `Decimal` numbers, with the digits that the exchange sends.
    ///
    /// For a Python subclass this is its native base class.
    #[getter]
    fn exact<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept.exact(py, || {
            Py::new(py, Self::of(self.source.clone(), self.policy, true))
        })
    }

    /// Return the same book, whose reads raise BookTooOld if its last update is older than `seconds`.
    ///
    /// Example: `book.no_older_than(0.5).best`. It can be combined with `exact`; infinity allows any age. The
    /// age is measured from the receipt of the last update, or of the snapshot if no update followed it. A
    /// frozen book does not age and an offline `Book` has no clock: both return themselves. For a Python
    /// subclass this is its native base class. Raises InvalidArgument if `seconds` is not above 0.
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
        let view = Self::of(book.source.clone(), policy, book.exact);
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

    /// Copy the best `levels` of each side (None for all) at one update id into a constant book.
    ///
    /// `on_stale`: `raise` BookNotSynced, or `serve` the last known book; `wait` raises as well, since this
    /// call returns immediately. None uses the setting of this book. `max_age`: the highest age allowed, in
    /// seconds, as for `no_older_than`; None uses the setting of this book. Raises BookNotSynced while the
    /// book cannot be trusted, BookClosed after it was closed, BookTooOld, and InvalidArgument for another
    /// `on_stale` or negative levels.
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
                    let market = cell.read();
                    check(&*market).map(|()| market.freeze(stop))
                };
                match (levels, cell.try_read()) {
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

    /// Return both sides at one update id as new float64 arrays of shape (levels, 2).
    ///
    /// `levels`: the best levels per side; None for all. `low`, `high`: only prices in this range, both
    /// inclusive; `levels` counts from the best of them. Column 0 holds prices in the quote asset, column 1
    /// quantities in the base asset, or contracts on COIN-M. Numbers are the floats nearest to what the
    /// exchange sent, also from an exact book. Raises InvalidArgument. More than 2,000 levels a side are
    /// copied without the interpreter lock.
    #[pyo3(signature = (levels = None, *, low = None, high = None))]
    fn to_numpy<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("levels", levels, low, high)?;
        columns::arrays(py, &self.request(), &selection)
    }

    /// Return both sides at one update id as exact int64 arrays, each side with its own decimals.
    ///
    /// Arguments as for `depthcache.BookReader.to_numpy`. Raises NumberTooWide if a number does not fit.
    #[pyo3(signature = (levels = None, *, low = None, high = None))]
    fn to_integers<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        low: Option<&Bound<'py, PyAny>>,
        high: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let selection = columns::selection("levels", levels, low, high)?;
        columns::both_integers(py, &self.request(), &selection)
    }

    /// Return both sides at one update id as `Columns`, which Arrow libraries read without a copy.
    ///
    /// `levels`, `low`, `high`: as for `to_numpy`. `exact`: prices and quantities as decimal128(38, 18)
    /// instead of float64; always the case for an exact book.
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

    /// Return both sides as a pandas DataFrame; arguments as for `depthcache.BookReader.to_arrow`.
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

    /// Return both sides as a polars DataFrame; arguments as for `depthcache.BookReader.to_arrow`.
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

    /// (best bid + best ask) / 2, in the quote asset.
    ///
    /// Use `complete` of `freeze(1)` to see whether the best levels are proven. Raises BookEmpty if a side is
    /// empty, BookNotSynced, BookClosed, BookTooOld.
    #[getter]
    fn mid<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept_or(py, Getter::Mid, analytics::mid)
    }

    /// (ask * bid quantity + bid * ask quantity) / (bid quantity + ask quantity), of the best levels.
    ///
    /// The mid weighted by the quantity on the other side: a larger bid pulls it towards the ask.
    /// Stoikov (2018) calls this the weighted mid, and uses micro-price for an estimator based on market
    /// history. Raises whatever `mid` raises.
    #[getter]
    fn microprice<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept_or(py, Getter::Microprice, analytics::microprice)
    }

    /// Best ask - best bid, in the quote asset. Raises whatever `mid` raises.
    #[getter]
    fn spread<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept_or(py, Getter::Spread, analytics::spread)
    }

    /// The spread in basis points of the mid: 10,000 * spread / mid. Raises whatever `mid` raises.
    #[getter]
    fn spread_bps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.kept_or(py, Getter::SpreadBps, analytics::spread_bps)
    }

    /// Compute (B - A) / (B + A) from the quantities of bids B and asks A.
    ///
    /// It ranges from -1 (only asks) to 1 (only bids) and covers the best `levels` of each side, or all
    /// levels within `bps` basis points of the mid; with neither, the best level only. See Cartea, Jaimungal,
    /// Penalva (2015), chapter 12. Raises InvalidArgument, BookNotSynced, BookClosed.
    #[pyo3(signature = (levels = None, *, bps = None))]
    fn imbalance<'py>(
        &self,
        py: Python<'py>,
        levels: Option<&Bound<'py, PyAny>>,
        bps: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.kept_call_or(py, Call::Imbalance, [levels, bps, None], |to, request| {
            analytics::imbalance(to, request, levels, bps)
        })
    }

    /// Sum the levels within `bps` basis points of the mid, inclusive: base and quote amounts per side.
    ///
    /// Raises InvalidArgument, BookNotSynced, BookClosed.
    fn depth_within<'py>(
        &self,
        py: Python<'py>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.kept_call_or(
            py,
            Call::DepthWithin,
            [Some(bps), None, None],
            |to, request| analytics::depth_within(to, request, bps),
        )
    }

    /// Compute the fill of a market order: average and worst price, slippage, unfilled size.
    ///
    /// `side`: `buy` takes asks, `sell` takes bids. Pass the size, above 0, either in the base asset (`base`)
    /// or in the quote asset (`quote`). On COIN-M, `base` counts contracts, and `quote` is not allowed
    /// because a book does not know the contract size. Fees are not included. Raises InvalidArgument,
    /// BookNotSynced, BookClosed.
    #[pyo3(signature = (side, *, base = None, quote = None))]
    fn fill<'py>(
        &self,
        py: Python<'py>,
        side: &Bound<'py, PyAny>,
        base: Option<&Bound<'py, PyAny>>,
        quote: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.kept_call_or(py, Call::Fill, [Some(side), base, quote], |to, request| {
            analytics::fill(to, request, side, base, quote)
        })
    }

    /// Compute the size of a market order that moves the best price of a side by `bps` basis points.
    ///
    /// `side`: `buy` takes all asks below best * (1 + bps / 10,000), `sell` all bids above best * (1 - bps /
    /// 10,000). Raises InvalidArgument, BookNotSynced, BookClosed.
    fn size_to_move<'py>(
        &self,
        py: Python<'py>,
        side: &Bound<'py, PyAny>,
        bps: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.kept_call_or(
            py,
            Call::SizeToMove,
            [Some(side), Some(bps), None],
            |to, request| analytics::size_to_move(to, request, side, bps),
        )
    }

    /// Return the best `levels` price groups per side (None for all), at multiples of `group`.
    ///
    /// A bid belongs to the multiple at or below its price, an ask to the multiple at or above it. Empty
    /// groups are left out. `group` is read exactly: a float means its shortest decimal text, as written by
    /// `repr`. Raises InvalidArgument, BookNotSynced, BookClosed.
    #[pyo3(signature = (group, levels = None))]
    fn grouped<'py>(
        &self,
        py: Python<'py>,
        group: &Bound<'py, PyAny>,
        levels: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        analytics::grouped(self.writer(py), &self.request(), group, levels)
    }

    /// Draw a depth chart of the current book with matplotlib, and return its Axes.
    ///
    /// The chart shows the cumulative size by price, one step per level; levels that are not proven are
    /// hatched.
    ///
    /// `ax`: the Axes to draw into; None creates a new figure with pyplot. No window opens before
    /// `pyplot.show()`. `bps`: the distance from the mid, in basis points. `levels`: the number of levels per
    /// side. With neither, the distance is 100 bps (1 %), or twice the complete range if that is less, and at
    /// least the best 20 levels per side are shown. `cumulative`: `base` sums quantities, `quote` sums price
    /// times quantity and is not available on COIN-M. In a one-sided book the distance is measured from the
    /// best price. `on_stale`, `max_age`: as for `freeze`; `on_stale="serve"` draws the last known book while
    /// it is not synced, and the title says so.
    ///
    /// Raises BookEmpty for a book without levels, BookNotSynced, BookClosed, BookTooOld, InvalidArgument,
    /// and PackageMissing (an ImportError) without matplotlib.
    #[pyo3(signature = (
        *, ax = None, levels = None, bps = None, cumulative = "base", on_stale = None, max_age = None
    ))]
    fn plot<'py>(
        slf: &Bound<'py, Self>,
        ax: Option<&Bound<'py, PyAny>>,
        levels: Option<&Bound<'py, PyAny>>,
        bps: Option<&Bound<'py, PyAny>>,
        cumulative: &str,
        on_stale: Option<&Bound<'py, PyAny>>,
        max_age: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = PyDict::new(slf.py());
        options.set_item("ax", ax)?;
        options.set_item("levels", levels)?;
        options.set_item("bps", bps)?;
        options.set_item("cumulative", cumulative)?;
        options.set_item("on_stale", on_stale)?;
        options.set_item("max_age", max_age)?;
        pictures::depth_chart(slf.as_any(), &options)
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        pictures::html(slf.py(), "book_html", (slf,))
    }

    /// Counts of events since the book was created; they only grow.
    ///
    /// `applied`: diffs applied. `old`: diffs skipped because they were at or before the update id. `gaps`:
    /// sequence gaps. `resets`: resets of the update ids by the exchange. `crossed`: times best bid and best
    /// ask touched or crossed. `malformed`: frames that could not be read. `dropped_buffers`: buffers of
    /// diffs dropped because they were full. `snapshots`: snapshots installed. `refreshes`: snapshots merged
    /// into the live book. `corrections`: wrong prices that were corrected. `levels_changed`: levels set or
    /// deleted by diffs.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (name, value) in self.source.look(py, |book| book.counters()).named() {
            counts.set_item(name, value)?;
        }
        Ok(counts)
    }

    /// The memory used by the levels of both sides and by buffered diffs, in bytes.
    ///
    /// 16 bytes per level plus reserve for changes; excludes the flight recorder and the overhead of the
    /// allocator.
    #[getter]
    fn memory_bytes(&self, py: Python<'_>) -> usize {
        self.source.look(py, |book| book.memory_bytes())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<portable::Reduced<'py>> {
        let kind = slf.get_type().name()?;
        let instead = "pickle book.freeze(), a constant copy, instead";
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
