//! `/v1/stream`: the messages of one subscription as server-sent events, for clients that only read.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use serde_json::{Map, Value};

use super::reader::Reader;
use super::reply::{reply, written};
use super::request::{FIELDS, SubscriptionSpec, unfollowed};
use crate::access::Lease;
use crate::call::Call;
use crate::following;
use crate::problem::Problem;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::views::Format;

/// Open a stream of the books that the query names.
pub async fn stream(call: &Call<'_>) -> Result<Response, Problem> {
    let shared = call.shared;
    let mut fields: Map<String, Value> = FIELDS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), call.query.get(name)?.into())))
        .collect();
    let last = call.request.headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.split_once('-'));
    // An id of several books says nothing; so does one of another client.
    let is_one = |fields: &Map<String, Value>| {
        let names = fields.get("symbols").and_then(Value::as_str);
        names.is_some_and(|names| !names.contains([',', '*', '?']))
    };
    if let Some((server, id)) = last
        && id.parse::<i64>().is_ok()
        && is_one(&fields)
    {
        fields.insert("server".to_owned(), server.into());
        fields.insert("resume".to_owned(), id.into());
    }
    if call.cluster().is_some() {
        following::follow_all(shared, unfollowed(&fields, shared)?).await?;
    }
    let address = call.sender().map(|sender| sender.address);
    let mut reader = Reader::new(
        shared.clone(),
        Format::Events,
        address,
        call.cluster().cloned(),
    );
    reader.subscribe(SubscriptionSpec::parse(&fields, &shared.registry)?)?;
    shared.statistics.streams.fetch_add(1, Ordering::Relaxed);
    let mut ending = shared.ending.subscribe();
    let is_node = call.sender().is_some_and(Sender::is_node);
    let events = Events {
        reader,
        lease: shared
            .tokens
            .lease(&call.request.headers)
            .filter(|_| !is_node),
        is_over: false,
        ending: Box::pin(async move {
            let _ = ending.wait_for(|ending| *ending).await;
        }),
        shared: shared.clone(),
        polled: Instant::now(),
        is_waiting: false,
    };
    let mut response = Response::new(Body::new(events));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    // Proxies that collect a response before they pass it on would hold it for ever.
    let unbuffered = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", unbuffered);
    Ok(response)
}

/// The body of a stream.
struct Events {
    reader: Reader,
    /// What the token of the client permits.
    lease: Option<Lease>,
    is_over: bool,
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
    shared: Arc<Shared>,
    /// When the client took something last, and whether it had all there was then.
    polled: Instant,
    is_waiting: bool,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.polled = Instant::now();
        if self.is_over || self.ending.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        let lease = self.lease.as_mut();
        if lease.is_some_and(|lease| lease.as_mut().poll(context).is_ready()) {
            self.is_over = true;
            let last = reply(None, Err(Problem::unauthorized()));
            let last = written(&last, "error", Format::Events);
            return Poll::Ready(Some(Ok(Frame::data(last.into_data()))));
        }
        let next = self.reader.poll_next(context);
        self.is_waiting = next.is_pending();
        next.map(|message| Some(Ok(Frame::data(message.into_data()))))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let statistics = &self.shared.statistics;
        statistics.streams.fetch_sub(1, Ordering::Relaxed);
        if !self.is_waiting && self.polled.elapsed() >= self.shared.limits.idle {
            statistics.slow.fetch_add(1, Ordering::Relaxed);
        }
    }
}
