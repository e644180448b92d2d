//! The events and values of `depthcache.events`: its classes, found once, and how they are made.
//!
//! Not here: what causes an event (the book and transport crates) and what follows from it (the core).

use depthcache_book::events::{Comparison, Event, MarketChange};
use depthcache_book::market::arbitration::Feed;
use depthcache_book::market::delays::Delays;
use depthcache_book::market::refresh::RefreshOutcome;
use depthcache_book::recording::flight::RecordedSnapshot;
use depthcache_book::router::Traffic;
use depthcache_transport::Event as TransportEvent;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PyTuple, PyType};
use pyo3::{IntoPyObjectExt, intern};

use crate::raw::TupleClass;
use crate::values::{self, word};

/// Declares `Classes`: a field for each class of `depthcache.events`.
macro_rules! classes {
    ($($field:ident: $class:literal),+ $(,)?) => {
        /// The classes of `depthcache.events`.
        pub struct Classes {
            $($field: Py<PyType>,)+
            refresh_outcomes: Py<PyDict>,
            /// The follower that was announced last, and its event.
            last_ready: Mutex<Option<(u64, Py<PyAny>)>>,
        }

        static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

        /// The classes; found at the first call.
        pub fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
            CLASSES.get_or_try_init(py, || {
                let module = py.import("depthcache.events")?;
                Ok(Classes {
                    $($field: module.getattr($class)?.cast_into::<PyType>()?.unbind(),)+
                    refresh_outcomes: values::members(&module, "RefreshOutcome")?,
                    last_ready: Mutex::default(),
                })
            })
        }
    };
}

classes! {
    comparison: "Comparison",
    connection_alive: "ConnectionAlive",
    connection_closed: "ConnectionClosed",
    connection_opened: "ConnectionOpened",
    control_message: "ControlMessage",
    delay_histogram: "DelayHistogram",
    feed_info: "FeedInfo",
    flight_frame: "FlightFrame",
    flight_snapshot: "FlightSnapshot",
    follower_ready: "FollowerReady",
    heard_diff: "HeardDiff",
    late_market: "LateMarket",
    market_change: "MarketChange",
    refresh_result: "RefreshResult",
    shallow_market: "ShallowMarket",
    stray_frame: "StrayFrame",
    stream_frame: "StreamFrame",
    tapped_lines: "TappedLines",
    traffic: "Traffic",
    transport_resumed: "TransportResumed",
    transport_stopped: "TransportStopped",
    watch_tick: "WatchTick",
}

/// An instance of a dataclass, its fields given by name.
macro_rules! made {
    ($py:ident, $class:expr, $($field:ident: $value:expr),+ $(,)?) => {{
        let fields = PyDict::new($py);
        $(fields.set_item(intern!($py, stringify!($field)), $value)?;)+
        $class.bind($py).call((), Some(&fields))
    }};
}

/// An instance of a named tuple, its fields given in their order.
macro_rules! tuple {
    ($py:ident, $class:expr, $($value:expr),+ $(,)?) => {{
        let fields = [$($value.into_bound_py_any($py)?),+];
        TupleClass::new($class.bind($py).clone()).make($py, fields)
    }};
}

impl Classes {
    /// What `Router.take_events` gives.
    pub fn event<'py>(&'py self, py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyAny>> {
        match event {
            Event::Market(change) => self.change(py, change),
            Event::Control(message) => made!(
                py, self.control_message,
                connection: message.connection,
                payload: PyBytes::new(py, &message.payload),
                at_ns: message.at_ns,
            ),
            Event::Stream(came) => made!(
                py, self.stream_frame,
                connection: came.connection,
                stream: came.stream,
                frame: PyBytes::new(py, &came.frame),
                skipped: came.skipped,
                at_ns: came.at_ns,
            ),
            Event::FollowerReady(follower) => self.ready(py, follower),
            Event::Stray(stray) => made!(
                py, self.stray_frame,
                connection: stray.connection,
                what: word(py, stray.what.as_str()),
                detail: stray.detail,
                count: stray.count,
                at_ns: stray.at_ns,
            ),
        }
    }

    /// The event of a follower, which is constant; most often it is the one that was made last.
    fn ready<'py>(&'py self, py: Python<'py>, follower: u64) -> PyResult<Bound<'py, PyAny>> {
        let mut last = self.last_ready.try_lock();
        if let Some(Some((number, event))) = last.as_deref()
            && *number == follower
        {
            return Ok(event.bind(py).clone());
        }
        let event = tuple!(py, self.follower_ready, follower)?;
        if let Some(last) = &mut last {
            **last = Some((follower, event.clone().unbind()));
        }
        Ok(event)
    }

    fn change<'py>(
        &'py self,
        py: Python<'py>,
        change: MarketChange,
    ) -> PyResult<Bound<'py, PyAny>> {
        let causes = change.causes.iter().map(|cause| word(py, cause.as_str()));
        let comparison = change.comparison.map(|found| self.comparison(py, found));
        made!(
            py, self.market_change,
            market: change.market,
            causes: PyFrozenSet::new(py, causes)?,
            status: values::classes(py)?.status(py, change.status)?,
            reason: change.reason,
            at_ns: change.at_ns,
            comparison: comparison.transpose()?,
        )
    }

    /// What `Transport.take_events` gives.
    pub fn transport_event<'py>(
        &'py self,
        py: Python<'py>,
        event: TransportEvent,
    ) -> PyResult<Bound<'py, PyAny>> {
        match event {
            TransportEvent::Open(number) => made!(py, self.connection_opened, connection: number),
            TransportEvent::Alive(number) => made!(py, self.connection_alive, connection: number),
            TransportEvent::Resumed => self.transport_resumed.bind(py).call0(),
            TransportEvent::Stopped => self.transport_stopped.bind(py).call0(),
            TransportEvent::Closed {
                connection,
                code,
                reason,
                refusal,
            } => {
                let status = refusal.as_ref().map(|answer| answer.status);
                let (retry_after, date) = refusal
                    .map(|answer| (answer.retry_after, answer.date))
                    .unwrap_or_default();
                made!(
                    py, self.connection_closed,
                    connection: connection,
                    code: code,
                    reason: reason,
                    status: status,
                    retry_after: retry_after,
                    date: date,
                )
            }
        }
    }

    fn comparison<'py>(
        &'py self,
        py: Python<'py>,
        found: Comparison,
    ) -> PyResult<Bound<'py, PyAny>> {
        let tally = found.tally;
        tuple!(
            py,
            self.comparison,
            found.update_id,
            tally.checked,
            tally.differing,
            tally.missing,
            tally.extra
        )
    }

    /// A `RefreshResult`.
    pub fn refresh_result<'py>(
        &'py self,
        py: Python<'py>,
        outcome: RefreshOutcome,
    ) -> PyResult<Bound<'py, PyAny>> {
        let comparison = outcome.comparison().map(|found| self.comparison(py, found));
        let words = self.refresh_outcomes.bind(py).as_any();
        tuple!(
            py,
            self.refresh_result,
            words.get_item(outcome.as_str())?,
            comparison.transpose()?
        )
    }

    /// A `FeedInfo`.
    pub fn feed_info<'py>(&'py self, py: Python<'py>, feed: &Feed) -> PyResult<Bound<'py, PyAny>> {
        tuple!(
            py,
            self.feed_info,
            feed.connection,
            feed.joined,
            feed.heard_ns
        )
    }

    /// A `Traffic`.
    pub fn traffic<'py>(&'py self, py: Python<'py>, came: &Traffic) -> PyResult<Bound<'py, PyAny>> {
        tuple!(
            py,
            self.traffic,
            came.frames,
            came.bytes,
            came.heard_ns,
            came.data_ns
        )
    }

    /// A `HeardDiff`.
    pub fn heard_diff<'py>(
        &'py self,
        py: Python<'py>,
        (received_ns, event_time_us): (i64, Option<i64>),
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.heard_diff, received_ns, event_time_us)
    }

    /// A `LateMarket`.
    pub fn late_market<'py>(
        &'py self,
        py: Python<'py>,
        (market, late_us, received_ns): (u64, i64, i64),
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.late_market, market, late_us, received_ns)
    }

    /// A `ShallowMarket`.
    pub fn shallow_market<'py>(
        &'py self,
        py: Python<'py>,
        (market, covered, asked): (u64, Option<usize>, usize),
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.shallow_market, market, covered, asked)
    }

    /// A `DelayHistogram`.
    pub fn delay_histogram<'py>(
        &'py self,
        py: Python<'py>,
        delays: &Delays,
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(
            py,
            self.delay_histogram,
            PyTuple::new(py, delays.counts)?,
            delays.sum_us
        )
    }

    /// A `WatchTick`.
    pub fn watch_tick<'py>(
        &'py self,
        py: Python<'py>,
        (pauses, has_events): (u64, bool),
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.watch_tick, pauses, has_events)
    }

    /// A `TappedLines`.
    pub fn tapped_lines<'py>(
        &'py self,
        py: Python<'py>,
        lines: &[u8],
        lost_frames: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.tapped_lines, PyBytes::new(py, lines), lost_frames)
    }

    /// A `FlightFrame`.
    pub fn flight_frame<'py>(
        &'py self,
        py: Python<'py>,
        received_ns: i64,
        frame: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        tuple!(py, self.flight_frame, received_ns, PyBytes::new(py, frame))
    }

    /// A `FlightSnapshot`.
    pub fn flight_snapshot<'py>(
        &'py self,
        py: Python<'py>,
        taken: &RecordedSnapshot,
    ) -> PyResult<Bound<'py, PyAny>> {
        let body = PyBytes::new(py, &taken.body);
        tuple!(
            py,
            self.flight_snapshot,
            taken.after,
            taken.at_ns,
            taken.limit,
            body
        )
    }
}
