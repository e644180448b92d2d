//! What operators ask: health, readiness, statistics.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::response::Response;
use depthcache_book::query::{Reading, Side};
use depthcache_book::status::Status;
use depthcache_wire::writer::Object;
use http::{HeaderValue, StatusCode};

use crate::books::TURN;
use crate::call::{Call, json, typed};
use crate::cluster::Cluster;
use crate::problem::{Fact, Problem};
use crate::shared::Shared;
use crate::statistics::{READ_BOUNDS, Refused};

/// The text format of Prometheus.
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The server runs: it answers.
pub fn healthy() -> Response {
    json(br#"{"status":"ok"}"#.to_vec())
}

/// How many books there are, how many ever had levels or will never have, and how many of each status.
struct Census {
    books: usize,
    arrived: usize,
    by_status: [usize; Status::ALL.len()],
}

fn census(shared: &Shared) -> Census {
    let mut found = Census {
        books: 0,
        arrived: 0,
        by_status: Default::default(),
    };
    for book in shared.registry.all() {
        let (status, came) = book.look(|market| {
            let status = market.status_info().status;
            (status, market.last_update_id().is_some())
        });
        found.books += 1;
        found.arrived += usize::from(came || status == Status::Closed);
        found.by_status[status as usize] += 1;
    }
    found
}

/// Every book came once, and not all of them are lost. Of a node of a cluster: as its owner says, because other nodes
/// answer for the books that it lacks.
pub fn ready(shared: &Shared) -> Result<Response, Problem> {
    let found = census(shared);
    let synced = found.by_status[Status::Synced as usize];
    let closed = found.by_status[Status::Closed as usize];
    let count = |number: usize| Fact::Integer(Some(number as i64));
    let of_node = shared.cluster.as_ref().and_then(|node| node.not_ready());
    let reason = if shared.is_draining() {
        "the server is shutting down".to_owned()
    } else if let Some(reason) = of_node {
        if reason.is_empty() {
            return Ok(is_ready(&found));
        }
        reason
    } else if found.arrived < found.books {
        let late = found.books - found.arrived;
        format!("{late} of {} books have not been synced yet", found.books)
    } else if synced == 0 && closed < found.books {
        "no book is synced now".to_owned()
    } else {
        return Ok(is_ready(&found));
    };
    Err(
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", reason)
            .fact("books", count(found.books))
            .fact("synced", count(synced))
            .retry_after(1),
    )
}

fn is_ready(found: &Census) -> Response {
    let mut out = Vec::new();
    let mut message = Object::begin(&mut out);
    message.text("status", "ready");
    message.integer("books", found.books as i64);
    message.integer("synced", found.by_status[Status::Synced as usize] as i64);
    message.end();
    json(out)
}

/// Books by status, and what the server counts of itself.
pub fn stats(shared: &Shared) -> Response {
    let found = census(shared);
    let mut out = Vec::new();
    let mut message = Object::begin(&mut out);
    if let Some((running, installed)) = &*shared.versions.read() {
        let mut version = message.object("version");
        version.text("running", running);
        version.text("installed", installed);
        version.end();
    }
    if let Some(has_ended) = *shared.recording_has_ended.read() {
        message.text("recording", if has_ended { "ended" } else { "playing" });
    }
    let mut books = message.object("books");
    books.integer("all", found.books as i64);
    for (status, count) in Status::ALL.into_iter().zip(found.by_status) {
        books.integer(status.as_str(), count as i64);
    }
    books.end();
    let statistics = &shared.statistics;
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut connections = message.object("connections");
    connections.integer("open", statistics.open.load(Ordering::Relaxed) as i64);
    connections.integer(
        "accepted",
        whole(statistics.accepted.load(Ordering::Relaxed)),
    );
    connections.integer("idle", whole(statistics.idle.load(Ordering::Relaxed)));
    let mut refused = connections.object("refused");
    for (why, word) in Refused::ALL {
        refused.integer(word, whole(statistics.refused(why)));
    }
    refused.end();
    connections.end();
    let mut streams = message.object("streams");
    for (name, _, _, count) in of_streams(shared) {
        streams.integer(name, whole(count));
    }
    streams.end();
    message.integer("waiting", shared.waiting.count() as i64);
    if let Some(found) = &shared.cluster {
        let mut cluster = message.object("cluster");
        cluster.text("node", &found.node);
        for (name, _, count) in of_cluster(found) {
            cluster.integer(name, whole(count));
        }
        cluster.end();
    }
    let mut responses = message.object("responses");
    let mut counts = statistics.responses().peekable();
    while let Some((name, status, count)) = counts.next() {
        let mut route = responses.object(name);
        route.integer(&status.to_string(), whole(count));
        while let Some((_, status, count)) = counts.next_if(|(next, ..)| *next == name) {
            route.integer(&status.to_string(), whole(count));
        }
        route.end();
    }
    responses.end();
    message.end();
    json(out)
}

/// The same, and every book, as the text of Prometheus; the names of books are those of `Books.prometheus`.
pub async fn metrics(shared: &Shared) -> Response {
    let mut books = Families::new(&[
        (
            "depthcache_book_synced",
            "gauge",
            "1 while the book can be trusted",
        ),
        (
            "depthcache_book_age_seconds",
            "gauge",
            "Since the last update",
        ),
        (
            "depthcache_book_confirmed_seconds",
            "gauge",
            "Since the last proof",
        ),
        ("depthcache_book_complete_levels", "gauge", "Levels proven"),
    ]);
    let mut counters: Vec<(&str, String)> = Vec::new();
    for (index, book) in shared.registry.all().into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let now_ns = book.now_ns();
        let (status, updated_ns, confirmed_ns, coverage, counts) = book.look(|market| {
            let coverage = [Side::Bids, Side::Asks].map(|side| market.coverage(side));
            (
                market.status_info().status,
                market.updated_ns(),
                market.confirmed_ns(),
                coverage,
                market.counters(),
            )
        });
        let labels = format!(
            "exchange=\"{}\",symbol=\"{}\"",
            escaped(&book.exchange),
            escaped(&book.symbol)
        );
        let age_s = |at_ns: i64| now_ns.saturating_sub(at_ns).max(0) as f64 / 1e9;
        books.sample(0, &labels, f64::from(status == Status::Synced));
        for (family, at_ns) in [(1, updated_ns), (2, confirmed_ns)] {
            if let Some(at_ns) = at_ns {
                books.sample(family, &labels, age_s(at_ns));
            }
        }
        for (side, levels) in ["bids", "asks"].into_iter().zip(coverage) {
            books.sample(3, &format!("{labels},side=\"{side}\""), levels as f64);
        }
        if counters.is_empty() {
            counters = counts
                .named()
                .map(|(name, _)| (name, String::new()))
                .to_vec();
        }
        for ((name, text), (_, count)) in counters.iter_mut().zip(counts.named()) {
            let _ = writeln!(text, "depthcache_book_{name}_total{{{labels}}} {count}");
        }
    }
    let mut out = books.text();
    for (name, text) in counters {
        let words = format!("Book {}", name.replace('_', " "));
        out += &head(&format!("depthcache_book_{name}_total"), "counter", &words);
        out += &text;
    }
    out += &of_server(shared);
    let mut out = out.into_bytes();
    out.extend_from_slice(&shared.metrics.read());
    typed(PROMETHEUS, out)
}

fn of_server(shared: &Shared) -> String {
    let statistics = &shared.statistics;
    let mut families = Families::new(&[
        (
            "depthcache_server_connections",
            "gauge",
            "Connections that are open",
        ),
        (
            "depthcache_server_accepted_total",
            "counter",
            "Connections accepted",
        ),
        (
            "depthcache_server_idle_total",
            "counter",
            "Connections closed because they were idle or slow",
        ),
        (
            "depthcache_server_refused_total",
            "counter",
            "Connections refused",
        ),
        ("depthcache_server_responses_total", "counter", "Responses"),
        (
            "depthcache_server_waiting",
            "gauge",
            "Reads that wait for a book (on_stale=wait)",
        ),
    ]);
    let mut streams = String::new();
    families.sample(0, "", statistics.open.load(Ordering::Relaxed) as f64);
    families.sample(1, "", statistics.accepted.load(Ordering::Relaxed) as f64);
    families.sample(2, "", statistics.idle.load(Ordering::Relaxed) as f64);
    families.sample(5, "", shared.waiting.count() as f64);
    for (why, word) in Refused::ALL {
        families.sample(
            3,
            &format!("reason=\"{word}\""),
            statistics.refused(why) as f64,
        );
    }
    for (name, kind, words, count) in of_streams(shared) {
        let suffix = if kind == "counter" { "_total" } else { "" };
        let name = format!("depthcache_server_{name}{suffix}");
        streams += &head(&name, kind, words);
        let _ = writeln!(streams, "{name} {count}");
    }
    for (name, words, count) in shared.cluster.iter().flat_map(|found| of_cluster(found)) {
        let name = format!("depthcache_server_{name}_total");
        streams += &head(&name, "counter", words);
        let _ = writeln!(streams, "{name} {count}");
    }
    for (name, status, count) in statistics.responses() {
        let labels = format!("route=\"{name}\",status=\"{status}\"");
        families.sample(4, &labels, count as f64);
    }
    families.text() + &streams + &of_reads(shared)
}

/// How long reads took.
fn of_reads(shared: &Shared) -> String {
    let name = "depthcache_server_read_seconds";
    let words = "Time from a read of books to its response";
    let mut text = head(name, "histogram", words);
    let (counts, sum_s) = shared.statistics.reads();
    let bounds = READ_BOUNDS.iter().map(|(_, shown)| *shown);
    let mut seen = 0;
    for (bound, count) in bounds.chain(["+Inf"]).zip(counts) {
        seen += count;
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {seen}");
    }
    let _ = writeln!(text, "{name}_sum {sum_s}\n{name}_count {seen}");
    text
}

/// What is counted of other nodes of the cluster: name, words, count.
fn of_cluster(cluster: &Cluster) -> [(&'static str, &'static str, u64); 3] {
    let all = |count: &AtomicU64| count.load(Ordering::Relaxed);
    [
        (
            "forwarded",
            "Reads that other nodes answered",
            all(&cluster.forwarded),
        ),
        (
            "hedged",
            "Nodes that were asked because another one failed, refused or was slow",
            all(&cluster.hedged),
        ),
        (
            "failed",
            "Nodes that were asked and gave no answer",
            all(&cluster.failed),
        ),
    ]
}

/// What is counted of sockets, streams and those who follow books: name, kind, words, count.
fn of_streams(shared: &Shared) -> [(&'static str, &'static str, &'static str, u64); 11] {
    let of = &shared.statistics;
    let open = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
    let all = |count: &AtomicU64| count.load(Ordering::Relaxed);
    [
        (
            "sockets",
            "gauge",
            "WebSockets that are open",
            open(&of.sockets),
        ),
        (
            "event_streams",
            "gauge",
            "Streams of events that are open",
            open(&of.streams),
        ),
        (
            "subscribers",
            "gauge",
            "Books that are followed, counted for each connection",
            open(&of.subscribers),
        ),
        (
            "views",
            "gauge",
            "Views of books, each shared by those who follow it",
            shared.backlog.views() as u64,
        ),
        (
            "view_bytes",
            "gauge",
            "Bytes that all views keep",
            shared.backlog.held_bytes() as u64,
        ),
        (
            "messages",
            "counter",
            "Messages of books to those who follow them",
            all(&of.messages),
        ),
        (
            "encoded",
            "counter",
            "Messages of books that were encoded for that",
            all(&of.encoded),
        ),
        (
            "encoded_bytes",
            "counter",
            "Bytes of messages that were encoded",
            all(&of.encoded_bytes),
        ),
        (
            "skipped",
            "counter",
            "Updates that followers did not get one by one",
            all(&of.skipped),
        ),
        (
            "received",
            "counter",
            "Messages from clients on WebSockets",
            all(&of.received),
        ),
        (
            "slow",
            "counter",
            "Clients that were disconnected because they took nothing",
            all(&of.slow),
        ),
    ]
}

/// Samples by family: each family is one block.
struct Families(Vec<(&'static str, String)>);

impl Families {
    fn new(wanted: &[(&'static str, &str, &str)]) -> Families {
        let begun = wanted
            .iter()
            .map(|(name, kind, words)| (*name, head(name, kind, words)));
        Families(begun.collect())
    }

    fn sample(&mut self, family: usize, labels: &str, value: f64) {
        let (name, text) = &mut self.0[family];
        let _ = match labels.is_empty() {
            true => writeln!(text, "{name} {value}"),
            false => writeln!(text, "{name}{{{labels}}} {value}"),
        };
    }

    fn text(self) -> String {
        self.0.into_iter().map(|(_, text)| text).collect()
    }
}

/// What begins a family.
fn head(name: &str, kind: &str, words: &str) -> String {
    format!("# HELP {name} {words}\n# TYPE {name} {kind}\n")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A document that the owner gave.
pub fn document(call: &Call<'_>) -> Result<Response, Problem> {
    let path = call.request.uri.path();
    let found = call.shared.documents.get(path);
    found
        .map(|document| document.respond(&call.request.headers))
        .ok_or_else(|| {
            let message = "this server was started without documents";
            Problem::new(StatusCode::NOT_FOUND, "unknown_path", message)
        })
}
