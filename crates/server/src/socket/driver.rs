//! One WebSocket: sends what its session gives while the client takes it, and bounds what the client sends.
//!
//! A session is asked for the next message only while the socket takes more, so nothing queues here but one message
//! and a small buffer. A client that takes nothing for `Limits::idle` is closed (the stream below gives up) and
//! counted as slow.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{Sink, Stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant as Due, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::{Closing, Outgoing};
use crate::access::Lease;
use crate::limits::Limits;
use crate::peers::Bucket;
use crate::shared::Shared;

/// What is said on a WebSocket.
pub trait Session: Send + 'static {
    /// A message came: text or binary, whole. It may come while the client takes nothing, so answers must be
    /// bounded. An error closes the socket, after what `poll_next` still gives.
    fn on_message(&mut self, message: Message) -> Result<(), Closing>;

    /// What to do next. Asked only while the client takes more; when there is nothing, the task is to be woken once
    /// there is something, or a time of the session's own has come.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Outgoing>;

    /// What lets the client in; None where nothing of it ends. It is closed when that ends, whatever waits for it.
    fn lease(&mut self) -> Option<&mut Lease>;
}

/// So long a client may take to answer the end of a socket.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Messages that are sent before the client is heard again.
const BURST: usize = 64;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What happened to a socket.
enum Event {
    Message(Message),
    Close(Closing),
    Ended(Option<Error>),
    Idle,
}

/// Serve a socket to its end. `stop` changes when the server ends.
pub async fn run<S: Session>(
    stream: Upgraded,
    session: S,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let stream = TokioIo::new(stream);
    let config = config(&shared.limits);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let _open = Open::count(&shared);
    let mut driver = Driver {
        socket,
        session,
        shared: &shared,
        heard: Instant::now(),
        pinged: false,
        is_blocked: false,
        is_broken: false,
        refused: None,
        bucket: Bucket::full(shared.limits.messages_per_second),
    };
    let closing = driver.serve(&mut stop).await;
    driver.close(closing.as_ref()).await;
}

fn config(limits: &Limits) -> WebSocketConfig {
    /// Per connection: it is allocated at once, and what clients send is small.
    const READ_BUFFER: usize = 4 << 10;
    /// Messages that wait for one another are written together up to this.
    const WRITE_BUFFER: usize = 16 << 10;
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes))
}

struct Driver<'a, S> {
    socket: Socket,
    session: S,
    shared: &'a Shared,
    /// When something came last, and whether the client was asked for a sign of life since.
    heard: Instant,
    pinged: bool,
    /// The client takes nothing now.
    is_blocked: bool,
    /// What the client sends cannot be read any more.
    is_broken: bool,
    /// To be closed once the session has nothing more to say.
    refused: Option<Closing>,
    bucket: Bucket,
}

impl<S: Session> Driver<'_, S> {
    /// Until the socket has ended or its client ends it (None), or is to be closed.
    async fn serve(&mut self, stop: &mut watch::Receiver<bool>) -> Option<Closing> {
        loop {
            let silent_until = Due::from_std(self.silent_until());
            let event = tokio::select! {
                event = poll_fn(|context| self.poll(context)) => event,
                () = sleep_until(silent_until) => Event::Idle,
                _ = stop.wait_for(|stop| *stop) => Event::Close(Closing::GOING_AWAY),
            };
            match event {
                Event::Message(Message::Close(_)) => return None, // tungstenite answers it
                Event::Message(message) => {
                    self.heard = Instant::now();
                    self.pinged = false;
                    self.refused = self.on_message(message).err();
                }
                Event::Close(closing) => return Some(closing),
                Event::Ended(why) => {
                    self.is_broken = why.is_some();
                    return self.on_end(why);
                }
                Event::Idle if self.pinged => {
                    let statistics = &self.shared.statistics;
                    let count = if self.is_blocked {
                        &statistics.slow
                    } else {
                        &statistics.idle
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    return Some(Closing::policy("no sign of life"));
                }
                Event::Idle => {
                    self.pinged = true;
                    let ping = Message::Ping(Bytes::new());
                    if let Err(why) = Pin::new(&mut self.socket).start_send(ping) {
                        return self.on_end(Some(why));
                    }
                }
            }
        }
    }

    /// Send while the client takes it, and read.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let lease = self.session.lease();
        if lease.is_some_and(|lease| lease.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Event::Close(Closing::UNAUTHORIZED));
        }
        let mut has_more = true;
        for _ in 0..BURST {
            let mut socket = Pin::new(&mut self.socket);
            let is_ready = socket.as_mut().poll_ready(context);
            self.is_blocked = is_ready.is_pending();
            match is_ready {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return Poll::Ready(Event::Ended(Some(why))),
                Poll::Pending => break,
            }
            match self.session.poll_next(context) {
                Poll::Ready(Outgoing::Message(message)) => {
                    self.shared.statistics.sent.fetch_add(1, Ordering::Relaxed);
                    if let Err(why) = socket.start_send(message) {
                        return Poll::Ready(Event::Ended(Some(why)));
                    }
                }
                Poll::Ready(Outgoing::Close(closing)) => return Poll::Ready(Event::Close(closing)),
                Poll::Pending => {
                    has_more = false;
                    break;
                }
            }
        }
        let mut socket = Pin::new(&mut self.socket);
        if let Poll::Ready(Err(why)) = socket.as_mut().poll_flush(context) {
            return Poll::Ready(Event::Ended(Some(why)));
        }
        if has_more && !self.is_blocked {
            context.waker().wake_by_ref(); // after others had a turn
        }
        if let Some(closing) = &self.refused {
            return match self.is_blocked {
                true => Poll::Pending,
                false => Poll::Ready(Event::Close(closing.clone())),
            };
        }
        match socket.poll_next(context) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Event::Message(message)),
            Poll::Ready(Some(Err(why))) => Poll::Ready(Event::Ended(Some(why))),
            Poll::Ready(None) => Poll::Ready(Event::Ended(None)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn on_message(&mut self, message: Message) -> Result<(), Closing> {
        self.shared
            .statistics
            .received
            .fetch_add(1, Ordering::Relaxed);
        if !self.bucket.take(self.shared.limits.messages_per_second) {
            return Err(Closing::policy("too many messages"));
        }
        match message {
            Message::Text(_) | Message::Binary(_) => self.session.on_message(message),
            _ => Ok(()), // pongs, and what tungstenite answers
        }
    }

    /// When the client is to have given a sign of life.
    fn silent_until(&self) -> Instant {
        let periods = if self.pinged { 2 } else { 1 };
        self.heard + periods * self.shared.limits.idle
    }

    /// What to tell the client, where it can be told anything.
    fn on_end(&self, why: Option<Error>) -> Option<Closing> {
        let closing = |code, reason| Some(Closing { code, reason });
        match why? {
            Error::Io(why) if why.kind() == ErrorKind::TimedOut => {
                self.shared.statistics.slow.fetch_add(1, Ordering::Relaxed);
                None
            }
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                closing(CloseCode::Size, "the message is too large")
            }
            Error::Utf8(_) => closing(CloseCode::Invalid, "a text must be UTF-8"),
            Error::Protocol(_) | Error::Capacity(_) => {
                closing(CloseCode::Protocol, "not as RFC 6455 has it")
            }
            _ => None,
        }
    }

    /// Tell the client why, and wait for its answer, but not for long.
    async fn close(&mut self, closing: Option<&Closing>) {
        let socket = &mut self.socket;
        let told = async {
            if let Some(closing) = closing {
                let _ = socket.close(Some(closing.frame())).await;
            }
            if !self.is_broken {
                // What the client sent before it learned of the end is read and dropped.
                while let Some(Ok(_)) =
                    poll_fn(|context| Pin::new(&mut *socket).poll_next(context)).await
                {
                }
                let _ = socket.get_mut().shutdown().await;
            }
            // The same below the WebSocket: unread bytes would make the system drop our last words. A client that
            // still sends gets no end of stream from us, at which some give up before they read why.
            let mut dropped = [0; 4 << 10];
            let stream = socket.get_mut();
            while stream.read(&mut dropped).await.is_ok_and(|read| read > 0) {}
        };
        let _ = timeout(LAST_WORDS.min(self.shared.limits.idle), told).await;
    }
}

/// A socket that counts as open until it is dropped.
struct Open<'a>(&'a Shared);

impl Open<'_> {
    fn count(shared: &Shared) -> Open<'_> {
        shared.statistics.sockets.fetch_add(1, Ordering::Relaxed);
        Open(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.statistics.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}
