//! The time for readers of the books of a router: its own clock, and the system's beside it.
//!
//! No clock is read here. The clock of the frames is the caller's, unless a virtual one is set; the system's
//! clock is known as an offset from it, which callers that read both clocks set from time to time. Small
//! differences are the time between the two readings: they change nothing, so that one time keeps one date.

use std::sync::atomic::{AtomicI64, Ordering};

const UNKNOWN: i64 = i64::MIN;
/// Below this two readings of both clocks mean the same offset.
const SAME_NS: i64 = 1_000_000;

/// The clocks of a router.
#[derive(Debug)]
pub struct Timebase {
    virtual_ns: AtomicI64,
    wall_offset_ns: AtomicI64,
}

impl Default for Timebase {
    fn default() -> Self {
        Timebase {
            virtual_ns: AtomicI64::new(UNKNOWN),
            wall_offset_ns: AtomicI64::new(UNKNOWN),
        }
    }
}

impl Timebase {
    /// Now: on the virtual clock where there is one, else as `clock` says.
    #[inline]
    pub fn now_ns(&self, clock: impl FnOnce() -> i64) -> i64 {
        match self.virtual_ns.load(Ordering::Relaxed) {
            UNKNOWN => clock(),
            now_ns => now_ns,
        }
    }

    /// It is that time on a virtual clock, and so many nanoseconds since 1970 there; from now on no other
    /// clock counts.
    pub fn set_virtual(&self, now_ns: i64, wall_ns: i64) {
        self.wall_offset_ns
            .store(offset_ns(now_ns, wall_ns), Ordering::Relaxed);
        self.virtual_ns.store(now_ns, Ordering::Relaxed);
    }

    /// The system's clock was read at that time of the caller's.
    pub fn on_wall(&self, now_ns: i64, wall_ns: i64) {
        if self.virtual_ns.load(Ordering::Relaxed) != UNKNOWN {
            return;
        }
        let (held_ns, offset_ns) = (
            self.wall_offset_ns.load(Ordering::Relaxed),
            offset_ns(now_ns, wall_ns),
        );
        if held_ns == UNKNOWN || held_ns.abs_diff(offset_ns) >= SAME_NS.unsigned_abs() {
            self.wall_offset_ns.store(offset_ns, Ordering::Relaxed);
        }
    }

    /// From the clock of the frames to nanoseconds since 1970 on the system's clock; None while unknown.
    pub fn wall_offset_ns(&self) -> Option<i64> {
        match self.wall_offset_ns.load(Ordering::Relaxed) {
            UNKNOWN => None,
            offset_ns => Some(offset_ns),
        }
    }
}

/// The offset between two readings, rounded down to whole microseconds.
fn offset_ns(now_ns: i64, wall_ns: i64) -> i64 {
    wall_ns.saturating_sub(now_ns).div_euclid(1_000) * 1_000
}

/// An offset of clocks that a frozen book holds: it makes no two of them different.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallOffset(pub Option<i64>);

impl PartialEq for WallOffset {
    fn eq(&self, _: &WallOffset) -> bool {
        true
    }
}

impl Eq for WallOffset {}
