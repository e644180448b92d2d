//! What a server takes from its clients, in numbers.

use std::time::Duration;

/// What a server takes from its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address of another machine.
    pub connections_per_address: usize,
    /// Requests a second from one address; 0 for any number.
    pub requests_per_second: u32,
    /// Bytes of the head of a request, which has at most 100 headers (of hyper; another number costs 5 % of all reads).
    pub header_bytes: usize,
    /// Bytes of the body of a request.
    pub body_bytes: usize,
    /// Bytes of a message on a WebSocket.
    pub message_bytes: usize,
    /// Messages a second on a WebSocket, pings included; as many may come at once.
    pub messages_per_second: u32,
    /// Bytes kept for the client of a WebSocket that does not take them.
    pub held_bytes: usize,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Books that one connection follows, in all subscriptions.
    pub followed: usize,
    /// Views of one book that are followed, by all connections.
    pub views: usize,
    /// Bytes that all views keep: messages, and newest states.
    pub view_bytes: usize,
    /// How long a view without readers is kept for one that comes back.
    pub linger: Duration,
    /// How often a connection learns of its books that are silent.
    pub heartbeat: Duration,
    /// How long a connection may be without a request in flight, and how long a client may take to send one or to
    /// take a response. On a WebSocket: when the client is asked for a sign of life.
    pub idle: Duration,
    /// How long a request waits for the owner.
    pub delegation: Duration,
}

impl Limits {
    /// Where nothing else is said.
    pub const DEFAULT: Limits = Limits {
        connections: 10_000,
        connections_per_address: 1_000,
        requests_per_second: 0,
        header_bytes: 16 << 10,
        body_bytes: 64 << 10,
        message_bytes: 64 << 10,
        messages_per_second: 100,
        held_bytes: 1 << 20,
        subscriptions: 1_000,
        followed: 10_000,
        views: 32,
        view_bytes: 256 << 20,
        linger: Duration::from_secs(10),
        heartbeat: Duration::from_secs(5),
        idle: Duration::from_secs(30),
        delegation: Duration::from_secs(10),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
