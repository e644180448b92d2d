//! `Router`: all markets of one client and the way of each frame to its market.

use std::sync::Arc;

use depthcache_book::market::sequence::SnapshotTime;
use depthcache_book::recording::tap::Tap;
use depthcache_book::router::{
    BUFFER_BYTES, CONTROL_CAPACITY, FLIGHT_BYTES, Router as Inner, RouterError,
};
use depthcache_book::status::Condition;
use depthcache_transport::Moment;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::follow::{Follower, follow_spec};
use crate::fork::read_wall;
use crate::frozen::FrozenBook;
use crate::handles::{BookReader, Router};
use crate::offline::parse_rules;
use crate::values::classes;
use crate::{errors, events, input};

/// The contents of a market's flight recorder, and the book at the same moment.
#[pyclass(frozen, get_all, module = "depthcache._native")]
pub struct FlightLog {
    frames: Py<PyList>,
    snapshot: Option<Py<PyAny>>,
    book: Py<FrozenBook>,
}

/// The Python error of what the router refuses.
fn or_raise<T>(py: Python<'_>, result: Result<T, RouterError>) -> PyResult<T> {
    result.map_err(|why| errors::router(py, &why, b""))
}

#[pymethods]
impl Router {
    /// How long another connection may take to fill a gap of one connection if nothing else arrives.
    #[classattr]
    const ARBITRATION_PATIENCE_NS: i64 = depthcache_book::market::arbitration::PATIENCE_NS;

    fn __reduce__<'py>(&self) -> PyResult<crate::portable::Reduced<'py>> {
        let instead = "pickle router.reader(market).freeze() instead";
        Err(crate::errors::not_portable("a router", instead))
    }

    #[new]
    #[pyo3(signature = (
        *, control_capacity = CONTROL_CAPACITY, buffer_bytes = BUFFER_BYTES, flight_bytes = FLIGHT_BYTES
    ))]
    fn new(control_capacity: usize, buffer_bytes: usize, flight_bytes: usize) -> Self {
        let inner = Arc::new(Inner::new(control_capacity, buffer_bytes, flight_bytes));
        read_wall(&inner);
        Self { inner }
    }

    /// Add an empty market under a number chosen by the caller.
    ///
    /// `inverse`: quantities count contracts of a fixed value in the quote asset. `now_ns`: since when the
    /// market is empty.
    #[pyo3(signature = (market, exchange, symbol, continuity, *, inverse = false, now_ns = 0))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn add_market(
        &self,
        py: Python<'_>,
        market: u64,
        exchange: &str,
        symbol: &str,
        continuity: &str,
        inverse: bool,
        now_ns: i64,
    ) -> PyResult<()> {
        let rules = parse_rules(continuity, inverse)?;
        let added = (self.inner).add_market(market, exchange, symbol, rules, now_ns);
        or_raise(py, added)
    }

    /// Take the diffs of a market from book servers; this cannot be undone.
    ///
    /// From now on it is never synced unless a server says, in order with the diffs, that its own book is.
    fn relay(&self, py: Python<'_>, market: u64, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.relay(market, now_ns))
    }

    /// The status and reason of the servers' book; None before a server has said it. Raises KeyError.
    fn upstream(&self, py: Python<'_>, market: u64) -> PyResult<Option<(&'static str, String)>> {
        let upstream = self.cell(py, market)?.read().upstream();
        Ok(upstream.map(|(status, reason)| (status.as_str(), reason)))
    }

    /// Remove a market; its readers are `closed` from now on.
    fn remove_market(
        &self,
        py: Python<'_>,
        market: u64,
        reason: &str,
        now_ns: i64,
    ) -> PyResult<()> {
        or_raise(py, self.inner.remove_market(market, reason, now_ns))
    }

    /// Create a reader of a market. `serve_stale`: whether it also reads the last known book.
    #[pyo3(signature = (market, *, serve_stale = false))]
    fn reader(&self, py: Python<'_>, market: u64, serve_stale: bool) -> PyResult<BookReader> {
        BookReader::new(py, self, market, serve_stale, None)
    }

    /// Expect wrapped frames (`{"stream":…,"data":…}`) for this connection number.
    ///
    /// `server`: how users know the book server at its other end; empty for the exchange.
    #[pyo3(signature = (connection, *, server = ""))]
    fn open_connection(&self, py: Python<'_>, connection: u64, server: &str) -> PyResult<()> {
        or_raise(py, self.inner.open_connection(connection, server))
    }

    /// Remove a connection and its routes; its frames are ignored from now on.
    fn close_connection(&self, py: Python<'_>, connection: u64) -> PyResult<()> {
        or_raise(py, self.inner.close_connection(connection))
    }

    /// Route a stream of a connection to a market.
    ///
    /// Several connections may carry the same market: the first copy of a diff wins, and a gap counts only if
    /// no other connection can fill it.
    fn route(&self, py: Python<'_>, connection: u64, stream: &str, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.route(connection, stream, market))
    }

    /// Treat frames of this stream as stray again.
    fn unroute(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.unroute(connection, stream))
    }

    /// Pass one frame to its book; True if `take_events` has events.
    ///
    /// Never raises because of the frame: malformed frames become events.
    fn feed(
        &self,
        py: Python<'_>,
        connection: u64,
        frame: &Bound<'_, PyAny>,
        received_ns: i64,
    ) -> PyResult<bool> {
        let bytes = input::bytes(frame, "frame")?;
        // The interpreter is released only to wait: winning it back from a busy program costs 5 ms.
        match self.inner.try_feed(connection, &bytes, received_ns) {
            Some(has_events) => Ok(has_events),
            None => Ok(py.detach(|| self.inner.feed(connection, &bytes, received_ns))),
        }
    }

    /// Return the events since the last call.
    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        listed(py, self.inner.take_events(), |event| made.event(py, event))
    }

    /// Install a snapshot requested with `limit`.
    ///
    /// `live`: whether the subscription was acknowledged, or data had arrived, before the snapshot was
    /// requested. `made_us`: the earliest and latest time at which it was made, on the exchange's clock (0 if
    /// the earliest is unknown); None for the time in its body. Raises MalformedSnapshot, SymbolMismatch; the
    /// book is then unchanged.
    #[pyo3(signature = (market, body, *, limit, live, now_ns, made_us = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn install_snapshot<'py>(
        &self,
        py: Python<'py>,
        market: u64,
        body: &Bound<'py, PyAny>,
        limit: Option<usize>,
        live: bool,
        now_ns: i64,
        made_us: Option<(i64, i64)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = input::bytes(body, "body")?;
        match py.detach(|| {
            self.inner
                .install_snapshot(market, &bytes, limit, live, now_ns, snapshot_time(made_us))
        }) {
            Ok(outcome) => classes(py)?.snapshot_outcome(py, outcome),
            Err(why) => Err(errors::router(py, &why, &bytes)),
        }
    }

    /// Start keeping applied diffs, before the snapshot of a refresh is requested.
    ///
    /// Returns False if the book is not live (synced or crossed).
    fn begin_refresh(&self, py: Python<'_>, market: u64) -> PyResult<bool> {
        or_raise(py, self.inner.begin_refresh(market))
    }

    /// Cancel a refresh.
    fn end_refresh(&self, py: Python<'_>, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.end_refresh(market))
    }

    /// Roll a snapshot requested with `limit` to the update id of the live book, compare and merge it.
    ///
    /// The book stays synced. Inside the range of the snapshot its levels are taken, beyond it those of the
    /// book are kept. The complete range becomes the wider of the two or, if they differed inside both, that
    /// of the snapshot alone. `MERGED`: done, with the comparison. `WAITING`: the snapshot is ahead of the
    /// book and is merged when the book reaches it, which a `MarketChange` reports (cause `refreshed`).
    /// `TOO_OLD`: it is behind the book; or, if it is clearly newer in time, the exchange has reset its
    /// update ids and the book has lost its position (cause `reset`). `NOT_LIVE`: there is no live book, or
    /// no refresh was started. `made_us`: as for `install_snapshot`. Raises MalformedSnapshot,
    /// SymbolMismatch; the refresh is then over.
    #[pyo3(signature = (market, body, *, limit, now_ns, made_us = None))]
    fn refresh<'py>(
        &self,
        py: Python<'py>,
        market: u64,
        body: &Bound<'py, PyAny>,
        limit: Option<usize>,
        now_ns: i64,
        made_us: Option<(i64, i64)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = input::bytes(body, "body")?;
        match py.detach(|| {
            self.inner
                .refresh(market, &bytes, limit, now_ns, snapshot_time(made_us))
        }) {
            Ok(outcome) => events::classes(py)?.refresh_result(py, outcome),
            Err(why) => Err(errors::router(py, &why, &bytes)),
        }
    }

    /// Settle a waiting snapshot for which no diff came.
    ///
    /// `MERGED`: it equals the book, on a venue whose update ids are shared. `OTHER_BOOK`: it differs and is
    /// dropped. `NONE_WAITING`.
    fn settle_refresh<'py>(
        &self,
        py: Python<'py>,
        market: u64,
        now_ns: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let outcome = or_raise(py, self.inner.settle_refresh(market, now_ns))?;
        events::classes(py)?.refresh_result(py, outcome)
    }

    /// The newest diff that was applied, buffered or skipped as backlog; None before one.
    ///
    /// Backlog is at or before the update id, and not after a reset of the ids.
    fn heard<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let heard = or_raise(py, self.inner.heard(market))?;
        let made = events::classes(py)?;
        heard.map(|heard| made.heard_diff(py, heard)).transpose()
    }

    /// The last diff applied since the snapshot; None before one.
    fn last_diff<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let last = or_raise(py, self.inner.last_diff(market))?;
        let made = events::classes(py)?;
        last.map(|last| made.heard_diff(py, last)).transpose()
    }

    /// Set a virtual clock, which readers of this router use from now on.
    ///
    /// `now_ns`: the monotonic time. `wall_ns`: the system's time, in nanoseconds since 1970.
    fn set_virtual_time(&self, now_ns: i64, wall_ns: i64) {
        self.inner.timebase().set_virtual(now_ns, wall_ns);
    }

    /// Supply the time range in which the held snapshot was made, if no diff followed it.
    ///
    /// No effect if its time was known.
    fn date_snapshot(&self, py: Python<'_>, market: u64, made_us: (i64, i64)) -> PyResult<()> {
        let (earliest_us, latest_us) = made_us;
        let made = SnapshotTime {
            earliest_us,
            latest_us,
        };
        or_raise(py, self.inner.date_snapshot(market, made))
    }

    /// The markets whose newest diff was more than `most_us` late on receipt.
    ///
    /// Markets without `set_clock_offset` are left out.
    fn late<'py>(&self, py: Python<'py>, most_us: i64) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        let late = py.detach(|| self.inner.late(most_us));
        listed(py, late, |market| made.late_market(py, market))
    }

    /// Set the offset from the clock of the frames to the exchange's, for `delays` and `late`.
    fn set_clock_offset(
        &self,
        py: Python<'_>,
        market: u64,
        offset_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_clock_offset(market, offset_ns))
    }

    /// The delays of updates; nothing is counted before `set_clock_offset`.
    fn delays<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Bound<'py, PyAny>> {
        let delays = self.cell(py, market)?.read().delays();
        events::classes(py)?.delay_histogram(py, &delays)
    }

    /// Set how many complete levels per side are enough while readers request at most `requested`.
    ///
    /// Before this call no number is enough. Raises KeyError for an unknown market.
    #[pyo3(signature = (market, levels, *, requested))]
    fn set_depth_target(
        &self,
        py: Python<'_>,
        market: u64,
        levels: usize,
        requested: usize,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_depth_target(market, levels, requested))
    }

    /// The live books with fewer complete levels than their target.
    ///
    /// Also those whose readers request more levels than `set_depth_target` assumed.
    fn shallow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        listed(py, self.inner.shallow(), |market| {
            made.shallow_market(py, market)
        })
    }

    /// The connections of a market. Raises KeyError.
    fn feeds<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        let feeds = or_raise(py, self.inner.feeds(market))?;
        listed(py, feeds, |feed| made.feed_info(py, &feed))
    }

    /// The traffic of a connection. Raises KeyError if it is not open.
    fn traffic<'py>(&self, py: Python<'py>, connection: u64) -> PyResult<Bound<'py, PyAny>> {
        let traffic = or_raise(py, self.inner.traffic(connection))?;
        events::classes(py)?.traffic(py, &traffic)
    }

    /// Mark the source of frames as stalled, or as running again (`reason` None).
    ///
    /// While stalled, its books are stale for that reason, unless their status is worse.
    fn set_stalled(&self, py: Python<'_>, reason: Option<&str>, now_ns: i64) {
        py.detach(|| self.inner.set_stalled(reason, now_ns));
    }

    /// Set the time after which an unconfirmed book becomes stale, while the event loop does not `attend`.
    ///
    /// None for never. Raises KeyError.
    fn set_time_to_detect(
        &self,
        py: Python<'_>,
        market: u64,
        within_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_time_to_detect(market, within_ns))
    }

    /// Announce a thread that calls `tick` several times a second; the native transport does so itself.
    fn start_watch(&self) {
        let moment = Moment::now();
        self.inner.start_watch(moment.now_ns, moment.awake_ns);
    }

    /// Announce the end of that thread.
    fn stop_watch(&self) {
        self.inner.stop_watch();
    }

    /// Check the clock: after a pause every book is stale until confirmed; otherwise `judge_silence`.
    ///
    /// Readers of live books do this themselves after a second without a tick.
    fn tick<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let moment = Moment::now();
        read_wall(&self.inner);
        let tick = self.inner.tick(moment.now_ns, moment.awake_ns);
        events::classes(py)?.watch_tick(py, tick)
    }

    /// Report a pause of the machine or process.
    ///
    /// Every synced book is stale until an update made afterwards, or a snapshot, confirms it.
    fn pause(&self, reason: &str, since_ns: i64, now_ns: i64) {
        self.inner.pause(reason, since_ns, now_ns);
    }

    /// Report that the event loop is attending to its books.
    ///
    /// Returns the number of pauses so far.
    fn attend(&self, now_ns: i64) -> u64 {
        self.inner.attend(now_ns)
    }

    /// Doubt books that were not confirmed in time, unless the event loop attended within 3 s.
    ///
    /// The cause is `doubted`; `proven` ends it.
    fn judge_silence(&self, now_ns: i64) {
        self.inner.judge_silence(now_ns);
    }

    /// Close all books for good: the event loop has ended.
    fn close(&self, reason: &str, now_ns: i64) {
        self.inner.close(reason, now_ns);
    }

    /// Report the newest frame of this stream as `StreamFrame`; the stream belongs to no market.
    fn listen(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.listen(connection, stream))
    }

    /// Start keeping every frame for `take_tapped`, as lines of JSON.
    ///
    /// `most_bytes`: further frames are counted as lost. `offset_ns`: from the clock of the frames to
    /// nanoseconds since 1970.
    fn start_tap(&self, most_bytes: usize, offset_ns: i64) {
        self.inner.start_tap(Tap::new(most_bytes, offset_ns));
    }

    /// Stop keeping frames; those not taken are dropped.
    fn stop_tap(&self) {
        self.inner.stop_tap();
    }

    /// Insert a line of the recorder, without its line break, between the frames.
    fn tap_line(&self, line: &[u8]) {
        self.inner.tap_line(line);
    }

    /// Return the lines kept since the last call.
    fn take_tapped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made = events::classes(py)?;
        let (lines, lost) = py.detach(|| self.inner.take_tapped());
        made.tapped_lines(py, &lines, lost)
    }

    /// The current contents of a market's flight recorder.
    fn flight_log(&self, py: Python<'_>, market: u64) -> PyResult<FlightLog> {
        let cell = self.cell(py, market)?;
        let log = py.detach(|| cell.flight_log());
        let made = events::classes(py)?;
        let frames = listed(py, log.frames, |(at_ns, frame)| {
            made.flight_frame(py, at_ns, &frame)
        })?;
        let snapshot = log.snapshot.map(|taken| made.flight_snapshot(py, &taken));
        Ok(FlightLog {
            frames: frames.unbind(),
            snapshot: snapshot.transpose()?.map(Bound::unbind),
            book: FrozenBook::create(py, Arc::new(log.book), true)?,
        })
    }

    /// Create a follower without markets.
    ///
    /// `levels`: per side in each item; None for all. `interval_ns`, `start_ns`: times for mode `interval`.
    /// `most_items`, `most_bytes`: how much to keep for a slow consumer (mode `every`, 16 MiB). `announces`:
    /// whether the event `FollowerReady` reports items; otherwise the consumer calls `wait`. Raises
    /// ValueError.
    #[pyo3(signature = (
        mode, *, levels = None, interval_ns = 0, start_ns = 0, on_stale = "raise",
        most_items, most_bytes, announces = true
    ))]
    #[allow(clippy::too_many_arguments)]
    fn follow(
        &self,
        mode: &str,
        levels: Option<usize>,
        interval_ns: i64,
        start_ns: i64,
        on_stale: &str,
        most_items: usize,
        most_bytes: usize,
        announces: bool,
    ) -> PyResult<Follower> {
        let spec = follow_spec(
            mode,
            levels,
            interval_ns,
            start_ns,
            on_stale,
            most_items,
            most_bytes,
            announces,
        )?;
        Ok(Follower::new(self.inner.follower(spec), self.inner.clone()))
    }

    /// Return to buffering, keeping buffered diffs and old levels: the book needs a new snapshot.
    fn resync(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.resync(market, reason, now_ns))
    }

    /// Return to buffering with an empty buffer: diffs will come from a new connection.
    fn restart(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.restart(market, reason, now_ns))
    }

    /// Set a condition on top of the state of a market, or clear it (None).
    fn set_condition(
        &self,
        py: Python<'_>,
        market: u64,
        condition: Option<&str>,
        reason: &str,
        now_ns: i64,
    ) -> PyResult<()> {
        let condition = match condition {
            None => None,
            Some(text) => Some(Condition::parse(text).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "condition must be 'stale', 'halted', 'disconnected', 'closed' or None, not {text:?}"
                ))
            })?),
        };
        or_raise(
            py,
            self.inner.set_condition(market, condition, reason, now_ns),
        )
    }
}

/// A list of what is made of each item.
fn listed<'py, T>(
    py: Python<'py>,
    items: impl IntoIterator<Item = T>,
    make: impl Fn(T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let made = PyList::empty(py);
    for item in items {
        made.append(make(item)?)?;
    }
    Ok(made)
}

/// Between which times a snapshot was made.
fn snapshot_time(between_us: Option<(i64, i64)>) -> Option<SnapshotTime> {
    between_us.map(|(earliest_us, latest_us)| SnapshotTime {
        earliest_us,
        latest_us,
    })
}
