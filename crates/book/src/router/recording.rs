//! Recording: every frame, in the order in which they were fed.

use std::sync::atomic::Ordering;

use super::Router;
use crate::recording::tap::Tap;

impl Router {
    /// Keep every frame from now on for `take_tapped`.
    pub fn start_tap(&self, tap: Tap) {
        *self.tap.lock() = Some(tap);
        self.is_tapped.store(true, Ordering::Relaxed);
    }

    /// Keep no more of them; what was not taken is gone.
    pub fn stop_tap(&self) {
        self.is_tapped.store(false, Ordering::Relaxed);
        *self.tap.lock() = None;
    }

    /// Put a line of the recorder's own between the frames; without effect where nothing is tapped.
    pub fn tap_line(&self, line: &[u8]) {
        if let Some(tap) = &mut *self.tap.lock() {
            tap.line(line);
        }
    }

    /// The lines since the last call, and how many frames were lost after them.
    pub fn take_tapped(&self) -> (Vec<u8>, u64) {
        self.tap.lock().as_mut().map(Tap::take).unwrap_or_default()
    }
}
