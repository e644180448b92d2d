//! `Router` and `BookReader` as the other modules need them: what they hold. Their methods in Python: `router`, `reader`.

use std::sync::Arc;

use depthcache_book::market::MarketCell;
use depthcache_book::query::ReadPolicy;
use depthcache_book::router::Router as Inner;
use pyo3::prelude::*;

use crate::errors;
use crate::kept::Kept;
use crate::source::{ReadRequest, Source};

/// All markets of one client, and the routes of frames to them.
///
/// Usage: `add_market`, `open_connection`, `route`, then `feed` for every frame; when `feed` returns True,
/// `take_events`. Market and connection numbers are chosen by the caller and never reused.
#[pyclass(frozen, module = "depthcache._native")]
pub struct Router {
    pub(crate) inner: Arc<Inner>,
}

impl Router {
    /// The router itself, to be fed without Python.
    pub fn inner(&self) -> Arc<Inner> {
        self.inner.clone()
    }

    /// The market itself, for readers.
    pub fn cell(&self, py: Python<'_>, market: u64) -> PyResult<Arc<MarketCell>> {
        self.inner
            .market(market)
            .map_err(|why| errors::router(py, &why, b""))
    }
}

/// The read methods shared by live books, frozen books and the offline `Book`.
///
/// Reads of levels raise `BookNotSynced` or `BookClosed` unless the status is `synced` or the reader serves
/// stale data, and `BookTooOld` if a `max_age` is exceeded. `status`, `reason`, the times, `complete_to`,
/// `coverage`, `last_update_id` and `repr` never raise.
///
/// There are three clocks: names in `…_ns` use the monotonic clock `depthcache.now_ns`, for durations and
/// ages; names in `…_at` are UTC datetimes of this machine's system clock; `event_time` and `event_time_us`
/// use the exchange's clock. Times are None before the first snapshot; the `…_at` times of an offline `Book`
/// are always None.
///
/// `BookReader` returns floats; `BookReader[Decimal]` is the type of `exact`; annotate `BookReader[float |
/// Decimal]` to accept both. You may subclass it: `BookReader(router, market)` reads a market of a router.
#[pyclass(frozen, subclass, module = "depthcache")]
pub struct BookReader {
    pub(crate) source: Source,
    pub(crate) policy: ReadPolicy,
    pub(crate) exact: bool,
    pub(crate) kept: Kept,
}

impl BookReader {
    /// A reader that has read nothing yet.
    pub fn of(source: Source, policy: ReadPolicy, exact: bool) -> Self {
        Self {
            source,
            policy,
            exact,
            kept: Kept::default(),
        }
    }

    /// A reader of a book fed by hand.
    pub fn offline(cell: Arc<MarketCell>, exact: bool, serve_stale: bool) -> Self {
        let policy = ReadPolicy {
            serve_stale,
            max_age_ns: None,
        };
        Self::of(Source::Offline(cell), policy, exact)
    }

    /// The book, for those who read it in their own way.
    pub fn request(&self) -> ReadRequest<'_> {
        ReadRequest {
            source: &self.source,
            policy: self.policy,
        }
    }

    /// Whether its numbers are Decimals.
    pub fn is_exact(&self) -> bool {
        self.exact
    }
}
