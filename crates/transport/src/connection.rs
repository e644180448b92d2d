//! One connection, from opening it to the reason why it ended.

mod buffers;
mod liveness;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use rustls::ClientConfig;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::clock;
use crate::connect::{ConnectError, Socket, Target, connect};
use crate::dial::Addresses;
use crate::event::{Event, Queue, Refusal};
use crate::secret::Secret;
use crate::{FrameSink, describe_error};
use buffers::{Input, Output};
use liveness::{AWAKE, Check, Liveness, patience_of};

/// Timeout for the peer's part of the closing handshake.
const CLOSING: Duration = Duration::from_secs(1);

/// What a connection needs of its transport.
#[derive(Clone)]
pub struct ConnectionContext {
    pub sink: Arc<dyn FrameSink>,
    pub queue: Arc<Queue>,
    pub addresses: Rc<Addresses>,
    /// Timeout for opening the connection.
    pub connecting: Duration,
    /// Sent with every handshake.
    pub token: Option<Rc<Secret>>,
    /// A ping is sent after this time without a sign of life.
    pub quiet: Duration,
    /// Without a pong within this time, the connection counts as broken.
    pub patience: Duration,
}

/// A command of the owner to a connection.
pub enum Command {
    Send(String),
    /// The machine or the process paused: ping the peer at once.
    Ping,
    Close,
}

/// Why a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectionEnd {
    pub code: Option<u16>,
    pub reason: String,
    pub refusal: Option<Refusal>,
}

impl ConnectionEnd {
    pub fn because(reason: impl Into<String>) -> ConnectionEnd {
        ConnectionEnd::with_code(None, reason)
    }

    pub fn by_owner() -> ConnectionEnd {
        ConnectionEnd::because("closed by this client")
    }

    /// Something lasted too long.
    fn over(what: &str, limit_ns: i64) -> ConnectionEnd {
        let limit_s = Duration::from_nanos(limit_ns.unsigned_abs()).as_secs_f64();
        ConnectionEnd::because(format!("{what} for {limit_s} s"))
    }

    fn with_code(code: Option<u16>, reason: impl Into<String>) -> ConnectionEnd {
        ConnectionEnd {
            code,
            reason: reason.into(),
            refusal: None,
        }
    }
}

impl From<ConnectError> for ConnectionEnd {
    fn from(failed: ConnectError) -> ConnectionEnd {
        ConnectionEnd {
            code: None,
            reason: failed.reason,
            refusal: failed.refusal,
        }
    }
}

/// Run a connection from opening it to its end. Texts sent before it is open are queued.
pub async fn run(
    number: u64,
    target: Target,
    context: ConnectionContext,
    mut commands: UnboundedReceiver<Command>,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> ConnectionEnd {
    let mut early = Vec::new();
    let began_ns = clock::now_ns();
    let connected = {
        let mut work = pin!(connect(
            &target,
            tls,
            &context.addresses,
            context.connecting,
            context.token.as_deref()
        ));
        loop {
            tokio::select! {
                result = &mut work => break result,
                command = commands.recv() => match command {
                    Some(Command::Send(text)) => early.push(text),
                    Some(Command::Ping) => {}
                    Some(Command::Close) | None => return ConnectionEnd::by_owner(),
                },
            }
        }
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(failed) => return failed.into(),
    };
    context.queue.push(Event::Open(number));
    let now_ns = clock::now_ns();
    let took = Duration::from_nanos(u64::try_from(now_ns - began_ns).unwrap_or_default());
    let liveness = Liveness::new(now_ns, context.quiet, patience_of(context.patience, took));
    let mut connection = OpenConnection {
        number,
        context,
        socket,
        output: Output::default(),
        input: Input::default(),
        liveness,
    };
    match connection.run(early, &mut commands).await {
        Ok(ended) => ended,
        Err(why) => connection.abort(&why).await,
    }
}

/// An open connection.
struct OpenConnection {
    number: u64,
    context: ConnectionContext,
    socket: Socket,
    output: Output,
    input: Input,
    liveness: Liveness,
}

/// Limited to about 70 years, so that sums of several do not overflow.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).map_or(i64::MAX / 4, |nanos| nanos.min(i64::MAX / 4))
}

enum Step {
    Received(Option<Result<Message, Error>>),
    Command(Option<Command>),
    WriteFailed(Error),
    Timer,
}

impl OpenConnection {
    async fn run(
        &mut self,
        early: Vec<String>,
        commands: &mut UnboundedReceiver<Command>,
    ) -> Result<ConnectionEnd, Error> {
        for text in early {
            self.write(Message::text(text))?;
        }
        let mut alarm = pin!(sleep_until(Instant::now() + self.context.quiet));
        let mut close_frame: Option<CloseFrame> = None;
        loop {
            match self.next(commands, alarm.as_mut()).await {
                Step::Received(Some(Ok(message))) => {
                    let now_ns = clock::now_ns();
                    match message {
                        Message::Text(text) => self.deliver(text.as_bytes(), now_ns),
                        Message::Binary(bytes) => self.deliver(&bytes, now_ns),
                        Message::Ping(payload) => {
                            // Reading has queued the pong; it only needs to be flushed.
                            self.output.put_pong();
                            self.input.on_control(payload.len());
                        }
                        Message::Pong(payload) => {
                            self.input.on_control(payload.len());
                            if self.liveness.on_pong(&payload, now_ns) {
                                self.context.queue.push(Event::Alive(self.number));
                                alarm.as_mut().reset(Instant::now() + self.context.quiet);
                            }
                        }
                        Message::Close(frame) => {
                            close_frame = Some(frame.unwrap_or(NO_STATUS));
                            self.output.put();
                            alarm.as_mut().reset(Instant::now() + CLOSING);
                        }
                        Message::Frame(_) => {}
                    }
                    // A flood that always leaves something to read delays the alarm. The pong may be among
                    // the frames that follow, so it gets its timeout once more.
                    if self.liveness.is_check_overdue(now_ns) && close_frame.is_none() {
                        match self.check_alive(now_ns, self.context.patience)? {
                            Ok(next) => alarm.as_mut().reset(Instant::now() + next),
                            Err(ended) => return Ok(ended),
                        }
                    }
                }
                Step::Received(None | Some(Err(Error::ConnectionClosed))) | Step::Timer
                    if close_frame.is_some() =>
                {
                    return Ok(closed_by_peer(close_frame));
                }
                Step::Received(Some(Err(_))) | Step::WriteFailed(_) if close_frame.is_some() => {
                    return Ok(closed_by_peer(close_frame));
                }
                Step::Received(None) => return Err(Error::ConnectionClosed),
                Step::Received(Some(Err(why))) | Step::WriteFailed(why) => return Err(why),
                Step::Command(Some(Command::Send(text))) => {
                    if close_frame.is_none() {
                        self.write(Message::text(text))?;
                    }
                }
                Step::Command(Some(Command::Ping)) => {
                    if close_frame.is_none() {
                        let now_ns = clock::now_ns();
                        let payload = self.liveness.ping_after_pause(now_ns);
                        self.write(Message::Ping(payload))?;
                        alarm.as_mut().reset(Instant::now() + AWAKE);
                    }
                }
                Step::Command(Some(Command::Close) | None) => {
                    self.close(CloseCode::Normal, "").await;
                    return Ok(ConnectionEnd::by_owner());
                }
                Step::Timer => match self.check_alive(clock::now_ns(), Duration::ZERO)? {
                    Ok(next) => alarm.as_mut().reset(Instant::now() + next),
                    Err(ended) => return Ok(ended),
                },
            }
        }
    }

    /// The next thing to do. Commands come first: they are few, and a flood of frames must not delay them.
    /// Nothing is read after a ping whose pong cannot be sent because the peer does not read.
    async fn next(
        &mut self,
        commands: &mut UnboundedReceiver<Command>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Step {
        poll_fn(|cx| {
            if let Poll::Ready(command) = commands.poll_recv(cx) {
                return Poll::Ready(Step::Command(command));
            }
            if self.output.is_waiting() {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(result) => {
                        self.output.on_flushed();
                        if let Err(why) = result {
                            return Poll::Ready(Step::WriteFailed(why));
                        }
                    }
                    Poll::Pending => self.output.on_stuck(clock::now_ns),
                }
            }
            if !self.output.holds_input()
                && let Poll::Ready(received) = Pin::new(&mut self.socket).poll_next(cx)
            {
                return Poll::Ready(Step::Received(received));
            }
            // A flood uses up the budget of this task; the alarm must go off nevertheless.
            Pin::new(&mut unconstrained(alarm.as_mut()))
                .poll(cx)
                .map(|()| Step::Timer)
        })
        .await
    }

    #[inline]
    fn deliver(&mut self, frame: &[u8], now_ns: i64) {
        self.input.on_message(self.socket.get_ref().received);
        let context = &self.context;
        if context.sink.on_frame(self.number, frame, now_ns) {
            context.queue.wake();
        }
    }

    /// Put a message into the socket's buffer. `next` sends it without delaying frames if the peer does not
    /// read.
    fn write(&mut self, message: Message) -> Result<(), Error> {
        self.output.put();
        Pin::new(&mut self.socket).start_send(message)
    }

    /// Check whether the connection is alive. Returns when to check again, or why it ends. `grace`: extra
    /// time for frames that have not been read yet.
    fn check_alive(
        &mut self,
        now_ns: i64,
        grace: Duration,
    ) -> Result<Result<Duration, ConnectionEnd>, Error> {
        let next_ns = match self.output.stuck_ns() {
            // A peer that does not read would not read a ping either.
            Some(since_ns) => {
                let limit_ns = nanos(self.context.quiet) + nanos(self.context.patience);
                if now_ns - since_ns >= limit_ns {
                    let what = "the peer does not read, so output has been waiting";
                    return Ok(Err(ConnectionEnd::over(what, limit_ns)));
                }
                since_ns + limit_ns
            }
            None => {
                let heard_ns = self.context.sink.heard_ns(self.number);
                match self.liveness.check(now_ns, heard_ns, grace) {
                    Check::At(next_ns) => next_ns,
                    Check::Silent => {
                        let payload = self.liveness.ping(now_ns);
                        self.write(Message::Ping(payload))?;
                        now_ns + nanos(self.context.patience)
                    }
                    Check::Dead(ended) => return Ok(Err(ended)),
                }
            }
        };
        // Only if everything received has been parsed, so that the rest is an incomplete message.
        if self.output.stuck_ns().is_none() && grace.is_zero() {
            let received = self.socket.get_ref().received;
            if let Some(ended) = self.input.check(now_ns, received, self.context.patience) {
                return Ok(Err(ended));
            }
        }
        self.liveness.check_at(next_ns);
        let next_ns = u64::try_from(next_ns - now_ns).unwrap_or_default();
        Ok(Ok(Duration::from_nanos(next_ns)))
    }

    /// Perform the closing handshake, as far as the peer takes part.
    async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let socket = &mut self.socket;
        let _ = timeout(CLOSING, async {
            socket.send(Message::Close(Some(frame))).await?;
            // Ignore anything that still arrives.
            while socket.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        })
        .await;
    }

    /// End a broken connection, with a close frame if the peer violated the protocol.
    async fn abort(&mut self, why: &Error) -> ConnectionEnd {
        let (code, reason) = describe_error::broken(why);
        if let Some(code) = code {
            self.close(code, "").await;
        }
        ConnectionEnd::with_code(code.map(u16::from), reason)
    }
}

/// RFC 6455, 7.4.1: means a close frame without a code; never sent.
const NO_STATUS: CloseFrame = CloseFrame {
    code: CloseCode::Status,
    reason: tokio_tungstenite::tungstenite::Utf8Bytes::from_static(""),
};

fn closed_by_peer(close_frame: Option<CloseFrame>) -> ConnectionEnd {
    let frame = close_frame.unwrap_or(NO_STATUS);
    let reason = if frame.reason.is_empty() {
        "closed by the exchange without a reason".to_owned()
    } else {
        frame.reason.to_string()
    };
    let code = (frame.code != CloseCode::Status).then(|| u16::from(frame.code));
    ConnectionEnd::with_code(code, reason)
}
