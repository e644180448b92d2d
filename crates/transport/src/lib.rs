//! WebSocket connections on a dedicated thread.
//!
//! A `Transport` has one native thread. It connects (through proxies, with TLS), answers pings, detects
//! silence and passes every message with its receive time to a `FrameSink`. Anything that its owner must
//! decide becomes an `Event`; one byte on a socket (`Transport::wake_end`) announces any number of them.
//! Frames never wait for the owner.
//!
//! It knows nothing of order books or Python and makes no decisions: its owner decides when to connect, what
//! to send and whether to retry.

#![forbid(unsafe_code)]

pub mod clock;
mod connect;
mod connection;
mod describe_error;
mod dial;
mod event;
mod foreign_text;
mod secret;
mod thread;
mod tls;

pub use clock::Moment;
pub use connect::{Proxy, ProxyKind, Target};
pub use event::{Event, Refusal, WakeEnd};
pub use secret::Secret;
pub use thread::{Options, Transport};
pub use tls::Fingerprint;

/// The result of a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Number of pauses of the machine or the process so far; after a new one, every connection is pinged.
    pub pauses: u64,
    /// Whether the owner has events to handle.
    pub has_events: bool,
}

/// Receives the messages. Called on the transport's thread, so it must not block.
pub trait FrameSink: Send + Sync + 'static {
    /// A complete text or binary message. Returns true if the owner has events to handle.
    fn on_frame(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool;

    /// Time of the last useful message of this connection (with data that was used), by the clock of
    /// `received_ns`; None before the first. Called occasionally, not per message.
    fn heard_ns(&self, connection: u64) -> Option<i64>;

    /// A connection ended or could not be opened. Reported before its owner can react.
    fn on_lost(&self, connection: u64, reason: &str, at_ns: i64);

    /// Called several times a second, and at once after the machine has slept.
    fn on_tick(&self, moment: Moment) -> Tick {
        let _ = moment;
        Tick::default()
    }

    /// The thread is stopping: no more ticks follow.
    fn on_stop(&self) {}
}
