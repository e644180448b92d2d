//! What a server counts of itself; counts only grow, but for those that are open.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::contract::ENDPOINTS;
use crate::table::ROUTES;

/// The statuses that are counted one by one; others count as the first of their class (4xx).
pub const STATUSES: [u16; 22] = [
    101, 200, 201, 204, 300, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 425, 426, 429, 431,
    500, 502, 503,
];

/// Upper bounds of the times of reads, in microseconds, and what is written for them.
pub const READ_BOUNDS: [(u128, &str); 15] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];

/// The index of what is no path of old clients, behind `ROUTES`, what is none of them, and `ENDPOINTS`.
const COMPAT_OTHER: usize = ROUTES.len() + 1 + ENDPOINTS.len();

/// The index of the exchange's own protocol.
pub const EXCHANGE: usize = COMPAT_OTHER + 1;

/// Why a connection was closed before it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The server has as many as it may have.
    Connections,
    /// The address has.
    Address,
    /// TLS could not be agreed on.
    Tls,
    /// The listener takes no connections of that address.
    Network,
    /// The cluster removed the node.
    Node,
}

impl Refused {
    pub const ALL: [(Refused, &'static str); 5] = [
        (Refused::Connections, "connections"),
        (Refused::Address, "connections_of_address"),
        (Refused::Tls, "tls"),
        (Refused::Network, "network"),
        (Refused::Node, "removed_node"),
    ];
}

/// The counters.
#[derive(Debug)]
pub struct Statistics {
    /// By route (one more for what is none) and status; then the same for old clients; then the exchange's protocol.
    responses: Vec<[AtomicU64; STATUSES.len()]>,
    refused: [AtomicU64; Refused::ALL.len()],
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that are open.
    pub open: AtomicUsize,
    /// Connections that were closed because they were idle or slow.
    pub idle: AtomicU64,
    /// WebSockets that are open.
    pub sockets: AtomicUsize,
    /// Streams of events that are open.
    pub streams: AtomicUsize,
    /// Messages on all WebSockets, to clients and from them.
    pub sent: AtomicU64,
    pub received: AtomicU64,
    /// Books that are followed by connections, counted for each of them.
    pub subscribers: AtomicUsize,
    /// Messages to followers; how many were encoded for that, and their bytes.
    pub messages: AtomicU64,
    pub encoded: AtomicU64,
    pub encoded_bytes: AtomicU64,
    /// Updates that followers did not get one by one: they were slow, or the book started over.
    pub skipped: AtomicU64,
    /// WebSockets and streams that were closed because their client took nothing.
    pub slow: AtomicU64,
    /// Reads of books by the time that they took; those above the last bound at the end.
    reads: [AtomicU64; READ_BOUNDS.len() + 1],
    reads_us: AtomicU64,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            responses: (0..=EXCHANGE).map(|_| Default::default()).collect(),
            refused: Default::default(),
            accepted: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            idle: AtomicU64::new(0),
            sockets: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            subscribers: AtomicUsize::new(0),
            messages: AtomicU64::new(0),
            encoded: AtomicU64::new(0),
            encoded_bytes: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            reads: Default::default(),
            reads_us: AtomicU64::new(0),
        }
    }
}

impl Statistics {
    /// One more response; `route`: an index of `ROUTES`, or their number for what is none of them.
    pub fn count(&self, route: usize, status: StatusCode) {
        let status = status.as_u16();
        let is_it = |each: &u16| *each == status;
        let is_alike = |each: &u16| *each / 100 == status / 100;
        let place = STATUSES.iter().position(is_it);
        let place = place.or_else(|| STATUSES.iter().position(is_alike));
        self.responses[route][place.unwrap_or(0)].fetch_add(1, Ordering::Relaxed);
    }

    /// A read of books was answered after so long.
    pub fn on_read(&self, took: Duration) {
        let us = took.as_micros();
        let bucket = READ_BOUNDS.partition_point(|(bound, _)| *bound < us);
        self.reads[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.reads_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Reads of books by the time that they took, and the sum of these times in seconds.
    pub fn reads(&self) -> ([u64; READ_BOUNDS.len() + 1], f64) {
        let counts = self
            .reads
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        (counts, self.reads_us.load(Ordering::Relaxed) as f64 / 1e6)
    }

    /// A message to followers was encoded.
    pub fn encoded(&self, bytes: usize) {
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.encoded_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A follower did not get so many updates one by one.
    pub fn skip(&self, updates: u64) {
        self.skipped.fetch_add(updates, Ordering::Relaxed);
    }

    /// One more response to an old client; `endpoint`: an index of `ENDPOINTS`, or their number for what is no path of theirs.
    pub fn count_compat(&self, endpoint: usize, status: StatusCode) {
        self.count(ROUTES.len() + 1 + endpoint, status);
    }

    pub fn refuse(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self, why: Refused) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Route and status of each count that is not 0.
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, u16, u64)> + '_ {
        self.responses
            .iter()
            .enumerate()
            .flat_map(|(index, counts)| {
                let name = name(index);
                counts
                    .iter()
                    .zip(STATUSES)
                    .filter_map(move |(count, status)| {
                        let count = count.load(Ordering::Relaxed);
                        (count > 0).then_some((name, status, count))
                    })
            })
    }
}

fn name(index: usize) -> &'static str {
    let compat = index.wrapping_sub(ROUTES.len() + 1);
    match (ROUTES.get(index), ENDPOINTS.get(compat)) {
        (Some(route), _) => route.name,
        (None, Some(endpoint)) => endpoint.name,
        (None, None) if index == ROUTES.len() => "other",
        (None, None) if index == EXCHANGE => "exchange",
        (None, None) => "compat_other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let statistics = Statistics::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            statistics.on_read(Duration::from_micros(us));
        }
        let (counts, sum_s) = statistics.reads();
        assert_eq!((counts[0], counts[1]), (2, 1));
        let last = READ_BOUNDS.len();
        assert_eq!((counts[last - 1], counts[last]), (1, 1));
        assert!((sum_s - 20.000202).abs() < 1e-9);
    }

    #[test]
    fn a_status_counts_as_itself_or_as_the_first_of_its_hundred() {
        for (given, counted) in [
            (502, 502),
            (500, 500),
            (503, 503),
            (599, 500),
            (418, 400),
            (206, 200),
            (301, 300),
        ] {
            let statistics = Statistics::default();
            statistics.count(EXCHANGE, StatusCode::from_u16(given).expect("a status"));
            let found: Vec<_> = statistics.responses().collect();
            assert_eq!(found, [("exchange", counted, 1)]);
        }
        assert!(STATUSES.is_sorted(), "the first of a hundred is the lowest");
    }
}
