//! One connection, from the first packet to the reason why it ended.

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
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
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::clock;
use crate::connect::{ConnectError, Socket, Target, connect};
use crate::dial::Addresses;
use crate::event::{Event, Queue, Refusal};
use crate::{FrameSink, describe_error};

/// How long the other side may take to answer a closing handshake.
const CLOSING: Duration = Duration::from_secs(1);

/// How often the time for an answer may pass until a message must be complete. Real ones are one TCP segment
/// to a few.
const UNFINISHED_PATIENCES: i64 = 6;

/// The largest control frame: two bytes and 125 (RFC 6455, 5.5). A part of one may wait at any moment.
const CONTROL_FRAME_BYTES: u64 = 127;

/// How long the answer to a ping after a pause may take.
const AWAKE: Duration = Duration::from_secs(2);

/// What a connection needs of its transport.
#[derive(Clone)]
pub struct ConnectionContext {
    pub sink: Arc<dyn FrameSink>,
    pub queue: Arc<Queue>,
    pub addresses: Rc<Addresses>,
    /// How long making the connection may take.
    pub connecting: Duration,
    /// After this long without a sign of life a ping is sent.
    pub quiet: Duration,
    /// Without an answer to it for this long the connection counts as broken.
    pub patience: Duration,
}

/// What the owner wants of a connection.
pub enum Command {
    Send(String),
    /// The machine or the process paused: ask at once whether the other side is still there.
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

/// Connect and live until the end. Texts sent before the connection is open are sent then.
pub async fn run(
    number: u64,
    target: Target,
    context: ConnectionContext,
    mut commands: UnboundedReceiver<Command>,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
) -> ConnectionEnd {
    let mut early = Vec::new();
    let connected = {
        let mut work = pin!(connect(
            &target,
            tls,
            &context.addresses,
            context.connecting
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
    let mut connection = OpenConnection {
        number,
        socket,
        unsent: false,
        stuck_ns: None,
        owes_pong: false,
        alive_ns: now_ns,
        pending_ping: None,
        pings: 0,
        secret: RandomState::new(),
        check_ns: now_ns + nanos(context.quiet),
        whole: 0,
        control: 0,
        unfinished: None,
        context,
    };
    match connection.run(early, &mut commands).await {
        Ok(ended) => ended,
        Err(why) => connection.abort(&why).await,
    }
}

/// An open connection.
///
/// A sign of life is a message that the sink took data from, or the answer to a ping of this side, known by
/// what it carries. Pings of the other side, messages of no use and pongs that were not asked for show
/// that somebody sends, not that this connection is of use: they delay no ping.
struct OpenConnection {
    number: u64,
    context: ConnectionContext,
    socket: Socket,
    /// Something waits in the socket's own buffer.
    unsent: bool,
    /// Since when it waits for the other side to read.
    stuck_ns: Option<i64>,
    /// A ping is not answered yet.
    owes_pong: bool,
    /// When the connection was made, or a ping of this side was answered last.
    alive_ns: i64,
    /// A ping of this side that nothing has answered.
    pending_ping: Option<PendingPing>,
    pings: u64,
    /// Whoever cannot read our pings cannot guess what they carry.
    secret: RandomState,
    /// When silence is looked at next.
    check_ns: i64,
    /// How many bytes had come when the last message was complete.
    whole: u64,
    /// Bytes of the control frames that have come since.
    control: u64,
    /// A message that is not complete: what was whole before it, and since when that is known.
    unfinished: Option<(u64, i64)>,
}

struct PendingPing {
    payload: Bytes,
    at_ns: i64,
    patience: Duration,
    /// Frames that waited in the socket during a pause answer nothing.
    after_pause: bool,
}

/// At most some 70 years, so that a few of them can be added to any time.
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
                            // Reading has made the pong; it only has to be sent.
                            (self.unsent, self.owes_pong) = (true, true);
                            self.count_control(&payload);
                        }
                        Message::Pong(payload) => {
                            self.count_control(&payload);
                            if self.on_pong(&payload, now_ns) {
                                alarm.as_mut().reset(Instant::now() + self.context.quiet);
                            }
                        }
                        Message::Close(frame) => {
                            close_frame = Some(frame.unwrap_or(NO_STATUS));
                            self.unsent = true;
                            alarm.as_mut().reset(Instant::now() + CLOSING);
                        }
                        Message::Frame(_) => {}
                    }
                    // A flood that always leaves something to read keeps the alarm from its turn. What is
                    // read behind it may be the answer: it gets the time for an answer once more.
                    if now_ns > self.check_ns + nanos(self.context.patience)
                        && close_frame.is_none()
                    {
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
                        self.ping(now_ns, AWAKE, true)?;
                        self.check_ns = now_ns + nanos(AWAKE);
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

    /// The next thing to do. Commands come first: they are few, and a flood of frames must not keep
    /// them waiting. Nothing is read behind a ping whose answer waits for the other side to read.
    async fn next(
        &mut self,
        commands: &mut UnboundedReceiver<Command>,
        mut alarm: Pin<&mut Sleep>,
    ) -> Step {
        poll_fn(|cx| {
            if let Poll::Ready(command) = commands.poll_recv(cx) {
                return Poll::Ready(Step::Command(command));
            }
            if self.unsent {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(result) => {
                        (self.unsent, self.owes_pong, self.stuck_ns) = (false, false, None);
                        if let Err(why) = result {
                            return Poll::Ready(Step::WriteFailed(why));
                        }
                    }
                    Poll::Pending => {
                        self.stuck_ns.get_or_insert_with(clock::now_ns);
                    }
                }
            }
            if !(self.owes_pong && self.stuck_ns.is_some())
                && let Poll::Ready(received) = Pin::new(&mut self.socket).poll_next(cx)
            {
                return Poll::Ready(Step::Received(received));
            }
            // A flood uses up what this task may do at once; the alarm has to ring nevertheless.
            Pin::new(&mut unconstrained(alarm.as_mut()))
                .poll(cx)
                .map(|()| Step::Timer)
        })
        .await
    }

    #[inline]
    fn deliver(&mut self, frame: &[u8], now_ns: i64) {
        (self.whole, self.control) = (self.socket.get_ref().received, 0);
        let context = &self.context;
        if context.sink.on_frame(self.number, frame, now_ns) {
            context.queue.wake();
        }
    }

    fn count_control(&mut self, payload: &Bytes) {
        self.control += 2 + payload.len() as u64;
    }

    /// Whether it answers a ping of this side: silence begins again.
    fn on_pong(&mut self, payload: &Bytes, now_ns: i64) -> bool {
        let answers = self
            .pending_ping
            .as_ref()
            .is_some_and(|pending_ping| pending_ping.payload == *payload);
        if answers {
            (self.pending_ping, self.alive_ns) = (None, now_ns);
            self.check_ns = now_ns + nanos(self.context.quiet);
            self.context.queue.push(Event::Alive(self.number));
        }
        answers
    }

    /// Put a message into the socket's buffer; `next` sees to it that it is sent, without keeping
    /// frames waiting for a peer that does not read.
    fn write(&mut self, message: Message) -> Result<(), Error> {
        self.unsent = true;
        Pin::new(&mut self.socket).start_send(message)
    }

    /// Ask for a sign of life.
    fn ping(&mut self, now_ns: i64, patience: Duration, after_pause: bool) -> Result<(), Error> {
        self.pings += 1;
        let payload = format!("{:016x}", self.secret.hash_one(self.pings));
        let payload = Bytes::from(payload.into_bytes());
        self.pending_ping = Some(PendingPing {
            payload: payload.clone(),
            at_ns: now_ns,
            patience,
            after_pause,
        });
        self.write(Message::Ping(payload))
    }

    /// Look whether the connection is alive: when to look again, or why it ends. `grace`: what may be read
    /// still before silence is judged.
    fn check_alive(
        &mut self,
        now_ns: i64,
        grace: Duration,
    ) -> Result<Result<Duration, ConnectionEnd>, Error> {
        let (quiet, patience) = (nanos(self.context.quiet), nanos(self.context.patience));
        let next_ns = match self.stuck_ns {
            Some(since_ns) if now_ns - since_ns >= quiet + patience => {
                let words = "the other side does not read: output waits";
                return Ok(Err(over(words, quiet + patience)));
            }
            // The answer to a ping would not be read either.
            Some(since_ns) => since_ns + quiet + patience,
            None => {
                let heard_ns = self.context.sink.heard_ns(self.number);
                let heard_ns = self.alive_ns.max(heard_ns.unwrap_or(i64::MIN));
                if self.pending_ping.as_ref().is_some_and(|pending_ping| {
                    heard_ns > pending_ping.at_ns && !pending_ping.after_pause
                }) {
                    self.pending_ping = None;
                }
                match &self.pending_ping {
                    Some(pending_ping) => {
                        let due_ns =
                            pending_ping.at_ns + nanos(pending_ping.patience) + nanos(grace);
                        if now_ns >= due_ns {
                            return Ok(Err(self.half_open(pending_ping)));
                        }
                        due_ns
                    }
                    None if now_ns >= heard_ns + quiet => {
                        self.ping(now_ns, self.context.patience, false)?;
                        now_ns + patience
                    }
                    None => heard_ns + quiet,
                }
            }
        };
        // Only where everything that came was taken apart, so that what is left is a part.
        if self.stuck_ns.is_none()
            && grace.is_zero()
            && let Some(ended) = self.check_unfinished(now_ns)
        {
            return Ok(Err(ended));
        }
        self.check_ns = next_ns;
        let next_ns = u64::try_from(next_ns - now_ns).unwrap_or_default();
        Ok(Ok(Duration::from_nanos(next_ns)))
    }

    /// A message that never comes to its end is no sign of life and must not be waited for.
    fn check_unfinished(&mut self, now_ns: i64) -> Option<ConnectionEnd> {
        let received = self.socket.get_ref().received - self.whole;
        if received <= self.control + CONTROL_FRAME_BYTES {
            self.unfinished = None;
            return None;
        }
        let limit = nanos(self.context.patience).saturating_mul(UNFINISHED_PATIENCES);
        match self.unfinished {
            Some((whole, since_ns)) if whole == self.whole => (now_ns - since_ns >= limit)
                .then(|| over("one message does not come to its end: it goes on", limit)),
            _ => {
                self.unfinished = Some((self.whole, now_ns));
                None
            }
        }
    }

    fn half_open(&self, pending_ping: &PendingPing) -> ConnectionEnd {
        if pending_ping.after_pause {
            let within = pending_ping.patience.as_secs_f64();
            return ConnectionEnd::because(format!(
                "half-open: no pong in {within} s after a pause"
            ));
        }
        let quiet = self.context.quiet.as_secs_f64();
        let patience = self.context.patience.as_secs_f64();
        ConnectionEnd::because(format!(
            "half-open: silent for {quiet} s, no pong in {patience} s"
        ))
    }

    /// The closing handshake, as far as the other side takes part in it.
    async fn close(&mut self, code: CloseCode, reason: &'static str) {
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
    async fn abort(&mut self, why: &Error) -> ConnectionEnd {
        let (code, reason) = describe_error::broken(why);
        if let Some(code) = code {
            self.close(code, "").await;
        }
        ConnectionEnd::with_code(code.map(u16::from), reason)
    }
}

fn over(what: &str, limit_ns: i64) -> ConnectionEnd {
    let limit_s = Duration::from_nanos(limit_ns.unsigned_abs()).as_secs_f64();
    ConnectionEnd::because(format!("{what} for {limit_s} s"))
}

/// RFC 6455, 7.4.1: stands for a close frame without a code and is never sent.
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
