//! Events for the owner of the transport, and the wake-up for them.
//!
//! The number of connections bounds the queue: each opens once and ends once, and its signs of life are one
//! entry until they are taken.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// An event of a connection or of the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection is open.
    Open(u64),
    /// The peer has answered a ping.
    Alive(u64),
    /// The connection ended or could not be opened. No more events follow for its number.
    Closed {
        /// The number of the connection.
        connection: u64,
        /// The WebSocket close code, if there was one.
        code: Option<u16>,
        /// The cause: one line of limited length, printable characters only.
        reason: String,
        /// The HTTP response that refused the handshake, if there was one.
        refusal: Option<Refusal>,
    },
    /// The machine or the process paused: the owner must check its deadlines.
    Resumed,
    /// The thread is ending; no event follows.
    Stopped,
}

/// An HTTP response that refuses a WebSocket handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After` as received.
    pub retry_after: Option<String>,
    /// The header `Date` as received.
    pub date: Option<String>,
}

#[cfg(unix)]
mod end {
    pub use std::os::unix::net::UnixStream as WakeEnd;

    pub fn pair() -> std::io::Result<(WakeEnd, WakeEnd)> {
        WakeEnd::pair()
    }
}

#[cfg(not(unix))]
mod end {
    use std::net::{Ipv4Addr, TcpListener};

    pub use std::net::TcpStream as WakeEnd;

    /// Two ends of a connection on loopback, which event loops of this system can wait for.
    pub fn pair() -> std::io::Result<(WakeEnd, WakeEnd)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let near = WakeEnd::connect(listener.local_addr()?)?;
        let own = near.local_addr()?;
        loop {
            let (far, from) = listener.accept()?;
            if from == own {
                return Ok((near, far));
            }
        }
    }
}

/// A socket that becomes readable when events are waiting.
pub use end::WakeEnd;

/// The queue of events for the owner.
#[derive(Debug)]
pub(crate) struct Queue {
    events: Mutex<Vec<Event>>,
    woken: AtomicBool,
    wake_socket: WakeEnd,
}

impl Queue {
    /// A queue, and the socket on which its owner waits.
    pub fn new() -> io::Result<(Queue, WakeEnd)> {
        let (wake_socket, wake_end) = end::pair()?;
        wake_socket.set_nonblocking(true)?;
        wake_end.set_nonblocking(true)?;
        let queue = Queue {
            events: Mutex::default(),
            woken: AtomicBool::new(false),
            wake_socket,
        };
        Ok((queue, wake_end))
    }

    /// Add an event.
    pub fn push(&self, event: Event) {
        {
            let mut events = self.events.lock();
            if !(matches!(event, Event::Alive(_)) && events.contains(&event)) {
                events.push(event);
            }
        }
        self.wake();
    }

    /// Wake the owner, unless it has been woken since it last took events.
    #[inline]
    pub fn wake(&self) {
        if !self.woken.load(Ordering::Acquire) && !self.woken.swap(true, Ordering::AcqRel) {
            // One byte always fits: the last one was read, or the owner is gone.
            let _ = (&self.wake_socket).write(&[1]);
        }
    }

    /// The events since the last call. Take the events of the sink after this call: anything that arrives
    /// from now on wakes the owner again.
    pub fn take(&self) -> Vec<Event> {
        self.woken.store(false, Ordering::Release);
        std::mem::take(&mut self.events.lock())
    }
}
