//! `Router`: all markets of one client and the way of each frame to its market.

use std::sync::Arc;

use depthcache_book::events::Event;
use depthcache_book::market::arbitration::Feed;
use depthcache_book::market::sequence::SnapshotTime;
use depthcache_book::recording::tap::Tap;
use depthcache_book::router::{
    BUFFER_BYTES, CONTROL_CAPACITY, FLIGHT_BYTES, Router as Inner, RouterError,
};
use depthcache_book::status::Condition;
use depthcache_transport::Moment;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyList, PyString};

use crate::events::{ControlMessage, FollowerReady, MarketChange, StrayFrame, StreamFrame};
use crate::follow::{Follower, follow_spec};
use crate::frozen::FrozenBook;
use crate::handles::{BookReader, Router};
use crate::offline::parse_rules;
use crate::values::{classes, word};
use crate::{errors, input};

/// Frames, bytes, when the last frame and the last diff were received.
type TrafficRow = (u64, u64, Option<i64>, Option<i64>);

/// Update id, checked, differing, missing, extra.
type ComparisonRow = (i64, u64, u64, u64, u64);

/// What the flight recorder of a market holds.
#[pyclass(frozen, get_all, module = "depthcache._native")]
pub struct FlightLog {
    frames: Vec<(i64, Py<PyBytes>)>,
    snapshot: Option<(usize, i64, Option<usize>, Py<PyBytes>)>,
    book: Py<FrozenBook>,
}

/// The Python error of what the router refuses.
fn or_raise<T>(py: Python<'_>, result: Result<T, RouterError>) -> PyResult<T> {
    result.map_err(|why| errors::router(py, &why, b""))
}

#[pymethods]
impl Router {
    fn __reduce__<'py>(&self) -> PyResult<crate::portable::Reduced<'py>> {
        let instead = "pickle router.reader(market).freeze()";
        Err(crate::errors::not_portable("a router", instead))
    }

    #[new]
    #[pyo3(signature = (
        *, control_capacity = CONTROL_CAPACITY, buffer_bytes = BUFFER_BYTES, flight_bytes = FLIGHT_BYTES
    ))]
    fn new(control_capacity: usize, buffer_bytes: usize, flight_bytes: usize) -> Self {
        Self {
            inner: Arc::new(Inner::new(control_capacity, buffer_bytes, flight_bytes)),
        }
    }

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

    fn remove_market(
        &self,
        py: Python<'_>,
        market: u64,
        reason: &str,
        now_ns: i64,
    ) -> PyResult<()> {
        or_raise(py, self.inner.remove_market(market, reason, now_ns))
    }

    #[pyo3(signature = (market, *, serve_stale = false))]
    fn reader(&self, py: Python<'_>, market: u64, serve_stale: bool) -> PyResult<BookReader> {
        BookReader::new(py, self, market, serve_stale)
    }

    fn open_connection(&self, py: Python<'_>, connection: u64) -> PyResult<()> {
        or_raise(py, self.inner.open_connection(connection))
    }

    fn close_connection(&self, py: Python<'_>, connection: u64) -> PyResult<()> {
        or_raise(py, self.inner.close_connection(connection))
    }

    fn route(&self, py: Python<'_>, connection: u64, stream: &str, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.route(connection, stream, market))
    }

    fn unroute(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.unroute(connection, stream))
    }

    fn feed(
        &self,
        py: Python<'_>,
        connection: u64,
        frame: &Bound<'_, PyAny>,
        received_ns: i64,
    ) -> PyResult<bool> {
        let bytes = input::bytes(frame, "frame")?;
        // The interpreter is let go only to wait: winning it back from a busy program costs 5 ms.
        match self.inner.try_feed(connection, &bytes, received_ns) {
            Some(told) => Ok(told),
            None => Ok(py.detach(|| self.inner.feed(connection, &bytes, received_ns))),
        }
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = self.inner.take_events();
        let found: PyResult<Vec<_>> = events
            .into_iter()
            .map(|event| to_python(py, event))
            .collect();
        PyList::new(py, found?)
    }

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

    /// Keep what is applied to a live book from now on; false: it is not live.
    fn begin_refresh(&self, py: Python<'_>, market: u64) -> PyResult<bool> {
        or_raise(py, self.inner.begin_refresh(market))
    }

    /// Forget a refresh that was begun.
    fn end_refresh(&self, py: Python<'_>, market: u64) -> PyResult<()> {
        or_raise(py, self.inner.end_refresh(market))
    }

    /// Compare a live book with a snapshot and merge it.
    #[pyo3(signature = (market, body, *, limit, now_ns, made_us = None))]
    fn refresh<'py>(
        &self,
        py: Python<'py>,
        market: u64,
        body: &Bound<'py, PyAny>,
        limit: Option<usize>,
        now_ns: i64,
        made_us: Option<(i64, i64)>,
    ) -> PyResult<Bound<'py, PyString>> {
        let bytes = input::bytes(body, "body")?;
        match py.detach(|| {
            self.inner
                .refresh(market, &bytes, limit, now_ns, snapshot_time(made_us))
        }) {
            Ok(outcome) => Ok(word(py, outcome.as_str())),
            Err(why) => Err(errors::router(py, &why, &bytes)),
        }
    }

    /// No diff came for a snapshot that waits.
    fn settle_refresh(&self, py: Python<'_>, market: u64, now_ns: i64) -> PyResult<bool> {
        or_raise(py, self.inner.settle_refresh(market, now_ns))
    }

    /// What the last refresh found: update id, checked, differing, missing, extra.
    fn compared(&self, py: Python<'_>, market: u64) -> PyResult<Option<ComparisonRow>> {
        let found = or_raise(py, self.inner.compared(market))?;
        Ok(found.map(|found| {
            let tally = found.tally;
            (
                found.update_id,
                tally.checked,
                tally.differing,
                tally.missing,
                tally.extra,
            )
        }))
    }

    /// When the newest diff of a market came, and its event time.
    fn heard(&self, py: Python<'_>, market: u64) -> PyResult<Option<(i64, Option<i64>)>> {
        or_raise(py, self.inner.heard(market))
    }

    /// The snapshot that is held was made between these times.
    fn date_snapshot(&self, py: Python<'_>, market: u64, made_us: (i64, i64)) -> PyResult<()> {
        let (earliest_us, latest_us) = made_us;
        let made = SnapshotTime {
            earliest_us,
            latest_us,
        };
        or_raise(py, self.inner.date_snapshot(market, made))
    }

    /// The markets whose newest diff was more than so late, how late, and when it came.
    fn late(&self, py: Python<'_>, most_us: i64) -> Vec<(u64, i64, i64)> {
        py.detach(|| self.inner.late(most_us))
    }

    fn set_clock_offset(
        &self,
        py: Python<'_>,
        market: u64,
        offset_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_clock_offset(market, offset_ns))
    }

    /// How late updates arrived: counts by powers of two of a microsecond, and their sum.
    fn delays(&self, py: Python<'_>, market: u64) -> PyResult<(Vec<u64>, u64)> {
        let delays = self.cell(py, market)?.lock().delays();
        Ok((delays.counts.to_vec(), delays.sum_us))
    }

    #[pyo3(signature = (market, levels, *, asked))]
    fn set_enough(&self, py: Python<'_>, market: u64, levels: usize, asked: usize) -> PyResult<()> {
        or_raise(py, self.inner.set_depth_target(market, levels, asked))
    }

    /// Of every live book that is not deep enough: number, levels inside the complete range, levels asked for.
    fn shallow(&self) -> Vec<(u64, Option<usize>, usize)> {
        self.inner.shallow()
    }

    /// The connections of a market: number, whether joined, when heard last.
    fn lines(&self, py: Python<'_>, market: u64) -> PyResult<Vec<(u64, bool, Option<i64>)>> {
        let feeds = or_raise(py, self.inner.feeds(market))?;
        let row = |feed: &Feed| (feed.connection, feed.joined, feed.heard_ns);
        Ok(feeds.iter().map(row).collect())
    }

    /// What came on a connection: frames, bytes, when the last one and the last diff were received.
    fn traffic(&self, py: Python<'_>, connection: u64) -> PyResult<TrafficRow> {
        let traffic = or_raise(py, self.inner.traffic(connection))?;
        Ok((
            traffic.frames,
            traffic.bytes,
            traffic.heard_ns,
            traffic.data_ns,
        ))
    }

    /// Whoever brings the frames stands still, or does so no longer (None).
    fn set_stalled(&self, py: Python<'_>, reason: Option<&str>, now_ns: i64) {
        py.detach(|| self.inner.set_stalled(reason, now_ns));
    }

    /// While the event loop does not judge silence, a book without proof for this long is stale.
    fn set_time_to_detect(
        &self,
        py: Python<'_>,
        market: u64,
        within_ns: Option<i64>,
    ) -> PyResult<()> {
        or_raise(py, self.inner.set_time_to_detect(market, within_ns))
    }

    /// Somebody calls `tick` from now on.
    fn start_watch(&self) {
        let moment = Moment::now();
        self.inner.start_watch(moment.now_ns, moment.awake_ns);
    }

    /// Nobody does any more.
    fn stop_watch(&self) {
        self.inner.stop_watch();
    }

    /// Look at the clock: pauses, and silence that nobody judges. How many pauses there were, and whether
    /// `take_events` has something to tell.
    fn tick(&self) -> (u64, bool) {
        let moment = Moment::now();
        self.inner.tick(moment.now_ns, moment.awake_ns)
    }

    /// The machine or the process paused: every book is stale until proven.
    fn pause(&self, reason: &str, since_ns: i64, now_ns: i64) {
        self.inner.pause(reason, since_ns, now_ns);
    }

    /// The event loop looks after its books. How many pauses there were.
    fn attend(&self, now_ns: i64) -> u64 {
        self.inner.attend(now_ns)
    }

    /// Doubt books that nothing has proven in time, unless the event loop looks after them.
    fn judge_silence(&self, now_ns: i64) {
        self.inner.judge_silence(now_ns);
    }

    /// Close every book for good.
    fn close(&self, reason: &str, now_ns: i64) {
        self.inner.close(reason, now_ns);
    }

    fn listen(&self, py: Python<'_>, connection: u64, stream: &str) -> PyResult<()> {
        or_raise(py, self.inner.listen(connection, stream))
    }

    /// Keep every frame for `take_tapped`, at most `most_bytes` of them.
    fn start_tap(&self, most_bytes: usize, offset_ns: i64) {
        self.inner.start_tap(Tap::new(most_bytes, offset_ns));
    }

    /// Keep no more of them; what was not taken is gone.
    fn stop_tap(&self) {
        self.inner.stop_tap();
    }

    /// Put a line of the recorder's own between the frames.
    fn tap_line(&self, line: &[u8]) {
        self.inner.tap_line(line);
    }

    /// The lines since the last call, and how many frames were lost after them.
    fn take_tapped<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, u64) {
        let (lines, lost) = py.detach(|| self.inner.take_tapped());
        (PyBytes::new(py, &lines), lost)
    }

    /// What the flight recorder of a market holds: frames, the last snapshot, the book.
    fn flight_log(&self, py: Python<'_>, market: u64) -> PyResult<FlightLog> {
        let cell = self.cell(py, market)?;
        let log = py.detach(|| cell.flight_log());
        let frames = log.frames.iter();
        let frames = frames.map(|(at_ns, frame)| (*at_ns, PyBytes::new(py, frame).unbind()));
        let snapshot = log.snapshot.map(|taken| {
            let body = PyBytes::new(py, &taken.body).unbind();
            (taken.after, taken.at_ns, taken.limit, body)
        });
        Ok(FlightLog {
            frames: frames.collect(),
            snapshot,
            book: FrozenBook::create(py, Arc::new(log.book), true)?,
        })
    }

    /// A follower of no market yet.
    #[pyo3(signature = (
        mode, *, levels = None, interval_ns = 0, start_ns = 0, on_stale = "raise",
        most_items = 1_000, most_bytes = 16 << 20, announces = true
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

    fn resync(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.resync(market, reason, now_ns))
    }

    fn restart(&self, py: Python<'_>, market: u64, reason: &str, now_ns: i64) -> PyResult<()> {
        or_raise(py, self.inner.restart(market, reason, now_ns))
    }

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

fn to_python(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    Ok(match event {
        Event::Market(change) => {
            let causes = PyFrozenSet::new(
                py,
                change.causes.iter().map(|cause| word(py, cause.as_str())),
            )?;
            let change = MarketChange {
                market: change.market,
                causes: causes.unbind(),
                status: classes(py)?.status(py, change.status)?.unbind(),
                reason: PyString::new(py, &change.reason).unbind(),
                at_ns: change.at_ns,
            };
            Bound::new(py, change)?.into_any()
        }
        Event::Control(message) => {
            let message = ControlMessage {
                connection: message.connection,
                payload: PyBytes::new(py, &message.payload).unbind(),
                at_ns: message.at_ns,
            };
            Bound::new(py, message)?.into_any()
        }
        Event::Stream(came) => {
            let came = StreamFrame {
                connection: came.connection,
                stream: PyString::new(py, &came.stream).unbind(),
                frame: PyBytes::new(py, &came.frame).unbind(),
                skipped: came.skipped,
                at_ns: came.at_ns,
            };
            Bound::new(py, came)?.into_any()
        }
        Event::FollowerReady(follower) => Bound::new(py, FollowerReady { follower })?.into_any(),
        Event::Stray(stray) => {
            let stray = StrayFrame {
                connection: stray.connection,
                what: word(py, stray.what.as_str()).unbind(),
                detail: PyString::new(py, &stray.detail).unbind(),
                count: stray.count,
                at_ns: stray.at_ns,
            };
            Bound::new(py, stray)?.into_any()
        }
    })
}

/// Between which times a snapshot was made.
fn snapshot_time(between_us: Option<(i64, i64)>) -> Option<SnapshotTime> {
    between_us.map(|(earliest_us, latest_us)| SnapshotTime {
        earliest_us,
        latest_us,
    })
}
