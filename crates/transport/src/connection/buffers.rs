//! The buffers of a socket: output that the peer does not read, and input without a complete message.

use std::time::Duration;

use super::{ConnectionEnd, nanos};

/// Multiple of the pong timeout within which a message must be complete. Real messages have one to a few TCP
/// segments.
const UNFINISHED_PATIENCES: i64 = 6;

/// The largest control frame has 2 + 125 bytes (RFC 6455, 5.5). A part of one may be waiting at any moment.
const CONTROL_FRAME_BYTES: u64 = 127;

/// Output in the socket's own buffer.
#[derive(Default)]
pub struct Output {
    /// Whether something waits to be sent …
    unsent: bool,
    /// … the time since when the peer has not read it …
    stuck_ns: Option<i64>,
    /// … and whether it includes a pong.
    owes_pong: bool,
}

impl Output {
    pub fn put(&mut self) {
        self.unsent = true;
    }

    pub fn put_pong(&mut self) {
        (self.unsent, self.owes_pong) = (true, true);
    }

    pub fn is_waiting(&self) -> bool {
        self.unsent
    }

    pub fn on_flushed(&mut self) {
        *self = Output::default();
    }

    pub fn on_stuck(&mut self, now_ns: impl FnOnce() -> i64) {
        self.stuck_ns.get_or_insert_with(now_ns);
    }

    /// Whether a pong waits for the peer to read; then nothing more is read from it.
    pub fn holds_input(&self) -> bool {
        self.owes_pong && self.stuck_ns.is_some()
    }

    /// Since when the peer has not read; None if it does.
    pub fn stuck_ns(&self) -> Option<i64> {
        self.stuck_ns
    }
}

/// How much of the input consists of complete messages.
#[derive(Default)]
pub struct Input {
    /// Bytes received when the last message was complete.
    whole: u64,
    /// Bytes of control frames since then.
    control: u64,
    /// An incomplete message: the complete bytes before it, and since when it has been waiting.
    unfinished: Option<(u64, i64)>,
}

impl Input {
    /// A message is complete after this many bytes.
    #[inline]
    pub fn on_message(&mut self, received: u64) {
        (self.whole, self.control) = (received, 0);
    }

    pub fn on_control(&mut self, payload_bytes: usize) {
        self.control += 2 + payload_bytes as u64;
    }

    /// Why the connection ends if a message does not end: an endless message is no sign of life. `received`:
    /// bytes received so far, all of them parsed.
    pub fn check(
        &mut self,
        now_ns: i64,
        received: u64,
        patience: Duration,
    ) -> Option<ConnectionEnd> {
        if received - self.whole <= self.control + CONTROL_FRAME_BYTES {
            self.unfinished = None;
            return None;
        }
        let limit_ns = nanos(patience).saturating_mul(UNFINISHED_PATIENCES);
        match self.unfinished {
            Some((whole, since_ns)) if whole == self.whole => (now_ns - since_ns >= limit_ns)
                .then(|| ConnectionEnd::over("one message has been incomplete", limit_ns)),
            _ => {
                self.unfinished = Some((self.whole, now_ns));
                None
            }
        }
    }
}
