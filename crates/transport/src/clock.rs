//! The clock of this package: monotonic, independent of changes of the system's clock, and running while the
//! machine sleeps. Receive times, ages and deadlines all come from `now_ns`.
//!
//! Linux: CLOCK_BOOTTIME. macOS: CLOCK_MONOTONIC, which includes sleep there. Windows: the performance
//! counter, which includes sleep. Elsewhere no clock includes it, so a jump of the system's clock against the
//! monotonic one, from one `Moment` to the next, is added. `now_ns` needs no system call where the kernel has
//! a vDSO.
//!
//! Timers of tokio and asyncio stop during sleep: the code that they wake must check this clock again.

use std::sync::atomic::{AtomicI64, Ordering};

/// Offset to the clock of the system (`align`, `pretend`).
static SHIFT_NS: AtomicI64 = AtomicI64::new(0);
/// Offset to the clock that stops during sleep (`pretend`).
static AWAKE_SHIFT_NS: AtomicI64 = AtomicI64::new(0);

/// Two readings of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The clock of this package.
    pub now_ns: i64,
    /// A clock that stops during sleep, if the system has one. Only differences are meaningful.
    pub awake_ns: i64,
}

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        /// The thread may be interrupted between the readings, which must not look like sleep.
        const NEAR_NS: i64 = 50_000_000;
        system::look();
        loop {
            let before_ns = awake_ns();
            let now_ns = now_ns();
            let awake_ns = awake_ns();
            if awake_ns - before_ns <= NEAR_NS {
                return Moment { now_ns, awake_ns };
            }
        }
    }
}

/// Nanoseconds of the clock of this package.
#[inline]
pub fn now_ns() -> i64 {
    system::sleepless_ns().saturating_add(SHIFT_NS.load(Ordering::Relaxed))
}

/// Align the clock with another monotonic clock, `read`.
///
/// Call it once, before the first use of the clock. It takes the best of a few tries, because the thread may
/// be interrupted between two readings.
pub fn align<E>(mut read: impl FnMut() -> Result<i64, E>) -> Result<(), E> {
    const TRIES: usize = 9;
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..TRIES {
        let before_ns = now_ns();
        let read_ns = read()?;
        let took_ns = now_ns() - before_ns;
        if best.is_none_or(|(least_ns, _)| took_ns < least_ns) {
            best = Some((took_ns, read_ns - before_ns - took_ns / 2));
        }
    }
    let shift_ns = best.map_or(0, |(_, shift_ns)| shift_ns);
    SHIFT_NS.fetch_add(shift_ns, Ordering::Relaxed);
    Ok(())
}

/// Nanoseconds since 1970 by the system's clock, which users and NTP adjust.
pub fn wall_ns() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

fn awake_ns() -> i64 {
    system::awake_ns().saturating_add(AWAKE_SHIFT_NS.load(Ordering::Relaxed))
}

/// For tests: let time pass, for a part of which the machine slept.
pub fn pretend(passed_ns: i64, slept_ns: i64) {
    AWAKE_SHIFT_NS.fetch_add(passed_ns - slept_ns, Ordering::Relaxed);
    SHIFT_NS.fetch_add(passed_ns, Ordering::Relaxed);
}

/// Detects sleep by the distance between the system's clock and one that stops during sleep. A step of the
/// system's clock looks the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallJump {
    ahead_ns: Option<i64>,
}

impl WallJump {
    /// How long the machine has slept since the last call; 0 for jumps that are too small or negative.
    pub fn look(&mut self, wall_ns: i64, awake_ns: i64) -> i64 {
        const LEAST_NS: i64 = 1_000_000_000;
        let ahead_ns = wall_ns - awake_ns;
        let jump_ns = ahead_ns - self.ahead_ns.replace(ahead_ns).unwrap_or(ahead_ns);
        if jump_ns >= LEAST_NS { jump_ns } else { 0 }
    }
}

/// Nanoseconds of `Instant` since its first use.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn instant_ns() -> i64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(unix)]
fn read_ns(clock: rustix::time::ClockId) -> i64 {
    let at = rustix::time::clock_gettime(clock);
    at.tv_sec * 1_000_000_000 + at.tv_nsec
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use rustix::time::ClockId;

    #[inline]
    pub fn sleepless_ns() -> i64 {
        super::read_ns(ClockId::Boottime)
    }

    pub fn awake_ns() -> i64 {
        super::read_ns(ClockId::Monotonic)
    }

    pub fn look() {}
}

#[cfg(target_vendor = "apple")]
mod system {
    #[inline]
    pub fn sleepless_ns() -> i64 {
        super::read_ns(rustix::time::ClockId::Monotonic)
    }

    pub fn awake_ns() -> i64 {
        super::instant_ns() // CLOCK_UPTIME_RAW
    }

    pub fn look() {}
}

#[cfg(windows)]
mod system {
    #[inline]
    pub fn sleepless_ns() -> i64 {
        super::instant_ns() // QueryPerformanceCounter
    }

    pub fn awake_ns() -> i64 {
        super::instant_ns()
    }

    pub fn look() {}
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    windows
)))]
mod system {
    use std::time::SystemTime;

    use parking_lot::Mutex;

    use super::WallJump;

    static JUMP: Mutex<WallJump> = Mutex::new(WallJump { ahead_ns: None });

    #[inline]
    pub fn sleepless_ns() -> i64 {
        super::instant_ns()
    }

    pub fn awake_ns() -> i64 {
        super::instant_ns()
    }

    pub fn look() {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall_ns = wall.map_or(0, |since| since.as_nanos() as i64);
        let slept_ns = JUMP.lock().look(wall_ns, awake_ns());
        super::pretend(slept_ns, slept_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_systems_clock_is_a_sleep_and_a_step_back_or_a_small_one_is_none() {
        let mut jump = WallJump::default();
        const S: i64 = 1_000_000_000;
        assert_eq!(
            jump.look(100 * S, 10 * S),
            0,
            "the first look knows nothing"
        );
        assert_eq!(jump.look(101 * S, 11 * S), 0);
        assert_eq!(jump.look(122 * S, 12 * S), 20 * S);
        assert_eq!(jump.look(123 * S, 13 * S), 0, "reported once");
        assert_eq!(jump.look(60 * S, 14 * S), 0, "the clock was set back");
        assert_eq!(jump.look(61 * S + S / 2, 15 * S), 0, "it was slewed");
    }

    #[test]
    fn the_clock_never_goes_back_and_counts_sleep_it_is_given() {
        let before = Moment::now();
        pretend(9_000_000_000, 7_000_000_000);
        let after = Moment::now();
        let slept_ns = (after.now_ns - before.now_ns) - (after.awake_ns - before.awake_ns);
        assert!(
            (6_900_000_000..7_100_000_000).contains(&slept_ns),
            "{slept_ns}"
        );
        assert!(now_ns() >= after.now_ns);
    }
}
