//! `Transport`: WebSockets on a native thread, whose frames go straight into a router.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use depthcache_book::router::Router as Books;
use depthcache_transport::{
    Fingerprint, FrameSink, Moment, Options, Proxy, ProxyKind, Secret, Target, Tick,
    Transport as Inner, clock,
};
use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::events;
use crate::fork::read_wall;
use crate::handles::Router;

/// Kind, host, port, and user with password.
type ProxyArgument = (String, String, u16, Option<(String, String)>);

struct RouterSink(Arc<Books>);

impl FrameSink for RouterSink {
    #[inline]
    fn on_frame(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool {
        self.0.feed(connection, frame, received_ns)
    }

    fn heard_ns(&self, connection: u64) -> Option<i64> {
        self.0.traffic(connection).ok()?.heard_ns
    }

    fn on_lost(&self, connection: u64, reason: &str, at_ns: i64) {
        self.0.on_lost(connection, reason, at_ns);
    }

    fn on_tick(&self, moment: Moment) -> Tick {
        let (pauses, has_events) = self.0.tick(moment.now_ns, moment.awake_ns);
        read_wall(&self.0);
        Tick { pauses, has_events }
    }

    fn on_stop(&self) {
        self.0.stop_watch();
    }
}

/// For benchmarks: how many frames a `Transport` receives, and, with `times`, how late each of them is by its
/// event time (µs since 1970). Counting alone costs nothing that could be measured.
#[pyclass(frozen, module = "depthcache._native")]
pub struct _Probe {
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    frames: AtomicU64,
    times: AtomicBool,
    delays_ns: Mutex<Vec<i64>>,
}

#[pymethods]
impl _Probe {
    #[new]
    #[pyo3(signature = (*, times = true))]
    fn new(times: bool) -> Self {
        let seen = Seen {
            times: AtomicBool::new(times),
            ..Seen::default()
        };
        Self {
            seen: Arc::new(seen),
        }
    }

    /// How many frames came.
    fn frames(&self) -> u64 {
        self.seen.frames.load(Ordering::Relaxed)
    }

    /// Measure delays from now on, or no more.
    fn set_times(&self, times: bool) {
        self.seen.times.store(times, Ordering::Relaxed);
    }

    /// The delays of all frames since the last call.
    fn take_delays_ns(&self) -> Vec<i64> {
        std::mem::take(&mut self.seen.delays_ns.lock())
    }
}

struct ProbeSink {
    books: Option<RouterSink>,
    seen: Arc<Seen>,
}

/// The first event time of a frame.
fn event_time(frame: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"\"E\":";
    let start = frame.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let digits = frame[start..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl FrameSink for ProbeSink {
    fn on_frame(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool {
        let has_events = self
            .books
            .as_ref()
            .is_some_and(|books| books.on_frame(connection, frame, received_ns));
        self.seen.frames.fetch_add(1, Ordering::Relaxed);
        if self.seen.times.load(Ordering::Relaxed)
            && let Some(sent_us) = event_time(frame)
        {
            let now_ns = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |passed| passed.as_nanos() as i64);
            let delay_ns = now_ns - 1_000 * sent_us;
            self.seen.delays_ns.lock().push(delay_ns);
        }
        has_events
    }

    fn heard_ns(&self, connection: u64) -> Option<i64> {
        self.books.as_ref()?.heard_ns(connection)
    }

    fn on_lost(&self, connection: u64, reason: &str, at_ns: i64) {
        if let Some(books) = &self.books {
            books.on_lost(connection, reason, at_ns);
        }
    }

    fn on_tick(&self, moment: Moment) -> Tick {
        self.books
            .as_ref()
            .map_or_else(Tick::default, |books| books.on_tick(moment))
    }

    fn on_stop(&self) {
        if let Some(books) = &self.books {
            books.on_stop();
        }
    }
}

/// WebSocket connections on a native thread, which passes frames directly to a router.
///
/// It never takes the interpreter lock. Usage: wait until `wake_socket` is readable, then call `take_events`;
/// `open` each connection number once; to end it, call `stop`, wait for the event `stopped`, then `join`.
/// Raises OSError if no thread can be started, ValueError for invalid times.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Transport {
    inner: Inner,
}

#[pymethods]
impl Transport {
    fn __reduce__<'py>(&self) -> PyResult<crate::portable::Reduced<'py>> {
        let instead = "create one in the other process instead";
        Err(crate::errors::not_portable("a transport", instead))
    }

    #[new]
    #[pyo3(signature = (router, *, quiet_s, pong_s, connect_s = 15.0, ca_file = None, fingerprint = None, certificate = None,
        token = None, _addresses = None, _probe = None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        router: Option<PyRef<'_, Router>>,
        quiet_s: f64,
        pong_s: f64,
        connect_s: f64,
        ca_file: Option<PathBuf>,
        fingerprint: Option<Fingerprint>,
        certificate: Option<(PathBuf, PathBuf)>,
        token: Option<String>,
        _addresses: Option<HashMap<String, Vec<IpAddr>>>,
        _probe: Option<PyRef<'_, _Probe>>,
    ) -> PyResult<Self> {
        let options = Options {
            authorities: ca_file,
            pinned: fingerprint,
            certificate,
            token: token.map(Secret),
            connecting: seconds("connect_s", connect_s)?,
            addresses: _addresses.unwrap_or_default(),
            quiet: seconds("quiet_s", quiet_s)?,
            patience: seconds("pong_s", pong_s)?,
        };
        let books = router.map(|router| {
            let (books, moment) = (router.inner(), Moment::now());
            books.start_watch(moment.now_ns, moment.awake_ns);
            RouterSink(books)
        });
        let sink: Arc<dyn FrameSink> = match (books, _probe) {
            (books, Some(probe)) => Arc::new(ProbeSink {
                books,
                seen: probe.seen.clone(),
            }),
            (Some(books), None) => Arc::new(books),
            (None, None) => return Err(PyValueError::new_err("router must be a Router, not None")),
        };
        let inner = Inner::start(sink, options)
            .map_err(|why| os_error(&why, &format!("cannot start the connection thread: {why}")))?;
        Ok(Self { inner })
    }

    /// The file descriptor of a socket that is readable while events wait; the caller must close it.
    fn wake_socket(&self) -> PyResult<u64> {
        let end = self.inner.wake_end().try_clone();
        let end = end.map_err(|why| os_error(&why, &why.to_string()))?;
        #[cfg(unix)]
        let number = u64::try_from(std::os::fd::IntoRawFd::into_raw_fd(end));
        #[cfg(windows)]
        let number = u64::try_from(std::os::windows::io::IntoRawSocket::into_raw_socket(end));
        number.map_err(|why| PyOSError::new_err(why.to_string()))
    }

    /// Whether this process is a fork of the one that runs the thread.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.inner.is_foreign()
    }

    /// Connect; results in the event `open` or `closed`.
    ///
    /// `proxy`: kind (http or socks5), host, port, and user with password. Raises ValueError for another
    /// kind.
    #[pyo3(signature = (connection, url, *, proxy = None))]
    fn open(&self, connection: u64, url: String, proxy: Option<ProxyArgument>) -> PyResult<()> {
        let proxy = proxy
            .map(|(kind, host, port, credentials)| {
                let kind = match kind.as_str() {
                    "http" => ProxyKind::Http,
                    "socks5" => ProxyKind::Socks5,
                    _ => {
                        return Err(PyValueError::new_err(format!(
                            "the proxy kind must be 'http' or 'socks5', not {kind:?}"
                        )));
                    }
                };
                Ok(Proxy {
                    kind,
                    host,
                    port,
                    credentials,
                })
            })
            .transpose()?;
        self.inner.open(connection, Target { url, proxy });
        Ok(())
    }

    /// Send one text message; no effect if the connection is gone.
    fn send(&self, connection: u64, text: String) {
        self.inner.send(connection, text);
    }

    /// Send a close frame; results in the event `closed`.
    fn close(&self, connection: u64) {
        self.inner.close(connection);
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let made = events::classes(py)?;
        let events = self.inner.take().into_iter();
        events
            .map(|event| made.transport_event(py, event))
            .collect()
    }

    /// Send close frames on all connections, and return immediately.
    ///
    /// After the timeout, the thread drops what is still open and ends.
    fn stop(&self, close_timeout_s: f64) -> PyResult<()> {
        self.inner
            .stop(seconds("close_timeout_s", close_timeout_s)?);
        Ok(())
    }

    /// Wait for the thread to end, after `stop`.
    fn join(&self, py: Python<'_>) {
        py.detach(|| self.inner.join());
    }
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!("{name} must be seconds, 0 or more, not {value}"))
    })
}

/// The clock that stamps frames, ages and deadlines.
#[pyfunction]
pub fn now_ns() -> i64 {
    clock::now_ns()
}

/// For tests: advance `now_ns`, as if the machine had slept for part of that time.
#[pyfunction]
#[pyo3(signature = (passed_ns, *, slept_ns = 0))]
pub fn _pretend(passed_ns: i64, slept_ns: i64) {
    clock::pretend(passed_ns, slept_ns);
}

/// An `OSError` with its number, where the system gave one.
fn os_error(why: &std::io::Error, text: &str) -> PyErr {
    match why.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text.to_owned())),
        None => PyOSError::new_err(text.to_owned()),
    }
}
