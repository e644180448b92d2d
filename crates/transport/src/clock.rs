//! The monotonic clock that stamps frames, in the owner's count of nanoseconds.

use std::time::Instant;

/// Nanoseconds of the monotonic clock. Where they begin is the owner's choice, so that its own
/// readings of the same clock and the stamps of frames can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Instant,
    anchor_ns: i64,
}

impl Clock {
    /// The clock that reads `anchor_ns` at `anchor`.
    pub fn new(anchor: Instant, anchor_ns: i64) -> Clock {
        Clock { anchor, anchor_ns }
    }

    /// The clock that reads what `read` does, which must be the same monotonic clock.
    ///
    /// The best of a few tries: between two looks at one clock the thread may be interrupted.
    pub fn aligned<E>(mut read: impl FnMut() -> Result<i64, E>) -> Result<Clock, E> {
        const TRIES: usize = 9;
        let mut best = None;
        for _ in 0..TRIES {
            let before = Instant::now();
            let now_ns = read()?;
            let took = before.elapsed();
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, Clock::new(before + took / 2, now_ns)));
            }
        }
        Ok(best.map_or_else(|| Clock::new(Instant::now(), 0), |(_, clock)| clock))
    }

    /// Now.
    #[inline]
    pub fn now_ns(&self) -> i64 {
        let since = Instant::now().saturating_duration_since(self.anchor);
        self.anchor_ns
            .saturating_add(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}
