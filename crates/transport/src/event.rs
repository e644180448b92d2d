//! Events for the owner of the transport, and the one wake-up for all that wait.
//!
//! The queue is bounded by what the owner asked for: a connection opens once, ends once, and its
//! signs of life are one entry until they were taken.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// What happened to a connection, or to the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection can be used.
    Open(u64),
    /// The connection has answered a ping of this side.
    Alive(u64),
    /// The connection ended, or could not be made; nothing more comes of its number.
    Closed {
        /// Which.
        connection: u64,
        /// The WebSocket close code, where there was one.
        code: Option<u16>,
        /// Why, in words: one line, cut and without characters that do not print.
        reason: String,
        /// The HTTP response instead of the handshake, if there was one.
        refusal: Option<Refusal>,
    },
    /// The machine or the process paused: deadlines of the owner are to be looked at again.
    Resumed,
    /// The thread is about to end; no event follows.
    Stopped,
}

/// An HTTP response that refuses a WebSocket handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// Its header `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// Its header `Date`, as it came.
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

    /// Two ends of one connection on loopback: what event loops of this system can wait for.
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

/// Events on their way to the owner.
#[derive(Debug)]
pub(crate) struct Queue {
    events: Mutex<Vec<Event>>,
    woken: AtomicBool,
    wake_socket: WakeEnd,
}

impl Queue {
    /// A queue, and the end at which its owner waits.
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

    /// Wake the owner, unless it was woken since it took events last.
    #[inline]
    pub fn wake(&self) {
        if !self.woken.load(Ordering::Acquire) && !self.woken.swap(true, Ordering::AcqRel) {
            // One byte fits always: it was taken, or the owner is gone.
            let _ = (&self.wake_socket).write(&[1]);
        }
    }

    /// All that happened since the last call. Take the events of the sink only
    /// afterwards: anything that comes from now on wakes the owner again.
    pub fn take(&self) -> Vec<Event> {
        self.woken.store(false, Ordering::Release);
        std::mem::take(&mut self.events.lock())
    }
}
