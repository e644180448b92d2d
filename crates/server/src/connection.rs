//! One connection: served until its client leaves, it is idle or slow, or the server ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::header::UPGRADE;
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant as Due, sleep_until};

use crate::entrance::{self, Entry};
use crate::limits::Limits;
use crate::sender::Sender;
use crate::shared::Shared;

/// What a connection does now: requests that are answered, and when the last one was done.
#[derive(Debug)]
struct Activity {
    began: Instant,
    in_flight: AtomicUsize,
    done_ms: AtomicU64,
}

impl Activity {
    fn new() -> Activity {
        Activity {
            began: Instant::now(),
            in_flight: AtomicUsize::new(0),
            done_ms: AtomicU64::new(0),
        }
    }

    /// When the connection has been idle for so long; None while it is not idle.
    fn idle_until(&self, idle: Duration) -> Option<Instant> {
        let done = self.began + Duration::from_millis(self.done_ms.load(Ordering::Acquire));
        (self.in_flight.load(Ordering::Acquire) == 0).then_some(done + idle)
    }
}

/// A request in flight: until its response's body was taken, or dropped.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn begin(activity: &Arc<Activity>) -> InFlight {
        activity.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(activity.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let done_ms = self.0.began.elapsed().as_millis() as u64;
        self.0.done_ms.store(done_ms, Ordering::Release);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// When the client of an HTTP/2 connection last took bytes of each response. A client that opens no window takes
/// nothing, which the timeout of writes does not see.
#[derive(Clone, Default)]
struct Outgoing(Arc<Mutex<Vec<Weak<Taken>>>>);

impl Outgoing {
    fn begin(&self) -> Arc<Taken> {
        /// Finished responses are dropped when there are so many.
        const MANY: usize = 64;
        let taken = Arc::new(Taken(Mutex::new(Some(Instant::now()))));
        let mut all = self.0.lock();
        if all.len() == all.capacity().max(MANY) {
            all.retain(|taken| taken.strong_count() > 0);
        }
        all.push(Arc::downgrade(&taken));
        taken
    }

    /// Whether the client took nothing of a response for `most`, although there was something.
    fn is_stuck(&self, most: Duration) -> bool {
        let mut all = self.0.lock();
        all.retain(|taken| taken.strong_count() > 0);
        let mut living = all.iter().filter_map(Weak::upgrade);
        living.any(|taken| taken.0.lock().is_some_and(|at| at.elapsed() >= most))
    }
}

/// When bytes of a response were last taken; None while there are none to take.
struct Taken(Mutex<Option<Instant>>);

/// Bytes of a response, until they are taken.
struct CountedBody {
    bytes: Bytes,
    taken: Option<Arc<Taken>>,
}

impl Buf for CountedBody {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        if let Some(taken) = &self.taken {
            *taken.0.lock() = Some(Instant::now());
        }
        self.bytes.advance(count);
    }
}

/// The body of a response, which keeps its request in flight.
struct Sent {
    body: Body,
    /// Only with HTTP/2.
    taken: Option<Arc<Taken>>,
    _in_flight: InFlight,
}

impl http_body::Body for Sent {
    type Data = CountedBody;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<CountedBody>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(taken) = &self.taken {
            *taken.0.lock() = polled.is_ready().then(Instant::now);
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| CountedBody {
                bytes,
                taken: self.taken.clone(),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a connection becomes after the response to a request, if anything: its stream is taken over. It comes with
/// every request that asks for an upgrade, in its extensions.
#[derive(Clone, Default)]
pub struct Takeover(Arc<Mutex<Option<(OnUpgrade, Successor)>>>);

type Served = Pin<Box<dyn Future<Output = ()> + Send>>;
type Successor = Box<dyn FnOnce(Upgraded, watch::Receiver<bool>) -> Served + Send>;

impl Takeover {
    /// Serve the stream with `successor` from now on. It gets what changes when the server ends, and is waited for.
    pub fn set(
        &self,
        upgrade: OnUpgrade,
        successor: impl FnOnce(Upgraded, watch::Receiver<bool>) -> Served + Send + 'static,
    ) {
        *self.0.lock() = Some((upgrade, Box::new(successor)));
    }

    async fn run(self, stop: watch::Receiver<bool>) {
        let successor = self.0.lock().take();
        if let Some((upgrade, serve)) = successor
            && let Ok(stream) = upgrade.await
        {
            serve(stream, stop).await;
        }
    }
}

/// Serve a connection to its end. `stop` changes when the server ends: requests in flight are answered, then it is
/// closed.
pub async fn serve<S>(
    stream: S,
    shared: Arc<Shared>,
    entry: Entry,
    sender: Sender,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits;
    let activity = Arc::new(Activity::new());
    let takeover = Takeover::default();
    let outgoing = Outgoing::default();
    let service = {
        let outgoing = outgoing.clone();
        let (shared, activity, takeover) = (shared.clone(), activity.clone(), takeover.clone());
        service_fn(move |mut request: Request<Incoming>| {
            if request.headers().contains_key(UPGRADE) {
                request.extensions_mut().insert(takeover.clone());
            }
            let in_flight = InFlight::begin(&activity);
            let outgoing = (request.version() == Version::HTTP_2).then(|| outgoing.clone());
            let (shared, sender, entry) = (shared.clone(), sender.clone(), entry.clone());
            let answered = entrance::respond(shared, sender, entry, request);
            async move {
                let response = answered.await;
                Ok::<_, Infallible>(response.map(|body| Sent {
                    body,
                    taken: outgoing.as_ref().map(Outgoing::begin),
                    _in_flight: in_flight,
                }))
            }
        })
    };
    let builder = builder(&limits);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = Box::pin(connection);
    let mut idle_until = activity.began + limits.idle;
    let mut is_ending = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = sleep_until(Due::from_std(idle_until)) => {
                if outgoing.is_stuck(limits.idle) {
                    shared.statistics.slow.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                match activity.idle_until(limits.idle) {
                    Some(until) if until <= Instant::now() => {
                        shared.statistics.idle.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    until => idle_until = until.unwrap_or_else(|| Instant::now() + limits.idle),
                }
            }
            _ = stop.changed(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
                if activity.idle_until(limits.idle).is_some_and(|_| activity.done_ms.load(Ordering::Acquire) == 0) {
                    return; // nothing was ever asked: there is nothing to finish
                }
            }
        }
    }
    drop(connection); // otherwise a client that left before the response would be awaited forever
    takeover.run(stop).await;
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    /// The fewest bytes that hyper takes for a head.
    const FEWEST: usize = 8 << 10;
    const STREAMS: u32 = 128;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .header_read_timeout(None) // `serve` looks at idle and slow senders, with one timer for all
        .max_buf_size(limits.header_bytes.max(FEWEST))
        .pipeline_flush(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(limits.idle);
    builder
}
