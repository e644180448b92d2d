//! What waits in the buffers of a socket: output that the other side does not read, input that is no whole
//! message.

use std::time::Duration;

use super::{ConnectionEnd, nanos};

/// How often the time for an answer may pass until a message must be complete. Real ones are one TCP segment
/// to a few.
const UNFINISHED_PATIENCES: i64 = 6;

/// The largest control frame: two bytes and 125 (RFC 6455, 5.5). A part of one may wait at any moment.
const CONTROL_FRAME_BYTES: u64 = 127;

/// Output in the socket's own buffer.
#[derive(Default)]
pub struct Output {
    /// Something waits to be sent …
    unsent: bool,
    /// … since then for the other side to read …
    stuck_ns: Option<i64>,
    /// … and it is the answer to a ping.
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

    /// Nothing is read behind a ping whose answer waits for the other side to read.
    pub fn holds_input(&self) -> bool {
        self.owes_pong && self.stuck_ns.is_some()
    }

    /// Since when the other side reads nothing.
    pub fn stuck_ns(&self) -> Option<i64> {
        self.stuck_ns
    }
}

/// How far what came is made of whole messages.
#[derive(Default)]
pub struct Input {
    /// How many bytes had come when the last message was complete.
    whole: u64,
    /// Bytes of the control frames that have come since.
    control: u64,
    /// A message that is not complete: what was whole before it, and since when that is known.
    unfinished: Option<(u64, i64)>,
}

impl Input {
    /// A message is complete after so many bytes.
    #[inline]
    pub fn on_message(&mut self, received: u64) {
        (self.whole, self.control) = (received, 0);
    }

    pub fn on_control(&mut self, payload_bytes: usize) {
        self.control += 2 + payload_bytes as u64;
    }

    /// A message that never comes to its end is no sign of life and must not be waited for: why the connection
    /// ends for it. `received`: bytes so far, all of them taken apart.
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
