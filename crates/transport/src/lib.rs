//! WebSocket connections on a thread of their own.
//!
//! A `Transport` has one native thread. There it connects (through proxies, with TLS), answers pings,
//! watches for silence and hands every message to its `FrameSink`, stamped on arrival. What its
//! owner has to decide on becomes an `Event`; a byte on a socket (`Transport::wake_end`) says once
//! that some are waiting, however many frames came in between. No frame ever waits for the owner.
//!
//! It knows nothing of order books or of Python, and decides nothing: when to connect, what to say
//! and whether to try again are its owner's business.

#![forbid(unsafe_code)]

pub mod clock;
mod connect;
mod connection;
mod describe_error;
mod dial;
mod event;
mod foreign_text;
mod thread;
mod tls;

pub use clock::Moment;
pub use connect::{Proxy, ProxyKind, Target};
pub use event::{Event, Refusal, WakeEnd};
pub use thread::{Options, Transport};

/// What follows from a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// How often the machine or the process paused so far; one more, and every connection is pinged.
    pub pauses: u64,
    /// Whether the owner has something to look at.
    pub has_events: bool,
}

/// Takes the messages. Called on the transport's thread, so it must not wait.
pub trait FrameSink: Send + Sync + 'static {
    /// One whole text or binary message; true when the owner has something to look at.
    fn on_frame(&self, connection: u64, frame: &[u8], received_ns: i64) -> bool;

    /// When the last message of this connection came that was of use (it carried data that is taken),
    /// by the clock of `received_ns`; None before one. It is asked now and then, never for a message.
    fn heard_ns(&self, connection: u64) -> Option<i64>;

    /// A connection ended, or could not be made; reported before its owner can decide anything.
    fn on_lost(&self, connection: u64, reason: &str, at_ns: i64);

    /// The thread goes on: called several times a second, and at once after a sleep of the machine.
    fn on_tick(&self, moment: Moment) -> Tick {
        let _ = moment;
        Tick::default()
    }

    /// The thread is stopped, or ends: no tick follows.
    fn on_stop(&self) {}
}
