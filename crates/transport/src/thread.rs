//! The thread of a transport, and the handle by which its owner controls it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::FrameSink;
use crate::clock::{self, Moment};
use crate::connect::Target;
use crate::connection::{Command, ConnectionContext, ConnectionEnd, run};
use crate::dial::Addresses;
use crate::event::{Event, Queue, WakeEnd};
use crate::secret::Secret;
use crate::tls::Fingerprint;
use crate::{foreign_text, tls};

/// How long idle threads for DNS lookups live.
const LOOKUP_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Interval of the ticks of the sink.
const TICK: Duration = Duration::from_millis(250);

/// The settings of a transport.
#[derive(Clone, Debug)]
pub struct Options {
    /// PEM file of the certificate authorities to trust; None for those of the system.
    pub authorities: Option<PathBuf>,
    /// The fingerprint of the only certificate to trust, instead of authorities.
    pub pinned: Option<Fingerprint>,
    /// PEM files of the certificate and key with which this side proves itself; None for no certificate.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A token for the server, sent with every handshake; never shown.
    pub token: Option<Secret>,
    /// Timeout for opening a connection, from the DNS lookup to the response to the handshake.
    pub connecting: Duration,
    /// Addresses of names that are not looked up, for tests.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// A ping is sent after this time without a sign of life.
    pub quiet: Duration,
    /// Without a pong within this time, the connection counts as broken.
    pub patience: Duration,
}

/// Connections on a dedicated thread. Call `open` once per number, then `send` and `close`. `stop` closes
/// everything; dropping the transport does so at once.
#[derive(Debug)]
pub struct Transport {
    commands: UnboundedSender<TransportCommand>,
    queue: Arc<Queue>,
    wake_end: WakeEnd,
    thread: Mutex<Option<JoinHandle<()>>>,
    process: u32,
}

enum TransportCommand {
    Open(u64, Target),
    Connection(u64, Command),
    Stop(Duration),
}

impl Transport {
    /// Start the thread.
    pub fn start(sink: Arc<dyn FrameSink>, options: Options) -> io::Result<Transport> {
        let (queue, wake_end) = Queue::new()?;
        let queue = Arc::new(queue);
        let (commands, inbox) = unbounded_channel();
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_keep_alive(LOOKUP_KEEP_ALIVE)
            .thread_name("depthcache-lookup")
            .build()?;
        let events = queue.clone();
        let thread = std::thread::Builder::new()
            .name("depthcache-io".to_owned())
            .spawn(move || {
                let ended = sink.clone();
                LocalSet::new().block_on(&runtime, serve(sink, events.clone(), options, inbox));
                runtime.shutdown_background();
                ended.on_stop();
                events.push(Event::Stopped);
            })?;
        Ok(Transport {
            commands,
            queue,
            wake_end,
            thread: Mutex::new(Some(thread)),
            process: std::process::id(),
        })
    }

    /// Whether this process was forked from the one with the thread.
    pub fn is_foreign(&self) -> bool {
        std::process::id() != self.process
    }

    /// Becomes readable when events are waiting: read the byte, then call `take`.
    pub fn wake_end(&self) -> &WakeEnd {
        &self.wake_end
    }

    /// Open a connection. Reports `Event::Open`, or `Event::Closed` on failure.
    pub fn open(&self, connection: u64, target: Target) {
        self.send_command(TransportCommand::Open(connection, target));
    }

    /// Send a text message. Dropped without an error if the connection is gone.
    pub fn send(&self, connection: u64, text: String) {
        self.send_command(TransportCommand::Connection(
            connection,
            Command::Send(text),
        ));
    }

    /// Close a connection. Reports `Event::Closed`, unless that has been reported.
    pub fn close(&self, connection: u64) {
        self.send_command(TransportCommand::Connection(connection, Command::Close));
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<Event> {
        self.queue.take()
    }

    /// Close every connection, cut those that are still open after `close_timeout`, and end the thread.
    /// Returns at once; `Event::Stopped` is the last event.
    pub fn stop(&self, close_timeout: Duration) {
        self.send_command(TransportCommand::Stop(close_timeout));
    }

    /// Wait for the end of the thread, after `stop`.
    pub fn join(&self) {
        if self.is_foreign() {
            return;
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // Its errors have been reported as the ends of connections.
            let _ = thread.join();
        }
    }

    fn send_command(&self, command: TransportCommand) {
        // An error means that the thread has ended: then there is nothing to do.
        let _ = self.commands.send(command);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if self.is_foreign() {
            return; // the thread, and what it holds, is the parent's
        }
        self.stop(Duration::ZERO);
        self.join();
    }
}

type CommandSenders = Rc<RefCell<HashMap<u64, UnboundedSender<Command>>>>;

/// The body of the thread: start connections and pass on commands until it is stopped.
async fn serve(
    sink: Arc<dyn FrameSink>,
    queue: Arc<Queue>,
    options: Options,
    mut inbox: UnboundedReceiver<TransportCommand>,
) {
    let context = ConnectionContext {
        sink,
        queue,
        addresses: Rc::new(Addresses::new(options.addresses)),
        connecting: options.connecting,
        token: options.token.map(Rc::new),
        quiet: options.quiet,
        patience: options.patience,
    };
    let connections: CommandSenders = CommandSenders::default();
    let trust = Rc::new(TrustStore::new(
        options.authorities,
        options.pinned,
        options.certificate,
    ));
    let mut work = JoinSet::new();
    let (sink, queue) = (context.sink.clone(), context.queue.clone());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pauses = 0;
    let close_timeout = loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(TransportCommand::Open(number, target)) => {
                    let (commands, inbox) = unbounded_channel();
                    connections.borrow_mut().insert(number, commands);
                    let task = run_connection(number, target, context.clone(), inbox, trust.clone(), connections.clone());
                    work.spawn_local(task);
                }
                Some(TransportCommand::Connection(number, command)) => {
                    if let Some(commands) = connections.borrow().get(&number) {
                        let _ = commands.send(command);
                    }
                }
                Some(TransportCommand::Stop(close_timeout)) => break close_timeout,
                None => break Duration::ZERO,
            },
            Some(_) = work.join_next() => {}
            _ = ticks.tick() => {
                let tick = sink.on_tick(Moment::now());
                if tick.pauses != pauses {
                    pauses = tick.pauses;
                    connections.borrow().values().for_each(|commands| drop(commands.send(Command::Ping)));
                    queue.push(Event::Resumed);
                } else if tick.has_events {
                    queue.wake();
                }
            }
        }
    };
    sink.on_stop();
    for commands in connections.borrow().values() {
        let _ = commands.send(Command::Close);
    }
    drain(work, inbox, close_timeout).await;
}

/// Let connections close within a timeout; a later, shorter timeout replaces it.
async fn drain(
    mut work: JoinSet<()>,
    mut inbox: UnboundedReceiver<TransportCommand>,
    close_timeout: Duration,
) {
    let mut until = Instant::now() + close_timeout;
    loop {
        tokio::select! {
            done = work.join_next() => if done.is_none() { return },
            command = inbox.recv() => match command {
                Some(TransportCommand::Stop(close_timeout)) => until = until.min(Instant::now() + close_timeout),
                Some(_) => {}
                None => return,
            },
            () = sleep_until(until) => return,
        }
    }
}

/// Run one connection, and always report its end.
async fn run_connection(
    number: u64,
    target: Target,
    context: ConnectionContext,
    inbox: UnboundedReceiver<Command>,
    trust: Rc<TrustStore>,
    connections: CommandSenders,
) {
    let (queue, sink) = (context.queue.clone(), context.sink.clone());
    let work = spawn_local(run(number, target, context, inbox, move || trust.config()));
    let _aborts = AbortOnDrop(work.abort_handle());
    let ended = work.await.unwrap_or_else(|why| {
        ConnectionEnd::because(format!("internal error in depthcache: {why}"))
    });
    // Every reason leaves through here, including those from the peer.
    let reason = foreign_text::clean(&ended.reason);
    connections.borrow_mut().remove(&number);
    sink.on_lost(number, &reason, clock::now_ns());
    queue.push(Event::Closed {
        connection: number,
        code: ended.code,
        reason,
        refusal: ended.refusal,
    });
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The certificate authorities that TLS connections trust, loaded once on first use; for every connection where this side
/// has a certificate, which may be renewed.
struct TrustStore {
    authorities: Option<PathBuf>,
    pinned: Option<Fingerprint>,
    certificate: Option<(PathBuf, PathBuf)>,
    config: RefCell<Option<Arc<ClientConfig>>>,
}

impl TrustStore {
    fn new(
        authorities: Option<PathBuf>,
        pinned: Option<Fingerprint>,
        certificate: Option<(PathBuf, PathBuf)>,
    ) -> TrustStore {
        TrustStore {
            authorities,
            pinned,
            certificate,
            config: RefCell::default(),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut held = self.config.borrow_mut();
        let own = self.certificate.as_ref();
        if held.is_none() || own.is_some() {
            *held = Some(tls::config(self.authorities.as_deref(), self.pinned, own)?);
        }
        held.clone().ok_or_else(|| "nothing is trusted".to_owned())
    }
}
