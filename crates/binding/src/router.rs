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

/// What the flight recorder of a market holds, and the book at the same moment.
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
    /// How long another line may take to fill a hole.
    #[classattr]
    const ARBITRATION_PATIENCE_NS: i64 = depthcache_book::market::arbitration::PATIENCE_NS;

    fn __reduce__<'py>(&self) -> PyResult<crate::portable::Reduced<'py>> {
        let instead = "pickle router.reader(market).freeze()";
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

    /// Begin an empty market under a number of the caller's.
    #[pyo3(signature = (market, exchange, symbol, continuity, *, inverse = false))]
    fn add_market(
        &self,
        py: Python<'_>,
        market: u64,
        exchange: &str,
        symbol: &str,
        continuity: &str,
        inverse: bool,
    ) -> PyResult<()> {
        let rules = parse_rules(continuity, inverse)?;
        or_raise(py, self.inner.add_market(market, exchange, symbol, rules))
    }

    /// Forget the market; its readers say `closed` from now on.
    fn remove_market(
        &self,
        py: Python<'_>,
        market: u64,
        reason: &str,
        now_ns: i64,
    ) -> PyResult<()> {
        or_raise(py, self.inner.remove_market(market, reason, now_ns))
    }

    /// Another reader of a market; `serve_stale`: it reads the last known book, too.
    #[pyo3(signature = (market, *, serve_stale = false))]
    fn reader(&self, py: Python<'_>, market: u64, serve_stale: bool) -> PyResult<BookReader> {
        BookReader::new(py, self, market, serve_stale, None)
    }

    /// Frames of this number are wrapped (`{"stream":…,"data":…}`) from now on.
    fn open_connection(&self, py: Python<'_>, connection: u64) -> PyResult<()> {
        or_raise(py, self.inner.open_connection(connection))
    }

    /// Forget the connection and its routes; frames of it are ignored from now on.
    fn close_connection(&self, py: Python<'_>, connection: u64) -> PyResult<()> {
        or_raise(py, self.inner.close_connection(connection))
    }

    /// Frames of this stream go to this market. Several connections may bring one market: the first copy
    /// of a diff wins; a hole is a gap only where no other can fill it.
    fn route(&self, py: Python<'_>, connection: u64, stream: &str, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.route(connection, stream, market))
    }

    /// Frames of this stream are strays again.
    fn unroute(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.unroute(connection, stream))
    }

    /// Take one frame to its book; True when `take_events` has events.
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

    /// What happened since the last call.
    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        listed(py, self.inner.take_events(), |event| made.event(py, event))
    }

    /// Install a snapshot requested with `limit`; `live`: the subscription was acknowledged, or data had arrived,
    /// before the snapshot was requested. `made_us`: between which times it was made, on the exchange's clock (0
    /// for an earliest time that is not known); None for the time in its body. Raises MalformedSnapshot,
    /// SymbolMismatch; nothing is changed then.
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

    /// Keep what is applied to a live book from now on, for a snapshot that is about to be
    /// requested; False: it is not live (synced or crossed).
    fn begin_refresh(&self, py: Python<'_>, market: u64) -> PyResult<bool> {
        or_raise(py, self.inner.begin_refresh(market))
    }

    /// Forget a refresh that was begun.
    fn end_refresh(&self, py: Python<'_>, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.end_refresh(market))
    }

    /// Roll a snapshot requested with `limit` to the live book's id, compare both, merge; what was found.
    ///
    /// The book never leaves sync. Inside the snapshot's range its levels are taken, beyond it those of the book
    /// stay; the complete range becomes the wider of both, or, where they differed inside both, the snapshot's
    /// alone. `MERGED`: done, with its comparison. `WAITING`: the snapshot is ahead and is merged when the book
    /// reaches it, which a `MarketChange` reports (cause `refreshed`). `TOO_OLD`: it is behind the book, or, where it
    /// is clearly younger, the exchange reset its update ids, and the book has lost its position (cause `reset`).
    /// `NOT_LIVE`: there is no live book, or no refresh was begun. `made_us` as for `install_snapshot`. Raises
    /// MalformedSnapshot, SymbolMismatch; the refresh is over then.
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

    /// No diff came for a snapshot that waits.
    fn settle_refresh<'py>(
        &self,
        py: Python<'py>,
        market: u64,
        now_ns: i64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let outcome = or_raise(py, self.inner.settle_refresh(market, now_ns))?;
        events::classes(py)?.refresh_result(py, outcome)
    }

    /// The newest diff that was applied, kept, or is backlog (at or before the held id, and not after a reset of
    /// the ids); None before one.
    fn heard<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let heard = or_raise(py, self.inner.heard(market))?;
        let made = events::classes(py)?;
        heard.map(|heard| made.heard_diff(py, heard)).transpose()
    }

    /// The last diff that was applied since the snapshot; None before one.
    fn last_diff<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let last = or_raise(py, self.inner.last_diff(market))?;
        let made = events::classes(py)?;
        last.map(|last| made.heard_diff(py, last)).transpose()
    }

    /// It is `now_ns` on a virtual clock, and `wall_ns` nanoseconds since 1970 on the system's: no other
    /// clock counts for readers of this router from now on.
    fn set_virtual_time(&self, now_ns: i64, wall_ns: i64) {
        self.inner.timebase().set_virtual(now_ns, wall_ns);
    }

    /// The snapshot that is held, and no diff after it, was made between these times: known only now.
    /// Without effect where its time was known.
    fn date_snapshot(&self, py: Python<'_>, market: u64, made_us: (i64, i64)) -> PyResult<()> {
        let (earliest_us, latest_us) = made_us;
        let made = SnapshotTime {
            earliest_us,
            latest_us,
        };
        or_raise(py, self.inner.date_snapshot(market, made))
    }

    /// The markets whose newest diff was more than `most_us` late when it came; none of those whose
    /// `set_clock_offset` was not called.
    fn late<'py>(&self, py: Python<'py>, most_us: i64) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        let late = py.detach(|| self.inner.late(most_us));
        listed(py, late, |market| made.late_market(py, market))
    }

    /// From the clock of the frames to the exchange's, for `delays` and `late`.
    fn set_clock_offset(
        &self,
        py: Python<'_>,
        market: u64,
        offset_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_clock_offset(market, offset_ns))
    }

    /// How late updates arrived; nothing is counted before `set_clock_offset`.
    fn delays<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Bound<'py, PyAny>> {
        let delays = self.cell(py, market)?.lock().delays();
        events::classes(py)?.delay_histogram(py, &delays)
    }

    /// So many complete levels a side are enough while readers ask for at most `requested`; before this
    /// call no number is. Raises KeyError for a market that is not there.
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

    /// The live books that have fewer complete levels than are enough, or whose readers ask for more than
    /// `set_depth_target` considered.
    fn shallow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        listed(py, self.inner.shallow(), |market| {
            made.shallow_market(py, market)
        })
    }

    /// The connections of a market.
    fn feeds<'py>(&self, py: Python<'py>, market: u64) -> PyResult<Bound<'py, PyList>> {
        let made = events::classes(py)?;
        let feeds = or_raise(py, self.inner.feeds(market))?;
        listed(py, feeds, |feed| made.feed_info(py, &feed))
    }

    /// What came on a connection.
    fn traffic<'py>(&self, py: Python<'py>, connection: u64) -> PyResult<Bound<'py, PyAny>> {
        let traffic = or_raise(py, self.inner.traffic(connection))?;
        events::classes(py)?.traffic(py, &traffic)
    }

    /// The frame source stalled: every book it feeds is stale for that reason, unless its status is worse; None: it
    /// goes on.
    fn set_stalled(&self, py: Python<'_>, reason: Option<&str>, now_ns: i64) {
        py.detach(|| self.inner.set_stalled(reason, now_ns));
    }

    /// A book that no update and no comparison has proven for so long is stale, until one does, while the
    /// event loop does not `attend`; None: never. Raises KeyError.
    fn set_time_to_detect(
        &self,
        py: Python<'_>,
        market: u64,
        within_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_time_to_detect(market, within_ns))
    }

    /// A thread calls `tick` several times a second from now on; the native transport does so itself.
    fn start_watch(&self) {
        let moment = Moment::now();
        self.inner.start_watch(moment.now_ns, moment.awake_ns);
    }

    /// That thread has ended.
    fn stop_watch(&self) {
        self.inner.stop_watch();
    }

    /// Look at `now_ns`: after a gap, which is a pause, every book is stale until proven; else `judge_silence`.
    /// Readers of live books tick themselves after a second without a tick.
    fn tick<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let moment = Moment::now();
        read_wall(&self.inner);
        let tick = self.inner.tick(moment.now_ns, moment.awake_ns);
        events::classes(py)?.watch_tick(py, tick)
    }

    /// The machine or the process paused for that time: every synced book is stale until an update that
    /// was made afterwards, or a snapshot, proves it.
    fn pause(&self, reason: &str, since_ns: i64, now_ns: i64) {
        self.inner.pause(reason, since_ns, now_ns);
    }

    /// The event loop looks after its books at that time. How many pauses there were.
    fn attend(&self, now_ns: i64) -> u64 {
        self.inner.attend(now_ns)
    }

    /// Doubt books that nothing has proven in time, unless the event loop attended within 3 s (cause
    /// `doubted`; `proven` ends it).
    fn judge_silence(&self, now_ns: i64) {
        self.inner.judge_silence(now_ns);
    }

    /// The event loop has ended: every book is closed for good.
    fn close(&self, reason: &str, now_ns: i64) {
        self.inner.close(reason, now_ns);
    }

    /// Frames of this stream, which no market takes, come as `StreamFrame`, the newest each time.
    fn listen(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.listen(connection, stream))
    }

    /// Keep every frame from now on for `take_tapped`, as lines of JSON; beyond `most_bytes` they are
    /// counted as lost. `offset_ns`: from the clock of the frames to nanoseconds since 1970.
    fn start_tap(&self, most_bytes: usize, offset_ns: i64) {
        self.inner.start_tap(Tap::new(most_bytes, offset_ns));
    }

    /// Keep no more of them; what was not taken is gone.
    fn stop_tap(&self) {
        self.inner.stop_tap();
    }

    /// Put a line of the recorder's own, without its end, between the frames.
    fn tap_line(&self, line: &[u8]) {
        self.inner.tap_line(line);
    }

    /// What was kept since the last call.
    fn take_tapped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let made = events::classes(py)?;
        let (lines, lost) = py.detach(|| self.inner.take_tapped());
        made.tapped_lines(py, &lines, lost)
    }

    /// What the flight recorder of a market holds now.
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

    /// A follower of no market yet.
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

    /// Back to buffering (kept diffs and old levels stay): the book needs a new snapshot.
    fn resync(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.resync(market, reason, now_ns))
    }

    /// Back to buffering with an empty buffer: the diffs will come from a new connection.
    fn restart(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.restart(market, reason, now_ns))
    }

    /// Lay a condition over the machine state, or take it away (None).
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
    let made: PyResult<Vec<_>> = items.into_iter().map(make).collect();
    PyList::new(py, made?)
}

/// Between which times a snapshot was made.
fn snapshot_time(between_us: Option<(i64, i64)>) -> Option<SnapshotTime> {
    between_us.map(|(earliest_us, latest_us)| SnapshotTime {
        earliest_us,
        latest_us,
    })
}
