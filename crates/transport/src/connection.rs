//! One connection, from the first packet to the reason why it ended.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use rustls::ClientConfig;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::clock;
use crate::connect::{Socket, Target, connect};
use crate::event::{Event, Queue};
use crate::{FrameSink, words};

/// How long the other side may take to answer a closing handshake.
const CLOSING: Duration = Duration::from_secs(1);

/// How long the answer to a ping after a pause may take.
const AWAKE: Duration = Duration::from_secs(2);

/// What that ping carries: frames that waited in the socket answer nothing, nor do earlier pongs.
const AWAKE_PAYLOAD: &[u8] = b"awake";

/// Everything a connection needs to know of its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    pub sink: Arc<dyn FrameSink>,
    pub queue: Arc<Queue>,
    /// After this long without a sign of life a ping is sent.
    pub quiet: Duration,
    /// Without an answer to it for this long the connection counts as broken.
    pub patience: Duration,
}

/// What the owner wants of a connection.
pub enum Order {
    Send(String),
    /// The machine or the process paused: ask at once whether the other side is still there.
    Ping,
    Close,
}

/// Why a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<u16>,
    pub reason: String,
}

impl Ended {
    pub fn because(reason: impl Into<String>) -> Ended {
        Ended {
            code: None,
            reason: reason.into(),
        }
    }

    pub fn by_owner() -> Ended {
        Ended::because("closed by this client")
    }
}

/// Connect and live until the end. What was ordered before the connection was open is sent then.
pub async fn run(
    number: u64,
    target: Target,
    around: Surroundings,
    mut orders: UnboundedReceiver<Order>,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> Ended {
    let mut early = Vec::new();
    let connected = {
        let mut work = pin!(connect(&target, tls));
        loop {
            tokio::select! {
                result = &mut work => break result,
                order = orders.recv() => match order {
                    Some(Order::Send(text)) => early.push(text),
                    Some(Order::Ping) => {}
                    Some(Order::Close) | None => return Ended::by_owner(),
                },
            }
        }
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(reason) => return Ended::because(reason),
    };
    around.queue.push(Event::Open(number));
    let mut live = Live {
        number,
        around,
        socket,
        unsent: false,
        asked: None,
        awake_by: None,
    };
    match live.run(early, &mut orders).await {
        Ok(ended) => ended,
        Err(why) => live.break_off(&why).await,
    }
}

struct Live {
    number: u64,
    around: Surroundings,
    socket: Socket,
    /// Something waits in the socket's own buffer.
    unsent: bool,
    /// When a ping of ours was sent that nothing has answered.
    asked: Option<Instant>,
    /// When the ping after a pause must be answered.
    awake_by: Option<Instant>,
}

enum Step {
    Came(Option<Result<Message, Error>>),
    Ordered(Option<Order>),
    Failed(Error),
    Time,
}

impl Live {
    async fn run(
        &mut self,
        early: Vec<String>,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<Ended, Error> {
        for text in early {
            self.write(Message::text(text))?;
        }
        let mut heard = Instant::now();
        let mut alarm = pin!(sleep_until(heard + self.around.quiet));
        let mut goodbye: Option<CloseFrame> = None;
        loop {
            match self.next(orders, alarm.as_mut()).await {
                Step::Came(Some(Ok(message))) => {
                    heard = Instant::now();
                    self.asked = None;
                    match message {
                        Message::Text(text) => self.deliver(text.as_bytes()),
                        Message::Binary(bytes) => self.deliver(&bytes),
                        Message::Ping(_) => {
                            // The pong is made by reading on; it only has to be sent.
                            self.unsent = true;
                            self.around.queue.push(Event::Alive(self.number));
                        }
                        Message::Pong(payload) => {
                            if payload == AWAKE_PAYLOAD {
                                self.awake_by = None;
                            }
                            self.around.queue.push(Event::Alive(self.number));
                        }
                        Message::Close(frame) => {
                            goodbye = Some(frame.unwrap_or(NO_STATUS));
                            alarm.as_mut().reset(heard + CLOSING);
                        }
                        Message::Frame(_) => {}
                    }
                }
                Step::Came(None | Some(Err(Error::ConnectionClosed))) | Step::Time
                    if goodbye.is_some() =>
                {
                    return Ok(told(goodbye));
                }
                Step::Came(Some(Err(_))) if goodbye.is_some() => return Ok(told(goodbye)),
                Step::Came(None) => return Err(Error::ConnectionClosed),
                Step::Came(Some(Err(why))) | Step::Failed(why) => return Err(why),
                Step::Ordered(Some(Order::Send(text))) => {
                    if goodbye.is_none() {
                        self.write(Message::text(text))?;
                    }
                }
                Step::Ordered(Some(Order::Ping)) => {
                    if goodbye.is_none() {
                        let by = Instant::now() + AWAKE;
                        self.awake_by = Some(by);
                        self.write(Message::Ping(Bytes::from_static(AWAKE_PAYLOAD)))?;
                        alarm.as_mut().reset(by);
                    }
                }
                Step::Ordered(Some(Order::Close) | None) => {
                    self.say_goodbye(CloseCode::Normal, "").await;
                    return Ok(Ended::by_owner());
                }
                Step::Time if self.awake_by.is_some_and(|by| by <= Instant::now()) => {
                    let within = AWAKE.as_secs_f64();
                    return Ok(Ended::because(format!(
                        "half-open: no pong in {within} s after a pause"
                    )));
                }
                Step::Time => match self.on_silence(heard)? {
                    Some(next) => alarm.as_mut().reset(next),
                    None => {
                        let quiet = self.around.quiet.as_secs_f64();
                        let patience = self.around.patience.as_secs_f64();
                        return Ok(Ended::because(format!(
                            "half-open: silent for {quiet} s, no pong in {patience} s"
                        )));
                    }
                },
            }
        }
    }

    /// The next thing to do. Orders come first: they are few, and a flood of frames must not keep
    /// them waiting.
    async fn next(
        &mut self,
        orders: &mut UnboundedReceiver<Order>,
        mut alarm: std::pin::Pin<&mut Sleep>,
    ) -> Step {
        poll_fn(|cx| {
            if let Poll::Ready(order) = orders.poll_recv(cx) {
                return Poll::Ready(Step::Ordered(order));
            }
            if self.unsent
                && let Poll::Ready(result) = std::pin::Pin::new(&mut self.socket).poll_flush(cx)
            {
                self.unsent = false;
                if let Err(why) = result {
                    return Poll::Ready(Step::Failed(why));
                }
            }
            if let Poll::Ready(came) = std::pin::Pin::new(&mut self.socket).poll_next(cx) {
                return Poll::Ready(Step::Came(came));
            }
            alarm.as_mut().poll(cx).map(|()| Step::Time)
        })
        .await
    }

    #[inline]
    fn deliver(&self, frame: &[u8]) {
        let around = &self.around;
        if around.sink.on_frame(self.number, frame, clock::now_ns()) {
            around.queue.wake();
        }
    }

    /// Put a message into the socket's buffer; `next` sees to it that it is sent, without keeping
    /// frames waiting for a peer that does not read.
    fn write(&mut self, message: Message) -> Result<(), Error> {
        self.unsent = true;
        std::pin::Pin::new(&mut self.socket).start_send(message)
    }

    /// Nothing came for long: ask for a sign of life, or give up. When to look again.
    fn on_silence(&mut self, heard: Instant) -> Result<Option<Instant>, Error> {
        let next = self.next_look(heard)?;
        Ok(next.map(|at| self.awake_by.map_or(at, |by| at.min(by))))
    }

    fn next_look(&mut self, heard: Instant) -> Result<Option<Instant>, Error> {
        let now = Instant::now();
        if let Some(asked) = self.asked {
            let due = asked + self.around.patience;
            return Ok((now < due).then_some(due));
        }
        let due = heard + self.around.quiet;
        if now < due {
            return Ok(Some(due));
        }
        self.asked = Some(now);
        self.write(Message::Ping(Bytes::new()))?;
        Ok(Some(now + self.around.patience))
    }

    /// The closing handshake, as far as the other side takes part in it.
    async fn say_goodbye(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let socket = &mut self.socket;
        let _ = timeout(CLOSING, async {
            socket.send(Message::Close(Some(frame))).await?;
            // What still comes is not ours any more.
            while socket.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        })
        .await;
    }

    /// The connection cannot go on: say why to the other side, where it broke the rules.
    async fn break_off(&mut self, why: &Error) -> Ended {
        let (code, reason) = words::broken(why);
        if let Some(code) = code {
            self.say_goodbye(code, "").await;
        }
        Ended {
            code: code.map(u16::from),
            reason,
        }
    }
}

/// RFC 6455, 7.4.1: stands for a close frame without a code and is never sent.
const NO_STATUS: CloseFrame = CloseFrame {
    code: CloseCode::Status,
    reason: tokio_tungstenite::tungstenite::Utf8Bytes::from_static(""),
};

fn told(goodbye: Option<CloseFrame>) -> Ended {
    let frame = goodbye.unwrap_or(NO_STATUS);
    let reason = if frame.reason.is_empty() {
        "closed by the exchange without a reason".to_owned()
    } else {
        frame.reason.to_string()
    };
    Ended {
        code: (frame.code != CloseCode::Status).then(|| u16::from(frame.code)),
        reason,
    }
}
