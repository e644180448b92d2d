//! Watching without an event loop: silence that the loop does not judge, and pauses of the machine or the process.
//!
//! The thread that reads the sockets calls `tick` several times a second, the event loop calls `attend`
//! whenever it looks after its books. While the loop does, its policy decides about silent books. When it
//! does not, a book that nothing has proven within its time to detect is stale until proven.
//!
//! A gap between two ticks is a pause: the machine slept (known from a clock that counts sleep and one that
//! does not), or the process was paused. After it every book is stale until proven. Readers look at the
//! clock first (`is_overdue`), so that a read in the first moment after a pause is a tick itself.
//!
//! Time is an argument. Lock: before the table of markets, which is before one market.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Router;
use crate::status::Condition;

/// So long after the loop looked last it no longer judges silence: it looks every second.
const ABSENT_NS: i64 = 3_000_000_000;
/// A sleep that is too short to lose anything.
const SLEPT_NS: i64 = 1_000_000_000;
/// Ticks are this late on a very busy machine, too.
const STOOD_STILL_NS: i64 = 5_000_000_000;
/// A reader finds it overdue when the last tick was so long ago.
const OVERDUE_NS: i64 = 1_000_000_000;

/// When the clock was looked at last, and by which thread.
#[derive(Debug)]
pub(super) struct Watchdog {
    last_tick: Mutex<Option<LastTick>>,
    /// Readers look themselves after this; `i64::MAX` where no thread ticks.
    overdue_ns: AtomicI64,
    attended_ns: AtomicI64,
    pauses: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct LastTick {
    now_ns: i64,
    awake_ns: i64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Watchdog {
            last_tick: Mutex::default(),
            overdue_ns: AtomicI64::new(i64::MAX),
            attended_ns: AtomicI64::new(i64::MIN),
            pauses: AtomicU64::new(0),
        }
    }
}

/// What a tick found.
enum TickFinding {
    /// Neither ticks before, nor time since.
    Nothing,
    /// A pause since then, for this reason.
    Pause(i64, String),
    /// Time for a look at silence.
    Time,
}

impl Watchdog {
    #[inline]
    fn is_overdue(&self, now_ns: impl FnOnce() -> i64) -> bool {
        let overdue_ns = self.overdue_ns.load(Ordering::Acquire);
        overdue_ns != i64::MAX && now_ns() > overdue_ns
    }

    fn set_overdue(&self, overdue_ns: i64) {
        self.overdue_ns.store(overdue_ns, Ordering::Release);
    }

    fn attend(&self, now_ns: i64) {
        self.attended_ns.fetch_max(now_ns, Ordering::Relaxed);
    }

    /// Whether the event loop judges silence at that time.
    fn is_attended(&self, now_ns: i64) -> bool {
        let attended_ns = self.attended_ns.load(Ordering::Relaxed);
        now_ns.saturating_sub(attended_ns) <= ABSENT_NS
    }

    fn pauses(&self) -> u64 {
        self.pauses.load(Ordering::Acquire)
    }

    fn start(&self, tick: LastTick) {
        self.attend(tick.now_ns);
        let mut last_tick = self.last_tick.lock();
        *last_tick = Some(tick);
        self.set_overdue(tick.now_ns.saturating_add(OVERDUE_NS));
    }

    fn stop(&self) {
        *self.last_tick.lock() = None;
        self.set_overdue(i64::MAX);
    }

    /// Look at the time since the last tick, and act on it; readers go on only when that is done.
    fn tick(&self, tick: LastTick, act: impl FnOnce(TickFinding)) {
        let mut last_tick = self.last_tick.lock();
        act(last_tick.map_or(TickFinding::Nothing, |before| tick.since(before)));
        if last_tick.is_some_and(|before| tick.now_ns > before.now_ns) {
            *last_tick = Some(tick);
            self.set_overdue(tick.now_ns.saturating_add(OVERDUE_NS));
        }
    }
}

impl LastTick {
    fn since(self, before: LastTick) -> TickFinding {
        let gap_ns = self.now_ns - before.now_ns;
        let slept_ns = gap_ns - (self.awake_ns - before.awake_ns);
        if gap_ns <= 0 {
            TickFinding::Nothing
        } else if slept_ns >= SLEPT_NS {
            let reason = format!("the machine slept for {}", seconds(slept_ns));
            TickFinding::Pause(before.now_ns, reason)
        } else if gap_ns >= STOOD_STILL_NS {
            let reason = format!("this process was paused for {}", seconds(gap_ns));
            TickFinding::Pause(before.now_ns, reason)
        } else {
            TickFinding::Time
        }
    }
}

impl Router {
    /// While the event loop does not judge silence, a book without proof for this long is stale; None: never.
    pub fn set_time_to_detect(
        &self,
        market: u64,
        within_ns: Option<i64>,
    ) -> Result<(), super::RouterError> {
        self.market(market)?.lock().set_time_to_detect(within_ns);
        Ok(())
    }

    /// A thread ticks from now on. `awake_ns`: of a clock that stops in sleep.
    pub fn start_watch(&self, now_ns: i64, awake_ns: i64) {
        self.watchdog.start(LastTick { now_ns, awake_ns });
    }

    /// No thread ticks any more.
    pub fn stop_watch(&self) {
        self.watchdog.stop();
    }

    /// Whether a reader has to `tick`, because no thread did for too long.
    #[inline]
    pub fn is_overdue(&self, now_ns: impl FnOnce() -> i64) -> bool {
        self.watchdog.is_overdue(now_ns)
    }

    /// Look at the time since the last tick, and at silence. How many pauses there were, and whether
    /// `take_events` has events.
    pub fn tick(&self, now_ns: i64, awake_ns: i64) -> (u64, bool) {
        let tick = LastTick { now_ns, awake_ns };
        self.watchdog.tick(tick, |found| match found {
            TickFinding::Nothing => {}
            TickFinding::Pause(since_ns, reason) => self.pause(&reason, since_ns, now_ns),
            TickFinding::Time => self.judge_silence(now_ns),
        });
        (self.watchdog.pauses(), self.outbox.has_events())
    }

    /// The machine or the process paused from `since_ns` to `now_ns`: every book is stale until proven.
    pub fn pause(&self, reason: &str, since_ns: i64, now_ns: i64) {
        self.watchdog.pauses.fetch_add(1, Ordering::AcqRel);
        for (market, cell) in &self.markets.read().entries {
            self.change(*market, cell.lock(), |held| {
                held.on_pause(reason, since_ns, now_ns);
            });
        }
    }

    /// The event loop looks after its books at that time. How many pauses there were.
    pub fn attend(&self, now_ns: i64) -> u64 {
        self.watchdog.attend(now_ns);
        self.watchdog.pauses()
    }

    /// Doubt books that nothing has proven in time, unless the event loop does.
    pub fn judge_silence(&self, now_ns: i64) {
        if self.watchdog.is_attended(now_ns) {
            return;
        }
        for (market, cell) in &self.markets.read().entries {
            self.change(*market, cell.lock(), |held| held.judge_silence(now_ns));
        }
    }

    /// The event loop has ended: nothing will look after these books again.
    pub fn close(&self, reason: &str, now_ns: i64) {
        self.stop_watch();
        for (market, cell) in &self.markets.read().entries {
            self.change(*market, cell.lock(), |held| {
                held.set_condition(Some(Condition::Closed), reason, now_ns);
            });
        }
    }
}

/// Seconds as users read them.
fn seconds(ns: i64) -> String {
    let tenths = (ns + 50_000_000) / 100_000_000;
    if tenths >= 100 || tenths % 10 == 0 {
        format!("{} s", (tenths + 5) / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}
