//! Recording: every frame, in the order in which they were fed.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Router;
use crate::recording::tap::Tap;

/// The tap of a router, if there is one, and a flag that costs one look where there is none.
#[derive(Debug, Default)]
pub(super) struct TapSwitch {
    is_on: AtomicBool,
    tap: Mutex<Option<Tap>>,
}

impl TapSwitch {
    #[inline]
    pub fn frame(&self, connection: u64, frame: &[u8], received_ns: i64) {
        if self.is_on.load(Ordering::Relaxed)
            && let Some(tap) = &mut *self.tap.lock()
        {
            tap.frame(connection, frame, received_ns);
        }
    }

    fn set(&self, tap: Option<Tap>) {
        let is_on = tap.is_some();
        let mut held = self.tap.lock();
        *held = tap;
        self.is_on.store(is_on, Ordering::Relaxed);
    }
}

impl Router {
    /// Keep every frame from now on for `take_tapped`.
    pub fn start_tap(&self, tap: Tap) {
        self.tap.set(Some(tap));
    }

    /// Keep no more of them; what was not taken is gone.
    pub fn stop_tap(&self) {
        self.tap.set(None);
    }

    /// Put a line of the recorder's own between the frames; without effect where nothing is tapped.
    pub fn tap_line(&self, line: &[u8]) {
        if let Some(tap) = &mut *self.tap.tap.lock() {
            tap.line(line);
        }
    }

    /// The lines since the last call, and how many frames were lost after them.
    pub fn take_tapped(&self) -> (Vec<u8>, u64) {
        self.tap
            .tap
            .lock()
            .as_mut()
            .map(Tap::take)
            .unwrap_or_default()
    }
}
