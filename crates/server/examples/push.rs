//! An exchange of many symbols at an exact rate, and subscribers that measure how late its frames reach them.
//!
//! `push FOLDER SYMBOLS FRAMES_A_SECOND` prints its port and then answers commands on its standard input, one JSON line
//! each, until that ends. Exchange and subscribers are threads of one process, so a delay needs no second clock: when
//! frame `n` was sent is in memory, and a message names `n` by its symbol and update id.
//!
//! FOLDER has `exchange_info.json` and for each kind of symbol `start_K.json` (a snapshot) and `changes_K.txt` (the end
//! of a diff a line, from `"b":` on). Symbols `S000USDT` … take the kinds in the turns of `kinds.json`. Until `start` all
//! diffs are empty, so every snapshot is that of the beginning.

use std::fs;
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

const FIRST_ID: u64 = 1_000_000;
/// Frames whose times are kept.
const KEPT: usize = 1 << 18;
/// How far the exchange may be behind before it skips what is due.
const MOST_BEHIND: Duration = Duration::from_millis(100);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, symbols, rate] = arguments.as_slice() else {
        panic!("FOLDER SYMBOLS FRAMES_A_SECOND");
    };
    let symbols: usize = symbols.parse().expect("a count");
    let exchange = Arc::new(Exchange::load(
        Path::new(folder),
        symbols,
        rate.parse().expect("a rate"),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    say(&json!({"port": listener.local_addr().expect("bound").port()}));
    {
        let exchange = exchange.clone();
        thread::spawn(move || exchange.accept(&listener));
    }
    {
        let exchange = exchange.clone();
        thread::spawn(move || exchange.send_at_rate());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread");
    let mut subscribers: Vec<JoinHandle<()>> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let command = serde_json::from_str(&line.expect("text")).expect("a command");
        match command {
            Command::Start => exchange.is_started.store(true, Ordering::Release),
            Command::Rate { frames } => exchange.rate.store(frames, Ordering::Release),
            Command::Connect(target) => {
                subscribers.extend(runtime.block_on(connect(&exchange, Arc::new(target))));
            }
            Command::Disconnect => {
                for each in subscribers.drain(..) {
                    each.abort();
                    let _ = runtime.block_on(each);
                }
            }
            Command::Measure { seconds } => {
                say(&exchange.measure(seconds));
                continue;
            }
        }
        say(&json!({}));
    }
}

fn say(value: &serde_json::Value) {
    println!("{value}");
    std::io::stdout().flush().expect("a pipe");
}

/// What the standard input says.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Command {
    /// The market moves from now on.
    Start,
    /// Frames a second from now on.
    Rate { frames: u64 },
    /// Connect more subscribers.
    Connect(Target),
    /// Disconnect all of them.
    Disconnect,
    /// Messages and delays of so many seconds.
    Measure { seconds: f64 },
}

/// Where subscribers connect, and what they subscribe to.
#[derive(Deserialize)]
struct Target {
    port: u16,
    path: String,
    token: String,
    /// The subprotocol of `/v1/ws`; none: the exchange's own protocol, with the streams in the path.
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    levels: u32,
    subscribers: usize,
    books: usize,
    /// The last of them never read.
    #[serde(default)]
    silent: usize,
}

/// Levels as text, and what becomes of them.
struct Kind {
    bids: Vec<Box<serde_json::value::RawValue>>,
    asks: Vec<Box<serde_json::value::RawValue>>,
    changes: Vec<String>,
}

#[derive(Deserialize)]
struct Start {
    bids: Vec<Box<serde_json::value::RawValue>>,
    asks: Vec<Box<serde_json::value::RawValue>>,
}

/// A connection of a client of the exchange: for each symbol the name of the stream that it asked for.
struct Client {
    socket: Mutex<WebSocket<TcpStream>>,
    wanted: Vec<Mutex<Option<String>>>,
    is_open: AtomicBool,
}

struct Exchange {
    info: String,
    kinds: Vec<Kind>,
    turns: Vec<usize>,
    symbols: usize,
    rate: AtomicU64,
    is_started: AtomicBool,
    clients: Mutex<Vec<Arc<Client>>>,
    /// Frames that were sent.
    number: AtomicU64,
    began: Instant,
    /// When each was, in nanoseconds.
    sent_ns: Vec<AtomicU64>,
    delays_ns: Mutex<Vec<u64>>,
}

impl Exchange {
    fn load(folder: &Path, symbols: usize, rate: u64) -> Exchange {
        let text = |name: String| fs::read_to_string(folder.join(name)).expect("a file");
        let turns: Vec<usize> = serde_json::from_str(&text("kinds.json".to_owned())).expect("JSON");
        let kinds = (0..=turns.iter().copied().max().expect("a kind"))
            .map(|kind| {
                let start: Start =
                    serde_json::from_str(&text(format!("start_{kind}.json"))).expect("a snapshot");
                Kind {
                    bids: start.bids,
                    asks: start.asks,
                    changes: text(format!("changes_{kind}.txt"))
                        .lines()
                        .map(str::to_owned)
                        .collect(),
                }
            })
            .collect();
        Exchange {
            info: text("exchange_info.json".to_owned()),
            kinds,
            turns,
            symbols,
            rate: AtomicU64::new(rate),
            is_started: AtomicBool::new(false),
            clients: Mutex::default(),
            number: AtomicU64::new(0),
            began: Instant::now(),
            sent_ns: (0..KEPT).map(|_| AtomicU64::new(0)).collect(),
            delays_ns: Mutex::default(),
        }
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn kind(&self, symbol: usize) -> &Kind {
        &self.kinds[self.turns[symbol % self.turns.len()]]
    }

    // --- the exchange ---------------------------------------------------------------------------

    fn send_at_rate(&self) {
        let (mut due, mut started_at) = (Instant::now(), None);
        loop {
            let now = Instant::now();
            if let Some(wait) = due.checked_duration_since(now) {
                thread::sleep(wait);
            } else if now - due > MOST_BEHIND {
                due = now;
            }
            due += Duration::from_secs(1) / self.rate.load(Ordering::Acquire) as u32;
            let number = self.number.load(Ordering::Relaxed) as usize;
            if started_at.is_none() && self.is_started.load(Ordering::Acquire) {
                started_at = Some(number.next_multiple_of(self.symbols));
            }
            self.send(number, started_at.filter(|first| number >= *first));
            self.number.store(number as u64 + 1, Ordering::Release);
        }
    }

    fn send(&self, number: usize, started_at: Option<usize>) {
        let (symbol, turn) = (number % self.symbols, number / self.symbols);
        let update_id = FIRST_ID + 1 + turn as u64;
        let changes = &self.kind(symbol).changes;
        let sides = started_at.map_or(r#""b":[],"a":[]}"#, |first| {
            &changes[(turn - first / self.symbols) % changes.len()]
        });
        let mut clients: Vec<_> = self.clients.lock().clone();
        if number / self.symbols % 2 == 1 {
            clients.reverse(); // nobody is always the first
        }
        let now_us = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970")
            .as_micros();
        self.sent_ns[number % KEPT].store(self.now_ns(), Ordering::Release);
        for client in clients {
            let Some(stream) = client.wanted[symbol].lock().clone() else {
                continue;
            };
            let frame = format!(
                r#"{{"stream":"{stream}","data":{{"e":"depthUpdate","E":{now_us},"s":"S{symbol:03}USDT","U":{update_id},"u":{update_id},{sides}}}"#
            );
            if client.socket.lock().send(Message::text(frame)).is_err() {
                client.is_open.store(false, Ordering::Release);
                self.clients
                    .lock()
                    .retain(|each| each.is_open.load(Ordering::Acquire));
            }
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let (exchange, stream) = (self.clone(), stream.expect("a connection"));
            stream.set_nodelay(true).expect("a socket");
            thread::spawn(move || exchange.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut seen = vec![0; 1 << 14];
        while let Ok(count @ 1..) = stream.peek(&mut seen) {
            let text = String::from_utf8_lossy(&seen[..count]).to_ascii_lowercase();
            if !text.contains("\r\n\r\n") {
                continue;
            }
            if text.contains("upgrade: websocket") {
                self.stream(stream);
                return;
            }
            if !self.respond(&stream) {
                return;
            }
        }
    }

    /// One request; whether there may be another.
    fn respond(&self, mut stream: &TcpStream) -> bool {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return false;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match self.body(target) {
            Some(body) => ("200 OK", body),
            None => ("503 Service Unavailable", "{}".to_owned()),
        };
        let response = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(response.as_bytes()).is_ok()
    }

    /// None for a snapshot after the start: of a book that was lost.
    fn body(&self, target: &str) -> Option<String> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let given = |name: &str| {
            query
                .split('&')
                .filter_map(|each| each.split_once('='))
                .find(|(each, _)| *each == name)
                .map(|(_, value)| value)
        };
        if path.ends_with("/exchangeInfo") {
            return Some(self.info.clone());
        }
        let Some(symbol) = given("symbol").and_then(|text| text.get(1..4)) else {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            return Some(format!(
                r#"{{"serverTime":{}}}"#,
                since_1970.expect("after 1970").as_millis()
            ));
        };
        if self.is_started.load(Ordering::Acquire) {
            return None;
        }
        let symbol: usize = symbol.parse().expect("a number");
        let limit = given("limit").and_then(|text| text.parse().ok());
        let kind = self.kind(symbol);
        let side = |levels: &[Box<serde_json::value::RawValue>]| {
            let shown = levels.iter().take(limit.unwrap_or(100));
            shown.map(|level| level.get()).collect::<Vec<_>>().join(",")
        };
        let sent = self.number.load(Ordering::Acquire) as usize;
        let turns = sent / self.symbols + usize::from(symbol < sent % self.symbols);
        Some(format!(
            r#"{{"lastUpdateId":{},"bids":[{}],"asks":[{}]}}"#,
            FIRST_ID + turns as u64,
            side(&kind.bids),
            side(&kind.asks)
        ))
    }

    fn stream(&self, stream: TcpStream) {
        let mut named = String::new();
        let reading = stream.try_clone().expect("a socket");
        #[allow(clippy::result_large_err)] // the signature is tungstenite's
        let on_request = |request: &Request, response: Response| {
            let query = request.uri().query().unwrap_or_default();
            let asked = query
                .split('&')
                .find_map(|each| each.strip_prefix("streams="));
            named = asked.unwrap_or_default().to_owned();
            Ok(response)
        };
        let Ok(socket) = accept_hdr(stream, on_request) else {
            return;
        };
        let client = Arc::new(Client {
            socket: Mutex::new(socket),
            wanted: (0..self.symbols).map(|_| Mutex::default()).collect(),
            is_open: AtomicBool::new(true),
        });
        want(&client, named.split('/'));
        self.clients.lock().push(client.clone());
        let mut incoming = WebSocket::from_raw_socket(reading, Role::Server, None);
        while let Ok(message) = incoming.read() {
            let Message::Text(text) = message else {
                continue; // the pong to a ping was queued by `read`
            };
            let asked: Asked = serde_json::from_str(&text).expect("a command of a client");
            want(&client, asked.params.iter().map(String::as_str));
            let reply = json!({"result": null, "id": asked.id}).to_string();
            let _ = client.socket.lock().send(Message::text(reply));
        }
        client.is_open.store(false, Ordering::Release);
        self.clients
            .lock()
            .retain(|each| each.is_open.load(Ordering::Acquire));
    }

    // --- the subscribers ------------------------------------------------------------------------

    /// A message arrived: how late, if it is about one frame.
    fn on_message(&self, message: &[u8], is_exchange: bool) {
        let now_ns = self.now_ns();
        let found = match is_exchange {
            true => number(message, b"\"stream\":\"s").zip(number(message, b"\"u\":")),
            false if message.starts_with(b"{\"type\":\"update\"") => {
                number(message, b"\"symbol\":\"S").zip(number(message, b",\"id\":"))
            }
            false if after(message, b"\xa4type\xa6update").is_some() => {
                number(message, b"\xa6symbol\xa8S").zip(packed(message, b"\xa2id"))
            }
            false => None,
        };
        let Some((symbol, update_id)) = found else {
            return;
        };
        let frame = (update_id - FIRST_ID - 1) as usize * self.symbols + symbol as usize;
        let sent_ns = self.sent_ns[frame % KEPT].load(Ordering::Acquire);
        self.delays_ns.lock().push(now_ns.saturating_sub(sent_ns));
    }

    fn measure(&self, seconds: f64) -> serde_json::Value {
        let (began, first) = (Instant::now(), self.number.load(Ordering::Acquire));
        self.delays_ns.lock().clear();
        thread::sleep(Duration::from_secs_f64(seconds));
        let mut delays_ns = std::mem::take(&mut *self.delays_ns.lock());
        let frames = self.number.load(Ordering::Acquire) - first;
        let took_s = began.elapsed().as_secs_f64();
        delays_ns.sort_unstable();
        let at_ms = |share: f64| {
            let last = delays_ns.len().checked_sub(1)?;
            Some(delays_ns[(last as f64 * share) as usize] as f64 / 1e6)
        };
        json!({
            "seconds": took_s, "frames": frames, "messages": delays_ns.len(),
            "p50_ms": at_ms(0.5), "p99_ms": at_ms(0.99), "p999_ms": at_ms(0.999),
        })
    }
}

/// A command of a client of the exchange.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    params: Vec<String>,
    id: serde_json::Value,
}

fn want<'a>(client: &Client, streams: impl Iterator<Item = &'a str>) {
    for stream in streams {
        if let Some(symbol) = stream.get(1..4).and_then(|text| text.parse::<usize>().ok()) {
            *client.wanted[symbol].lock() = Some(stream.to_owned());
        }
    }
}

fn after<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = message.windows(key.len()).position(|part| part == key)?;
    Some(&message[at + key.len()..])
}

/// A whole number in text.
fn number(message: &[u8], key: &[u8]) -> Option<u64> {
    let text = after(message, key)?;
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..count]).ok()?.parse().ok()
}

/// A whole number in MessagePack.
fn packed(message: &[u8], key: &[u8]) -> Option<u64> {
    rmp::decode::read_int(&mut after(message, key)?).ok()
}

/// Connect and subscribe all; each follows its own books.
async fn connect(exchange: &Arc<Exchange>, target: Arc<Target>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for number in 0..target.subscribers {
        let (ready, is_ready) = oneshot::channel();
        let is_silent = number >= target.subscribers - target.silent;
        let (exchange, target) = (exchange.clone(), target.clone());
        tasks.push(tokio::spawn(async move {
            follow(&exchange, &target, number, is_silent, ready).await;
        }));
        is_ready.await.expect("it subscribed");
    }
    tasks
}

async fn follow(
    exchange: &Exchange,
    target: &Target,
    number: usize,
    is_silent: bool,
    ready: oneshot::Sender<()>,
) {
    let symbols = (number * target.books..(number + 1) * target.books)
        .map(|each| format!("S{:03}USDT", each % exchange.symbols));
    let is_exchange = target.protocol.is_empty();
    let mut url = format!("ws://127.0.0.1:{}{}", target.port, target.path);
    if is_exchange {
        let streams: Vec<_> = symbols
            .clone()
            .map(|symbol| format!("{}@depth@100ms", symbol.to_ascii_lowercase()))
            .collect();
        url += &streams.join("/");
    }
    let mut request = url.into_client_request().expect("a request");
    let headers = request.headers_mut();
    let bearer = format!("Bearer {}", target.token);
    headers.insert("Authorization", bearer.parse().expect("a header"));
    if !is_exchange {
        let protocol = target.protocol.parse().expect("a header");
        headers.insert("Sec-WebSocket-Protocol", protocol);
    }
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", target.port))
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut socket, _) = client_async(request, stream).await.expect("a WebSocket");
    if !is_exchange {
        let asked = json!({
            "op": "subscribe", "mode": target.mode, "levels": target.levels,
            "symbols": symbols.collect::<Vec<_>>(),
        });
        let message = match target.protocol.ends_with("msgpack") {
            true => Message::binary(rmp_serde::to_vec(&asked).expect("a value")),
            false => Message::text(asked.to_string()),
        };
        socket.send(message).await.expect("it takes a command");
    }
    if !is_exchange || !is_silent {
        socket.next().await.expect("a reply").expect("a reply");
    }
    ready.send(()).expect("somebody waits");
    if is_silent {
        std::future::pending::<()>().await;
    }
    while let Some(message) = socket.next().await {
        match message.expect("the connection holds") {
            Message::Text(text) => exchange.on_message(text.as_bytes(), is_exchange),
            Message::Binary(bytes) => exchange.on_message(&bytes, is_exchange),
            _ => {}
        }
    }
}
