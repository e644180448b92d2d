//! One JSON line a request, for operators who ask for it. No line has a secret, and no request waits for the disk.
//!
//! Lines go through a bounded queue to a thread that writes them. Where the queue is full they are lost, and the next
//! line that is written says how many.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use depthcache_wire::writer::Object;
use http::{Method, StatusCode, Uri};
use parking_lot::Mutex;

use crate::access::Role;
use crate::problem::shortened;
use crate::secrets::{is_secret, shown_path};
use crate::table::ROUTES;

/// Lines that wait for the writer at most: some 2 MB.
const CAPACITY: usize = 8_192;

/// Parameters of old clients and of the exchange's protocol whose values are logged, as those of `ROUTES` are; of
/// others only the names are.
const OF_OTHERS: [&str; 9] = [
    "debug",
    "desired_quantity",
    "limit_count",
    "market",
    "markets",
    "refresh_interval",
    "streams",
    "threshold_volume",
    "update_interval",
];

/// Where lines go.
pub struct AccessLog {
    queue: Mutex<Option<SyncSender<Vec<u8>>>>,
    lost: std::sync::Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Append to a file, or write to standard error for `-`.
    pub fn open(path: &Path) -> io::Result<AccessLog> {
        let out: Box<dyn Write + Send> = match path.to_str() {
            Some("-") => Box::new(io::stderr()),
            _ => Box::new(BufWriter::new(appending(path)?)),
        };
        AccessLog::to(out, CAPACITY)
    }

    fn to(out: Box<dyn Write + Send>, capacity: usize) -> io::Result<AccessLog> {
        let (queue, lines) = sync_channel(capacity);
        let lost = std::sync::Arc::new(AtomicU64::new(0));
        let writer = {
            let lost = lost.clone();
            let name = "depthcache-access".to_owned();
            thread::Builder::new()
                .name(name)
                .spawn(move || write(&lines, out, &lost))?
        };
        Ok(AccessLog {
            queue: Mutex::new(Some(queue)),
            lost,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Log one request.
    pub fn log(&self, entry: &Entry<'_>) {
        let queue = self.queue.lock().clone();
        let Some(queue) = queue else {
            return;
        };
        if let Err(TrySendError::Full(_)) = queue.try_send(entry.line()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Write what waits, and end.
    pub fn finish(&self) {
        self.queue.lock().take();
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

fn appending(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

fn write(lines: &Receiver<Vec<u8>>, mut out: Box<dyn Write + Send>, lost: &AtomicU64) {
    while let Ok(line) = lines.recv() {
        // A full disk loses lines, and nothing else.
        let mut put = |line: &[u8]| {
            if out.write_all(line).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        };
        put(&line);
        while let Ok(line) = lines.try_recv() {
            put(&line);
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 && writeln!(out, "{{\"lost\":{count}}}").is_err() {
            lost.fetch_add(count, Ordering::Relaxed);
        }
        let _ = out.flush();
    }
}

/// What is known of a request.
pub struct Entry<'a> {
    pub peer: IpAddr,
    pub method: &'a Method,
    /// Without a key.
    pub uri: &'a Uri,
    /// Whether a key came in its path (`access::take_key`).
    pub has_key: bool,
    pub role: Option<Role>,
    pub status: StatusCode,
    /// Of the response's body; None where they are not known before.
    pub bytes: Option<u64>,
    pub took: Duration,
}

impl Entry<'_> {
    fn line(&self) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let whole = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
        let mut out = Vec::with_capacity(256);
        let mut line = Object::begin(&mut out);
        line.integer("time_us", whole(now.unwrap_or_default().as_micros()));
        line.text("peer", &self.peer.to_canonical().to_string());
        line.text("method", &shortened(self.method.as_str()));
        line.text("path", &path(self.uri.path(), self.has_key));
        if let Some(query) = self.uri.query() {
            line.text("query", &redacted_query(query));
        }
        if let Some(role) = self.role {
            line.text("role", role.as_str());
        }
        line.integer("status", self.status.as_u16().into());
        line.optional(
            "bytes",
            self.bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        );
        line.integer("took_us", whole(self.took.as_micros()));
        line.end();
        out.push(b'\n');
        out
    }
}

/// A path without its secrets; `has_key`: a key was taken out of it.
fn path(path: &str, has_key: bool) -> String {
    let begin = if has_key { "/k/…" } else { "" };
    shortened(&format!("{begin}{}", shown_path(path)))
}

fn redacted_query(query: &str) -> String {
    let parts: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if is_known(name) && !is_secret(value) => {
                format!("{name}={}", shortened(value))
            }
            Some((name, _)) if !is_secret(name) => format!("{}=…", shortened(name)),
            _ => "…".to_owned(),
        })
        .collect();
    let joined = parts.join("&");
    shortened(&joined)
}

fn is_known(name: &str) -> bool {
    let mut own = ROUTES.iter().flat_map(|route| route.parameters);
    OF_OTHERS.contains(&name) || own.any(|parameter| parameter.name == name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn no_line_has_a_key() {
        for (given, has_key, shown) in [
            ("/v1/books/binance.com/A", false, "/v1/books/binance.com/A"),
            ("/binance.com/ws", true, "/k/…/binance.com/ws"),
            ("/v1/dcr_7Qabc", false, "/v1/…"),
            ("/v1/dcx%5F7Qabc", false, "/v1/…"),
            ("/", true, "/k/…/"),
            ("//k/hunter2/binance.com", false, "//k/…/binance.com"),
            ("/%6B/hunter2", false, "/%6B/…"),
            ("/x/K/hunter2", true, "/k/…/x/K/…"),
            ("/v1/%64cx_7Qabc", false, "/v1/…"),
            ("/k%2Fhunter2%2Fbinance.com/ws", false, "/…/ws"),
            ("/x%2Fk/hunter2/ws", false, "/x%2Fk/…/ws"),
            ("/v1/a=b&c+dcr%5f7Qabc", false, "/v1/…"),
            ("/v1/a+b=c&d", false, "/v1/a+b=c&d"),
        ] {
            assert_eq!(path(given, has_key), shown);
        }
        for (given, shown) in [
            ("levels=5&exact=false", "levels=5&exact=false"),
            ("mode=every&group=10", "mode=every&group=10"),
            ("token=hunter2&levels=5", "token=…&levels=5"),
            ("symbol=dcr_7Qabc", "symbol=…"),
            ("dca_7Qabc", "…"),
            ("api_secret=hunter2", "api_secret=…"),
        ] {
            assert_eq!(redacted_query(given), shown);
        }
    }

    /// A disk that is full until there is room.
    struct Full(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock();
            if disk.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_lines_and_they_are_counted_once_there_is_room() {
        let disk = Arc::new(Mutex::new((true, Vec::new())));
        let (queue, lines) = sync_channel(CAPACITY);
        let lost = AtomicU64::new(0);
        for _ in 0..3 {
            queue
                .try_send(b"{\"path\":\"/\"}\n".to_vec())
                .expect("room");
        }
        drop(queue);
        write(&lines, Box::new(Full(disk.clone())), &lost);
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        disk.lock().0 = false;
        let (queue, lines) = sync_channel(CAPACITY);
        queue.try_send(b"{}\n".to_vec()).expect("room");
        drop(queue);
        write(&lines, Box::new(Full(disk.clone())), &lost);
        assert_eq!(disk.lock().1, b"{}\n{\"lost\":3}\n");
    }

    /// A disk that is held until the gate opens.
    #[derive(Clone)]
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_disk_loses_lines_and_says_how_many() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = AccessLog::to(Box::new(Slow(written.clone())), 2).expect("a thread");
        let entry = Entry {
            peer: "127.0.0.1".parse().expect("an address"),
            method: &Method::GET,
            uri: &Uri::from_static("/healthz"),
            has_key: false,
            role: None,
            status: StatusCode::OK,
            bytes: Some(2),
            took: Duration::from_micros(7),
        };
        let held = written.lock();
        for _ in 0..10 {
            log.log(&entry); // never waits
        }
        drop(held);
        log.finish();
        let text = String::from_utf8(written.lock().clone()).expect("it is text");
        let lines = text
            .lines()
            .filter(|line| line.contains("/healthz"))
            .count();
        let lost: usize = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("{\"lost\":")?
                    .strip_suffix('}')?
                    .parse::<usize>()
                    .ok()
            })
            .sum();
        assert_eq!(lines + lost, 10, "{text}");
        assert!(lost >= 7, "{text}");
        log.log(&entry); // without effect
    }
}
